"""Elementary functions that round alike on every machine.

NumPy's ``exp``, ``log``, ``sin``, ``power`` ... take another way on a processor with AVX-512 than on one without, and
end in other bits (``findings/rounding_depends_on_the_processor.sh``). These are made of sums, products and roundings,
which IEEE 754 fixes to the last bit; float64 in and out, and nearly as exact as NumPy's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10  # their sum is ln 2; n * the first is exact
PI_HIGH, PI_LOW = 1.57079632673412561417, 6.07710050650619224932e-11  # their sum is pi / 2
_EXP = [1 / np.float64(f) for f in np.cumprod([1, *range(1, 18)], dtype=np.float64)]
_SIN = [(-1) ** k * _EXP[2 * k + 1] for k in range(9)]
_COS = [(-1) ** k * _EXP[2 * k] for k in range(9)]
_ATAN = [(-1) ** k / np.float64(2 * k + 1) for k in range(12)]
_LOG = [2 / np.float64(2 * k + 1) for k in range(12)]


def _polynomial(x: Doubles, coefficients: list[Any]) -> Doubles:
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value *= x
        value += coefficient
    return value


def exp(x: ArrayLike) -> Doubles:
    """e to the power of ``x``; 0 where that is less than 1e-300."""
    at = np.asarray(x, np.float64)
    power = np.rint(np.clip(at, -690, 690) * (1 / (LN2_HIGH + LN2_LOW)))
    rest = (np.clip(at, -690, 690) - power * LN2_HIGH) - power * LN2_LOW
    return np.asarray(np.ldexp(_polynomial(rest, _EXP[:14]), power.astype(np.int32)) * (at > -690))


def log(x: ArrayLike) -> Doubles:
    """The natural logarithm of positive ``x``."""
    mantissa, power = np.frexp(np.asarray(x, np.float64))
    small = mantissa < 0.70710678118654752
    mantissa, power = np.where(small, mantissa * 2, mantissa), power - small
    t = (mantissa - 1) / (mantissa + 1)
    return np.asarray(power * LN2_HIGH + (power * LN2_LOW + t * _polynomial(t * t, _LOG)))


def power(x: ArrayLike, exponent: ArrayLike) -> Doubles:
    """``x`` (0 or more) to an ``exponent`` (more than 0)."""
    base = np.asarray(x, np.float64)
    positive = base > 0
    return np.asarray(exp(np.asarray(exponent, np.float64) * log(np.where(positive, base, 1.0))) * positive)


def tanh(x: ArrayLike) -> Doubles:
    """The hyperbolic tangent."""
    falling = exp(-2 * np.abs(np.asarray(x, np.float64)))
    return np.asarray(np.sign(x) * (1 - falling) / (1 + falling))


def _turned(x: ArrayLike) -> tuple[Doubles, Doubles, NDArray[np.int64]]:
    """Sine and cosine of what is left of ``x`` less whole quarters of a turn, and how many quarters."""
    at = np.asarray(x, np.float64)
    quarters = np.rint(at * (1 / (PI_HIGH + PI_LOW)))
    rest = (at - quarters * PI_HIGH) - quarters * PI_LOW
    square = rest * rest
    return rest * _polynomial(square, _SIN), _polynomial(square, _COS), quarters.astype(np.int64) % 4


def sin(x: ArrayLike) -> Doubles:
    """The sine of radians of some thousands at most."""
    sine, cosine, quarter = _turned(x)
    return np.asarray(np.choose(quarter, (sine, cosine, -sine, -cosine)))


def cos(x: ArrayLike) -> Doubles:
    """The cosine of radians of some thousands at most."""
    sine, cosine, quarter = _turned(x)
    return np.asarray(np.choose(quarter, (cosine, -sine, -cosine, sine)))


def arctan(x: ArrayLike) -> Doubles:
    """The arc tangent."""
    at = np.asarray(x, np.float64)
    for _ in range(3):  # of a half, a quarter, an eighth of the angle
        at = at / (1 + np.sqrt(1 + at * at))
    return 8 * at * _polynomial(at * at, _ATAN)


def between(image: NDArray[Any], x: ArrayLike, y: ArrayLike) -> NDArray[Any]:
    """Values (..., K) of ``image (H, W, K)`` or (H, W), linear between its pixels, at ``x, y``; the border's outside.

    OpenCV's ``remap`` of float32 images gives other bits without AVX2.
    """
    at_x = np.clip(np.asarray(x, np.float64), 0, image.shape[1] - 1)
    at_y = np.clip(np.asarray(y, np.float64), 0, image.shape[0] - 1)
    left, top = (
        np.minimum(at_x.astype(np.intp), image.shape[1] - 2),
        np.minimum(at_y.astype(np.intp), max(image.shape[0] - 2, 0)),
    )
    right, low = left + 1, np.minimum(top + 1, image.shape[0] - 1)
    extra = (...,) + (None,) * (image.ndim - 2)
    fx, fy = (at_x - left)[extra], (at_y - top)[extra]
    upper = image[top, left] * (1 - fx) + image[top, right] * fx
    lower = image[low, left] * (1 - fx) + image[low, right] * fx
    return np.asarray(upper * (1 - fy) + lower * fy)
