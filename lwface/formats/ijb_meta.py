"""The meta files of IJB-B and IJB-C as the field lays them out; ``P`` is ``ijbb`` or ``ijbc``.

* ``P_name_5pts_score.txt``, a line a face: ``NAME X Y X Y X Y X Y X Y SCORE``, the image, five landmarks and the
  detector's score of the face. Its order is that of the features.
* ``P_face_tid_mid.txt``, a line a face in that order: ``NAME TEMPLATE MEDIUM``. Frames of one video have one medium.
* ``P_template_pair_label.txt``, a line a comparison of the 1:1 protocol: ``TEMPLATE TEMPLATE SAME``, SAME 1 or 0. IJB-C
  has 15 658 489 of them.
* ``P_1N_gallery_*.csv`` (S1 and S2 of IJB-B, G1 and G2 of IJB-C) and ``P_1N_probe_mixed.csv``, with a header, whose
  columns TEMPLATE_ID and SUBJECT_ID are used. A template has a line for each of its faces.

Templates, media and subjects are numbers from 0 on. Fields are separated by blanks, commas, semicolons or tabs; the
name of an image may hold blanks. Every error names file and line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.notes import note
from lwface.formats.number_lists import CHUNK_BYTES, line_chunks, whole_numbers
from lwface.formats.pair_lists import has_no_number
from lwface.formats.text_files import decoded, fields_of, name_and_fields, numbered_lines, table_rows
from lwface.formats.values import value_of

NAME_FIELDS = 12  # of a line of the name list
FACELESS = -1  # the place of a template that has no face
NUMBER_LIMIT = 10**8  # of templates, media and subjects; a table of all templates up to the largest is made


class Faces(NamedTuple):
    """What is known of the face on each row of the features."""

    templates: NDArray[np.int64]  # (N,)
    media: NDArray[np.int64]  # (N,)
    detector_scores: NDArray[np.float64]  # (N,)


class TemplatePairs(NamedTuple):
    """The comparisons of the 1:1 protocol, templates by their place among the known ones and then the faceless."""

    first: NDArray[np.int32]  # (P,)
    second: NDArray[np.int32]  # (P,)
    same: NDArray[np.bool_]  # (P,)
    faceless: list[int]  # templates that have no face, in the order in which they first occur


class Subjects(NamedTuple):
    """The templates of a gallery or probe list, each once, and who they show."""

    templates: NDArray[
        np.int32
    ]  # (T,) by their place among the known ones, ascending; first -1 for each without a face
    subjects: NDArray[np.int64]  # (T,)


def read_faces(folder: Path, protocol: str) -> Faces:
    """The faces of ``protocol``.

    Raises:
        UserError: a line is malformed, or the two lists differ in length or order.
    """
    faces_path, names_path = folder / f"{protocol}_face_tid_mid.txt", folder / f"{protocol}_name_5pts_score.txt"
    names: list[str] = []
    scores: list[float] = []
    for number, text in numbered_lines(names_path, names=True):
        fields = name_and_fields(text, NAME_FIELDS - 1)
        score = _number(fields[-1]) if len(fields) == NAME_FIELDS else math.nan
        if not 0 <= score < math.inf:
            raise _malformed(names_path, number, fields, "NAME, ten landmark numbers and a detector score from 0 on")
        names.append(fields[0])
        scores.append(score)
    templates, media = [], []
    for number, text in numbered_lines(faces_path, names=True):
        fields = name_and_fields(text, 2)
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
        UserError: a line is malformed, or most templates have no face.
    """
    path = folder / f"{protocol}_template_pair_label.txt"
    place_of = np.full(known[-1] + 2, -1, dtype=np.int32)  # the last stands for all that are larger
    place_of[known] = np.arange(len(known))
    firsts, seconds, labels = [], [], []
    faceless: dict[int, int] = {}  # place of each
    used = np.zeros(len(known), dtype=bool)
    for number, table in _number_tables(path, 3):
        if (wrong := table[:, 2] > 1).any():
            line = int(np.argmax(wrong))
            fields = [str(value) for value in table[line].tolist()]
            raise _malformed(path, number + line, fields, "TEMPLATE TEMPLATE SAME, 0 or 1")
        places = place_of[np.minimum(table[:, :2], known[-1] + 1)]  # (L, 2)
        without = places < 0
        if without.any():
            ids, inverse = np.unique(table[:, :2][without], return_inverse=True)
            new = [faceless.setdefault(template, len(known) + len(faceless)) for template in ids.tolist()]
            places[without] = np.array(new, dtype=np.int32)[inverse]
        used[places[~without]] = True
        firsts.append(places[:, 0])
        seconds.append(places[:, 1])
        labels.append(table[:, 2] == 1)
    if not firsts:
        raise UserError(f"{path}: holds no pairs")
    _check_faces(path, len(faceless), int(used.sum()), next(iter(faceless), None))
    return TemplatePairs(np.concatenate(firsts), np.concatenate(seconds), np.concatenate(labels), list(faceless))


