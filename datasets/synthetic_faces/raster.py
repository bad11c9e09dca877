"""Triangles to pixels, vectorised: every fragment of every triangle at once, nearest depth wins.

A triangle covers a pixel when the pixel's centre lies inside it. Attributes are interpolated linearly on the screen,
which is exact enough for triangles of a few pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float32 unless said otherwise


@dataclass(frozen=True)
class Hits:
    """The nearest surface at every covered pixel."""

    pixel: NDArray[np.int32]  # (P,) index into the flat image
    face: NDArray[np.int32]  # (P,) which triangle
    corners: NDArray[np.int32]  # (P, 3) its vertices
    weights: Floats  # (P, 3) barycentric weights
    depth: Floats  # (P,) larger is nearer

    def interpolate(self, values: Floats) -> Floats:
        """Values (P, K) at the hits of an attribute (V, K) of the vertices."""
        total = np.take(values, self.corners[:, 0], axis=0) * self.weights[:, :1]
        total += np.take(values, self.corners[:, 1], axis=0) * self.weights[:, 1:2]
        total += np.take(values, self.corners[:, 2], axis=0) * self.weights[:, 2:]
        return total

    def select(self, keep: NDArray) -> Hits:
        """Only the hits that ``keep`` (mask or indices) names."""
        return Hits(self.pixel[keep], self.face[keep], self.corners[keep], self.weights[keep], self.depth[keep])


def rasterise(
    screen: Floats,
    depth: Floats,
    faces: NDArray[np.int32],
    size: int,
    *,
    double_sided: bool = False,
    level: Floats | None = None,
) -> Hits:
    """The visible fragments of a mesh on a ``size`` x ``size`` image.

    Args:
        screen: (V, 2) x to the right and y down, in pixels; pixel (0, 0) has its centre at (0, 0).
        depth: (V,) larger is nearer.
        faces: (F, 3) vertex indices; outside is where the corners run counter-clockwise on the screen seen with y up.
        double_sided: also draw triangles seen from behind.
        level: (V,) the surface ends where this, interpolated, is not positive; what lies behind is seen there.
    """
    corner = np.take(screen, faces, axis=0)  # (F, 3, 2)
    x, y = np.ascontiguousarray(corner[..., 0].T), np.ascontiguousarray(corner[..., 1].T)  # (3, F)
    area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    x_low = np.maximum(np.ceil(np.minimum(np.minimum(x[0], x[1]), x[2])), 0).astype(np.int32)
    y_low = np.maximum(np.ceil(np.minimum(np.minimum(y[0], y[1]), y[2])), 0).astype(np.int32)
    x_high = np.minimum(np.floor(np.maximum(np.maximum(x[0], x[1]), x[2])), size - 1).astype(np.int32)
    y_high = np.minimum(np.floor(np.maximum(np.maximum(y[0], y[1]), y[2])), size - 1).astype(np.int32)
    facing = np.abs(area) > 1e-6 if double_sided else area < -1e-6
    if level is not None:
        facing &= np.take(level, faces).max(axis=1) > 0
    kept = np.flatnonzero(facing & (x_high >= x_low) & (y_high >= y_low))
    x, y, area = x[:, kept], y[:, kept], area[kept]
    x_low, y_low = x_low[kept], y_low[kept]
    columns = x_high[kept] - x_low + 1
    counts = columns * (y_high[kept] - y_low + 1)
    # Barycentric weights are planes over the screen: w = a*x + b*y + c, taken relative to the box's corner.
    inverse = 1.0 / area
    x0, y0 = x - x_low, y - y_low
    a1, b1, c1 = (y0[2] - y0[0]) * inverse, (x0[0] - x0[2]) * inverse, (x0[2] * y0[0] - x0[0] * y0[2]) * inverse
    a2, b2, c2 = (y0[0] - y0[1]) * inverse, (x0[1] - x0[0]) * inverse, (x0[0] * y0[1] - x0[1] * y0[0]) * inverse
    total = int(counts.sum())
    owner = np.repeat(np.arange(len(kept), dtype=np.int32), counts)
    starts = np.cumsum(counts) - counts
    offset = np.arange(total, dtype=np.int32) - np.take(starts.astype(np.int32), owner)
    width = np.take(columns, owner)
    dy = offset // width
    dx = offset - dy * width
    fx, fy = dx.astype(np.float32), dy.astype(np.float32)
    w1 = np.take(a1, owner) * fx + np.take(b1, owner) * fy + np.take(c1, owner)
    w2 = np.take(a2, owner) * fx + np.take(b2, owner) * fy + np.take(c2, owner)
    inside = np.flatnonzero((w1 >= 0) & (w2 >= 0) & (w1 + w2 <= 1))
    owner, w1, w2 = owner[inside], w1[inside], w2[inside]
    if level is not None:
        ends = np.take(level, faces[kept])  # (K, 3)
        at = ends[owner, 0] * (1 - w1 - w2) + ends[owner, 1] * w1 + ends[owner, 2] * w2
        chosen = np.flatnonzero(at > 0)
        inside, owner, w1, w2 = inside[chosen], owner[chosen], w1[chosen], w2[chosen]
    pixel = (np.take(y_low, owner) + dy[inside]) * size + np.take(x_low, owner) + dx[inside]
    near = np.take(depth, faces[kept]).T  # (3, K)
    z = np.take(near[0], owner)
    z += w1 * np.take(near[1] - near[0], owner) + w2 * np.take(near[2] - near[0], owner)
    winner = _nearest(pixel, z, size * size)
    face = kept[owner[winner]].astype(np.int32)
    w1, w2 = w1[winner], w2[winner]
    weights = np.stack((1 - w1 - w2, w1, w2), axis=1)
    return Hits(pixel[winner], face, np.take(faces, face, axis=0), weights, z[winner])


def _nearest(pixel: NDArray[np.int32], z: Floats, pixels: int) -> NDArray[np.int32]:
    """Index of the nearest fragment of every covered pixel; the last one of equals. Rounds = depth complexity."""
    best = np.full(pixels, -1, np.int32)
    depth = np.full(pixels, -np.inf, np.float32)
    waiting = np.arange(len(pixel), dtype=np.int32)
    while len(waiting):
        best[pixel[waiting]] = waiting  # of several for one pixel the last stays
        chosen = best[pixel[waiting]]
        depth_now = z[chosen]
        depth[pixel[waiting]] = depth_now
        waiting = waiting[z[waiting] > depth_now]
    return best[best >= 0]
