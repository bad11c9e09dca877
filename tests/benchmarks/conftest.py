"""Twelve people who judge, and features of them as good as asked for."""

from __future__ import annotations

import numpy as np
import pytest
from held_out import HeldOut

from lwface.formats.image import encode_jpeg


@pytest.fixture
def held_out(tmp_path):
    folder, random = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    for number in range(36):
        (folder / f"{number:02}.jpg").write_bytes(encode_jpeg(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)))
    (folder / "filelist.txt").write_text("".join(f"{number:02}.jpg\n" for number in range(36)))
    (folder / "labels.txt").write_text("".join(f"{number // 3}\n" for number in range(36)))
    return HeldOut(folder)


@pytest.fixture
def features():
    def drawn(seed, spread):
        random = np.random.default_rng(seed)
        people = np.random.default_rng(9).normal(size=(12, 6))
        rows = np.repeat(people, 3, axis=0) + spread * random.normal(size=(36, 6))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    return drawn
