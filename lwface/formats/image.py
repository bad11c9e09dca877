"""Images in memory are RGB, uint8, ``(H, W, 3)``; this is the one place that turns them into bytes and back.

OpenCV decodes and encodes. What decoders do with a damaged file differs between versions (an error, or a picture whose
lower half is grey), so the frame of a file is checked here first: a damaged image never becomes a picture. What all
decoders pass over alike (:mod:`lwface.formats.jpeg`) is no damage.
What no such check can see is a changed bit inside the compressed data that still decodes to some picture.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.image_files import JPEG_QUALITY, JPEG_START, PNG_START
from lwface.formats.jpeg import Damage, Frame, continued, ends_again, jpeg_size, walk
from lwface.formats.other_images import other_damage, other_size

MAX_PIXELS = 1 << 26  # 8192x8192: 400 MiB while it is decoded


def image_damage(data: bytes) -> str | None:
    """What is wrong with the frame of the encoded image ``data``, in a few words; None when nothing is seen."""
    if not data:
        return "the file is empty"
    if data.startswith(JPEG_START):
        damage = _jpeg_damage(data)
    elif data.startswith(PNG_START):
        damage = _png_damage(data)
    elif data.startswith(b"RIFF") and len(data) < 8 + int.from_bytes(data[4:8], "little"):
        damage = "the WebP is cut short"
    elif data.startswith(b"BM") and len(data) < int.from_bytes(data[2:6], "little"):
        damage = "the BMP is cut short"
    else:
        damage = other_damage(data)
    return damage or _size_damage(data)


def image_size(data: bytes) -> tuple[int, int] | None:
    """``(height, width)`` from the header of an image file; None when it has none of those that are read."""
    if data.startswith(JPEG_START):
        return jpeg_size(data)
    if data.startswith(PNG_START) and len(data) >= 24:
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    if data.startswith(b"BM") and len(data) >= 26:
        if int.from_bytes(data[14:18], "little") == 12:  # the first header, of OS/2
            return int.from_bytes(data[20:22], "little"), int.from_bytes(data[18:20], "little")
        width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
        return abs(height), abs(width)  # a negative height: rows from the top
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP" and len(data) >= 30:
        return _webp_size(data)
    return other_size(data)


def decode_rgb(data: bytes) -> np.ndarray | None:
    """Decode an image file to RGB uint8 ``(H, W, 3)``; None when it is damaged or larger than MAX_PIXELS.

    JPEG, PNG, BMP, WebP, TIFF, PNM, and GIF where OpenCV is built with it (from 4.11 on). The picture is the one shown:
    an EXIF orientation is followed. :func:`image_damage` says why where it can. Grey images become three equal
    channels, transparency is dropped; of several pages or pictures in a file the first counts.
    """
    if image_damage(data) is not None:
        return None
    bgr = _decoded(data)
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def read_rgb(path: PathLike) -> np.ndarray:
    """Read an image file as RGB uint8 ``(H, W, 3)``; :class:`UserError` naming the file when it does not decode."""
    data = Path(path).read_bytes()
    image = decode_rgb(data)
    if image is None:
        reason = image_damage(data) or "not an image that can be decoded"
        raise UserError(f"{path}: cannot read this image: {reason}; replace or remove it")
    return image


def encode_jpeg(rgb: np.ndarray, quality: int = JPEG_QUALITY) -> bytes:
    """Encode RGB uint8 ``(H, W, 3)`` as a JPEG of ``quality`` 0 to 100."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"an RGB uint8 image (H, W, 3) was expected, not {rgb.dtype} {rgb.shape}")
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"an image of {rgb.shape[1]}x{rgb.shape[0]} cannot be a JPEG")
    return encoded.tobytes()


def _size_damage(data: bytes) -> str | None:
    """A header may announce more pixels than there is memory for, whatever the file's size."""
    size = image_size(data)
    if size is None:
        return "not a JPEG, PNG, BMP, WebP, TIFF, GIF or PNM image"
    height, width = size
    if height * width > MAX_PIXELS:
        return f"its header announces {width}x{height} pixels, more than {MAX_PIXELS} are not read"
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """The sizes in the first chunk: lossy, lossless, or extended (the canvas)."""
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
        return height, width
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return height, width
    return None


def _jpeg_damage(data: bytes) -> str | None:
    """What the frame shows; and where the file ends twice, whether the picture is whole at the first end."""
    try:
        frame = walk(data)
    except Damage as damage:
        return str(damage)
    if not ends_again(data, frame) or _size_damage(data):
        return None
    if frame.strays or not frame.final or not _is_whole(data, frame):
        return "the JPEG ends twice, the first time before its picture is complete"
    return None


def _is_whole(data: bytes, frame: Frame) -> bool:
    """Whether a decoder waits for nothing more where the picture ends: it makes the same of any continuation."""
    first, *others = (_decoded(variant) for variant in continued(data, frame))
    return first is not None and all(other is not None and np.array_equal(first, other) for other in others)


def _decoded(data: bytes) -> np.ndarray | None:
    """What OpenCV makes of ``data``: BGR uint8 ``(H, W, 3)``."""
    try:
        return cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # such as more pixels than OpenCV agrees to decode
        return None


def _png_damage(data: bytes) -> str | None:
    """Walk the chunks up to IEND and check the CRC of each (PNG specification, section 5)."""
    position = len(PNG_START)
    while True:
        if position + 12 > len(data):
            return "the PNG is cut short"
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 8 + length
        if end + 4 > len(data):
            return "the PNG is cut short"
        if zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return f"the PNG chunk at byte {position} is damaged"
        if data[position + 4 : position + 8] == b"IEND":
            return None
        position = end + 4
