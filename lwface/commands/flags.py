"""The flags that several commands share: one spelling, one meaning and one wording each.

The spelling shown has dashes. Another one that is accepted too, such as the ``--batch_size`` of the original program,
is an alias: it does the same and is not shown.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lwface.base.commands import HelpFormatter, existing
from lwface.base.errors import UserError
from lwface.base.setting import Setting
from lwface.detection.choices import DETECTOR_NAMES, INSIGHTFACE, MTCNN, OWN, OWN_POINTS, YUNET
from lwface.features.choices import AUTO, BACKENDS
from lwface.formats.image_files import JPEG_QUALITY
from lwface.formats.keypoint_tables import LOOKUP, challenge_file
from lwface.formats.landmark_order import MAX_RESIDUAL, NAMED, Y_FIRST, landmark_order
from lwface.gate.budgets import TRACKS
from lwface.models.names import model_file
from lwface.models.shipped import LANDMARKS, shipped_path
from lwface.scoring.parameters import REPLICATES
from lwface.settings.places import Places

PRINT = "-"  # the value of --json without FILE


def command_parser(description: str | None, **options: Any) -> argparse.ArgumentParser:
    """A parser that takes flags as they are written in the help, not abbreviated."""
    return argparse.ArgumentParser(
        description=description, formatter_class=HelpFormatter, allow_abbrev=False, **options
    )


def add_flag(parser: argparse._ActionsContainer, flag: str, *aliases: str, **options: Any) -> None:
    """``parser.add_argument``, with aliases that the help does not show."""
    action = parser.add_argument(flag, **options)
    hidden = {"dest": action.dest, "required": False, "default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    for alias in aliases:
        parser.add_argument(alias, **{**options, **hidden})


def add_model_flag(parser: argparse._ActionsContainer, *, required: bool = True) -> None:
    """``--model``: a trained model of any kind."""
    what = (
        "trained model: PREFIX,EPOCH (ours, such as models/y2-arcface-retina/model,1, or MXNet's), FILE.onnx, its own "
        "file, an iresnet's state dict .pth, .pt or .safetensors, or default, the face network of the package"
    )
    parser.add_argument("--model", required=required, metavar="MODEL", help=what)


def add_state_dict_flags(parser: argparse._ActionsContainer) -> None:
    """``--network``, ``--pixels`` and ``--epsilon``: what a state dict given as a model does not say."""
    network = "for a state dict (.pth, .pt, .safetensors): its network, such as r50; an iresnet says it itself"
    parser.add_argument("--network", metavar="NAME", help=network)
    pixels = "for an iresnet's: what it takes of 0..255; arcface_torch's 127.5/127.5 if not given, MagFace's: 0/255,BGR"
    parser.add_argument("--pixels", metavar="MEAN/DIVISOR[,BGR]", help=pixels)
    epsilon = "for an iresnet's: of its batch norms; arcface_torch's 1e-5 if not given, MagFace's: 2e-5"
    parser.add_argument("--epsilon", type=float, metavar="X", help=epsilon)


def add_layer_flag(parser: argparse._ActionsContainer) -> None:
    """``--layer``."""
    what = "the output of an MXNet or ONNX model that is the embedding, where it has several"
    parser.add_argument("--layer", metavar="NAME", help=what)


def add_batch_size_flag(parser: argparse._ActionsContainer) -> None:
    """``--batch-size``; the original's ``--batch_size``."""
    what = "images that the network sees at once"
    add_flag(parser, "--batch-size", "--batch_size", type=int, default=32, metavar="N", help=what)


def add_setting_flag(parser: argparse._ActionsContainer, key: str, setting: Setting, value: Any) -> None:
    """The flag of a setting of a run, with its meaning as help; underscores become dashes. ``value`` is the default."""
    flag = f"--{key.replace('_', '-')}"
    if setting.kind is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=value, help=setting.meaning)
    elif setting.kind is list:
        parser.add_argument(flag, nargs="+", default=value, metavar=key.upper(), help=setting.meaning)
    else:
        choices = setting.choices or None
        parser.add_argument(flag, type=setting.kind, default=value, choices=choices, help=setting.meaning)


def add_device_flag(parser: argparse._ActionsContainer) -> None:
    """``--device``."""
    what = "auto (a CUDA device where there is one), cpu, cuda or cuda:N"
    parser.add_argument("--device", default=AUTO, help=what)


def add_backend_flag(parser: argparse._ActionsContainer) -> None:
    """``--backend``."""
    what = (
        "what runs the network: auto measures which is the fastest here, if there are images enough to pay for it; all "
        "give the same features to float32's precision"
    )
    parser.add_argument("--backend", default=AUTO, choices=BACKENDS, help=what)


