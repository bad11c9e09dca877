"""MXNet's ``PREFIX-%04d.params``: named arrays, read from every version and written byte for byte, without MXNet.

All numbers are little-endian. A file is ``uint64 0x112, uint64 0, uint64 count`` and the arrays, then ``uint64 count``
and the names, each ``uint64 length`` and UTF-8 bytes: ``arg:NAME`` for what is learned, ``aux:NAME`` for running
statistics. An array is

* ``uint32 magic`` (0xF993FAC8 version 1, 0xF993FAC9 version 2, 0xF993FACA version 3); files older than MXNet 1.0 have
  the rank in its place;
* versions 2 and 3: ``int32 storage type``, 0 for dense, the only kind that networks keep;
* ``uint32 rank`` and ``int64`` sizes; before 1.0 the sizes are ``uint32``;
* ``int32 device type, int32 device number, int32 number type``, and the numbers in row-major order.

A file is not trusted: every length is held against the bytes that are left before memory is asked for, so reading never
takes much more of it than the file is large.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike, replacing

FILE_MAGIC = 0x112
VERSION_1, VERSION_2, VERSION_3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
DENSE = 0
SPARSE = {-1: "undefined", 1: "row_sparse", 2: "csr"}
DEVICES = (1, 2, 3, 5)  # CPU, GPU, pinned and shared memory: where the array was when it was saved
BFLOAT16 = 12
NUMBER_TYPES = {
    0: "<f4",
    1: "<f8",
    2: "<f2",
    3: "|u1",
    4: "<i4",
    5: "|i1",
    6: "<i8",
    7: "|b1",
    8: "<i2",
    9: "<u2",
    10: "<u4",
    11: "<u8",
    BFLOAT16: "<u2",  # NumPy has no such type: the bits, widened to float32
}
MAX_RANK = 32
MAX_ARRAYS = 100_000  # r200 has 1 300
MAX_NAME_BYTES = 1024
MAX_SIZES_PRODUCT = 1 << 48  # of the sizes that are not 0, so that an empty array has sizes NumPy can hold


def read_params(path: PathLike) -> dict[str, np.ndarray]:
    """The arrays of a parameter file by name (``arg:NAME``, ``aux:NAME``), in the file's order and number types.

    bfloat16 comes as float32, which holds its values exactly.

    Raises:
        UserError: not such a file, damaged, or with arrays that are sparse, have no name or share one.
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            return _Reader(file, os.fstat(file.fileno()).st_size).content()
        except _DamageError as damage:
            raise UserError(f"{os.fspath(path)}: not an MXNet parameter file, or damaged: {damage}") from None


