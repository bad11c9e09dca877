"""Light as rooms, streets, stages and flashes have it: hard, coloured, from below, from two sides, through leaves."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.arithmetic import exp
from lwface.synthetic.kernel import cos, sin

Floats = NDArray[Any]  # float32 unless said otherwise
KINDS = ("hard", "flash", "stage", "two lamps", "below", "flat", "usual")
REACHED = np.cumsum((0.24, 0.14, 0.10, 0.20, 0.08, 0.12, 0.12))
PATTERN_SIDE = 48  # cells of what light falls through


def towards(azimuth: float, height: float) -> Floats:
    """The direction (3,) of a light, in degrees from the camera to the image's right and up."""
    a, h = azimuth * (np.pi / 180), height * (np.pi / 180)
    return np.array((sin(a) * cos(h), sin(h), cos(a) * cos(h)), np.float32)


def changed(rng: np.random.Generator, amount: float, exposure: float) -> dict[str, Any]:
    """What another light changes of a shot of this ``exposure``: nothing but of a share ``amount`` of them.

    Over 1 the colours of lights are stronger. The names are those of :class:`lwface.synthetic.shot.Shot`.
    """
    if rng.random() >= amount:
        return {}
    kind = KINDS[min(int(np.searchsorted(REACHED, rng.random())), len(KINDS) - 1)]
    changes: dict[str, Any] = {} if kind == "usual" else _light(rng, kind, max(amount, 1.0))
    if rng.random() < 0.25:
        changes["pattern"] = int(rng.integers(1, 1 << 31))
    if rng.random() < 0.25:
        changes["exposure"] = exposure * (rng.uniform(1.2, 1.9) if rng.random() < 0.6 else rng.uniform(0.55, 0.85))
    return changes


def _light(rng: np.random.Generator, kind: str, colours: float) -> dict[str, Any]:
    """Directions, colours and shadows of one kind of light."""
    u = rng.uniform
    azimuth, height, key, sky, ground, strength = {
        "hard": (u(-85, 85), u(-5, 75), u(0.75, 1.3), u(0.06, 0.3), u(0.05, 0.3), 0.12),
        "flash": (u(-14, 14), u(0, 25), u(0.8, 1.3), u(0.03, 0.2), u(0.02, 0.1), 0.06),
        "stage": (u(-100, 100), u(0, 70), u(0.6, 1.2), u(0.02, 0.15), u(0.04, 0.2), 0.4),
        "two lamps": (u(-90, 90), u(-10, 60), u(0.35, 0.8), u(0.08, 0.35), u(0.05, 0.2), 0.2),
        "below": (u(-50, 50), u(-50, -5), u(0.4, 0.9), u(0.05, 0.3), u(0.2, 0.6), 0.25),
        "flat": (u(-60, 60), u(10, 80), u(0.05, 0.25), u(0.6, 0.95), u(0.3, 0.7), 0.08),
    }[kind]
    changes = {
        "light": towards(azimuth, height),
        "key": _tint(rng, strength * colours) * np.float32(key),
        "sky": _tint(rng, strength * colours) * np.float32(sky),
        "ground": _tint(rng, (strength + 0.1) * colours) * np.float32(ground),
        "shadow": u(0.85, 1.0) if kind != "flat" else u(0.1, 0.5),
    }
    if kind in ("two lamps", "stage"):
        other = towards(-np.sign(azimuth) * u(20, 110), u(-20, 60))
        changes["second"] = np.concatenate((other, _tint(rng, strength * colours) * np.float32(u(0.2, 0.8))))
    return changes


def _tint(rng: np.random.Generator, strength: float) -> Floats:
    """A colour (3,) whose mean is 1, the stronger the further from grey."""
    shares = exp(strength * rng.standard_normal(3))
    return np.asarray(shares * (3 / (shares[0] + shares[1] + shares[2])), np.float32)


@lru_cache(maxsize=4)
def pattern(seed: int, size: int) -> Floats:
    """How much of the key light falls on each pixel (size * size,): through leaves, blinds, or past an edge."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : PATTERN_SIDE * 1j, -1 : 1 : PATTERN_SIDE * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    along = x * cos(angle) + y * sin(angle)
    kind = ("edge", "edge", "blinds", "leaves")[int(rng.integers(4))]
    if kind == "leaves":
        cells = int(rng.integers(4, 12))
        noise = rng.standard_normal((cells, cells), dtype=np.float32)
        height: Any = cv2.resize(noise, x.shape, interpolation=cv2.INTER_CUBIC) + rng.uniform(-0.2, 0.6)
    elif kind == "blinds":
        period = rng.uniform(0.15, 0.5)
        height = np.abs(np.mod(along + 4, period) / period - 0.5) * 4 - rng.uniform(0.4, 1.4)
    else:
        height = along + rng.uniform(-0.3, 0.3)
    dark = rng.uniform(0.0, 0.4)
    reached = np.clip(0.5 + height * rng.uniform(1.5, 12), 0, 1) * (1 - dark) + dark
    large: Floats = cv2.resize(reached.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return large.reshape(-1)
