"""Keypoints drawn on the images they belong to: to look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.files import PathLike, replacing
from lwface.formats.keypoint_images import AskedFaces
from lwface.formats.keypoint_tables import POINTS, SIDE

COLUMNS, ROWS = 8, 5
ZOOM = 2
RADIUS = 2  # pixels of the sheet
LEFT, RIGHT, MIDDLE = (80, 220, 60), (60, 60, 255), (255, 200, 40)  # BGR


def draw_points(image: NDArray[np.uint8], points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(192, 192, 3) BGR: a grey image (96, 96), twice as large, with its points (15, 2) that are known."""
    large = cv2.resize(image, (ZOOM * SIDE, ZOOM * SIDE), interpolation=cv2.INTER_CUBIC)
    drawn = cv2.cvtColor(large, cv2.COLOR_GRAY2BGR)
    for name, place in zip(POINTS, points, strict=True):
        if not np.isnan(place).any():
            words = name.split("_")
            color = LEFT if "left" in words else RIGHT if "right" in words else MIDDLE
            x, y = np.round((place + 0.5) * ZOOM - 0.5).astype(int).tolist()
            cv2.circle(drawn, (x, y), RADIUS, color, -1, cv2.LINE_AA)
    return np.asarray(drawn, np.uint8)


def draw_sheet(path: PathLike, test: AskedFaces, points: NDArray[np.float64]) -> None:
    """Write up to 40 of the images, evenly spread, with their points (N, 15, 2), beside and renamed.

    Args:
        path: its end, one of :data:`lwface.landmarks.keypoint_choices.PICTURES`, says what kind of image it is.
    """
    chosen = np.unique(np.linspace(0, len(test.images) - 1, COLUMNS * ROWS).round().astype(int))
    pictures = [draw_points(test.images[place], points[place]) for place in chosen]
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % COLUMNS)
    sheet = np.vstack([np.hstack(pictures[start : start + COLUMNS]) for start in range(0, len(pictures), COLUMNS)])
    _, encoded = cv2.imencode(Path(path).suffix, sheet)
    with replacing(path) as file:
        file.write(encoded.tobytes())
