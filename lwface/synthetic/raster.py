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
    faces: NDArray[np.int32]  # (F, 3) the mesh's triangles
    weights: Floats  # (3, P) barycentric weights of the triangle's corners
    depth: Floats  # (P,) larger is nearer

    def interpolate(self, values: Floats) -> Floats:
        """Values (K, P) at the hits of attributes (V, K) of the vertices.

        One attribute at a time: gathering rows of K numbers and weighting them takes NumPy several times as long.
        """
        corners = [np.take(column, self.face).astype(np.intp) for column in self.faces.T]
        result = np.empty((values.shape[1], len(self.face)), np.float32)
        for target, column in zip(result, np.ascontiguousarray(values.T), strict=True):
            np.multiply(column.take(corners[0]), self.weights[0], out=target)
            for corner, weight in zip(corners[1:], self.weights[1:], strict=True):
                part = column.take(corner)
                part *= weight
                target += part
        return result

    def select(self, keep: NDArray[Any]) -> Hits:
        """Only the hits that ``keep`` (mask or indices) names."""
        if keep.dtype == bool:
            keep = np.flatnonzero(keep)
        weights = np.take(self.weights, keep, axis=1)
        return Hits(self.pixel.take(keep), self.face.take(keep), self.faces, weights, self.depth.take(keep))


