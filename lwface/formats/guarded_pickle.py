"""Pickles read without running anything in them: lists, tuples, text, numbers, and NumPy's arrays of these.

A pickle can make Python call anything, so none is loaded with the plain unpickler. :class:`GuardedUnpickler` interprets
only the instructions that data needs, and gives every name in the file a stand-in of its own; what it returns holds
:class:`PickledArray` where the file has an array.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from lwface.base.errors import UserError

PREVIEW = 60  # characters of something in a file that a message shows


class PickleError(UserError):
    """A pickle is damaged, hostile or holds more than data."""


def failure(error: BaseException) -> str:
    """Why reading failed, short: a damaged pickle can fail in any way, all of them the file's fault."""
    if isinstance(error, (KeyError, IndexError)):  # of the unpickler's tables and stack
        return "an instruction or a reference in it is wrong"
    return " ".join(str(error).split())[:PREVIEW] or type(error).__name__


def kind(value: Any) -> str:
    """The type of ``value`` only: the text of a hostile one may take for ever."""
    return "array" if isinstance(value, PickledArray) else type(value).__name__.lstrip("_")


class _DType:
    """Stands in for ``numpy.dtype``: the kind and size of plain numbers, or ``O`` for references to objects."""

    def __init__(self, code: Any, *_flags: Any) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        if self.code not in ("u1", "i1", "b1", "i4", "i8", "u4", "u8", "f2", "f4", "f8", "O8", "O"):
            raise PickleError("an array of this type does not belong in it")
        self.order = "<"

    def set_state(self, state: Any) -> None:
        """Only the byte order of the state matters for such types."""
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else order
        if self.order not in ("<", ">", "|", "="):
            raise PickleError("damaged array type")

    def numpy(self) -> np.dtype[Any]:
        """The NumPy type; never one that holds references."""
        if self.code.startswith("O"):
            raise PickleError("an array of objects where numbers were expected")
        return np.dtype(self.order.replace("|", "<") + self.code)


class PickledArray:
    """Stands in for ``numpy.ndarray``: shape, type and raw content, looked into only by the methods below."""

    def __init__(self, shape: tuple[int, ...] = (0,), dtype: _DType | None = None, content: Any = b"") -> None:
        self.shape, self.dtype, self.content = shape, dtype, content

    def set_state(self, state: Any) -> None:
        """NumPy's ``(version, shape, type, column-major, content)``."""
        _, shape, dtype, column_major, content = state
        if not isinstance(dtype, _DType) or not isinstance(shape, tuple) or len(shape) > 3:
            raise PickleError("damaged array")
        if not all(isinstance(size, int) for size in shape) or (column_major and len(shape) > 1 and min(shape) > 1):
            raise PickleError("damaged array")
        self.shape, self.dtype, self.content = shape, dtype, content

    def raw_bytes(self) -> bytes:
        """The content as an encoded image: uint8 (or int8, the same bytes), one-dimensional but for sizes of 1."""
        if (
            self.dtype is None
            or self.dtype.code not in ("u1", "i1")
            or not isinstance(self.content, (bytes, bytearray))
        ):
            raise PickleError("an image array must hold uint8")
        if sorted(self.shape)[:-1] != [1] * (len(self.shape) - 1) or max(self.shape) != len(self.content):
            raise PickleError(f"an image array of shape {self.shape} is not an encoded image")
        return bytes(self.content)

    def entries(self) -> list[Any]:
        """One entry for each element of a one-dimensional array, or each row of a two-dimensional uint8 one."""
        if self.dtype is None or len(self.shape) not in (1, 2):
            raise PickleError("damaged array")
        if self.dtype.code.startswith("O"):
            if not isinstance(self.content, list) or self.shape != (len(self.content),):
                raise PickleError("damaged array of objects")
            return self.content
        table = np.frombuffer(self.content, dtype=self.dtype.numpy()).reshape(self.shape)
        return table.tolist() if table.ndim == 1 else [row.tobytes() for row in table]

    def numbers(self) -> np.ndarray:
        """All elements as float64, in the array's shape."""
        return self.stored().astype(np.float64)

    def stored(self) -> np.ndarray:
        """All elements as they are stored, in the array's shape; not to be written to."""
        if self.dtype is None or not isinstance(self.content, (bytes, bytearray)):
            raise PickleError("damaged array")
        return np.frombuffer(self.content, dtype=self.dtype.numpy()).reshape(self.shape)

    def scalar(self) -> Any:
        """The only element."""
        if self.dtype is None:
            raise PickleError("damaged array")
        return np.frombuffer(self.content, dtype=self.dtype.numpy(), count=1)[0].item()


def _reconstruct(*_arguments: Any) -> PickledArray:
    return PickledArray()


def _scalar(dtype: _DType, content: Any) -> PickledArray:
    if not isinstance(dtype, _DType):
        raise PickleError("damaged number")
    return PickledArray((), dtype, content.encode("latin-1") if isinstance(content, str) else content)


def _from_buffer(content: Any, dtype: _DType, shape: tuple[int, ...], order: str, *_axes: Any) -> PickledArray:
    array = PickledArray()
    array.set_state((1, shape, dtype, order == "F", content))
    return array


def _encode(text: str, encoding: str) -> bytes:
    """Python 3 writes bytes so in protocols that Python 2 can read."""
    if encoding not in ("latin1", "latin-1"):
        raise PickleError("an encoding in it is not latin1")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    return b""


