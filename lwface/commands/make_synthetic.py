"""Make the embedded data set: procedural faces of people who do not exist, in the layout the other tools read.

Writes train.rec, .idx, .lst and property (aligned crops to train on), heldout.bin (a verification pack), images/ and
videos/ (aligned crops of people not trained on, with filelist.txt and labels.txt) and annotations.csv (identity, pose,
68 and 5 landmarks in pixels of the uncropped frame). The same options give the same bytes on one machine, whatever the
number of workers; an interrupted run goes on where it stopped when the same command is given again.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, fields
from pathlib import Path

from lwface.base.commands import HelpFormatter
from lwface.base.journal import fingerprint, open_job, read_manifest
from lwface.synthetic.generate import PRODUCTS, VERSION, Options, generate

HELP = {
    "seed": "another seed, other people",
    "train_people": "people to train on",
    "images_per_person": "training images of each",
    "heldout_people": "people for the image and video tests, none of whom is trained on",
    "heldout_images": "test images of each",
    "video_people": "how many of the held-out people have videos",
    "videos_per_person": "videos of each",
    "video_frames": "frames a video",
    "video_fps": "frames a second; the fewer, the more somebody moves from frame to frame",
    "pack_pairs": "pairs in heldout.bin, every other one of the same person",
    "pack_people": "people in heldout.bin, neither trained on nor in the tests",
    "difficulty": "scales all that is not identity: pose, light, expression, occlusion, blur, noise; 1 is hard",
}


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("datasets/synthetic"), help="folder to write")
    for field, value in asdict(Options()).items():
        if field != "frames":
            flag = f"--{field.replace('_', '-')}"
            parser.add_argument(flag, type=type(value), default=value, help=HELP[field])
    parser.add_argument("--frames", action="store_true", help="keep the uncropped frames too, in frames/")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that render")
    return parser.parse_args()


def main() -> None:
    """Make the data set, or say that it is there."""
    arguments = parse_arguments()
    options = Options(**{field.name: getattr(arguments, field.name) for field in fields(Options)})
    options.check()
    output: Path = arguments.output
    job = fingerprint({"command": "make_synthetic", "version": VERSION, **asdict(options)}, [])
    journal = open_job(output, job, PRODUCTS)
    if journal is None:
        print(f"{output} is already complete")
    else:
        with journal:
            generate(options, output, journal, arguments.workers)
    made = read_manifest(output)
    print(
        f"{made['train_images']} training images of {options.train_people} people, {made['heldout_images']} test "
        f"images and {made['videos']} videos of {options.heldout_people} others in {output}"
    )
