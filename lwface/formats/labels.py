"""Text files about the rows of a feature file: labels, pairs to compare, pairs to leave out.

labels file: one integer a line, in the order of the rows; equal numbers are one person, -1 is a distractor: a person
who appears once, whose every pair is an impostor pair.

pairs file: ``ROW ROW`` or ``ROW ROW SAME`` a line, separated by blanks or commas; rows count from 0, SAME is 1
(genuine) or 0 (impostor). Without SAME the labels decide.

ignored pairs: ``ROW ROW`` a line, separated by blanks or commas. What follows the second number, and what follows a
``#``, is for people to read; blank lines are skipped.

A byte order mark and CRLF line ends are accepted everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError

DISTRACTOR = -1
LABEL_LIMIT = 2**62  # numbers from here on are given to distractors
CHUNK_BYTES = 2**24  # of a pairs file, read at a time
PLAIN = b"0123456789 \t,\r\n"  # what a chunk may hold to be read all at once
AS_BLANKS = bytes.maketrans(b"\t,\r", b"   ")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

PathLike = str | os.PathLike[str]


class PairRows(NamedTuple):
    """What a pairs file holds."""

    first: NDArray[np.int64]  # (P,) rows
    second: NDArray[np.int64]  # (P,) rows
    same: NDArray[np.bool_] | None  # (P,), None: the file leaves it to the labels


def read_labels(path: PathLike, rows: int) -> NDArray[np.int64]:
    """The labels (rows,) of a feature file of ``rows`` rows.

    Raises:
        UserError: a line is not an integer from -1 on, or there are not ``rows`` lines; names file and line.
    """
    labels = []
    for number, text in _lines(path):
        label = _integer(text)
        if label is None or not DISTRACTOR <= label < LABEL_LIMIT:
            raise UserError(
                f"{path}, line {number}: {text!r} is not a label; give an integer from 0 on, or -1 for a distractor"
            )
        labels.append(label)
    if len(labels) != rows:
        raise UserError(
            f"{path}: {len(labels)} labels for {rows} feature rows; give one a line, in the order of the rows"
        )
    return np.array(labels, dtype=np.int64)


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
    for number, text in _lines(path):
        fields = text.partition("#")[0].replace(",", " ").split()
        if not fields:
            continue
        left, right = (_integer(field) for field in (fields * 2)[:2])
        if len(fields) < 2 or left is None or right is None:
            raise UserError(f"{path}, line {number}: {text!r} does not start with two row numbers; give ROW ROW")
        _check_row(path, number, left, left_rows)
        _check_row(path, number, right, left_rows if right_rows is None else right_rows)
        if right_rows is None:
            _check_apart(path, number, left, right)
            left, right = min(left, right), max(left, right)
        found.add((left, right))
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)


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
    for number, line in enumerate(_decoded(path, chunk, offset).splitlines(), start=first):
        text = line.strip()
        values = [_integer(part) for part in text.replace(",", " ").split()]
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


def _lines(path: PathLike) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line, without blank lines at the end."""
    text = _decoded(path, Path(path).read_bytes().removeprefix(BYTE_ORDER_MARK), 0)
    return ((number, line.strip()) for number, line in enumerate(text.rstrip().splitlines(), start=1))


def _decoded(path: PathLike, data: bytes, offset: int) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file ({error.reason} at byte {offset + error.start})") from None


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
