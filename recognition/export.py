"""Write a trained model as an ONNX file, checked in ONNX Runtime against PyTorch before it gets its name.

    python recognition/export.py --model models/y2-arcface-retina/model,1 --output y2.onnx --track deepglint-light

The file takes any number of images (N, 3, 112, 112) as input "data" and gives embeddings (N, D) as output "fc1". At 1,
7 and 32 images it must give what PyTorch gives (cosine at least 0.99999), and for an image the same whatever the
number. fp16 and int8 report what they cost in TAR or accuracy on labelled faces, beside float32. Exit status 1: over
the budget of the track, or a number type that it forbids.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: the project's root comes first, not this file's folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.budgets import TRACKS
from common.commands import HelpFormatter, run_command
from common.errors import UserError
from common.onnx_export import OPSET, OPSETS
from common.onnx_model import Pixels
from recognition.exporting import Wish, export
from recognition.model_store import load_model
from recognition.onnx_precision import NUMBER_TYPES


def parse_arguments() -> argparse.Namespace:
    """Command-line flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    add = parser.add_argument
    add("--model", required=True, metavar="MODEL", help="PREFIX,EPOCH of this project or of MXNet, or F.onnx")
    add("--output", required=True, type=Path, metavar="F.onnx", help="file to write, once it is checked")
    add("--normalise", choices=("inside", "outside"), help="where (x - 127.5) / 128 is done; inside if not given")
    add("--opset", type=int, help=f"ONNX operator set, {OPSETS[0]} to {OPSETS[-1]}; {OPSET} if not given")
    add("--precision", choices=NUMBER_TYPES, default="float32", help="number type of the weights")
    add("--track", choices=TRACKS, help="refuse a model over this track's budget, or of a number type it forbids")
    add("--layer", help="output that is the embedding, for an MXNet or ONNX model that has several")
    add("--pixels", metavar="MEAN/DIVISOR[,BGR]", help="for an ONNX model: what it takes, such as 127.5/128; kept in F")
    add("--calibration", type=Path, metavar="FOLDER", help="for int8: aligned faces whose values give the ranges")
    add("--calibration-images", type=int, default=256, metavar="N", help="how many of them, evenly spread")
    add("--score-images", type=Path, metavar="FOLDER", help="labelled aligned faces, listed in its filelist.txt")
    add("--labels", type=Path, metavar="FILE", help="who is on each of them: one integer a line")
    add("--pack", type=Path, metavar="FILE", help="verification pack, such as lfw.bin")
    return parser.parse_args()


def parse_pixels(text: str) -> Pixels:
    """``MEAN/DIVISOR`` or ``MEAN/DIVISOR,BGR``."""
    number = r"\d+(?:\.\d+)?"
    found = re.fullmatch(rf"({number})/({number})(?:,(RGB|BGR))?", text)
    if not found or not float(found[2]):
        raise UserError(f"--pixels {text}: expected MEAN/DIVISOR such as 127.5/128 or 127.5/127.5,BGR")
    return Pixels(float(found[1]), 1 / float(found[2]), found[3] or "RGB")


def main() -> None:
    """Load, export, say what was found."""
    args = parse_arguments()
    flags = ("precision", "normalise", "opset", "calibration", "calibration_images", "pack", "score_images", "labels")
    wish = Wish(
        **{name: getattr(args, name) for name in flags},
        pixels=parse_pixels(args.pixels) if args.pixels else None,
        track=TRACKS[args.track] if args.track else None,
    )
    network, config = load_model(args.model, layer=args.layer)
    print("\n".join(export(network, config, args.output, wish)))


if __name__ == "__main__":
    run_command(main)
