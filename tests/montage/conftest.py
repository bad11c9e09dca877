"""A database of small videos whose faces and pictures are known by their numbers."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from lwface.formats.montage_video import FaceVideo, ListedVideo, write_face_video, write_video_list
from lwface.landmarks.following import FollowedFace
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
    return write_table(tmp_path)


def write_table(folder: Path) -> Path:
    """The videos of :data:`FRAMES` in ``folder``, and the csv that names them."""
    number = 0
    rows = []
    for name, count in FRAMES.items():
        seeds = range(number, number + count)
        write_face_video(
            folder / f"{name}.npz",
            np.stack([picture(seed) for seed in seeds]),
            np.stack([face(seed) for seed in seeds]),
        )
        rows.append((ListedVideo(name, name.partition("_")[0]), SIZE, count))
        number += count
    write_video_list(folder / "videos.csv", iter(rows))
    return folder / "videos.csv"


class Film:
    """A camera of OpenCV's interface that gives a video's frames, and a follower that knows their landmarks.

    The next frame comes when the one before is done with and the next is looked for, so that none is passed over, but
    for three that come while the follower is at the frame ``busy_at``.
    """

    def __init__(self, video: FaceVideo, without: tuple[int, ...] = ()) -> None:
        self.video, self.without, self.count = video, without, video.count
        self.given = self.reads = 0
        self.ready, self.busy_at = True, -1
        self.fails_at, self.error = -1, Exception()
        self.released = False
        self.followed: list[int] = []
        self.turn = threading.Semaphore(0)
        self._news = threading.Condition()

    def isOpened(self) -> bool:
        return True

    def read(self):
        with self._news:
            self.reads += 1
            self._news.notify()
        self.turn.acquire()
        if self.given == self.fails_at:
            raise self.error
        if self.given >= self.count:
            return False, None
        self.given += 1
        return True, self.video.frame(self.given - 1)[..., ::-1]

    def release(self) -> None:
        self.released = True

    def looked_for(self) -> bool:
        """What a :class:`LiveCamera` asks before it looks for a frame: whether it is to be left."""
        if self.ready:
            self.ready = False
            self.turn.release()
        return False

    def follower(self, _):
        number = self.given - 1
        self.followed.append(number)
        if number == self.busy_at:
            self.turn.release(3)
            with self._news:
                assert self._news.wait_for(lambda: self.reads == number + 5, 10)
        else:
            self.ready = True
        points = self.video.points[number]
        return None if number in self.without else FollowedFace(points, points, False)
