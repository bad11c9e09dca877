"""Means of what people, or other groups, bring several of: where they lie when groups are drawn anew; halves of a test.

What one person brings goes together, so that groups are drawn and not values (Efron 1979; see
:mod:`lwface.scoring.intervals` for figures of pairs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REPLICATES = 2000


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, where there are people enough for one."""

    value: float
    low: float | None
    high: float | None


def interval(values: np.ndarray, people: Sequence[str], seed: int = 0) -> Estimate:
    """The mean of ``values`` (N,) and where it lies when people are drawn anew, by the bootstrap."""
    owners, place = np.unique(np.asarray(people), return_inverse=True)
    sums, counts = np.bincount(place, values), np.bincount(place)
    mean = float(values.mean())
    if len(owners) < 2:
        return Estimate(mean, None, None)
    drawn = np.random.default_rng(seed).multinomial(len(owners), np.full(len(owners), 1 / len(owners)), REPLICATES)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(mean, float(low), float(high))


def halves(names: Sequence[str], share: float, seed: int) -> np.ndarray:
    """(N,) which of ``names`` are public: ``share`` of them, drawn by ``seed``, whatever their order."""
    order = np.argsort(np.asarray(names))
    chosen = np.random.default_rng(seed).permutation(len(names))[: round(share * len(names))]
    public = np.zeros(len(names), bool)
    public[order[chosen]] = True
    return public
