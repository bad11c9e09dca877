"""Triangles to pixels: the nearest surface at every pixel's centre.

A triangle covers a pixel when the pixel's centre lies inside it or on its edge. Attributes are interpolated linearly on
the screen, which is exact enough for triangles of a few pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.kernel import kernel

Floats = NDArray[Any]  # float32 unless said otherwise
NOTHING = -1
ATTRIBUTES = 9  # that a vertex can have; a loop of a fixed length is twice as fast
F, U = np.float32, np.uint64  # an index that cannot be negative is not looked at twice


@dataclass(frozen=True)
class Hits:
    """The nearest surface at every covered pixel, in the order of the pixels."""

    pixel: NDArray[np.int32]  # (P,) index into the flat image
    face: NDArray[np.int32]  # (P,) which triangle
    faces: NDArray[np.int32]  # (F, 3) the mesh's triangles
    weights: Floats  # (3, P) barycentric weights of the triangle's corners
    depth: Floats  # (P,) larger is nearer

    def interpolate(self, values: Floats) -> Floats:
        """Values (K, P) at the hits of attributes (V, K) of the vertices, K at most ATTRIBUTES."""
        count = values.shape[1]
        if count < ATTRIBUTES:
            values = np.pad(values, ((0, 0), (0, ATTRIBUTES - count)))
        result = np.empty((ATTRIBUTES, len(self.face)), np.float32)
        _interpolate(np.ascontiguousarray(values, np.float32), self.faces, self.face, self.weights, result)
        return result[:count]


@dataclass(frozen=True)
class Buffers:
    """The nearest surface at every pixel of a part of the image, covered or not."""

    faces: NDArray[np.int32]  # (F, 3) the mesh's triangles
    size: int  # pixels a side of the image
    left: int  # where the part begins
    top: int
    depth: Floats  # (H, W) larger is nearer
    found: NDArray[np.int32]  # (H, W) which triangle, or NOTHING
    shares: Floats  # (H, W, 2) barycentric weights of its second and third corner

    def hits(self) -> Hits:
        """What was found."""
        at = np.flatnonzero(self.found != NOTHING)
        pixel, face = np.empty(len(at), np.int32), np.empty(len(at), np.int32)
        weights, nearest = np.empty((3, len(at)), np.float32), np.empty(len(at), np.float32)
        where = self.left, self.top, self.size
        _collect(at, self.depth, self.found, self.shares, *where, pixel, face, weights, nearest)
        return Hits(pixel, face, self.faces, weights, nearest)


def rasterise(
    screen: Floats,
    depth: Floats,
    faces: NDArray[np.int32],
    size: int,
    *,
    double_sided: bool = False,
    level: Floats | None = None,
    window: Floats | None = None,
    behind: Floats | None = None,
) -> Buffers:
    """The visible fragments of a mesh on a ``size`` x ``size`` image; of equally near ones the last triangle's.

    Args:
        screen: (V, 2) x to the right and y down, in pixels; pixel (0, 0) has its centre at (0, 0).
        depth: (V,) larger is nearer.
        faces: (F, 3) vertex indices; outside is where the corners run counter-clockwise on the screen seen with y up.
        double_sided: also draw triangles seen from behind.
        level: (V,) the surface ends where this, interpolated, is not positive; what lies behind is seen there.
        window: (4,) left, top, right and bottom, in pixels, of all that is drawn.
        behind: (H, W) depth, of the same window: only what is nearer than this is drawn.
    """
    left, top, right, low = (0, 0, size - 1, size - 1) if window is None else _whole(window, size)
    shape = max(low - top + 1, 0), max(right - left + 1, 0)
    near = np.full(shape, -np.inf, np.float32) if behind is None else behind.copy()
    levels = np.ones(1, np.float32) if level is None else np.ascontiguousarray(level, np.float32)
    found, shares = np.full(shape, NOTHING, np.int32), np.empty((*shape, 2), np.float32)
    positions, corners = np.ascontiguousarray(screen, np.float32), np.ascontiguousarray(faces, np.int32)
    sides = level is not None, double_sided
    _fill(positions, np.ascontiguousarray(depth, np.float32), corners, levels, *sides, left, top, near, found, shares)
    return Buffers(faces, size, left, top, near, found, shares)


def _whole(window: Floats, size: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom pixel of ``window (4,)``, inside the image."""
    left, top, right, low = (float(value) for value in window)
    return max(int(left), 0), max(int(top), 0), min(int(right) + 1, size - 1), min(int(low) + 1, size - 1)


