"""What becomes of an image file: taken as it is, encoded, aligned, resized or skipped with a reason."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.alignment import ARCFACE_TEMPLATE, align
from lwface.formats.image import decode_rgb, encode_jpeg
from lwface.formats.orientation import carries_turn
from lwface.making.face_crops import CropRecipe, Skip


@pytest.fixture
def face() -> np.ndarray:
    return cv2.resize(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8), (112, 112))


def test_a_jpeg_of_the_right_size_is_taken_byte_for_byte(tmp_path: Path, face: np.ndarray) -> None:
    data = encode_jpeg(face, 71) + b"trailer"
    (tmp_path / "a.jpg").write_bytes(data)
    assert CropRecipe(tmp_path).encoded("a.jpg") == data
    assert CropRecipe(tmp_path, resize=True).encoded("a.jpg") == data


def turned_by(value: int, jpeg: bytes) -> bytes:
    """``jpeg`` with an EXIF orientation."""
    block = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, value, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


@pytest.mark.parametrize("value", [3, 5, 6])
def test_a_turned_jpeg_of_the_right_size_is_written_upright(tmp_path: Path, face: np.ndarray, value: int) -> None:
    data = turned_by(value, encode_jpeg(face))
    (tmp_path / "a.jpg").write_bytes(data)
    written = CropRecipe(tmp_path).encoded("a.jpg")
    assert not carries_turn(written)
    as_mxnet_reads = cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    shown = decode_rgb(data)
    assert shown is not None
    assert np.abs(as_mxnet_reads[:, :, ::-1].astype(int) - shown).mean() < 2
    assert np.abs(as_mxnet_reads[:, :, ::-1].astype(int) - face).mean() > 20


def test_a_jpeg_whose_tag_says_upright_is_taken_byte_for_byte(tmp_path: Path, face: np.ndarray) -> None:
    data = turned_by(1, encode_jpeg(face))
    (tmp_path / "a.jpg").write_bytes(data)
    assert CropRecipe(tmp_path).encoded("a.jpg") == data


def test_a_png_of_the_right_size_is_encoded(tmp_path: Path, face: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), face[:, :, ::-1])
    assert CropRecipe(tmp_path, quality=80).encoded("a.png") == encode_jpeg(face, 80)


def test_landmarks_align(tmp_path: Path, face: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), face[:, :, ::-1])
    points = ARCFACE_TEMPLATE.astype(float) * 0.7 + 5
    recipe = CropRecipe(tmp_path, {"a.png": points})
    assert recipe.encoded("a.png") == encode_jpeg(align(face, points))


@pytest.mark.parametrize("shape", [(224, 224), (60, 200)])
def test_resize_only_where_asked(tmp_path: Path, face: np.ndarray, shape: tuple[int, int]) -> None:
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(cv2.resize(face, shape)))
    with pytest.raises(Skip, match="not 112x112"):
        CropRecipe(tmp_path).encoded("a.jpg")
    resized = decode_rgb(CropRecipe(tmp_path, resize=True).encoded("a.jpg"))
    assert resized is not None
    assert resized.shape == (112, 112, 3)
    assert np.abs(resized.astype(int) - face).mean() < 12


def test_reasons(tmp_path: Path, face: np.ndarray) -> None:
    (tmp_path / "cut.jpg").write_bytes(encode_jpeg(face)[:-30])
    (tmp_path / "text.jpg").write_bytes(b"text")
    (tmp_path / "whole.jpg").write_bytes(encode_jpeg(face))
    recipe = CropRecipe(tmp_path, {"cut.jpg": ARCFACE_TEMPLATE})
    assert "no end marker" in str(recipe.attempt("cut.jpg"))
    assert str(recipe.attempt("whole.jpg")) == "no landmarks"
    assert "not a JPEG" in str(CropRecipe(tmp_path).attempt("text.jpg"))
    assert "one place" in str(CropRecipe(tmp_path, {"whole.jpg": np.zeros((5, 2))}).attempt("whole.jpg"))
    with pytest.raises(FileNotFoundError):
        recipe.attempt("absent.jpg")


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--resize"):
        CropRecipe(tmp_path, {}, resize=True)
    with pytest.raises(UserError, match="--quality 101"):
        CropRecipe(tmp_path, quality=101)
