"""Turn a folder of people (one folder of face images each) into train.rec, train.idx, train.lst and property.

Images must be 112x112 already (a JPEG of that size is taken byte for byte, unless its EXIF turns it), or be aligned by
a csv of --landmarks (image = path below --input), or be resized where --resize says so. With --landmarks,
OUTPUT/contact_sheet.jpg shows up to 64 crops. An interrupted run goes on where it stopped when the same command is
given again, and ends with the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.account import print_summary
from lwface.base.commands import load
from lwface.base.journal import fingerprint, open_job, read_manifest
from lwface.base.notes import note
from lwface.commands.flags import (
    add_crop_flags,
    add_people_flag,
    check_crop_flags,
    command_parser,
    landmark_options,
)
from lwface.formats.image_walk import image_folder
from lwface.making.image_folder import walk_people


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add_people_flag(parser)
    what = "folder for train.rec, .idx, .lst and property"
    parser.add_argument("--output", type=Path, metavar="FOLDER", required=True, help=what)
    add_crop_flags(parser)
    arguments = parser.parse_args(argv)
    image_folder(arguments.input)
    check_crop_flags(arguments)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Build the record set."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.making.face_crops import crop_recipe
    from lwface.making.landmark_reading import landmark_reading
    from lwface.making.record_set import PRODUCTS, show_record_set, write_record_set
    from lwface.making.whole_frames import squashed_frames

    samples, walked = walk_people(arguments.input)
    names = [sample.name for sample in samples]
    reading = landmark_reading(arguments.landmark_order, arguments.landmark_pixels, arguments.max_residual)
    recipe = crop_recipe(arguments.input, names, arguments.landmarks, arguments.resize, arguments.quality, reading)
    if arguments.resize and not arguments.aligned and (doubt := squashed_frames(arguments.input, names)):
        note(doubt)
    inputs = [arguments.input / sample.name for sample in samples]
    options = {"command": "build_rec", "resize": arguments.resize, "quality": arguments.quality}
    options |= landmark_options(arguments)
    job = fingerprint(options, [*inputs, *([arguments.landmarks] if arguments.landmarks else [])])
    journal = open_job(arguments.output, job, PRODUCTS)
    if journal is None:
        print(f"{arguments.output} is already complete")
    else:
        with journal:
            classes = write_record_set(arguments.output, samples, recipe, journal, arguments.num_workers)
            if arguments.landmarks:
                show_record_set(arguments.output)
            journal.finish({**options, "num_classes": classes}, walked)
    manifest = read_manifest(arguments.output)
    print_summary(manifest, f"images of {manifest['num_classes']} people in {arguments.output / 'train.rec'}")
    if arguments.landmarks:
        print(f"look at {arguments.output / 'contact_sheet.jpg'}: every face upright, eyes level, mouth whole?")
