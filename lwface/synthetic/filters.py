"""Blurs and changes of size of float pictures, the same to the last bit on every machine.

OpenCV's filters of float32 pictures give other bits on a processor without AVX2. Sums here are float32 in one order, a
tap after the other, which compilers turn into wide instructions without changing them.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.kernel import exp, kernel

Floats = NDArray[Any]  # float32 unless said otherwise


def gaussian(image: Floats, sigma: float) -> Floats:
    """``image (H, W, C)`` blurred; the Gaussian ends four deviations away, and pictures are mirrored at their edges."""
    reach = max(1, int(np.rint(sigma * 4)))
    taps = [exp(-0.5 * (offset / sigma) ** 2) for offset in range(-reach, reach + 1)]
    total = 0.0
    for tap in taps:
        total += tap
    weights, offsets = np.array([tap / total for tap in taps], np.float32), np.arange(-reach, reach + 1)
    none = np.zeros_like(offsets)
    return spread(spread(image, none, offsets, weights), offsets, none, weights)


def spread(image: Floats, right: NDArray[np.int64], down: NDArray[np.int64], weights: Floats) -> Floats:
    """The weighted sum (H, W, C) of ``image (H, W, C)`` at offsets ``right, down (K,)``, mirrored at the edges."""
    height, width, channels = image.shape
    reach = int(np.abs(right).max())
    across = cv2.copyMakeBorder(image, 0, 0, reach, reach, cv2.BORDER_REFLECT_101) if reach else image
    across = across.reshape(height, -1)
    result = np.zeros((height, width * channels), np.float32)
    _spread(across, (right + reach) * channels, down, weights, result)
    return result.reshape(image.shape)


@kernel
def _spread(image: Floats, starts: NDArray[np.int64], down: NDArray[np.int64], weights: Floats, result: Floats) -> None:
    """Add rows of ``image (H, W + 2R)`` from ``starts (K,)`` on, ``down (K,)`` rows lower, to ``result (H, W)``."""
    height, width = result.shape
    for row in range(height):
        target = result[row]
        for k in range(starts.shape[0]):
            source = abs(row + down[k])
            if source >= height:
                source = 2 * height - 2 - source
            line, weight = image[min(max(source, 0), height - 1), starts[k] :], weights[k]
            for x in range(width):
                target[x] += weight * line[x]


def motion_taps(right: float, down: float) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Offsets and weights (K,) of a straight movement of so many pixels."""
    steps = 8 * int(np.ceil(max(abs(right), abs(down), 1.0) / 2)) + 1
    along = np.linspace(-0.5, 0.5, steps)
    cells = np.stack((np.rint(along * right), np.rint(along * down)), axis=1).astype(np.int64)
    places, counts = np.unique(cells, axis=0, return_counts=True)
    rights, downs = np.ascontiguousarray(places.T)
    return rights, downs, (counts / steps).astype(np.float32)


def warped(frame: NDArray[np.uint8], matrix: tuple[float, ...], size: int) -> NDArray[np.uint8]:
    """The picture (size, size, 3) that ``matrix`` (a, b, x, c, d, y) makes of ``frame (H, W, 3)``; black outside it.

    It is what OpenCV's ``warpAffine`` makes, but for a grey level in a few pixels, in which that depends on AVX2.
    """
    a, b, x, c, d, y = matrix
    area = a * d - b * c
    back = np.array((d, -b, b * y - d * x, -c, a, c * x - a * y)) / area
    result = np.empty((size, size, 3), np.uint8)
    _warp(np.ascontiguousarray(frame), back, result)
    return result


@kernel
def _warp(frame: NDArray[np.uint8], back: Floats, result: NDArray[np.uint8]) -> None:
    """Fill ``result (S, S, 3)`` from where ``back (6,)`` takes its pixels in ``frame (H, W, 3)``."""
    height, width = frame.shape[0], frame.shape[1]
    for row in range(result.shape[0]):
        for column in range(result.shape[1]):
            x, y = back[0] * column + back[1] * row + back[2], back[3] * column + back[4] * row + back[5]
            left, top = int(np.floor(x)), int(np.floor(y))
            fx, fy = x - left, y - top
            for k in range(3):
                total = 0.5
                for i in range(2):
                    for j in range(2):
                        if 0 <= top + i < height and 0 <= left + j < width:
                            share = (fy if i else 1 - fy) * (fx if j else 1 - fx)
                            total += share * frame[top + i, left + j, k]
                result[row, column, k] = int(total)
