"""Skin as it is: blotches and pores, redness and yellowness that wander, shade in sockets and folds, a beard's shadow.

A texture of :mod:`lwface.synthetic.texture` is multiplied by what melanin, blood and shade leave of the light, with
strengths and places that are a person's own. Melanin takes more of the blue, blood more of the green (Anderson and
Parrish, The Optics of Human Skin, 1981), shade as much of all.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.arithmetic import exp
from lwface.synthetic.head import bump, smoothstep
from lwface.synthetic.kernel import kernel
from lwface.synthetic.person import STREAM_SKIN, Person, generator
from lwface.synthetic.texture import ABOVE, FRONT, SIZE, TEXELS, WHITE, A, X, Y, shared

Floats = NDArray[Any]  # float32 unless said otherwise
Doubles = NDArray[np.float64]
F = np.float32
MELANIN = F(0.45), F(0.75), F(1.0)  # of red, green and blue
BLOOD = F(0.06), F(0.62), F(0.5)
SHADE = F(0.94), F(1.0), F(1.03)
BLOTCHES = (5, 14, 40, 110)  # noise of so many cells
MIDDLE = 80  # cells in which the larger ones are added up
SOCKET, CORNER, LID, BAG, GROOVE, FOLD, CHIN, UNDER, PERIORAL, CHEEK, NOSE, EARS, BEARD, FOREHEAD, SIDES, FRECKLE = (
    range(16)
)


@lru_cache(maxsize=1)
def places() -> Floats:
    """Where what may be stronger or weaker is (16, TEXELS), in the order of the constants above."""
    field = shared().astype(np.float64)
    x, y, a, front = field[X], field[Y], field[A], field[FRONT]
    result = np.stack((*_eyes(a, y), *_lower(a, x, y, field[ABOVE]), *_coloured(a, x, y))) * front
    return np.ascontiguousarray(result.reshape(16, TEXELS), np.float32)


def _eyes(a: Doubles, y: Doubles) -> list[Doubles]:
    """Socket, inner corner, fold over the lid, bag under the eye."""
    crease = exp(-(((y - 9.5 + 0.006 * (a - 31) ** 2) / 1.6) ** 2)) * smoothstep(19, 14, np.abs(a - 31))
    bag = exp(-(((y + 12 - 0.014 * (a - 29) ** 2) / 1.8) ** 2)) * smoothstep(16, 11, np.abs(a - 28))
    return [bump(a, y, 29, 6, 19, 11), bump(a, y, 15.5, 1, 5, 9), crease, bag]


def _lower(a: Doubles, x: Doubles, y: Doubles, above: Doubles) -> list[Doubles]:
    """Beside the nose's wings, the fold to the mouth, under the lip, under nose and chin, around the mouth."""
    groove = bump(a, y, 18.5, -42, 2.4, 6) + 0.7 * bump(a, y, 9, -48.5, 9, 2)
    fold = exp(-(((a - 18 - (np.clip(-y, 40, 84) - 40) * 0.40) / 2.2) ** 2)) * smoothstep(-40, -48, y)
    fold *= smoothstep(-86, -70, y)
    lip = bump(x, above, 0, -14.5, 14, 3.2) + 0.7 * bump(a, above, 27.5, -1, 3.5, 4)
    return [groove, fold, lip, smoothstep(-112, -124, y), bump(x, y, 0, -68, 34, 22)]


def _coloured(a: Doubles, x: Doubles, y: Doubles) -> list[Doubles]:
    """Cheeks, nose and ears that are redder, where a beard would grow, forehead, sides of the face, freckles' place."""
    grows = smoothstep(-44, -62, y) * smoothstep(-128, -112, y)
    hole = 1 - bump(x, y, 0, -69, 25, 8)
    return [
        bump(a, y, 40, -30, 19, 17),
        bump(x, y, 0, -36, 13, 13) + 0.4 * bump(x, y, 0, -104, 17, 10),
        smoothstep(54, 70, a),
        grows * np.clip(hole, 0, 1) * smoothstep(66, 40, a),
        bump(x, y, 0, 42, 45, 22),
        smoothstep(30, 62, a),
        bump(a, y, 22, -18, 34, 16),
    ]


