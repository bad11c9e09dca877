"""The 68 points of the iBUG 300-W scheme as points of the head's surface.

Order: 0-16 jaw from the image's left ear over the chin, 17-21 and 22-26 brows, 27-30 bridge of the nose, 31-35 under
the nose, 36-41 and 42-47 eyes (outer corner first on the image's left, inner first on its right), 48-59 outer lips
clockwise from the image's left corner, 60-67 inner lips. The jaw's points are fixed points of the head: at a large
yaw those on the far side are hidden, as in three-dimensional annotations, not moved to the outline.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.appearance import Appearance
from lwface.synthetic.arithmetic import power
from lwface.synthetic.eyes import corner_line, lower_lid, opened, upper_lid
from lwface.synthetic.head import (
    COLUMNS,
    EYE,
    EYE_HALF_WIDTH,
    MOUTH_HALF_WIDTH,
    MOUTH_ROW,
    locate,
    on_surface,
    template,
)

Floats = NDArray[Any]  # float32 unless said otherwise

_ALONG = np.array((1.0, 0.36, -0.36, -1.0, -0.36, 0.36))  # the eye's six points: 1 outer, -1 inner corner
_MIRRORED_BROW = [4, 3, 2, 1, 0]


def _brow(look: Appearance) -> NDArray[np.float64]:
    """Five points (5, 2) along the image's left brow, outer end first, on its upper edge's side."""
    t = np.array((0.97, 0.74, 0.5, 0.26, 0.02))
    a = look.brow_gap + t * 37 * look.brow_length
    line = look.brow_height + look.brow_slope * (a - 30) + look.brow_arch * (1 - ((t - 0.62) / 0.62) ** 2) - 1.0
    return np.stack((-a, line + 0.4 * look.brow_thickness), axis=1)


@lru_cache(maxsize=64)
def _lids(look: Appearance) -> tuple[NDArray, NDArray, NDArray]:
    """Heights (6,) in mm of the corners' line, and of an open eye's lids above and under it, at an eye's six points."""
    return corner_line(_ALONG), upper_lid(_ALONG, look), lower_lid(_ALONG, look)


def _eye(opening: float, look: Appearance) -> NDArray[np.float64]:
    """Six points (6, 2) of the image's left eye: outer corner, two above, inner corner, two below."""
    high, low = opened(*_lids(look), opening)
    y = np.where(np.arange(6) < 3, high, low)
    y[[0, 3]] = -0.9 + 0.9 * _ALONG[[0, 3]]
    return np.stack((-(EYE[0] + _ALONG * EYE_HALF_WIDTH), y), axis=1)


def _mirror(points: NDArray) -> NDArray:
    return points * (-1, 1)


def landmark_points(head: Floats, look: Appearance, lids: Floats) -> Floats:
    """The 68 points (68, 3) on the posed mesh ``head (ROWS, COLUMNS, 3)``; ``lids (2,)`` are the eyes' openings."""
    left, right = _eye(float(lids[0]), look), _eye(float(lids[1]), look)
    eyes = locate(np.concatenate((left, _mirror(right)[[3, 2, 1, 0, 5, 4]])))
    before, after = _fixed(look)
    return on_surface(head, np.concatenate((before, eyes, after)))


@lru_cache(maxsize=64)
def _fixed(look: Appearance) -> tuple[Floats, Floats]:
    """Column and row of the points before (36, 2) and after (20, 2) the eyes'."""
    brow = _brow(look)
    bridge = np.array(((0, 3.0), (0, -10), (0, -24), (0, -38.0)))
    base = np.array(((-14.5, -45.0), (-7, -48), (0, -49.5), (7, -48), (14.5, -45)))
    middle = locate(np.concatenate((brow, _mirror(brow)[_MIRRORED_BROW], bridge, base)))
    return np.concatenate((template().jaw, middle)), _lips(look)


def _lips(look: Appearance) -> Floats:
    """Column and row (20, 2) of the outer and the inner contour of the lips."""
    mesh = template().vertices
    line = mesh[MOUTH_ROW]
    upper_height, lower_height = (float(v) for v in look.lip_height)
    x = np.array((-25.0, -15.5, -5.0, 0.0, 5.0, 15.5, 25.0))
    r = np.abs(x) / MOUTH_HALF_WIDTH
    middle = np.interp(x, line[:, 0][20:77], line[:, 1][20:77])
    top = middle + upper_height * np.sqrt(np.clip(1 - r * np.sqrt(r), 0, 1)) * np.array((1, 1, 1, 0.86, 1, 1, 1))
    below = np.array((16.0, 8.0, 0.0, -8.0, -16.0))
    low = np.interp(below, line[:, 0][20:77], line[:, 1][20:77]) - lower_height * power(
        np.clip(1 - (np.abs(below) / MOUTH_HALF_WIDTH) ** 2, 0, 1), 0.6
    )
    outer = locate(np.concatenate((np.stack((x, top), axis=1), np.stack((below, low), axis=1))))
    # The inner contour runs along the two rows of the mesh between which the mouth opens.
    inner_x = np.array((-22.5, -8.0, 0.0, 8.0, 22.5))
    columns = np.interp(inner_x, line[:, 0][20:77], np.arange(COLUMNS)[20:77])
    above_row = np.stack((columns, np.full(5, MOUTH_ROW)), axis=1)
    below_row = np.stack((columns[[3, 2, 1]], np.full(3, MOUTH_ROW + 1)), axis=1)
    return np.concatenate((outer, above_row, below_row)).astype(np.float32)
