"""A montage of other people's frames that follows a face: the face alignment challenge (Veriff, 2019).

    cli.py index --videos data/train/videos.csv
    cli.py process-video --videos data/train/videos.csv FILE.npz
    cli.py process-webcam --videos data/train/videos.csv
    cli.py score --videos data/train/videos.csv FILE.npz --montage output.json

Costs are told by three definitions: public, the challenge's as it runs; signed, without its wrap-around; honest, with
the landmarks of what is really shown (docs/montage.md). COMMAND --help explains each.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.base.extras import available, missing
from lwface.commands.flags import (
    add_detector_flags,
    add_flag,
    add_json_flag,
    check_is_no_folder,
    command_parser,
    detector_files,
    detector_modules,
)
from lwface.detection.choices import OWN_POINTS, chosen_detector
from lwface.montage.options import FRAMES, INDEX_SECONDS, POINTS, SECONDS, VIDEOS, WARPS

INDEX, PROCESS, WEBCAM, SCORE = "index", "process-video", "process-webcam", "score"
_ENDING = ".npz"


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    arguments = _parser().parse_args(_with_command(sys.argv[1:] if argv is None else argv))
    arguments.videos = arguments.videos or _default_videos()
    if arguments.baseline and arguments.repaired:
        raise UserError("--baseline is the published one, --repaired the same without its defects: give one of them")
    if arguments.processor is not None and (arguments.baseline or arguments.repaired):
        raise UserError("--processor is one of your own: leave --baseline and --repaired out")
    existing(arguments.videos, arguments.processor)
    if arguments.videos.is_dir():
        raise UserError(f"--videos {arguments.videos}: is a folder; give the csv in it")
    if arguments.command == INDEX:
        return arguments
    existing(getattr(arguments, "file", None), getattr(arguments, "montage", None))
    if arguments.command == SCORE:
        if arguments.json not in (None, "-"):
            check_is_no_folder("--json", arguments.json, "a file")
    else:
        _check_making(arguments)
        _check_output(arguments)
    _check_query(arguments)
    index = Path(f"{arguments.videos}.index")
    if not index.exists():
        raise UserError(f"{index}: there is no index; montage/cli.py index --videos {arguments.videos} makes it")
    return arguments


def _default_videos() -> Path:
    """The csv that the challenge's data comes with, where it is in the current folder."""
    for path in VIDEOS:
        if Path(path).is_file():
            return Path(path)
    raise UserError(f"--videos: is not given, and neither {VIDEOS[0]} nor {VIDEOS[1]} is there; give the csv")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_common_flags(parser, first=True)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, says: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(
            name, help=says, description=says, allow_abbrev=False, formatter_class=parser.formatter_class
        )
        _add_common_flags(made, first=False)
        return made

    index = command(INDEX, "index the videos that a csv names")
    what = "do not read the pictures: much faster, but what follows what is then told by the videos alone"
    index.add_argument("--landmarks-only", action="store_true", help=what)
    process = command(PROCESS, "make the montage that follows a video")
    _add_query(process)
    add = process.add_argument
    what = "video to write (default: output.mp4); beside it the montage alone, a contact sheet, the costs and JSON"
    add("--output", type=Path, metavar="FILE.mp4", default=Path("output.mp4"), help=what)
    _add_making_flags(process, "any number", "when all are known")
    webcam = command(WEBCAM, "make the montage that follows a camera; q, Escape or Ctrl-C ends it")
    add = webcam.add_argument
    add("--camera", type=int, metavar="N", default=0, help="number of the camera (default: 0)")
    what = "write what is seen and shown, too; it is whole however the run ends (default: a window alone)"
    add("--output", type=Path, metavar="FILE.mp4", help=what)
    add("--seconds", type=float, metavar="S", help="end after so long (default: when it is ended)")
    what = "of the published program: changes nothing, as there is no need of a GPU"
    add_flag(webcam, "--cuda", "-c", action="store_true", help=what)
    _add_making_flags(webcam, "any number; where everyone was, all are shown again", "0")
    add_detector_flags(webcam)
    score = command(SCORE, "what a montage costs, by all three definitions")
    _add_query(score)
    what = "the montage: OUTPUT.json of process-video, or an .npz of output frames as FILE.npz is one of input frames"
    score.add_argument("--montage", type=Path, metavar="FILE", required=True, help=what)
    add_json_flag(score)
    return parser