def rasterise(
    screen: Floats,
    depth: Floats,
    faces: NDArray[np.int32],
    size: int,
    *,
    double_sided: bool = False,
    level: Floats | None = None,
    window: Floats | None = None,
) -> Hits:
    """The visible fragments of a mesh on a ``size`` x ``size`` image.

    Args:
        screen: (V, 2) x to the right and y down, in pixels; pixel (0, 0) has its centre at (0, 0).
        depth: (V,) larger is nearer.
        faces: (F, 3) vertex indices; outside is where the corners run counter-clockwise on the screen seen with y up.
        double_sided: also draw triangles seen from behind.
        level: (V,) the surface ends where this, interpolated, is not positive; what lies behind is seen there.
        window: (4,) left, top, right and bottom, in pixels: triangles outside are left out, all others are whole.
    """
    corners = np.ascontiguousarray(faces.T)  # (3, F)
    x, y = (np.take(np.ascontiguousarray(screen[:, axis]), corners) for axis in (0, 1))  # (3, F)
    area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    y_low = np.maximum(np.ceil(np.minimum(np.minimum(y[0], y[1]), y[2])), 0).astype(np.int32)
    y_high = np.minimum(np.floor(np.maximum(np.maximum(y[0], y[1]), y[2])), size - 1).astype(np.int32)
    drawn = y_high >= y_low
    if window is not None:
        left, top, right, bottom = window
        drawn &= (y_high >= top) & (y_low <= bottom)
        drawn &= np.maximum(np.maximum(x[0], x[1]), x[2]) >= left
        drawn &= np.minimum(np.minimum(x[0], x[1]), x[2]) <= right
    facing = np.abs(area) > 1e-6 if double_sided else area < -1e-6
    if level is not None:
        at_corners = np.take(level, corners)
        facing &= np.maximum(np.maximum(at_corners[0], at_corners[1]), at_corners[2]) > 0
    kept = np.flatnonzero(facing & drawn)
    x, y, y_low = x[:, kept], y[:, kept], y_low[kept]
    inverse = 1.0 / area[kept]
    # Barycentric weights are planes over the screen: w = a*x + b*y + c, with x from corner 0 and y from its first row.
    x0, y0 = x - x[:1], y - y_low
    a1, b1, c1 = (y0[2] - y0[0]) * inverse, -x0[2] * inverse, x0[2] * y0[0] * inverse
    a2, b2, c2 = (y0[0] - y0[1]) * inverse, x0[1] * inverse, -x0[1] * y0[0] * inverse
    # Rows of the triangles, then the span of each row that all three planes allow.
    counts = y_high[kept] - y_low + 1
    owner = np.repeat(np.arange(len(kept), dtype=np.int32), counts)
    row = np.arange(len(owner), dtype=np.int32) - np.repeat(np.cumsum(counts, dtype=np.int32) - counts, counts)
    fy = row.astype(np.float32)
    d1, d2 = np.repeat(a1, counts), np.repeat(a2, counts)
    v1 = np.repeat(b1, counts) * fy + np.repeat(c1, counts)
    v2 = np.repeat(b2, counts) * fy + np.repeat(c2, counts)
    low, high = _span(((d1, v1), (d2, v2), (-d1 - d2, 1 - v1 - v2)))
    base = np.repeat(x[0], counts)
    x_low = np.ceil(np.maximum(low + base, 0)).astype(np.int32)
    x_high = np.floor(np.minimum(high + base, size - 1)).astype(np.int32)
    full = np.flatnonzero(x_high >= x_low)
    owner, row, x_low, base = owner[full], row[full], x_low[full], base[full]
    d1, v1, d2, v2 = d1[full], v1[full], d2[full], v2[full]
    lengths = x_high[full] - x_low + 1
    # Fragments: the pixels of the spans.
    span = np.repeat(np.arange(len(full), dtype=np.int32), lengths)
    first = np.cumsum(lengths, dtype=np.int32) - lengths
    step = np.arange(len(span), dtype=np.int32) - np.repeat(first, lengths)
    pixel = np.repeat((np.take(y_low, owner) + row) * size + x_low, lengths) + step
    fx = step.astype(np.float32)  # from corner 0
    fx += np.repeat(x_low.astype(np.float32) - base, lengths)
    at = np.take(kept, owner)
    if level is not None:
        ends = _plane(level, faces, kept, owner, (d1, v1), (d2, v2))
        chosen = np.flatnonzero(np.repeat(ends[0], lengths) * fx + np.repeat(ends[1], lengths) > 0)
        span, pixel, fx = span[chosen], pixel[chosen], fx[chosen]
    slope, start = _plane(depth, faces, kept, owner, (d1, v1), (d2, v2))
    z = np.take(slope, span) * fx + np.take(start, span)
    winner = _nearest(pixel, z, size * size)
    span, fx = span[winner], fx[winner]
    w1 = np.take(d1, span) * fx + np.take(v1, span)
    w2 = np.take(d2, span) * fx + np.take(v2, span)
    face = np.take(at, span).astype(np.int32)
    weights = np.stack((1 - w1 - w2, w1, w2))
    return Hits(pixel[winner], face, faces, weights, z[winner])


def _span(planes: tuple[tuple[Floats, Floats], ...]) -> tuple[Floats, Floats]:
    """Lower and upper end (R,) of where all planes ``slope * x + value`` (R,) are at least 0."""
    low, high = np.float32(-np.inf), np.float32(np.inf)
    for slope, value in planes:
        safe = np.where(np.abs(slope) < 1e-12, np.float32(1e-12), slope)
        zero = -value / safe
        low = np.maximum(low, np.where(safe > 0, zero, np.float32(-np.inf)))
        high = np.minimum(high, np.where(safe > 0, np.float32(np.inf), zero))
    return low, high


def _plane(
    values: Floats, faces: NDArray[Any], kept: NDArray[Any], owner: NDArray[Any], *planes: Any
) -> tuple[Floats, Floats]:
    """Slope and value (S,) along the rows ``owner (S,)`` of an attribute ``values (V,)`` of the vertices."""
    corner = np.take(values, faces[kept])  # (K, 3)
    one, two = np.take(corner[:, 1] - corner[:, 0], owner), np.take(corner[:, 2] - corner[:, 0], owner)
    (d1, v1), (d2, v2) = planes
    return one * d1 + two * d2, np.take(corner[:, 0], owner) + one * v1 + two * v2


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
