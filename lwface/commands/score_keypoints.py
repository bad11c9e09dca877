"""Score a submission to Kaggle's "Facial Keypoints Detection" on a truth of your own.

    python landmarks/score_keypoints.py --submission submission.csv --truth datasets/keypoints/truth.csv

RMSE in pixels over the known coordinates is the challenge's ranking; beside it the smooth L1 loss and the RMSE of each
point. --truth is a table like IdLookupTable.csv with its column Location filled in; what is empty there does not count.
The labels of the challenge itself were never published: such a score is a local one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lwface.base.commands import existing, load
from lwface.base.files import write_json
from lwface.commands.flags import (
    PRINT,
    add_bootstrap_flags,
    add_json_flag,
    check_is_no_folder,
    check_least,
    command_parser,
)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--submission", type=Path, metavar="FILE", required=True, help="RowId,Location")
    add("--truth", type=Path, metavar="FILE", required=True, help="RowId,ImageId,FeatureName,Location")
    what = "ImageId,Person: draw people for the intervals, not images, where several images are of one person"
    add("--people", type=Path, metavar="FILE", help=what)
    add("--compare", type=Path, metavar="FILE", help="another submission: how much higher is the RMSE than that one's")
    add_bootstrap_flags(parser)
    add_json_flag(parser)
    arguments = parser.parse_args(argv)
    check_least(arguments, {"bootstrap": 0, "seed": 0})
    existing(arguments.submission, arguments.truth, arguments.people, arguments.compare)
    if arguments.json and arguments.json != PRINT:
        check_is_no_folder("--json", arguments.json, "the file with the figures")
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Score, print."""
    arguments = parse_arguments(argv)
    load("numpy")
    from lwface.formats.keypoint_lookup import read_lookup
    from lwface.formats.keypoint_submission import read_submission
    from lwface.landmarks.keypoint_scoring import difference, read_people, report, score

    truth = read_lookup(arguments.truth)
    locations = read_submission(arguments.submission, truth)
    people = read_people(arguments.people) if arguments.people else None
    how: dict[str, Any] = {"people": people, "replicates": arguments.bootstrap, "seed": arguments.seed}
    figures = score(truth, locations, **how)
    if arguments.compare:
        figures |= difference(truth, locations, read_submission(arguments.compare, truth), **how)
    if arguments.json and arguments.json != PRINT:
        write_json(arguments.json, figures)
    print(json.dumps(figures, indent=2) if arguments.json == PRINT else report(arguments.submission, figures))
