"""Draw the points of the face over a video, or over a folder of images, as an MP4 that phones play.

The most prominent face is followed: its points in one frame say where the next are looked for; the detector looks every
now and then, where the face is lost, and after a cut. The points are smoothed by the One-Euro filter; by how much that
lags is measured and printed. Every frame keeps its time, and a turn of a phone's video is followed. H.264 in 4:2:0,
even sides, without sound. The upper left corner shows how many frames a second are worked through. A run that is
interrupted leaves nothing behind.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.base.extras import available, missing
from lwface.commands.flags import (
    add_detector_flags,
    check_is_no_folder,
    check_least,
    command_parser,
    detector_files,
    detector_modules,
)
from lwface.detection.choices import chosen_detector

FOLDER_RATE = 25  # frames a second of a folder, if nothing else is said
SPEEDS = (0.1, 0.5, 2.0)  # face sizes a second: a head that is hardly still, a nod, a shake
STEP = 0.1  # face sizes


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--input", type=Path, metavar="PATH", required=True, help="video file, or folder of images")
    add("--output", type=Path, metavar="FILE.mp4", required=True, help="video to write")
    add_detector_flags(parser)
    add("--rate", type=int, metavar="N", help=f"of a folder: frames a second (default: {FOLDER_RATE})")
    what = "of the filter, for what rests, in Hz: lower trembles less and lags more; 0: no filter"
    add("--cutoff", type=float, metavar="HZ", help=f"{what} (default: 2)")
    what = (
        "of the filter: what a speed of one face size a second adds to the cutoff; higher lags less and trembles more"
    )
    add("--slope", type=float, metavar="HZ", help=f"{what} (default: 20)")
    arguments = parser.parse_args(argv)
    existing(arguments.input)
    if arguments.output.suffix.lower() != ".mp4":
        raise UserError(f"--output {arguments.output}: the video is an MP4; give a name that ends in .mp4")
    check_is_no_folder("--output", arguments.output, "a file")
    if arguments.output.exists() and os.path.samefile(arguments.input, arguments.output):
        raise UserError(f"--output {arguments.output}: is the video that is read; choose another name")
    if arguments.rate is None:
        arguments.rate = FOLDER_RATE
    elif not arguments.input.is_dir():
        raise UserError(f"--rate {arguments.rate}: is for a folder of images; a video has its own times")
    check_least(arguments, {"rate": 1})
    for flag in ("cutoff", "slope"):
        value = getattr(arguments, flag)
        if value is not None and not value >= 0:
            raise UserError(f"--{flag} {value:g}: expected 0 or more")
    if arguments.cutoff == 0 and arguments.slope is not None:
        raise UserError("--cutoff 0 is no filter; leave --slope out")
    if not available("av"):
        raise missing("av, which reads and writes videos,", "video")
    arguments.detector = chosen_detector(arguments.detector, arguments.detector_model)
    existing(*detector_files(arguments))
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Follow, draw, write, and say what it was."""
    arguments = parse_arguments(argv)
    load(*detector_modules(arguments))
    import time

    from lwface.base.progress import progress
    from lwface.formats.video import open_frames, video_writer
    from lwface.landmarks.drawing import draw_points, draw_text
    from lwface.landmarks.following import FaceFollower
    from lwface.landmarks.opening import face_finder

    frames = open_frames(arguments.input, arguments.rate)
    for what in frames.left_out:
        print(f"left out: {what}", file=sys.stderr)
    finder = face_finder(arguments.detector, arguments.detector_model, arguments.points_model)
    smoothing = _smoothing(arguments)
    follower = FaceFollower(finder, smoothing)
    seen = faces = anew = 0
    begin = last = time.perf_counter()
    shown_rate = 0.0
    with video_writer(arguments.output, frames.size, frames.rate) as writer:
        for frame in progress(frames, total=frames.count, label="overlay", unit="frame"):
            face = follower(frame)
            image = frame.image.copy() if face is None else draw_points(frame.image, face.points)
            draw_text(image, f"{shown_rate:.0f} frames/s" if seen else "... frames/s")
            writer.write(frame._replace(image=image))
            seen, faces, anew = seen + 1, faces + (face is not None), anew + (face is not None and face.found_anew)
            now = time.perf_counter()
            current = 1 / max(now - last, 1e-6)
            shown_rate = current if seen == 1 else 0.9 * shown_rate + 0.1 * current
            last = now
    seconds = time.perf_counter() - begin
    print(f"{arguments.output}: {seen} frames, {seen / seconds:.1f} a second on this machine")
    print(f"faces in {faces} of them, found anew in {anew}; the detector looked {follower.searches} times")
    if faces < seen:
        print(f"frames without a face, written as they are: {seen - faces}")
    print("\n".join(lag_lines(smoothing, float(frames.rate))))


def _smoothing(arguments: argparse.Namespace) -> Any:
    """The ``OneEuroFilter`` that the flags ask for; for ``--cutoff 0`` one that lets everything through."""
    from lwface.landmarks.one_euro import CUTOFF, SLOPE, OneEuroFilter

    if arguments.cutoff == 0:
        return OneEuroFilter(cutoff=float("inf"), slope=0.0)
    return OneEuroFilter(
        CUTOFF if arguments.cutoff is None else arguments.cutoff, SLOPE if arguments.slope is None else arguments.slope
    )


def lag_lines(smoothing: Any, rate: float) -> list[str]:
    """How far the filter is behind at ``rate`` frames a second, by its response to ramps and to a step."""
    from lwface.landmarks.one_euro import ramp_lag, step_delay

    if smoothing.cutoff == float("inf"):
        return ["not smoothed: no lag"]
    lags = [(speed, ramp_lag(smoothing, rate, speed)) for speed in SPEEDS]
    told = ", ".join(f"{lag * rate:.2f} frames ({1000 * lag:.0f} ms) at {speed:g}" for speed, lag in lags)
    steps = step_delay(smoothing, rate, STEP)
    return [
        f"smoothing lags by {told} face sizes a second",
        f"90 % of a jump by {STEP:g} face sizes are shown after {steps} more frames ({1000 * steps / rate:.0f} ms)",
    ]
