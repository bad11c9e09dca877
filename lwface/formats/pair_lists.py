"""Text files about pairs of the rows of a feature file: those to compare, those to leave out.

pairs file: ``ROW ROW`` or ``ROW ROW SAME`` a line, separated by blanks, commas, semicolons or tabs; rows count from 0,
SAME is 1 or True (genuine) or 0 or False (impostor). Without SAME the labels decide. A first line without any number, a
table's header, is passed over.

ignored pairs: ``ROW ROW`` a line, separated likewise. What follows the second number, and what follows a ``#``, is for
people to read; blank lines are skipped.

issame file: 1 (one person) or 0 (two persons), or True or False, for each pair of consecutive rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.base.notes import note
from lwface.formats.number_lists import CHUNK_BYTES, line_chunks, whole_numbers
from lwface.formats.person_labels import integer
from lwface.formats.text_files import decoded, fields_of, numbered_lines
from lwface.formats.values import TRUTHS, value_of


class PairRows(NamedTuple):
    """What a pairs file holds."""

    first: NDArray[np.int64]  # (P,) rows
    second: NDArray[np.int64]  # (P,) rows
    same: NDArray[np.bool_] | None  # (P,), None: the file leaves it to the labels


def read_pairs(path: PathLike, rows: int) -> PairRows:
    """The pairs of a list over a feature file of ``rows`` rows.

    Raises:
        UserError: a line is malformed, names a row that does not exist or a row with itself, or lines differ in whether
            they have SAME; names file and line.
    """
    tables: list[NDArray[np.int64]] = []
    number = 1
    for offset, chunk in line_chunks(path, CHUNK_BYTES):
        fields = tables[0].shape[1] if tables else None
        table = _plain_pairs(chunk, rows, fields)
        if table is None:  # line by line: to name what is wrong, or for numbers written in an uncommon way
            text = decoded(path, chunk, offset).splitlines()
            if number == 1 and has_no_number(fields_of(text[0])):
                note(f"{path}: line 1, {text[0].strip()!r}, is taken for a header")
                number, text = 2, text[1:]
            table = _pairs_by_line(path, text, number, rows, fields)
        if len(table):
            tables.append(table)
        number += len(table)
    if not tables:
        raise UserError(f"{path}: holds no pairs")
    table = np.concatenate(tables)
    return PairRows(table[:, 0].copy(), table[:, 1].copy(), table[:, 2] == 1 if table.shape[1] == 3 else None)


def read_ignored(path: PathLike, left_rows: int, right_rows: int | None = None) -> NDArray[np.int64]:
    """The pairs (P, 2) that a file says to leave out, sorted, each once.

    Args:
        path: the file.
        left_rows: rows of the feature file, or of the probe file.
        right_rows: rows of the gallery file: a line is PROBE_ROW GALLERY_ROW. None: both rows are of one file, and
            column 0 of the result is the lower one.

    Raises:
        UserError: a line is malformed, names a row that does not exist or a row with itself; names file and line.
    """
    found = set()
    for number, text in numbered_lines(path):
        fields = fields_of(text.partition("#")[0])
        if not fields:
            continue
        left, right = (integer(field) for field in (fields * 2)[:2])
        if len(fields) < 2 or left is None or right is None:
            raise UserError(f"{path}, line {number}: {text!r} does not start with two row numbers; give ROW ROW")
        _check_row(path, number, left, left_rows)
        _check_row(path, number, right, left_rows if right_rows is None else right_rows)
        if right_rows is None:
            _check_apart(path, number, left, right)
            left, right = min(left, right), max(left, right)
        found.add((left, right))
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)


def read_issame(path: PathLike) -> NDArray[np.bool_]:
    """Whether each pair (P,) of a list of 1 (one person) and 0 (two persons) is genuine.

    Raises:
        UserError: something else is written; names file and line.
    """
    lines = ((number, field) for number, text in numbered_lines(path) for field in fields_of(text))
    same = []
    for number, text in lines:
        truth = TRUTHS.get(value_of(text))
        if truth is None:
            raise UserError(f"{path}, line {number}: {text!r} is not 1 (one person) or 0 (two persons)")
        same.append(truth)
    return np.array(same, dtype=bool)


def has_no_number(fields: list[str]) -> bool:
    """Whether these fields of a first line are the header of a table: there are several, and none is a number."""
    return len(fields) > 1 and all(integer(field) is None and not field[0].isdecimal() for field in fields)


def _plain_pairs(chunk: bytes, rows: int, fields: int | None) -> NDArray[np.int64] | None:
    """The numbers of whole lines (P, 2 or 3), None when there may be something wrong with them."""
    table = whole_numbers(chunk)
    if table is None or table.shape[1] not in ((2, 3) if fields is None else (fields,)):
        return None
    wrong = (table[:, :2].max() >= rows) | (table[:, 0] == table[:, 1]).any() | (table[:, 2:] > 1).any()
    return None if wrong else table


def _pairs_by_line(
    path: PathLike, lines: list[str], first: int, rows: int, fields_before: int | None
) -> NDArray[np.int64]:
    """The numbers (P, 2 or 3) of ``lines``, of which the first is line ``first`` of the file."""
    found: list[tuple[int, ...]] = []
    for number, line in enumerate(lines, start=first):
        text = line.strip()
        *parts, last = fields_of(text) or [""]
        values = [*map(integer, parts), TRUTHS.get(last, integer(last)) if len(parts) == 2 else integer(last)]
        fields = tuple(value for value in values if value is not None)
        if len(fields) != len(values) or len(fields) not in (2, 3) or (len(fields) == 3 and fields[2] not in (0, 1)):
            raise UserError(
                f"{path}, line {number}: {text!r} is not a pair; give ROW ROW or ROW ROW SAME, with SAME 0 or 1"
            )
        fields_before = fields_before or len(fields)
        if len(fields) != fields_before:
            raise UserError(
                f"{path}, line {number}: {text!r} has {len(fields)} fields, the lines before {fields_before}"
            )
        for row in fields[:2]:
            _check_row(path, number, row, rows)
        _check_apart(path, number, *fields[:2])
        found.append(fields)
    return np.array(found, dtype=np.int64).reshape(len(found), fields_before or 2)


def _check_row(path: PathLike, number: int, row: int, rows: int) -> None:
    if not 0 <= row < rows:
        raise UserError(f"{path}, line {number}: row {row} does not exist; the feature file has rows 0 to {rows - 1}")


def _check_apart(path: PathLike, number: int, left: int, right: int) -> None:
    if left == right:
        raise UserError(f"{path}, line {number}: row {left} is paired with itself")
