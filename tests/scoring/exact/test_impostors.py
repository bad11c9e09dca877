"""The highest impostor pairs where many tie, against a plain sort in float64."""

from __future__ import annotations

import numpy as np
import pytest

from lwface.scoring.exact.comparisons import PairList
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.impostors import find_impostors
from lwface.scoring.exact.sharding import Workers

RANK, CAPACITY, TILE = 2, 3, 6


def rows_at(cosines):
    """Row 0 and, after it, a row at each of ``cosines`` from it, float32 (1 + N, 2)."""
    cosines = np.array([1, *cosines])
    return np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1).astype(np.float32)


def brute_force(rows):
    """Which rows reach the ``RANK``-th highest cosine with row 0, best first, and how many exceed it."""
    units = rows.astype(np.float64)
    units /= np.sqrt((units**2).sum(axis=1, keepdims=True))
    scores = (units[0] * units[1:]).sum(axis=1)
    order = np.argsort(-scores, kind="stable")
    last = scores[order[RANK - 1]]
    return (order[scores[order] >= last] + 1).tolist(), int((scores > last).sum())


@pytest.mark.parametrize("reverse", [False, True], ids=["rising", "falling"])
@pytest.mark.parametrize(
    "cosines",
    [
        [0.0] * 6 + [1.0] * 4,  # too many tie at first, and then fewer with a higher score
        [0.0] * 6 + [0.6] * 6 + [0.8] * 3 + [1.0],
        [0.0] * 6 + [0.6] * 6 + [0.8] * 2 + [1.0] * 5,
    ],
)
def test_ties_dropped_at_a_lower_score_cost_none_at_the_last(cosines, reverse):
    rows = rows_at(cosines[::-1] if reverse else cosines)
    expected, _ = brute_force(rows)
    assert RANK < len(expected) <= RANK + CAPACITY
    found, pairs = search(rows)
    assert pairs(found.tail) == pairs(found.highest) == expected


@pytest.mark.parametrize("reverse", [False, True], ids=["rising", "falling"])
@pytest.mark.parametrize("cosines", [[0.0] * 6 + [0.6] * 5 + [1.0], [0.0] * 6 + [1.0] * 6, [0.6] * 12])
def test_of_too_many_ties_at_the_last_score_none_is_in_the_tail(cosines, reverse):
    rows = rows_at(cosines[::-1] if reverse else cosines)
    expected, above = brute_force(rows)
    assert len(expected) > RANK + CAPACITY
    found, pairs = search(rows)
    assert pairs(found.tail) == expected[:above]
    assert len(found.highest.scores) == RANK
    assert set(pairs(found.highest)) <= set(expected)


def search(rows):
    """What is found among the pairs of row 0 with each other one, and what tells the other rows of such pairs."""
    others = np.arange(1, len(rows))
    features = FeatureSet(rows, np.arange(len(rows)), "f")
    comparisons = PairList(features, np.zeros_like(others), others, None, block_size=TILE)
    found = find_impostors(comparisons, [RANK], Workers(), capacity=CAPACITY)
    return found, lambda scored: comparisons.rows(scored.pairs).right.tolist()