def _add_common_flags(parser: argparse.ArgumentParser, *, first: bool) -> None:
    """The flags that may stand before the command or behind it, as the challenge types the one or the other."""
    no, default = (False, None) if first else (argparse.SUPPRESS, argparse.SUPPRESS)
    add = parser.add_argument
    what = f"csv with a column videoID (default: {VIDEOS[0]}, or the same in data/); its index is beside it, CSV.index"
    add_flag(parser, "--videos", "-v", type=Path, metavar="CSV", default=default, help=what)
    what = "the published baseline, defects and all"
    add_flag(parser, "--baseline", "-b", action="store_true", default=no, help=what)
    what = "the baseline without its defects: the nearest frame, resized"
    add("--repaired", action="store_true", default=no, help=what)
    what = "Python file with a class Processor of your own (docs/montage.md); it is run"
    add("--processor", type=Path, metavar="FILE.py", default=default, help=what)
    what = "print on stderr what libraries log, their details too"
    add_flag(parser, "--debug", "-d", action="store_true", default=no, help=what)


def _add_making_flags(parser: argparse.ArgumentParser, most: str, look_ahead: str) -> None:
    """What our own montage is asked for; ``most`` and ``look_ahead`` say what happens if these are not given."""
    add = parser.add_argument
    what = (
        "how a frame is moved onto the face: not at all (none), by place, size and roll (similarity), or so that all "
    )
    add("--warp", choices=WARPS, help=f"{what}landmarks coincide (points; default)")
    add("--no-colour", action="store_true", help="do not match the colours of the face to the query's")
    add("--most", type=int, metavar="N", help=f"show a person in N frames at most (default: {most})")
    what = "decide a frame when N behind it are known, as for live use; 0: at once"
    add("--look-ahead", type=int, metavar="N", help=f"{what} (default: {look_ahead})")


def _add_query(parser: argparse.ArgumentParser) -> None:
    what = "video to follow: .npz, or a video file or folder of images, whose landmarks are looked for"
    parser.add_argument("file", type=Path, metavar="FILE", help=what)
    add_detector_flags(parser)


def _with_command(argv: list[str]) -> list[str]:
    """``argv`` with process-video where no command stands: the challenge's page types its baseline so."""
    at, videos = 0, None
    while at < len(argv) and argv[at].startswith("-") and argv[at] not in ("-h", "--help"):
        name, _, value = argv[at].partition("=")
        if videos is None and name in ("--videos", "-v"):
            videos = at
        at += 1 + (name in ("--videos", "-v", "--processor") and not value)
    if videos is not None and at < len(argv) and argv[at] not in (INDEX, PROCESS, WEBCAM, SCORE):
        return [*argv[:videos], PROCESS, *argv[videos:]]
    return argv


def _check_making(arguments: argparse.Namespace) -> None:
    """What is asked of our own montage, and of nobody else's."""
    asked = {name: getattr(arguments, name) for name in ("warp", "no_colour", "most", "look_ahead")}
    given = [f"--{name.replace('_', '-')}" for name, value in asked.items() if value is not None and value is not False]
    if given and (arguments.baseline or arguments.repaired or arguments.processor):
        other = "--processor" if arguments.processor else "--baseline" if arguments.baseline else "--repaired"
        raise UserError(f"{given[0]}: is for the montage of our own; leave it out with {other}")
    arguments.warp = arguments.warp or POINTS
    for name, least in (("most", 1), ("look_ahead", 0), ("camera", 0)):
        value = getattr(arguments, name, None)
        if value is not None and value < least:
            raise UserError(f"--{name.replace('_', '-')} {value}: expected {least} or more")
    seconds = getattr(arguments, "seconds", None)
    if seconds is not None and not seconds > 0:
        raise UserError(f"--seconds {seconds:g}: expected more than 0")


def _check_output(arguments: argparse.Namespace) -> None:
    output = arguments.output
    if output is None:
        return
    if output.suffix.lower() != ".mp4":
        raise UserError(f"--output {output}: the video is an MP4; give a name that ends in .mp4")
    check_is_no_folder("--output", output, "a file")
    if arguments.command == PROCESS and output.resolve() == arguments.file.resolve():
        raise UserError(f"--output {output}: is the video that is read; choose another name")
    if not available("av"):
        raise missing("av, which writes videos,", "video")


