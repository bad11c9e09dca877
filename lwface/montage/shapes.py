"""Landmarks normalised for place, size and roll, and as few numbers to search by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH = 32  # numbers of a code; of 2690 real frames they leave out 3.2 % of the shapes' variance, 0.13 % of the places'
_SAMPLE = 20000  # shapes that the directions are found from
_BLOCK = 65536

Floats = NDArray[np.float32]


class Coder(NamedTuple):
    """Turns vectors (N, 136) into codes (N, WIDTH) whose distances are nearly theirs.

    Attributes:
        mean: (136,) float32.
        basis: (136, WIDTH) float32, orthonormal columns.
    """

    mean: Floats
    basis: Floats

    @classmethod
    def of(cls, vectors: Floats) -> Coder:
        """The principal directions of the vectors (N, 136), from a spread sample of them."""
        step = max(1, len(vectors) // _SAMPLE)
        sample = np.asarray(vectors[::step], np.float64)
        mean = sample.mean(axis=0)
        _, directions = np.linalg.eigh((sample - mean).T @ (sample - mean))
        return cls(mean.astype(np.float32), np.ascontiguousarray(directions[:, ::-1][:, :WIDTH], np.float32))

    def __call__(self, vectors: Floats) -> Floats:
        """The codes (N, WIDTH)."""
        found = np.empty((len(vectors), self.basis.shape[1]), np.float32)
        for start in range(0, len(vectors), _BLOCK):
            part = slice(start, start + _BLOCK)
            found[part] = (vectors[part] - self.mean) @ self.basis
        return found


def placed(points: NDArray[np.floating], sizes: NDArray[np.integer]) -> Floats:
    """Landmarks (N, 68, 2) over their frames' ``sizes`` (N, 2) of (height, width), as the costs divide: (N, 136)."""
    return (points / sizes[:, None]).astype(np.float32).reshape(len(points), -1)


def shapes(points: NDArray[np.floating]) -> Floats:
    """Landmarks (N, 68, 2) about their mean, of root mean square radius 1, eyes level: (N, 136) float32.

    The line between the means of the two eyes' six points is turned level. A face whose points all coincide, or whose
    eyes do, is not turned or scaled.
    """
    found = np.empty((len(points), 136), np.float32)
    for start in range(0, len(points), _BLOCK):
        block = np.asarray(points[start : start + _BLOCK], np.float32)
        z = block[..., 0] + 1j * block[..., 1]
        z -= z.mean(axis=1, keepdims=True)
        radius = np.sqrt((np.abs(z) ** 2).mean(axis=1))
        eyes = z[:, 42:48].mean(axis=1) - z[:, 36:42].mean(axis=1)
        length = np.abs(eyes)
        turn = np.where(length > 0, np.conj(eyes) / np.where(length > 0, length, 1), 1)
        z *= (turn / np.where(radius > 0, radius, 1))[:, None]
        found[start : start + _BLOCK] = np.stack([z.real, z.imag], axis=2).reshape(len(block), -1)
    return found