def _strengths(rng: np.random.Generator, person: Person) -> tuple[Floats, Floats]:
    """How much melanin, blood and shade there is at each place (3, 16), and in the noises (3, len(BLOTCHES))."""
    u, look = rng.uniform, person.look
    man, old = look.masculine > 0, look.age
    weights = np.zeros((3, 16))
    melanin = {SOCKET: u(0, 0.30), BAG: u(0, 0.15), PERIORAL: u(-0.08, 0.18), UNDER: u(0, 0.1), FOREHEAD: u(-0.1, 0.15)}
    melanin |= {BEARD: u(0, 0.38) * man, SIDES: u(-0.05, 0.2), LID: u(0, 0.15), CHEEK: u(-0.08, 0.08)}
    blood = {CHEEK: u(-0.1, 0.4), NOSE: u(0, 0.45), EARS: u(0, 0.3), SOCKET: u(-0.1, 0.25), BEARD: u(-0.2, 0.05) * man}
    blood |= {FOREHEAD: u(-0.08, 0.15), PERIORAL: u(-0.05, 0.15), BAG: u(0, 0.2), UNDER: u(0, 0.2)}
    shade = {SOCKET: u(0.05, 0.22), CORNER: u(0.12, 0.40), LID: u(0.1, 0.5), BAG: u(0, 0.22) + 0.2 * old}
    shade |= {GROOVE: u(0.25, 0.6), FOLD: u(0, 0.2) + 0.3 * old, CHIN: u(0.1, 0.4), UNDER: u(0.25, 0.5)}
    shade |= {SIDES: u(-0.02, 0.14), EARS: u(0, 0.1), CHEEK: u(-0.1, 0.02), FOREHEAD: u(-0.08, 0.04)}
    for row, strengths in zip(weights, (melanin, blood, shade), strict=True):
        row[list(strengths)] = list(strengths.values())
    noise = np.array(((0.09, 0.05, 0.035, 0.03), (0.09, 0.07, 0.045, 0.035), (0.02, 0.02, 0.02, 0.03)))
    noise *= rng.uniform(0.4, 1.6, noise.shape) * (0.7 + 0.6 * old)
    return weights.astype(np.float32), noise.astype(np.float32)


def weathered(texture: NDArray[np.uint16], person: Person, amount: float) -> NDArray[np.uint16]:
    """``texture (SIZE, SIZE, 4)`` of a person's paint with what else skin has, ``amount`` times as much."""
    rng = generator(person.seed, person.identity, 0, STREAM_SKIN)
    weights, shares = _strengths(rng, person)
    pores = np.roll(_pores(), int(rng.integers(TEXELS)))
    result = np.empty_like(texture)
    blotches = _blotches(rng, shares * F(amount))
    inputs = texture.reshape(-1), places().reshape(-1), blotches.reshape(-1), pores
    _weather(*inputs, weights * F(amount), result.reshape(-1))
    return result


@lru_cache(maxsize=1)
def _pores() -> Floats:
    """Unit noise (TEXELS,), of which everybody begins elsewhere, since drawing it anew takes long."""
    return np.random.default_rng(13).standard_normal(TEXELS, dtype=np.float32)


def _blotches(rng: np.random.Generator, shares: Floats) -> Floats:
    """Melanin, blood and shade (SIZE, SIZE, 3) that wander: smooth noises of BLOTCHES, ``shares (3, 4)`` of each."""
    noises = [rng.standard_normal((n, n, 3), dtype=np.float32) * shares[:, k] for k, n in enumerate(BLOTCHES)]
    *large, small = noises
    middle: Floats = np.zeros((MIDDLE, MIDDLE, 3), np.float32)
    for noise in large:
        middle += cv2.resize(noise, (MIDDLE, MIDDLE), interpolation=cv2.INTER_CUBIC)
    fine: Floats = cv2.resize(middle, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    fine += cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return fine


@kernel
def _weather(
    texture: NDArray[np.uint16],
    places: Floats,
    blotches: Floats,
    pores: Floats,
    weights: Floats,
    result: NDArray[np.uint16],
) -> None:
    """Take from each texel's colour what melanin, blood and shade take, and change its gloss by its pores."""
    for i in range(TEXELS):
        melanin, blood, shade = blotches[3 * i], blotches[3 * i + 1], blotches[3 * i + 2] + F(0.035) * pores[i]
        for k in range(16):
            at = places[k * TEXELS + i]
            melanin += weights[0, k] * at
            blood += weights[1, k] * at
            shade += weights[2, k] * at
        for k in range(3):
            left = (F(1) - F(0.5) * melanin * MELANIN[k]) * (F(1) - F(0.5) * blood * BLOOD[k])
            left *= F(1) - F(0.5) * shade * SHADE[k]
            left = min(max(left, F(0.2)), F(1.5))
            value = F(texture[4 * i + k]) * left * left
            result[4 * i + k] = np.uint16(min(max(value, F(100)), F(WHITE)))
        gloss = F(texture[4 * i + 3]) * (F(1) + F(0.3) * pores[i])
        result[4 * i + 3] = np.uint16(min(max(gloss, F(0)), F(WHITE)))