def _check_query(arguments: argparse.Namespace) -> None:
    """A video file needs what finds its landmarks, an ``.npz`` has them."""
    if arguments.command != WEBCAM and arguments.file.suffix.lower() == _ENDING:
        if arguments.points_model or arguments.detector or arguments.detector_model:
            raise UserError(f"{arguments.file}: has its landmarks in it; leave --points-model and --detector out")
        return
    if arguments.points_model == OWN_POINTS:
        raise UserError(f"--points-model {OWN_POINTS}: a montage goes by 68 points; leave it out, or name a model")
    arguments.detector = chosen_detector(arguments.detector, arguments.detector_model)
    existing(*detector_files(arguments))


def main(argv: list[str] | None = None) -> None:
    """Index, make or score."""
    arguments = parse_arguments(argv)
    if arguments.debug:
        logging.basicConfig(level=logging.DEBUG, format="%(asctime)s [%(levelname)s] %(name)s: %(message)s")
    # Whether there is a camera is told before PyTorch is imported.
    finds_faces = getattr(arguments, "detector", None) and arguments.command != WEBCAM
    load(*(detector_modules(arguments) if finds_faces else ["cv2"]))
    {INDEX: _index, PROCESS: _process, WEBCAM: _webcam, SCORE: _score}[arguments.command](arguments)


def _processor(arguments: argparse.Namespace) -> Any:
    """The processor that the flags ask for."""
    from lwface.montage.baseline import PublishedBaseline, RepairedBaseline
    from lwface.montage.own import own_processor
    from lwface.montage.sequence import MontageOptions, SequenceProcessor

    if arguments.processor is not None:
        return own_processor(arguments.processor, arguments.videos)
    if arguments.baseline or arguments.repaired:
        return (PublishedBaseline if arguments.baseline else RepairedBaseline)(arguments.videos)
    if arguments.command not in (PROCESS, WEBCAM):
        return SequenceProcessor(arguments.videos)
    options = MontageOptions(arguments.warp, not arguments.no_colour, arguments.most, arguments.look_ahead)
    return SequenceProcessor(arguments.videos, options)


def _index(arguments: argparse.Namespace) -> None:
    import time

    from lwface.montage.processor import index_name

    processor = _processor(arguments)
    if arguments.landmarks_only:
        processor.pictures = False
    begin = time.perf_counter()
    processor.build_index(index_name(arguments.videos))
    seconds = time.perf_counter() - begin
    index = getattr(processor, "index", None)
    if index is not None:
        pictures = "" if index.faces is not None else ", landmarks alone"
        print(f"{index_name(arguments.videos)}: {index.count} frames of {len(index.videos)} videos{pictures}")
        print(f"people: {len(index.people)}")
    print(f"indexed in {_limit(seconds, INDEX_SECONDS)}")


def _limit(seconds: float, limit: float) -> str:
    """A time beside the challenge's limit."""
    return f"{seconds:.1f} s; the challenge's limit is {limit:.0f} s: {'kept' if seconds <= limit else 'NOT KEPT'}"


def _query(arguments: argparse.Namespace) -> Any:
    """The video to follow, with the times of its frames where it has them."""
    if arguments.file.suffix.lower() == _ENDING:
        from lwface.formats.montage_video import read_face_video

        return read_face_video(arguments.file), None
    from lwface.montage.queries import followed_video

    names = {"detector": arguments.detector, "detector_model": arguments.detector_model}
    return followed_video(arguments.file, **names, points_model=arguments.points_model)


