"""TAR at FAR of long pair lists: exact against a brute-force float64 oracle."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwface.base.errors import UserError
from lwface.scoring import pair_points as module
from lwface.scoring.exact.feature_set import FeatureSet, screening_error
from lwface.scoring.exact.pair_counts import listed_totals
from lwface.scoring.intervals import Bootstrap
from lwface.scoring.pair_points import ListedPairs, screened_scores
from tests.scoring_oracle import tree

FARS = [Fraction(text) for text in ("0.9", "0.31", "0.1", "0.01", "0.0001")]


def scores_of(features, first, second):
    """The scores by the definition, independent of lwface.scoring.exact.feature_set."""
    rows = features.astype(np.float64)
    units = rows / np.sqrt(np.array([tree(row) for row in rows * rows]))[:, None]
    return tree((units[first] * units[second]).T)


def oracle(scores, same, fars):
    """Try every threshold there is, and the float64 above it."""
    impostors, genuine = np.sort(scores[~same]), scores[same]
    candidates = np.sort(np.concatenate([impostors, np.nextafter(impostors, np.inf)]))
    found = []
    for far in fars:
        if far * len(impostors) < 1:
            found.append((None, None, None))
            continue
        threshold = next(t for t in candidates if np.sum(impostors >= t) <= far * len(impostors))
        found.append((threshold, int(np.sum(impostors >= threshold)), int(np.sum(genuine >= threshold))))
    return found


def make_pairs(seed, rows, width, kind, pairs):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, width))
    if kind == "tied":
        features = np.where(features > 0, 1.0, -1.0)
    elif kind == "duplicates":
        features = features[generator.integers(0, max(1, rows // 3), rows)] * generator.choice([1, 4], size=(rows, 1))
    elif kind == "near":
        features = features[0] + 1e-5 * features
    elif kind == "extreme":
        features = features * generator.choice([1e-40, 1e-20, 1, 1e35], size=(rows, 1))
    features = features.astype(np.float32)
    features[~features.any(axis=1)] = 1
    first, second = generator.integers(0, rows, (2, pairs)).astype(np.int32)
    same = generator.random(pairs) < 0.3
    same[:2] = [True, False]
    return features, first, second, same


def listed(features, first, second, same):
    return ListedPairs(FeatureSet(features, np.zeros(len(features), dtype=np.int64), "f"), first, second, same)


def figures(points):
    return [(point.threshold, point.false_accepts, point.true_accepts) for point in points]


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 40),
    st.sampled_from([1, 2, 3, 16, 100]),
    st.sampled_from(["random", "tied", "duplicates", "near", "extreme"]),
    st.integers(2, 150),
    st.sampled_from([1, 3, 256]),
)
def test_it_equals_the_oracle(seed, rows, width, kind, pairs, block_rows):
    features, first, second, same = make_pairs(seed, rows, width, kind, pairs)
    before, module.BLOCK_ROWS = module.BLOCK_ROWS, block_rows
    try:
        points = listed(features, first, second, same).points(FARS)
    finally:
        module.BLOCK_ROWS = before
    assert figures(points) == oracle(scores_of(features, first, second), same, FARS)
    assert all(point.genuine_pairs == same.sum() for point in points)
    assert all(point.impostor_pairs == (~same).sum() for point in points)


def test_the_order_of_the_pairs_changes_nothing_and_little_is_scored_exactly(monkeypatch):
    features, first, second, same = make_pairs(1, 300, 64, "random", 30000)
    scored = []
    exact = module.score
    monkeypatch.setattr(module, "score", lambda left, right: scored.append(len(left)) or exact(left, right))
    expected = figures(listed(features, first, second, same).points(FARS))
    assert sum(scored) < 1000
    order = np.random.default_rng(2).permutation(len(first))
    assert figures(listed(features, second[order], first[order], same[order]).points(FARS)) == expected


def test_screened_scores_are_within_the_error():
    features, first, second, _ = make_pairs(3, 700, 128, "random", 5000)
    screened = screened_scores(FeatureSet(features, np.zeros(700, dtype=np.int64), "f"), first, second)
    assert np.abs(screened - scores_of(features, first, second)).max() <= screening_error(128)


def test_both_kinds_of_pairs_are_needed():
    features, first, second, same = make_pairs(4, 5, 3, "random", 6)
    with pytest.raises(UserError, match="of 6 pairs 6 are genuine"):
        listed(features, first, second, np.full(6, True))
    with pytest.raises(UserError, match="of 6 pairs 0 are genuine"):
        listed(features, first, second, same & False)


def make_people(seed, rows, pairs):
    """Rows of people, and pairs of which the genuine ones are of one person."""
    generator = np.random.default_rng(seed)
    people = generator.integers(0, rows // 5, rows) * 3 + 1
    features = generator.normal(size=(people.max() + 1, 16))[people] + 1.5 * generator.normal(size=(rows, 16))
    first, second = generator.integers(0, rows, (2, pairs)).astype(np.int32)
    some = generator.integers(0, rows, pairs // 5)
    first[: len(some)] = some
    second[: len(some)] = [generator.choice(np.flatnonzero(people == people[row])) for row in some]
    return features.astype(np.float32), people, first, second, people[first] == people[second]


def naive_intervals(features, people, first, second, same, replicates, seed):
    """Each replicate with every pair: its weight, its threshold, its TAR."""
    scores = scores_of(features, first, second)
    bootstrap = Bootstrap(people, replicates=replicates, seed=seed)
    drawn = bootstrap.weights(np.arange(len(bootstrap)), slice(0, replicates)).astype(int)
    weight_of = dict(zip(np.unique(people).tolist(), drawn, strict=True))
    found = []
    for far in FARS[1:-1]:
        tars = []
        for replicate in range(replicates):
            of_row = np.array([weight_of[person][replicate] for person in people.tolist()])
            weights = np.where(same, of_row[first], of_row[first] * of_row[second])
            order = np.argsort(-scores[~same])
            heaviest = np.cumsum(weights[~same][order])
            refused = scores[~same][order][np.searchsorted(heaviest, int(far * heaviest[-1]), side="right")]
            tars.append(weights[same] @ (scores[same] > refused) / weights[same].sum())
        found.append(np.quantile(tars, [0.025, 0.975]))
    return found


def test_intervals_equal_a_bootstrap_of_every_pair():
    features, people, first, second, same = make_people(5, 200, 1500)
    found = listed(features, first, second, same).intervals(FARS, people, replicates=64, seed=9)
    assert found[-1] is None  # less than one impostor pair
    np.testing.assert_allclose(found[1:-1], naive_intervals(features, people, first, second, same, 64, 9), atol=1e-12)


def test_intervals_from_the_highest_pairs_and_a_sample_are_near(monkeypatch):
    features, people, first, second, same = make_people(6, 300, 40000)
    whole = listed(features, first, second, same).intervals(FARS[:-1], people, replicates=64, seed=1)
    monkeypatch.setattr(module, "TAIL", 2000)
    monkeypatch.setattr(module, "SAMPLE", 20000)
    parts = listed(features, first, second, same).intervals(FARS[:-1], people, replicates=64, seed=1)
    assert parts[-1] == whole[-1]  # FAR 0.01 lies within the highest 2000
    np.testing.assert_allclose(parts, whole, atol=0.02)
    assert parts[0] != whole[0]


def test_the_weight_of_the_impostor_pairs():
    features, people, first, second, same = make_people(7, 700, 5000)
    pairs = listed(features, first, second, same)
    bootstrap = Bootstrap(people, replicates=100, seed=2)
    codes = bootstrap.codes(people)
    expected = listed_totals(bootstrap, np.stack([codes[first[~same]], codes[second[~same]]], axis=1))
    assert pairs._impostor_weights(bootstrap, codes).tolist() == expected.tolist()
