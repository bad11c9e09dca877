"""What the tables of Kaggle's "Facial Keypoints Detection" have in common: the fifteen points by name, columns, cells.

https://www.kaggle.com/c/facial-keypoints-detection/data: "each predicted keypoint is specified by an (x,y) real-valued
pair in the space of pixel indices", so the centre of the picture's first pixel is (0, 0), and "left and right here
refers to the point of view of the subject": left is the person's left, which is the picture's right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from lwface.base.errors import UserError, unknown_name
from lwface.base.files import PathLike
from lwface.formats.text_files import table_rows
from lwface.formats.values import MISSING, whole_number

POINTS = (
    *("left_eye_center", "right_eye_center"),
    *("left_eye_inner_corner", "left_eye_outer_corner", "right_eye_inner_corner", "right_eye_outer_corner"),
    *("left_eyebrow_inner_end", "left_eyebrow_outer_end", "right_eyebrow_inner_end", "right_eyebrow_outer_end"),
    *("nose_tip", "mouth_left_corner", "mouth_right_corner", "mouth_center_top_lip", "mouth_center_bottom_lip"),
)
FOUR = ("left_eye_center", "right_eye_center", "nose_tip", "mouth_center_bottom_lip")  # those that most rows have
FEATURES = tuple(f"{point}_{axis}" for point in POINTS for axis in "xy")
SIDE = 96  # pixels of an image, either way
MOST = 2**63 - 1  # of a RowId or an ImageId: an int64
LOWEST, HIGHEST = 0.0, 96.0  # what a submission may hold

TRAINING, TEST, LOOKUP = "training.csv", "test.csv", "IdLookupTable.csv"


def challenge_file(folder: Path, name: str) -> Path:
    """The file ``name`` of the data set in ``folder``; :class:`UserError` where it is not there, with what to do."""
    path, packed = folder / name, folder / f"{Path(name).stem}.zip"
    if path.is_file():
        return path
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected the one with {TRAINING}, {TEST} and {LOOKUP}")
    remedy = f"unpack {packed}" if packed.is_file() else "get it from Kaggle, or make a set: datasets/make_keypoints.py"
    raise UserError(f"{path}: no such file: {remedy}")


def table(
    path: PathLike, required: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, int], list[str]]]:
    """Line number, place of each column and fields of each row; the columns may be in any order.

    Raises:
        UserError: a column is unknown, missing or there twice, a row has more or fewer fields, or there is no row.
    """
    rows = table_rows(path)
    first, header = next(rows, (1, []))
    places: dict[str, int] = {}
    for number, cell in enumerate(header, start=1):
        name = cell.strip()
        if name not in required and name not in optional:
            raise UserError(f"{path}, line {first}, column {number}: {unknown_name('column', name, required)}")
        if name in places:
            raise UserError(f"{path}, line {first}, column {number}: {name} is there twice")
        places[name] = number - 1
    for name in required:
        if name not in places:
            raise UserError(f"{path}, line {first}: there is no column {name}; expected {', '.join(required)}")
    empty = True
    for line, fields in rows:
        if len(fields) != len(header):
            raise UserError(f"{path}, line {line}: {len(fields)} columns, the header has {len(header)}")
        empty = False
        yield line, places, fields
    if empty:
        raise UserError(f"{path}: holds a header and no rows")


def identifier(path: PathLike, line: int, column: str, cell: str) -> int:
    """A RowId or an ImageId: a whole number from 0 to MOST; :class:`UserError` with the cell's place."""
    number = whole_number(cell)
    if number is None or not 0 <= number <= MOST:
        raise UserError(
            f"{path}, line {line}, column {column}: {cell.strip()!r} is not a whole number from 0 to {MOST}"
        )
    return number


def coordinate(path: PathLike, line: int, column: str, cell: str) -> float:
    """A coordinate in pixels, NaN where there is none; :class:`UserError` with the cell's place."""
    text = cell.strip()
    if not text or text in MISSING:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise UserError(f"{path}, line {line}, column {column}: {text!r} is not a coordinate in pixels")
    return value
