"""What differs between videos of one person counts less: within-class covariance normalisation.

Hatch, Kajarekar, Stolcke: "Within-Class Covariance Normalization for SVM-based Speaker Recognition", Interspeech 2006,
with a share of the mean variance in every direction, as there are fewer videos than would tell all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHRINKAGE = 0.3  # of the mean variance, chosen on other people


def steadying(rows: NDArray[np.float64], people: Sequence[str]) -> NDArray[np.float64]:
    """The (D, D) matrix after which ``rows`` (N, D) differ alike in all directions within a person.

    Args:
        people: whose they are. A row of zeros is one that is not there.

    Returns:
        ``(C + shrinkage * trace(C) / D * I) ** -1/2``, C being the pooled covariance within people, unbiased; the
        identity where nobody has two rows, or all have the same.
    """
    there = rows.any(axis=1)
    kept = rows[there]
    codes = np.unique(np.asarray(people)[there], return_inverse=True)[1]
    own = kept - _means(kept, codes)[codes]
    freedom = len(kept) - len(np.unique(codes))
    width = rows.shape[1]
    if not freedom or not own.any():
        return np.eye(width)
    variances, directions = np.linalg.eigh(own.T @ own / freedom)
    variances = variances.clip(min=0) + SHRINKAGE * variances.mean()
    return np.asarray(directions / np.sqrt(variances) @ directions.T)


def _means(rows: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    found = np.zeros((codes.max(initial=-1) + 1, rows.shape[1]))
    np.add.at(found, codes, rows)
    return found / np.bincount(codes)[:, None]
