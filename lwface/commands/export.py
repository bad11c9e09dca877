"""Write a trained model as an ONNX file, checked in ONNX Runtime against PyTorch before it gets its name.

    python recognition/export.py --model models/y2-arcface-retina/model,1 --output y2.onnx --track deepglint-light

The file takes any number of images (N, 3, 112, 112) as input "data" and gives embeddings (N, D) as output "fc1". At 1,
7 and 32 images it must give what PyTorch gives (cosine at least 0.99999), and for an image the same whatever the
number. fp16 and int8 report what they cost in TAR or accuracy on labelled faces, beside float32. Exit status 1: over
the budget of the track, or a number type that it forbids.

--for web writes a folder with one HTML file that compares two photographs in the browser, offline.

A model of the keypoint challenge becomes a file of (N, 1, 96, 96) greys and (N, 2 K) pixels, which must be within 0.01
of PyTorch's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.flags import add_layer_flag, add_model_flag, add_pack_flag, command_parser
from lwface.deploy.programs import PROGRAMS, WEB, check_program, pixels_of, steps
from lwface.deploy.web.wish import PageWish, page_wish
from lwface.deploy.wish import Wish, check_output
from lwface.gate.budgets import TRACKS
from lwface.models.names import model_file
from lwface.models.pixels import parse_pixels
from lwface.onnx.choices import NUMBER_TYPES, OPSET, OPSETS


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked; its ``wish`` is what to make."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add_model_flag(parser)
    add(
        "--output",
        required=True,
        type=Path,
        metavar="F.onnx",
        help="file to write, once it is checked; --for web: folder",
    )
    add("--normalise", choices=("inside", "outside"), help="where (x - 127.5) / 128 is done; inside if not given")
    add("--opset", type=int, help=f"ONNX operator set, {OPSETS[0]} to {OPSETS[-1]}; {OPSET} if not given")
    add("--precision", choices=NUMBER_TYPES, default="float32", help="number type of the weights")
    add("--track", choices=TRACKS, help="refuse a model over this track's budget, or of a number type it forbids")
    add_layer_flag(parser)
    add("--pixels", metavar="MEAN/DIVISOR[,BGR]", help="for an ONNX model: what it takes, such as 127.5/128; kept in F")
    add("--calibration", type=Path, metavar="FOLDER", help="for int8: aligned faces whose values give the ranges")
    add("--calibration-images", type=int, default=256, metavar="N", help="how many of them, evenly spread")
    add("--score-images", type=Path, metavar="FOLDER", help="labelled aligned faces, listed in its filelist.txt")
    add("--labels", type=Path, metavar="FILE", help="who is on each of them: one integer a line")
    add_pack_flag(parser)
    add(
        "--for",
        dest="program",
        choices=PROGRAMS,
        metavar="NAME",
        help="program that is to run it: refuse what that cannot use, say what it is fed and what makes its own file: "
        f"{', '.join(PROGRAMS)}",
    )
    add(
        "--report",
        type=Path,
        metavar="JSON",
        help="for web: thresholds to show, of eval/tar_far.py --json on its features",
    )
    add(
        "--onnxruntime-web", type=Path, metavar="DIR|TGZ", help="for web: that npm package; npm fetches it if not given"
    )
    arguments = parser.parse_args(argv)
    flags = ("precision", "normalise", "opset", "calibration", "calibration_images", "pack", "score_images", "labels")
    arguments.wish = Wish(
        **{name: getattr(arguments, name) for name in flags},
        pixels=parse_pixels(arguments.pixels) if arguments.pixels else None,
        track=TRACKS[arguments.track] if arguments.track else None,
    )
    if arguments.program:
        check_program(arguments.program, arguments.wish)
    arguments.page = _page(arguments)
    if not arguments.page:
        check_output(arguments.output)
    model_file(arguments.model)
    existing(arguments.calibration, arguments.score_images, arguments.labels, arguments.pack)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Load, export, say what was found."""
    arguments = parse_arguments(argv)
    load("torch", "cv2")
    from lwface.deploy.export import export
    from lwface.landmarks.keypoint_export import export_keypoints
    from lwface.landmarks.keypoint_models import is_keypoint_model
    from lwface.models.store import load_model

    if is_keypoint_model(arguments.model):
        if arguments.layer or arguments.program or arguments.wish != Wish(opset=arguments.opset):
            raise UserError(f"{arguments.model} is a keypoint model: only --output and --opset are for it")
        print("\n".join(export_keypoints(arguments.model, arguments.output, arguments.opset or OPSET)))
        return

    network, config = load_model(arguments.model, layer=arguments.layer)
    pixels, lines = pixels_of(network, arguments.wish), []
    if arguments.program:  # before anything is made
        lines = steps(arguments.program, pixels, str(arguments.output))
    what = (network, config, arguments.output, arguments.wish)
    if arguments.page:
        from lwface.deploy.web.export import export_page  # its style is that of the reports, which load Matplotlib

        found = export_page(*what, arguments.page)
    else:
        found = export(*what)
    print("\n".join([*found, *lines]))


def _page(arguments: argparse.Namespace) -> PageWish | None:
    """What the page is to hold; None where none is asked for."""
    report, runtime = arguments.report, arguments.onnxruntime_web
    if arguments.program == WEB:
        return page_wish(arguments.output, arguments.model, report, runtime)
    if report or runtime:
        raise UserError(f"{'--report' if report else '--onnxruntime-web'} is for the page of --for {WEB}")
    return None
