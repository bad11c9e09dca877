"""Check a feature file before submitting it.

python common/feature_file.py --features features.bin --track deepglint-light
"""

from __future__ import annotations

import argparse
import sys

from lwface.base.commands import EXIT_OK, existing, load
from lwface.commands.flags import command_parser
from lwface.gate.budgets import TRACKS

EXIT_INVALID = 1


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(
        "Check a feature file before submitting it: header, size, finite numbers, unit norms, rows, width.",
        epilog="Exit status: 0 valid, 1 not valid, 2 bad usage or no such file.",
    )
    file = parser.add_mutually_exclusive_group(required=True)
    file.add_argument("--features", metavar="FILE", help="the feature file")
    file.add_argument("first", metavar="FILE", nargs="?", help="in place of --features")
    parser.add_argument("--track", choices=list(TRACKS), help="require this track's official number of rows and width")
    parser.add_argument("--rows", type=int, metavar="N", help="require this number of rows")
    arguments = parser.parse_args(argv)
    arguments.features = arguments.features or arguments.first
    existing(arguments.features)
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Validate the file named on the command line."""
    arguments = parse_arguments(argv)
    load("numpy")
    from lwface.formats.feature_file import FeatureFileError, validate

    file = arguments.features
    try:
        summary = validate(file, rows=arguments.rows, track=arguments.track)
    except FeatureFileError as error:
        for problem in error.problems:
            print(f"{file}: {problem}", file=sys.stderr)
        return EXIT_INVALID
    norms = f"norms {summary.smallest_norm:.6f} to {summary.largest_norm:.6f}"
    print(f"{file}: valid, {summary.rows} rows of {summary.cols} float32, {norms}")
    return EXIT_OK
