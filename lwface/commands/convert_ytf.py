"""Convert the YouTube Faces teaching set (training/, test/ and two csv files of 68 landmarks) to aligned data sets.

The people are split by --seed: train.rec, train.idx, train.lst and property hold those for training; of the others
there are heldout.bin (a verification pack; its same-person pairs come from different videos), images/ and videos/, each
with filelist.txt and labels.txt (the number of a person a line, in the order of the list). images/people.csv names
person and video of each, for eval/tar_far.py --exclude-same video: two frames of one video are easy. An interrupted run
goes on when the same command is given again, and ends with the same bytes; manifest.json is written last.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.account import print_summary
from lwface.base.commands import existing, load
from lwface.base.journal import fingerprint, open_job, read_manifest
from lwface.commands.flags import add_flag, add_num_workers_flag, add_quality_flag, command_parser
from lwface.making.pair_list import check_count, draw_pairs
from lwface.making.youtube_names import tables


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--input", type=Path, metavar="FOLDER", required=True, help="folder with training/, test/ and *_keypoints.csv")
    add("--output", type=Path, metavar="FOLDER", required=True, help="folder for everything, empty or new")
    add("--train-people", type=int, default=220, metavar="N", help="people to train on")
    pairs = "pairs of heldout.bin, a multiple of 20"
    add_flag(parser, "--pack-pairs", "--pairs", type=int, default=600, metavar="N", help=pairs)
    add("--seed", type=int, default=0, metavar="N", help="of the split and of the pairs")
    add_quality_flag(parser)
    add_num_workers_flag(parser)
    arguments = parser.parse_args(argv)
    existing(*tables(arguments.input))
    check_count(arguments.pack_pairs)
    return arguments


def report(output: Path) -> None:
    """Print what the manifest of ``output`` says."""
    manifest = read_manifest(output)
    train, held_out = manifest["train"], manifest["heldout"]
    print_summary(manifest["frames"], "different frames with landmarks")
    print_summary(train, f"images of {train['classes']} people in {output / 'train.rec'}")
    print_summary(manifest, f"images, {held_out['videos']} videos of {held_out['people']} other people in {output}")
    print(f"{held_out['pairs']} pairs in {output / 'heldout.bin'}")
    lonely = held_out["people_with_one_video"]
    if lonely:
        print(f"{len(lonely)} of these people have one video only, so no genuine pair of videos: {', '.join(lonely)}")


def main(argv: list[str] | None = None) -> None:
    """Convert."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.making.face_crops import CropRecipe
    from lwface.making.landmark_reading import LandmarkReading, check_landmarks
    from lwface.making.youtube_conversion import Conversion, convert
    from lwface.making.youtube_faces import read_youtube_faces, split_people

    source, output, seed = arguments.input, arguments.output, arguments.seed
    frames = read_youtube_faces(source)
    check_landmarks(source, source, frames.landmarks, [s.name for s in frames.samples], LandmarkReading())
    train, held_out = split_people(frames.samples, arguments.train_people, seed)
    draw_pairs(held_out, arguments.pack_pairs, seed)  # too many for these people: say so before anything is written
    options = {
        "command": "convert_ytf",
        "train_people": arguments.train_people,
        "pairs": arguments.pack_pairs,
        "seed": seed,
        "quality": arguments.quality,
    }
    inputs = [source / sample.name for sample in frames.samples]
    journal = open_job(output, fingerprint(options, [*inputs, *tables(source)]))
    if journal is None:
        print(f"{output} is already complete")
    else:
        recipe = CropRecipe(source, frames.landmarks, quality=arguments.quality)
        job = Conversion(output, frames, train, held_out, recipe, arguments.pack_pairs, seed, arguments.num_workers)
        with journal:
            convert(job, journal)
    report(output)
