"""``annot.pkl`` of the light-weight landmark challenge: which points each image of its folder has.

A pickle of ``(names, points)``: a list of file names, and one list of (x, y) an image, in its pixels. Nothing in it is
run; arrays of NumPy's in place of lists are read too.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike, replacing
from lwface.formats.guarded_pickle import GuardedUnpickler, PickledArray, PickleError, failure, kind

ANNOTATIONS = "annot.pkl"
# A pair of floats takes five instructions in 24 bytes; NumPy's float32 in protocol 4 0.59 a byte; [x, y] of two small
# whole numbers the most, 0.74. No more than this is needed by any way of writing it.
INSTRUCTIONS_A_BYTE = 0.8
MIN_INSTRUCTIONS = 1000


def read_annotations(path: PathLike, points: int = 68) -> dict[str, np.ndarray]:
    """The points (K, 2) float64 of each image, by its name in the folder of ``path``, in the file's order.

    Args:
        points: K, of which every image must have so many.

    Raises:
        UserError: not such a file, or damaged, with the entry where it is wrong.
    """
    data = Path(path).read_bytes()
    unpickler = GuardedUnpickler(data, MIN_INSTRUCTIONS + int(len(data) * INSTRUCTIONS_A_BYTE))
    try:
        names, lists = (_entries(part) for part in unpickler.load())
    except (Exception, RecursionError) as error:  # a damaged pickle can fail in any way, all of them the file's fault
        reason = unpickler.cut_short() or (error if isinstance(error, PickleError) else failure(error))
        raise UserError(f"{path}: not annotations, a pickle of (names, points): {reason}") from None
    if len(names) != len(lists):
        raise UserError(f"{path}: {len(names)} names for {len(lists)} lists of points")
    if not names:
        raise UserError(f"{path}: it names no image")
    found: dict[str, np.ndarray] = {}
    for number, (entry, values) in enumerate(zip(names, lists, strict=True)):
        name = _name(entry, f"{path}: entry {number}")
        if name in found:
            raise UserError(f"{path}: entry {number}: {name} is there twice")
        found[name] = _points(values, points, f"{path}: entry {number} ({name})")
    return found


def write_annotations(path: PathLike, annotations: Mapping[str, np.ndarray]) -> None:
    """Write ``annot.pkl`` as the challenge has it (protocol 3, lists of tuples); equal content gives equal bytes."""
    with replacing(path) as file:
        file.write(pickle.PROTO + b"\x03" + pickle.EMPTY_LIST + pickle.MARK)
        for name in annotations:
            text = name.encode()
            file.write(pickle.BINUNICODE + struct.pack("<I", len(text)) + text)
        file.write(pickle.APPENDS + pickle.EMPTY_LIST + pickle.MARK)
        for points in annotations.values():
            file.write(pickle.EMPTY_LIST + pickle.MARK)
            for x, y in points:
                pair = (pickle.BINFLOAT + struct.pack(">d", float(value)) for value in (x, y))
                file.write(b"".join(pair) + pickle.TUPLE2)
            file.write(pickle.APPENDS)
        file.write(pickle.APPENDS + pickle.TUPLE2 + pickle.STOP)


def _entries(value: Any) -> list[Any]:
    if isinstance(value, PickledArray):
        if len(value.shape) == 1:
            return value.entries()
        return list(value.numbers())
    if isinstance(value, (list, tuple)):
        return list(value)
    raise PickleError(f"a list was expected in it, not {kind(value)}")


def _name(value: Any, where: str) -> str:
    if isinstance(value, bytes):  # text of Python 2
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str) or not value or "\0" in value:
        raise UserError(f"{where}: a file name was expected, not {kind(value)}")
    if Path(value).is_absolute() or ".." in Path(value).parts:
        raise UserError(f"{where}: {value} leads out of the folder")
    return value


def _points(values: Any, count: int, where: str) -> np.ndarray:
    try:
        if isinstance(values, PickledArray):
            points = values.numbers()
        elif isinstance(values, np.ndarray):
            points = values
        else:
            points = np.array([[_number(number) for number in _entries(pair)] for pair in values], np.float64)
    except (PickleError, ValueError, TypeError) as error:
        raise UserError(f"{where}: no list of points: {error}") from None
    if points.shape != (count, 2):
        raise UserError(f"{where}: points of shape {points.shape}, expected {(count, 2)}")
    if not np.isfinite(points).all():
        raise UserError(f"{where}: a coordinate is not a finite number")
    return points


def _number(value: Any) -> float:
    if isinstance(value, PickledArray) and value.shape == ():
        value = value.scalar()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PickleError(f"a number was expected, not {kind(value)}")
    return float(value)
