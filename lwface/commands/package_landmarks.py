"""Pack what is handed in for the landmark challenge: STUDENT.zip with README, model, report and code, and no data.

    python landmarks/package.py --student R07654321 --model models/r12_p-integral-data/model,1 --report report.pdf

A model that learnt from anything but the challenge's synthetic training set is refused, as is one over 15 MB.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.flags import add_model_flag, command_parser
from lwface.models.names import model_file


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--student", metavar="ID", required=True, help="the leader's ID, which names the zip and its directory")
    add_model_flag(parser)
    add("--report", metavar="FILE", type=Path, required=True, help="report or slides, such as report.pdf")
    add("--solution", metavar="FILE", type=Path, help="solution.txt or its zip, checked and packed too")
    add("--output", metavar="DIR", type=Path, default=Path(), help="folder of the zip")
    arguments = parser.parse_args(argv)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", arguments.student):
        raise UserError(f"--student {arguments.student!r}: letters and digits expected: it is the name of a directory")
    model_file(arguments.model)
    existing(arguments.report, arguments.solution)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Check, pack, and say where it is."""
    arguments = parse_arguments(argv)
    load("torch")
    from lwface.landmarks.package import write_package

    wish = (arguments.student, arguments.model, arguments.report, arguments.solution, arguments.output)
    print(f"written: {write_package(*wish)}")
