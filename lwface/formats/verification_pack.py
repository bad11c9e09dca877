"""Verification packs (``lfw.bin``, ``cfp_fp.bin``, ...): pairs of faces, same person or not.

A pack is a pickle of ``(images, issame)``: encoded images, two a pair in a row, and one truth value a pair. A pickle
can make Python call anything, so none is loaded with the plain unpickler: :func:`read_pack` interprets only the
instructions that lists of bytes, truth values and NumPy arrays need, and gives every name in the file a stand-in of its
own. It reads what Python 2 and 3 wrote, with images as byte strings, uint8 arrays or latin1 text (bytes of Python 2
that passed through Python 3), and truth values as booleans or as the numbers 0 and 1.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike, replacing
from lwface.formats.image import decode_rgb, image_damage

MAX_EXPANSION = 1000  # decoded bytes for one of a pack: a JPEG of one colour has 60, real faces 15
MIN_INSTRUCTIONS, BYTES_AN_INSTRUCTION = 10_000, 8  # an image has at most 20 instructions and 1000 bytes or more
_PREVIEW = 60


class PackError(UserError):
    """A verification pack is damaged, hostile or not a pack."""


@dataclass
class VerificationPack:
    """``2 P`` encoded images and ``issame (P,)`` bool; images ``2 i`` and ``2 i + 1`` are pair ``i``."""

    name: str
    images: list[bytes]
    issame: np.ndarray

    def __len__(self) -> int:
        return len(self.issame)

    def decode(self, image_size: tuple[int, int] = (112, 112)) -> np.ndarray:
        """All images as uint8 ``(2P, H, W, 3)`` RGB; :class:`PackError` for one that is damaged or not of that size."""
        different = {id(image): image for image in self.images}  # a pickle refers to one many times in two bytes each
        held = sum(map(len, different.values()))
        if len(self.images) * math.prod(image_size) * 3 > MAX_EXPANSION * held:
            raise PackError(f"{self.name}: {len(self.images)} images in {held} bytes: it repeats a few over and over")
        decoded = np.empty((len(self.images), *image_size, 3), dtype=np.uint8)
        for i, data in enumerate(self.images):
            image = decode_rgb(data)
            if image is None:
                raise PackError(f"{self.name}: image {i}: {image_damage(data) or 'not an image that can be decoded'}")
            if image.shape[:2] != tuple(image_size):
                (height, width), (want_height, want_width) = image.shape[:2], image_size
                raise PackError(f"{self.name}: image {i} is {width}x{height}; {want_width}x{want_height} expected")
            decoded[i] = image
        return decoded


def read_pack(path: PathLike) -> VerificationPack:
    """Read a pack without running anything in it; :class:`PackError` when it is not one. Named by the file's stem."""
    data = Path(path).read_bytes()
    try:
        content = _PackUnpickler(data).load()
        images, issame = content
        encoded = [_image_bytes(image) for image in _items(images)]
        same = np.array([_truth(value) for value in _items(issame)], dtype=bool)
    except PackError as error:
        raise PackError(f"{path}: {error}") from None
    except (Exception, RecursionError) as error:  # a damaged pickle can fail in any way, all of them the file's fault
        raise PackError(f"{path}: not a verification pack, a pickle of (images, issame): {_reason(error)}") from None
    if not encoded or len(encoded) != 2 * len(same):
        raise PackError(
            f"{path}: {len(encoded)} images for {len(same)} pairs; two a pair and one pair at least expected"
        )
    return VerificationPack(Path(path).stem, encoded, same)


def write_pack(path: PathLike, images: Iterable[bytes], issame: Sequence[bool] | np.ndarray) -> None:
    """Write a pack that any Python 3 reader of packs loads; equal content gives equal bytes.

    The pickle (protocol 3) is written instruction by instruction: images may come from a generator, and Python's own
    pickler would write an image that occurs twice in one of two ways.
    """
    same = np.asarray(issame, dtype=bool).tolist()
    count = 0
    with replacing(path) as file:
        file.write(pickle.PROTO + b"\x03" + pickle.EMPTY_LIST + pickle.MARK)
        for image in images:
            file.write(pickle.BINBYTES + struct.pack("<I", len(image)) + image)
            count += 1
        if count == 0 or count != 2 * len(same):
            raise PackError(f"{path}: {count} images for {len(same)} pairs; two a pair and one pair at least expected")
        file.write(pickle.APPENDS + pickle.EMPTY_LIST + pickle.MARK)
        file.write(b"".join(pickle.NEWTRUE if value else pickle.NEWFALSE for value in same))
        file.write(pickle.APPENDS + pickle.TUPLE2 + pickle.STOP)


def _reason(error: BaseException) -> str:
    if isinstance(error, (KeyError, IndexError)):  # of the unpickler's tables and stack
        return "an instruction or a reference in it is wrong"
    return " ".join(str(error).split())[:_PREVIEW] or type(error).__name__


