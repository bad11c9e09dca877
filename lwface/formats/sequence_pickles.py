"""``pose.pkl`` and ``signatures.pkl`` of the faceless challenge, read without running anything in them.

Both are pickles of a dictionary that Python 2 wrote: ``paths``, a list of N frames' paths, and arrays of NumPy's, a row
a frame: ``keypoints`` (N, 17, 2) and ``scores`` (N, 17), or ``signatures`` (N, D). Keypoints are x and y as parts of
the picture's width and height, in the order of :data:`KEYPOINTS`; a score of 0 or less means that the point is not
there.

They are written as Python 2's pickler does (protocol 2, ``numpy.core``, arrays as its byte strings), so that the
challenge's own reader takes them, under Python 2 and 3. What NumPy 2 pickles itself it does not take: the module
named in it, ``numpy._core``, is not in any NumPy of Python 2.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike, replacing
from lwface.formats.guarded_pickle import PREVIEW, GuardedTable, PickledArray, PickleError, failure, kind

KEYPOINTS = (  # MS COCO's order
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
# A path takes two or three instructions in twenty bytes or more.
INSTRUCTIONS_A_BYTE, MIN_INSTRUCTIONS = 0.5, 1000
LONGEST = 2**31 - 1  # bytes of one array: what Python 2's byte strings can say
_NOT = "not a pickle of the faceless challenge"


class FramePoses(NamedTuple):
    """Points of N frames.

    Attributes:
        paths: of the frames.
        keypoints: (N, 17, 2) float64, x and y.
        scores: (N, 17) float32; those up to 0 are of points that are not there.
    """

    paths: list[str]
    keypoints: NDArray[np.float64]
    scores: NDArray[np.float32]


class Signatures(NamedTuple):
    """Features of N frames.

    Attributes:
        paths: of the frames.
        signatures: (N, D) float32.
    """

    paths: list[str]
    signatures: NDArray[np.float32]


def read_pose(path: PathLike) -> FramePoses:
    """``paths, keypoints, scores`` of a ``pose.pkl``.

    Raises:
        UserError: not such a file, damaged, or what is in it does not fit together.
    """
    paths, (keypoints, scores) = _read(path, "keypoints", "scores")
    points = len(KEYPOINTS)
    for name, array, shape in (
        ("keypoints", keypoints, (len(paths), points, 2)),
        ("scores", scores, (len(paths), points)),
    ):
        if array.shape != shape:
            raise UserError(f"{path}: {name} of shape {array.shape} for {len(paths)} paths; expected {shape}")
    return FramePoses(
        paths, _finite(path, "keypoints", keypoints, np.float64), _finite(path, "scores", scores, np.float32)
    )


def read_signatures(path: PathLike) -> Signatures:
    """``paths, signatures`` of a ``signatures.pkl``.

    Raises:
        UserError: not such a file, damaged, or what is in it does not fit together.
    """
    paths, (array,) = _read(path, "signatures")
    if array.ndim != 2 or len(array) != len(paths) or not array.shape[1]:
        raise UserError(f"{path}: signatures of shape {array.shape} for {len(paths)} paths; expected ({len(paths)}, D)")
    return Signatures(paths, _finite(path, "signatures", array, np.float32))


def write_signatures(path: PathLike, paths: Sequence[str], signatures: NDArray[np.floating]) -> None:
    """Write ``signatures.pkl`` as published, beside and renamed; equal content gives equal bytes.

    Args:
        path: the file.
        paths: of N frames.
        signatures: (N, D); written as float32.

    Raises:
        UserError: they do not fit together, a path is no plain ASCII, or the array takes 2 GiB or more.
    """
    array = np.ascontiguousarray(signatures, dtype="<f4")
    if array.ndim != 2 or len(array) != len(paths):
        raise UserError(f"{path}: signatures of shape {array.shape} for {len(paths)} paths")
    if array.nbytes > LONGEST:
        most = LONGEST // max(1, 4 * array.shape[1])
        raise UserError(
            f"{path}: {len(array)} signatures take {array.nbytes} bytes, Python 2 reads {most} of this width"
        )
    _write(path, paths, {"signatures": array})


def write_pose(
    path: PathLike, paths: Sequence[str], keypoints: NDArray[np.floating], scores: NDArray[np.floating]
) -> None:
    """Write ``pose.pkl`` as published, beside and renamed; equal content gives equal bytes.

    Args:
        path: the file.
        paths: of N frames.
        keypoints: (N, 17, 2), x and y as parts of the picture's sides; written as float64.
        scores: (N, 17), up to 0 where a point is not there; written as float32.

    Raises:
        UserError: they do not fit together, a path is no plain ASCII, or an array takes 2 GiB or more.
    """
    points, sure = np.ascontiguousarray(keypoints, dtype="<f8"), np.ascontiguousarray(scores, dtype="<f4")
    expected = (len(paths), len(KEYPOINTS))
    if points.shape != (*expected, 2) or sure.shape != expected:
        raise UserError(f"{path}: keypoints of shape {points.shape}, scores of {sure.shape} for {len(paths)} paths")
    if points.nbytes > LONGEST:
        raise UserError(f"{path}: keypoints take {points.nbytes} bytes, Python 2 reads {LONGEST}")
    _write(path, paths, {"keypoints": points, "scores": sure})


def _write(path: PathLike, paths: Sequence[str], arrays: dict[str, NDArray[Any]]) -> None:
    """Write paths and arrays of little-endian floats as Python 2's pickler does."""
    with replacing(path) as file:
        file.write(pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK)
        file.write(_string(b"paths") + pickle.EMPTY_LIST + pickle.MARK)
        for name in paths:
            if not name.isascii():  # Python 3 would take the bytes for latin1
                raise UserError(f"{path}: {name!r} is not ASCII, which the challenge's reader would read otherwise")
            file.write(_string(name.encode()))
        file.write(pickle.APPENDS)
        for name, array in arrays.items():
            _write_array(file, name, array)
        file.write(pickle.SETITEMS + pickle.STOP)


