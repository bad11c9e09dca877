"""``training.csv`` and ``test.csv`` of Kaggle's "Facial Keypoints Detection".

``training.csv`` has 30 columns of coordinates in pixels, ``left_eye_center_x,left_eye_center_y,...``, empty where a
point is not known, and the column ``Image``: 96 * 96 greys from 0 to 255, separated by blanks, row by row.
``test.csv`` has ``ImageId`` and ``Image``. The challenge's own files have 7049 and 1783 rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike, replacing
from lwface.base.progress import progress
from lwface.formats.keypoint_tables import FEATURES, POINTS, SIDE, coordinate, identifier, table

GREYS = SIDE * SIDE
_BLANK, _ZERO = ord(" "), ord("0")


class KeypointFaces(NamedTuple):
    """Faces to learn from.

    Attributes:
        images: (N, 96, 96) uint8.
        points: (N, 15, 2) float64, x then y, in pixels, in the order of ``POINTS``; NaN where a point is not known.
    """

    images: NDArray[np.uint8]
    points: NDArray[np.float64]

    def rows(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> KeypointFaces:
        """The rows ``chosen`` by position or by mask."""
        return KeypointFaces(self.images[chosen], self.points[chosen])

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N, 15): which points are known."""
        return np.asarray(~np.isnan(self.points).any(axis=2))


class AskedFaces(NamedTuple):
    """Faces whose points are asked for: ``ids (N,)`` int64 and ``images (N, 96, 96)`` uint8."""

    ids: NDArray[np.int64]
    images: NDArray[np.uint8]


def read_training(path: PathLike) -> KeypointFaces:
    """Read ``training.csv``.

    Raises:
        UserError: a column or a cell is wrong, or of a point one coordinate is known and the other is not; names file,
            line and column.
    """
    lines, images, rows = [], [], []
    for line, places, fields in progress(table(path, (*FEATURES, "Image")), label=f"reading {path}", unit="row"):
        lines.append(line)
        images.append(_greys(path, line, fields[places["Image"]]))
        rows.append([coordinate(path, line, name, fields[places[name]]) for name in FEATURES])
    points = np.array(rows).reshape(-1, len(POINTS), 2)
    for row, point in np.argwhere(np.isnan(points).any(axis=2) & ~np.isnan(points).all(axis=2)):
        axis = int(np.isnan(points[row, point]).argmax())
        column, other = (FEATURES[2 * point + which] for which in (axis, 1 - axis))
        raise UserError(f"{path}, line {lines[row]}, column {column}: is empty, while {other} is not")
    return KeypointFaces(np.stack(images), points)


def read_test(path: PathLike) -> AskedFaces:
    """Read ``test.csv``; :class:`UserError` where a column or cell is wrong or an ImageId is there twice."""
    ids: dict[int, int] = {}
    images = []
    for line, places, fields in progress(table(path, ("ImageId", "Image")), label=f"reading {path}", unit="row"):
        number = identifier(path, line, "ImageId", fields[places["ImageId"]])
        if number in ids:
            raise UserError(
                f"{path}, line {line}, column ImageId: {number} is there twice, first in line {ids[number]}"
            )
        ids[number] = line
        images.append(_greys(path, line, fields[places["Image"]]))
    return AskedFaces(np.array(list(ids), np.int64), np.stack(images))


def write_training(path: PathLike, faces: KeypointFaces) -> None:
    """Write ``training.csv``, beside and renamed; coordinates with three digits behind the point."""
    rows = ([coordinate_text(value) for value in points.ravel()] for points in faces.points)
    _write(path, (*FEATURES, "Image"), rows, faces.images)


def write_test(path: PathLike, faces: AskedFaces) -> None:
    """Write ``test.csv``, beside and renamed."""
    _write(path, ("ImageId", "Image"), ([str(number)] for number in faces.ids), faces.images)


def coordinate_text(value: float) -> str:
    """A coordinate as it is written: empty where it is not known."""
    return "" if np.isnan(value) else f"{value:.3f}"


def _write(path: PathLike, header: Iterable[str], rows: Iterable[list[str]], images: NDArray[np.uint8]) -> None:
    words = np.array([str(grey) for grey in range(256)], dtype=object)
    with replacing(path, "w", encoding="ascii", newline="\n") as file:
        file.write(",".join(header) + "\n")
        for cells, image in zip(rows, images, strict=True):
            file.write(",".join([*cells, " ".join(words[image.ravel()])]) + "\n")


def _greys(path: PathLike, line: int, cell: str) -> NDArray[np.uint8]:
    """The image (96, 96) of a cell: all numbers at once, and where anything is odd one by one, to say what."""
    found = _plain_greys(cell)
    return (_checked_greys(path, line, cell) if found is None else found).reshape(SIDE, SIDE)


def _plain_greys(cell: str) -> NDArray[np.uint8] | None:
    """The 9216 numbers of at most three digits in ``cell``, separated by one blank each; None where it is not so.

    A number's last digit is looked up, and its second last and third last where it has so many: a few passes over the
    bytes take three quarters of the time that NumPy's own reader of text needs, which also lets 256 be 0.
    """
    data = np.frombuffer(cell.encode("ascii", "replace"), np.uint8)
    blanks = np.flatnonzero(data == _BLANK)
    if len(blanks) != GREYS - 1:
        return None
    digits = data - _ZERO  # a blank becomes 240
    starts = np.concatenate(([0], blanks + 1))
    ends = np.concatenate((blanks, [len(data)])) - 1
    lengths = ends - starts + 1
    if lengths.min() < 1 or lengths.max() > 3 or np.count_nonzero(digits > 9) != len(blanks):
        return None
    values = digits[ends].astype(np.int16)
    for place in (1, 2):
        # Of a number that is shorter the index may be -1, whose value is not taken.
        values += np.where(lengths > place, digits[ends - place], 0).astype(np.int16) * 10**place
    return values.astype(np.uint8) if values.max() <= 255 else None


def _checked_greys(path: PathLike, line: int, cell: str) -> NDArray[np.uint8]:
    """The greys of a cell with more blanks or zeros than needed; :class:`UserError` for what is no image."""
    where = f"{path}, line {line}, column Image"
    words = cell.split()
    if not words:
        raise UserError(f"{where}: is empty; expected {GREYS} greys")
    for number, word in enumerate(words, start=1):
        if not (word.isascii() and word.isdecimal() and int(word) <= 255):
            raise UserError(f"{where}: grey number {number} is {word[:20]!r}; expected a whole number from 0 to 255")
    if len(words) != GREYS:
        raise UserError(f"{where}: {len(words)} greys; expected {GREYS}, {SIDE} rows of {SIDE}")
    return np.array(words, dtype=np.int64).astype(np.uint8)