def _items(value: Any) -> list[Any]:
    """The entries of a list, a tuple or an array."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, _Array):
        return value.entries()
    raise PackError(f"a list was expected in it, not {_kind(value)}")


def _image_bytes(value: Any) -> bytes:
    if isinstance(value, _Array):
        return value.raw_bytes()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str) and not value.isascii() and max(value) <= "\xff":  # Python 2's, read as latin1
        return value.encode("latin-1")
    raise PackError(f"an encoded image was expected in it, not {_kind(value)}")


def _truth(value: Any) -> bool:
    if isinstance(value, _Array) and value.shape == ():
        value = value.scalar()
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    shown = value if isinstance(value, (int, float)) else _kind(value)
    raise PackError(f"a truth value was expected in it, not {shown}")


def _kind(value: Any) -> str:
    """The type only: the text of a hostile value may take for ever."""
    return type(value).__name__.lstrip("_")


class _DType:
    """Stands in for ``numpy.dtype``: the kind and size of plain numbers, or ``O`` for references to objects."""

    def __init__(self, code: Any, *_flags: Any) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        if self.code not in ("u1", "i1", "b1", "i4", "i8", "u4", "u8", "f4", "f8", "O8", "O"):
            raise PackError("an array of this type does not belong in it")
        self.order = "<"

    def set_state(self, state: Any) -> None:
        """Only the byte order of the state matters for such types."""
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else order
        if self.order not in ("<", ">", "|", "="):
            raise PackError("damaged array type")

    def numpy(self) -> np.dtype[Any]:
        """The NumPy type; never one that holds references."""
        if self.code.startswith("O"):
            raise PackError("an array of objects where numbers were expected")
        return np.dtype(self.order.replace("|", "<") + self.code)


class _Array:
    """Stands in for ``numpy.ndarray``: shape, type and raw content, looked into only by the methods below."""

    def __init__(self, shape: tuple[int, ...] = (0,), dtype: _DType | None = None, content: Any = b"") -> None:
        self.shape, self.dtype, self.content = shape, dtype, content

    def set_state(self, state: Any) -> None:
        """NumPy's ``(version, shape, type, column-major, content)``."""
        _, shape, dtype, column_major, content = state
        if not isinstance(dtype, _DType) or not isinstance(shape, tuple) or len(shape) > 3:
            raise PackError("damaged array")
        if not all(isinstance(size, int) for size in shape) or (column_major and len(shape) > 1 and min(shape) > 1):
            raise PackError("damaged array")
        self.shape, self.dtype, self.content = shape, dtype, content

    def raw_bytes(self) -> bytes:
        """The content as an encoded image: uint8 (or int8, the same bytes), one-dimensional but for sizes of 1."""
        if (
            self.dtype is None
            or self.dtype.code not in ("u1", "i1")
            or not isinstance(self.content, (bytes, bytearray))
        ):
            raise PackError("an image array must hold uint8")
        if sorted(self.shape)[:-1] != [1] * (len(self.shape) - 1) or max(self.shape) != len(self.content):
            raise PackError(f"an image array of shape {self.shape} is not an encoded image")
        return bytes(self.content)

    def entries(self) -> list[Any]:
        """One entry for each element of a one-dimensional array, or each row of a two-dimensional uint8 one."""
        if self.dtype is None or len(self.shape) not in (1, 2):
            raise PackError("damaged array")
        if self.dtype.code.startswith("O"):
            if not isinstance(self.content, list) or self.shape != (len(self.content),):
                raise PackError("damaged array of objects")
            return self.content
        table = np.frombuffer(self.content, dtype=self.dtype.numpy()).reshape(self.shape)
        return table.tolist() if table.ndim == 1 else [row.tobytes() for row in table]

    def scalar(self) -> Any:
        """The only element."""
        if self.dtype is None:
            raise PackError("damaged array")
        return np.frombuffer(self.content, dtype=self.dtype.numpy(), count=1)[0].item()


def _reconstruct(*_arguments: Any) -> _Array:
    return _Array()


def _scalar(dtype: _DType, content: Any) -> _Array:
    if not isinstance(dtype, _DType):
        raise PackError("damaged number")
    return _Array((), dtype, content.encode("latin-1") if isinstance(content, str) else content)


def _from_buffer(content: Any, dtype: _DType, shape: tuple[int, ...], order: str, *_axes: Any) -> _Array:
    array = _Array()
    array.set_state((1, shape, dtype, order == "F", content))
    return array


def _encode(text: str, encoding: str) -> bytes:
    """Python 3 writes bytes so in protocols that Python 2 can read."""
    if encoding not in ("latin1", "latin-1"):
        raise PackError("an encoding in it is not latin1")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    return b""


_Call = Callable[..., Any]
# What stands for each name that a pack of bytes or arrays may hold; NumPy 2 renamed numpy.core to numpy._core.
_NAMES: dict[tuple[str, str], _Call] = {
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _Array,
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
            raise PackError("more instructions than the images of a file of its size need")
        return super().__getitem__(code)


class _PackUnpickler(pickle._Unpickler):
    """Python's own unpickler in its pure form, with fewer instructions.

    The compiled one is no base for this: it allocates what the file asks for (a memo of 64 GiB for one instruction of
    five bytes), and its instructions cannot be taken away.
    """

    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]

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

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False, encoding="bytes")
        # An instruction of one byte may take a hundred of memory.
        self.dispatch = _Counted(self.dispatch, MIN_INSTRUCTIONS + len(data) // BYTES_AN_INSTRUCTION)  # type: ignore[misc]

    def find_class(self, module: str, name: str) -> _Call:
        """The stand-in for a name; never an import."""
        try:
            return _NAMES[module, name]
        except (KeyError, TypeError):
            raise PackError(f"it asks for {f'{module}.{name}'[:_PREVIEW]!r}, which has no place in a pack") from None

    def load_reduce(self) -> None:
        """Call a stand-in, and nothing else."""
        arguments = self.stack.pop()
        function = self.stack[-1]
        if function not in _NAMES.values() or not isinstance(arguments, tuple):
            raise PackError("it asks to call something that cannot be called in a pack")
        self.stack[-1] = function(*arguments)

    def load_build(self) -> None:
        """Fill in an array or a type, and nothing else."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], (_Array, _DType)):
            raise PackError("it asks to change something that cannot be changed in a pack")
        self.stack[-1].set_state(state)

    def load_bytearray8(self) -> None:
        """Arrays in protocol 5. The base class would allocate before it reads."""
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(length))

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8
