"""Eyes: lids, white, iris and lashes, worked out a pixel at a time in the template's coordinates, so always sharp."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.head import EYE, EYE_HALF_WIDTH
from lwface.synthetic.person import Appearance

Floats = NDArray[Any]  # float32 unless said otherwise


def corner_line(t: NDArray) -> NDArray:
    """Height in mm of the line between an eye's corners at ``t``, -1 at the inner and 1 at the outer corner."""
    return -0.9 + 0.9 * t


def upper_lid(t: NDArray, look: Appearance) -> NDArray:
    """Height in mm of the open upper lid above the corner line."""
    bent = np.clip(t - 0.45 * look.eye_peak * (1 - t * t), -1, 1)
    return look.eye_height[0] * (1 - np.abs(bent) ** 2.1) ** 0.72


def lower_lid(t: NDArray, look: Appearance) -> NDArray:
    """Depth in mm of the lower lid under the corner line."""
    bent = np.clip(t - 0.15 * (1 - t * t), -1, 1)
    return look.eye_height[1] * (1 - np.abs(bent) ** 2.2) ** 0.75


def lid_edges(t: NDArray, opening: NDArray | float, look: Appearance) -> tuple[NDArray, NDArray]:
    """Heights in mm of the edges of the upper and lower lids at ``t``; ``opening`` is 1 for open, 0 for closed."""
    line = corner_line(t)
    low = line - lower_lid(t, look) * (0.72 + 0.28 * np.clip(opening, 0, 1.1))
    high = line + upper_lid(t, look)
    return low + (high - low) * opening, low


def _step(low: float, high: float, value: Floats) -> Floats:
    t = np.clip((value - low) * np.float32(1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def draw(
    albedo: Floats,
    gloss: Floats,
    where: Floats,
    look: Appearance,
    lids: Floats,
    gaze: Floats,
    light: Floats,
    sharp: float,
) -> tuple[NDArray, Floats]:
    """Paint both eyes into the skin's pixels.

    Args:
        albedo, gloss: (P, 3) and (P,) linear colour and gloss, changed in place.
        where: (2, P) canonical x and y of the pixels.
        lids, gaze, light: of the shot.
        sharp: mm a pixel covers, the width of soft edges.

    Returns:
        Indices of pixels on an eyeball and the strength of the light's reflection there.
    """
    near = np.flatnonzero((np.abs(np.abs(where[0]) - EYE[0]) < 22) & (np.abs(where[1]) < 15))
    if not len(near):
        return near, np.zeros(0, np.float32)
    x, y = where[0][near], where[1][near]
    side = np.sign(x)
    ex = np.abs(x) - np.float32(EYE[0])
    t = ex / np.float32(EYE_HALF_WIDTH)
    opening = np.where(side < 0, lids[0], lids[1])
    high, low = lid_edges(np.clip(t, -1, 1), opening, look)
    high, low = high.astype(np.float32), low.astype(np.float32)
    ends = _step(1.02, 0.94, np.abs(t))
    soft = np.float32(max(0.35, 0.45 * sharp))
    hole = np.minimum(_step(-soft, soft, high - y), _step(-soft, soft, y - low)) * ends * _step(0.02, 0.15, opening)
    color, wet = _ball(x, y, ex, side, high, low, look, gaze, light)
    skin = albedo[near]
    # The fold of the upper lid, and the lashes: a dark line above, a thin one below, longer to the outside.
    above = y - high
    crease = look.crease * np.clip(opening, 0.25, 1.0)
    within = np.clip(1.15 - t * t, 0, 1) * (np.abs(t) < 1.12)
    fold = (
        np.exp(-(((above - crease - 0.6 * t) / 0.75) ** 2))
        * within
        * (0.42 if look.crease > 1.0 else 0.12)
        * _step(0.1, 0.6, opening)
    )
    skin = skin * (1 - fold[:, None] * np.array((0.55, 0.68, 0.70), np.float32))
    reach = 0.55 + (0.35 + 0.9 * look.lashes) * np.clip(0.75 + 0.5 * t, 0.3, 1.3) * 0.8
    upper = np.exp(-(((above - 0.15) / reach) ** 2)) * _step(1.14, 0.98, np.abs(t)) * (0.50 + 0.42 * look.lashes)
    lower = np.exp(-(((low - y) / 0.75) ** 2)) * _step(1.05, 0.9, np.abs(t)) * (0.16 + 0.25 * look.lashes) * (t > -0.6)
    skin += (color - skin) * hole[:, None]
    dark = np.clip(np.maximum(upper, lower), 0, 0.95)[:, None]
    skin *= 1 - dark * np.array((0.88, 0.92, 0.93), np.float32)
    albedo[near] = skin
    gloss[near] = gloss[near] * (1 - hole) * (1 - dark[:, 0]) + 0.25 * hole
    return near, wet * hole * (1 - dark[:, 0])


def _ball(
    x: Floats,
    y: Floats,
    ex: Floats,
    side: Floats,
    high: Floats,
    low: Floats,
    look: Appearance,
    gaze: Floats,
    light: Floats,
) -> tuple[Floats, Floats]:
    """Colour (N, 3) of the eyeball and where it mirrors the light (N,)."""
    white = np.array((0.66, 0.63, 0.60), np.float32) * (1 - 0.30 * _step(6, 15, np.abs(ex)))[:, None]
    pink = _step(-10.5, -14.0, ex)[:, None]
    white = white * (1 - pink) + pink * np.array((0.50, 0.22, 0.19), np.float32)
    dx, dy = x - side * np.float32(EYE[0]) - gaze[0], y - np.float32(0.4) - gaze[1]
    radius = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(dy, dx)
    r = radius / np.float32(look.iris_radius)
    fibres = 1 + 0.22 * np.sin(angle * 17 + 3 * r) * np.sin(angle * 29 + 1.3) * (1 - r).clip(0, 1)
    tone = (look.iris**2) * np.float32(1.15)
    inner = (1.35 - 0.55 * r).clip(0.5, 1.4) * fibres * (1 - 0.75 * _step(0.82, 1.0, r))
    iris = tone[None] * inner[:, None]
    iris = iris * _step(0.36, 0.44, r)[:, None] + 0.004
    cover = _step(1.06, 0.96, r)[:, None]
    color = white + (iris - white) * cover
    shade = 1 - 0.62 * np.exp(-np.clip(high - y, 0, None) / 2.2) - 0.18 * np.exp(-np.clip(y - low, 0, None) / 1.2)
    spot_x, spot_y = dx - 3.2 * light[0], dy - 3.2 * light[1] * 0.8
    glint = np.exp(-(spot_x**2 + spot_y**2) / 1.1)
    return (color * shade[:, None]).astype(np.float32), glint.astype(np.float32)
