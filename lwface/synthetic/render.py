"""From a person and a shot to a picture: pose the meshes, cast them to pixels, light them, finish the frame.

Camera coordinates are millimetres, x to the image's right, y up and z towards the camera, the head's centre near the
origin. A head point p becomes ``Rz(roll) Rx(pitch) Ry(yaw) p``; the camera is a pinhole on the z axis. The frame is
drawn ``OVERSAMPLING`` times larger and reduced by areas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.formats.alignment import ARCFACE_TEMPLATE, CROP_SIZE, five_from_68
from lwface.synthetic import augment, optics
from lwface.synthetic.augment import JPEG_UNIT, Box
from lwface.synthetic.filters import warped
from lwface.synthetic.grids import bent, project, rotation, turned
from lwface.synthetic.head import template
from lwface.synthetic.kernel import blend
from lwface.synthetic.landmarks import landmark_points
from lwface.synthetic.options import USUAL, Ranges
from lwface.synthetic.person import STREAM_NOISE, Person, generator, person_of_picture
from lwface.synthetic.place import clutter
from lwface.synthetic.scene import Scene
from lwface.synthetic.shot import FRAME_SIZE, Shot, sample_shot

Floats = NDArray[Any]  # float32 unless said otherwise
OVERSAMPLING = 1.5


@dataclass(frozen=True)
class Picture:
    """One picture and what is known about it."""

    frame: NDArray[np.uint8]  # (S, S, 3) RGB, uncropped; right where the crop shows it, if no more was asked for
    crop: NDArray[np.uint8]  # (112, 112, 3) RGB, aligned
    landmarks5: Floats  # (5, 2) frame pixels: eyes, tip of the nose, corners of the mouth; the image's left first
    landmarks68: Floats  # (68, 2) frame pixels, iBUG order
    pose: tuple[float, float, float]  # yaw, pitch, roll in degrees
    identity: int
    shot: Shot


class Pose:
    """Carries points of the head and of the body to camera coordinates; the neck bends between the two."""

    PIVOT = np.array((0, -95, -35), np.float32)  # the head turns about the top of the neck

    def __init__(self, shot: Shot) -> None:
        self.head = rotation(shot.yaw, shot.pitch, shot.roll)
        self.body = rotation(shot.torso_yaw, 0.15 * shot.pitch, 0.2 * shot.roll)

    def __call__(self, points: Floats) -> Floats:
        """Camera coordinates of ``points (..., 3)``, which follow the head above the neck and the body below it."""
        return bent(points, self.head, self.body, self.PIVOT)

    def rigid(self, points: Floats) -> Floats:
        """Camera coordinates of ``points (..., 3)`` fixed to the head."""
        return turned(points, self.head, self.PIVOT)

    def upright(self, points: Floats) -> Floats:
        """Camera coordinates of ``points (..., 3)`` fixed to the body."""
        return turned(points, self.body, self.PIVOT)


class Camera:
    """A pinhole in front of the head; pixels of an image of ``size``."""

    def __init__(self, shot: Shot, size: int) -> None:
        self.size = size
        self.pixels_a_mm = shot.scale * size / FRAME_SIZE
        x, y = (float(share) * size - 0.5 for share in shot.centre)
        right, up, _ = Pose(shot).rigid(np.array((0, -30, 60), np.float32)).tolist()
        focal = self.pixels_a_mm * shot.distance
        self.place = np.array((x, y, right * 0.8, (up + 30) * 0.8 - 5, focal, shot.distance))

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Pixels (N, 2), pixel (0, 0) having its centre at (0, 0), and depth (N,), larger is nearer, of (N, 3)."""
        screen, depth = np.empty((len(points), 2), np.float32), np.empty(len(points), np.float32)
        project(points.astype(np.float32, copy=False), self.place, screen, depth)
        return screen, depth


def posed_head(who: Person, shot: Shot) -> Floats:
    """The head (ROWS, COLUMNS, 3) with this shot's expression, in head coordinates."""
    neutral = who.vertices
    head = np.empty_like(neutral)
    blend(neutral.ravel(), shot.expression, template().expression_modes, head.reshape(-1))
    return head


