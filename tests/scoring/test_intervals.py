"""Intervals against explicit loops over replicates and pairs, and their coverage on people that are made up."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwface.formats.person_labels import LABEL_LIMIT
from lwface.scoring import intervals
from lwface.scoring.exact.pair_counts import ImpostorMass, listed_totals
from lwface.scoring.intervals import Bootstrap, CodedPairs, GenuineTally, differences, interval, replicate_thresholds


def make_rows(seed, rows, people, groups=3):
    """Persons (a third of the rows distractors) and groups."""
    generator = np.random.default_rng(seed)
    persons = generator.integers(0, people, rows)
    distractors = generator.random(rows) < 1 / 3
    persons[distractors] = LABEL_LIMIT + np.flatnonzero(distractors)
    return persons, generator.integers(-1, groups, rows)


# weights


def test_weights_are_poisson_and_independent():
    bootstrap = Bootstrap(np.arange(3000), seed=5)
    weights = bootstrap.weights(slice(0, 3000), slice(0, 1000)).astype(np.float64)
    for value in range(6):
        expected = math.exp(-1) / math.factorial(value)
        assert np.mean(weights == value) == pytest.approx(expected, abs=5 * math.sqrt(expected / weights.size))
    people, replicates = np.corrcoef(weights[:200]), np.corrcoef(weights[:, :200].T)
    for correlations, size in ((people, 1000), (replicates, 3000)):
        apart = correlations[np.triu_indices(200, 1)] * math.sqrt(size)
        assert abs(apart.mean()) < 5 / math.sqrt(len(apart))
        assert apart.std() == pytest.approx(1, abs=0.05)
        assert abs(apart).max() < 6


def test_a_weight_depends_on_seed_person_and_replicate_alone():
    numbers = np.array([3, 7, 9, 1000, LABEL_LIMIT + 5])
    whole = Bootstrap(numbers, replicates=200, seed=1)
    weights = whole.weights(slice(0, 5), slice(0, 200))
    others = Bootstrap(np.array([LABEL_LIMIT + 5, 7, 8, 7]), replicates=1000, seed=1)
    assert (others.weights(others.codes(numbers[[1, 4]]), slice(64, 128)) == weights[[1, 4], 64:128]).all()
    parts = [whole.weights(np.arange(5), block) for block in whole.blocks()]
    assert (np.concatenate(parts, axis=1) == weights).all()
    assert (Bootstrap(numbers, replicates=200, seed=2).weights(slice(0, 5), slice(0, 200)) != weights).any()
    # a fixed point: results of one version are those of the next
    assert Bootstrap(np.arange(4), replicates=8).weights(slice(0, 4), slice(0, 8)).tolist() == [
        [0, 0, 1, 0, 1, 0, 1, 0],
        [0, 0, 1, 0, 1, 4, 0, 1],
        [5, 1, 0, 1, 1, 1, 2, 1],
        [3, 2, 2, 1, 1, 2, 2, 1],
    ]


# weight of all impostor pairs


def naive_total(pairs, weight, include):
    total = 0
    for (person, group), (other, other_group) in pairs:
        both = person >= LABEL_LIMIT and other >= LABEL_LIMIT
        if person != other and not group == other_group != -1 and (include or not both):
            total += weight[person] * weight[other]
    return total


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 25), st.booleans(), st.booleans(), st.booleans())
def test_the_weight_of_all_impostor_pairs(seed, rows, grouped, include, crossed):
    persons, groups = make_rows(seed, rows, 4)
    if not grouped:
        groups[:] = -1
    split = rows // 3 if crossed else rows
    bootstrap = Bootstrap(persons, replicates=70, seed=seed)
    codes = bootstrap.codes(persons)
    people = list(zip(persons.tolist(), groups.tolist(), strict=True))
    pairs = list(itertools.product(people[:split], people[split:]) if crossed else itertools.combinations(people, 2))
    sets = (codes[:split], codes[split:]) if crossed else (codes,)
    given_groups = {}
    if grouped:
        given_groups["groups"] = groups[:split]
        if crossed:
            given_groups["other_groups"] = groups[split:]
    mass = ImpostorMass(bootstrap, *sets, **given_groups, distractor_pairs=include)
    weights = bootstrap.weights(slice(0, len(bootstrap)), slice(0, 70)).astype(int)
    expected = [
        naive_total(pairs, dict(zip(bootstrap.numbers.tolist(), column.tolist(), strict=True)), include)
        for column in weights.T
    ]
    assert mass.totals().tolist() == expected


def test_ignored_pairs_are_taken_away():
    persons = np.array([0, 0, 1, 2, 2])
    bootstrap = Bootstrap(persons, replicates=6)
    ignored = np.array([[0, 1], [0, 1], [2, 0]])
    weights = bootstrap.weights(slice(0, 3), slice(0, 6)).astype(int)
    expected = ImpostorMass(bootstrap, persons).totals() - 2 * weights[0] * weights[1] - weights[0] * weights[2]
    assert ImpostorMass(bootstrap, persons, ignored=ignored).totals().tolist() == expected.tolist()


def test_the_weight_of_a_list():
    bootstrap = Bootstrap(np.arange(30), replicates=70)
    pairs = np.random.default_rng(2).integers(0, 30, (9000, 2))
    weights = bootstrap.weights(slice(0, 30), slice(0, 70)).astype(int)
    assert (
        listed_totals(bootstrap, pairs).tolist() == (weights[pairs[:, 0]] * weights[pairs[:, 1]]).sum(axis=0).tolist()
    )


# thresholds and TARs


def naive(fars, weights, impostors, genuine):
    """Thresholds and TARs of one replicate; weights by person, impostors (p, q, score), genuine (p, score)."""
    weighed = [(score, weights[p] * weights[q]) for p, q, score in impostors]
    total, people = sum(w for _, w in weighed), sum(weights[p] for p, _ in genuine)
    found = []
    for far in fars:
        if far * len(impostors) < 1 or total == 0:
            found.append((math.nan, math.nan))
            continue
        candidates = sorted({np.nextafter(score, np.inf) for score, _ in weighed} | {-np.inf})
        threshold = next(t for t in candidates if sum(w for score, w in weighed if score >= t) <= far * total)
        accepted = sum(weights[p] for p, score in genuine if score >= threshold)
        found.append((threshold, accepted / people if people else math.nan))
    return found


def make_pairs(seed, people=8, rows=24, decimals=2):
    """All impostor and genuine pairs of some rows, with scores that tie."""
    generator = np.random.default_rng(seed)
    persons, _ = make_rows(seed, rows, people)
    persons[:4] = [0, 0, 1, 1]
    first, second = np.triu_indices(rows, 1)
    same = persons[first] == persons[second]
    scores = np.round(generator.normal(np.where(same, 0.5, 0), 0.3), decimals)
    bootstrap = Bootstrap(persons, replicates=40, seed=seed)
    codes = bootstrap.codes(persons)
    impostors = CodedPairs(np.stack([codes[first], codes[second]], axis=1)[~same], scores[~same])
    return bootstrap, codes, impostors, codes[first[same]], scores[same]


FARS = [Fraction(far) for far in ("0.5", "0.1", "0.03", "0.004", "0.001")]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3]), st.integers(4, 30))
def test_replicates_equal_the_loops(seed, decimals, rows):
    bootstrap, codes, impostors, people, scores = make_pairs(seed, rows=rows, decimals=decimals)
    totals = ImpostorMass(bootstrap, codes).totals()
    thresholds = replicate_thresholds(bootstrap, FARS, totals, len(impostors.scores), impostors)
    tally = GenuineTally(thresholds, bootstrap.known)
    for part in np.array_split(np.random.default_rng(seed).permutation(len(scores)), 3):
        tally.add(people[part], scores[part])
    tars = tally.tars(bootstrap, np.arange(bootstrap.known))
    weights = bootstrap.weights(slice(0, len(bootstrap)), slice(0, 40)).astype(int)
    for replicate in range(40):
        listed = [(*pair, score) for pair, score in zip(impostors.codes.tolist(), impostors.scores, strict=True)]
        expected = naive(FARS, weights[:, replicate], listed, list(zip(people, scores, strict=True)))
        np.testing.assert_array_equal(thresholds[:, replicate], [threshold for threshold, _ in expected])
        np.testing.assert_allclose(tars[:, replicate], [tar for _, tar in expected], rtol=1e-15)


def replicates_of(first, second, scores, same, fars, *, replicates=400, seed=0, keep=None, sample=None):
    """Thresholds and TARs (F, B) of pairs of persons, each with as many rows as the next."""
    people = np.unique(np.append(first, second))
    rows = round((1 + math.sqrt(1 + 8 * len(first))) / 2) // len(people)
    bootstrap = Bootstrap(people, replicates=replicates, seed=seed)
    codes = np.stack([bootstrap.codes(first), bootstrap.codes(second)], axis=1)
    impostors = CodedPairs(codes[~same], scores[~same])
    totals = ImpostorMass(bootstrap, np.repeat(np.arange(len(people)), rows)).totals()
    tail, floor, drawn = impostors, -np.inf, None
    if keep is not None:
        floor = np.sort(impostors.scores)[-keep] if keep else np.inf
        chosen = impostors.scores >= floor
        tail = CodedPairs(impostors.codes[chosen], impostors.scores[chosen])
    if sample is not None:
        places = np.random.default_rng(1).choice(len(impostors.scores), sample, replace=False)
        drawn = CodedPairs(impostors.codes[places], impostors.scores[places])
    thresholds = replicate_thresholds(bootstrap, fars, totals, len(impostors.scores), tail, floor=floor, sample=drawn)
    tally = GenuineTally(thresholds, len(people))
    tally.add(codes[same, 0], scores[same])
    return thresholds, tally.tars(bootstrap, np.arange(len(people)))


def population(generator, people, rows, width=8):
    """The pairs of people of whom some scatter more than others: first, second, score, same."""
    scatter = 0.6 * generator.lognormal(0, 0.5, people)
    persons = np.repeat(np.arange(people), rows)
    units = generator.normal(size=(people, width))[persons]
    units += scatter[persons, np.newaxis] * generator.normal(size=units.shape)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    first, second = np.triu_indices(people * rows, 1)
    scores = np.einsum("pd,pd->p", units[first], units[second])
    return persons[first], persons[second], scores, persons[first] == persons[second]


LARGE = [Fraction(far) for far in ("0.1", "0.03", "0.01", "0.001")]


def test_a_tail_is_enough():
    pairs = population(np.random.default_rng(3), 60, 4)  # 28 320 impostor pairs
    whole, tars = replicates_of(*pairs, LARGE)
    thresholds, found = replicates_of(*pairs, LARGE, keep=700)  # rank 284 of FAR 0.01, not 850 of 0.03
    np.testing.assert_array_equal(thresholds[2:], whole[2:])
    np.testing.assert_array_equal(found[2:], tars[2:])
    assert np.isnan(thresholds[:2]).all()
    assert interval(found[0], 60) is None


def test_a_tail_that_a_few_replicates_leave():
    pairs = population(np.random.default_rng(3), 60, 4)
    whole, tars = replicates_of(*pairs, LARGE[2:3])
    floor = np.sort(whole[0])[4]  # five of 400 replicates reach as low
    keep = int(np.sum(pairs[2][~pairs[3]] >= floor))
    thresholds, found = replicates_of(*pairs, LARGE[2:3], keep=keep)
    clipped = thresholds != whole
    assert 0 < clipped.sum() <= 8
    assert (thresholds >= whole).all()
    assert interval(found[0], 60).low == interval(tars[0], 60).low


def test_a_sample_stands_for_what_is_below_the_tail():
    pairs = population(np.random.default_rng(3), 60, 4)
    whole, tars = replicates_of(*pairs, LARGE)
    thresholds, found = replicates_of(*pairs, LARGE, keep=700, sample=9000)
    np.testing.assert_array_equal(thresholds[3], whole[3])  # FAR 0.001 lies in the tail
    for index in (0, 1):
        exact, sampled = interval(tars[index], 60), interval(found[index], 60)
        assert sampled.low == pytest.approx(exact.low, abs=0.1 * (exact.high - exact.low))
        assert sampled.high == pytest.approx(exact.high, abs=0.1 * (exact.high - exact.low))
    deep, _ = replicates_of(*pairs, [Fraction(1, 2)], keep=9000, sample=9000)  # 2/3 of the pairs are below the tail
    whole, _ = replicates_of(*pairs, [Fraction(1, 2)])
    assert np.mean(deep - whole) == pytest.approx(0, abs=0.01)
    few, _ = replicates_of(*pairs, LARGE, keep=20, sample=6000)  # 0.001 is six pairs of the sample
    assert np.isnan(few[3]).all()
    assert not np.isnan(few[0]).any()


def test_a_sample_alone_and_a_far_of_all_pairs():
    pairs = population(np.random.default_rng(3), 60, 4)
    fars = [Fraction(1, 10), Fraction(1)]
    whole, tars = replicates_of(*pairs, fars)
    assert (tars[1] == 1).all()
    assert (whole[1] < -1).all()
    thresholds, found = replicates_of(*pairs, fars, keep=0, sample=9000)
    assert (found[1] == 1).all()
    exact, sampled = interval(tars[0], 60), interval(found[0], 60)
    assert sampled == pytest.approx(exact, abs=0.15 * (exact.high - exact.low))
    assert abs(thresholds[0] - whole[0]).max() < 0.05


def test_of_many_pairs_some_stand_for_others(monkeypatch):
    pairs = population(np.random.default_rng(3), 60, 4)
    _, exact = replicates_of(*pairs, LARGE)
    monkeypatch.setattr(intervals, "FULL", 1000)
    _, near = replicates_of(*pairs, LARGE)
    np.testing.assert_array_equal(near[2:], exact[2:])
    assert (near[:2] != exact[:2]).any()
    for index in range(2):
        a, b = interval(exact[index], 60), interval(near[index], 60)
        assert b == pytest.approx(a, abs=0.1 * (a.high - a.low))


@pytest.mark.parametrize("pairs", [0, 1, 99, 100, 101, 102, 199, 200, 201, 407, 5000])
def test_thinned_pairs_stand_for_all(monkeypatch, pairs):
    monkeypatch.setattr(intervals, "FULL", 100)
    places, stand_for = intervals._thinned(pairs)
    assert stand_for.sum() == pairs
    assert (np.diff(places) > 0).all()
    ends = np.cumsum(stand_for)
    assert ((ends - stand_for <= places) & (places < ends)).all()


def test_levels_between_which_is_interpolated(monkeypatch):
    pairs = population(np.random.default_rng(3), 60, 4)
    _, exact = replicates_of(*pairs, LARGE)
    monkeypatch.setattr(intervals, "LEVELS", 64)
    _, near = replicates_of(*pairs, LARGE)
    assert (near != exact).any()
    for index in range(4):
        a, b = interval(exact[index], 60), interval(near[index], 60)
        assert b == pytest.approx(a, abs=0.02 * (a.high - a.low))


def test_parts_of_the_genuine_pairs_add_up_and_their_order_does_not_matter():
    thresholds = np.array([[0.1, 0.4], [0.2, np.nan]])
    generator = np.random.default_rng(4)
    cells, scores = generator.integers(0, 5, 300), generator.random(300)
    scores[:3] = [0.1, 0.2, 0.4]  # a score that equals the threshold reaches it
    whole, parts = GenuineTally(thresholds, 5), [GenuineTally(thresholds, 5) for _ in range(2)]
    whole.add(cells[::-1], scores[::-1])
    parts[0].add(cells[:70], scores[:70])
    parts[1].add(cells[70:], scores[70:])
    assert (whole.counts == parts[0].counts + parts[1].counts).all()
    assert (
        whole.counts.sum(axis=0).tolist() == np.diff([0, *(np.sum(scores < t) for t in (0.1, 0.2, 0.4)), 300]).tolist()
    )


# intervals


def test_an_interval_is_the_middle_95_percent():
    tars = np.arange(1001) / 1000
    assert interval(tars, 50) == pytest.approx((0.025, 0.975))
    assert interval(np.append(tars, [np.nan] * 900), 50) == pytest.approx((0.025, 0.975))
    assert interval(np.append(tars, [np.nan] * 1001), 50) is None
    assert interval(tars, 9) is None
    # 12 of 12 people whole: were the share 0.735, that would happen once in forty times
    assert interval(np.ones(1000), 12) == pytest.approx((0.025 ** (1 / 12), 1))
    assert interval(np.zeros(1000), 12) == pytest.approx((0, 1 - 0.025 ** (1 / 12)))


def test_replicates_that_hold_no_genuine_or_no_impostor_pair():
    impostors = CodedPairs(np.array([[0, 1], [0, 1]]), np.array([0.25, 0.5]))
    bootstrap = Bootstrap(np.array([0, 1]), replicates=64)
    weights = bootstrap.weights(slice(0, 2), slice(0, 64))
    totals = ImpostorMass(bootstrap, np.array([0, 0, 1])).totals()
    thresholds = replicate_thresholds(bootstrap, [Fraction(9, 10), Fraction(1, 3)], totals, 2, impostors)
    none = (weights == 0).any(axis=0)
    assert 0 < none.sum() < 64
    assert (np.isnan(thresholds[0]) == none).all()
    assert np.isnan(thresholds[1]).all()  # less than one pair
    tally = GenuineTally(thresholds, 1)
    tally.add(np.array([0]), np.array([0.5]))
    tars = tally.tars(bootstrap, np.array([0]))
    assert np.array_equal(tars[0], np.where(none, np.nan, 1.0), equal_nan=True)


def test_differences_are_paired():
    fars = LARGE[1:]
    first, second, scores, same = population(np.random.default_rng(5), 80, 4)
    better = scores + 0.02 * same  # a little, for everybody
    results = [replicates_of(first, second, values, same, fars)[1] for values in (scores, better)]
    points = [np.mean(values, axis=1).tolist() for values in results]
    found = differences(("a", "b"), fars, tuple(points), tuple(results), 80)
    assert [item.far for item in found] == fars
    alone = interval(results[0][0], 80)
    assert alone.low < points[1][0] < alone.high  # not to be told apart by the interval of each
    assert found[0].better == "b"
    assert found[0].difference == points[1][0] - points[0][0]
    back = differences(("b", "a"), fars, tuple(points[::-1]), tuple(results[::-1]), 80)
    assert back[0].better == "b"
    same_twice = differences(("a", "b"), fars, (points[0], points[0]), (results[0], results[0]), 80)
    assert [item.better for item in same_twice] == [None] * 3
    unresolved = differences(("a", "b"), fars[:1], ([None], [0.5]), (results[0], results[0]), 80)
    assert (unresolved[0].difference, unresolved[0].interval, unresolved[0].better) == (None, None, None)


def test_intervals_cover_the_truth_where_those_of_single_pairs_do_not():
    """100 samples of 40 people from a population whose TAR is known: 95 % of the intervals hold it, more or less."""
    far, generator = Fraction(1, 20), np.random.default_rng(6)
    many = [population(generator, 300, 3) for _ in range(12)]
    impostors = np.concatenate([scores[~same] for _, _, scores, same in many])
    genuine = np.concatenate([scores[same] for _, _, scores, same in many])
    truth = float(np.mean(genuine >= np.quantile(impostors, 1 - float(far))))
    covered = naive_covered = 0
    for _ in range(100):
        pairs = population(generator, 40, 4)
        _, tars = replicates_of(*pairs, [far], replicates=150)
        low, high = interval(tars[0], 40)
        covered += low <= truth <= high
        scores, same = pairs[2:]
        tar = np.mean(scores[same] >= np.quantile(scores[~same], 1 - float(far)))
        naive_covered += abs(tar - truth) <= 1.96 * math.sqrt(tar * (1 - tar) / same.sum())
    assert 89 <= covered <= 99
    assert naive_covered < 80