def _process(arguments: argparse.Namespace) -> None:
    import time

    from lwface.montage.output import beside, replacing_all, write_contact_sheet, write_cost_plot, write_videos
    from lwface.montage.processor import index_name, score
    from lwface.montage.record import table_of, write_record

    processor = _processor(arguments)
    processor.load_index(index_name(arguments.videos))
    begin = time.perf_counter()
    video, times = _query(arguments)
    results = processor.process_video(video)
    seconds = time.perf_counter() - begin
    costs = score(video, results, processor.index, processor.frames)
    made = {"query": str(arguments.file), "processor": type(processor).__name__, "seconds": seconds}
    if not (arguments.processor or arguments.baseline or arguments.repaired):
        made |= {name: getattr(arguments, name) for name in ("warp", "most", "look_ahead")}
        made["colour"] = not arguments.no_colour
    with replacing_all(arguments.output) as part:
        files = beside(part)
        write_videos(part, video, results, costs, times)
        write_contact_sheet(files["sheet"], video, results, processor.index)
        write_cost_plot(files["plot"], costs)
        write_record(files["record"], results, costs, video, processor.index, made)
    dropped = sum(result is None for result in results)
    rows = [int(result.frame_idx) for result in results if result is not None]
    people = {processor.index.frame(row)[0].person for row in rows}
    print(f"{arguments.output}: {video.count} frames, {dropped} of them dropped, of {len(people)} people")
    print(f"beside it: {', '.join(path.name for path in files.values())}")
    limit = SECONDS * max(1.0, video.count / FRAMES)
    print(f"{video.count} frames in {_limit(seconds, limit)} ({SECONDS} s for {FRAMES} frames)")
    print("\n".join(table_of(costs)))


def _webcam(arguments: argparse.Namespace) -> None:
    import time

    from lwface.base.notes import note
    from lwface.landmarks.following import FaceFollower
    from lwface.landmarks.one_euro import OneEuroFilter
    from lwface.landmarks.opening import face_finder
    from lwface.montage.camera import open_camera
    from lwface.montage.live import follow_camera
    from lwface.montage.processor import index_name
    from lwface.training.stop import stop_request

    if arguments.cuda:
        note("--cuda: nothing here runs on a GPU; the processor is enough")
    with stop_request() as request:
        end = float("inf")
        window = None

        def over() -> bool:
            return request.signal is not None or (window is not None and window.closed) or time.monotonic() > end

        camera = open_camera(arguments.camera, over)
        window = _window(arguments)
        processor = _processor(arguments)
        processor.load_index(index_name(arguments.videos))
        finder = face_finder(arguments.detector, arguments.detector_model, arguments.points_model)
        if arguments.seconds is not None:
            end = time.monotonic() + arguments.seconds
        with camera:
            show = None if window is None else window.show
            figures = follow_camera(camera, FaceFollower(finder, OneEuroFilter()), processor, arguments.output, show)
    if camera.ended:
        note(f"{camera.name}: {camera.ended}")
    print("\n".join(figures.lines(arguments.output)))


def _window(arguments: argparse.Namespace) -> Any:
    """The window; None where there can be none, and a file is written instead."""
    from lwface.base.notes import note
    from lwface.montage.window import Window

    try:
        return Window(f"montage of --camera {arguments.camera}")
    except UserError as error:
        if arguments.output is None:
            raise UserError(f"no window can be opened ({error}): give --output FILE.mp4") from None
        note(f"no window can be opened ({error}): {arguments.output} alone is written; Ctrl-C ends it")
        return None


def _score(arguments: argparse.Namespace) -> None:
    from lwface.base.files import write_json
    from lwface.montage import index as index_files
    from lwface.montage.database import FrameStore
    from lwface.montage.processor import index_name, score
    from lwface.montage.record import read_answers, table_of, told_summary

    video, _ = _query(arguments)
    index = index_files.load(index_name(arguments.videos))
    frames = FrameStore(arguments.videos, index)
    results, with_sources = read_answers(arguments.montage, video, index, frames)
    costs = score(video, results, index, frames) if with_sources else _unsourced(video, results)
    kinds = ("public", "signed", "honest") if with_sources else ("public", "signed")
    sums = {kind: sums for kind, sums in told_summary(costs).items() if kind in kinds}
    if arguments.json == "-":
        import json

        print(json.dumps(sums, indent=2, allow_nan=False))
        return
    if arguments.json is not None:
        every = [dict(zip(kinds, map(list, frame), strict=False)) for frame in costs]
        write_json(arguments.json, {"costs": sums, "frames": every})
    print("\n".join(table_of(costs, kinds)))
    if not with_sources:
        print("honest    not known: the .npz has no frameIndex, which says what rows of the index its frames are of")


def _unsourced(video: Any, results: list[Any]) -> Any:
    """The costs of frames that say nothing of where they are from."""
    from lwface.montage.costs import ShownFrame, score_frames

    shown = [None if one is None else ShownFrame(one.frame, one.landmarks, None) for one in results]
    return score_frames(video.frame(0), video.points, shown)
