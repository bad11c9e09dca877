"""Align the faces of a folder to 112x112 crops by a csv of landmarks, into a folder of the same structure.

The csv is image,x0,y0,...,x4,y4 (eyes, nose tip, mouth corners) or ...,x67,y67 (the usual 68), in pixels, with image
the path below --input. Each crop is PATH.jpg. An interrupted run goes on where it stopped when the command is given
again.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from lwface.base.commands import HelpFormatter
from lwface.base.errors import UserError
from lwface.base.journal import fingerprint, open_job, print_summary, read_manifest
from lwface.formats.image import JPEG_QUALITY
from lwface.formats.landmark_csv import read_landmarks
from lwface.making.crop_folder import write_images
from lwface.making.face_crops import CropRecipe
from lwface.making.image_folder import image_names


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="folder of images, with any folders in it")
    parser.add_argument("--landmarks", type=Path, required=True, help="csv of 5 or 68 points an image")
    parser.add_argument("--output", type=Path, required=True, help="folder for the crops, empty or new")
    parser.add_argument("--quality", type=int, default=JPEG_QUALITY, help="JPEG quality of the crops")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads that decode and align")
    return parser.parse_args()


def main() -> None:
    """Align everything."""
    arguments = parse_arguments()
    names = image_names(arguments.input)
    targets = {name.rpartition(".")[0] + ".jpg": name for name in names}
    if len(targets) != len(names):
        twice = next(name for name in names if targets[name.rpartition(".")[0] + ".jpg"] != name)
        raise UserError(f"{arguments.input / twice}: another image has this name with another ending; rename one")
    recipe = CropRecipe(arguments.input, read_landmarks(arguments.landmarks), quality=arguments.quality)
    options = {"command": "align_faces", "quality": arguments.quality}
    job = fingerprint(options, [*(arguments.input / name for name in names), arguments.landmarks])
    journal = open_job(arguments.output, job)
    if journal is None:
        print(f"{arguments.output} is already complete")
    else:
        with journal:
            items = [(name, target) for target, name in targets.items()]
            write_images(arguments.output, items, recipe.attempt, journal, arguments.workers)
            journal.finish(options)
    print_summary(read_manifest(arguments.output), f"aligned faces in {arguments.output}")
