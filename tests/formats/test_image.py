"""Decoding is right on whole files and refuses damaged ones, whatever the decoder would make of them."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.image import decode_rgb, encode_jpeg, image_damage, image_size, read_rgb
from lwface.formats.image_files import is_image_name


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return cv2.resize(noise, (50, 60), interpolation=cv2.INTER_CUBIC)


JPEGS = {
    "baseline": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restart": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
    "optimised": [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
}


def encoded(picture: np.ndarray, ending: str, options: list[int]) -> bytes:
    return cv2.imencode(ending, picture[:, :, ::-1], options)[1].tobytes()


def test_channels_are_rgb() -> None:
    red = np.zeros((16, 16, 3), dtype=np.uint8)
    red[:, :, 0] = 255
    decoded = decode_rgb(encode_jpeg(red))
    assert decoded is not None
    assert decoded.dtype == np.uint8
    assert decoded[:, :, 0].min() > 240
    assert decoded[:, :, 1:].max() < 15


@pytest.mark.parametrize("ending", [".png", ".bmp"])
def test_lossless_formats_come_back(picture: np.ndarray, ending: str) -> None:
    np.testing.assert_array_equal(decode_rgb(encoded(picture, ending, [])), picture)


def test_grey_and_transparent_images_become_three_channels(picture: np.ndarray) -> None:
    grey = cv2.imencode(".png", picture[:, :, 0])[1].tobytes()
    np.testing.assert_array_equal(decode_rgb(grey), np.repeat(picture[:, :, :1], 3, axis=2))
    transparent = cv2.imencode(".png", np.dstack([picture[:, :, ::-1], np.full((60, 50), 9, np.uint8)]))[1].tobytes()
    np.testing.assert_array_equal(decode_rgb(transparent), picture)


@pytest.mark.parametrize("kind", JPEGS)
def test_jpeg_decodes_near_the_original(picture: np.ndarray, kind: str) -> None:
    data = encoded(picture, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95, *JPEGS[kind]])
    decoded = decode_rgb(data)
    assert decoded is not None
    assert np.abs(decoded.astype(int) - picture).mean() < 4
    assert image_size(data) == (60, 50)


@pytest.mark.parametrize("kind", JPEGS)
def test_every_truncation_of_a_jpeg_is_refused(picture: np.ndarray, kind: str) -> None:
    data = encoded(picture, ".jpg", JPEGS[kind])
    for length in range(len(data)):
        assert decode_rgb(data[:length]) is None, length
        assert image_damage(data[:length]) is not None or length == 1, length


@pytest.mark.parametrize("ending", [".png", ".bmp", ".webp"])
def test_truncated_other_formats_are_refused(picture: np.ndarray, ending: str) -> None:
    data = encoded(picture, ending, [])
    assert decode_rgb(data) is not None
    for length in range(0, len(data), 41):
        assert decode_rgb(data[:length]) is None, length


def test_every_flipped_byte_of_a_png_is_refused(picture: np.ndarray) -> None:
    data = encoded(picture, ".png", [])
    for position in range(8, len(data), 7):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        assert decode_rgb(bytes(damaged)) is None, position


def test_jpeg_cut_and_closed_or_with_stray_markers_is_refused(picture: np.ndarray) -> None:
    data = encoded(picture, ".jpg", [])
    middle = len(data) - 200
    assert decode_rgb(data[:middle] + b"\xff\xd9" + data[middle:]) is None  # an end inside the data
    assert decode_rgb(data[:middle] + b"\xff\xd3" + data[middle:]) is None  # a restart that was never announced
    assert decode_rgb(data[:middle] + b"\xff\xc0" + data[middle:]) is None  # a frame inside a scan
    assert decode_rgb(data[:middle] + bytes(len(data) - middle)) is None  # a hole of zeros to the end


def test_what_cameras_append_does_no_harm(picture: np.ndarray) -> None:
    data = encoded(picture, ".jpg", [])
    for tail in (b"\x00" * 7, b"SEFT-trailer", data):  # padding, a maker's trailer, a second picture
        np.testing.assert_array_equal(decode_rgb(data + tail), decode_rgb(data))


@pytest.mark.parametrize(
    "data", [b"", b"text", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n"]
)
def test_no_image_at_all(data: bytes) -> None:
    assert decode_rgb(data) is None


def announced(data: bytes, height: int, width: int) -> bytes:
    """``data`` with another size in its header; of a PNG and its checksum, too."""
    changed = bytearray(data)
    if data.startswith(b"\xff\xd8"):
        at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        changed[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    elif data.startswith(b"\x89PNG"):
        changed[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        changed[29:33] = zlib.crc32(changed[12:29]).to_bytes(4, "big")
    elif data.startswith(b"BM"):
        changed[18:26] = width.to_bytes(4, "little") + (-height).to_bytes(4, "little", signed=True)
    else:
        changed[26:30] = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return bytes(changed)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".webp"])
def test_a_header_that_announces_gigabytes_is_refused_unread(picture: np.ndarray, ending: str) -> None:
    data = encoded(picture, ending, [cv2.IMWRITE_WEBP_QUALITY, 50] if ending == ".webp" else [])
    assert image_size(data) == (60, 50)
    bomb = announced(data, 16000, 16000)
    assert image_size(bomb) == (16000, 16000)
    assert decode_rgb(bomb) is None
    assert image_damage(bomb) == "its header announces 16000x16000 pixels, more than 67108864 are not read"
    bomb = announced(data, 8000, 8000)
    assert image_damage(bomb) is None


def test_sizes_of_other_headers(picture: np.ndarray) -> None:
    lossless = encoded(picture, ".webp", [cv2.IMWRITE_WEBP_QUALITY, 101])
    assert lossless[12:16] == b"VP8L"
    assert image_size(lossless) == (60, 50)
    canvas = (
        b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + (16383).to_bytes(3, "little") + (9999).to_bytes(3, "little")
    )
    assert image_size(canvas) == (10000, 16384)
    assert image_damage(canvas) == "its header announces 16384x10000 pixels, more than 67108864 are not read"
    os2 = b"BM" + (40).to_bytes(4, "little") + bytes(8) + (12).to_bytes(4, "little") + bytes([7, 0, 9, 0]) + bytes(18)
    assert image_size(os2) == (9, 7)


def test_a_jpeg_of_many_scans_is_refused(picture: np.ndarray) -> None:
    data = announced(encoded(picture, ".jpg", JPEGS["progressive"]), 8000, 8000)
    last = data.rindex(b"\xff\xda")
    many = data[:last] + data[last:-2] * 20 + data[-2:]
    assert "times over 8000x8000 pixels" in (image_damage(many) or "")
    assert decode_rgb(many) is None


def test_formats_that_are_not_read(picture: np.ndarray) -> None:
    for data in (encoded(picture, ".jp2", []), b"P7\nWIDTH 50\n", b"II+\x00" + bytes(60)):  # the last: BigTIFF
        assert decode_rgb(data) is None
        assert image_damage(data) == "not a JPEG, PNG, BMP, WebP, TIFF, GIF or PNM image"


def test_read_rgb_names_file_and_reason(tmp_path, picture: np.ndarray) -> None:
    path = tmp_path / "face.jpg"
    path.write_bytes(encoded(picture, ".jpg", []))
    assert read_rgb(path).shape == (60, 50, 3)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"face\.jpg.*no end marker"):
        read_rgb(path)
    with pytest.raises(FileNotFoundError):
        read_rgb(tmp_path / "absent.jpg")


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_encode_wants_rgb(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="RGB uint8"):
        encode_jpeg(np.zeros(shape, np.uint8))


def test_image_names() -> None:
    assert is_image_name("A.JPG")
    assert is_image_name("a.png")
    assert not is_image_name("a.txt")
