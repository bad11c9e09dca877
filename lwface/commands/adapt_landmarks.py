"""Fit a model of points to the convention of another data set by a linear map, which is stored with the model.

    python landmarks/adapt.py --model models/r12_p-integral-data/model,1 --data ytf-keypoints --output models/mine,1

The map is fitted on people of ``--data``; those held out tell the error before and after.
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
        "--data", metavar="PATH", type=Path, required=True, help="folder or csv of pictures with points, as in training"
    )
    add(
        "--held-out", metavar="SHARE", type=float, default=0.2, help="share of the people that judge and are not fitted"
    )
    add("--split-seed", metavar="N", type=int, default=0, help="draws the people held out")
    add("--output", metavar="PREFIX,EPOCH", required=True, help="the model to write")
    arguments = parser.parse_args(argv)
    model_file(arguments.model)
    existing(arguments.data)
    if not 0 < arguments.held_out < 1:
        raise UserError(f"--held-out {arguments.held_out:g}: expected a share above 0 and below 1")
    parse_model(arguments.output)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Fit, tell, and write."""
    arguments = parse_arguments(argv)
    load("torch")
    from lwface.landmarks.adaptation import adapt_model

    adapt_model(arguments.model, arguments.data, arguments.held_out, arguments.split_seed, arguments.output)
