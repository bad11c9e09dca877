"""What the renderer's compiled loops share: how they are compiled, and scalar functions that round alike everywhere.

Numba compiles a loop at its first call and keeps the result beside its file, or in the user's cache where that folder
cannot be written. Nothing is reordered or fused (no ``fastmath``), all sums are float64 in one order, and only
operations that IEEE 754 fixes to the last bit are used, so a processor's vector width does not show in the result.

Numba looks at the file of a loop, not at this one, to see whether what it kept is still right: who changes a function
here removes ``__pycache__``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])
_POWERS = 2.0 ** np.arange(-64, 33)
TURN = 6.283185307179586


def kernel(function: Function) -> Function:
    """``function`` compiled, remembered on disk where there is a place for it."""
    # No memory is made in a kernel: without Numba's own counting of references, parts of arrays cost nothing.
    settings: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False}
    try:
        return cast(Function, numba.njit(cache=True, **settings)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return cast(Function, numba.njit(**settings)(function))


@kernel
def exp(x: float) -> float:
    """e to the power of ``x``, relative error under 1e-8; 0 under -40, that of 20 above it."""
    if x < -40.0:
        return 0.0
    y = min(x, 20.0) * 1.4426950408889634
    whole = np.floor(y + 0.5)
    t = (y - whole) * 0.6931471805599453
    value = 1 + t * (1 + t * (0.5 + t * (1 / 6 + t * (1 / 24 + t * (1 / 120 + t * (1 / 720 + t * (1 / 5040)))))))
    return value * _POWERS[int(whole) + 64]


@kernel
def hill(x: float) -> float:
    """A Gaussian hill, ``exp(-x * x)``."""
    return exp(-x * x)


@kernel
def cos(x: float) -> float:
    """The cosine of radians, error under 1e-7."""
    t = x * (1 / 6.283185307179586)
    t = (t - np.floor(t + 0.5)) * 6.283185307179586
    s = t * t
    value = 1 / 6402373705728000.0
    value = 1 / 20922789888000.0 - s * value
    value = 1 / 87178291200.0 - s * value
    value = 1 / 479001600.0 - s * value
    value = 1 / 3628800.0 - s * value
    value = 1 / 40320.0 - s * value
    value = 1 / 720.0 - s * value
    value = 1 / 24.0 - s * value
    value = 0.5 - s * value
    return 1 - s * value


@kernel
def sin(x: float) -> float:
    """The sine of radians, error under 1e-7."""
    return cos(x - 1.5707963267948966)


@kernel
def clip(x: float, low: float, high: float) -> float:
    """``x`` between ``low`` and ``high``."""
    return min(max(x, low), high)


@kernel
def step(low: float, high: float, x: float) -> float:
    """0 at ``low``, 1 at ``high``, a smooth cubic between (``low > high`` falls instead)."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@kernel
def table(values: Any, x: float) -> float:
    """The value of ``values (N,)`` at ``x`` in 0..N-1, linear between; the ends' outside."""
    x = min(max(x, 0.0), values.shape[0] - 1.0)
    left = min(int(x), values.shape[0] - 2)
    return values[left] + (values[left + 1] - values[left]) * (x - left)


@kernel
def blend(base: Any, strengths: Any, modes: Any, result: Any) -> None:
    """``base (V,)`` and the sum of ``modes (K, V)`` with ``strengths (K,)`` into ``result (V,)``, in order."""
    for i in range(base.shape[0]):
        result[i] = base[i]
    for k in range(0, modes.shape[0] - 2, 3):
        one, two, three = strengths[k], strengths[k + 1], strengths[k + 2]
        for i in range(modes.shape[1]):
            result[i] = result[i] + one * modes[k, i] + two * modes[k + 1, i] + three * modes[k + 2, i]
    for k in range(modes.shape[0] - modes.shape[0] % 3, modes.shape[0]):
        strength = strengths[k]
        for i in range(modes.shape[1]):
            result[i] += strength * modes[k, i]
