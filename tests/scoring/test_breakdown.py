"""Breakdowns against loops over pairs."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwface.base.errors import UserError
from lwface.formats.person_labels import LABEL_LIMIT, Codes
from lwface.scoring.breakdown import BreakdownTally, ValuedRows
from lwface.scoring.column_values import MOST_VALUES, chosen_values
from lwface.scoring.exact.pair_counts import ImpostorMass
from lwface.scoring.intervals import Bootstrap, CodedPairs, replicate_thresholds
from lwface.scoring.operating_points import OperatingPoint
from lwface.scoring.parameters import parse_columns

FARS = [Fraction(1, 5), Fraction(1, 20), Fraction(1, 10**6)]
VALUES = ["x", "y", "z"]


def make_set(seed, rows, people=12):
    generator = np.random.default_rng(seed)
    persons = generator.integers(0, people, rows)
    distractors = generator.random(rows) < 0.2
    persons[distractors] = LABEL_LIMIT + np.flatnonzero(distractors)
    return persons, generator.integers(-1, 3, rows), generator.integers(-1, 2, rows)


def threshold_of(impostors, far):
    """By the definition."""
    allowed = far * len(impostors)
    if allowed < 1:
        return None
    candidates = np.sort(np.nextafter(impostors, np.inf))
    return next(float(t) for t in candidates if np.sum(impostors >= t) <= allowed)


def naive_tars(pairs, scores, genuine, values, bootstrap, codes, thresholds):
    """(V, F, B) of genuine pairs with the same value, weight by weight."""
    weights = bootstrap.weights(slice(0, len(bootstrap)), slice(0, bootstrap.replicates)).astype(int)
    tars = np.full((len(VALUES), *thresholds.shape), np.nan)
    for value, far, replicate in itertools.product(range(len(VALUES)), *map(range, thresholds.shape)):
        total = accepted = 0
        for (i, j), score, same in zip(pairs, scores, genuine, strict=True):
            if same and values[i] == values[j] == value:
                total += weights[codes[i], replicate]
                accepted += weights[codes[i], replicate] * (score >= thresholds[far, replicate])
        if total and not np.isnan(thresholds[far, replicate]):
            tars[value, far, replicate] = accepted / total
    return tars


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans(), st.booleans())
def test_a_breakdown_equals_the_loops(seed, crossed, grouped, include):
    persons, values, groups = make_set(seed, 40)
    if not grouped:
        groups[:] = -1
    pairs = itertools.product(range(15), range(15, 40)) if crossed else itertools.combinations(range(40), 2)
    pairs = [
        (i, j)
        for i, j in pairs
        if not groups[i] == groups[j] != -1 and (include or min(persons[i], persons[j]) < LABEL_LIMIT)
    ]
    generator = np.random.default_rng(seed)
    same = np.array([persons[i] == persons[j] for i, j in pairs])
    scores = np.round(generator.normal(np.where(same, 0.5, 0), 0.3), 2)
    for index, far in zip(np.flatnonzero(same), FARS, strict=False):  # a score that equals the threshold reaches it
        scores[index] = threshold_of(scores[~same], far) or 0
    bootstrap = Bootstrap(persons, replicates=12, seed=seed)
    codes = bootstrap.codes(persons)
    first, second = np.array(pairs).T
    impostors = CodedPairs(np.stack([codes[first], codes[second]], axis=1)[~same], scores[~same])
    found_thresholds = [threshold_of(impostors.scores, far) for far in FARS]
    kinds = int((~same).sum()), int(same.sum())
    points = [OperatingPoint(far, *kinds, t) for far, t in zip(FARS, found_thresholds, strict=True)]
    parts = [slice(0, 15), slice(15, 40)] if crossed else [slice(0, 40)]
    sides = [ValuedRows(codes[part], values[part]) for part in parts]
    names = ("groups", "other_groups")[: len(parts)]
    group_flags = {name: groups[part] for name, part in zip(names, parts, strict=True)} if grouped else {}
    totals = ImpostorMass(bootstrap, *(side.codes for side in sides), **group_flags, distractor_pairs=include).totals()
    thresholds = replicate_thresholds(bootstrap, FARS, totals, len(impostors.scores), impostors)
    offset = 15 if crossed else 0
    tally = BreakdownTally("c", VALUES, sides[0], points, bootstrap, thresholds, *sides[1:])
    for chosen in np.array_split(np.flatnonzero(same), 3):
        tally.add_genuine(first[chosen], second[chosen] - offset, scores[chosen])
    tally.add_impostors(first[~same], second[~same] - offset, scores[~same])
    inside = [np.array([values[i] == values[j] == value for i, j in pairs]) for value in range(3)]
    counts = np.array([np.sum(mine & ~same) for mine in inside])
    found = tally.result(counts)
    assert [group.value for group in found.groups] == VALUES
    for value, group in enumerate(found.groups):
        mine = np.array([values[i] == values[j] == value for i, j in pairs])
        assert group.rows == np.sum(values == value)
        assert group.people == len(set(persons[values == value].tolist()))
        assert (group.genuine_pairs, group.impostor_pairs) == (np.sum(mine & same), np.sum(mine & ~same))
        for point, threshold in zip(group.points, found_thresholds, strict=True):
            for figure, kind in ((point.tar, mine & same), (point.achieved_far, mine & ~same)):
                if threshold is None or not kind.any():
                    assert figure is None
                else:
                    assert figure == np.sum(scores[kind] >= threshold) / np.sum(kind)


def test_intervals_and_gap():
    """People of value x are easier than those of y; of z there are too few."""
    generator = np.random.default_rng(3)
    persons = np.repeat(np.arange(45), 3)
    values = np.repeat([0] * 20 + [1] * 20 + [2] * 5, 3)
    first, second = np.triu_indices(len(persons), 1)
    same = persons[first] == persons[second]
    scores = generator.normal(np.where(same, np.array([0.7, 0.4, 2.0])[values[first]], 0), 0.3)
    bootstrap = Bootstrap(persons, replicates=100)
    impostors = CodedPairs(np.stack([persons[first], persons[second]], axis=1)[~same], scores[~same])
    totals = ImpostorMass(bootstrap, persons).totals()
    thresholds = replicate_thresholds(bootstrap, FARS, totals, len(impostors.scores), impostors)
    points = [OperatingPoint(far, int((~same).sum()), 135, threshold_of(impostors.scores, far)) for far in FARS]
    side = ValuedRows(persons, values)
    counts = np.bincount(values[first][~same & (values[first] == values[second])], minlength=3)
    tally = BreakdownTally("c", VALUES, side, points, bootstrap, thresholds)
    tally.add_genuine(first[same], second[same], scores[same])
    tally.add_impostors(first[~same], second[~same], scores[~same])
    found = tally.result(counts, floor=points[1].threshold)
    x, y, z = found.groups
    pairs = list(zip(first, second, strict=True))
    expected = naive_tars(pairs, scores, same, values, bootstrap, persons, thresholds)
    for value, group in enumerate((x, y)):
        for index in range(2):
            low, high = np.quantile(expected[value, index], [0.025, 0.975])
            assert group.points[index].interval == pytest.approx((low, high))
    assert [point.interval for point in z.points] == [None] * 3
    assert z.points[0].tar == 1  # and yet no part of the gap
    for index in range(2):
        gap, around = found.gaps[index]
        assert gap == x.points[index].tar - y.points[index].tar > 0
        assert around == pytest.approx(tuple(np.quantile(expected[0, index] - expected[1, index], [0.025, 0.975])))
    assert found.gaps[2] == (None, None)
    assert x.points[0].achieved_far is None  # its threshold lies below the floor
    assert x.points[1].achieved_far is not None


def test_values_in_order():
    column = Codes(np.array([0, 1, 2, -1, 3]), ["b", "10", "9", "-1.5"])
    found = chosen_values(column, "c", None)
    assert found.values == ["-1.5", "9", "10", "b"]
    assert found.codes.tolist() == [3, 2, 1, -1, 0]
    assert chosen_values(Codes(np.array([0, 1]), ["9", "11"]), "c", 10).values == ["0 to below 10", "10 to below 20"]


def test_too_many_values():
    many = Codes(np.arange(MOST_VALUES + 1), [str(value) for value in range(MOST_VALUES + 1)])
    with pytest.raises(UserError, match=f"column 'age' has 201 values, .* {MOST_VALUES} at most; give age:WIDTH"):
        chosen_values(many, "age", None)
    assert len(chosen_values(many, "age", 10).values) == 21


def test_columns_asked_for():
    assert parse_columns("camera, age:10,x:0.5") == [("camera", None), ("age", 10.0), ("x", 0.5)]
    for text in ("age:ten", "age:0", "age:-1", "age:inf", "age:nan", "age:"):
        with pytest.raises(UserError, match="is not the width of a band"):
            parse_columns(text)
