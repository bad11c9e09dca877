"""The frame of a JPEG (ITU-T T.81, annex B): its segments, its scans, its end; nothing is decoded.

What libjpeg, and Pillow and OpenCV with it, pass over is passed over: any number of bytes 0xFF before a marker, bytes
that belong to nothing before one, and whatever follows the end. Where the end comes too early, decoders fill the rest
of the picture with grey and only warn: here that is damage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from lwface.formats.image_files import JPEG_START

END = b"\xff\xd9"
SOS, APP1 = 0xDA, 0xE1
MAX_SCANNED_PIXELS = 1 << 30  # of all scans of a progressive JPEG, which has about 10

# Inside compressed data 0xFF is followed by 0 (a literal 0xFF) or starts a marker (any number of fill bytes 0xFF).
_NOT_STUFFED = re.compile(rb"\xff[^\x00]", re.DOTALL)  # where a marker may begin; 16 times as fast to search for
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_SOI, _EOI, _DRI, _TEM = 0xD8, 0xD9, 0xDD, 0x01
_RESTARTS = range(0xD0, 0xD8)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the SOFn markers; the three left out are tables
# What may stand between two scans of a progressive JPEG: tables, restart interval, line count, APPn, comment.
_BETWEEN_SCANS = frozenset({0xC4, 0xCC, 0xDB, _DRI, 0xDC, 0xFE, *range(0xE0, 0xF0)})
_COEFFICIENTS = 64  # of a block
_SHORTEST_TRAILER = 16  # bytes
_LONGEST_HEADER = 4096  # bytes; pictures of cameras have thumbnails and profiles in theirs, each another
_HEADERS_KEPT = 8  # a data set's images were written by one program, and mostly have one header but for their size
# Entropy-coded bytes without 0xFF, the first bit 1. A decoder that still waits for some makes of them something else
# than of the zeros that it fills in at the end.
_CONTINUATION = bytes(range(0xA9, 0xE9))


class Damage(Exception):
    """What is wrong with a file, in a few words."""


class Segment(NamedTuple):
    """A marker and where the bytes that belong to it begin and end, its length left out."""

    marker: int
    start: int
    end: int
    strays: int  # bytes before it that belong to nothing


@dataclass
class Frame:
    """What a walk through a JPEG found.

    Attributes:
        end: the byte after its first end marker.
        scans: how many there are.
        strays: bytes between the header's segments that belong to nothing.
        restarting: whether restart markers were announced.
        restarts: how many of them the last scan has.
        final: whether the scans give every coefficient of every component to its last bit.
    """

    size: tuple[int, int]
    end: int = 0
    scans: int = 0
    strays: int = 0
    restarting: bool = False
    restarts: int = 0
    final: bool = False
    lowest_bits: dict[int, list[int]] = field(default_factory=dict)  # of each component, by coefficient; -1: not yet

    def add_scan(self, header: bytes) -> None:
        """The scan with the header ``header`` begins."""
        self.scans, self.restarts = self.scans + 1, 0
        count = header[0] if header else 0
        if len(header) != 4 + 2 * count:
            raise Damage("a scan of the JPEG has a header of a wrong length")
        first, last, bits = header[-3:]
        for component in header[1 : 1 + 2 * count : 2]:
            found = self.lowest_bits.setdefault(component, [-1] * _COEFFICIENTS)
            found[first : last + 1] = [bits & 15] * len(found[first : last + 1])

    def all_given(self, components: int) -> bool:
        """Whether the scans so far give everything of so many components."""
        return len(self.lowest_bits) == components and not any(map(any, self.lowest_bits.values()))


class _Header(NamedTuple):
    """What a whole header says.

    Attributes:
        data: its bytes, up to the first scan.
        size: of the first frame in it.
        components: of the picture.
        frame: with the first scan begun.
    """

    data: bytes
    size: tuple[int, int]
    components: int
    frame: Frame


_late_headers: tuple[_Header, ...] = ()  # latest first; replaced as a whole, as threads read it


def header_segments(data: bytes) -> Iterator[Segment]:
    """The segments of a JPEG up to its first scan header, which is the last one given.

    Raises:
        Damage: it ends before, or a marker stands there that has no segment.
    """
    position = len(JPEG_START)
    while True:
        match = _MARKER.search(data, position)
        if match is None or match.end() + 2 > len(data):
            raise Damage("the JPEG is cut short in its header")
        marker = match.group(1)[0]
        if marker in (_SOI, _EOI, _TEM) or marker in _RESTARTS:  # these have no length: what follows would be misread
            raise Damage("the JPEG ends before its picture")
        length = int.from_bytes(data[match.end() : match.end() + 2], "big")
        if length < 2:
            raise Damage(f"a segment of length {length} at byte {match.start()} of the JPEG")
        end = match.end() + length
        yield Segment(marker, match.end() + 2, end, match.start() - position)
        if marker == SOS:
            return
        position = end


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """``(height, width)`` from the frame header; None where there is none before the first scan."""
    if (known := _known_header(data)) is not None:
        return known.size
    try:
        return next((_size(data, segment) for segment in header_segments(data) if segment.marker in _FRAMES), None)
    except Damage:
        return None


def walk(data: bytes) -> Frame:
    """Walk the segments up to the first scan, then the markers in the scans up to the first end marker.

    Raises:
        Damage: the file is cut short, or holds a marker that does not belong where it is.
    """
    header = _known_header(data) or _walk_header(data)
    position, components, begun = len(header.data), header.components, header.frame
    # What further scans change is this picture's own.
    frame = replace(begun, lowest_bits={component: [*bits] for component, bits in begun.lowest_bits.items()})
    for match in _markers_in_scans(data, position):
        marker = match.group(1)[0]
        if match.start() < position:  # inside a table between two scans
            continue
        if marker == _EOI:
            frame.end, frame.final = match.end(), frame.all_given(components)
            _check_scans(frame)
            return frame
        if marker in _RESTARTS:
            if not frame.restarting:
                raise Damage(f"a stray restart marker at byte {match.start()}")
            frame.restarts += 1
        elif marker == SOS or marker in _BETWEEN_SCANS:
            frame.restarting |= marker == _DRI
            position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
            if marker == SOS:
                frame.add_scan(data[match.end() + 2 : position])
        else:
            raise Damage(f"a stray marker 0x{marker:02X} at byte {match.start()}")
    raise Damage("the JPEG is cut short: it has no end marker")


def _known_header(data: bytes) -> _Header | None:
    """The header of ``data``, where one of the same bytes was walked lately: it says the same."""
    return next((header for header in _late_headers if data.startswith(header.data)), None)


def _walk_header(data: bytes) -> _Header:
    global _late_headers
    segments = list(header_segments(data))
    frames = [segment for segment in segments if segment.marker in _FRAMES]
    if not frames:
        raise Damage("the JPEG has no picture size")
    frame = Frame(
        _size(data, frames[-1]),
        strays=sum(segment.strays for segment in segments),
        restarting=any(segment.marker == _DRI for segment in segments),
    )
    end = segments[-1].end
    frame.add_scan(data[segments[-1].start : end])  # which refuses one that is cut short
    components = int.from_bytes(data[frames[-1].start + 5 : frames[-1].start + 6], "big")
    header = _Header(data[:end], _size(data, frames[0]), components, frame)
    if end <= min(_LONGEST_HEADER, len(data)):
        _late_headers = (header, *_late_headers[: _HEADERS_KEPT - 1])
    return header


def _markers_in_scans(data: bytes, position: int) -> Iterator[re.Match[bytes]]:
    """The markers from ``position`` on, one after the other, as ``_MARKER.finditer`` has them."""
    while (near := _NOT_STUFFED.search(data, position)) is not None:
        match = _MARKER.match(data, near.start())
        position = near.start() + 1 if match is None else match.end()
        if match is not None:
            yield match


def ends_again(data: bytes, frame: Frame) -> bool:
    """Whether what follows the end may be the rest of the picture: the end marker is damage inside it, then.

    A few bytes may, and what ends with an end marker of its own but has no start. Cameras and phones append anything
    else, further pictures among it.
    """
    rest = data[frame.end :].rstrip(b"\0\r\n")
    return 0 < len(rest) < _SHORTEST_TRAILER or (rest.endswith(END) and JPEG_START + b"\xff" not in rest)


def continued(data: bytes, frame: Frame) -> list[bytes]:
    """The picture up to its first end marker, first as it is, then with more compressed data before that marker.

    All decode to the same pixels where the last scan is complete, since decoders pass over what is too much. Where it
    is not, one is different: the data goes on within a restart interval, or with the next one.
    """
    cut = data[: frame.end].rstrip(b"\xd9").rstrip(b"\xff")
    more = [b"", _CONTINUATION]
    if frame.restarting:
        more.append(bytes((0xFF, _RESTARTS[frame.restarts % len(_RESTARTS)])) + _CONTINUATION)
    return [cut + bits + END for bits in more]


def _size(data: bytes, segment: Segment) -> tuple[int, int]:
    height, width = data[segment.start + 1 : segment.start + 3], data[segment.start + 3 : segment.start + 5]
    return int.from_bytes(height, "big"), int.from_bytes(width, "big")


def _check_scans(frame: Frame) -> None:
    """A scan of a few bytes makes a decoder go over the whole picture once more."""
    height, width = frame.size
    if frame.scans * height * width > MAX_SCANNED_PIXELS:
        raise Damage(f"the JPEG goes {frame.scans} times over {width}x{height} pixels")
