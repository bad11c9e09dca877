"""Convert the YouTube Faces teaching set (training/, test/ and two csv files of 68 landmarks) to aligned data sets.

The people are split by --seed: train.rec, train.idx, train.lst and property hold those for training; of the others
there are heldout.bin (a verification pack; its same-person pairs come from different videos), images/ and videos/, each
with filelist.txt and labels.txt (the number of a person a line, in the order of the list). An interrupted run goes on
when the same command is given again, and ends with the same bytes; manifest.json is written last.
"""

from __future__ import annotations

import argparse
import os
from itertools import groupby
from pathlib import Path
from typing import Any

from lwface.base.commands import HelpFormatter
from lwface.base.files import write_text
from lwface.base.journal import Journal, fingerprint, open_job, print_summary, read_manifest
from lwface.formats.image import JPEG_QUALITY
from lwface.making.crop_folder import write_image, write_images
from lwface.making.face_crops import CropRecipe
from lwface.making.image_folder import Sample
from lwface.making.pack_building import build_pack
from lwface.making.pair_list import draw_pairs
from lwface.making.record_set import write_record_set
from lwface.making.youtube_faces import PARTS, YoutubeFaces, crop_name, read_youtube_faces, split_people


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="folder with training/, test/ and *_keypoints.csv")
    parser.add_argument("--output", type=Path, required=True, help="folder for everything, empty or new")
    parser.add_argument("--train-people", type=int, default=220, help="how many people to train on")
    parser.add_argument("--pairs", type=int, default=600, help="pairs of heldout.bin, a multiple of 20")
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the pairs")
    parser.add_argument("--quality", type=int, default=JPEG_QUALITY, help="JPEG quality of the crops")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads that decode and align")
    return parser.parse_args()


def write_held_out(
    output: Path, held_out: list[Sample], recipe: CropRecipe, journal: Journal, workers: int
) -> list[Sample]:
    """Write ``images/`` and ``videos/`` with their lists; returns the crops as samples named below ``images/``."""
    targets = {sample.name: "_".join(crop_name(sample)) for sample in held_out}
    write_images(output / "images", list(targets.items()), recipe.attempt, journal, workers)
    taken = {entry.name for entry in journal.entries() if entry.taken}
    usable = [sample for sample in held_out if sample.name in taken]
    label = {person: number for number, person in enumerate(sorted({sample.person for sample in usable}))}
    for sample in usable:
        data = (output / "images" / targets[sample.name]).read_bytes()
        write_image(output / "videos", "/".join(crop_name(sample)), data)
    videos = [(video, next(frames).person) for video, frames in groupby(usable, key=lambda sample: sample.group)]
    write_list(output / "images", [(targets[sample.name], label[sample.person]) for sample in usable])
    write_list(output / "videos", [(video, label[person]) for video, person in videos])
    return [Sample(targets[sample.name], sample.person, sample.group) for sample in usable]


def write_list(folder: Path, rows: list[tuple[str, int]]) -> None:
    """``filelist.txt`` and ``labels.txt`` of a folder."""
    write_text(folder / "filelist.txt", "".join(f"{name}\n" for name, _ in rows))
    write_text(folder / "labels.txt", "".join(f"{label}\n" for _, label in rows))


def convert(
    arguments: argparse.Namespace, frames: YoutubeFaces, train: list[Sample], held_out: list[Sample], journal: Journal
) -> None:
    """Write everything; ``journal`` is of the held-out crops and closes the job."""
    output, workers = arguments.output, arguments.workers
    recipe = CropRecipe(arguments.input, frames.landmarks, quality=arguments.quality)
    crops = write_held_out(output, held_out, recipe, journal, workers)
    pack = build_pack(
        output / "heldout.bin",
        crops,
        CropRecipe(output / "images"),
        lambda usable: draw_pairs(usable, arguments.pairs, arguments.seed),
        workers,
    )
    with Journal(output / "train.part", journal.job) as train_journal:
        classes = write_record_set(output, train, recipe, train_journal, workers)
        training = train_journal.summary()
        train_journal.discard()
    videos = {(sample.person, sample.group) for sample in crops}
    people = [person for person, _ in videos]
    facts: dict[str, Any] = {
        "frames": {"taken": len(frames.samples), "skipped": frames.skipped},
        "train": {"classes": classes, **training},
        "heldout": {
            "people": len(set(people)),
            "videos": len(videos),
            "people_with_one_video": sorted(person for person in set(people) if people.count(person) == 1),
            "pairs": pack["taken"],
        },
    }
    journal.finish(facts)


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


def main() -> None:
    """Convert."""
    arguments = parse_arguments()
    frames = read_youtube_faces(arguments.input)
    names = ("train_people", "pairs", "seed", "quality")
    train, held_out = split_people(frames.samples, arguments.train_people, arguments.seed)
    draw_pairs(
        held_out, arguments.pairs, arguments.seed
    )  # too many for these people: say so before anything is written
    options = {"command": "convert_ytf", **{name: getattr(arguments, name) for name in names}}
    inputs = [arguments.input / sample.name for sample in frames.samples]
    tables = [arguments.input / f"{part}_keypoints.csv" for part in PARTS]
    journal = open_job(arguments.output, fingerprint(options, [*inputs, *tables]))
    if journal is None:
        print(f"{arguments.output} is already complete")
    else:
        with journal:
            convert(arguments, frames, train, held_out, journal)
    report(arguments.output)
