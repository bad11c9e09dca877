"""Decoding is right on whole files and refuses damaged ones, whatever the decoder would make of them."""

from __future__ import annotations

import io
import re
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from lwface.base.errors import UserError
from lwface.formats.image import decode_rgb, encode_jpeg, image_damage, image_size, read_rgb
from lwface.formats.image_files import is_image_name
from lwface.formats.orientation import orientation


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


def pillow(data: bytes) -> np.ndarray:
    """What Pillow shows, the turn of EXIF included."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def opencv(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def boundaries(data: bytes) -> list[int]:
    """Where the header's segments begin."""
    found, position = [], 2
    while data[position + 1] != 0xDA:
        found.append(position)
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return [*found, position]


ODD_ENDS = {
    "twice": b"\xff\xd9",
    "three times, with padding": b"\xff\xff\xd9\0\0\xff\xd9\r\n",
    "a trailer that ends like a JPEG": b"AFCP" + bytes(40) + b"\xff\xd9",
    "a video": b"\0\0\0\x18ftypmp42" + bytes(range(200)),
    "a short trailer": b"SEFT",
    "a second picture, cut short": b"\xff\xd8\xff\xe0" + bytes(50),
}


@pytest.mark.parametrize("tail", ODD_ENDS)
@pytest.mark.parametrize("kind", JPEGS)
def test_what_follows_the_end_is_passed_over_as_decoders_do(picture: np.ndarray, kind: str, tail: str) -> None:
    data = encoded(picture, ".jpg", JPEGS[kind])
    odd = data + ODD_ENDS[tail]
    for decoder in (decode_rgb, pillow, opencv):
        np.testing.assert_array_equal(decoder(odd), decode_rgb(data))


@pytest.mark.parametrize("stray", [b"\xff", b"\xff\xff\xff", b"\0", b"\0\0", b"\r\n", b"\x12\x34\x56", b"\0\xff"])
@pytest.mark.parametrize("kind", JPEGS)
def test_bytes_before_a_marker_are_passed_over_as_decoders_do(picture: np.ndarray, kind: str, stray: bytes) -> None:
    data = encoded(picture, ".jpg", JPEGS[kind])
    expected = decode_rgb(data)
    for place in boundaries(data)[1:]:
        odd = data[:place] + stray + data[place:]
        assert image_size(odd) == (60, 50)
        for decoder in (decode_rgb, pillow, opencv):
            np.testing.assert_array_equal(decoder(odd), expected)


def test_the_turn_of_exif_is_found_behind_stray_bytes(picture: np.ndarray) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture).save(buffer, "JPEG", quality=95, exif=exif.tobytes())
    data = buffer.getvalue()
    for odd in (data, data[:2] + b"\xff\xff" + data[2:], data[:20] + b"\0\0" + data[20:]):
        assert orientation(odd) == 6
        assert decode_rgb(odd).shape == (50, 60, 3)
        np.testing.assert_array_equal(decode_rgb(odd), pillow(odd))


@pytest.mark.parametrize("kind", JPEGS)
def test_an_end_inside_the_picture_is_refused_wherever_it_is(picture: np.ndarray, kind: str) -> None:
    """Decoders make a picture of it that is grey from there on."""
    data = encoded(picture, ".jpg", JPEGS[kind])
    last = data.rindex(b"\xff\xda")
    begin = last + 2 + int.from_bytes(data[last + 2 : last + 4], "big")
    for place in range(begin, len(data) - 2):
        for damaged in (data[:place] + b"\xff\xd9" + data[place + 2 :], data[:place] + b"\xff\xd9" + data[place:]):
            found = decode_rgb(damaged)
            assert found is None or np.array_equal(found, decode_rgb(data)), place


def test_an_end_between_two_scans_is_refused(picture: np.ndarray) -> None:
    data = encoded(picture, ".jpg", JPEGS["progressive"])
    scans = [match.start() for match in re.finditer(rb"\xff\xda", data)]
    for place in scans[1:]:
        assert decode_rgb(data[:place] + b"\xff\xd9" + data[place:]) is None
        assert decode_rgb(data[:place] + b"\xff\xd9" + data[place + 2 :]) is None  # where the marker was


def test_stray_bytes_and_two_ends_together_are_damage(picture: np.ndarray) -> None:
    """A header that lost its length can lead into the thumbnail, which ends before the picture."""
    small = encoded(picture[:16, :16], ".jpg", [])
    data = encoded(picture, ".jpg", [])
    inside = b"\xff\xe1" + (12).to_bytes(2, "big") + b"Exif\0\0MM\0*" + bytes(9) + small[2:]
    assert decode_rgb(data[:2] + inside + data[2:]) is None
