"""All that an evaluation shows, against plain sorting and counting; small sets whole, large ones by tail and sample."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from lwface.scoring import label_errors, tar_far
from lwface.scoring.exact import impostors, sampling
from lwface.scoring.exact.comparisons import PairList
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.intervals import Bootstrap
from lwface.scoring.parameters import parse_fars
from lwface.scoring.tar_far import score_pairs
from tests.scoring_oracle import make_rows, same_person, scores_of

FARS = parse_fars("0.2,1e-2,1e-3")


@pytest.fixture(scope="module", params=["random", "tied"])
def rows(request):
    """Features, labels, and every pair's rows, score and kind."""
    features, labels = make_rows(4, 90, 16, request.param)
    labels = np.where(np.arange(90) < 80, np.arange(90) % 16, labels)
    first, second = np.triu_indices(90, 1)
    scores = scores_of(features, features)[first, second]
    return features, labels, first, second, scores, same_person(labels, labels)[first, second]


def measured(features, labels, **options):
    options = {"replicates": 40, **options}
    return score_pairs(Grid(FeatureSet(features, labels, "f"), None), FARS, **options).result


def small_memory(monkeypatch):
    """A set of some thousand pairs is then treated as one of billions."""
    for name, value in (("KEPT_IF_ALL", 0), ("KEPT_SHARE", 8), ("ENOUGH", 256)):
        monkeypatch.setattr(impostors, name, value)
    monkeypatch.setattr(tar_far, "TAIL", 200)
    monkeypatch.setattr(sampling, "SAMPLE", 2**14)


def test_the_curve_counts_all_pairs(rows):
    features, labels, _, _, scores, same = rows
    roc = measured(features, labels).roc
    assert roc.exact.all()
    for far, tar, threshold in zip(roc.far, roc.tar, roc.threshold, strict=True):
        assert far == (scores[~same] >= threshold).mean()
        assert tar == (scores[same] >= threshold).mean()
    assert (np.diff(roc.far) > 0).all()
    assert roc.far[-1] == 1
    # no steeper than asked: between two neighbours lies no more than a tenth of a decade, but where pairs tie
    gaps = np.diff(np.log10(roc.far))
    distinct = len(np.unique(scores[~same])) > 1000
    assert not distinct or gaps[10:].max() < 0.11
    assert not distinct or roc.far[0] == 1 / (~same).sum()


def test_a_large_set_is_exact_in_the_tail_and_drawn_beyond(rows, monkeypatch):
    features, labels, _, _, scores, same = rows
    whole = measured(features, labels)
    small_memory(monkeypatch)
    found = measured(features, labels)
    assert [p.threshold for p in found.points] == [p.threshold for p in whole.points]
    assert [p.true_accepts for p in found.points] == [p.true_accepts for p in whole.points]
    roc = found.roc
    assert roc.exact[0]
    assert not roc.exact[-2]
    for far, tar, threshold, exact in zip(*roc[:4], strict=True):
        counted = (scores[~same] >= threshold).mean()
        assert far == counted if exact else abs(far - counted) < 5 * np.sqrt(counted * (1 - counted) / 4000) + 1e-9
        assert tar == (scores[same] >= threshold).mean()
    assert found.impostors.sampled
    assert not whole.impostors.sampled
    assert 2000 < found.impostors.counts.sum() <= 4005 - (same).sum()  # nearly all, as there are fewer than are drawn
    assert found.hardest_impostors == whole.hardest_impostors
    for one, other in zip(found.points, whole.points, strict=True):
        assert one.interval == pytest.approx(other.interval, abs=0.04)


def test_hardest_pairs(rows):
    features, labels, first, second, scores, same = rows
    found = measured(features, labels)
    for pairs, kind, sign in ((found.hardest_impostors, ~same, -1), (found.hardest_genuine, same, 1)):
        order = np.lexsort((second[kind], first[kind], sign * scores[kind]))[:12]
        wanted = [(first[kind][o], second[kind][o], scores[kind][o]) for o in order]
        assert [tuple(pair) for pair in pairs] == wanted


