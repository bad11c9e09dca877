"""The list of ``datasets/clean.py`` on a record file: which of its images are left out, and whose labels become one.

A list of keys fits the record file that it was made of. One of paths fits the record file that ``build_rec.py`` made of
that folder, whose ``train.lst`` says which image is which record.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.cleaning_list import LEAVE_OUT, CleaningLine, CleaningList, read_cleaning
from lwface.formats.face_records import FaceRecords
from lwface.formats.person_names import composed
from lwface.formats.text_files import numbered_lines

LISTING = "train.lst"


@dataclass(frozen=True)
class LeftOut:
    """What a list does to a record file.

    Attributes:
        labels: int64 (N,) of all images, those of one person the lowest of theirs; no label is numbered anew, so
            that one of them has no image.
        used: bool (N,), false for what is left out.
        people: how many labels became another.
        unknown: how many lines name an image or a person that the record file has not.
    """

    labels: np.ndarray
    used: np.ndarray
    people: int
    unknown: int

    def text(self) -> str:
        """What is said of it."""
        said = f"{int((~self.used).sum())} of {len(self.used)} images left out, {self.people} people joined to another"
        return said + (f"; {self.unknown} lines name what is not in the data set" if self.unknown else "")


def read_left_out(path: PathLike, records: FaceRecords) -> LeftOut:
    """What the list ``path`` says of ``records``.

    Raises:
        UserError: the list is malformed, is of another data set, or leaves no image.
    """
    found = read_cleaning(path)
    labels = records.labels()
    places, people = _by_key(records, labels) if found.keys else _by_path(path, records, labels)
    used = np.ones(len(labels), dtype=bool)
    joined = np.arange(int(labels.max()) + 1)
    unknown = 0
    for line in found.lines:
        if line.proposal == LEAVE_OUT:
            place = places.get(_name(found, line))
            if place is None:
                unknown += 1
                continue
            _check_person(path, line, people, int(labels[place]))
            used[place] = False
        elif line.person in people and line.other in people:
            one, two = (_root(joined, people[name]) for name in (line.person, line.other))
            joined[max(one, two)] = min(one, two)
        else:
            unknown += 1
    if found.lines and unknown == len(found.lines):
        raise UserError(
            f"{path}: none of its {unknown} lines names an image or a person of {records.path}: the list is of "
            "another data set"
        )
    if not used.any():
        raise UserError(f"{path}: leaves out all {len(used)} images of {records.path}")
    roots = np.array([_root(joined, label) for label in range(len(joined))])
    changed = int((roots[np.unique(labels)] != np.unique(labels)).sum())
    return LeftOut(roots[labels], used, changed, unknown)


def _by_key(records: FaceRecords, labels: np.ndarray) -> tuple[dict[str, int], dict[str, int]]:
    """Positions by key, and labels by their own text."""
    places = {str(key): place for place, key in enumerate(records.keys.tolist())}
    return places, {str(label): label for label in np.unique(labels).tolist()}


def _by_path(path: PathLike, records: FaceRecords, labels: np.ndarray) -> tuple[dict[str, int], dict[str, int]]:
    """Positions by path, and labels by the folder of the person, from the listing beside the records."""
    listing = Path(records.path).with_name(LISTING)
    if not listing.is_file():
        raise UserError(
            f"{path}: names images by path, and there is no {listing} that says which records they are: make the list "
            f"of {records.path} itself (clean.py --input)"
        )
    names = [text.split("\t")[1] for _, text in numbered_lines(listing, names=True) if text.count("\t") >= 2]
    if len(names) != len(labels):
        raise UserError(f"{listing}: {len(names)} lines for {len(labels)} images of {records.path}")
    people: dict[str, int] = {}
    for name, label in zip(names, labels.tolist(), strict=True):
        people.setdefault(composed(name.partition("/")[0]), label)
    return {composed(name): place for place, name in enumerate(names)}, people


def _name(found: CleaningList, line: CleaningLine) -> str:
    return str(int(line.image)) if found.keys else composed(line.image)


def _check_person(path: PathLike, line: CleaningLine, people: dict[str, int], label: int) -> None:
    if line.person and people.get(line.person, label) != label:
        raise UserError(
            f"{path}, line {line.line}: {line.image} is of {line.person!r} here and has label {label} in the data "
            "set: the list is of another data set"
        )


def _root(joined: np.ndarray, label: int) -> int:
    while joined[label] != label:
        label = int(joined[label])
    return label
