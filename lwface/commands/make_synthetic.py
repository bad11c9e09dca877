"""Make the embedded data set: procedural faces of people who do not exist, in the layout the other tools read.

Writes train.rec, .idx, .lst and property (aligned crops to train on), heldout.bin (a verification pack), images/ and
videos/ (aligned crops of people not trained on, with filelist.txt and labels.txt) and annotations.csv (identity, pose,
68 and 5 landmarks in pixels of the uncropped frame). The same options give the same bytes whatever the
number of workers; an interrupted run goes on where it stopped when the same command is given again.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from pathlib import Path

from lwface.base.commands import load
from lwface.base.journal import fingerprint, open_job, read_manifest
from lwface.commands.flags import add_num_workers_flag, command_parser
from lwface.synthetic.options import Options

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
    "pose": "scales the head's angles beside --difficulty",
    "expression": "the same of expressions; more than 1 in all draws the same as 1",
    "light": "the same of the light's directions and colours",
    "covering": "the same of how often there are masks, hands, headgear and glasses",
    "camera": "the same of exposure, colour, blur, noise, resolution and JPEG",
    "shape": "scales how far people's heads differ; 1 is usual",
    "coarse": "share of pictures of a face of 24 to 60 pixels, enlarged",
    "background": "share of pictures before a cluttered background",
    "video": "share of pictures as an old video on the web shows them: small, coded twice, combed, off in colour",
    "form": "heads nearer to people's, with local shapes beside the usual ones; 0 none, 1 much, up to 4",
    "skin": "what skin has beyond its paint: blotches, pores, shade in sockets and folds; 0 none, 1 much, up to 4",
    "looks": "brows, eyes, lips, hair, beards and ages drawn from wide ranges; 0 as usual, 1 all anew, up to 4",
    "restyle": "share of pictures in which somebody has other hair, and a man another beard",
    "lights": "share of pictures in hard, coloured, low or double light; up to 4, over 1 the colours are stronger",
    "lens": "share of pictures through a poor lens: bent lines, coloured edges, dark or soft borders, scattered light",
    "sensor": "share of pictures from a poor sensor: read line by line, so leaning, banded, noisy in lines and spots",
    "makeup": "share of pictures in which somebody is made up, women mostly: foundation, cheeks, lids, brows, lips",
    "teeth": "a person's own teeth: colour, sizes, gaps, crooked, missing, gold, braces; 0 as usual, 1 much, up to 4",
}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked; its ``options`` are what to make."""
    parser = command_parser(__doc__)
    output = Path("datasets/synthetic")
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=output, help="folder to write")
    usual = asdict(Options())
    for field, text in HELP.items():
        flag, value = f"--{field.replace('_', '-')}", usual[field]
        parser.add_argument(flag, type=type(value), metavar="N", default=value, help=text)
    parser.add_argument("--frames", action="store_true", help="keep the uncropped frames too, in frames/")
    parser.add_argument(
        "--teacher",
        action="store_true",
        help="write teacher.bin too: what is known of each person, for training",
    )
    add_num_workers_flag(parser)
    arguments = parser.parse_args(argv)
    arguments.options = Options(**{field.name: getattr(arguments, field.name) for field in fields(Options)})
    arguments.options.check()
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Make the data set, or say that it is there."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.synthetic.generate import PRODUCTS, VERSION, generate

    options: Options = arguments.options
    output: Path = arguments.output
    job = fingerprint({"command": "make_synthetic", "version": VERSION, **asdict(options)}, [])
    journal = open_job(output, job, PRODUCTS)
    if journal is None:
        print(f"{output} is already complete")
    else:
        with journal:
            generate(options, output, journal, arguments.num_workers)
    made = read_manifest(output)
    print(
        f"{made['train_images']} training images of {options.train_people} people, {made['heldout_images']} test "
        f"images and {made['videos']} videos of {options.heldout_people} others in {output}"
    )
