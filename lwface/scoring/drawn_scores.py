"""What pairs of strangers, and of one person, score: of pairs drawn at random, for thresholds of a model's own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DRAWN = 1_000_000  # pairs that tell what strangers score
DISTRACTOR = -1  # the label of a row of nobody in particular
Features = NDArray[np.float32]
Rows = NDArray[np.int64]


def draw_scores(features: Features, labels: Rows, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of pairs of strangers, highest first, and of pairs of one person, in any order; drawn by ``seed``."""
    dice = np.random.default_rng(seed)
    rows = len(features)
    pairs = min(DRAWN, rows * rows)  # of few rows some twice, which moves no quantile
    strangers: list[NDArray[np.float64]] = []
    genuine: list[NDArray[np.float64]] = []
    order = np.argsort(labels, kind="stable")
    following = labels[order]
    for _ in range(-(-pairs // 2**16)):
        left, right = dice.integers(rows, size=(2, min(2**16, pairs)))
        apart = (left != right) & ((labels[left] != labels[right]) | (labels[left] == DISTRACTOR))
        strangers.append(pair_scores(features, left[apart], right[apart]))
        if sum(len(scores) for scores in genuine) < pairs // 10:
            place = dice.integers(rows, size=2**13)
            first = np.searchsorted(following, following[place])
            count = np.searchsorted(following, following[place], "right") - first
            mate = first + (dice.random(len(place)) * count).astype(np.int64)
            there = (following[place] != DISTRACTOR) & (mate != place)
            genuine.append(pair_scores(features, order[place[there]], order[mate[there]]))
    return -np.sort(-np.concatenate(strangers)), np.concatenate(genuine)


def pair_scores(features: Features, left: Rows, right: Rows) -> NDArray[np.float64]:
    """Cosines (K,) of the rows ``left`` and ``right`` (K,) of unit ``features`` (N, D)."""
    return np.einsum("nd,nd->n", np.asarray(features[left]), np.asarray(features[right])).astype(np.float64)