_Call = Callable[..., Any]
# What stands for each name that a pack of bytes or arrays may hold; NumPy 2 renamed numpy.core to numpy._core.
_NAMES: dict[tuple[str, str], _Call] = {
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): PickledArray,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
}
for _core in ("numpy.core", "numpy._core"):
    _NAMES[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _NAMES[f"{_core}.multiarray", "scalar"] = _scalar
    _NAMES[f"{_core}.numeric", "_frombuffer"] = _from_buffer


class _Counted(dict[int, Any]):
    """A table of instructions that can be looked into ``limit`` times."""

    def __init__(self, table: dict[int, Any], limit: int) -> None:
        super().__init__(table)
        self._left = limit

    def __getitem__(self, code: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise PickleError("more instructions than a file of its size needs")
        return super().__getitem__(code)


class _Source(io.BytesIO):
    """Bytes that know whether more of them were asked for than there are."""

    exhausted = False

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file's."""
        data = super().read(size)
        self.exhausted |= size is not None and len(data) < size
        return data

    def readline(self, size: int | None = -1, /) -> bytes:
        """As a file's."""
        line = super().readline(size)
        self.exhausted |= not line.endswith(b"\n")
        return line


class GuardedUnpickler(pickle._Unpickler):
    """Python's own unpickler in its pure form, with fewer instructions.

    The compiled one is no base for this: it allocates what the file asks for (a memo of 64 GiB for one instruction of
    five bytes), and its instructions cannot be taken away.

    Args:
        data: the pickle.
        instructions: how many may be read: one of a byte may take a hundred of memory.
    """

    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    dispatch: ClassVar[dict[int, Any]] = {
        code[0]: pickle._Unpickler.dispatch[code[0]]
        for code in (
            *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK),
            *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2),
            *(pickle.LONG, pickle.LONG1, pickle.FLOAT, pickle.BINFLOAT),
            *(pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINBYTES, pickle.SHORT_BINBYTES),
            *(pickle.BINBYTES8, pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE),
            *(pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS),
            *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
            *(pickle.GET, pickle.BINGET, pickle.LONG_BINGET, pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT),
            *(pickle.MEMOIZE, pickle.GLOBAL, pickle.STACK_GLOBAL),
        )
    }

    def __init__(self, data: bytes, instructions: int) -> None:
        self._source = _Source(data)
        super().__init__(self._source, fix_imports=False, encoding="bytes")
        self.dispatch = _Counted(self.dispatch, instructions)  # type: ignore[misc]

    def cut_short(self) -> str:
        """What is to be said where more bytes were asked for than there are; else nothing.

        A file that was cut short, unless a length in it is wrong.
        """
        size = self._source.getbuffer().nbytes
        return f"it ends early, after {size} bytes (cut short?); copy it again" if self._source.exhausted else ""

    def find_class(self, module: str, name: str) -> _Call:
        """The stand-in for a name; never an import."""
        try:
            return _NAMES[module, name]
        except (KeyError, TypeError):
            raise PickleError(f"it asks for {f'{module}.{name}'[:PREVIEW]!r}, which has no place in it") from None

    def load_reduce(self) -> None:
        """Call a stand-in, and nothing else."""
        arguments = self.stack.pop()
        function = self.stack[-1]
        if function not in _NAMES.values() or not isinstance(arguments, tuple):
            raise PickleError("it asks to call something that cannot be called in it")
        self.stack[-1] = function(*arguments)

    def load_build(self) -> None:
        """Fill in an array or a type, and nothing else."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], (PickledArray, _DType)):
            raise PickleError("it asks to change something that cannot be changed in it")
        self.stack[-1].set_state(state)

    def load_bytearray8(self) -> None:
        """Arrays in protocol 5. The base class would allocate before it reads."""
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(length))

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


class GuardedTable(GuardedUnpickler):
    """The same with dictionaries whose keys are text: what people pickle who want names for their arrays."""

    dispatch: ClassVar[dict[int, Any]] = dict(GuardedUnpickler.dispatch)

    def load_empty_dictionary(self) -> None:
        """A dictionary that is filled later."""
        self.append({})

    def load_dictionary(self) -> None:
        """A dictionary of all that lies above the mark: keys and values in turn."""
        entries = self.pop_mark()
        self.append(self._filled({}, entries))

    def load_entry(self) -> None:
        """Add one entry to the dictionary below it."""
        entry = [self.stack.pop(), self.stack.pop()][::-1]
        self._filled(self.stack[-1], entry)

    def load_entries(self) -> None:
        """Add all that lies above the mark to the dictionary below it."""
        entries = self.pop_mark()
        self._filled(self.stack[-1], entries)

    def _filled(self, table: Any, entries: list[Any]) -> dict[str, Any]:
        if not isinstance(table, dict) or len(entries) % 2:
            raise PickleError("it asks to change something that cannot be changed in it")
        for key, value in zip(entries[::2], entries[1::2], strict=True):
            name = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
            if not isinstance(name, str):
                raise PickleError(f"a name was expected in it, not {kind(key)}")
            table[name] = value
        return table

    dispatch[pickle.EMPTY_DICT[0]] = load_empty_dictionary
    dispatch[pickle.DICT[0]] = load_dictionary
    dispatch[pickle.SETITEM[0]] = load_entry
    dispatch[pickle.SETITEMS[0]] = load_entries
