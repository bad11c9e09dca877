"""Turn a folder of people (one folder of face images each) into train.rec, train.idx, train.lst and property.

Images must be 112x112 already (a JPEG of that size is taken byte for byte), or be aligned by a csv of landmarks
(image,x0,y0,... with 5 or 68 points, image = path below --input), or be resized where --resize says so. An interrupted
run goes on where it stopped when the same command is given again, and ends with the same bytes.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from lwface.base.commands import HelpFormatter
from lwface.base.journal import fingerprint, open_job, print_summary, read_manifest
from lwface.formats.image import JPEG_QUALITY
from lwface.formats.landmark_csv import read_landmarks
from lwface.making.face_crops import CropRecipe
from lwface.making.image_folder import person_samples
from lwface.making.record_set import PRODUCTS, write_record_set


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="folder of people: INPUT/PERSON/**/IMAGE")
    parser.add_argument("--output", type=Path, required=True, help="folder for train.rec, .idx, .lst and property")
    parser.add_argument("--landmarks", type=Path, help="csv of 5 or 68 points an image: align by them")
    parser.add_argument("--resize", action="store_true", help="resize what is not 112x112 instead of skipping it")
    parser.add_argument("--quality", type=int, default=JPEG_QUALITY, help="JPEG quality of images that change")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads that decode and align")
    return parser.parse_args()


def main() -> None:
    """Build the record set."""
    arguments = parse_arguments()
    samples = person_samples(arguments.input)
    landmarks = read_landmarks(arguments.landmarks) if arguments.landmarks else None
    recipe = CropRecipe(arguments.input, landmarks, arguments.resize, arguments.quality)
    inputs = [arguments.input / sample.name for sample in samples]
    options = {"command": "build_rec", "resize": arguments.resize, "quality": arguments.quality}
    job = fingerprint(options, [*inputs, *([arguments.landmarks] if arguments.landmarks else [])])
    journal = open_job(arguments.output, job, PRODUCTS)
    if journal is None:
        print(f"{arguments.output} is already complete")
    else:
        with journal:
            classes = write_record_set(arguments.output, samples, recipe, journal, arguments.workers)
            journal.finish({**options, "num_classes": classes})
    manifest = read_manifest(arguments.output)
    print_summary(manifest, f"images of {manifest['num_classes']} people in {arguments.output / 'train.rec'}")