def test_more_suspects_than_can_be_kept_are_not_called_all(monkeypatch):
    generator = np.random.default_rng(6)
    features = generator.normal(size=(90, 64)).astype(np.float32)
    features[30:60] = features[:30] + 0.1 * generator.normal(size=(30, 64))  # two rows of each of 30 people
    labels = np.append(np.tile(np.arange(30), 2), np.full(30, -1))
    features[60:] = features[60]  # one person under 30 labels: 435 pairs
    monkeypatch.setattr(label_errors, "BODY", (0.5, 0.2))  # the set is small for so many
    assert measured(features, labels).suspects.impostor_count == 435
    small_memory(monkeypatch)
    found = measured(features, labels, capacity=100).suspects
    assert found.more_impostors
    assert found.impostor_count < 435
    assert not measured(*make_rows(4, 90, 16, "random")).suspects.more_impostors


def test_so_many_ties_that_none_can_be_told_from_the_other(monkeypatch):
    small_memory(monkeypatch)
    found = measured(np.ones((90, 4), dtype=np.float32), np.arange(90) // 2, capacity=50)
    assert [pair.score for pair in found.hardest_impostors] == [1.0] * 12
    assert (found.suspects.impostor_limit, found.suspects.more_impostors) == (None, False)
    assert found.error_rates.equal.rate == found.error_rates.accuracy.rate == 0.5
    assert [(point.threshold, point.false_accepts) for point in found.points] == [(np.nextafter(1, 2), 0)] * 3


def test_histograms_hold_every_pair(rows):
    features, labels, _, _, scores, same = rows
    found = measured(features, labels)
    for histogram, kind in ((found.genuine, same), (found.impostors, ~same)):
        assert histogram.counts.sum() == kind.sum()
        assert (histogram.counts == np.histogram(np.clip(scores[kind], -1, 1 - 1e-9), histogram.edges)[0]).all()


def test_the_order_of_rows_and_the_protocol_that_names_the_pairs_change_nothing(rows):
    features, labels, first, second, _, _ = rows
    whole = measured(features, labels)
    order = np.random.default_rng(5).permutation(90)
    shuffled = measured(features[order], labels[order])
    without = [[replace(point, interval=None) for point in found.points] for found in (shuffled, whole)]
    assert without[0] == without[1]  # a distractor is known by its row, so the bootstrap draws others
    assert (shuffled.roc.tar == whole.roc.tar).all()
    swapped = PairList(FeatureSet(features, labels, "f"), second, first, None)
    listed = score_pairs(swapped, FARS, replicates=40).result
    assert listed.points == whole.points
    assert (listed.roc.tar == whole.roc.tar).all()
    assert (listed.roc.low == whole.roc.low)[~np.isnan(whole.roc.low)].all()


def test_intervals_equal_a_bootstrap_by_hand(rows):
    features, labels, first, second, scores, same = rows
    grid = Grid(FeatureSet(features, labels, "f"), None)
    found = score_pairs(grid, FARS, replicates=12, seed=3)
    persons = grid.people()
    bootstrap = Bootstrap(grid.everyone(), replicates=12, seed=3)
    weights = bootstrap.weights(bootstrap.codes(persons), slice(0, 12)).astype(int)  # (rows, B)
    left, right = weights[first], weights[second]
    for replicate in range(12):
        impostor = (left * right)[~same, replicate]
        genuine = left[same, replicate]
        for far, tars in zip(FARS, found.tars, strict=True):
            allowed = far * int(impostor.sum())
            candidates = np.sort(np.append(np.nextafter(scores[~same], 2), -2))
            fits = [t for t in candidates if Fraction(int(impostor[scores[~same] >= t].sum())) <= allowed]
            expected = genuine[scores[same] >= min(fits)].sum() / genuine.sum()
            assert tars[replicate] == pytest.approx(expected, abs=1e-12)


def test_no_replicates_no_intervals(rows):
    found = measured(*rows[:2], replicates=0)
    assert [point.interval for point in found.points] == [None] * 3
    assert found.roc.low is None