@kernel
def _fill(
    screen: Floats,
    depth: Floats,
    faces: NDArray[np.int32],
    level: Floats,
    leveled: bool,
    double_sided: bool,
    left: int,
    top: int,
    near: Floats,
    found: NDArray[np.int32],
    shares: Floats,
) -> None:
    """Draw every triangle into ``near``, ``found`` and the last two ``shares``, all (H, W, ...), which begin there."""
    wide = near.shape[1]
    right, low = left + wide - 1.0, top + near.shape[0] - 1.0
    flat, owners, places = near.reshape(-1), found.reshape(-1), shares.reshape(-1)
    for face in range(faces.shape[0]):
        a, b, c = U(faces[face, 0]), U(faces[face, 1]), U(faces[face, 2])
        ax, ay = np.float64(screen[a, 0]), np.float64(screen[a, 1])
        bx, by = np.float64(screen[b, 0]) - ax, np.float64(screen[b, 1]) - ay
        cx, cy = np.float64(screen[c, 0]) - ax, np.float64(screen[c, 1]) - ay
        area = bx * cy - cx * by
        if area > -1e-6 and not (double_sided and area > 1e-6):
            continue
        x_low, x_high = max(ax + min(0.0, bx, cx), left * 1.0), min(ax + max(0.0, bx, cx), right)
        y_low, y_high = max(ay + min(0.0, by, cy), top * 1.0), min(ay + max(0.0, by, cy), low)
        if x_low > x_high or y_low > y_high or (leveled and max(level[a], level[b], level[c]) <= 0):
            continue
        inverse = 1 / area
        a1, b1, a2, b2 = cy * inverse, -cx * inverse, -by * inverse, bx * inverse
        z, z1, z2 = np.float64(depth[a]), np.float64(depth[b]) - depth[a], np.float64(depth[c]) - depth[a]
        first, end = int(np.ceil(x_low)), int(np.floor(x_high)) + 1
        for row in range(int(np.ceil(y_low)), int(np.floor(y_high)) + 1):
            v1, v2 = b1 * (row - ay) - a1 * ax, b2 * (row - ay) - a2 * ax
            entered = False
            for column in range(first, end):
                w1, w2 = a1 * column + v1, a2 * column + v2
                if w1 < 0 or w2 < 0 or w1 + w2 > 1:
                    if entered:
                        break
                    continue
                entered = True
                here = np.float32(z + w1 * z1 + w2 * z2)
                at = U((row - top) * wide + column - left)
                if here < flat[at]:
                    continue
                if leveled and level[a] * (1 - w1 - w2) + level[b] * w1 + level[c] * w2 <= 0:
                    continue
                flat[at], owners[at] = here, face
                places[U(2) * at], places[U(2) * at + U(1)] = w1, w2


@kernel
def _collect(
    at: NDArray[np.int64],
    near: Floats,
    found: NDArray[np.int32],
    shares: Floats,
    left: int,
    top: int,
    size: int,
    pixel: NDArray[np.int32],
    face: NDArray[np.int32],
    weights: Floats,
    nearest: Floats,
) -> None:
    """Pixel, triangle, weights and depth of the places ``at (P,)`` where something was found."""
    wide = near.shape[1]
    for i in range(at.shape[0]):
        y = at[i] // wide
        x = at[i] - y * wide
        w1, w2 = shares[y, x, 0], shares[y, x, 1]
        pixel[i], face[i], nearest[i] = (y + top) * size + x + left, found[y, x], near[y, x]
        weights[0, i], weights[1, i], weights[2, i] = F(1) - w1 - w2, w1, w2


@kernel
def _interpolate(
    values: Floats, faces: NDArray[np.int32], face: NDArray[np.int32], weights: Floats, result: Floats
) -> None:
    """Values ``result (K, P)`` of attributes (V, K) in the triangles ``face (P,)``."""
    for hit in range(face.shape[0]):
        f = U(face[hit])
        a, b, c = U(faces[f, 0]), U(faces[f, 1]), U(faces[f, 2])
        first, second, third = weights[0, hit], weights[1, hit], weights[2, hit]
        for k in range(ATTRIBUTES):
            result[k, hit] = values[a, k] * first + values[b, k] * second + values[c, k] * third
