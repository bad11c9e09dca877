"""Videos of whole people in the faceless challenge's form: crops of 64x64 with the pose that a detector would find.

An outing is one video: clothes, place, light and camera stay, while its sequences differ in what is done, from where it
is seen and how much of the person the crop holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.body import STREAM_OUTING, STREAM_SEQUENCE, Body, Outfit, stream
from lwface.synthetic.painting import Pixels, Viewpoint, paint
from lwface.synthetic.skeleton import COCO, draw_motion, joints

SIDE = 64  # pixels of a crop
FINE = 2  # drawn so many times as large, which smooths edges
DETECTOR_ERROR = 0.012  # standard deviation of a found point, parts of the crop's side
LOST, LOST_FAR = 0.03, 0.35  # share of the points not found: at random, and of those turned away
_FACE = slice(0, 5)


class Locale(NamedTuple):
    """What stays in an outing.

    Attributes:
        place: (192, 256, 3) the background.
        light, ambient: as :class:`~lwface.synthetic.painting.Viewpoint` has them.
        tint: (3,) factors on the channels. ``gamma``: exponent.
        blur: deviation in pixels of the crop. ``noise``: of 255. ``quality``: of the JPEG.
    """

    place: Pixels
    light: NDArray[np.float64]
    ambient: float
    tint: NDArray[np.float64]
    gamma: float
    blur: float
    noise: float
    quality: int


class Crop(NamedTuple):
    """A frame.

    Attributes:
        image: (64, 64, 3) uint8 RGB.
        points: (17, 2) parts of the sides. ``scores``: (17,), up to 0 where a point is not found.
        quality: of the JPEG.
    """

    image: NDArray[np.uint8]
    points: NDArray[np.float64]
    scores: NDArray[np.float32]
    quality: int


def draw_scene(seed: int, person: int, video: int) -> Locale:
    """Where outing ``video`` of a person takes place."""
    rng = stream(STREAM_OUTING, seed, person, video)
    light = np.array((rng.normal(0, 0.5), 0.4, 1.0))
    tint = np.exp(rng.normal(0, 0.05, 3) + rng.normal(0, 0.15))
    blur, noise = rng.uniform(0.2, 0.8), rng.uniform(1, 5)
    quality = int(rng.integers(65, 92))
    ambient = float(rng.uniform(0.45, 0.8))
    return Locale(_place(rng), light / np.linalg.norm(light), ambient, tint, rng.normal(1, 0.08), blur, noise, quality)


def _place(rng: np.random.Generator) -> Pixels:
    """A wall, a floor and things."""
    wall, floor = _paint(rng), _paint(rng)
    place = np.empty((192, 256, 3), np.float32)
    place[:] = wall
    place[int(rng.uniform(100, 170)) :] = floor
    for _ in range(int(rng.integers(5, 16))):
        x, y = (int(value) for value in rng.uniform((0, 0), (256, 192)))
        width, height = (int(value) for value in rng.uniform(5, (70, 90)))
        colour = _paint(rng).tolist()
        if rng.random() < 0.7:
            cv2.rectangle(place, (x, y), (x + width, y + height), colour, -1)
        else:
            cv2.ellipse(place, (x, y), (width // 2, height // 2), 0, 0, 360, colour, -1)
    return np.asarray(cv2.GaussianBlur(place, (0, 0), rng.uniform(0.8, 3)), np.float32)


def _paint(rng: np.random.Generator) -> NDArray[np.float64]:
    """A colour of rooms and streets: mostly dull."""
    colour, dull = rng.uniform(0.05, 0.95, 3), rng.uniform(0.2, 1)
    return np.asarray(dull * colour.mean() + (1 - dull) * colour)


def draw_sequence(
    key: tuple[int, int, int, int], body: Body, outfit: Outfit, scene: Locale, frames: int, fps: float, *, masked: bool
) -> Iterator[Crop]:
    """Frame after frame of a sequence.

    Args:
        key: seed, person, video, sequence; with them all that is random here.
        masked: a grey disc in place of the face; all else is the same.
    """
    rng = stream(STREAM_SEQUENCE, *key)
    motion = draw_motion(rng)
    yaw = rng.normal(0, 0.9) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi)
    turning, pitch = rng.normal(0, 0.15), rng.normal(0.08, 0.06)
    whole = rng.random() < 0.65
    scale = SIDE * (rng.uniform(0.72, 0.92) if whole else rng.uniform(1.0, 1.7))
    crown = SIDE * rng.uniform(0.05, 0.12)  # above the head
    drift, corner = rng.normal(0, 1.5, 2), rng.uniform((0, 0), (256 - 2 * SIDE, 192 - 2 * SIDE))
    offset = rng.normal(0, 0.05) * SIDE
    stature = float(joints(body, motion, 0)[:, 1].max())
    for number in range(frames):
        seconds = number / fps
        camera = Viewpoint(
            yaw + turning * seconds,
            pitch,
            FINE * scale,
            (FINE * (SIDE / 2 + offset + rng.normal(0, 0.4)), FINE * (crown + stature * scale + rng.normal(0, 0.4))),
            scene.light,
            scene.ambient,
        )
        left, top = np.clip(corner + drift * seconds, 0, (256 - 2 * SIDE, 192 - 2 * SIDE)).astype(int)
        canvas = scene.place[top : top + FINE * SIDE, left : left + FINE * SIDE].copy()
        there = joints(body, motion, seconds)
        paint(canvas, body, outfit, there, camera, masked=masked)
        places = camera.project(there)[:COCO]
        points, scores = _found(places, rng)
        yield Crop(_developed(canvas, scene, rng), points, scores, scene.quality)


def _developed(canvas: Pixels, scene: Locale, rng: np.random.Generator) -> NDArray[np.uint8]:
    small = cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), scene.blur)
    lit = np.clip(small * scene.tint, 0, 1) ** scene.gamma * 255 + rng.normal(0, scene.noise, small.shape)
    return np.asarray(np.clip(np.round(lit), 0, 255), np.uint8)


def _found(places: NDArray[np.float64], rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """What a detector makes of the true places (17, 3) in fine pixels: points as parts of the sides, and scores."""
    points = places[:, :2] / (FINE * SIDE)
    depth = places[:, 2] - places[:, 2].mean()
    far = depth < -0.06 * np.ptp(places[:, 1])
    far[_FACE] = places[_FACE, 2] < places[3:5, 2].mean() - 1e-6
    lost = rng.random(COCO) < np.where(far, LOST_FAR, LOST)
    lost |= ((points < 0) | (points > 1)).any(axis=1)
    errors = rng.normal(0, DETECTOR_ERROR, (COCO, 2)) * np.where(far, 2.0, 1.0)[:, None]
    scores = np.where(lost, -rng.uniform(0.05, 2, COCO), np.maximum(rng.normal(1.4 - 0.5 * far, 0.3), 0.05))
    guess = rng.uniform(0, 1, (COCO, 2))
    return np.where(lost[:, None], guess, points + errors), scores.astype(np.float32)
