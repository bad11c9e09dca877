"""Ranks, CMC and TPIR at FPIR: exact against a brute-force float64 oracle, and invariances."""

from __future__ import annotations

import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwface.base.errors import UserError
from lwface.scoring import open_set
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.open_set import SearchSide, search, search_points, split_gallery
from tests.scoring_oracle import scores_of

FPIRS = [Fraction(text) for text in ("0.9", "0.5", "0.31", "0.1", "0.01")]


def naive_search(probe, probe_labels, gallery, gallery_labels):
    """One probe and one person at a time; the (mate score, rank) of each mated probe, the best score of each other."""
    scores = scores_of(probe, gallery)
    mated, strangers = [], []
    for row, label in zip(scores.tolist(), probe_labels.tolist(), strict=True):
        best = {}
        for number, (value, person) in enumerate(zip(row, gallery_labels.tolist(), strict=True)):
            key = ("distractor", number) if person == -1 else person
            best[key] = max(value, best.get(key, -2.0))
        if label in best:
            mate = best.pop(label)
            mated.append((mate, 1 + sum(value >= mate for value in best.values())))
        else:
            strangers.append(max(best.values()))
    return sorted(mated), sorted(strangers)


def naive_point(mated, strangers, fpir, limit):
    """Try every threshold there is, and the float64 above it; the smallest that keeps to the FPIR."""
    if fpir * len(strangers) < 1:
        return None, None, None
    candidates = sorted({t for score in strangers for t in (score, float(np.nextafter(score, np.inf)))})
    threshold = next(t for t in candidates if sum(s >= t for s in strangers) <= fpir * len(strangers))
    below = float(np.nextafter(threshold, -np.inf))
    assert sum(s >= below for s in strangers) > fpir * len(strangers)  # nothing smaller fits
    identified = sum(score >= threshold and rank <= limit for score, rank in mated)
    return threshold, sum(s >= threshold for s in strangers), identified


