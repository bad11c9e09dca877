"""Intervals of 1:N figures against searches in which every probe occurs as often as its person was drawn."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lwface.scoring.intervals import Bootstrap
from lwface.scoring.open_set import Searches, search_points
from lwface.scoring.search_intervals import search_intervals

FPIRS = [Fraction(text) for text in ("0.4", "0.1", "0.001")]
RANKS = [1, 5]


def make_searches(seed, people=40, mated=150, strangers=90, ties=False):
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=mated + strangers)
    if ties:
        scores = scores.round(1)
    return Searches(
        scores[:mated] + 0.8,
        np.minimum(generator.geometric(0.4, mated), 9),
        scores[mated:],
        generator.integers(0, people, mated),
        generator.integers(people // 2, 2 * people, strangers),  # some of them are mated elsewhere
    )


def repeated(searches, weight_of):
    """The searches with every probe as often as its person was drawn."""
    mates = np.repeat(np.arange(len(searches.ranks)), [weight_of[p] for p in searches.mated_persons.tolist()])
    others = np.repeat(np.arange(len(searches.best_scores)), [weight_of[p] for p in searches.stranger_persons.tolist()])
    return Searches(
        searches.mate_scores[mates],
        searches.ranks[mates],
        searches.best_scores[others],
        searches.mated_persons[mates],
        searches.stranger_persons[others],
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("limit", [1, 3])
def test_they_equal_a_bootstrap_by_repetition(ties, limit):
    searches = make_searches(1, ties=ties)
    found = search_intervals(searches, RANKS, FPIRS, rank_limit=limit, replicates=70, seed=5)
    people = np.concatenate([searches.mated_persons, searches.stranger_persons])
    bootstrap = Bootstrap(people, replicates=70, seed=5)
    drawn = bootstrap.weights(np.arange(len(bootstrap)), slice(0, 70)).T.astype(int)
    shares, tpirs = [], []
    for weights in drawn:
        again = repeated(searches, dict(zip(np.unique(people).tolist(), weights.tolist(), strict=True)))
        shares.append([again.hits(rank) / len(again.ranks) for rank in RANKS])
        tpirs.append([point.tpir for point in search_points(again, FPIRS[:2], rank=limit)])
    expected = np.quantile(shares, [0.025, 0.975], axis=0).T
    np.testing.assert_allclose(found.ranks, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.tpirs[:2], np.quantile(tpirs, [0.025, 0.975], axis=0).T, rtol=0, atol=1e-12)
    assert found.tpirs[2] is None  # less than one stranger


def test_the_order_of_the_probes_changes_nothing():
    searches = make_searches(2, ties=True)
    generator = np.random.default_rng(3)
    mates, others = generator.permutation(150), generator.permutation(90)
    shuffled = Searches(
        searches.mate_scores[mates],
        searches.ranks[mates],
        searches.best_scores[others],
        searches.mated_persons[mates],
        searches.stranger_persons[others],
    )
    first, second = (search_intervals(each, RANKS, FPIRS, replicates=50) for each in (searches, shuffled))
    assert first == second


def test_without_strangers_or_with_few_people():
    searches = make_searches(4, strangers=0)
    assert search_intervals(searches, [1], FPIRS, replicates=40).tpirs == [None] * 3
    assert search_intervals(make_searches(4, people=5), [1], FPIRS, replicates=40).ranks == [None]
