"""Landmarks in a csv file: ``image,x0,y0,...,x4,y4`` or ``...,x67,y67``, in pixels, one image a line."""

from __future__ import annotations

import csv

import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike

COUNTS = (5, 68)


def read_landmarks(path: PathLike) -> dict[str, np.ndarray]:
    """The points ``(5 or 68, 2)`` float64 of each image; :class:`UserError` with the line where the file is wrong."""
    found: dict[str, np.ndarray] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            count = (len(header) - 1) // 2
            expected = ["image"] + [f"{axis}{i}" for i in range(count) for axis in "xy"]
            if count not in COUNTS or [name.strip() for name in header] != expected:
                raise UserError(
                    f"{path}: line 1 must be image,x0,y0,... for 5 or 68 points; it has {len(header)} columns"
                )
            for row in rows:
                if not row:
                    continue
                if len(row) != len(header):
                    raise UserError(f"{path}: line {rows.line_num} has {len(row)} columns, not {len(header)}")
                try:
                    points = np.array(row[1:], dtype=np.float64).reshape(count, 2)
                except ValueError as error:
                    raise UserError(f"{path}: line {rows.line_num}: {error}") from None
                if not np.isfinite(points).all():
                    raise UserError(f"{path}: line {rows.line_num}: a coordinate is not a finite number")
                if row[0] in found:
                    raise UserError(f"{path}: line {rows.line_num}: {row[0]} is there twice")
                found[row[0]] = points
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a csv file: {error}") from None
    return found
