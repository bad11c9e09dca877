"""Procedural people as files of the faceless challenge: ``images.tar``, ``pose.pkl``, and what each video shows.

A person's frames are one file in a work folder, which the journal names as done; at the end all are put together in
their order, so neither the number of workers nor an interruption changes a byte. The first half of a person's videos,
which is what is learnt from, each show another outfit. Of the others every second shows one of these again (``same``),
and those between a new one (``changed``).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.base.files import replacing
from lwface.base.journal import WORK, Journal
from lwface.base.progress import progress
from lwface.formats.frame_tar import write_frames
from lwface.formats.image import encode_jpeg
from lwface.formats.sequence_pickles import write_pose
from lwface.synthetic.body import STREAM_OUTING, draw_body, draw_outfit, stream
from lwface.synthetic.outing import draw_scene, draw_sequence
from lwface.synthetic.people_options import IMAGES, MASKED, OUTINGS, POSE, PeopleOptions
from lwface.synthetic.workers import made_by

VERSION = 1  # of the people: a change of what they look like changes it
PRODUCTS = (IMAGES, POSE, OUTINGS, WORK)
LEARNT, SAME, CHANGED = "learnt", "same", "changed"


def outfit_of(options: PeopleOptions, person: int, video: int) -> tuple[int, str]:
    """The outfit in a person's video, by number, and what it is to those who learn from the first half."""
    if video < options.learnt:
        return video, LEARNT
    if (video - options.learnt) % 2:
        return video, CHANGED
    rng = stream(STREAM_OUTING, options.seed, person, video, 1)
    return int(rng.integers(options.learnt)), SAME


def frame_name(options: PeopleOptions, person: int, video: int, sequence: int, frame: int) -> str:
    """The path of a frame; videos are numbered through all people."""
    folder = f"person_{person:04}/video_{person * options.videos + video:04}"
    return f"{folder}/seq_{sequence:04}/frame_{frame:05}.jpg"


def make_person(person: int, options: PeopleOptions, output: Path) -> int:
    """Draw all frames of a person into one file of the work folder; the person's number."""
    body = draw_body(options.seed, person)
    jpegs, points, scores = [], [], []
    for video in range(options.videos):
        outfit = draw_outfit(options.seed, person, outfit_of(options, person, video)[0])
        scene = draw_scene(options.seed, person, video)
        for sequence in range(options.sequences):
            key = (options.seed, person, video, sequence)
            masked = options.face == MASKED
            for crop in draw_sequence(key, body, outfit, scene, options.frames, options.fps, masked=masked):
                jpegs.append(np.frombuffer(encode_jpeg(crop.image, crop.quality), np.uint8))
                points.append(crop.points)
                scores.append(crop.scores)
    with replacing(_piece(output, person)) as file:
        lengths = [len(jpeg) for jpeg in jpegs]
        np.savez(file, jpegs=np.concatenate(jpegs), lengths=lengths, points=np.stack(points), scores=np.stack(scores))
    return person


def generate_people(options: PeopleOptions, output: Path, journal: Journal, workers: int) -> None:
    """Make the whole set in ``output`` and end ``journal`` with the manifest."""
    done = {int(entry.name) for entry in journal.entries()}
    missing = [person for person in range(options.people) if person not in done]
    (output / WORK).mkdir(exist_ok=True)
    with progress(total=options.people, label="people", unit="person", initial=len(done)) as bar:
        for person in made_by(partial(make_person, options=options, output=output), missing, workers):
            journal.add(True, str(person))
            bar.update()
    facts = _assemble(options, output)
    journal.finish({"version": VERSION, "options": asdict(options), **facts})


def _piece(output: Path, person: int) -> Path:
    return output / WORK / f"{person:04}.npz"


def _names(options: PeopleOptions, person: int) -> list[str]:
    return [
        frame_name(options, person, video, sequence, frame)
        for video in range(options.videos)
        for sequence in range(options.sequences)
        for frame in range(options.frames)
    ]


def _frames(options: PeopleOptions, output: Path) -> Iterator[tuple[str, bytes]]:
    for person in range(options.people):
        with np.load(_piece(output, person), allow_pickle=False) as stored:
            ends = np.cumsum(stored["lengths"]).tolist()
            data = stored["jpegs"].tobytes()
        for name, start, end in zip(_names(options, person), [0, *ends[:-1]], ends, strict=True):
            yield name, data[start:end]


def _poses(options: PeopleOptions, output: Path, what: str) -> NDArray[Any]:
    found = []
    for person in range(options.people):
        with np.load(_piece(output, person), allow_pickle=False) as stored:
            found.append(stored[what])
    return np.concatenate(found)


def _assemble(options: PeopleOptions, output: Path) -> dict[str, int]:
    """Put the pieces together; how much there is."""
    frames = write_frames(output / IMAGES, _frames(options, output))
    names = [name for person in range(options.people) for name in _names(options, person)]
    write_pose(output / POSE, names, _poses(options, output, "points"), _poses(options, output, "scores"))
    with replacing(output / OUTINGS, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["video", "outfit", "clothes"])
        for person in range(options.people):
            for video in range(options.videos):
                name = frame_name(options, person, video, 0, 0).rpartition("/seq")[0]
                table.writerow([name, *outfit_of(options, person, video)])
    return {"frames": frames, "videos": options.people * options.videos}
