"""Re-ranking by k-reciprocal neighbours: who is near a query, and has it among their own nearest, is near for a reason.

Zhong, Zheng, Cao, Li: "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017, equations 2 to 12.
Queries help each other here, so that what is found for one depends on which others are asked: it is for those who are
given all samples at once, as the challenge gives them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError

MOST = 12_000  # things that are ranked among each other: the matrices of that many take some gigabytes


def reranked(distances: NDArray[np.float64], *, neighbours: int, expanded: int, original: float) -> NDArray[np.float64]:
    """Distances (N, N) from 0 to 1 in place of ``distances`` (N, N), which are at least 0.

    Args:
        neighbours: k1, how many are looked at for being reciprocal.
        expanded: k2, the nearest whose neighbourhoods are averaged; 1: none but the own.
        original: lambda, the share of the original distance, scaled by the largest of its row.

    Raises:
        UserError: they are too many.
    """
    count = len(distances)
    if count > MOST:
        raise UserError(f"{count} to be ranked again, at most {MOST} can be: leave it out by --without rerank")
    scaled = distances / np.maximum(distances.max(axis=1, keepdims=True), 1e-12)
    order = np.argsort(scaled, axis=1, kind="stable")
    neighbours, half = min(neighbours, count - 1), min(max(1, round(neighbours / 2)), count - 1)
    wide, narrow = (_reciprocal(order, k) for k in (neighbours, half))
    encoded = np.zeros((count, count))
    for row in range(count):
        own = np.flatnonzero(wide[row])
        members = wide[row].copy()
        for other in own:  # their own narrow neighbourhoods, where two thirds of these are in this one (equation 5)
            more = narrow[other]
            if (more & wide[row]).sum() >= 2 / 3 * more.sum():
                members |= more
        encoded[row, members] = np.exp(-scaled[row, members])
        encoded[row] /= encoded[row].sum()
    if expanded > 1:
        encoded = np.stack([encoded[order[row, :expanded]].mean(axis=0) for row in range(count)])
    jaccard = np.empty_like(scaled)
    for row in range(count):
        shared = np.minimum(encoded[row], encoded).sum(axis=1)
        jaccard[row] = 1 - shared / (2 - shared)  # rows sum to 1, so the maxima sum to 2 less the minima
    return (1 - original) * jaccard + original * scaled


def _reciprocal(order: NDArray[np.int64], k: int) -> NDArray[np.bool_]:
    """(N, N) True where each is among the ``k`` nearest of the other, itself not counted but there."""
    near = np.zeros(order.shape, bool)
    np.put_along_axis(near, order[:, : k + 1], True, axis=1)
    np.fill_diagonal(near, True)
    return near & near.T
