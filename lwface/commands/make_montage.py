"""Make videos in the format of the montage challenge: an .npz each, and a csv that names them.

    python datasets/make_montage.py --input ytf-keypoints --output data
    python datasets/make_montage.py --input videos --output data

--input is the YouTube Faces teaching set (training/, test/ and two csv files of 68 landmarks), or a folder of video
files PERSON_NUMBER.mp4, whose landmarks a model puts; frames without a face are left out. --output gets train/ to index
and test/ to follow, each with its videos.csv; nobody is in both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.account import print_summary
from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.flags import add_detector_flags, check_least, command_parser, detector_files, detector_modules
from lwface.detection.choices import OWN_POINTS, chosen_detector
from lwface.making.youtube_names import tables

TEST_PEOPLE = 57


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--input", type=Path, metavar="FOLDER", required=True, help="faces with 68 points, or video files")
    add("--output", type=Path, metavar="FOLDER", required=True, help="folder for train/ and test/, empty or new")
    add("--test-people", type=int, default=TEST_PEOPLE, metavar="N", help="people of test/, drawn by --seed")
    what = "of the teaching set: all frames of a person as one video, at the size of the first"
    add("--join", action="store_true", help=what)
    add("--seed", type=int, default=0, metavar="N", help="of the split")
    add_detector_flags(parser)
    arguments = parser.parse_args(argv)
    existing(arguments.input)
    check_least(arguments, {"test_people": 0})
    if arguments.output.exists() and (not arguments.output.is_dir() or any(arguments.output.iterdir())):
        raise UserError(f"--output {arguments.output}: is there and not an empty folder; choose another name")
    arguments.teaching = all(table.is_file() for table in tables(arguments.input))
    if arguments.teaching:
        if arguments.points_model or arguments.detector or arguments.detector_model:
            raise UserError(f"{arguments.input}: has its landmarks in tables; leave --points-model and --detector out")
    else:
        if arguments.join:
            raise UserError("--join is for the teaching set: leave it out")
        if arguments.points_model == OWN_POINTS:
            raise UserError(f"--points-model {OWN_POINTS}: a montage goes by 68 points; leave it out, or name a model")
        arguments.detector = chosen_detector(arguments.detector, arguments.detector_model)
        existing(*detector_files(arguments))
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Make the set."""
    arguments = parse_arguments(argv)
    load(*(["cv2"] if arguments.teaching else detector_modules(arguments)))
    from lwface.montage.making import make_of_files, make_of_teaching_set

    if arguments.teaching:
        made = make_of_teaching_set(
            arguments.input, arguments.output, arguments.test_people, arguments.seed, join=arguments.join
        )
    else:
        names = {"detector": arguments.detector, "detector_model": arguments.detector_model}
        made = make_of_files(
            *(arguments.input, arguments.output, arguments.test_people, arguments.seed),
            **names,
            points_model=arguments.points_model,
        )
    print_summary(made["account"], "frames")
    for part in ("train", "test"):
        told = made[part]
        print(f"{arguments.output / part}: {told['videos']} videos of {told['people']} people, {told['frames']} frames")