def read_subjects(path: Path, known: NDArray[np.int64]) -> Subjects:
    """The templates of a gallery or probe list; ``known`` (T,), ascending, are those that have a face.

    Raises:
        UserError: the header lacks a column, a line is malformed or gives a template another subject than a line
            before, or most templates have no face.
    """
    lines = table_rows(path)
    _, header = next(lines, (0, []))
    names = [name.strip(' "').upper() for name in header]
    if not {"TEMPLATE_ID", "SUBJECT_ID"} <= set(names):
        raise UserError(f"{path}, line 1: no columns TEMPLATE_ID and SUBJECT_ID, but {', '.join(header)[:80]!r}")
    columns = names.index("TEMPLATE_ID"), names.index("SUBJECT_ID")
    found: dict[int, int] = {}
    places = {template: place for place, template in enumerate(known.tolist())}
    for number, fields in lines:
        values = [_whole(value_of(fields[column])) for column in columns if column < len(fields)]
        if len(values) != 2 or min(values) < 0:
            raise _malformed(path, number, fields, "a line with whole numbers as TEMPLATE_ID and SUBJECT_ID")
        template, subject = values
        if found.setdefault(template, subject) != subject:
            raise UserError(
                f"{path}, line {number}: template {template} is of subject {subject}, but of {found[template]} in a "
                "line before"
            )
    if not found:
        raise UserError(f"{path}: holds no templates")
    faceless = [template for template in found if template not in places]
    _check_faces(path, len(faceless), len(found) - len(faceless), next(iter(faceless), None))
    chosen = sorted((places.get(template, FACELESS), subject) for template, subject in found.items())
    return Subjects(np.array([place for place, _ in chosen], dtype=np.int32), np.array([who for _, who in chosen]))


def _check_faces(path: Path, faceless: int, others: int, example: int | None) -> None:
    """Some templates may have no face; most of them have none where a list is of other features."""
    if faceless > others:
        raise UserError(
            f"{path}: {faceless} of its {faceless + others} templates have no face, such as {example}: the list of "
            "faces is of another set, or cut short"
        )


def _number_tables(path: Path, columns: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Number of the first line, and the numbers (L, columns), of many lines at a time."""
    number = 1
    for offset, chunk in line_chunks(path, CHUNK_BYTES):
        table = whole_numbers(chunk)
        if table is None or table.shape[1] != columns or table.max() >= NUMBER_LIMIT:
            lines = decoded(path, chunk, offset).splitlines()
            if number == 1 and has_no_number(fields_of(lines[0])):
                note(f"{path}: line 1, {lines[0].strip()!r}, is taken for a header")
                number, lines = 2, lines[1:]
            table = _table_by_line(path, number, lines, columns)
        yield number, table
        number += len(table)


def _table_by_line(path: Path, first: int, lines: list[str], columns: int) -> NDArray[np.int64]:
    """The same, line by line: to name what is wrong, or for numbers written in an uncommon way."""
    rows = []
    for number, line in enumerate(lines, start=first):
        values = [_whole(value_of(field)) for field in fields_of(line)]
        if len(values) != columns or min(values) < 0:
            raise _malformed(path, number, line.split(), f"{columns} whole numbers")
        rows.append(values)
    return np.array(rows, dtype=np.int64).reshape(-1, columns)


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
