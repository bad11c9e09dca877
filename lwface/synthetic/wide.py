"""Scalar functions of float32 for loops that compilers turn into wide instructions: no branches, no tables.

As in :mod:`lwface.synthetic.kernel` nothing is fused or reordered, so the width does not show in the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lwface.synthetic.kernel import kernel

F = np.float32


@kernel
def exp(x: Any) -> Any:
    """e to the power of ``x``, relative error under 1e-5; that of -40 under it, and that of 20 above that."""
    t = min(max(x, F(-40)), F(20)) * F(1 / 64)
    value = F(1) + t * (F(1) + t * (F(1 / 2) + t * (F(1 / 6) + t * (F(1 / 24) + t * (F(1 / 120) + t * F(1 / 720))))))
    value *= value
    value *= value
    value *= value
    value *= value
    value *= value
    return value * value


@kernel
def hill(x: Any) -> Any:
    """A Gaussian hill, ``exp(-x * x)``."""
    return exp(-x * x)


@kernel
def cos(x: Any) -> Any:
    """The cosine of radians, error under 1e-6 near 0 and 1e-3 at some thousands."""
    t = x * F(1 / 6.283185307179586)
    t = (t - np.floor(t + F(0.5))) * F(6.283185307179586)
    s = t * t
    value = F(1 / 87178291200.0)
    value = F(1 / 479001600.0) - s * value
    value = F(1 / 3628800.0) - s * value
    value = F(1 / 40320.0) - s * value
    value = F(1 / 720.0) - s * value
    value = F(1 / 24.0) - s * value
    return F(1) - s * (F(0.5) - s * value)


@kernel
def sin(x: Any) -> Any:
    """The sine of radians, as exact as :func:`cos`."""
    return cos(x - F(1.5707963267948966))


@kernel
def clip(x: Any, low: Any, high: Any) -> Any:
    """``x`` between ``low`` and ``high``."""
    return min(max(x, low), high)


@kernel
def step(low: Any, high: Any, x: Any) -> Any:
    """0 at ``low``, 1 at ``high``, a smooth cubic between (``low > high`` falls instead)."""
    t = min(max((x - F(low)) / F(high - low), F(0)), F(1))
    return t * t * (F(3) - F(2) * t)


@kernel
def modulo(x: Any, period: Any) -> Any:
    """What is left of ``x`` less whole periods."""
    return x - np.floor(x * (F(1) / F(period))) * F(period)


@kernel
def wrapped(image: Any, x: Any, y: Any) -> Any:
    """The value in 0..1 of ``image (512, 512)``, whose white is 255, linear between its pixels.

    At any ``x, y``: it repeats every 511 pixels.
    """
    x, y = modulo(x, 511.0), modulo(y, 511.0)
    left, top = np.int32(min(max(x, F(0)), F(510))), np.int32(min(max(y, F(0)), F(510)))
    fx, fy = x - F(left), y - F(top)
    upper = F(image[top, left]) * (F(1) - fx) + F(image[top, left + 1]) * fx
    lower = F(image[top + 1, left]) * (F(1) - fx) + F(image[top + 1, left + 1]) * fx
    return (upper * (F(1) - fy) + lower * fy) * F(1 / 255)
