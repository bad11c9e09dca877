"""What moves a frame of the database, where its landmarks are then, and whether a picture is that frame: NumPy alone.

:mod:`lwface.montage.moving` draws with OpenCV; a challenge's server draws here, slower, and only to compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
SAME_LEVELS = 10.0  # mean difference up to which a picture is what is drawn anew, of other interpolation


@dataclass(frozen=True)
class Move:
    """From a source frame to an output frame.

    Attributes:
        matrix: (2, 3), source pixels to output pixels; None: the frame is resized to the output's size.
        bend: None, or (68, 2): where the source's landmarks are to be in the output, by a thin plate over the matrix
            that rests at the border (Bookstein 1989).
        colour: None, or (2, 3): factor and offset of each channel.
    """

    matrix: Points | None = None
    bend: Points | None = None
    colour: Points | None = None


RESIZED = Move()


def unbent_places(points: Points, move: Move, source_size: tuple[int, int], size: tuple[int, int]) -> Points:
    """Where the source's landmarks (68, 2) are in an output of ``size`` (height, width), but for the bending."""
    if move.matrix is None:
        return points * (np.array(size[::-1]) / np.array(source_size[::-1]))
    return points @ move.matrix[:, :2].T + move.matrix[:, 2]


def drawn_plainly(image: NDArray[np.uint8], move: Move, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The source (h, w, 3) resized or moved by a matrix, linear between pixels, its border repeated around it.

    Within a level of what OpenCV draws; bending and colours are left out.

    Raises:
        ValueError: the matrix cannot be turned back.
    """
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float64)
    if move.matrix is None:
        x = (x + 0.5) * (image.shape[1] / width) - 0.5
        y = (y + 0.5) * (image.shape[0] / height) - 0.5
    else:
        try:
            back = np.linalg.inv(np.vstack((move.matrix, (0, 0, 1))))
        except np.linalg.LinAlgError:
            raise ValueError("a matrix that cannot be turned back") from None
        x, y = back[0, 0] * x + back[0, 1] * y + back[0, 2], back[1, 0] * x + back[1, 1] * y + back[1, 2]
    x, y = (np.clip(place, 0, side - 1) for place, side in ((x, image.shape[1]), (y, image.shape[0])))
    left, top = (np.minimum(place.astype(np.int64), max(side - 2, 0)) for place, side in
                 ((x, image.shape[1]), (y, image.shape[0])))  # fmt: skip
    right, bottom = np.minimum(left + 1, image.shape[1] - 1), np.minimum(top + 1, image.shape[0] - 1)
    across, down = (x - left)[..., None], (y - top)[..., None]
    above = image[top, left] * (1 - across) + image[top, right] * across
    below = image[bottom, left] * (1 - across) + image[bottom, right] * across
    return np.rint(above * (1 - down) + below * down).astype(np.uint8)


def is_drawn(shown: NDArray[np.uint8], again: NDArray[np.uint8]) -> bool:
    """Whether ``shown`` is what was drawn ``again`` from the source, but for interpolation."""
    if shown.shape != again.shape:
        return False
    return float(np.abs(shown.astype(np.int16) - again).mean()) <= SAME_LEVELS
