"""Whiten the features of a trained network within people: what one person's images differ in counts less.

    python recognition/whiten.py --model models/r10_s-supcon-faces/model,1 --data datasets/faces --output models/white,1

The map is fitted on images of ``--data``, which may be the training set, and lies in the last layer: the network has
the same layers, FLOPs and size as before.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.flags import add_model_flag, command_parser
from lwface.models.names import model_file, parse_model


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add_model_flag(parser)
    add(
        "--data", metavar="DIR", type=Path, required=True, help="folder of a data set: train.rec and what belongs to it"
    )
    add("--images", metavar="N", type=int, default=8000, help="images to fit on at most, those of the first people")
    add("--shrink", metavar="SHARE", type=float, default=0.2, help="share of a sphere in the scatter; 1: no map at all")
    add("--output", metavar="PREFIX,EPOCH", required=True, help="the model to write")
    arguments = parser.parse_args(argv)
    model_file(arguments.model)
    existing(arguments.data)
    if not 0 < arguments.shrink <= 1:
        raise UserError(f"--shrink {arguments.shrink:g}: expected a share above 0 and at most 1")
    if arguments.images < 2:
        raise UserError(f"--images {arguments.images}: expected 2 or more")
    parse_model(arguments.output)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Fit and write."""
    arguments = parse_arguments(argv)
    load("torch")
    from lwface.recognition.whitening import whiten_model

    whiten_model(arguments.model, arguments.data, arguments.images, arguments.shrink, arguments.output)
