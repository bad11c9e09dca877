"""Points drawn on pictures."""

from __future__ import annotations

import cv2
import numpy as np

from lwface.landmarks.cropping import square_of, to_crop
from lwface.landmarks.scheme import LINES, POINTS

FOUND, TRUE = (40, 230, 60), (255, 60, 40)  # RGB
LETTERS, GROUND = (255, 255, 255), (0, 0, 0)
_SHIFT = 4  # bits of a fraction of a pixel that OpenCV draws by


def draw_points(image: np.ndarray, points: np.ndarray, colour: tuple[int, int, int] = FOUND) -> np.ndarray:
    """A copy of ``image`` (H, W, 3) with ``points`` (K, 2) and, of 68, the lines between them."""
    image = np.ascontiguousarray(image).copy()
    size = max(1.0, np.ptp(points, axis=0).max() / 110)
    fixed = np.round(points * 2**_SHIFT).astype(np.int32)
    if len(points) == POINTS:
        for first, last, closed in LINES:
            line = fixed[first : last + 1].reshape(-1, 1, 2)
            cv2.polylines(image, [line], closed, colour, max(1, round(size / 2)), cv2.LINE_AA, _SHIFT)
    for x, y in fixed:
        cv2.circle(image, (int(x), int(y)), round(size * 2**_SHIFT), colour, -1, cv2.LINE_AA, _SHIFT)
    return image


def draw_text(image: np.ndarray, text: str) -> None:
    """Write ``text`` into the upper left corner of ``image`` (H, W, 3), on a dark ground, in place."""
    scale = max(0.35, image.shape[0] / 900)
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    margin = 2
    cv2.rectangle(image, (0, 0), (width + 2 * margin, height + below + 2 * margin), GROUND, cv2.FILLED)
    where = (margin, height + margin)
    cv2.putText(image, text, where, cv2.FONT_HERSHEY_SIMPLEX, scale, LETTERS, 1, cv2.LINE_AA)


def draw_close(
    image: np.ndarray, box: np.ndarray, layers: list[tuple[np.ndarray, tuple[int, int, int]]], size: int
) -> np.ndarray:
    """The part of ``image`` around ``box`` (4,) at ``size`` pixels, with each layer of points and its colour."""
    matrix = to_crop(square_of(box[None], 1.5)[0], size)
    part = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)
    for points, colour in layers:
        part = draw_points(part, points @ matrix[:, :2].T + matrix[:, 2], colour)
    return part
