"""Accuracy and validation rate against naive loops with scikit-learn's folds and SciPy's interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from sklearn.model_selection import KFold
from sklearn.preprocessing import normalize

from lwface.base.errors import UserError
from lwface.scoring.pack_accuracy import FINE_THRESHOLDS, _threshold_at, evaluate, validation_rate, verify


def naive_evaluate(embeddings, issame, folds=10):
    """Every fold, threshold and pair in turn."""
    first, second = embeddings[0::2], embeddings[1::2]
    distances = np.sum(np.square(np.subtract(first, second)), 1)
    thresholds = np.arange(0, 4, 0.01)
    accuracies, chosen = [], []
    for train, test in KFold(n_splits=folds, shuffle=False).split(np.arange(len(issame))):
        best, best_accuracy = None, -1.0
        for threshold in thresholds:
            accuracy = np.sum((distances[train] < threshold) == issame[train]) / len(train)
            if accuracy > best_accuracy:  # strictly: the first of equals stays
                best, best_accuracy = threshold, accuracy
        accuracies.append(np.sum((distances[test] < best) == issame[test]) / len(test))
        chosen.append(best)
    return np.mean(accuracies), np.std(accuracies), accuracies, chosen


def naive_validation_rate(embeddings, issame, far, folds=10):
    """Every fold and threshold in turn. SciPy refuses repeated rates, so it is given the two that count."""
    distances = np.sum(np.square(np.subtract(embeddings[0::2], embeddings[1::2])), 1)
    thresholds = np.arange(0, 4, 0.001)
    rates, false_rates = [], []
    for train, test in KFold(n_splits=folds, shuffle=False).split(np.arange(len(issame))):
        impostors = distances[train][~issame[train]]
        far_train = np.array([np.sum(impostors < threshold) / len(impostors) for threshold in thresholds])
        threshold = 0.0
        if far_train.max() >= far:
            last, first = np.flatnonzero(far_train <= far)[-1], np.flatnonzero(far_train > far)[0]
            threshold = float(interp1d(far_train[[last, first]], thresholds[[last, first]], kind="slinear")(far))
        accepted = distances[test] < threshold
        rates.append(np.sum(accepted & issame[test]) / np.sum(issame[test]))
        false_rates.append(np.sum(accepted & ~issame[test]) / np.sum(~issame[test]))
    return np.mean(rates), np.std(rates), np.mean(false_rates)


def naive_verify(plain, mirrored, issame):
    plain, mirrored = plain.astype(np.float64), mirrored.astype(np.float64)
    total, count = 0.0, 0
    for array in (plain, mirrored):
        for row in array:
            total += np.linalg.norm(row)
            count += 1
    accuracy, std, _, _ = naive_evaluate(normalize(plain + mirrored), issame)
    return accuracy, std, total / count


def make_pack(seed, pairs, width, noise, dtype=np.float32):
    generator = np.random.default_rng(seed)
    same = generator.random(pairs) < 0.5
    first = generator.normal(size=(pairs, width))
    second = np.where(
        same[:, None], first + noise * generator.normal(size=(pairs, width)), generator.normal(size=(pairs, width))
    )
    rows = np.stack([first, second], axis=1).reshape(2 * pairs, width) * generator.uniform(5, 20, size=(2 * pairs, 1))
    return rows.astype(dtype), same


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(10, 67), st.integers(1, 40), st.sampled_from([0.0, 0.3, 1.0, 3.0]))
def test_equals_the_naive_loop_bit_for_bit(seed, pairs, width, noise):
    rows, same = make_pack(seed, pairs, width, noise)
    embeddings = normalize(rows.astype(np.float64))
    result = evaluate(embeddings, same)
    accuracy, std, accuracies, thresholds = naive_evaluate(embeddings, same)
    assert (result.accuracy, result.std) == (accuracy, std)
    assert result.fold_accuracies.tolist() == accuracies
    assert result.fold_thresholds.tolist() == thresholds


@pytest.mark.parametrize("width", [1, 7, 128, 512])
def test_verify_equals_the_naive_loop_bit_for_bit(width):
    rows, same = make_pack(1, 203, width, 1.2)
    generator = np.random.default_rng(2)
    mirrored = (rows + generator.normal(size=rows.shape)).astype(np.float32)
    assert tuple(verify(rows, mirrored, same)) == naive_verify(rows, mirrored, same)


def test_the_sum_of_image_and_mirror_is_formed_in_float64():
    """In float32 the mirror's small feature would vanish beside the plain image's large one."""
    rows, same = make_pack(3, 60, 8, 0.8)
    large = (rows * np.float32(2.0**30)).astype(np.float32)
    assert tuple(verify(large, rows, same)) == naive_verify(large, rows, same)


def test_the_comparison_is_strict():
    # The distance of each pair is exactly 0, so that threshold 0 accepts nothing and 0.01 everything.
    embeddings = np.tile([[1.0, 0.0]], (40, 1))
    result = evaluate(embeddings, np.ones(20, dtype=bool))
    assert result.accuracy == 1.0
    assert set(result.fold_thresholds) == {0.01}
    result = evaluate(embeddings, np.zeros(20, dtype=bool))
    assert result.accuracy == 1.0
    assert set(result.fold_thresholds) == {0.0}


def test_a_row_of_zeros_stays_zero():
    rows, same = make_pack(4, 30, 6, 0.5)
    rows[5] = 0
    assert tuple(verify(rows, rows, same)) == naive_verify(rows, rows, same)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(60, 150),
    st.sampled_from([1, 2, 40]),
    st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    st.sampled_from([1e-3, 0.02, 0.1, 0.5]),
)
def test_the_validation_rate_equals_the_naive_loop_bit_for_bit(seed, pairs, width, noise, far):
    rows, same = make_pack(seed, pairs, width, noise)
    same[: 2 * (pairs // 2)] = np.arange(2 * (pairs // 2)) % 2 == 0  # both kinds in every fold
    embeddings = normalize(rows.astype(np.float64))
    assert tuple(validation_rate(embeddings, same, far)) == naive_validation_rate(embeddings, same, far)


def test_the_line_of_the_validation_rate():
    """Rates made by hand: of equal ones the last on the left and the first on the right, and what SciPy 1.7 gave."""
    rates = np.full(len(FINE_THRESHOLDS), 1.0)
    rates[:9] = [0, 0, 0, 0.0005, 0.0005, 0.002, 0.002, 0.5, 1.0]
    thresholds = FINE_THRESHOLDS
    assert _threshold_at(0.001, rates) == pytest.approx(thresholds[4] + 0.001 / 3, abs=1e-15)
    assert _threshold_at(0.0005, rates) == thresholds[4]
    assert _threshold_at(0.002, rates) == thresholds[6]
    assert _threshold_at(1.0, rates) == 0.0
    assert _threshold_at(0.6, np.minimum(rates, 0.5)) == 0.0
    rising = np.linspace(0, 1, len(thresholds))
    assert _threshold_at(1.0, rising) == pytest.approx(thresholds[-1])


def test_a_fold_of_one_kind_has_no_validation_rate():
    rows, same = make_pack(5, 40, 6, 0.5)
    same[:] = np.arange(40) % 2 == 0
    same[8:12] = True
    with pytest.raises(UserError, match="fold 3 of 10 has no pair of two persons"):
        validation_rate(normalize(rows.astype(np.float64)), same)


@pytest.mark.parametrize(
    ("rows", "same", "message"),
    [
        (np.ones((20, 4)), np.ones(11, dtype=bool), r"\(11,\) pairs need .* got \(20, 4\)"),
        (np.ones((18, 4)), np.ones(9, dtype=bool), "9 pairs cannot be cut into 10 folds"),
        (
            np.where(np.arange(80).reshape(20, 4) == 49, np.nan, 1.0),
            np.ones(10, dtype=bool),
            "feature 12 is not finite",
        ),
        (np.ones(20), np.ones(10, dtype=bool), "got"),
    ],
)
def test_what_does_not_fit_is_refused(rows, same, message):
    with pytest.raises(UserError, match=message):
        evaluate(rows, same)


def test_plain_and_mirrored_of_different_shape_are_refused():
    with pytest.raises(UserError, match="differ in shape"):
        verify(np.ones((20, 4)), np.ones((20, 5)), np.ones(10, dtype=bool))