class _Workers(argparse.Action):
    """A number of them, which is none below 0."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, number: Any, option_string: object = None
    ) -> None:
        if number < 0:
            raise UserError(f"--num-workers {number}: expected 0 or more")
        setattr(namespace, self.dest, number)


def add_num_workers_flag(parser: argparse._ActionsContainer, default: int | None = None) -> None:
    """``--num-workers``, by default one for each core; the alias was the data set tools' name for it."""
    what = "threads or processes that read, decode and make images; 0: none beside the command itself"
    cores = os.cpu_count() or 1
    add_flag(
        parser,
        "--num-workers",
        "--workers",
        type=int,
        action=_Workers,
        default=cores if default is None else default,
        metavar="N",
        help=what,
    )


def add_track_flag(parser: argparse._ActionsContainer, what: str) -> None:
    """``--track``."""
    parser.add_argument("--track", help=f"{what}: {', '.join(TRACKS)}")


def add_pack_flag(parser: argparse._ActionsContainer, *, required: bool = False) -> None:
    """``--pack``."""
    parser.add_argument(
        "--pack", type=Path, metavar="FILE", required=required, help="verification pack, such as lfw.bin"
    )


def add_json_flag(parser: argparse._ActionsContainer) -> None:
    """``--json [FILE]``: see :data:`PRINT`."""
    what = "write the figures as JSON to FILE, with all digits; without FILE, print them in place of the text"
    parser.add_argument("--json", nargs="?", const=PRINT, metavar="FILE", help=what)


def add_people_flag(parser: argparse._ActionsContainer) -> None:
    """``--input``: a folder of people."""
    parser.add_argument(
        "--input", type=Path, metavar="FOLDER", required=True, help="folder of people: INPUT/PERSON/**/IMAGE"
    )


def add_records_flag(parser: argparse._ActionsContainer) -> None:
    """``--input``: a record file."""
    parser.add_argument(
        "--input", type=Path, metavar="PATH", required=True, help="record file, or the folder with train.rec"
    )


def add_landmarks_flag(parser: argparse._ActionsContainer) -> None:
    """``--landmarks``."""
    what = (
        "csv of points to align by, image,x0,y0,...: the picture's left eye, its right eye, tip of the nose, the "
        "picture's left mouth corner, its right one (or the usual 68), in pixels of the picture as shown, after the "
        "turn of EXIF; or the table of faces of align_faces.py"
    )
    parser.add_argument("--landmarks", type=Path, metavar="FILE", help=what)


def add_crop_flags(parser: argparse._ActionsContainer, *, may_resize: bool = True) -> None:
    """What becomes of an image that is to be a 112x112 crop; without ``may_resize`` it is aligned, always."""
    add_landmarks_flag(parser)
    add_landmark_reading_flags(parser)
    if may_resize:
        what = "resize what is not 112x112 instead of skipping it"
        parser.add_argument("--resize", action="store_true", help=what)
        what = "with --resize: the images are aligned faces of another size, even where they look like whole pictures"
        parser.add_argument("--aligned", action="store_true", help=what)
    add_quality_flag(parser)
    add_num_workers_flag(parser)


def add_landmark_reading_flags(parser: argparse._ActionsContainer) -> None:
    """``--landmark-order``, ``--landmark-pixels`` and ``--max-residual``: what the numbers of ``--landmarks`` mean."""
    add = parser.add_argument
    what = (
        f"how the csv lists the points: {', '.join(NAMED)} (subject: the person's own left first; dlib5: dlib's two "
        "corners of each eye and base of the nose), or five digits: the places of arcface's points in a row, from 0; "
        f"with {Y_FIRST} behind it y comes before x. Not given: arcface, and the pictures are upright"
    )
    add("--landmark-order", metavar="ORDER", help=what)
    what = "where the points were measured: in the picture as shown, or as stored, before the turn of EXIF"
    add("--landmark-pixels", choices=("shown", "stored"), default="shown", help=what)
    what = "leave a face out whose points are further than this from the template, in pixels of the crop"
    add("--max-residual", type=float, default=MAX_RESIDUAL, metavar="PIXELS", help=what)


def check_crop_flags(arguments: argparse.Namespace, *, finds_faces: bool = False) -> None:
    """:class:`UserError` where the flags about landmarks cannot be, or are given without the landmarks.

    A command that ``finds_faces`` where there are no landmarks has a use for ``--max-residual`` then, too.
    """
    existing(arguments.landmarks)
    if getattr(arguments, "aligned", False) and not arguments.resize:
        raise UserError("--aligned says what --resize resizes: give --resize, or leave it out")
    given = (arguments.landmark_order, arguments.landmark_pixels, arguments.max_residual)
    usual = (None, "shown", arguments.max_residual if finds_faces else MAX_RESIDUAL)
    if arguments.landmarks is None and given != usual:
        flags = (
            "--landmark-order and --landmark-pixels"
            if finds_faces
            else ("--landmark-order, --landmark-pixels and --max-residual")
        )
        raise UserError(f"{flags} say how to read --landmarks FILE: give it")
    if not arguments.max_residual > 0:
        raise UserError(f"--max-residual {arguments.max_residual:g}: expected more than 0")
    if arguments.landmark_order is not None:
        landmark_order(arguments.landmark_order)


