"""Equal error rate and best accuracy against naive loops in fractions, and against the usual interpolation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import balanced_accuracy_score, roc_curve

from lwface.scoring import error_rates, tar_far
from lwface.scoring.error_rate_search import search_error_rates
from lwface.scoring.error_rates import GenuineScores, Staircase
from lwface.scoring.exact import impostors
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.exact.sharding import Workers
from lwface.scoring.intervals import Interval
from lwface.scoring.operating_points import sweep_genuine
from lwface.scoring.parameters import parse_fars
from lwface.scoring.tar_far import score_pairs
from tests.scoring_oracle import scores_of


def drawn(seed, shift=1.0, step=0.0, sizes=(40, 300)):
    """Genuine and impostor scores; with ``step`` rounded to its multiples, so that they tie."""
    generator = np.random.default_rng(seed)
    genuine, impostors = generator.normal(shift, 1, sizes[0]), generator.normal(0, 1, sizes[1])
    return (np.round(scores / step) * step if step else scores for scores in (genuine, impostors))


def points_by_hand(genuine, impostors):
    """(threshold, FAR, FRR) at every distinct score, and above all of them; in fractions, strictest first."""
    highest = max(genuine.max(), impostors.max())
    found = [(np.nextafter(highest, np.inf), Fraction(0), Fraction(1))]
    for score in sorted({*genuine.tolist(), *impostors.tolist()}, reverse=True):
        far = Fraction(sum(other >= score for other in impostors.tolist()), len(impostors))
        frr = Fraction(sum(other < score for other in genuine.tolist()), len(genuine))
        found.append((score, far, frr))
    return found


CASES = [(seed, shift, step) for seed in range(6) for shift in (-0.5, 1.0, 6.0) for step in (0.0, 0.25, 2.0)]


@pytest.mark.parametrize(("seed", "shift", "step"), CASES)
def test_both_figures_are_those_of_the_definition(seed, shift, step):
    genuine, impostors = drawn(seed, shift, step)
    points = points_by_hand(genuine, impostors)
    equal = Staircase.of(genuine, impostors).equal_error()
    after = next(place for place, (_, far, frr) in enumerate(points) if far > frr)
    (_, far, frr), (score, next_far, next_frr) = points[after - 1], points[after]
    crossing = (far * next_frr - next_far * frr) / (far - next_far - frr + next_frr)  # of two straight lines
    assert equal.rate == float(crossing)
    assert equal.threshold == np.nextafter(score, 9)
    assert (equal.far, equal.frr) == ((impostors >= equal.threshold).mean(), (genuine < equal.threshold).mean())
    assert equal.far <= equal.frr
    accuracy = Staircase.of(genuine, impostors).best_accuracy()
    best = max(1 - (far + frr) / 2 for _, far, frr in points)
    assert accuracy.rate == float(best)
    assert accuracy.threshold == max(score for score, far, frr in points if 1 - (far + frr) / 2 == best)
    truth = np.repeat([1, 0], [len(genuine), len(impostors)])
    accepted = np.concatenate([genuine, impostors]) >= accuracy.threshold
    assert accuracy.rate == pytest.approx(balanced_accuracy_score(truth, accepted), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_equal_error_rate_is_what_the_field_computes(seed):
    genuine, impostors = drawn(seed)
    truth = np.repeat([1, 0], [len(genuine), len(impostors)])
    far, tar, _ = roc_curve(truth, np.concatenate([genuine, impostors]), drop_intermediate=False)
    usual = brentq(lambda rate: 1 - rate - interp1d(far, tar)(rate), 0, 1, xtol=1e-14)
    assert Staircase.of(genuine, impostors).equal_error().rate == pytest.approx(usual, abs=1e-9)


def test_the_ends():
    apart = Staircase.of(np.array([0.5, 0.75]), np.array([0.0, 0.25]))
    assert (apart.equal_error().rate, apart.equal_error().threshold) == (0, np.nextafter(0.25, 1))
    assert (apart.best_accuracy().rate, apart.best_accuracy().threshold) == (1, 0.5)
    turned = Staircase.of(np.array([0.0, 0.25]), np.array([0.5, 0.75]))
    assert turned.equal_error().rate == 1
    assert (turned.best_accuracy().rate, turned.best_accuracy().far) == (0.5, 0)  # refuse everybody
    tied = Staircase.of(np.full(3, 0.5), np.full(7, 0.5))
    assert tied.equal_error().rate == 0.5
    assert (tied.best_accuracy().rate, tied.best_accuracy().threshold) == (0.5, np.nextafter(0.5, 1))


def test_trillions_of_pairs_do_not_overflow():
    points = Staircase(
        np.array([np.inf, 0.5, 0.25]),
        np.array([0, 4 * 10**7, 4 * 10**7 + 1]),
        np.array([0, 10, 2**40]),
        4 * 10**7 + 1,
        2**41,
    )
    assert points.equal_error().rate == pytest.approx(1 / (4 * 10**7 + 1), rel=1e-6)
    assert points.best_accuracy().rate == float(1 - Fraction(1, 2 * (4 * 10**7 + 1)) - Fraction(5, 2**41))


def rates(genuine, tail, sample, pairs):
    """What :func:`error_rates` finds of kept scores."""
    kept = GenuineScores.__new__(GenuineScores)
    kept.complete, kept._found = True, [genuine]
    return error_rates.error_rates(kept, tail, sample, pairs)


def test_the_highest_impostors_decide_where_they_can():
    genuine, impostors = drawn(1, 4.0, sizes=(200, 40000))
    ordered = np.sort(impostors)[::-1]
    whole = rates(genuine, ordered, np.empty(0), (200, 40000))
    assert whole.equal.exact
    assert whole.accuracy.exact
    sample = np.sort(np.random.default_rng(3).choice(impostors, 2**16))[::-1]
    for kept in (20000, 3000, 900, 5, 0):
        found = rates(genuine, ordered[:kept], sample, (200, 40000))
        for figure, exact in zip(found, whole, strict=True):
            if figure.exact:
                assert figure == exact
            assert figure.rate == pytest.approx(exact.rate, abs=0.005)
        assert found.equal.exact == (kept >= 3000)  # that many are above the threshold, and some more
        assert kept not in (20000, 5, 0) or found.accuracy.exact == (kept == 20000)


def rows_of(people, each, noise, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), each)
    features = generator.normal(size=(people, 16))[labels] + noise * generator.normal(size=(len(labels), 16))
    return FeatureSet(features.astype(np.float32), labels, "f")


@pytest.mark.parametrize("kind", ["random", "tied", "apart", "turned"])
@pytest.mark.parametrize("at_once", [1, 3, 512])
def test_passes_over_all_pairs_find_what_all_scores_tell(kind, at_once):
    generator = np.random.default_rng(5)
    labels = np.repeat(np.arange(12), 3)
    noise = {"random": 1.5, "tied": 1.5, "apart": 0.01, "turned": 0.0}[kind]
    features = generator.normal(size=(12, 4))[labels] + noise * generator.normal(size=(36, 4))
    if kind == "tied":
        features = np.round(features)
        features[(features == 0).all(axis=1), 0] = 1
    if kind == "turned":  # one person looks the other way each time, strangers are alike
        features = np.array([[1.0, 0], [-1, 0.1], [0, 1]])[np.arange(36) % 3]
    rows = FeatureSet(features.astype(np.float32), labels, "f")
    first, second = np.triu_indices(36, 1)
    scores = scores_of(rows.features, rows.features)[first, second]
    same = labels[first] == labels[second]
    whole = Staircase.of(scores[same], scores[~same])
    found = search_error_rates(Grid(rows, None, block_size=5), scores[same], Workers(silent=True), at_once)
    assert found.equal == whole.equal_error()
    assert found.accuracy == whole.best_accuracy()


def test_a_large_set_is_exact_when_asked_for(monkeypatch, tmp_path):
    rows = rows_of(30, 20, 1.0)
    whole = score_pairs(Grid(rows, None), parse_fars("0.1"), replicates=0).result.error_rates
    monkeypatch.setattr(impostors, "KEPT_IF_ALL", 0)
    monkeypatch.setattr(tar_far, "CURVE_TAIL", 100)
    monkeypatch.setattr(error_rates, "KEPT_GENUINE", 10)
    drawn_only = score_pairs(Grid(rows, None), parse_fars("0.1"), replicates=0).result.error_rates
    assert not drawn_only.equal.exact
    kept = Workers(tmp_path, save_every=0, silent=True)  # every sweep has files of its own
    asked = score_pairs(Grid(rows, None), parse_fars("0.1"), replicates=0, exact_error_rates=True, workers=kept)
    assert asked.result.error_rates == whole


def test_drawn_genuine_scores_are_the_same_in_any_order_of_work():
    found = []
    for block_size in (512, 7):
        grid = Grid(rows_of(30, 20, 1.0), None, block_size=block_size)
        kept = GenuineScores(grid, limit=1000)
        assert not kept.complete
        sweep_genuine(grid, [kept], Workers(silent=True), exact=True)
        found.append(np.sort(kept.scores))
    np.testing.assert_array_equal(*found)
    assert 850 < len(found[0]) < 1150


def test_the_interval_holds_the_figure_and_narrows_with_people():
    widths = []
    for people in (12, 120):
        found = score_pairs(Grid(rows_of(people, 4, 1.3), None), parse_fars("0.1"), replicates=200).result.error_rates
        for figure in found:
            assert figure.exact
            assert figure.interval.low < figure.rate < figure.interval.high
        widths.append(found.equal.interval.high - found.equal.interval.low)
    assert widths[1] < 0.6 * widths[0]


def test_no_error_at_all_still_has_an_interval():
    found = score_pairs(Grid(rows_of(20, 3, 1e-3), None), parse_fars("0.1"), replicates=100).result.error_rates
    rare = 0.025 ** (1 / 20)
    assert (found.equal.rate, found.equal.interval) == (0, Interval(0, 1 - rare))
    assert (found.accuracy.rate, found.accuracy.interval) == (1, Interval((1 + rare) / 2, 1))
    few = score_pairs(Grid(rows_of(5, 3, 1.0), None), parse_fars("0.1"), replicates=100).result.error_rates
    assert few.equal.interval is None
    none = score_pairs(Grid(rows_of(20, 3, 1.0), None), parse_fars("0.1"), replicates=0).result.error_rates
    assert none.accuracy.interval is None
