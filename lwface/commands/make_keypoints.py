"""Make a data set in the format of Kaggle's "Facial Keypoints Detection" of faces with 68 points.

    python datasets/make_keypoints.py --input ytf-keypoints --output datasets/keypoints

--input is the YouTube Faces teaching set (training/, test/ and two csv files of 68 landmarks), or what
datasets/make_synthetic.py --frames made. --output gets training.csv, test.csv and IdLookupTable.csv with gaps as in the
original, which joins two sources; beside them the hidden truth: truth.csv has the locations that are asked for,
truth-all.csv those of all fifteen points, and test-people.csv says who is on each test image. Nobody is in training and
test both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.account import print_summary
from lwface.base.commands import load
from lwface.base.errors import UserError
from lwface.commands.flags import command_parser
from lwface.landmarks.keypoint_sources import check_output, check_source

COMPLETE_SHARE = 0.324  # 2284 of the original's 7049 rows


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--input", type=Path, metavar="FOLDER", required=True, help="faces with 68 points")
    add("--output", type=Path, metavar="FOLDER", required=True, help="folder for everything, empty or new")
    add("--test-share", type=float, default=0.2, metavar="X", help="share of the people who are in test.csv")
    what = "share of the rows that are of the source with all fifteen points; the others have four"
    add("--complete-share", type=float, default=COMPLETE_SHARE, metavar="X", help=what)
    what = "let the rows with four points mark nose tip and lower lip elsewhere, as users of the original report"
    add("--other-labels", action="store_true", help=what)
    add("--seed", type=int, default=0, metavar="N", help="of the split, of the cuts and of the gaps")
    arguments = parser.parse_args(argv)
    check_source(arguments.input)
    check_output(arguments.output)
    for flag, value in (("--test-share", arguments.test_share), ("--complete-share", arguments.complete_share)):
        if not 0 < value < 1:
            raise UserError(f"{flag} {value:g}: expected more than 0 and less than 1")
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Make the set."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.landmarks.keypoint_making import Making, make

    job = Making(
        arguments.input,
        arguments.output,
        arguments.test_share,
        arguments.complete_share,
        arguments.seed,
        arguments.other_labels,
    )
    made = make(job)
    print_summary(made, "faces with 68 points")
    complete = f"{made['complete_rows']} of them complete"
    print(f"{made['training_rows']} rows of {made['training_people']} people in training.csv, {complete}")
    asked = f"{made['coordinates_asked_for']} coordinates asked for"
    print(f"{made['test_images']} images of {made['test_people']} other people in test.csv, {asked}")
