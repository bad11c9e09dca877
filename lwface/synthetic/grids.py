"""Grids of vertices in space: turned, bent at the neck, with normals, shadows and triangles.

Everything is a grid (R, C, 3) of millimetres, so that the head, the hair and the shoulders share these functions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.kernel import cos, kernel, sin, step

Floats = NDArray[Any]  # float32 unless said otherwise
_NOTHING, _NOTHING3 = np.empty((0, 0), np.float32), np.empty((0, 0, 2), np.float32)
NECK_LOW, NECK_HIGH = -75.0, -8.0  # mm over the pivot between which the neck bends
F = np.float32
BIAS = 2.0  # mm over a surface where its shadow is looked up
SHADED, CLEAR = 26.0, 11.0  # mm under what is nearest to the light: in its shadow, and not yet


@lru_cache(maxsize=16)
def grid_faces(rows: int, columns: int) -> NDArray[np.int32]:
    """Two triangles a cell (2*(rows-1)*(columns-1), 3), in the order that faces outwards here."""
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.stack((np.stack((a, c, b), -1), np.stack((b, c, d), -1)), axis=2).reshape(-1, 3)


@lru_cache(maxsize=64)
def mesh_faces(shapes: tuple[tuple[int, int], ...]) -> tuple[NDArray[np.int32], list[int]]:
    """Triangles (F, 3) of several grids whose vertices follow each other; where each one's begin, and the end."""
    faces, starts, first = [], [0], 0
    for rows, columns in shapes:
        faces.append(grid_faces(rows, columns) + np.int32(first))
        first += rows * columns
        starts.append(starts[-1] + len(faces[-1]))
    return np.concatenate(faces), starts


def rotation(yaw: float, pitch: float, roll: float) -> Floats:
    """The matrix (3, 3) that turns column vectors by yaw, then pitch, then roll (degrees; signs as in ``Shot``)."""
    angles = [angle * (np.pi / 180) for angle in (yaw, pitch, roll)]
    (cy, cp, cr), (sy, sp, sr) = (cos(a) for a in angles), (sin(a) for a in angles)
    nod = ((cy, 0.0, sy), (sp * -sy, cp, sp * cy), (cp * -sy, -sp, cp * cy))  # pitch times yaw
    rows = (
        [cr * a + sr * b for a, b in zip(*nod[:2], strict=True)],
        [cr * b - sr * a for a, b in zip(*nod[:2], strict=True)],
    )
    return np.array((*rows, nod[2]), np.float32)


def turned(points: Floats, matrix: Floats, pivot: Floats) -> Floats:
    """``points (..., 3)`` turned by ``matrix (3, 3)`` about ``pivot (3,)``."""
    return bent(points, matrix, matrix, pivot)


def bent(points: Floats, head: Floats, body: Floats, pivot: Floats) -> Floats:
    """``points (..., 3)`` turned about ``pivot (3,)``: by ``head`` above the neck, by ``body (3, 3)`` below it."""
    flat = np.ascontiguousarray(points, np.float32).reshape(-1, 3)
    result = np.empty_like(flat)
    _bent(flat, head, body, pivot, result)
    return result.reshape(points.shape)


@kernel
def _bent(points: Floats, head: Floats, body: Floats, pivot: Floats, result: Floats) -> None:
    for i in range(points.shape[0]):
        x, y, z = points[i, 0] - pivot[0], points[i, 1] - pivot[1], points[i, 2] - pivot[2]
        share = step(NECK_LOW, NECK_HIGH, y)
        for k in range(3):
            low = np.float64(body[k, 0]) * x + np.float64(body[k, 1]) * y + np.float64(body[k, 2]) * z
            high = np.float64(head[k, 0]) * x + np.float64(head[k, 1]) * y + np.float64(head[k, 2]) * z
            result[i, k] = low + (high - low) * share + pivot[k]


@kernel
def project(points: Floats, place: Floats, screen: Floats, depth: Floats) -> None:
    """Pixels ``screen (N, 2)`` and ``depth (N,)`` of ``points (N, 3)`` in front of a pinhole.

    ``place (6,)`` is the pixel of what the camera looks at, its x and y in mm, focal length in pixels, distance in mm.
    """
    for i in range(points.shape[0]):
        scale = place[4] / max(place[5] - points[i, 2], 40.0)
        screen[i, 0] = place[0] + (points[i, 0] - place[2]) * scale
        screen[i, 1] = place[1] - (points[i, 1] - place[3]) * scale
        depth[i] = points[i, 2]


class ShadowMap:
    """Which points the key light reaches: the nearest surface to the light in each cell of a coarse map.

    Surfaces are represented by their vertices, so a shadow is soft and about a cell wide.
    """

    CELL, CELLS = 6.0, 72  # mm, cells a side

    def __init__(self, light: Floats, surfaces: list[Floats]) -> None:
        x, y, z = (float(v) for v in light)
        length, flat = np.sqrt(x * x + y * y + z * z), max(float(np.sqrt(x * x + z * z)), 1e-6)
        right, forward = np.array((z, 0.0, -x)) / flat, np.array((x, y, z)) / length
        up = np.array((forward[1] * right[2], forward[2] * right[0] - forward[0] * right[2], -forward[1] * right[0]))
        self.axes = np.stack((right, up, forward))
        nearest = np.full((self.CELLS + 1, self.CELLS + 1), -1e3)
        for surface in surfaces:
            _deepen(nearest, surface.reshape(-1, 3), self.axes, self.CELL)
        # A surface's cell and the three before it: holes between vertices close.
        widened = np.maximum(
            np.maximum(nearest[1:, 1:], nearest[1:, :-1]), np.maximum(nearest[:-1, 1:], nearest[:-1, :-1])
        )
        self.nearest = np.ascontiguousarray(widened)


