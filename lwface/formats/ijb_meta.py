"""The meta files of IJB-B and IJB-C as the field lays them out; ``P`` is ``ijbb`` or ``ijbc``.

* ``P_name_5pts_score.txt``, a line a face: ``NAME X Y X Y X Y X Y X Y SCORE``, the image, five landmarks and the
  detector's score of the face. Its order is that of the features.
* ``P_face_tid_mid.txt``, a line a face in that order: ``NAME TEMPLATE MEDIUM``. Frames of one video have one medium.
* ``P_template_pair_label.txt``, a line a comparison of the 1:1 protocol: ``TEMPLATE TEMPLATE SAME``, SAME 1 or 0. IJB-C
  has 15 658 489 of them.
* ``P_1N_gallery_*.csv`` (S1 and S2 of IJB-B, G1 and G2 of IJB-C) and ``P_1N_probe_mixed.csv``, with a header, whose
  columns TEMPLATE_ID and SUBJECT_ID are used. A template has a line for each of its faces.

Templates, media and subjects are numbers from 0 on. Every error names file and line.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError

NAME_FIELDS = 12  # of a line of the name list
CHUNK_BYTES = 2**24  # of a long list, read at a time
PLAIN = b"0123456789 \t\r\n"  # what a chunk may hold to be read all at once
NUMBER_LIMIT = 10**8  # of templates, media and subjects; a table of all templates up to the largest is made


class Faces(NamedTuple):
    """What is known of the face on each row of the features."""

    templates: NDArray[np.int64]  # (N,)
    media: NDArray[np.int64]  # (N,)
    detector_scores: NDArray[np.float64]  # (N,)


class TemplatePairs(NamedTuple):
    """The comparisons of the 1:1 protocol, templates by their place among the known ones."""

    first: NDArray[np.int32]  # (P,)
    second: NDArray[np.int32]  # (P,)
    same: NDArray[np.bool_]  # (P,)


class Subjects(NamedTuple):
    """The templates of a gallery or probe list, each once, and who they show."""

    templates: NDArray[np.int32]  # (T,) by their place among the known ones, ascending
    subjects: NDArray[np.int64]  # (T,)


def read_faces(folder: Path, protocol: str) -> Faces:
    """The faces of ``protocol``.

    Raises:
        UserError: a line is malformed, or the two lists differ in length or order.
    """
    faces_path, names_path = folder / f"{protocol}_face_tid_mid.txt", folder / f"{protocol}_name_5pts_score.txt"
    names: list[str] = []
    scores: list[float] = []
    for number, fields in _lines(names_path):
        score = _number(fields[-1]) if len(fields) == NAME_FIELDS else math.nan
        if not 0 <= score < math.inf:
            raise _malformed(names_path, number, fields, "NAME, ten landmark numbers and a detector score from 0 on")
        names.append(fields[0])
        scores.append(score)
    templates, media = [], []
    for number, fields in _lines(faces_path):
        template, medium = (_whole(fields[1]), _whole(fields[2])) if len(fields) == 3 else (-1, -1)
        if template < 0 or medium < 0:
            raise _malformed(faces_path, number, fields, "NAME TEMPLATE MEDIUM, the last two whole numbers")
        if number <= len(names) and names[number - 1] != fields[0]:
            raise UserError(
                f"{faces_path}, line {number}: is about {fields[0]!r}, but that line of {names_path.name} about "
                f"{names[number - 1]!r}; the two lists must have one order"
            )
        templates.append(template)
        media.append(medium)
    if len(templates) != len(names):
        raise UserError(f"{faces_path}: {len(templates)} lines, but {names_path.name} has {len(names)}")
    return Faces(np.array(templates), np.array(media), np.array(scores))


def read_template_pairs(folder: Path, protocol: str, known: NDArray[np.int64]) -> TemplatePairs:
    """The 1:1 comparisons of ``protocol`` between the templates ``known`` (T,), ascending.

    Raises:
        UserError: a line is malformed or names a template that has no face.
    """
    path = folder / f"{protocol}_template_pair_label.txt"
    place_of = np.full(known[-1] + 2, -1, dtype=np.int32)  # the last stands for all that are larger
    place_of[known] = np.arange(len(known))
    firsts, seconds, labels = [], [], []
    for number, table in _number_tables(path, 3):
        first_place, second_place = (place_of[np.minimum(table[:, side], known[-1] + 1)] for side in (0, 1))
        wrong = (first_place < 0) | (second_place < 0) | (table[:, 2] > 1)
        if wrong.any():
            line = int(np.argmax(wrong))
            first, second, same = table[line].tolist()
            if same > 1:
                raise _malformed(
                    path, number + line, [str(first), str(second), str(same)], "TEMPLATE TEMPLATE SAME, 0 or 1"
                )
            unknown = first if first_place[line] < 0 else second
            raise UserError(
                f"{path}, line {number + line}: template {unknown} has no face in {protocol}_face_tid_mid.txt"
            )
        firsts.append(first_place)
        seconds.append(second_place)
        labels.append(table[:, 2] == 1)
    if not firsts:
        raise UserError(f"{path}: holds no pairs")
    return TemplatePairs(np.concatenate(firsts), np.concatenate(seconds), np.concatenate(labels))


def read_subjects(path: Path, known: NDArray[np.int64]) -> Subjects:
    """The templates of a gallery or probe list, all of them among ``known`` (T,), ascending.

    Raises:
        UserError: the header lacks a column, a line is malformed, names a template that has no face, or gives a
            template another subject than a line before.
    """
    lines = _lines(path, separator=",")
    _, header = next(lines, (0, []))
    names = [name.strip(' "').upper() for name in header]
    if not {"TEMPLATE_ID", "SUBJECT_ID"} <= set(names):
        raise UserError(f"{path}, line 1: no columns TEMPLATE_ID and SUBJECT_ID, but {', '.join(header)[:80]!r}")
    columns = names.index("TEMPLATE_ID"), names.index("SUBJECT_ID")
    found: dict[int, int] = {}
    places = {template: place for place, template in enumerate(known.tolist())}
    for number, fields in lines:
        values = [_whole(fields[column].strip(' "')) for column in columns if column < len(fields)]
        if len(values) != 2 or min(values) < 0:
            raise _malformed(path, number, fields, "a line with whole numbers as TEMPLATE_ID and SUBJECT_ID")
        template, subject = values
        if template not in places:
            raise UserError(f"{path}, line {number}: template {template} has no face")
        if found.setdefault(places[template], subject) != subject:
            raise UserError(
                f"{path}, line {number}: template {template} is of subject {subject}, but of "
                f"{found[places[template]]} in a line before"
            )
    if not found:
        raise UserError(f"{path}: holds no templates")
    templates = sorted(found)
    return Subjects(np.array(templates, dtype=np.int32), np.array([found[place] for place in templates]))


def _number_tables(path: Path, columns: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Number of the first line, and the numbers (L, columns), of many lines at a time."""
    number = 1
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            chunk += file.readline()
            if not file.peek(1):
                chunk = chunk.rstrip()
            if not chunk:
                return
            lines = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
            table = _table(chunk)
            if table is None or table.shape != (lines, columns) or table.max() >= NUMBER_LIMIT:
                table = _table_by_line(path, number, chunk, columns)
            yield number, table
            number += lines


