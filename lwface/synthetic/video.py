"""Videos: one person in one outing, moving smoothly: head, face, eyelids, gaze and the hand that holds the camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.arithmetic import exp
from lwface.synthetic.head import hermite
from lwface.synthetic.options import USUAL, Ranges
from lwface.synthetic.person import STREAM_VIDEO, generator, person_of_picture
from lwface.synthetic.render import Picture, render
from lwface.synthetic.shot import FRAME_SIZE, YAW_LIMIT, Shot, sample_expression, sample_shot

FIRST_SHOT = 1 << 24  # shots of videos are numbered from here, those of images from 0
NOISE_STRIDE = 1 << 16  # sensor noise of video i is numbered from (FIRST_SHOT + i) * NOISE_STRIDE
BLINK_SECONDS = 0.28


def shots(
    seed: int,
    identity: int,
    index: int,
    *,
    frames: int = 64,
    fps: float = 25.0,
    difficulty: float = 1.0,
    ranges: Ranges = USUAL,
) -> list[Shot]:
    """The shots of video ``index`` of ``identity``: a start drawn as for an image, then smooth paths of what moves.

    Light, clothes, background and image quality stay. From frame to frame at 25/s
    the head turns by some degrees at most.
    """
    who = person_of_picture(seed, identity, FIRST_SHOT + index, ranges)
    base = sample_shot(who, FIRST_SHOT + index, difficulty=difficulty, ranges=ranges)
    rng = generator(seed, identity, index, STREAM_VIDEO)
    time = np.arange(frames) / fps
    spread = min(difficulty * ranges.pose, 1.6)
    turn = _path(rng, time, 1.1, np.array((base.yaw, base.pitch, base.roll)), np.array((24.0, 7.0, 5.0)) * spread)
    turn = np.clip(turn, (-YAW_LIMIT, -28, -32), (YAW_LIMIT, 28, 32))
    knots = _knots(time, 0.9)
    faces = np.stack(
        [base.expression, *(sample_expression(rng, difficulty * ranges.expression) for _ in knots[1:])]
    ).astype(np.float64)
    faces = hermite(knots, faces, time)
    gaze = _path(rng, time, 0.6, base.gaze.astype(np.float64), np.array((2.2, 1.0)))
    shake = _path(rng, time, 0.25, np.zeros(2), np.full(2, 0.006 * spread))
    sway = _path(rng, time, 1.5, np.array((base.torso_yaw,)), np.array((6.0,)))[:, 0]
    lids = _lids(rng, time, float(base.lids.max()))
    return [
        replace(
            base,
            yaw=float(turn[i, 0]),
            pitch=float(turn[i, 1]),
            roll=float(turn[i, 2]),
            torso_yaw=float(sway[i]),
            expression=faces[i].astype(np.float32),
            gaze=gaze[i].astype(np.float32),
            lids=np.full(2, lids[i], np.float32),
            centre=(base.centre + shake[i]).astype(np.float32),
        )
        for i in range(frames)
    ]


def video(
    seed: int,
    identity: int,
    index: int,
    *,
    frames: int = 64,
    fps: float = 25.0,
    difficulty: float = 1.0,
    ranges: Ranges = USUAL,
    frame_size: int = FRAME_SIZE,
    crop_only: bool = False,
) -> Iterator[Picture]:
    """Frame after frame of video ``index`` of ``identity``; a function of the arguments alone."""
    who = person_of_picture(seed, identity, FIRST_SHOT + index, ranges)
    first = (FIRST_SHOT + index) * NOISE_STRIDE
    path = shots(seed, identity, index, frames=frames, fps=fps, difficulty=difficulty, ranges=ranges)
    for number, shot in enumerate(path):
        yield render(who, shot, noise_seed=first + number, frame_size=frame_size, crop_only=crop_only)


def _knots(time: NDArray[np.float64], every: float) -> NDArray[np.float64]:
    """Times (K,) of what a path is drawn through, K at least 3."""
    return np.arange(max(3, int(np.ceil(time[-1] / every)) + 2), dtype=np.float64) * every


def _path(
    rng: np.random.Generator,
    time: NDArray[np.float64],
    every: float,
    start: NDArray[np.float64],
    deviation: NDArray[np.float64],
) -> NDArray[np.float64]:
    """A smooth path (T, K) from ``start (K,)`` that wanders about it with ``deviation (K,)``."""
    knots = _knots(time, every)
    values = start + rng.normal(size=(len(knots), len(start))) * deviation
    values[0] = start
    return hermite(knots, values, time)


def _lids(rng: np.random.Generator, time: NDArray[np.float64], opening: float) -> NDArray[np.float64]:
    """How far the eyes are open (T,): open, with a blink every three seconds or so."""
    lids = np.full(len(time), max(opening, 0.7))
    moment = rng.exponential(2.0)
    while moment < time[-1] + BLINK_SECONDS:
        lids *= 1 - exp(-((((time - moment) / (BLINK_SECONDS / 2.6)) ** 2) ** 2))
        moment += 0.6 + rng.exponential(2.6)
    return np.asarray(lids)
