"""Who is on each row of a feature file, and which rows a list of pairs compares.

labels file: one integer a line, in the order of the rows; equal numbers are one person, -1 is a distractor: a person
who appears once, whose every pair is an impostor pair.

pairs file: ``ROW ROW`` or ``ROW ROW SAME`` a line, separated by blanks or commas; rows count from 0, SAME is 1
(genuine) or 0 (impostor). Without SAME the labels decide.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError

DISTRACTOR = -1
LABEL_LIMIT = 2**62  # numbers from here on are given to distractors

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
    found: list[tuple[int, ...]] = []
    for number, text in _lines(path):
        values = [_integer(part) for part in text.replace(",", " ").split()]
        fields = tuple(value for value in values if value is not None)
        if len(fields) != len(values) or len(fields) not in (2, 3) or (len(fields) == 3 and fields[2] not in (0, 1)):
            raise UserError(
                f"{path}, line {number}: {text!r} is not a pair; give ROW ROW or ROW ROW SAME, with SAME 0 or 1"
            )
        if found and len(fields) != len(found[0]):
            raise UserError(
                f"{path}, line {number}: {text!r} has {len(fields)} fields, the lines before {len(found[0])}"
            )
        for row in fields[:2]:
            if not 0 <= row < rows:
                raise UserError(
                    f"{path}, line {number}: row {row} does not exist; the feature file has rows 0 to {rows - 1}"
                )
        if fields[0] == fields[1]:
            raise UserError(f"{path}, line {number}: row {fields[0]} is paired with itself")
        found.append(fields)
    if not found:
        raise UserError(f"{path}: holds no pairs")
    table = np.array(found, dtype=np.int64)
    return PairRows(table[:, 0].copy(), table[:, 1].copy(), table[:, 2] == 1 if table.shape[1] == 3 else None)


def _lines(path: PathLike) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line, without blank lines at the end."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file ({error.reason} at byte {error.start})") from None
    return ((number, line.strip()) for number, line in enumerate(text.rstrip().splitlines(), start=1))


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
