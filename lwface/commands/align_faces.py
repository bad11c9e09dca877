"""Align the faces of a folder to 112x112 crops by a csv of landmarks, into a folder of the same structure.

The csv is image,x0,y0,...,x4,y4 (the picture's left eye, its right eye, tip of the nose, the picture's left mouth
corner, its right one) or ...,x67,y67 (the usual 68), x before y, in pixels of the picture as shown (after the turn that
its EXIF asks for), with image the path below --input. Other orders: --landmark-order. A csv that does not fit is
refused; a face that does not is skipped and counted. Each crop is PATH.jpg; OUTPUT.contact_sheet.jpg shows up to 64. An
interrupted run goes on where it stopped when the command is given again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.account import print_summary
from lwface.base.commands import load
from lwface.base.journal import fingerprint, open_job, read_manifest
from lwface.commands.flags import add_crop_flags, check_crop_flags, command_parser, landmark_options
from lwface.formats.image_walk import image_folder, walk_images


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--input", type=Path, metavar="FOLDER", required=True, help="folder of images, with any folders in it")
    add("--output", type=Path, metavar="FOLDER", required=True, help="folder for the crops, empty or new")
    add_crop_flags(parser, may_resize=False)
    arguments = parser.parse_args(argv)
    image_folder(arguments.input)
    check_crop_flags(arguments)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Align everything."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.making.contact_sheet import sheet_beside
    from lwface.making.crop_folder import show_images, write_images
    from lwface.making.face_crops import crop_recipe
    from lwface.making.landmark_reading import landmark_reading

    names, walked = walk_images(arguments.input)
    reading = landmark_reading(arguments.landmark_order, arguments.landmark_pixels, arguments.max_residual)
    recipe = crop_recipe(arguments.input, names, arguments.landmarks, False, arguments.quality, reading)
    options = {"command": "align_faces", "quality": arguments.quality, **landmark_options(arguments)}
    job = fingerprint(options, [*(arguments.input / name for name in names), arguments.landmarks])
    journal = open_job(arguments.output, job)
    if journal is None:
        print(f"{arguments.output} is already complete")
    else:
        with journal:
            items = [(name, f"{name.rpartition('.')[0]}.jpg") for name in names]  # no two are alike but for the ending
            write_images(arguments.output, items, recipe.attempt, journal, arguments.num_workers)
            show_images(arguments.output, items, journal, sheet_beside(arguments.output))
            journal.finish(options, walked)
    print_summary(read_manifest(arguments.output), f"aligned faces in {arguments.output}")
    print(f"look at {sheet_beside(arguments.output)}: every face upright, eyes level, mouth whole?")
