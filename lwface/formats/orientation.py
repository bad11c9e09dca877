"""The EXIF orientation of an encoded image: how a viewer turns the stored pixels into the picture as shown.

:func:`lwface.formats.image.decode_rgb` turns; MXNet's own reader does not. So what is written here carries no turn.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from lwface.formats.image_files import JPEG_START, PNG_START
from lwface.formats.jpeg import APP1, Damage, header_segments
from lwface.formats.other_images import TIFF_STARTS

UPRIGHT = 1
HEADER_BYTES = 1 << 17  # of a file, enough for the tag: a JPEG's segment has at most 64 KiB
_TAG, _SHORT, _LONG = 0x0112, 3, 4
_EXIF = b"Exif\x00\x00"


def orientation(data: bytes) -> int:
    """The EXIF orientation 1 to 8 by which ``data``, a JPEG, PNG, WebP or TIFF, is shown; 1 (upright) when it has none.

    JEITA CP-3451, tag 0x0112: 1 upright, 2 mirrored, 3 upside down, 4 both, 5 transposed, 6 to be turned clockwise,
    7 transposed the other way, 8 to be turned counterclockwise. Of several tags the first counts.
    """
    return next(_orientations(data), UPRIGHT)


def carries_turn(data: bytes) -> bool:
    """Whether any orientation tag in ``data`` is not upright: readers differ in which of several they heed."""
    return any(value != UPRIGHT for value in _orientations(data))


def shown_points(points: np.ndarray, value: int, size: tuple[int, int]) -> np.ndarray:
    """Where stored pixels ``points (..., 2)``, x and y, are in the picture shown of ``size`` (height, width)."""
    last_x, last_y = size[1] - 1, size[0] - 1
    x, y = (points[..., 1], points[..., 0]) if value >= 5 else (points[..., 0], points[..., 1])
    return np.stack((last_x - x if value in (2, 3, 6, 7) else x, last_y - y if value in (3, 4, 7, 8) else y), axis=-1)


def is_mirrored(value: int) -> bool:
    """Whether the orientation exchanges the picture's left and right, beyond any turn."""
    return value in (2, 4, 5, 7)


def _orientations(data: bytes) -> Iterator[int]:
    for block in _exif_blocks(data):
        value = _orientation_in(block)
        if value is not None:
            yield value


def _exif_blocks(data: bytes) -> Iterator[bytes]:
    """The TIFF structures that hold EXIF."""
    if data.startswith(JPEG_START):
        yield from _jpeg_blocks(data)
    elif data.startswith(PNG_START):
        yield from _chunks(data, len(PNG_START), b"eXIf")
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        yield from (block.removeprefix(_EXIF) for block in _chunks(data, 12, b"EXIF"))
    elif data.startswith(TIFF_STARTS):
        yield data


def _jpeg_blocks(data: bytes) -> Iterator[bytes]:
    with contextlib.suppress(Damage):
        for segment in header_segments(data):
            block = data[segment.start : segment.end]
            if segment.marker == APP1 and block.startswith(_EXIF):
                yield block.removeprefix(_EXIF)


def _chunks(data: bytes, position: int, wanted: bytes) -> Iterator[bytes]:
    """The chunks called ``wanted``: of a PNG (length, name, data, CRC) or of a RIFF (name, length, data, padding)."""
    png = data.startswith(PNG_START)
    while position + 8 <= len(data):
        first, second = data[position : position + 4], data[position + 4 : position + 8]
        name, length = (second, int.from_bytes(first, "big")) if png else (first, int.from_bytes(second, "little"))
        if name == wanted:
            yield data[position + 8 : position + 8 + length]
        position += 12 + length if png else 8 + length + length % 2


def _orientation_in(tiff: bytes) -> int | None:
    """The tag in the first directory; None where it is not there or not from 1 to 8."""
    if tiff[:2] not in (b"II", b"MM"):
        return None

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], "little" if tiff.startswith(b"II") else "big")

    directory = number(4, 4)
    for at in range(directory + 2, directory + 2 + 12 * number(directory, 2), 12):
        if at + 12 > len(tiff):
            return None
        if number(at, 2) == _TAG:
            kind = number(at + 2, 2)
            value = number(at + 8, 2 if kind == _SHORT else 4) if kind in (_SHORT, _LONG) else 0
            return value if 1 <= value <= 8 else None
    return None
