"""Check a submission to Kaggle's "Facial Keypoints Detection" before it is submitted.

    python landmarks/check_keypoints.py --submission submission.csv --data datasets/keypoints

Columns, RowIds and locations must be what IdLookupTable.csv asks for: every RowId once, every location from 0 to 96.
The first fault is told with its line and column; exit status 2.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.commands.flags import add_lookup_flags, command_parser, lookup_file


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    parser.add_argument("--submission", type=Path, metavar="FILE", required=True, help="RowId,Location")
    add_lookup_flags(parser, "folder with IdLookupTable.csv")
    arguments = parser.parse_args(argv)
    existing(arguments.submission)
    arguments.lookup = lookup_file(arguments)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Check, and say what the submission holds."""
    arguments = parse_arguments(argv)
    load("numpy")
    import numpy as np

    from lwface.formats.keypoint_lookup import read_lookup
    from lwface.formats.keypoint_submission import read_submission

    lookup = read_lookup(arguments.lookup)
    locations = read_submission(arguments.submission, lookup)
    images = len(np.unique(lookup.images))
    print(f"{arguments.submission}: {len(locations)} locations of {images} images, as {arguments.lookup} asks for")
    print(f"  from {locations.min():.2f} to {locations.max():.2f}, mean {locations.mean():.2f}")
    stuck = int(np.isin(locations, (0.0, 96.0)).sum())
    if stuck:
        print(f"  {stuck} of them at the edge, 0 or 96: they may have been clipped")