@kernel
def _cell(axes: Floats, k: int, x: float, y: float, z: float, cell: float, cells: int) -> int:
    at = (axes[k, 0] * x + axes[k, 1] * y + axes[k, 2] * z) / cell + cells / 2
    return int(min(max(np.floor(at + 0.5), 0.0), cells - 1.0))


@kernel
def _deepen(nearest: Floats, points: Floats, axes: Floats, cell: float) -> None:
    """Note ``points (N, 3)`` in the map ``nearest (C+1, C+1)``, whose first row and column stay empty."""
    cells = nearest.shape[0] - 1
    for i in range(points.shape[0]):
        x, y, z = np.float64(points[i, 0]), np.float64(points[i, 1]), np.float64(points[i, 2])
        row = _cell(axes, 1, x, y, z, cell, cells) + 1
        column = _cell(axes, 0, x, y, z, cell, cells) + 1
        depth = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z
        nearest[row, column] = max(nearest[row, column], depth)


def of_vertices(
    vertices: Floats,
    wrap: bool,
    detail: Floats,
    ambient: Floats | float,
    extra: Floats | None,
    shadow: ShadowMap | None,
    values: Floats,
) -> None:
    """Attributes ``values (R, C, 9)`` of a grid's vertices (R, C, 3): normal, detail, ambient, lit, extra.

    Args:
        vertices: in camera coordinates.
        wrap: the first and the last column are the same line.
        detail, extra: (R, C, 2), what the material reads there.
        ambient: (R, C), share of ambient light.
        shadow: what keeps light away; None: all is lit.
        values: what is written.
    """
    still = np.float32(ambient) if isinstance(ambient, float) else np.float32(0)
    shades = _NOTHING if isinstance(ambient, float) else np.ascontiguousarray(ambient, np.float32)
    further = _NOTHING3 if extra is None else np.ascontiguousarray(extra, np.float32)
    _set(np.ascontiguousarray(detail, np.float32), shades, still, further, values)
    _normals(vertices, wrap, values)
    if shadow is not None:
        _lit(vertices, shadow.nearest, shadow.axes, ShadowMap.CELL, values, np.empty(vertices.shape[:2]))


@kernel
def _set(detail: Floats, ambient: Floats, still: float, extra: Floats, values: Floats) -> None:
    """Fill in all but normals; without ``ambient`` it is ``still`` everywhere, without ``extra`` that is 0."""
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            values[row, column, 3], values[row, column, 4] = detail[row, column, 0], detail[row, column, 1]
            values[row, column, 5] = ambient[row, column] if ambient.shape[0] else still
            values[row, column, 6] = 1
            for k in range(2):
                values[row, column, 7 + k] = extra[row, column, k] if extra.shape[0] else 0


@kernel
def _normals(vertices: Floats, wrap: bool, values: Floats) -> None:
    """Unit normals of a grid of vertices into the first three ``values (R, C, ...)``."""
    rows, columns = vertices.shape[0], vertices.shape[1]
    for row in range(rows):
        above, below = max(row - 1, 0), min(row + 1, rows - 1)
        for column in range(columns):
            left, right = max(column - 1, 0), min(column + 1, columns - 1)
            if wrap and (column == 0 or column == columns - 1):
                left, right = columns - 2, 1
            dx = vertices[below, column, 0] - vertices[above, column, 0]
            dy = vertices[below, column, 1] - vertices[above, column, 1]
            dz = vertices[below, column, 2] - vertices[above, column, 2]
            ax = vertices[row, right, 0] - vertices[row, left, 0]
            ay = vertices[row, right, 1] - vertices[row, left, 1]
            az = vertices[row, right, 2] - vertices[row, left, 2]
            x, y, z = dy * az - dz * ay, dz * ax - dx * az, dx * ay - dy * ax
            scale = F(1) / max(np.sqrt(x * x + y * y + z * z), F(1e-6))
            values[row, column, 0], values[row, column, 1], values[row, column, 2] = x * scale, y * scale, z * scale


@kernel
def _lit(vertices: Floats, nearest: Floats, axes: Floats, cell: float, values: Floats, reached: Floats) -> None:
    """How much of the key light reaches each vertex, a mean over its neighbours, into ``values[..., 6]``."""
    rows, columns, cells = vertices.shape[0], vertices.shape[1], nearest.shape[0]
    for row in range(rows):
        for column in range(columns):
            x = vertices[row, column, 0] + BIAS * values[row, column, 0]
            y = vertices[row, column, 1] + BIAS * values[row, column, 1]
            z = vertices[row, column, 2] + BIAS * values[row, column, 2]
            at = nearest[_cell(axes, 1, x, y, z, cell, cells), _cell(axes, 0, x, y, z, cell, cells)]
            depth = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z
            reached[row, column] = step(SHADED, CLEAR, at - depth)
    for row in range(rows):
        for column in range(columns):
            total = 0.0
            for i in range(-1, 2):
                for k in range(-1, 2):
                    total += reached[min(max(row + i, 0), rows - 1), min(max(column + k, 0), columns - 1)]
            values[row, column, 6] = total / 9
