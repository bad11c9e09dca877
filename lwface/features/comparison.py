"""How alike two features are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cosine(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """The cosine of two features (D,), neither zero; in float64, and the same in either order."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    return float(np.clip((a @ b) / np.sqrt((a @ a) * (b @ b)), -1, 1))
