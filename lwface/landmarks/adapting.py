"""From one data set's convention of the points to another's, by a linear map.

Data sets put "the same" 68 points at different places: synthetic ones project the head's own, those marked by hand
follow the outline. How a predictor's points differ from a set's labels on average, given all of its points, is learnt
by ridge regression on a part of the set: ``true = found + A (found - mean) + b``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

STRENGTHS = tuple(10.0**power for power in range(-2, 5))  # of the ridge, tried; in units of a coordinate's variance
FOLDS = 5


class LinearMap(NamedTuple):
    """``weight @ places + bias``, of places (2 K,) as x0 y0 x1 y1 ...."""

    weight: np.ndarray  # (2 K, 2 K)
    bias: np.ndarray  # (2 K,)
    strength: float

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """Places (N, K, 2) mapped."""
        flat = places.reshape(len(places), -1)
        return (flat @ self.weight.T + self.bias).reshape(places.shape)


def fit_map(found: np.ndarray, true: np.ndarray, people: Sequence[str]) -> LinearMap:
    """The map from ``found`` to ``true`` places (N, K, 2), in crops; its strength is chosen on people left out.

    Of one person alone nobody can be left out: the map is then the most cautious one.

    Args:
        people: (N,) who each face shows: folds of the choice share nobody.
    """
    x, y = (places.reshape(len(places), -1).astype(np.float64) for places in (found, true))
    owners = np.unique(np.asarray(people), return_inverse=True)[1]
    fold = owners % FOLDS
    errors = np.zeros(len(STRENGTHS))
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        if not inside.any() or not outside.any():
            continue
        for place, strength in enumerate(STRENGTHS):
            weight, bias = _ridge(x[inside], y[inside], strength)
            gaps = (x[outside] @ weight.T + bias - y[outside]).reshape(int(outside.sum()), -1, 2)
            errors[place] += np.linalg.norm(gaps, axis=2).mean(axis=1).sum()
    strength = STRENGTHS[int(errors.argmin())] if owners.any() else STRENGTHS[-1]  # of one person alone
    return LinearMap(*_ridge(x, y, strength), strength)


def _ridge(x: np.ndarray, y: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of the ridge regression of ``y - x`` on ``x``: without evidence, places stay as they are."""
    mean, centred = x.mean(axis=0), x - x.mean(axis=0)
    gap = y - x
    offset = gap.mean(axis=0)
    penalty = strength * np.eye(x.shape[1]) * len(x) / 100
    change = np.linalg.solve(centred.T @ centred + penalty, centred.T @ (gap - offset)).T
    return np.eye(x.shape[1]) + change, offset - change @ mean