def write_params(path: PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as MXNet 1.9.1 does (version 2, on the CPU): the same arrays give the same bytes.

    Raises:
        ValueError: a number type MXNet does not have, an array without dimensions, a name that cannot be read back.
    """
    codes = {np.dtype(name): code for code, name in NUMBER_TYPES.items() if code not in (BFLOAT16, 8, 9, 10, 11)}
    with replacing(path) as file:
        file.write(struct.pack("<QQQ", FILE_MAGIC, 0, len(arrays)))
        for name, array in arrays.items():
            code = codes.get(array.dtype.newbyteorder("<"))
            if code is None or array.ndim == 0:
                raise ValueError(f"{name}: MXNet cannot save {array.dtype} of shape {array.shape}")
            file.write(struct.pack(f"<IiI{array.ndim}q", VERSION_2, DENSE, array.ndim, *array.shape))
            file.write(struct.pack("<iii", DEVICES[0], 0, code))
            file.write(np.ascontiguousarray(array, NUMBER_TYPES[code]).data)
        file.write(struct.pack("<Q", len(arrays)))
        for name in arrays:
            data = name.encode("utf-8")
            if problem := name_problem(name):
                raise ValueError(f"{name!r}: {problem}")
            file.write(struct.pack("<Q", len(data)) + data)


def name_problem(name: str) -> str | None:
    """Why ``name`` cannot be the name of an array or a layer; None for one that can.

    Names are only ever keys, never files; but one that climbs out of a folder, or that a terminal would act on, has
    been made to harm somebody.
    """
    if not name or len(name) > MAX_NAME_BYTES:
        return f"a name has 1 to {MAX_NAME_BYTES} characters, not {len(name)}"
    if not name.isprintable():
        return "a name has a character that cannot be printed"
    parts = name.replace(":", "/").split("/")
    if "\\" in name or name.startswith(("/", "~")) or ":/" in name or "." in parts or ".." in parts:
        return "a name is the path of a file"
    return None


class _DamageError(Exception):
    """What is wrong with the content; the caller adds the file's name."""


class _Reader:
    """Walks through a file once, never past its end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._left = file, size, size

    def content(self) -> dict[str, np.ndarray]:
        if self._left < 24 or self._unpack("<Q") != (FILE_MAGIC,) or self._unpack("<Q") != (0,):
            raise _DamageError(f"it does not begin with 0x{FILE_MAGIC:X} and 0")
        (count,) = self._unpack("<Q")
        if count > min(MAX_ARRAYS, self._left // 8):  # no array takes less
            raise _DamageError(f"{count} arrays do not fit into {self._size} bytes, or are more than {MAX_ARRAYS}")
        arrays = [self._array(f"array {i}") for i in range(count)]
        (named,) = self._unpack("<Q")
        if named != count:
            raise _DamageError(f"{count} arrays, but {named} names for them")
        found: dict[str, np.ndarray] = {}
        for array in arrays:
            name = self._name()
            if name in found:
                raise _DamageError(f"two arrays are called {name!r}")
            found[name] = array
        if self._left:
            raise _DamageError(f"{self._left} bytes follow its end")
        return found

    def _unpack(self, form: str) -> tuple[int, ...]:
        size = struct.calcsize(form)
        return struct.unpack(form, self._take(size, "a number"))

    def _take(self, size: int, what: str) -> bytes:
        if size > self._left:
            raise _DamageError(
                f"cut short: {what} needs {size} bytes at byte {self._size - self._left}, {self._left} are left"
            )
        data = self._file.read(size)
        if len(data) != size:
            raise _DamageError("it became shorter while it was read")
        self._left -= size
        return data

    def _name(self) -> str:
        (size,) = self._unpack("<Q")
        if size > MAX_NAME_BYTES:
            raise _DamageError(f"a name of {size} bytes; {MAX_NAME_BYTES} at most are read")
        data = self._take(size, "a name")
        try:
            name = data.decode("utf-8")
        except UnicodeDecodeError:
            raise _DamageError(f"the name {data[:40]!r} is not UTF-8") from None
        if problem := name_problem(name):
            raise _DamageError(f"{name[:40]!r}: {problem}")
        return name

    def _array(self, what: str) -> np.ndarray:
        (magic,) = self._unpack("<I")
        if magic in (VERSION_2, VERSION_3):
            (storage,) = self._unpack("<i")
            if storage != DENSE:
                kind = SPARSE.get(storage, f"unknown ({storage})")
                raise _DamageError(f"the storage of {what} is {kind}; only dense arrays can be read")
        versioned = magic in (VERSION_1, VERSION_2, VERSION_3)
        rank, size_type = (self._unpack("<I")[0], "q") if versioned else (magic, "I")
        if rank > MAX_RANK:
            place = "rank" if versioned else "version or rank"
            raise _DamageError(f"{what} has the {place} {rank}")
        if rank == 0 and magic != VERSION_3:  # before version 3 this stood for an array nothing is known of
            raise _DamageError(f"{what} was saved without a shape and without values")
        shape = self._unpack(f"<{rank}{size_type}")
        if any(size < 0 for size in shape):
            raise _DamageError(f"{what} has the shape {shape}")
        device, _, code = self._unpack("<iii")
        if device not in DEVICES:
            raise _DamageError(f"{what} was saved from a device of unknown type {device}")
        if code not in NUMBER_TYPES:
            raise _DamageError(f"{what} has the unknown number type {code}")
        return self._numbers(what, shape, code)

    def _numbers(self, what: str, shape: tuple[int, ...], code: int) -> np.ndarray:
        dtype = np.dtype(NUMBER_TYPES[code])
        count = math.prod(shape)
        if count * dtype.itemsize > self._left or math.prod(max(size, 1) for size in shape) > MAX_SIZES_PRODUCT:
            raise _DamageError(
                f"cut short: {what} of shape {shape} needs {count * dtype.itemsize} bytes, {self._left} are left"
            )
        values = np.fromfile(self._file, dtype, count)
        if len(values) != count:
            raise _DamageError("it became shorter while it was read")
        self._left -= values.nbytes
        if code == BFLOAT16:
            values = (values.astype("<u4") << 16).view("<f4")
        return values.reshape(shape)
