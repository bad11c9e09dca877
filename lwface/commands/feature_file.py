"""Check a feature file before submitting it.

python common/feature_file.py features.bin --track deepglint-light
"""

from __future__ import annotations

import argparse
import sys

from lwface.base.commands import EXIT_OK, HelpFormatter
from lwface.formats.feature_file import FeatureFileError, validate
from lwface.gate.budgets import TRACKS

EXIT_INVALID = 1


def main(argv: list[str] | None = None) -> int:
    """Validate the file named on the command line."""
    parser = argparse.ArgumentParser(
        description="Check a feature file before submitting it: header, size, finite numbers, unit norms, rows, width.",
        epilog="Exit status: 0 valid, 1 not valid, 2 bad usage or no such file.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("file", help="the feature file")
    parser.add_argument("--track", choices=list(TRACKS), help="require this track's official number of rows and width")
    parser.add_argument("--rows", type=int, help="require this number of rows")
    args = parser.parse_args(argv)
    try:
        summary = validate(args.file, rows=args.rows, track=args.track)
    except FeatureFileError as error:
        for problem in error.problems:
            print(f"{args.file}: {problem}", file=sys.stderr)
        return EXIT_INVALID
    norms = f"norms {summary.smallest_norm:.6f} to {summary.largest_norm:.6f}"
    print(f"{args.file}: valid, {summary.rows} rows of {summary.cols} float32, {norms}")
    return EXIT_OK
