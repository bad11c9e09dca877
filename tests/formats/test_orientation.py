"""The EXIF orientation as OpenCV follows it, over byte orders, containers and places of the tag."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from lwface.formats.image import decode_rgb, encode_jpeg
from lwface.formats.orientation import carries_turn, is_mirrored, orientation, shown_points


def tiff(value: int, order: str = "<", kind: int = 3) -> bytes:
    """An EXIF block of one tag, the orientation."""
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIHHHI", 42, 8, 1, 0x112, kind, 1)
    return (
        start
        + struct.pack(f"{order}HH" if kind == 3 else f"{order}I", *([value, 0] if kind == 3 else [value]))
        + bytes(4)
    )


def with_exif(jpeg: bytes, *blocks: bytes) -> bytes:
    """The JPEG with these EXIF blocks, each in a segment APP1."""
    segments = (b"\xff\xe1" + struct.pack(">H", len(b) + 8) + b"Exif\0\0" + b for b in blocks)
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return cv2.resize(
        np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8), (70, 50), interpolation=cv2.INTER_CUBIC
    )


def png_with_exif(picture: np.ndarray, value: int) -> bytes:
    png = cv2.imencode(".png", picture)[1].tobytes()
    chunk = b"eXIf" + tiff(value, ">")
    return png[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("order", "<>")
def test_points_go_where_opencv_puts_the_pixels(picture: np.ndarray, value: int, order: str) -> None:
    data = with_exif(encode_jpeg(picture, 100), tiff(value, order))
    assert orientation(data) == value
    assert carries_turn(data) == (value != 1)
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[:, :, ::-1]
    shown = decode_rgb(data)
    assert shown is not None
    points = np.random.default_rng(value).integers(0, (70, 50), (40, 2))
    x, y = shown_points(points, value, shown.shape[:2]).T
    np.testing.assert_array_equal(shown[y, x], stored[points[:, 1], points[:, 0]])
    corner = shown_points(np.array([[0, 0], [9, 0], [0, 9]]), value, shown.shape[:2])
    turn = np.linalg.det((corner[1:] - corner[0]).astype(float))
    assert is_mirrored(value) == (turn < 0)


def test_which_of_several_tags_counts(picture: np.ndarray) -> None:
    jpeg = encode_jpeg(picture)
    for data, wanted, turns in (
        (jpeg, 1, False),
        (with_exif(jpeg, tiff(1), tiff(6)), 1, True),
        (with_exif(jpeg, tiff(6), tiff(1)), 6, True),
        (with_exif(jpeg, tiff(6, kind=4)), 6, True),
        (with_exif(jpeg, tiff(0)), 1, False),
        (with_exif(jpeg, tiff(9)), 1, False),
        (with_exif(jpeg, b"II*\0"), 1, False),
        (with_exif(jpeg, b"no TIFF"), 1, False),
        (with_exif(jpeg, tiff(6)[:15]), 1, False),
        (jpeg + with_exif(jpeg, tiff(6)), 1, False),  # the second picture of a phone's portrait
    ):
        assert (orientation(data), carries_turn(data)) == (wanted, turns)
        decoded = decode_rgb(data)
        assert decoded is not None
        assert (decoded.shape == (70, 50, 3)) == (wanted == 6)


def test_png_and_webp(picture: np.ndarray) -> None:
    png = png_with_exif(picture, 8)
    webp = cv2.imencode(".webp", picture)[1].tobytes()
    extended = b"VP8X" + struct.pack("<IB3x", 10, 8) + struct.pack("<I", 69)[:3] + struct.pack("<I", 49)[:3]
    chunks = b"WEBP" + extended + webp[12:] + b"EXIF" + struct.pack("<I", len(tiff(6))) + tiff(6)
    for data, wanted in ((png, 8), (b"RIFF" + struct.pack("<I", len(chunks)) + chunks, 6), (webp, 1)):
        decoded = decode_rgb(data)
        assert decoded is not None
        assert orientation(data) == wanted
        assert decoded.shape == ((70, 50, 3) if wanted != 1 else (50, 70, 3))
