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
    if count not in COUNTS or [name.strip() for name in header] != expected:
        raise UserError(f"{path}: line 1 must be image,x0,y0,... for 5 or 68 points; it has {len(header)} columns")
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
    """The points ``(N, 2)`` float64 of the texts of their coordinates; :class:`UserError` that names the ``place``."""
    try:
        points = np.array(fields, dtype=np.float64).reshape(-1, 2)
    except ValueError as error:
        raise UserError(f"{place}: {error}") from None
    if not np.isfinite(points).all():
        raise UserError(f"{place}: a coordinate is not a finite number")
    return points
