"""Glasses over a picture: lenses, frames and their shadow, drawn as lines and areas."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.shot import Shot

Floats = NDArray[Any]  # float32 unless said otherwise
BITS = 4  # of the parts of a pixel in which OpenCV is given positions
SHADOW = 3  # pixels the shadow lies lower


class Projects(Protocol):
    """A camera."""

    size: int

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Pixels and depth of points."""


def draw_glasses(
    canvas: Floats, depth: Floats, camera: Projects, rims: list[Floats], lines: list[Floats], shot: Shot
) -> None:
    """Lenses and frame over the picture, where they are in front of what is there."""
    wear, size = shot.session, camera.size
    image, nearest = canvas.reshape(size, size, 3), depth.reshape(size, size)
    scale = camera.project(np.array(((0, 0, 90), (1, 0, 90)), np.float32))[0]
    pixels = max(1, round(wear.glasses_width * float(scale[1, 0] - scale[0, 0])))
    shadow, frame = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    for rim in rims:
        screen, z = camera.project(rim)
        x0, y0 = np.floor(screen.min(axis=0)).astype(int).clip(0, size - 1)
        x1, y1 = np.ceil(screen.max(axis=0)).astype(int).clip(0, size - 1) + 1
        box = (slice(y0, y1), slice(x0, x1))
        lens = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(lens, [_fixed(screen - (x0, y0))], 255, cv2.LINE_AA, BITS)
        behind = nearest[box] < float(z.mean()) + 12
        cover = (lens * behind)[..., None].astype(np.float32) / 255
        row = np.linspace(1, 0, y1 - y0, dtype=np.float32)[:, None, None]
        glare = cover * row * row * np.float32(0.10 if wear.sunglasses else 0.05) * shot.sky * (1 + shot.light[1])
        image[box] = image[box] * (1 - cover * np.float32(wear.lens_tint) * (0.8 + 0.2 * row)) + glare
        _visible_line(frame, shadow, nearest, screen, z, pixels)
    for line in lines:
        screen, z = camera.project(line)
        _visible_line(frame, shadow, nearest, screen, z, pixels)
    rows = np.flatnonzero(frame.any(axis=1))
    if not len(rows):
        return
    band = slice(rows[0], min(rows[-1] + 4, size))
    cast = cv2.blur(shadow[band], (3, 3))[..., None].astype(np.float32) / 255
    image[band] *= 1 - 0.28 * cast
    cover = frame[band][..., None].astype(np.float32) / 255
    gleam = wear.glasses_colour * (shot.key * 0.7 + shot.sky) + 0.02
    image[band] += (gleam - image[band]) * cover


def _fixed(screen: Floats) -> NDArray[np.int32]:
    """Positions (N, 2) in whole parts of a pixel."""
    return np.rint(screen * (1 << BITS)).astype(np.int32)


def _visible_line(frame: NDArray, shadow: NDArray, nearest: Floats, screen: Floats, z: Floats, pixels: int) -> None:
    """Draw the segments of a line that are not hidden, and their shadow three pixels lower."""
    size = len(frame)
    at = np.rint(screen).astype(int).clip(0, size - 1)
    free = nearest[at[:, 1], at[:, 0]] < z + 4
    fixed = _fixed(screen)
    runs = np.split(np.arange(len(free)), np.flatnonzero(np.diff(free.astype(np.int8))) + 1)
    visible = [fixed[run] for run in runs if free[run[0]] and len(run) > 1]
    cv2.polylines(frame, visible, False, 255, pixels, cv2.LINE_AA, BITS)
    cv2.polylines(
        shadow, [run + np.array((0, SHADOW << BITS)) for run in visible], False, 255, pixels, cv2.LINE_AA, BITS
    )
