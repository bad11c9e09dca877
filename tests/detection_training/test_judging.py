"""Precision and recall over pictures, against a loop that matches one detection after the other."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from lwface.detection.base import overlap
from lwface.detection_training.judging import MATCH, FoundRanking, ranking


def picture(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, scores, true boxes, and which of these are clear."""
    corner = generator.uniform(0, 60, (int(generator.integers(0, 5)), 2))
    true = np.concatenate((corner, corner + generator.uniform(10, 30, corner.shape)), axis=1)
    near = true[generator.integers(0, len(true), 6)] if len(true) else np.zeros((0, 4))
    boxes = np.concatenate((near + generator.normal(0, 2.5, near.shape), np.array(((80.0, 80, 95, 95),))))
    return boxes, generator.random(len(boxes)), true, generator.random(len(true)) < 0.7


def test_matching_is_that_of_a_loop() -> None:
    generator = np.random.default_rng(5)
    pictures = [picture(generator) for _ in range(60)]
    found = ranking([(b, s) for b, s, _, _ in pictures], [(t, c) for _, _, t, c in pictures])
    rows = []
    for boxes, scores, true, clear in pictures:
        taken: set[int] = set()
        for number in sorted(range(len(boxes)), key=lambda i: -scores[i]):
            shares = overlap(boxes[number][None], true)[0]
            free = [i for i in range(len(true)) if clear[i] and i not in taken and shares[i] >= MATCH]
            if free:
                taken.add(max(free, key=lambda i: shares[i]))
                rows.append((scores[number], True))
            elif not any(shares[i] >= MATCH and not clear[i] for i in range(len(true))):
                rows.append((scores[number], False))
    rows.sort(key=lambda row: -row[0])
    np.testing.assert_array_equal(found.scores, [score for score, _ in rows])
    np.testing.assert_array_equal(found.right, [right for _, right in rows])
    assert found.faces == sum(int(clear.sum()) for *_, clear in pictures)
    assert 0 < found.right.mean() < 1


def test_recall_at_a_precision() -> None:
    right = np.array([True, True, False, True, True, False, False])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.6, 0.5, 0.4])
    found = FoundRanking(scores, right, 5)
    assert found.recall_at(0.8) == (0.8, 0.6)  # 4 of 5 right
    assert found.recall_at(1.0) == (0.4, 0.8)
    assert found.recall_at(0.0) == (0.8, 0.4)
    assert FoundRanking(scores, ~right, 5).recall_at(0.9) == (0.0, 1.0)
    assert FoundRanking(scores[:0], right[:0], 5).recall_at(0.9) == (0.0, 1.0)
    tied = FoundRanking(np.full(7, 0.5), right, 5)  # they come together, or not at all
    assert tied.recall_at(0.9) == (0.0, 1.0)


def test_average_precision() -> None:
    """scikit-learn's does not lift precision to the best at more recall; where it never rises the two are equal."""
    right, scores = np.array([1, 1, 1, 0, 0, 0], bool), np.linspace(0.9, 0.2, 6)
    assert FoundRanking(scores, right, 3).average_precision() == average_precision_score(right, scores) == 1
    late = FoundRanking(scores, np.array([1, 0, 1, 0, 0, 0], bool), 4)
    assert late.average_precision() == pytest.approx((1 + 2 / 3) / 4)


def test_the_balance_of_precision_and_recall() -> None:
    right = np.array([True, True, False, True, True, False, False])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.6, 0.5, 0.4])
    mean, score = FoundRanking(scores, right, 5).balanced()
    assert mean == pytest.approx(2 * 0.8 * 0.8 / 1.6)
    assert score == 0.6
    assert FoundRanking(scores, ~right & False, 5).balanced() == (0.0, 1.0)
    assert FoundRanking(scores[:0], right[:0], 5).balanced() == (0.0, 1.0)
