"""Verification packs (``lfw.bin``, ``cfp_fp.bin``, ...): pairs of faces, same person or not.

A pack is a pickle of ``(images, issame)``: encoded images, two a pair in a row, and one truth value a pair. It is read
by :mod:`lwface.formats.guarded_pickle`, which runs nothing in it, whether Python 2 or 3 wrote it, with images as byte
strings, uint8 arrays or latin1 text (bytes of Python 2 that passed through Python 3), and truth values as booleans or
as the numbers 0 and 1.
"""

from __future__ import annotations

import math
import pickle
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike, replacing
from lwface.formats.guarded_pickle import GuardedUnpickler, PickledArray, PickleError, failure, kind
from lwface.formats.image import decode_rgb, image_damage

MAX_EXPANSION = 1000  # decoded bytes for one of a pack: a JPEG of one colour has 60, real faces 15
MIN_INSTRUCTIONS, BYTES_AN_INSTRUCTION = 10_000, 8  # an image has at most 20 instructions and 1000 bytes or more


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

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each different image stands first (U,), and which of these each of the ``2P`` images is (2P,)."""
        firsts: dict[bytes, int] = {}
        places = np.array([firsts.setdefault(image, len(firsts)) for image in self.images])
        return np.unique(places, return_index=True)[1], places

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
    unpickler = GuardedUnpickler(data, MIN_INSTRUCTIONS + len(data) // BYTES_AN_INSTRUCTION)
    try:
        images, issame = unpickler.load()
        encoded = [_image_bytes(image) for image in _items(images)]
        same = np.array([_truth(value) for value in _items(issame)], dtype=bool)
    except (Exception, RecursionError) as error:  # a damaged pickle can fail in any way, all of them the file's fault
        if early := unpickler.cut_short():
            raise PackError(f"{path}: not a whole verification pack: {early}") from None
        if isinstance(error, (PackError, PickleError)):
            raise PackError(f"{path}: {error}") from None
        raise PackError(f"{path}: not a verification pack, a pickle of (images, issame): {failure(error)}") from None
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


def _items(value: Any) -> list[Any]:
    """The entries of a list, a tuple or an array."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, PickledArray):
        return value.entries()
    raise PackError(f"a list was expected in it, not {kind(value)}")


def _image_bytes(value: Any) -> bytes:
    if isinstance(value, PickledArray):
        return value.raw_bytes()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str) and not value.isascii() and max(value) <= "\xff":  # Python 2's, read as latin1
        return value.encode("latin-1")
    raise PackError(f"an encoded image was expected in it, not {kind(value)}")


def _truth(value: Any) -> bool:
    if isinstance(value, PickledArray) and value.shape == ():
        value = value.scalar()
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    shown = value if isinstance(value, (int, float)) else kind(value)
    raise PackError(f"a truth value was expected in it, not {shown}")
