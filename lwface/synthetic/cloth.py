"""Shoulders: garments, their patterns, collars and necklines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.appearance import Appearance
from lwface.synthetic.head import smoothstep
from lwface.synthetic.kernel import kernel
from lwface.synthetic.shading import F, Shown
from lwface.synthetic.shot import GARMENTS, PATTERNS, Session
from lwface.synthetic.wide import cos, hill, modulo, sin, step

Floats = NDArray[Any]  # float32 unless said otherwise
T_SHIRT, V_NECK, SHIRT, JACKET, HOODIE, TURTLENECK = range(len(GARMENTS))
PLAIN, STRIPES, BARS, CHECK, PRINT = range(5)
SKIN, STRING = 3, 4  # of the colours


def ambient(torso: Floats) -> Floats:
    """Share (R, C) of ambient light on shoulders (R, C, 3): less under the chin and behind."""
    y, z = torso[..., 1], torso[..., 2]
    return (0.55 + 0.45 * smoothstep(-165, -235, y) - 0.2 * smoothstep(0, -80, z)).astype(np.float32)


def surface(shown: Shown, first: int, end: int, wear: Session, look: Appearance) -> None:
    """The surface of the shoulders, the triangles ``first`` to ``end`` of a layer, at body coordinates in mm."""
    kinds = list(dict.fromkeys(PATTERNS))
    sizes = GARMENTS.index(wear.garment), kinds.index(wear.pattern), wear.pattern_size
    colours = np.concatenate((wear.colours, look.skin[None] ** 2, np.full((1, 3), 0.8)), dtype=np.float32)
    _cloth(shown.face, first, end, shown.at, shown.surface, *sizes, colours)


@kernel
def _cloth(
    face: NDArray[np.int32],
    first: int,
    end: int,
    at: Floats,
    surface: Floats,
    garment: int,
    pattern: int,
    size: float,
    colours: Floats,
) -> None:
    """Cloth and skin; ``colours (5, 3)`` are of cloth, second cloth, the shirt under a jacket, skin and strings."""
    for i in range(face.shape[0]):
        if first <= face[i] < end:
            x, y = at[3, i], at[4, i]
            which, tone = _cloth_at(x, y, garment, pattern, F(size))
            neck = _neck(x, garment)
            if garment <= V_NECK:
                tone *= F(1) - F(0.25) * hill((y - neck + F(4)) / F(4))
            folds = F(1) - F(0.10) * sin(x * F(0.045) + F(0.02) * y + F(size)) * step(-230.0, -300.0, y)
            tone *= (F(1) - F(0.06) * cos(x * F(1.9)) * cos(y * F(1.9))) * folds
            bare = step(-0.8, 0.8, y - neck)
            for k in range(3):
                surface[k, i] = colours[which, k] * tone * (F(1) - bare) + colours[SKIN, k] * bare
            surface[3, i], surface[4, i] = F(0.05), F(0)
            surface[5, i] = surface[6, i] = surface[7, i] = 0


@kernel
def _cloth_at(x: Any, y: Any, garment: int, pattern: int, size: Any) -> tuple[int, Any]:
    """Which of the colours is at ``x, y`` mm, and its tone."""
    a, which, tone = abs(x), int(_patterned(x, y, pattern, size)), F(1)
    if garment == JACKET:
        opening = F(62) - (-y - F(190)) * F(0.38)
        which, tone = (2, F(0.9)) if a < opening else (0, F(1))
        tone *= F(1) - F(0.6) * hill((a - opening) / F(2.5))
        if size > 24 and a < 12 and y < -196:
            which, tone = 1, F(1)
    if garment in (SHIRT, JACKET):
        if abs(a - F(26) - (y + F(196)) * F(0.9)) < 15 and y > -222 and a < 58:
            which, tone = (2 if garment == JACKET else 0), F(1.15)
        if garment == SHIRT and y < -205:
            tone *= F(1) - F(0.35) * hill(a / F(1.2))
    if garment == HOODIE:
        u, v = x / F(95), (y + F(170)) / F(42)
        tone *= F(1) - F(0.45) * hill((np.sqrt(u * u + v * v) - F(1)) / F(0.09))
        if abs(a - F(22)) < F(2.2) and -285 < y < -205:
            which, tone = STRING, F(1)
    return which, tone


@kernel
def _patterned(x: Any, y: Any, pattern: int, size: Any) -> bool:
    """Whether the second colour is at ``x, y`` mm."""
    if pattern == STRIPES:
        return modulo(y, size) < size * F(0.45)
    if pattern == BARS:
        return modulo(x + F(500), size * F(1.2)) < size * F(0.4)
    if pattern == CHECK:
        return (modulo(x + F(500), size) < size / F(2)) != (modulo(y, size) < size / F(2))
    if pattern == PRINT:
        u, v = x / F(60), (y + F(300)) / F(36)
        return u * u + v * v < 1
    return False


@kernel
def _neck(x: Any, garment: int) -> Any:
    """Height in mm above which there is no cloth."""
    if garment == T_SHIRT:
        return F(-186) + F(0.0035) * x * x
    if garment == V_NECK:
        return F(-238) + abs(x)
    if garment == HOODIE:
        return F(-180) + F(0.003) * x * x
    if garment == TURTLENECK:
        return F(0)
    return F(-206) + F(0.8) * abs(x)
