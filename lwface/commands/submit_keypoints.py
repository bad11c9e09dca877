"""Write a submission to Kaggle's "Facial Keypoints Detection" with a trained model, or with two.

    python landmarks/submit_keypoints.py --model models/mobileface-masked-keypoints/model,1 --data datasets/keypoints \\
        --output submission.csv

--data is the folder with test.csv and IdLookupTable.csv. The points of --four-model replace those of --model (approach
two-models). Locations are clipped to 0..96. --picture draws the points on some of the test images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import load
from lwface.base.errors import UserError
from lwface.commands.flags import (
    add_device_flag,
    add_lookup_flags,
    add_model_flag,
    check_is_no_folder,
    command_parser,
    lookup_file,
)
from lwface.formats.keypoint_tables import TEST, challenge_file
from lwface.landmarks.keypoint_choices import PICTURES
from lwface.models.names import model_file


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add_model_flag(parser)
    add("--four-model", metavar="MODEL", help="another one, whose points replace the first one's")
    add_lookup_flags(parser, "folder with test.csv and IdLookupTable.csv", required=True)
    add("--output", type=Path, metavar="FILE", required=True, help="the submission, such as submission.csv")
    add("--picture", type=Path, metavar="FILE", help="some test images with their points, such as points.png")
    add_device_flag(parser)
    arguments = parser.parse_args(argv)
    for flag, path in (("--output", arguments.output), ("--picture", arguments.picture)):
        if path:
            check_is_no_folder(flag, path, "the file to write")
    if arguments.picture and arguments.picture.suffix.lower() not in PICTURES:
        raise UserError(f"--picture {arguments.picture}: expected a name that ends in {' or '.join(PICTURES)}")
    for model in filter(None, (arguments.model, arguments.four_model)):
        model_file(model)
    challenge_file(arguments.data, TEST)
    arguments.lookup = lookup_file(arguments)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Predict, write, check."""
    arguments = parse_arguments(argv)
    load("torch", "cv2")
    from lwface.base.device import select_device
    from lwface.formats.keypoint_images import read_test
    from lwface.formats.keypoint_lookup import read_lookup
    from lwface.formats.keypoint_submission import write_submission
    from lwface.landmarks.keypoint_drawing import draw_sheet
    from lwface.landmarks.keypoint_models import load_keypoint_model, locations_of, predict_all

    device = select_device(arguments.device)
    models = [load_keypoint_model(model) for model in filter(None, (arguments.model, arguments.four_model))]
    lookup = read_lookup(arguments.lookup)
    test = read_test(challenge_file(arguments.data, TEST))
    points = predict_all(models, test.images, device)
    locations = locations_of(lookup, test.ids, points)
    clipped = write_submission(arguments.output, lookup, locations)
    print(f"{arguments.output}: {len(locations)} locations of {len(test.images)} images, {clipped} clipped to 0..96")
    if arguments.picture:
        draw_sheet(arguments.picture, test, points)
        print(f"{arguments.picture}: points drawn on some of them; left of the person green, right red")
