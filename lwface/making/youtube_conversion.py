"""Writes the YouTube Faces teaching set as aligned data sets: records to train on, a pack, images and videos."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from lwface.base.files import write_text
from lwface.base.journal import Journal
from lwface.making.crop_folder import write_image, write_images
from lwface.making.face_crops import CropRecipe
from lwface.making.image_folder import Sample
from lwface.making.pack_building import build_pack
from lwface.making.pair_list import draw_pairs
from lwface.making.record_set import write_record_set
from lwface.making.youtube_faces import YoutubeFaces, crop_name


@dataclass(frozen=True)
class Conversion:
    """What is made of which frames.

    Attributes:
        train, held_out: the frames of people who share nobody.
        pairs: how many the pack has, drawn by ``seed``.
        workers: threads that decode and align.
    """

    output: Path
    frames: YoutubeFaces
    train: list[Sample]
    held_out: list[Sample]
    recipe: CropRecipe
    pairs: int
    seed: int
    workers: int


def convert(job: Conversion, journal: Journal) -> None:
    """Write everything; ``journal`` is of the held-out crops and closes the job."""
    crops = _write_held_out(job, journal)
    pack = build_pack(
        job.output / "heldout.bin",
        crops,
        CropRecipe(job.output / "images"),
        lambda usable: draw_pairs(usable, job.pairs, job.seed),
        job.workers,
    )
    with Journal(job.output / "train.part", journal.job) as train_journal:
        classes = write_record_set(job.output, job.train, job.recipe, train_journal, job.workers)
        training = train_journal.account().as_json()
        train_journal.discard()
    videos = {(sample.person, sample.group) for sample in crops}
    people = [person for person, _ in videos]
    facts: dict[str, Any] = {
        "frames": job.frames.account.as_json(),
        "train": {"classes": classes, **training},
        "heldout": {
            "people": len(set(people)),
            "videos": len(videos),
            "people_with_one_video": sorted(person for person in set(people) if people.count(person) == 1),
            "pairs": len(pack.pairs),
        },
    }
    journal.finish(facts)


def _write_held_out(job: Conversion, journal: Journal) -> list[Sample]:
    """Write ``images/`` and ``videos/`` with their lists; returns the crops as samples named below ``images/``."""
    output = job.output
    targets = {sample.name: "_".join(crop_name(sample)) for sample in job.held_out}
    write_images(output / "images", list(targets.items()), job.recipe.attempt, journal, job.workers)
    taken = {entry.name for entry in journal.entries() if entry.taken}
    usable = [sample for sample in job.held_out if sample.name in taken]
    label = {person: number for number, person in enumerate(sorted({sample.person for sample in usable}))}
    for sample in usable:
        data = (output / "images" / targets[sample.name]).read_bytes()
        write_image(output / "videos", "/".join(crop_name(sample)), data)
    videos = [(video, next(frames).person) for video, frames in groupby(usable, key=lambda sample: sample.group)]
    _write_lists(output / "images", [(targets[sample.name], label[sample.person]) for sample in usable])
    _write_people(
        output / "images" / "people.csv", [(targets[sample.name], sample.person, sample.group) for sample in usable]
    )
    _write_lists(output / "videos", [(video, label[person]) for video, person in videos])
    return [Sample(targets[sample.name], sample.person, sample.group) for sample in usable]


def _write_lists(folder: Path, rows: list[tuple[str, int]]) -> None:
    """``filelist.txt`` and ``labels.txt`` of a folder."""
    write_text(folder / "filelist.txt", "".join(f"{name}\n" for name, _ in rows))
    write_text(folder / "labels.txt", "".join(f"{label}\n" for _, label in rows))


def _write_people(path: Path, rows: list[tuple[str, str, str]]) -> None:
    """The table of a folder, whose column ``video`` lets a score leave out frames of one video, which look alike."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("file", "person", "video"), *rows])
    write_text(path, text.getvalue())