def render(
    who: Person, shot: Shot, *, noise_seed: int = 0, frame_size: int = FRAME_SIZE, crop_only: bool = False
) -> Picture:
    """Picture of ``who`` in ``shot``; ``noise_seed`` numbers the noise of the sensor.

    With ``crop_only`` what the crop does not show is left out of the frame where that saves time; the crop is the same.
    """
    size = round(frame_size * OVERSAMPLING)
    pose, camera = Pose(shot), Camera(shot, size)
    head = posed_head(who, shot)
    canvas = clutter(shot.clutter, size) if shot.clutter else augment.background(*shot.background, size)
    points = landmark_points(head, who.look, shot.lids)  # (68, 3)
    full, _ = camera.project(pose(points))
    landmarks = (full + 0.5) * (frame_size / size) - 0.5
    bent = shot.lens or shot.sensor
    if bent:
        landmarks = optics.placed(landmarks, shot.lens, shot.sensor, frame_size)
    five = five_from_68(landmarks).astype(np.float32)
    matrix = to_crop(five)
    part = _part(matrix, frame_size)
    window = None if part is None or not crop_only or bent else (_around(part, shot) + 0.5) * (size / frame_size) - 0.5
    Scene(who, shot, head, pose, camera, window).draw(canvas)
    rng = generator(who.seed, who.identity, noise_seed, STREAM_NOISE)
    frame = augment.finish(canvas.reshape(size, size, 3), shot, frame_size, rng, part, only=crop_only)
    return Picture(
        frame,
        warped(frame, matrix, CROP_SIZE),
        five,
        landmarks.astype(np.float32),
        (shot.yaw, shot.pitch, shot.roll),
        who.identity,
        shot,
    )


def to_crop(five: Floats) -> tuple[float, float, float, float, float, float]:
    """The similarity of ``five (5, 2)`` as in :mod:`lwface.formats.alignment`, row by row, added up in one order."""
    (x, y), (u, v) = (list(zip(*points.tolist(), strict=True)) for points in (five, ARCFACE_TEMPLATE))
    left, top, right, down = (sum(values) / len(values) for values in (x, y, u, v))
    power = real = imaginary = 0.0
    for sx, sy, dx, dy in zip(x, y, u, v, strict=True):
        power += (sx - left) * (sx - left) + (sy - top) * (sy - top)
        real += (sx - left) * (dx - right) + (sy - top) * (dy - down)
        imaginary += (sx - left) * (dy - down) - (sy - top) * (dx - right)
    a, b = real / power, imaginary / power
    return a, -b, right - a * left + b * top, b, a, down - b * left - a * top


def _part(to_crop: tuple[float, ...], frame_size: int) -> Box | None:
    """The part of the frame that decides the crop that ``to_crop`` makes, in whole units of JPEG; None: all."""
    a, b, right, c, d, down = to_crop
    size = a * d - b * c
    corners = [(x - right, y - down) for x in (0, CROP_SIZE) for y in (0, CROP_SIZE)]
    left, end = _units([(d * x - b * y) / size for x, y in corners], frame_size)
    top, bottom = _units([(a * y - c * x) / size for x, y in corners], frame_size)
    return (left, top, end, bottom) if end > left and bottom > top else None


def _units(places: list[float], size: int) -> tuple[int, int]:
    """Whole units of JPEG from the lowest to the highest of ``places`` and two pixels more, inside the frame."""
    low, high = math.floor((min(places) - 2) / JPEG_UNIT), math.ceil((max(places) + 2) / JPEG_UNIT)
    return min(max(low * JPEG_UNIT, 0), size), min(max(high * JPEG_UNIT, 0), size)


def _around(part: Box, shot: Shot) -> Floats:
    """Left, top, right, bottom (4,) of all that ``part`` depends on, in frame pixels."""
    reach = augment.reach(shot)
    return np.array((part[0] - reach, part[1] - reach, part[2] + reach, part[3] + reach), np.float64)


def sample_image(
    seed: int,
    identity: int,
    index: int,
    *,
    difficulty: float = 1.0,
    ranges: Ranges = USUAL,
    frame_size: int = FRAME_SIZE,
    crop_only: bool = False,
) -> Picture:
    """Image ``index`` of ``identity``: a function of its arguments alone."""
    who = person_of_picture(seed, identity, index, ranges)
    shot = sample_shot(who, index, difficulty=difficulty, ranges=ranges)
    return render(who, shot, noise_seed=index, frame_size=frame_size, crop_only=crop_only)
