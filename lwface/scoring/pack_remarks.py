"""What an accuracy on a pack of pairs is worth: whether the features collapsed, and whether guessing does as well."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lwface.formats.pack_folds import KINDS

ALIKE = 0.99  # mean cosine of two persons: the protocol's thresholds, 0.01 apart in 2 - 2 cosine, end there
LARGEST_NORM, SMALLEST_NORM = 1e5, 1e-3  # of features; trained networks have norms of 1 to some hundreds
CHANCE = 2.0  # standard deviations of an accuracy above guessing


def remark(
    outputs: list[NDArray[np.float32]], rows: NDArray[np.float64], issame: ArrayLike, accuracy: float | None
) -> str | None:
    """What is suspicious about features and accuracy, in one line without its head; None where nothing is.

    Args:
        outputs: (2P, D) each, as the network gives them: of the images, and of their mirror images if there are any.
        rows: (2P, D) L2-normalised, what is compared; rows ``2i`` and ``2i+1`` are pair ``i``.
        issame: (P,).
        accuracy: None: there is none.
    """
    same = np.asarray(issame, dtype=bool)
    found = []
    zeros = int(np.count_nonzero(~rows.any(axis=1)))
    if zeros:
        found.append(f"{zeros} of {len(rows)} features are all zeros")
    norm = float(np.mean([np.linalg.norm(part.astype(np.float64), axis=1).mean() for part in outputs]))
    if norm > LARGEST_NORM:
        found.append(f"the features blow up, their mean norm is {norm:.3g}")
    elif zeros < len(rows) and norm < SMALLEST_NORM:
        found.append(f"the features vanish, their mean norm is {norm:.3g}")
    if not same.all() and zeros < len(rows):
        cosine = float(np.einsum("pd,pd->p", rows[0::2][~same], rows[1::2][~same]).mean())
        if cosine >= ALIKE:
            found.append(f"the features collapsed, those of two persons have a mean cosine of {cosine:.6f}")
    guess = max(same.mean(), 1 - same.mean())
    if accuracy is not None and accuracy <= guess + CHANCE * math.sqrt(guess * (1 - guess) / len(same)):
        kind = KINDS[bool(same.mean() >= 0.5)]
        found.append(f"no better than guessing: whoever calls all {len(same)} pairs {kind} has {guess:.5f}")
    return "; ".join(found) or None
