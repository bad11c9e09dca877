"""Headers and frames of TIFF, GIF and PNM files (PBM, PGM, PPM): their size, and whether they are cut short.

OpenCV decodes them; here is only what :mod:`lwface.formats.image` needs to know before it lets OpenCV at a file. Of
several pages or pictures in one file the first counts.
"""

from __future__ import annotations

import re
from typing import Literal

TIFF_STARTS = (b"II*\x00", b"MM\x00*")
GIF_STARTS = (b"GIF87a", b"GIF89a")
# The magic number, width, height and, but for bitmaps, the largest value; a comment may stand before each number.
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PNM = re.compile(rb"P([1-6])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})(?=[\s#])")
_PNM_LARGEST = re.compile(_GAP + rb"(\d{1,5})\s")

_WIDTH, _HEIGHT = 256, 257  # tags of TIFF 6.0
_PARTS = ((273, 279), (324, 325))  # offsets and lengths of strips, and of tiles
_BYTES = {1: 1, 3: 2, 4: 4}  # of the types BYTE, SHORT and LONG
_MOST_TAGS, _MOST_PARTS = 4096, 1 << 20  # a directory or a table of more is none


def other_size(data: bytes) -> tuple[int, int] | None:
    """``(height, width)`` from the header of a TIFF, GIF or PNM; None when it has no such header."""
    if data.startswith(TIFF_STARTS):
        tags = _tags(data)
        width, height = (next(iter(tags.get(tag, [])), 0) for tag in (_WIDTH, _HEIGHT))
        return (height, width) if height and width else None
    if data.startswith(GIF_STARTS) and len(data) >= 13:
        return int.from_bytes(data[8:10], "little"), int.from_bytes(data[6:8], "little")
    header = _PNM.match(data)
    return (int(header[3]), int(header[2])) if header else None


def other_damage(data: bytes) -> str | None:
    """What is wrong with the frame of a TIFF, GIF or PNM, in a few words; None when nothing is seen."""
    if data.startswith(TIFF_STARTS):
        return _tiff_damage(data)
    if data.startswith(GIF_STARTS):
        return None if _gif_has_a_picture(data) else "the GIF is cut short"
    if _PNM.match(data):
        return _pnm_damage(data)
    return None


def _tags(data: bytes) -> dict[int, list[int]]:
    """The whole-number entries of the first directory; of several with one tag the first."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little" if data.startswith(b"II") else "big")

    directory, found = number(4, 4), dict[int, list[int]]()
    for entry in range(min(number(directory, 2), _MOST_TAGS)):
        at = directory + 2 + 12 * entry
        tag, size, count = number(at, 2), _BYTES.get(number(at + 2, 2)), number(at + 4, 4)
        if at + 12 > len(data) or size is None or count > _MOST_PARTS:
            continue
        place = at + 8 if size * count <= 4 else number(at + 8, 4)
        if place + size * count <= len(data):
            found.setdefault(tag, [number(place + size * i, size) for i in range(count)])
    return found


def _tiff_damage(data: bytes) -> str | None:
    """The directory and each strip or tile lie inside the file (TIFF 6.0, sections 2, 7 and 15)."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    directory = int.from_bytes(data[4:8], order)
    entries = int.from_bytes(data[directory : directory + 2], order)
    if len(data) < directory + 2 + 12 * entries + 4:
        return "the TIFF is cut short"
    tags = _tags(data)
    offsets, lengths = next(
        ((tags[first], tags[second]) for first, second in _PARTS if first in tags and second in tags), ([], [])
    )
    if not offsets or len(offsets) != len(lengths):
        return "the TIFF is cut short, or has no picture"
    if any(offset + length > len(data) for offset, length in zip(offsets, lengths, strict=True)):
        return "the TIFF is cut short"
    return None


def _gif_has_a_picture(data: bytes) -> bool:
    """Walk the blocks up to the end of the first picture (GIF89a, appendix A)."""
    position = 13 + (3 * 2 << (data[10] & 7) if len(data) > 10 and data[10] & 0x80 else 0)
    while position < len(data):
        kind = data[position]
        if kind == 0x2C:  # a picture: its place, perhaps a table of colours, the size of its codes
            flags = data[position + 9] if position + 9 < len(data) else 0
            position += 11 + (3 * 2 << (flags & 7) if flags & 0x80 else 0)
        elif kind == 0x21:  # an extension
            position += 2
        else:
            return False
        while position < len(data) and data[position]:
            position += 1 + data[position]
        if position >= len(data):
            return False
        position += 1
        if kind == 0x2C:
            return True
    return False


def _pnm_damage(data: bytes) -> str | None:
    """Whether all pixels are there; those written as text (P1 to P3) are the decoder's to count."""
    header = _PNM.match(data)
    if header is None or header[1] in (b"1", b"2", b"3"):
        return None
    width, height, start = int(header[2]), int(header[3]), header.end()
    if header[1] == b"4":
        start, size = start + 1, (width + 7) // 8 * height
    else:
        largest = _PNM_LARGEST.match(data, start)
        if largest is None:
            return "the PNM has no largest value"
        start = largest.end()
        size = width * height * (3 if header[1] == b"6" else 1) * (2 if int(largest[1]) > 255 else 1)
    return "the PNM is cut short" if len(data) < start + size else None
