"""TIFF, GIF and PNM against Pillow: the same pixels where they are whole, no picture where they are cut anywhere."""

from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from lwface.formats.image import MAX_PIXELS, decode_rgb, image_damage, image_size
from lwface.formats.orientation import orientation

PICTURE = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8), (50, 60))
KINDS = {
    "tiff": {"format": "TIFF"},
    "tiff lzw": {"format": "TIFF", "compression": "tiff_lzw"},
    "tiff deflate": {"format": "TIFF", "compression": "tiff_deflate"},
    "tiff packbits": {"format": "TIFF", "compression": "packbits"},
    "gif": {"format": "GIF"},
    "ppm": {"format": "PPM"},
}
WITH_GIF = "GIF" in cv2.getBuildInformation() and decode_rgb(cv2.imencode(".gif", PICTURE)[1].tobytes()) is not None


def saved(mode: str = "RGB", **how: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PICTURE).convert(mode).save(file, **how)
    return file.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_pillow(kind: str, mode: str) -> None:
    data = saved(mode, **KINDS[kind])
    assert image_size(data) == (60, 50)
    assert image_damage(data) is None
    if kind != "gif" or WITH_GIF:
        np.testing.assert_array_equal(decode_rgb(data), by_pillow(data))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_no_picture(kind: str) -> None:
    data = saved(**KINDS[kind])
    tail = 2 if kind == "gif" else 0  # an end of the blocks, and of the file: no pixel is lost with them
    for end in range(1, len(data) - tail, 37):
        assert image_damage(data[:end]), end
        assert decode_rgb(data[:end]) is None


@pytest.mark.parametrize("value", range(1, 9))
def test_a_tiff_is_turned_as_its_tag_says(value: int) -> None:
    exif = Image.Exif()
    exif[0x112] = value
    data = saved(format="TIFF", exif=exif)
    assert orientation(data) == value
    np.testing.assert_array_equal(decode_rgb(data), by_pillow(data))


@pytest.mark.parametrize("comment", [b"", b"# by a camera\n"])
@pytest.mark.parametrize(("magic", "values"), [(b"P5", 1), (b"P6", 3)])
def test_a_pnm_with_comments(magic: bytes, values: int, comment: bytes) -> None:
    pixels = PICTURE[:, :, :values]
    data = magic + b"\n" + comment + b"50 60\n" + comment + b"255\n" + pixels.tobytes()
    np.testing.assert_array_equal(decode_rgb(data), np.broadcast_to(pixels, (60, 50, 3)))
    assert image_damage(data[:-1]) == "the PNM is cut short"


def test_bitmaps() -> None:
    data = saved("1", format="PPM")
    assert data.startswith(b"P4")
    np.testing.assert_array_equal(decode_rgb(data), by_pillow(data))
    assert image_damage(data[:-1]) == "the PNM is cut short"


def test_the_first_of_several_counts() -> None:
    for kind in ("TIFF", "GIF") if WITH_GIF else ("TIFF",):
        data = saved(format=kind, save_all=True, append_images=[Image.fromarray(255 - PICTURE)])
        np.testing.assert_array_equal(decode_rgb(data), by_pillow(data))


def test_sizes_that_no_memory_holds() -> None:
    tiff = bytearray(saved(format="TIFF"))
    place = tiff.index(struct.pack("<HHI", 256, 4, 1)) + 8  # the width, a LONG
    tiff[place : place + 4] = struct.pack("<I", 1 << 30)
    ppm = saved(format="PPM").replace(b"50 60", b"500000 600000")
    for data in (bytes(tiff), ppm):
        assert decode_rgb(data) is None
    assert f"more than {MAX_PIXELS}" in (image_damage(bytes(tiff)) or "")