def _table(chunk: bytes) -> NDArray[np.int64] | None:
    if chunk.translate(None, PLAIN):
        return None
    try:
        return np.loadtxt(io.BytesIO(chunk), dtype=np.int64, comments=None, ndmin=2)
    except ValueError:  # lines of different length, or a number that is too long
        return None


def _table_by_line(path: Path, first: int, chunk: bytes, columns: int) -> NDArray[np.int64]:
    """The same, line by line: to name what is wrong."""
    rows = []
    for number, line in enumerate(chunk.removesuffix(b"\n").split(b"\n"), start=first):
        fields = line.decode("utf-8", "replace").split()
        if len(fields) != columns or min(map(_whole, fields)) < 0:
            raise _malformed(path, number, fields, f"{columns} whole numbers")
        rows.append([int(field) for field in fields])
    return np.array(rows, dtype=np.int64)


def _lines(path: Path, separator: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Number (from 1) and fields of each line, without blank lines at the end."""
    text = path.read_bytes().decode("utf-8-sig", "replace")
    for number, line in enumerate(text.rstrip().split("\n"), start=1):
        yield number, line.rstrip("\r").split(separator)


@lru_cache(maxsize=2**16)  # lines of one template follow each other
def _whole(text: str) -> int:
    """The whole number that is written, -1 if it is none below ``NUMBER_LIMIT``."""
    return int(text) if len(text) < 9 and text.isdecimal() and text.isascii() else -1


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _malformed(path: Path, number: int, fields: list[str], expected: str) -> UserError:
    return UserError(f"{path}, line {number}: {' '.join(fields)[:80]!r} is not {expected}")