def make_sides(seed, rows, width, kind, people):
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(people, width))
    labels = generator.integers(0, people, rows)
    features = 0.7 * centres[labels] + generator.normal(size=(rows, width))
    if kind == "tied":  # few different values, so that many scores are equal
        features = np.where(features > 0, 1.0, -1.0) * generator.choice([1, 2], size=(rows, 1))
    elif kind == "duplicates":
        features = features[generator.integers(0, max(1, rows // 3), rows)] * generator.choice([1, 4], size=(rows, 1))
    elif kind == "near":  # closer to each other than the screening error
        features = centres[0] + 1e-5 * features
    elif kind == "extreme":
        features = features * generator.choice([1e-40, 1e-20, 1, 1e35], size=(rows, 1))
    features = features.astype(np.float32)
    features[~features.any(axis=1)] = 1
    labels[generator.random(rows) < 0.15] = -1
    labels[labels % 5 == 4] += 100 * (generator.random(np.sum(labels % 5 == 4)) < 0.5)  # some are on one side only
    labels[:2] = 0  # one mated probe at least
    return (features[0::2], labels[0::2]), (features[1::2], labels[1::2])


def run_search(probe, gallery, block_size=512):
    return search(
        SearchSide(FeatureSet(*probe, "p", 0)), SearchSide(FeatureSet(*gallery, "g", 1)), block_size=block_size
    )


def outcome(searches):
    mated = sorted(zip(searches.mate_scores.tolist(), searches.ranks.tolist(), strict=True))
    return mated, sorted(searches.best_scores.tolist())


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(4, 70),
    st.sampled_from([1, 2, 3, 5, 16, 100]),
    st.sampled_from(["random", "tied", "duplicates", "near", "extreme"]),
    st.sampled_from([1, 4, 20]),
    st.sampled_from([1, 3, 16, 512]),
    st.sampled_from([1, 2, 5]),
)
def test_it_equals_the_oracle(seed, rows, width, kind, people, block_size, limit):
    probe, gallery = make_sides(seed, rows, width, kind, people)
    searches = run_search(probe, gallery, block_size)
    mated, strangers = naive_search(*probe, *gallery)
    assert outcome(searches) == (mated, strangers)
    points = search_points(searches, FPIRS, rank=limit)
    found = [(point.threshold, point.false_positives, point.true_positives) for point in points]
    assert found == [naive_point(mated, strangers, fpir, limit) for fpir in FPIRS]
    curve = dict(searches.cmc)
    for rank in range(1, len(gallery[0]) + 1):
        hits = sum(r <= rank for _, r in mated)
        assert searches.hits(rank) == hits
        assert curve.get(rank, hits) == hits
    assert searches.cmc[-1][1] == len(mated)


@pytest.mark.parametrize("kind", ["random", "near"])
def test_block_size_and_order_change_nothing(kind):
    generator = np.random.default_rng(1)
    probe, gallery = make_sides(2, 900, 64, kind, 60)
    results = []
    for block_size, shuffled in itertools.product([7, 64, 512], [False, True]):
        orders = [generator.permutation(450) if shuffled else np.arange(450) for _ in range(2)]
        sides = [
            (features[order], labels[order]) for (features, labels), order in zip((probe, gallery), orders, strict=True)
        ]
        results.append(outcome(run_search(*sides, block_size)))
    assert all(result == results[0] for result in results)


def test_a_person_with_more_rows_than_a_block_and_little_room_for_exact_scores(monkeypatch):
    monkeypatch.setattr(open_set, "EXACT_BYTES", 1)  # one exact score at a time
    probe, gallery = make_sides(3, 80, 6, "tied", 2)
    assert outcome(run_search(probe, gallery, 4)) == naive_search(*probe, *gallery)


def test_most_is_screened_and_little_scored_exactly(monkeypatch):
    scored = []
    exact = open_set.score
    monkeypatch.setattr(open_set, "score", lambda units, others: scored.append(len(units)) or exact(units, others))
    probe, gallery = make_sides(4, 4000, 32, "random", 300)
    searches = run_search(probe, gallery, 256)
    mates = sum(int(np.sum(gallery[1] == label)) for label in probe[1] if label != -1)
    assert len(searches.best_scores) > 100
    assert sum(scored) < mates + 0.01 * 2000 * 2000


def test_ties_count_against_the_mate():
    # The probe's own row, the same row under another person, and a third person who is far away.
    rows = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    probe = (rows[:1], np.array([7]))
    searches = run_search(probe, (rows, np.array([7, 8, 9])))
    assert searches.ranks.tolist() == [2]
    assert searches.cmc == [(2, 1)]
    searches = run_search(probe, (rows, np.array([7, 7, 9])))  # two rows of the mate are no tie
    assert searches.ranks.tolist() == [1]
    searches = run_search(probe, (rows[[0, 1, 1]], np.array([7, 8, 8])))  # one other person, not two rows
    assert searches.ranks.tolist() == [2]


def test_distractors_of_probe_and_gallery_are_different_people():
    rows = np.eye(3, dtype=np.float32)
    searches = run_search((rows, np.array([-1, 0, -1])), (rows, np.array([-1, 0, -1])))
    assert searches.ranks.tolist() == [1]
    assert searches.best_scores.tolist() == [1.0, 1.0]


def test_strangers_that_tie_are_all_refused():
    rows = np.array([[1, 0]] * 12, dtype=np.float32)
    searches = run_search((rows, np.array([0] * 2 + [-1] * 10)), (rows[:1], np.array([0])))
    point, unresolved = search_points(searches, [Fraction(1, 2), Fraction(1, 11)])
    assert (point.threshold, point.false_positives, point.true_positives) == (np.nextafter(1.0, 2), 0, 0)
    assert (point.tpir, point.achieved_fpir) == (0.0, 0.0)
    assert unresolved.threshold is unresolved.tpir is unresolved.achieved_fpir is None
    assert unresolved.reason == "needs at least 11 non-mated probes, there are 10"


def test_without_strangers_ranks_remain_and_no_fpir_is_resolvable():
    probe, gallery = make_sides(5, 40, 8, "random", 3)
    known = np.isin(probe[1], gallery[1][gallery[1] >= 0])
    searches = run_search((probe[0][known], probe[1][known]), gallery)
    assert len(searches.ranks) == known.sum()
    assert search_points(searches, [Fraction(1, 2)])[0].reason == "needs at least 2 non-mated probes, there are 0"


@pytest.mark.parametrize("rows_each", [1, 2, 3])
def test_one_set_is_cut_by_the_order_of_its_rows(rows_each):
    features, labels = make_sides(6, 160, 8, "random", 9)[0]
    probe, gallery = split_gallery(FeatureSet(features, labels, "f"), rows_each)
    seen, enrolled = {}, []
    for row, label in enumerate(labels.tolist()):
        seen[label] = seen.get(label, 0) + 1
        if label >= 0 and seen[label] <= rows_each:
            enrolled.append(row)
    rows = FeatureSet(features, labels, "f").rows
    assert sorted(rows[gallery.positions].tolist()) == enrolled
    others = sorted(set(range(len(labels))) - set(enrolled))
    assert sorted(rows[probe.positions].tolist()) == others
    expected = naive_search(features[others], labels[others], features[enrolled], labels[enrolled])
    assert outcome(search(probe, gallery, block_size=5)) == expected


def test_what_cannot_be_searched_is_refused():
    rows = np.ones((4, 3), dtype=np.float32)
    known = FeatureSet(rows, np.arange(4), "f")
    with pytest.raises(UserError, match="with 1 rows of each person in the gallery no row is left for the probe"):
        split_gallery(known, 1)
    with pytest.raises(UserError, match="no row is left for the gallery"):
        split_gallery(FeatureSet(rows, np.full(4, -1), "f"), 1)
    with pytest.raises(UserError, match="no probe's person is in the gallery"):
        search(SearchSide(known), SearchSide(FeatureSet(rows, np.arange(4, 8), "g")))
    with pytest.raises(UserError, match="probe features have width 3, gallery features 2"):
        search(SearchSide(known), SearchSide(FeatureSet(rows[:, :2], np.arange(4), "g")))
    with pytest.raises(UserError, match="block size 0 is not"):
        search(SearchSide(known), SearchSide(known), block_size=0)


def test_memory_is_a_few_blocks():
    probe, gallery = make_sides(7, 8000, 64, "random", 1000)  # all scores at once: 64 MB as float32
    sides = SearchSide(FeatureSet(*probe, "p", 0)), SearchSide(FeatureSet(*gallery, "g", 1))
    tracemalloc.start()
    search(*sides, block_size=64)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
