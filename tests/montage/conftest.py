"""A database of small videos whose faces and pictures are known by their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lwface.formats.montage_video import ListedVideo, write_face_video, write_video_list
from lwface.landmarks.head_pose import mean_head

SIZE = (48, 56)
FRAMES = {"ann_0": 4, "ann_1": 3, "ben_0": 5, "cid_0": 4, "dan_0": 3}


def face(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """68 points of a face of its own width somewhere in a frame of ``size``, (68, 2)."""
    dice = np.random.default_rng(seed)
    flat = mean_head()[:, :2] * [dice.uniform(0.8, 1.2), -1]
    flat = (flat - flat.mean(axis=0)) / np.abs(flat).max()
    turn = dice.uniform(-0.3, 0.3)
    rolled = flat @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    middle = np.array(size[::-1]) * dice.uniform(0.45, 0.55, 2)
    return rolled * size[0] * dice.uniform(0.2, 0.3) + middle + dice.normal(0, 0.002 * size[0], (68, 2))


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A smooth coloured picture (H, W, 3) uint8 of its own."""
    dice = np.random.default_rng(1000 + seed)
    y, x = np.mgrid[: size[0], : size[1]] / max(size)
    waves = [np.sin(x * a + y * b + c) for a, b, c in dice.uniform(1, 6, (3, 3))]
    return (128 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A csv beside its videos."""
    number = 0
    rows = []
    for name, count in FRAMES.items():
        seeds = range(number, number + count)
        write_face_video(
            tmp_path / f"{name}.npz",
            np.stack([picture(seed) for seed in seeds]),
            np.stack([face(seed) for seed in seeds]),
        )
        rows.append((ListedVideo(name, name.partition("_")[0]), SIZE, count))
        number += count
    write_video_list(tmp_path / "videos.csv", iter(rows))
    return tmp_path / "videos.csv"
