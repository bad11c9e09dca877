"""Whole pictures are told from aligned faces by their size, or nothing is said."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from lwface.making.whole_frames import squashed_frames


def save(root: Path, sizes: list[tuple[int, int]], ending: str = ".jpg") -> list[str]:
    names = [f"p/{i:03d}{ending}" for i in range(len(sizes))]
    (root / "p").mkdir()
    for name, (width, height) in zip(names, sizes, strict=True):
        cv2.imwrite(str(root / name), np.zeros((height, width, 3), np.uint8))
    return names


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".ppm"])
def test_frames_are_told(tmp_path: Path, ending: str) -> None:
    names = save(tmp_path, [(112, 112), (640, 480), (160, 160), (96, 112), (384, 384)], ending)
    said = squashed_frames(tmp_path, names)
    assert f"3 of 5 images look like whole pictures (p/001{ending} is 640x480)" in said
    assert "--landmarks" in said
    assert "--aligned" in said


def test_aligned_faces_of_any_usual_size_are_not(tmp_path: Path) -> None:
    assert squashed_frames(tmp_path, save(tmp_path, [(n, n) for n in (96, 112, 128, 160, 182, 224)])) == ""


def test_of_many_a_sample_is_seen(tmp_path: Path) -> None:
    names = save(tmp_path, [(20, 10)] * 3)
    assert "300 of 300 images looked at look like" in squashed_frames(tmp_path, [names[i % 3] for i in range(1000)])


def test_what_is_no_image_is_not_counted(tmp_path: Path) -> None:
    names = save(tmp_path, [(112, 112)])
    (tmp_path / names[0]).write_bytes(b"no image")
    assert squashed_frames(tmp_path, names) == ""
