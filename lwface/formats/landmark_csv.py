"""Landmarks in a csv file: ``image,x0,y0,...,x4,y4`` or ``...,x67,y67``, in pixels, one image a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.text_files import table_rows

COUNTS = (5, 68)


def read_landmarks(path: PathLike) -> dict[str, np.ndarray]:
    """The points ``(5 or 68, 2)`` float64 of each image; :class:`UserError` with the line where the file is wrong."""
    found: dict[str, np.ndarray] = {}
    rows = table_rows(path)
    header = next(rows, (1, []))[1]
    count = (len(header) - 1) // 2
    expected = ["image", *coordinate_names(count)]
    if count not in COUNTS or len(header) != len(expected):
        raise UserError(f"{path}: line 1 must be image,x0,y0,... for 5 or 68 points; it has {len(header)} columns")
    for place, (name, wanted) in enumerate(zip(header, expected, strict=True), start=1):
        if name.strip() != wanted:
            raise UserError(
                f"{path}: line 1 must be image,x0,y0,... for {count} points; column {place} is {name.strip()!r}, not "
                f"{wanted!r}"
            )
    for line, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise UserError(f"{path}: line {line} has {len(row)} columns, not {len(header)}")
        points = parsed_points(f"{path}: line {line}", row[1:])
        if row[0] in found:
            raise UserError(f"{path}: line {line}: {row[0]} is there twice")
        found[row[0]] = points
    return found


def coordinate_names(count: int) -> list[str]:
    """What the columns of ``count`` points are called: ``x0``, ``y0``, ``x1``, ..."""
    return [f"{axis}{i}" for i in range(count) for axis in "xy"]


def parsed_points(place: str, fields: Sequence[str]) -> np.ndarray:
    """The points ``(N, 2)`` float64 of the texts of their coordinates, in the order of :func:`coordinate_names`.

    Raises:
        UserError: a text is no number or not a finite one; names ``place`` and the column.
    """
    try:
        points = np.array(fields, dtype=np.float64)
    except ValueError:
        points = np.array([_number(text) for text in fields])
    wrong = np.flatnonzero(~np.isfinite(points))
    if len(wrong):
        column = coordinate_names(len(fields) // 2)[wrong[0]]
        raise UserError(f"{place}, column {column}: {fields[wrong[0]].strip()!r} is not a finite number")
    return points.reshape(-1, 2)


def _number(text: str) -> float:
    """The number that is written, NaN for none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
