"""Pictures with points, wherever they come from: one list of them, the same for all layouts on disk.

===================== ================================================================================================
the challenge's       ``annot.pkl``, its folder, or one with ``synthetics_train`` and ``aflw_val`` in it
YouTube Faces         ``training_keypoints.csv`` and ``test_keypoints.csv`` beside ``training`` and ``test``
procedural faces      ``annotations.csv`` beside ``frames``: ``datasets/make_synthetic.py --frames``
a csv                 ``image,x0,y0,...,x67,y67``, images in its own folder
===================== ================================================================================================
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lwface.base.account import Account
from lwface.base.dice import shuffled
from lwface.base.errors import UserError
from lwface.formats.landmark_csv import coordinate_names, parsed_points, read_landmarks
from lwface.formats.point_annotations import ANNOTATIONS, read_annotations
from lwface.formats.text_files import table_rows
from lwface.landmarks.options import full
from lwface.landmarks.scheme import POINTS
from lwface.making.youtube_faces import read_youtube_faces
from lwface.making.youtube_names import PARTS

CHALLENGE, YOUTUBE, PROCEDURAL, CSV = "challenge", "youtube", "procedural", "csv"
TRAINING, VALIDATION = "synthetics_train", "aflw_val"  # the challenge's folders
SYNTHETIC = "annotations.csv"
SYNTHETIC_SPLITS = ("train", "image", "video", "pack")  # of procedural faces, each of other people


@dataclass(frozen=True)
class PointPicture:
    """A picture on disk with points.

    Attributes:
        path: of the picture.
        name: of it in its set.
        points: (68, 2) float64, in its pixels.
        person: who it shows; the picture itself where that is not known.
        track: the video that it is a frame of; empty for none.
    """

    path: Path
    name: str
    points: np.ndarray
    person: str
    track: str = ""


@dataclass
class PointSet:
    """Pictures of one folder or csv.

    Attributes:
        name: what messages and models call it.
        kind: of the layouts above: challenge, youtube, procedural or csv.
    """

    name: str
    kind: str
    pictures: list[PointPicture]
    account: Account = field(default_factory=Account)

    def __len__(self) -> int:
        return len(self.pictures)

    def described(self, times: int) -> dict[str, Any]:
        """What a model keeps of a set it learnt from; the digest is of the pictures' names and points."""
        digest = hashlib.sha256()
        for picture in self.pictures:
            digest.update(f"{picture.name}\n".encode() + picture.points.astype("<f8").tobytes())
        found = {"name": self.name, "kind": self.kind, "pictures": len(self), "times": times}
        return {**found, "sha256": digest.hexdigest()}


def read_point_set(path: Path, part: str = "train", *, opened: bool = True) -> PointSet:
    """The pictures of ``path``, a folder or a file of it, in an order that is always the same.

    Args:
        part: ``train`` or ``val``, where the folder has both.
        opened: the pictures will be, so they must be there; where points alone are asked for, such as those of a test
            set that is scored, they may lie elsewhere.

    Raises:
        UserError: nothing that is known lies there, or a picture that it names does not.
    """
    if path.is_file():
        found = _of_challenge(path) if path.suffix == ".pkl" else _of_table(path)
        return _complete(found, path, opened)
    for folder in (path, path / (TRAINING if part == "train" else VALIDATION)):
        if (folder / ANNOTATIONS).is_file():
            return _complete(_of_challenge(folder / ANNOTATIONS), folder / ANNOTATIONS, opened)
    if all((path / f"{name}_keypoints.csv").is_file() for name in PARTS):
        return _of_youtube(path)
    if (path / SYNTHETIC).is_file():
        if opened and not (path / "frames").is_dir():
            raise UserError(f"{path}: its frames are not there: make the set with --frames")
        return _complete(_of_synthetic(path, part), path / SYNTHETIC, opened)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder or csv")
    known = f"{ANNOTATIONS}, {TRAINING}/{ANNOTATIONS}, {PARTS[0]}_keypoints.csv or {SYNTHETIC}"
    raise UserError(f"{path}: no points in it: expected {known}; or give a csv of image,x0,y0,...,x67,y67 itself")


def split_by_person(pictures: Sequence[PointPicture], share: float, seed: int) -> tuple[list[PointPicture], ...]:
    """``(training, held out)``: all pictures of each person on one side, ``share`` of the people held out by ``seed``.

    Raises:
        UserError: a side would have nobody.
    """
    people = shuffled(sorted({picture.person for picture in pictures}), random.Random(seed))
    count = round(share * len(people))
    if not 0 < count < len(people):
        raise UserError(f"{share:g} of {len(people)} people are {count}: both sides need someone")
    held = set(people[:count])
    return [p for p in pictures if p.person not in held], [p for p in pictures if p.person in held]


def _of_table(path: Path) -> PointSet:
    found = read_landmarks(path)
    wrong = next((name for name, points in found.items() if len(points) != POINTS), None)
    if wrong is not None:
        raise UserError(f"{path}: {len(found[wrong])} points an image, expected {POINTS}")
    pictures = [PointPicture(path.parent / name, name, points, name) for name, points in found.items()]
    return PointSet(path.stem, CSV, pictures)


def _of_challenge(path: Path) -> PointSet:
    found = read_annotations(path, POINTS)
    folder = path.parent
    pictures = [PointPicture(folder / name, name, points, name) for name, points in found.items()]
    return PointSet(full(folder).name, CHALLENGE, pictures)


def _of_youtube(root: Path) -> PointSet:
    faces = read_youtube_faces(root)
    pictures = [
        PointPicture(root / sample.name, sample.name, faces.landmarks[sample.name], sample.person, sample.group)
        for sample in faces.samples
    ]
    return PointSet(full(root).name, YOUTUBE, pictures, faces.account)


def read_rendered(table: Path) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """Picture, split, identity and points (68, 2) of each row that ``datasets/make_synthetic.py`` wrote.

    Raises:
        UserError: a column is not there, or a row is short or holds what is no number; names line and column.
    """
    rows = table_rows(table)
    header = next(rows, (1, []))[1]
    place = {name: position for position, name in enumerate(header)}
    facts = ("image", "split", "identity")
    lacking = [name for name in (*facts, *coordinate_names(POINTS)) if name not in place]
    if lacking:
        raise UserError(f"{table}: line 1 names no {lacking[0]}: make the set anew by datasets/make_synthetic.py")
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(f"{table}: line {line} has {len(row)} columns, not {len(header)}")
        image, split, identity = (row[place[name]] for name in facts)
        points = parsed_points(f"{table}: line {line}", [row[place[name]] for name in coordinate_names(POINTS)])
        yield image, split, identity, points


def _of_synthetic(root: Path, part: str) -> PointSet:
    wanted = SYNTHETIC_SPLITS[:1] if part == "train" else SYNTHETIC_SPLITS[1:2]
    pictures = [
        PointPicture(root / "frames" / name, name, points, f"{split}/{identity}")
        for name, split, identity, points in read_rendered(root / SYNTHETIC)
        if split in wanted
    ]
    return PointSet(full(root).name, PROCEDURAL, pictures)


def _complete(found: PointSet, where: Path, opened: bool) -> PointSet:
    """``found``, which must have pictures; where they will be ``opened``, all of them must be there."""
    if not found.pictures:
        raise UserError(f"{where}: it names no picture")
    lacking = [picture.name for picture in found.pictures if opened and not picture.path.is_file()]
    if lacking:
        raise UserError(f"{where}: {len(lacking)} of {len(found)} pictures are not there, such as {lacking[0]}")
    found.account.taken = len(found)
    return found
