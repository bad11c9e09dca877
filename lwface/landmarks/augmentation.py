"""What training does to a face, so that a network of synthetic or few faces works on real ones.

All of it is drawn from one generator, so a batch is a function of the seed and the step. Geometry is one homography,
sampled once; points go with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lwface.landmarks.cropping import box_of, crop, moved, square_of, to_crop
from lwface.networks.base import IMAGE_SIZE
from lwface.training.photographs import Photograph, photographed


@dataclass(frozen=True)
class Strength(Photograph):
    """How much of what is drawn; 0 of anything turns it off.

    Attributes:
        rotation: standard deviation of the turn, degrees; cut at three of it.
        scale: of the logarithm of the side.
        shift: standard deviation of the middle, in sides.
        perspective: largest movement of the square's corners, in sides.
        mirror: probability of a mirrored face.
    """

    rotation: float = 12.0
    scale: float = 0.12
    shift: float = 0.05
    perspective: float = 0.06
    mirror: float = 0.5


NONE = Strength(*(0.0 for _ in range(13)))


def augment(
    picture: np.ndarray,
    points: np.ndarray,
    square: np.ndarray,
    mirror: np.ndarray,
    strength: Strength,
    draw: np.random.Generator,
    *,
    tight: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """A crop (112, 112, 3) uint8 and its points (K, 2) float32.

    Args:
        picture: (H, W, 3) uint8 RGB.
        points: (K, 2) in its pixels.
        square: (3,) of the crop without augmentation.
        mirror: (K,) for each point the one whose place it takes in a mirrored picture.
        tight: ``square`` is around the box of the points, and follows it when they turn; else it is any part of the
            picture, such as all of it.
    """
    matrix = _homography(points, square, strength, draw, tight=tight)
    image = crop(picture, matrix)
    places = moved(points, matrix)
    if draw.random() < strength.mirror:
        image = np.ascontiguousarray(image[:, ::-1])
        places = places[mirror]
        places[:, 0] = IMAGE_SIZE - 1 - places[:, 0]
    image = photographed(image, places, strength, draw)
    return image, places.astype(np.float32)


def _homography(
    points: np.ndarray, square: np.ndarray, strength: Strength, draw: np.random.Generator, *, tight: bool
) -> np.ndarray:
    """(3, 3) from pixels of the picture to those of the crop.

    The head is turned and bent first; the crop is then around its new box, as it will be where the network is used,
    and last comes what a detector's box is off.
    """
    x, y, side = square
    turn = np.deg2rad(strength.rotation * np.clip(draw.normal(), -3, 3))
    cos, sin = np.cos(turn), np.sin(turn)
    whole = _there(x, y) @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ _there(-x, -y)
    if strength.perspective:
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2 + (x, y)
        bent = corners + draw.uniform(-1, 1, (4, 2)) * strength.perspective * side
        whole = cv2.getPerspectiveTransform(corners.astype(np.float32), bent.astype(np.float32)) @ whole
    if tight:
        x, y, side = square_of(box_of(moved(points, whole))[None])[0]
    off_side = np.exp(strength.scale * np.clip(draw.normal(), -2.5, 2.5))
    off = strength.shift * np.clip(draw.normal(size=2), -2.5, 2.5)
    x, y = np.array((x, y)) + side * off_side * off
    return np.vstack((to_crop(np.array((x, y, side * off_side))), (0, 0, 1))) @ whole


def _there(x: float, y: float) -> np.ndarray:
    """(3, 3) that moves the origin to (x, y)."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)
