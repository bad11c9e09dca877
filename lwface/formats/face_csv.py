"""Faces found in photographs, as a csv that a person can look at, correct and give back: one line a face.

The columns are those of :data:`COLUMNS`, then ``x0,y0,...`` of 5 or 68 points. A line says of which ``image`` (the path
below its folder) it is face number ``face``, from 1, and whether it is to be used (``use``, 1 or 0). The box is the
least that holds the face's 68 points, in pixels of the picture as shown, as the points are. ``reason`` says why a face
is not used. An image without a face has a line too, with nothing but its name and the reason; points written into it,
and 1 under ``use``, make it a face.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike, write_text
from lwface.formats.landmark_csv import COUNTS, coordinate_names, parsed_points
from lwface.formats.text_files import table_rows

_FIGURES = ("left", "top", "right", "bottom", "score", "size", "residual", "sharpness")
COLUMNS = ("image", "face", "use", *_FIGURES, "reason")
_DIGITS = 3  # behind the point, of pixels: a thousandth moves no value of a crop


@dataclass(frozen=True, eq=False)
class FaceRow:
    """A line of the table.

    Attributes:
        image: its path below the folder.
        face: from 1; 0 for an image in which none was found.
        use: whether it becomes a crop.
        figures: by the names between ``use`` and ``reason``, what was measured: the box in pixels, the detector's
            score, the square root of the box's area, the residual of the fit to the template and the variance of the
            Laplacian, both in the 112x112 crop. Empty where there is no face.
        reason: why it is not used.
        points: (5 or 68, 2) float64; None where there are none.
    """

    image: str
    face: int
    use: bool
    figures: dict[str, float]
    reason: str
    points: NDArray[np.float64] | None


def is_face_table(path: PathLike) -> bool:
    """Whether the csv ``path`` has the columns of this format, rather than an image and its points alone."""
    return set(COLUMNS[:3]) <= set(_header(path))


def write_faces(path: PathLike, rows: Iterable[FaceRow], count: int) -> None:
    """Write the table of faces with ``count`` points each, beside and renamed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *coordinate_names(count)])
    for row in rows:
        figures = [f"{row.figures[name]:.{_DIGITS}f}" if row.figures else "" for name in _FIGURES]
        points = [""] * (2 * count) if row.points is None else [f"{x:.{_DIGITS}f}" for x in row.points.ravel()]
        writer.writerow([row.image, row.face or "", int(row.use), *figures, row.reason, *points])
    write_text(path, text.getvalue())


def read_faces(path: PathLike) -> list[FaceRow]:
    """The lines of the table, which may have been changed by hand; columns of figures may be empty or missing.

    Raises:
        UserError: the file is malformed, or a face that is to be used has no points; names file and line.
    """
    rows = table_rows(path)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    count = sum(name.startswith("x") and name[1:].isdigit() for name in header)
    there = set(header)
    missing = [name for name in (*COLUMNS[:3], *coordinate_names(count)) if name not in there]
    if missing or count not in COUNTS or len(there) != len(header):
        problem = f"has no column {missing[0]!r}" if missing else f"has {len(header)} columns, of {count} points"
        raise UserError(f"{path}: line 1 {problem}; expected {','.join(COLUMNS)},x0,y0,... for 5 or 68 points")
    found: list[FaceRow] = []
    seen: set[tuple[str, int]] = set()
    for line, fields in rows:
        if not fields:
            continue
        if len(fields) != len(header):
            raise UserError(f"{path}: line {line} has {len(fields)} columns, not {len(header)}")
        row = _face_row(f"{path}: line {line}", dict(zip(header, fields, strict=True)), count)
        if (row.image, row.face) in seen:
            raise UserError(f"{path}: line {line}: face {row.face} of {row.image} is there twice")
        seen.add((row.image, row.face))
        found.append(row)
    return found


def _header(path: PathLike) -> list[str]:
    return [name.strip() for name in next(table_rows(path), (1, []))[1]]


def _face_row(place: str, fields: dict[str, str], count: int) -> FaceRow:
    use = fields["use"].strip()
    if use not in ("0", "1"):
        raise UserError(f"{place}: use is {use!r}, expected 1 (a crop is made) or 0")
    face = fields["face"].strip() or ("1" if use == "1" else "0")
    if not face.isdigit() or len(face) > 9:
        raise UserError(f"{place}: face is {face!r}, expected its number in the picture, from 1")
    texts = [fields[name] for name in coordinate_names(count)]
    points = parsed_points(place, texts) if any(text.strip() for text in texts) else None
    if use == "1" and points is None:
        raise UserError(f"{place}: {fields['image']} is to be used and has no points; write them, or 0 under use")
    figures: dict[str, float] = {}
    for name in _FIGURES:
        text = fields.get(name, "").strip()
        if text:
            try:
                figures[name] = float(text)
            except ValueError:
                raise UserError(f"{place}: {name} is {text!r}, expected a number or nothing") from None
    return FaceRow(fields["image"], int(face), use == "1", figures, fields.get("reason", "").strip(), points)
