"""The edges of the eyelids, in the template's coordinates: what :mod:`lwface.synthetic.skin` draws eyes between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.appearance import Appearance
from lwface.synthetic.arithmetic import power

Floats = NDArray[Any]  # float32 unless said otherwise


def corner_line(t: NDArray) -> NDArray:
    """Height in mm of the line between an eye's corners at ``t``, -1 at the inner and 1 at the outer corner."""
    return -0.9 + 0.9 * t


def upper_lid(t: NDArray, look: Appearance) -> NDArray:
    """Height in mm of the open upper lid above the corner line."""
    bent = np.clip(t - 0.45 * look.eye_peak * (1 - t * t), -1, 1)
    return look.eye_height[0] * power(1 - power(np.abs(bent), 2.1), 0.72)


def lower_lid(t: NDArray, look: Appearance) -> NDArray:
    """Depth in mm of the lower lid under the corner line."""
    bent = np.clip(t - 0.15 * (1 - t * t), -1, 1)
    return look.eye_height[1] * power(1 - power(np.abs(bent), 2.2), 0.75)


def opened(line: NDArray, upper: NDArray, lower: NDArray, opening: float) -> tuple[NDArray, NDArray]:
    """Heights in mm of the edges of the upper and lower lid, of the corners' line and the open lids above and under it.

    ``opening`` is 1 for open, 0 for closed.
    """
    low = line - lower * (0.72 + 0.28 * min(max(opening, 0.0), 1.1))
    return low + (line + upper - low) * opening, low
