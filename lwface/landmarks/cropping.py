"""From a face's box to the 112x112 crop that a network sees, and back.

A box (left, top, right, bottom) is tight around a face's points. The crop is a square around its middle, whose side is
the longer one of the box and some room; what lies outside the picture is black.
"""

from __future__ import annotations

import cv2
import numpy as np

from lwface.formats.alignment import CROP_SIZE

ROOM = 1.25  # side of the crop over the longer side of the box
SHRINK_FROM = (
    2.0  # pixels of the picture for one of the crop, from which it is shrunk first: linear sampling skips some
)


def box_of(points: np.ndarray) -> np.ndarray:
    """The tight box (4,) or (N, 4) of points (K, 2) or (N, K, 2)."""
    return np.concatenate((points.min(axis=-2), points.max(axis=-2)), axis=-1)


def square_of(boxes: np.ndarray, room: float = ROOM) -> np.ndarray:
    """Middle x, middle y and side (N, 3) of the crops of ``boxes`` (N, 4)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.column_stack(((boxes[:, :2] + boxes[:, 2:]) / 2, sides.max(axis=1) * room))


def whole_square(picture: np.ndarray) -> np.ndarray:
    """Middle and side (3,) of the square around the whole of ``picture`` (H, W, 3)."""
    height, width = picture.shape[:2]
    return np.array(((width - 1) / 2, (height - 1) / 2, max(width, height)))


def to_crop(square: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """The matrix (2, 3) from pixels of the picture to those of the crop of ``square`` (3,)."""
    x, y, side = square
    scale = size / max(float(side), 1e-6)
    # Pixels' middles are whole numbers: the square's edge is half a pixel before the first one of the crop.
    return np.array([[scale, 0, (size - 1) / 2 - scale * x], [0, scale, (size - 1) / 2 - scale * y]])


def crop(picture: np.ndarray, matrix: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """The crop (size, size, 3) of ``picture`` (H, W, 3) by ``matrix`` (2, 3) or a homography (3, 3)."""
    whole = matrix if len(matrix) == 3 else np.vstack((matrix, (0, 0, 1)))
    scale = np.sqrt(abs(np.linalg.det(whole[:2, :2])))
    if scale * SHRINK_FROM < 1:
        height, width = picture.shape[:2]
        shrunk = max(1, round(width * scale * 1.25)), max(1, round(height * scale * 1.25))
        by = np.array([shrunk[0] / width, shrunk[1] / height])
        picture = cv2.resize(picture, shrunk, interpolation=cv2.INTER_AREA)
        # A pixel's middle (x + 0.5) * by - 0.5 after the resizing.
        back = np.array([[1 / by[0], 0, 0.5 / by[0] - 0.5], [0, 1 / by[1], 0.5 / by[1] - 0.5], [0, 0, 1]])
        whole = whole @ back
    return cv2.warpPerspective(picture, whole, (size, size), flags=cv2.INTER_LINEAR)


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """``points`` (..., 2) under ``matrix`` (2, 3) or (3, 3)."""
    whole = matrix if len(matrix) == 3 else np.vstack((matrix, (0, 0, 1)))
    found = points @ whole[:, :2].T + whole[:, 2]
    return found[..., :2] / found[..., 2:]


def out_of_crop(places: np.ndarray, square: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """Pixels of the picture (..., 2) for ``places`` (..., 2) of the crop of ``square`` (3,)."""
    matrix = to_crop(square, size)
    return (places - matrix[:, 2]) / matrix[0, 0]
