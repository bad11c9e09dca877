"""The list that ``datasets/clean.py`` proposes and training takes: which images to leave out, and who is one person.

A csv with a header, one proposal a line, for a person to read and to shorten: a line that is deleted is not followed.

* ``image``, or ``key`` where the images are those of a record file: which image; the path below the folder of people,
  or the key of the record. A line about two people names the image that is nearest to the other's;
* ``person``: its label: the folder's name, or the label of the record;
* ``proposal``: ``leave out`` (the image), or ``same person as`` (the person of this line and ``other`` become one);
* ``other``: the label that it seems to have, where that is known;
* ``reason``, ``score`` (the cosine that is the evidence) and ``neighbour`` (the image to look at beside it).

Further columns are passed over, and only the first four are needed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from lwface.base.errors import UserError
from lwface.base.files import PathLike, write_text
from lwface.formats.person_names import composed
from lwface.formats.text_files import table_rows

LEAVE_OUT, SAME_PERSON = "leave out", "same person as"
IMAGE, KEY = "image", "key"
NEEDED = ("person", "proposal", "other")
FOR_PEOPLE = ("reason", "score", "neighbour")


@dataclass(frozen=True)
class CleaningLine:
    """A line of the list.

    Attributes:
        image: its path or its key, as text.
        person, other: labels, as text; ``other`` may be empty where an image is left out.
        proposal: :data:`LEAVE_OUT` or :data:`SAME_PERSON`.
        line: of the file, from 1.
    """

    image: str
    person: str
    proposal: str
    other: str = ""
    reason: str = ""
    score: float = 0.0
    neighbour: str = ""
    line: int = 0


@dataclass(frozen=True)
class CleaningList:
    """The lines, and whether their images are keys of a record file."""

    lines: list[CleaningLine]
    keys: bool


def write_cleaning(path: PathLike, lines: Iterable[CleaningLine], *, keys: bool) -> None:
    """Write the list, beside and renamed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([KEY if keys else IMAGE, *NEEDED, *FOR_PEOPLE])
    for line in lines:
        figures = (line.reason, f"{line.score:.4f}", line.neighbour)
        writer.writerow([line.image, line.person, line.proposal, line.other, *figures])
    write_text(path, text.getvalue())


def read_cleaning(path: PathLike) -> CleaningList:
    """The list, which may have been changed by hand.

    Raises:
        UserError: it is no such list, or a line is malformed; names file and line.
    """
    rows = table_rows(path)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    first = [name for name in (IMAGE, KEY) if name in header]
    missing = [name for name in NEEDED if name not in header]
    if len(first) != 1 or missing or len(set(header)) != len(header):
        raise UserError(
            f"{path}: line 1 is {','.join(header)[:60]!r}; expected the list of datasets/clean.py: "
            f"{IMAGE} (or {KEY}),{','.join(NEEDED)}"
        )
    keys, found = first == [KEY], []
    for number, fields in rows:
        if not any(field.strip() for field in fields):
            continue
        if len(fields) != len(header):
            raise UserError(f"{path}, line {number}: {len(fields)} fields, the header has {len(header)}")
        values = {name: field.strip() for name, field in zip(header, fields, strict=True)}
        image, person, proposal, other = (values[name] for name in (*first, *NEEDED))
        place = f"{path}, line {number}"
        if proposal not in (LEAVE_OUT, SAME_PERSON):
            raise UserError(f"{place}: proposal is {proposal!r}, expected {LEAVE_OUT!r} or {SAME_PERSON!r}")
        if not (image or proposal == SAME_PERSON):
            raise UserError(f"{place}: names no image to leave out")
        if keys and image and not image.isdecimal():
            raise UserError(f"{place}: key is {image!r}, expected the whole number of a record")
        if proposal == SAME_PERSON and not (person and other):
            raise UserError(f"{place}: {SAME_PERSON!r} needs person and other")
        found.append(CleaningLine(image, composed(person), proposal, composed(other), line=number))
    return CleaningList(found, keys)
