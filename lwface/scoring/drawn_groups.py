"""Means of what people, or other groups, bring several of: where they lie when groups are drawn anew; halves of a test.

What one person brings goes together, so that groups are drawn and not values (Efron 1979; see
:mod:`lwface.scoring.intervals` for figures of pairs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lwface.scoring.intervals import FEWEST_PEOPLE, TAIL_SHARE

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


def share_interval(values: np.ndarray, people: Sequence[str], seed: int = 0) -> Estimate:
    """As :func:`interval` for ``values`` (N,) from 0 to 1, with the rules of :func:`lwface.scoring.intervals.interval`.

    Of fewer than ``FEWEST_PEOPLE`` there is none. Where all drawn means are 1, drawing says nothing: the lower end is
    then the share of people who have 1 throughout at which so many of them in a row are as rare as 2.5 %; likewise the
    upper end where all are 0.
    """
    found, count = interval(values, people, seed), len(set(people))
    if found.low is None or found.high is None or count < FEWEST_PEOPLE:
        return Estimate(found.value, None, None)
    rare = TAIL_SHARE ** (1 / count)
    return Estimate(found.value, rare if found.low == 1 else found.low, 1 - rare if found.high == 0 else found.high)


def halves(names: Sequence[str], share: float, seed: int) -> np.ndarray:
    """(N,) which of ``names`` are public: ``share`` of them, drawn by ``seed``, whatever their order."""
    order = np.argsort(np.asarray(names))
    chosen = np.random.default_rng(seed).permutation(len(names))[: round(share * len(names))]
    public = np.zeros(len(names), bool)
    public[order[chosen]] = True
    return public
