"""Suspect labels: planted errors are found with a strong model, and a weak one is silent."""

from __future__ import annotations

import numpy as np
import pytest

from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.label_errors import impostor_limit
from lwface.scoring.parameters import parse_fars
from lwface.scoring.tar_far import score_pairs

PEOPLE, EACH = 60, 8
STRONG, WEAK = 0.45, 2.0  # noise beside a person of unit variance


def features(noise, *, offset=0.0, seed=0):
    """(480, 64): a person's direction and noise; with an offset all scores crowd below 1, as of a collapsed network."""
    generator = np.random.default_rng(seed)
    people = generator.normal(size=(PEOPLE, 64))
    found = np.repeat(people, EACH, axis=0) + noise * generator.normal(size=(PEOPLE * EACH, 64))
    return (found + offset).astype(np.float32)


TRUE = np.repeat(np.arange(PEOPLE), EACH)


def split(labels):
    """Three people under two labels each."""
    changed = labels.copy()
    for person in (4, 17, 33):
        changed[np.flatnonzero(labels == person)[5:]] = 1000 + person
    return changed


def swapped(labels):
    """Four rows with somebody else's label."""
    changed = labels.copy()
    changed[[10, 99, 250, 401]] = labels[[100, 300, 7, 50]]
    return changed


def found(labels, rows, **options):
    options = {"replicates": 0, **options}
    return score_pairs(Grid(FeatureSet(rows, labels, "f"), None), parse_fars("1e-2"), **options).result.suspects


def test_two_labels_of_one_person_are_found():
    labels = split(TRUE)
    suspects = found(labels, features(STRONG))
    assert suspects.impostor_count == len(suspects.impostors)
    assert all(TRUE[pair.left] == TRUE[pair.right] for pair in suspects.impostors)
    assert {TRUE[pair.left] for pair in suspects.impostors} == {4, 17, 33}
    assert len(suspects.impostors) > 3 * 15 / 4  # half of the genuine scores reach the limit, more or less
    assert min(pair.score for pair in suspects.impostors) >= suspects.impostor_limit
    assert suspects.rows == []
    assert suspects.genuine == []


def test_a_row_with_somebody_elses_label_is_found_from_both_sides():
    labels = swapped(TRUE)
    suspects = found(labels, features(STRONG))
    assert sorted(row.row for row in suspects.rows) == [10, 99, 250, 401]
    assert [row.best for row in suspects.rows] == sorted(row.best for row in suspects.rows)
    assert [row.pairs for row in suspects.rows] == [(labels == labels[row.row]).sum() - 1 for row in suspects.rows]
    wrong = {10, 99, 250, 401}
    assert suspects.genuine_count == len(suspects.genuine) == sum(row.pairs for row in suspects.rows)
    assert all({pair.left, pair.right} & wrong for pair in suspects.genuine)
    assert all({pair.left, pair.right} & wrong for pair in suspects.impostors)
    high = {row for pair in suspects.impostors for row in pair[:2]} & wrong
    assert len(high) >= 3  # with those whose label they should have; half of such pairs reach the limit


@pytest.mark.parametrize("noise", [STRONG, 0.7])
def test_right_labels_are_not_suspected(noise):
    for seed in range(4):
        suspects = found(TRUE, features(noise, seed=seed))
        assert (suspects.impostor_count, suspects.rows) == (0, [])


@pytest.mark.parametrize("spoil", [lambda labels: labels, split, swapped])
@pytest.mark.parametrize(
    "rows", [features(WEAK), features(4.0), features(WEAK, offset=6.0)], ids=["weak", "noise", "collapsed"]
)
def test_a_weak_model_is_silent(spoil, rows):
    suspects = found(spoil(TRUE), rows)
    assert (suspects.impostor_limit, suspects.impostors, suspects.impostor_count) == (None, [], 0)
    assert (suspects.rows, suspects.genuine, suspects.genuine_count) == (None, [], 0)
    assert not suspects.more_impostors


def test_scores_above_nine_tenths_that_every_stranger_has_are_no_suspects():
    """A network whose features share a large part: many impostors are above 0.9, and it can still tell people."""
    rows, labels = features(STRONG, offset=4.0), split(TRUE)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    first, second = np.triu_indices(len(rows), 1)
    scores = (units @ units.T)[first, second]
    assert (scores[TRUE[first] != TRUE[second]] > 0.9).sum() > 50000
    suspects = found(labels, rows)
    assert suspects.impostor_limit is None or all(TRUE[p.left] == TRUE[p.right] for p in suspects.impostors)


def test_a_probe_row_with_somebody_elses_label():
    rows, labels = features(STRONG), TRUE.copy()
    probe, gallery = np.arange(0, 480, 2), np.arange(1, 480, 2)
    labels[10] = 44
    sets = FeatureSet(rows[probe], labels[probe], "p", 0), FeatureSet(rows[gallery], labels[gallery], "g", 1)
    suspects = score_pairs(Grid(*sets), parse_fars("1e-2"), replicates=0).result.suspects
    assert [row.row for row in suspects.rows] == [5]
    assert {pair.left for pair in suspects.genuine} == {5}


def test_the_limit_is_on_the_line_of_a_normal_tail():
    generator = np.random.default_rng(2)
    impostors = np.sort(generator.normal(0.05, 0.1, 10**6))[::-1]
    far = impostor_limit(np.full(9, 0.7), impostors, 10**6)
    assert far == 0.7  # half of the genuine pairs score as much, which is more than the line asks for
    low = impostor_limit(np.full(9, 0.6), impostors, 10**6)
    assert low == 0.6
    assert impostor_limit(np.array([0.3] * 9 + [0.58] * 3), impostors, 10**6) == pytest.approx(
        0.05 + 5.2 * 0.1, abs=0.01
    )
    assert impostor_limit(np.full(9, 0.5), impostors, 10**6) is None
    assert impostor_limit(np.full(9, 0.7), impostors[::2000], 500) is None