def landmark_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """How landmarks are read, for the manifest of a job; nothing where there are none."""
    if arguments.landmarks is None:
        return {}
    names = ("landmark_order", "landmark_pixels", "max_residual")
    return {name: getattr(arguments, name) for name in names}


def add_detector_flags(parser: argparse._ActionsContainer) -> None:
    """``--detector``, ``--detector-model`` and ``--points-model``: what finds faces and their points."""
    add = parser.add_argument
    what = (
        f"what finds faces: {OWN} (comes with the package; not given and no {MTCNN}: this), {MTCNN} (the extra detect; "
        f"not given: this), {YUNET} (OpenCV's, on --detector-model), {INSIGHTFACE} (the package, where you have it)"
    )
    add("--detector", choices=DETECTOR_NAMES, help=what)
    what = (
        f"model file of {YUNET}: face_detection_yunet_*.onnx of OpenCV's model zoo; of {OWN}: what "
        "landmarks/train_detector.py wrote"
    )
    add("--detector-model", metavar="FILE", help=what)
    what = (
        f"model that puts 68 points on a face: PREFIX,EPOCH, .safetensors or .onnx; {OWN_POINTS}: the detector's own "
        "five points; not given: the one that comes with the package"
    )
    add("--points-model", metavar="MODEL", help=what)


def detector_files(arguments: argparse.Namespace) -> list[Path]:
    """The model files that ``--detector-model`` and ``--points-model`` name, or mean where they are not given."""
    files = [Path(arguments.detector_model)] if arguments.detector_model else []
    points = arguments.points_model
    if points == OWN_POINTS:
        return files
    return [*files, shipped_path(LANDMARKS) if points is None else model_file(points)]


def detector_modules(arguments: argparse.Namespace) -> list[str]:
    """What the detector and the points that these flags ask for run on."""
    return ["cv2", *([] if arguments.points_model == OWN_POINTS else ["torch"])]


def add_quality_flag(parser: argparse._ActionsContainer) -> None:
    """``--quality``."""
    what = "JPEG quality of crops and of images that change"
    parser.add_argument("--quality", type=int, default=JPEG_QUALITY, metavar="N", help=what)


def add_place_flags(parser: argparse._ActionsContainer) -> None:
    """``--root`` and ``--config``."""
    parser.add_argument(
        "--root", metavar="DIR", help="folder of datasets/ and models/; not given: the checkout, or the current folder"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="overrides of sample_config.py; not given: the checkout's config.py, if any"
    )


def places_of(args: argparse.Namespace) -> Places:
    """What these flags say; :class:`UserError` for what does not exist."""
    return Places.of(args.root, args.config)


def add_bootstrap_flags(parser: argparse._ActionsContainer) -> None:
    """``--bootstrap`` and ``--seed``: of the intervals."""
    what = "replicates for the intervals; 0: no intervals"
    parser.add_argument("--bootstrap", metavar="N", type=int, default=REPLICATES, help=what)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is drawn")


def add_label_flags(parser: argparse._ActionsContainer) -> None:
    """The flags ``--label-column`` and ``--label-folders``: what the files of labels are."""
    add = parser.add_argument
    add("--label-column", metavar="NAME", help="labels are a csv: the column that names the people")
    add(
        "--label-folders",
        metavar="DEPTH",
        type=int,
        nargs="?",
        const=1,
        default=0,
        help="labels are a file list: the folder DEPTH above the last part of a line names the person (1 if not given: "
        "PERSON/IMAGE or PERSON/VIDEO)",
    )


def check_label_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with the parser's error where these flags do not go together."""
    if args.label_folders < 0 or (args.label_column and args.label_folders):
        parser.error("give --label-column, or --label-folders with a depth of at least 1, not both")


def check_least(arguments: argparse.Namespace, least: Mapping[str, int]) -> None:
    """:class:`UserError` where a number is less than ``least`` allows; by the names of ``arguments``."""
    for name, value in least.items():
        given = getattr(arguments, name)
        if given < value:
            raise UserError(f"--{name.replace('_', '-')} {given}: expected {value} or more")


def check_is_no_folder(flag: str, path: str | Path, what: str) -> None:
    """:class:`UserError` where the file to write is a folder; ``what`` it is the name of."""
    if Path(path).is_dir():
        raise UserError(f"{flag} {path}: is a folder; give the name of {what}")


def add_lookup_flags(parser: argparse._ActionsContainer, folder: str, *, required: bool = False) -> None:
    """``--data`` and ``--lookup``: which coordinates the keypoint challenge asks for."""
    parser.add_argument("--data", type=Path, metavar="FOLDER", required=required, help=folder)
    parser.add_argument("--lookup", type=Path, metavar="FILE", help="another table than the IdLookupTable.csv there")


def lookup_file(arguments: argparse.Namespace) -> Path:
    """The table that these flags name; :class:`UserError` where they name none, or it is not there."""
    if arguments.lookup is not None:
        existing(arguments.lookup)
        return Path(arguments.lookup)
    if arguments.data is None:
        raise UserError("give --data FOLDER, or --lookup FILE")
    return challenge_file(arguments.data, LOOKUP)
