"""Text files about pairs of the rows of a feature file: those to compare, those to leave out.

pairs file: ``ROW ROW`` or ``ROW ROW SAME`` a line, separated by blanks or commas; rows count from 0, SAME is 1
(genuine) or 0 (impostor). Without SAME the labels decide.

ignored pairs: ``ROW ROW`` a line, separated by blanks or commas. What follows the second number, and what follows a
``#``, is for people to read; blank lines are skipped.

issame file: 1 (one person) or 0 (two persons) for each pair of consecutive rows.

A byte order mark and CRLF line ends are accepted everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.person_labels import BYTE_ORDER_MARK, decoded, integer, numbered_lines

CHUNK_BYTES = 2**24  # of a pairs file, read at a time
PLAIN = b"0123456789 \t,\r\n"  # what a chunk may hold to be read all at once
AS_BLANKS = bytes.maketrans(b"\t,\r", b"   ")


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
    data = Path(path).read_bytes().removeprefix(BYTE_ORDER_MARK).rstrip() + b"\n"
    if data == b"\n":
        raise UserError(f"{path}: holds no pairs")
    tables: list[NDArray[np.int64]] = []
    start, number = 0, 1
    while start < len(data):
        chunk = data[start : data.find(b"\n", min(start + CHUNK_BYTES, len(data) - 1)) + 1]
        fields = tables[0].shape[1] if tables else None
        table = _plain_pairs(chunk, rows, fields)
        if table is None:  # line by line: to name what is wrong, or for numbers written in an uncommon way
            table = _pairs_by_line(path, chunk, start, number, rows, fields)
        tables.append(table)
        number += len(table)
        start += len(chunk)
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
        fields = text.partition("#")[0].replace(",", " ").split()
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
    lines = Path(path).read_text(encoding="utf-8", errors="replace").split()
    for number, text in enumerate(lines, start=1):
        if text not in ("0", "1"):
            raise UserError(f"{path}, line {number}: {text!r} is not 1 (one person) or 0 (two persons)")
    return np.array(lines) == "1"


def _plain_pairs(chunk: bytes, rows: int, fields: int | None) -> NDArray[np.int64] | None:
    """The numbers of whole lines (P, 2 or 3), None when there may be something wrong with them."""
    if chunk.translate(None, PLAIN) or chunk.count(b"\r") != chunk.count(b"\r\n"):
        return None
    text = chunk.translate(AS_BLANKS)
    characters = np.frombuffer(text, dtype=np.uint8)
    digits = characters > ord(" ")
    starts = np.flatnonzero(digits & np.concatenate([[True], ~digits[:-1]]))
    ends = np.flatnonzero(characters == ord("\n"))
    numbers = np.diff(np.searchsorted(starts, ends), prepend=0)  # on each line
    if numbers[0] not in ((2, 3) if fields is None else (fields,)) or (numbers != numbers[0]).any():
        return None
    table = np.fromstring(text, dtype=np.int64, sep=" ").reshape(len(numbers), -1)  # too large a number: the largest
    wrong = (table[:, :2].max() >= rows) | (table[:, 0] == table[:, 1]).any() | (table[:, 2:] > 1).any()
    return None if wrong else table


def _pairs_by_line(
    path: PathLike, chunk: bytes, offset: int, first: int, rows: int, fields_before: int | None
) -> NDArray[np.int64]:
    """The numbers of whole lines (P, 2 or 3), of which the first is line ``first``, ``offset`` bytes into the file."""
    found: list[tuple[int, ...]] = []
    for number, line in enumerate(decoded(path, chunk, offset).splitlines(), start=first):
        text = line.strip()
        values = [integer(part) for part in text.replace(",", " ").split()]
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
    return np.array(found, dtype=np.int64)


def _check_row(path: PathLike, number: int, row: int, rows: int) -> None:
    if not 0 <= row < rows:
        raise UserError(f"{path}, line {number}: row {row} does not exist; the feature file has rows 0 to {rows - 1}")


def _check_apart(path: PathLike, number: int, left: int, right: int) -> None:
    if left == right:
        raise UserError(f"{path}, line {number}: row {left} is paired with itself")
