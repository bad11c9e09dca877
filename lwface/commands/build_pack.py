"""Make a verification pack (.bin) of pairs of faces from a folder of people (INPUT/PERSON/**/IMAGE).

The pairs come from a file, or are drawn: half of the same person, half not, in ten folds of different people. Images
must be 112x112 already, or be aligned by --landmarks, or be resized where --resize says so. The pack appears when it is
complete; an interrupted run starts again and ends with the same bytes.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from lwface.base.commands import HelpFormatter
from lwface.base.errors import UserError
from lwface.base.journal import print_summary
from lwface.formats.image import JPEG_QUALITY
from lwface.formats.landmark_csv import read_landmarks
from lwface.making.face_crops import CropRecipe
from lwface.making.image_folder import person_samples
from lwface.making.pack_building import build_pack
from lwface.making.pair_list import draw_pairs, read_pairs


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="folder of people: INPUT/PERSON/**/IMAGE")
    parser.add_argument("--output", type=Path, required=True, help="the pack to write, such as heldout.bin")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pairs", type=Path, help="file of pairs: IMAGE IMAGE 0|1 a line, or LFW's pairs.txt")
    source.add_argument("--count", type=int, help="draw this many pairs, a multiple of 20")
    parser.add_argument("--seed", type=int, default=0, help="of the drawing")
    parser.add_argument("--landmarks", type=Path, help="csv of 5 or 68 points an image: align by them")
    parser.add_argument("--resize", action="store_true", help="resize what is not 112x112 instead of skipping it")
    parser.add_argument("--quality", type=int, default=JPEG_QUALITY, help="JPEG quality of images that change")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads that decode and align")
    return parser.parse_args()


def main() -> None:
    """Build the pack."""
    arguments = parse_arguments()
    if arguments.output.exists():
        raise UserError(f"{arguments.output}: already there; delete it, or choose another --output")
    samples = person_samples(arguments.input)
    landmarks = read_landmarks(arguments.landmarks) if arguments.landmarks else None
    recipe = CropRecipe(arguments.input, landmarks, arguments.resize, arguments.quality)

    done = build_pack(
        arguments.output,
        samples,
        recipe,
        lambda usable: (
            read_pairs(arguments.pairs, [sample.name for sample in usable])
            if arguments.pairs
            else draw_pairs(usable, arguments.count, arguments.seed)
        ),
        arguments.workers,
    )
    print_summary(done, f"pairs of {done['images']} images in {arguments.output}")
