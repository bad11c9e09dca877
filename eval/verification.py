"""Accuracy on a pack of face pairs, as the LFW protocol with ten folds has it and as the challenge's trainer prints it.

Two images are called the same person when the squared L2 distance of their normalised features is *below* a threshold.
The thresholds are 0, 0.01, ... 3.99. For each fold the threshold is the one most accurate on the other nine (the
smallest of equals), and what counts is its accuracy on the fold itself; reported are the mean and the population
standard deviation of the ten. Folds are consecutive pairs, the first ``P % folds`` of them one pair longer.

Source: Huang et al., "Labeled Faces in the Wild", 2007, section "Protocol"; grid and arithmetic (float64 from float32
network outputs) as in the reference trainer of ArcFace on MXNet, whose numbers these equal to the last digit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from common.errors import UserError

FOLDS = 10
THRESHOLDS: NDArray[np.float64] = np.arange(0, 4, 0.01)  # on squared L2 distance, which is 2 - 2 cos


class VerificationResult(NamedTuple):
    """What :func:`evaluate` found."""

    accuracy: float  # mean over the folds
    std: float  # population standard deviation over the folds
    fold_accuracies: NDArray[np.float64]  # (folds,)
    fold_thresholds: NDArray[np.float64]  # (folds,), squared L2 distance


class VerificationScore(NamedTuple):
    """What :func:`verify` found: the figures the trainer prints for a pack."""

    accuracy: float
    std: float
    xnorm: float  # mean L2 norm of the un-normalised features, plain and mirrored


def normalise_rows(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """``features`` (N, D) with each row divided by its L2 norm; a row of zeros stays zero."""
    norms = np.sqrt(np.einsum("nd,nd->n", features, features))
    norms[norms == 0] = 1
    return features / norms[:, np.newaxis]


def evaluate(embeddings: ArrayLike, issame: ArrayLike, folds: int = FOLDS) -> VerificationResult:
    """Ten-fold accuracy of L2-normalised ``embeddings``.

    Args:
        embeddings: (2P, D), L2-normalised; rows ``2i`` and ``2i+1`` are pair ``i``. Computed with in float64.
        issame: (P,), true where the pair shows one person.
        folds: parts the pairs are cut into, in order.

    Raises:
        UserError: the two do not fit, there are fewer pairs than folds, or a value is not finite.
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    same = np.asarray(issame, dtype=bool)
    _check(rows, same, folds)
    distances = np.sum(np.square(np.subtract(rows[0::2], rows[1::2])), 1)  # (P,)

    # A pair is accepted by every threshold from this index on, because the comparison is strict.
    first_accepting = np.searchsorted(THRESHOLDS, distances, side="right")  # (P,), len(THRESHOLDS): by none
    fold_sizes = np.full(folds, len(same) // folds)
    fold_sizes[: len(same) % folds] += 1
    fold_of_pair = np.repeat(np.arange(folds), fold_sizes)  # (P,)

    correct = np.zeros((folds, len(THRESHOLDS) + 1), dtype=np.int64)  # right answers a fold, a threshold
    np.add.at(correct, (fold_of_pair, first_accepting), np.where(same, 1, -1))
    correct = np.cumsum(correct, axis=1)[:, :-1] + np.bincount(fold_of_pair[~same], minlength=folds)[:, np.newaxis]

    best = np.argmax(correct.sum(axis=0) - correct, axis=1)  # (folds,): the first maximum on the other folds
    accuracies = correct[np.arange(folds), best] / fold_sizes
    return VerificationResult(float(np.mean(accuracies)), float(np.std(accuracies)), accuracies, THRESHOLDS[best])


def verify(plain: ArrayLike, mirrored: ArrayLike, issame: ArrayLike, folds: int = FOLDS) -> VerificationScore:
    """Accuracy, its deviation and XNorm of a pack, from what the network gives for its images and their mirror images.

    Args:
        plain: (2P, D) network outputs, not normalised; rows ``2i`` and ``2i+1`` are pair ``i``.
        mirrored: (2P, D) the same for the mirrored images.
        issame: (P,), true where the pair shows one person.
        folds: as for :func:`evaluate`.

    Raises:
        UserError: as :func:`evaluate`.
    """
    outputs = [np.asarray(array, dtype=np.float64) for array in (plain, mirrored)]
    if outputs[0].shape != outputs[1].shape:
        raise UserError(f"features of plain {outputs[0].shape} and mirrored {outputs[1].shape} images differ in shape")
    result = evaluate(normalise_rows(outputs[0] + outputs[1]), issame, folds)
    total = 0.0  # added one by one: a pairwise or compensated sum would differ from the reference in the last digits
    for array in outputs:
        for row in array:
            total += float(np.linalg.norm(row))
    return VerificationScore(result.accuracy, result.std, total / (2 * len(outputs[0])))


def _check(rows: NDArray[np.float64], same: NDArray[np.bool_], folds: int) -> None:
    if rows.ndim != 2 or same.ndim != 1 or len(rows) != 2 * len(same):
        raise UserError(f"verification: {same.shape} pairs need (2 x pairs, width) features, got {rows.shape}")
    if folds < 2 or len(same) < folds:
        raise UserError(
            f"verification: {len(same)} pairs cannot be cut into {folds} folds, give at least 2 and a pair each"
        )
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise UserError(
            f"verification: feature {int(np.argmin(finite))} is not finite ({int((~finite).sum())} such rows)"
        )
