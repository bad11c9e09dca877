"""tar_at_far against scikit-learn and against plain counting; what it takes, and what it refuses."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from lwface.base.errors import UserError
from lwface.scoring import TarAtFar, tar_at_far
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.parameters import parse_fars
from lwface.scoring.tar_far import score_pairs
from tests.scoring_oracle import KINDS, make_rows, oracle, same_person, scores_of

FARS = (0.31, 0.1, 1e-2, 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_every_score_sorted_and_counted(kind, capfd):
    features, labels = make_rows(21, 50, 16, kind)
    first, second = np.triu_indices(50, 1)
    same = same_person(labels, labels)[first, second]
    scores = scores_of(features, features)[first, second]
    found = tar_at_far(features, labels, FARS)
    expected = oracle(scores, same, [Fraction(str(far)) for far in FARS])
    assert [*zip(found.threshold[:3], found.false_accepts[:3], found.true_accepts[:3], strict=True)] == expected[:3]
    assert (found.genuine_pairs, found.impostor_pairs) == (same.sum(), (~same).sum())
    assert found.far.tolist() == list(FARS)
    assert found.tar[:3].tolist() == [accepts / same.sum() for accepts in found.true_accepts[:3]]
    assert found.achieved_far[:3].tolist() == [accepts / (~same).sum() for accepts in found.false_accepts[:3]]
    assert np.isnan([found.tar[3], found.threshold[3], found.achieved_far[3]]).all()
    assert (found.true_accepts[3], found.false_accepts[3], found.interval) == (None, None, None)
    assert capfd.readouterr() == ("", "")


def test_it_equals_scikit_learn_where_nothing_ties():
    generator = np.random.default_rng(22)
    labels = generator.integers(0, 20, 200)
    features = generator.normal(size=(200, 32)) + generator.normal(size=(20, 32))[labels]
    found = tar_at_far(features, labels, FARS[:3])
    first, second = np.triu_indices(200, 1)
    rates, tars, _ = roc_curve(
        labels[first] == labels[second],
        scores_of(*[features.astype(np.float32)] * 2)[first, second],
        drop_intermediate=False,
    )
    assert found.tar.tolist() == [tars[np.searchsorted(rates, far, "right") - 1] for far in FARS[:3]]


def test_ties_fall_on_the_safe_side():
    features = np.repeat(np.eye(2, dtype=np.float32), [3, 3], axis=0)  # all scores are 0 or 1
    found = tar_at_far(features, [0, 0, 1, 2, 2, 1], [0.3, 0.5])  # of 12 impostor pairs 4 tie at 1, 8 at 0
    assert (found.false_accepts, found.true_accepts) == ((0, 4), (0, 2))
    assert found.threshold.tolist() == [np.nextafter(1, 2), np.nextafter(0, 1)]


def test_a_float_is_the_number_that_is_written():
    features, labels = make_rows(23, 40, 8, "random")
    forms = [0.29, "0.29", np.float64(0.29), np.float32(0.29), Fraction(29, 100)]
    assert {tar_at_far(features, labels, [far]).points[0].far for far in forms} == {Fraction(29, 100)}
    assert tar_at_far(features, labels, 0.29) == tar_at_far(features, labels, "0.29")
    assert tar_at_far(features, labels, "0.29,1e-2").far.tolist() == [0.29, 0.01]


def test_any_labels_and_any_length_of_the_rows():
    features, labels = make_rows(24, 60, 8, "random")
    whole = tar_at_far(features, labels, FARS, replicates=20)
    texts = np.array(["" if label < 0 else f"person {label}" for label in labels])
    forms = np.array([text.replace("person", "Zo\u00eb" if row % 2 else "Zoe\u0308") for row, text in enumerate(texts)])
    for same in (
        labels.astype(np.int8),
        texts,
        texts.astype(object),
        forms,
        np.where(labels < 0, labels, labels - 2**40),
    ):
        found = tar_at_far(features, same, FARS)
        assert (found.true_accepts, found.false_accepts) == (whole.true_accepts, whole.false_accepts)
    scaled = tar_at_far((features * 2.0 ** np.arange(-30, 30)[:, None]).tolist(), labels.tolist(), FARS)
    assert scaled.threshold[:3].tolist() == whole.threshold[:3].tolist()
    without = tar_at_far(features, labels, FARS, distractor_pairs=False)
    strangers = int((labels < 0).sum())
    assert whole.impostor_pairs - without.impostor_pairs == strangers * (strangers - 1) // 2


def test_intervals_are_those_of_the_command():
    features, labels = make_rows(25, 120, 8, "random")
    found = tar_at_far(features, labels, FARS, replicates=40, seed=3)
    grid = Grid(FeatureSet(features, labels, "f"), None)
    points = score_pairs(grid, parse_fars("0.31,0.1,1e-2,1e-6"), replicates=40, seed=3).result.points
    assert list(found.points) == points
    assert found.interval is not None
    assert [*zip(*found.interval, strict=True)][:3] == [tuple(point.interval) for point in points[:3]]
    assert np.isnan(found.interval.low[3])
    assert found.true_accepts == tar_at_far(features, labels, FARS).true_accepts


def test_it_is_a_table_for_people():
    found = tar_at_far(*make_rows(26, 30, 8, "random"), [0.1, 1e-6])
    assert isinstance(found, TarAtFar)
    text = str(found)
    assert f"{found.tar[0]:.6f}" in text
    assert "1e-06  not resolvable: needs at least 1000000 impostor pairs" in text


ROWS = np.random.default_rng(27).normal(size=(6, 4))


@pytest.mark.parametrize(
    ("features", "labels", "far", "message"),
    [
        (ROWS, [0, 0, 1], 0.1, "3 labels for 6 feature rows"),
        (ROWS[0], [0], 0.1, r"features are float64 of shape \(4,\)"),
        (ROWS.astype(complex), [0] * 6, 0.1, "features are complex128"),
        (np.full_like(ROWS, np.nan), [0, 0, 1, 1, 2, 2], 0.1, "row 0 is not finite"),
        (ROWS * 1e200, [0, 0, 1, 1, 2, 2], 0.1, "row 0 is not finite"),
        (np.zeros_like(ROWS), [0, 0, 1, 1, 2, 2], 0.1, "row 0 is all zeros"),
        (ROWS, [0.5] * 6, 0.1, "labels are float64"),
        (ROWS, [[0]] * 6, 0.1, r"labels are int64 of shape \(6, 1\)"),
        (ROWS, range(6), 0.1, "no genuine pairs"),
        (ROWS, [0] * 6, 0.1, "no impostor pairs"),
        *((ROWS, [0, 0, 1, 1, 2, 2], far, "is not a number above 0 and below 1") for far in (0, 1, 2.0, np.nan, -0.1)),
        (ROWS, [0, 0, 1, 1, 2, 2], Fraction(3, 2), "FAR '3/2' is not a number above 0"),
    ],
)
def test_what_cannot_be_scored_is_told_in_a_line(features, labels, far, message):
    with pytest.raises(UserError, match=message):
        tar_at_far(features, labels, far)
