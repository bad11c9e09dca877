"""Heads nearer to people's: what is wrong with the template set right, and local shapes that no named field has.

The template's named fields move whole regions together. Here are Gaussian hills of 9 to 26 mm all over the face, most
of them mirrored, a few on one side only, so that any two places of a face may differ on their own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.arithmetic import exp
from lwface.synthetic.head import blend, bump, smoothstep, template

Floats = NDArray[Any]  # float32 unless said otherwise
MIRRORED, ASKEW = 56, 12  # hills on both sides, and on one
HILL = 0.75  # mm, one standard deviation of a hill
LIMIT = 2.2  # standard deviations


@lru_cache(maxsize=1)
def corrections() -> Floats:
    """What sets the template right (ROWS, COLUMNS, 3), in mm."""
    x, y, z = np.moveaxis(template().vertices.astype(np.float64), -1, 0)
    a, front = np.abs(x), smoothstep(5, 35, z)
    move = np.zeros((*x.shape, 3))
    jaw = smoothstep(-66, -110, y) * smoothstep(-175, -128, y) * smoothstep(-25, 45, z)
    move[..., 0] -= 0.17 * x * jaw  # a chin narrower than the jaw
    move[..., 2] -= 9 * jaw * smoothstep(16, 44, a)
    neck = smoothstep(-112, -138, y)
    move[..., 0] -= 0.06 * x * neck
    move[..., 2] -= 5.0 * neck * smoothstep(-40, 20, z)
    full = 3.4 * bump(a, y, 38, -44, 17, 19) + 2.2 * bump(a, y, 50, -62, 14, 16) + 1.6 * bump(a, y, 24, -88, 12, 12)
    move[..., 2] += (full + _nose(a, x, y) + _rest(a, x, y)) * front
    move[..., 0] += np.sign(x) * 1.4 * bump(a, y, 12.5, -41, 5, 6) * front
    return move.astype(np.float32)


def _nose(a: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """A rounder tip, fuller sides, a softer ridge and root."""
    along = smoothstep(4, -12, y) * smoothstep(-40, -26, y)
    sides = 2.6 * exp(-(((a - 7.5) / 4.5) ** 2)) * along - 1.6 * exp(-((a / 4) ** 2)) * along
    tip = 2.8 * bump(a, y, 6.5, -37, 4.5, 6.5) - 3.4 * bump(x, y, 0, -41.5, 4.5, 4.5) + 1.0 * bump(x, y, 0, -33, 6, 6)
    return sides + tip - 1.2 * bump(x, y, 0, 2, 7, 9)


def _rest(a: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deeper sockets beside the nose, a fold over the lids, bags, a dimple under the lower lip, a round chin."""
    eye = -1.6 * bump(a, y, 17, 5, 6, 7) + 1.4 * bump(a, y, 34, 13, 17, 5) - 1.0 * bump(a, y, 30, -10.5, 13, 2.6)
    mouth = -1.2 * bump(x, y, 0, -84, 14, 4) + 1.0 * bump(a, y, 9, -104, 9, 9) - 1.0 * bump(a, y, 29, -69, 4, 7)
    return eye + mouth


@lru_cache(maxsize=1)
def hills() -> Floats:
    """Local shapes (MIRRORED + ASKEW, ROWS * COLUMNS * 3), one standard deviation of each."""
    rng = np.random.default_rng(20_261_129)
    p = template().vertices.astype(np.float64)
    front = smoothstep(-20, 35, p[..., 2])
    fields = []
    for number in range(MIRRORED + ASKEW):
        place, width = (rng.uniform(0, 58), rng.uniform(-116, 58)), rng.uniform(9, 26)
        towards = rng.standard_normal(3) * (0.7, 0.8, 1.0)
        hill = _hill(p, place, width) * front * (HILL * (0.6 + width / 26))
        if number < MIRRORED:
            other = _hill(p, (-place[0], place[1]), width) * front * (HILL * (0.6 + width / 26))
            fields.append(hill[..., None] * towards + other[..., None] * towards * (-1, 1, 1))
        else:
            fields.append(hill[..., None] * towards * (1.2 if number % 2 else -1.2))
    return np.stack([field.ravel() for field in fields]).astype(np.float32)


def _hill(p: NDArray[np.float64], place: tuple[float, float], width: float) -> NDArray[np.float64]:
    return bump(p[..., 0], p[..., 1], *place, width, width)


def strengths(rng: np.random.Generator) -> NDArray[np.float64]:
    """How much a person has of each hill (MIRRORED + ASKEW,), in standard deviations."""
    return np.clip(rng.standard_normal(MIRRORED + ASKEW), -LIMIT, LIMIT)


def form(rng: np.random.Generator, amount: float, spread: float) -> Floats:
    """What a person's head (ROWS, COLUMNS, 3) differs in from one that the named fields make, in mm.

    Args:
        amount: 0 nothing, 1 all corrections and usual hills, more: larger hills.
        spread: how far heads differ beside what is usual.
    """
    move = blend((strengths(rng) * (amount * spread)).astype(np.float32), hills())
    return corrections() * np.float32(min(amount, 1.0)) + move