def _write_array(file: IO[bytes], name: str, array: NDArray[Any]) -> None:
    """The key and its array, C-contiguous, of 2 or 3 dimensions."""
    file.write(_string(name.encode()))
    file.write(pickle.GLOBAL + b"numpy.core.multiarray\n_reconstruct\n" + pickle.GLOBAL + b"numpy\nndarray\n")
    file.write(_whole(0) + pickle.TUPLE1 + _string(b"b") + pickle.TUPLE3 + pickle.REDUCE)
    file.write(pickle.MARK + _whole(1) + b"".join(map(_whole, array.shape)))
    file.write({2: pickle.TUPLE2, 3: pickle.TUPLE3}[array.ndim])
    kind = f"f{array.itemsize}".encode()
    file.write(pickle.GLOBAL + b"numpy\ndtype\n" + _string(kind) + _whole(0) + _whole(1) + pickle.TUPLE3)
    file.write(pickle.REDUCE + pickle.MARK + _whole(3) + _string(b"<") + 3 * pickle.NONE)
    file.write(_whole(-1) + _whole(-1) + _whole(0) + pickle.TUPLE + pickle.BUILD + pickle.NEWFALSE)
    file.write(pickle.BINSTRING + struct.pack("<i", array.nbytes))
    file.write(array.data if array.size else b"")
    file.write(pickle.TUPLE + pickle.BUILD)


def _string(data: bytes) -> bytes:
    """A byte string of Python 2."""
    if len(data) < 256:
        return pickle.SHORT_BINSTRING + bytes([len(data)]) + data
    return pickle.BINSTRING + struct.pack("<i", len(data)) + data


def _whole(number: int) -> bytes:
    return pickle.BININT + struct.pack("<i", number)


def _read(path: PathLike, *names: str) -> tuple[list[str], list[NDArray[Any]]]:
    """The paths and the arrays ``names`` of a pickle, as they are stored."""
    data = Path(path).read_bytes()
    unpickler = GuardedTable(data, MIN_INSTRUCTIONS + int(len(data) * INSTRUCTIONS_A_BYTE))
    expected = ", ".join(("paths", *names))
    try:
        table = unpickler.load()
        if not isinstance(table, dict):
            raise PickleError(f"a dictionary was expected in it, not {kind(table)}")
        for name in ("paths", *names):
            if name not in table:
                held = ", ".join(key[:PREVIEW] for key in sorted(table)[:5])
                raise PickleError(f"it has no {name!r}, but {held or 'nothing'}")
        paths = [_path(entry) for entry in _entries(table["paths"])]
        arrays = [_array(name, table[name]) for name in names]
    except (Exception, RecursionError) as error:  # a damaged pickle can fail in any way, all of them the file's fault
        reason = unpickler.cut_short() or (error if isinstance(error, PickleError) else failure(error))
        raise UserError(f"{path}: {_NOT}, a dictionary with {expected}: {reason}") from None
    if not paths:
        raise UserError(f"{path}: names no frame")
    if len(set(paths)) < len(paths):
        seen: set[str] = set()
        twice = next(name for name in paths if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise UserError(f"{path}: {twice} is there twice")
    return paths, arrays


def _entries(value: Any) -> list[Any]:
    if isinstance(value, PickledArray) and len(value.shape) == 1:
        return value.entries()
    if isinstance(value, (list, tuple)):
        return list(value)
    raise PickleError(f"a list of paths was expected in it, not {kind(value)}")


def _path(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value  # bytes: text of Python 2
    if not isinstance(text, str) or not text:
        raise PickleError(f"a path was expected in it, not {kind(value)}")
    if text.startswith("/") or ".." in text.split("/") or "\0" in text:
        raise PickleError(f"a path in it leads out of its folder: {text[:60]!r}")
    return text


def _array(name: str, value: Any) -> NDArray[Any]:
    if not isinstance(value, PickledArray):
        raise PickleError(f"{name} should be an array, not {kind(value)}")
    return value.stored()


def _finite(path: PathLike, name: str, array: NDArray[Any], kind_of: type[np.floating]) -> NDArray[Any]:
    """The array in the machine's own numbers, none of which may be infinite or NaN."""
    if not np.issubdtype(array.dtype, np.floating):
        raise UserError(f"{path}: {name} are {array.dtype}; expected numbers with a point, such as float32")
    found = array.astype(kind_of)
    wrong = ~np.isfinite(found).reshape(len(found), -1).all(axis=1)
    if wrong.any():
        raise UserError(f"{path}: {name}: entry {int(wrong.argmax())} holds what is no finite number")
    return found
