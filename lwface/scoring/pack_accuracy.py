"""Accuracy on a pack of face pairs, as the LFW protocol with ten folds has it and as the challenge's trainer prints it.

Two images are called the same person when the squared L2 distance of their normalised features is *below* a threshold.
The thresholds are 0, 0.01, ... 3.99. For each fold the threshold is the one most accurate on the other nine (the
smallest of equals), and what counts is its accuracy on the fold itself; reported are the mean and the population
standard deviation of the ten. Folds are consecutive pairs, the first ``P % folds`` of them one pair longer. A pack
whose order shows fewer folds is cut into these: :mod:`lwface.scoring.drawn_folds`.

The validation rate at a FAR takes thresholds 0, 0.001, ... 3.999 instead: for each fold the one where the false accept
rate of the other nine meets the FAR, on a straight line between two thresholds; 0 where it stays below. Reported are
the mean true accept rate of the ten folds, its population standard deviation, and the mean false accept rate, which is
near the FAR asked for but not bounded by it (for a bound: ``eval/tar_far.py``).

What such an accuracy is worth: ``lwface/formats/pack_folds.py`` where pairs are of one kind,
``lwface/scoring/pack_remarks.py`` where features collapsed.

Source: Huang et al., "Labeled Faces in the Wild", 2007, section "Protocol"; Schroff et al., "FaceNet", 2015, section 4,
for the validation rate; grids and arithmetic (float64 from float32 network outputs) as in the reference trainer of
ArcFace on MXNet, whose numbers these equal to the last digit. (Its validation rate leaves the line to SciPy, and equals
these with SciPy 1.6 to 1.8: older ones put thresholds of equal rates in no particular order, newer ones refuse them.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lwface.base.errors import UserError
from lwface.formats.feature_file import NORM_TOLERANCE
from lwface.formats.pack_folds import fold_of_pair, one_kind, remedy
from lwface.scoring.drawn_folds import drawn_folds
from lwface.scoring.pack_remarks import remark
from lwface.scoring.parameters import FOLDS, VALIDATION_FAR

THRESHOLDS: NDArray[np.float64] = np.arange(0, 4, 0.01)  # on squared L2 distance, which is 2 - 2 cos
FINE_THRESHOLDS: NDArray[np.float64] = np.arange(0, 4, 0.001)  # for the validation rate


class VerificationResult(NamedTuple):
    """What :func:`evaluate` found."""

    accuracy: float  # mean over the folds
    std: float  # population standard deviation over the folds
    fold_accuracies: NDArray[np.float64]  # (folds,)
    fold_thresholds: NDArray[np.float64]  # (folds,), squared L2 distance


class ValidationRate(NamedTuple):
    """What :func:`validation_rate` found."""

    rate: float  # true accept rate, mean over the folds
    std: float  # population standard deviation over the folds
    far: float  # false accept rate that the thresholds had on the folds themselves, mean


class VerificationScore(NamedTuple):
    """What :func:`verify` found: the figures the trainer prints for a pack."""

    accuracy: float
    std: float
    xnorm: float  # mean L2 norm of the un-normalised features, plain and mirrored


class PackFigures(NamedTuple):
    """What :func:`pack_figures` found.

    Attributes:
        pairs, folds: how many.
        mirrored: whether the features of mirrored images were added.
        score: accuracy, deviation and XNorm.
        far: asked for, of the validation rate.
        validation: None where there is none.
        reason: why there is none.
        one_kind: why there is no accuracy, and ``score`` has NaN for it.
        remark: what is suspicious about the features or the accuracy.
    """

    pairs: int
    folds: int
    mirrored: bool
    score: VerificationScore
    far: float
    validation: ValidationRate | None
    reason: str = ""
    one_kind: str | None = None
    remark: str | None = None

    def table(self, name: str) -> str:
        """The figures of the pack ``name`` in the trainer's words."""
        accuracy, std, xnorm = self.score
        lines = [] if self.folds == FOLDS else [f"[{name}]Folds: {self.folds}"]
        if self.mirrored or abs(xnorm - 1) > NORM_TOLERANCE:  # of unit rows it says nothing
            lines.append(f"[{name}]XNorm: {xnorm:f}")
        figures = f"none, {self.one_kind}" if self.one_kind else f"{accuracy:1.5f}+-{std:1.5f}"
        lines.append(f"[{name}]Accuracy{'-Flip' if self.mirrored else ''}: {figures}")
        rate = f"none, {self.reason}"
        if self.validation is not None:
            rate = "{:2.5f}+-{:2.5f} @ FAR={:2.5f}".format(*self.validation)
        lines.append(f"[{name}]Validation rate: {rate}")
        return "\n".join([*lines, *([f"[{name}]Remark: {self.remark}"] if self.remark else [])])

    def as_json(self) -> dict[str, Any]:
        """The figures with all digits."""
        validation = self.validation and {"target_far": self.far, **self.validation._asdict()}
        score = self.score._asdict()
        if self.one_kind:
            score |= {"accuracy": None, "std": None}
        remarks = {"no_accuracy": self.one_kind, "remark": self.remark}
        return {"pairs": self.pairs, "folds": self.folds, **score, "validation": validation, **remarks}


def chance_difference(std: float, folds: float = FOLDS) -> float:
    """What the accuracies of two models on one pack differ by at least for the better one to be told.

    It is sqrt(5) = 2.2 standard errors of a difference of two means of ``folds`` folds that deviate by ``std`` each: of
    ten folds, their deviation itself. NaN where ``std`` is NaN.
    """
    return float(std * np.sqrt(FOLDS / folds))


def pack_figures(
    plain: NDArray[np.float32],
    same: NDArray[np.bool_],
    mirrored: NDArray[np.float32] | None = None,
    *,
    far: float = VALIDATION_FAR,
    folds: int | None = None,
) -> PackFigures:
    """Accuracy, XNorm and validation rate of a pack, with its mirrored images or without.

    Args:
        plain: (2P, D) features of its images; rows ``2i`` and ``2i+1`` are pair ``i``. They are normalised here.
        same: (P,), true where the pair shows one person.
        mirrored: (2P, D) of the mirrored images, to be added; then both as the network gives them.
        far: of the validation rate, above 0 and below 1.
        folds: parts the pairs are cut into, in order; None: by :func:`lwface.scoring.drawn_folds.drawn_folds`.

    Raises:
        UserError: as :func:`evaluate`. A pack without a validation rate still has its accuracy; one with a fold of one
            kind has neither.
    """
    folds = drawn_folds(same) if folds is None else folds
    if mirrored is not None:
        score = verify(plain, mirrored, same, folds)
        rows = normalise_rows(plain.astype(np.float64) + mirrored)
    else:
        rows = normalise_rows(plain.astype(np.float64))
        accuracy, std = evaluate(rows, same, folds)[:2]
        score = VerificationScore(accuracy, std, float(np.mean(np.linalg.norm(plain.astype(np.float64), axis=1))))
    outputs = [plain] if mirrored is None else [plain, mirrored]
    found = PackFigures(len(same), folds, mirrored is not None, score, far, None)
    if reason := one_kind(same, folds):
        return found._replace(
            score=VerificationScore(float("nan"), float("nan"), score.xnorm),
            reason=reason,
            one_kind=f"{reason}; {remedy(same, folds)}",
            remark=remark(outputs, rows, same, None),
        )
    found = found._replace(remark=remark(outputs, rows, same, score.accuracy))
    try:
        return found._replace(validation=validation_rate(rows, same, far, folds))
    except UserError as error:  # the accuracy stands without it
        return found._replace(reason=str(error))


def normalise_rows(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """``features`` (N, D) with each row divided by its L2 norm; a row of zeros stays zero.

    Raises:
        UserError: a number is not finite.
    """
    _check_finite(features)
    norms = np.sqrt(np.einsum("nd,nd->n", features, features))
    norms[norms == 0] = 1
    return features / norms[:, np.newaxis]


def evaluate(embeddings: ArrayLike, issame: ArrayLike, folds: int | None = None) -> VerificationResult:
    """Ten-fold accuracy of L2-normalised ``embeddings``.

    Args:
        embeddings: (2P, D), L2-normalised; rows ``2i`` and ``2i+1`` are pair ``i``. Computed with in float64.
        issame: (P,), true where the pair shows one person.
        folds: parts the pairs are cut into, in order; None: by :func:`lwface.scoring.drawn_folds.drawn_folds`.

    Raises:
        UserError: the two do not fit, there are fewer pairs than folds, or a value is not finite.
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    same = np.asarray(issame, dtype=bool)
    folds = drawn_folds(same) if folds is None else folds
    _check(rows, same, folds)
    distances = _distances(rows)
    folds_of_pairs = fold_of_pair(len(same), folds)
    fold_sizes = np.bincount(folds_of_pairs)
    false_accepts = _accepts(distances[~same], folds_of_pairs[~same], folds, THRESHOLDS)  # (folds, thresholds)
    true_accepts = _accepts(distances[same], folds_of_pairs[same], folds, THRESHOLDS)
    correct = true_accepts - false_accepts + np.bincount(folds_of_pairs[~same], minlength=folds)[:, np.newaxis]
    best = np.argmax(correct.sum(axis=0) - correct, axis=1)  # (folds,): the first maximum on the other folds
    accuracies = correct[np.arange(folds), best] / fold_sizes
    return VerificationResult(float(np.mean(accuracies)), float(np.std(accuracies)), accuracies, THRESHOLDS[best])


def validation_rate(
    embeddings: ArrayLike, issame: ArrayLike, far: float = VALIDATION_FAR, folds: int | None = None
) -> ValidationRate:
    """True accept rate of L2-normalised ``embeddings`` where the other folds' false accept rate is ``far``.

    Args:
        embeddings, issame, folds: as for :func:`evaluate`.
        far: above 0 and below 1.

    Raises:
        UserError: as :func:`evaluate`, or a fold has no pair of one person or none of two.
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    same = np.asarray(issame, dtype=bool)
    folds = drawn_folds(same) if folds is None else folds
    _check(rows, same, folds)
    distances = _distances(rows)
    folds_of_pairs = fold_of_pair(len(same), folds)
    genuine = np.bincount(folds_of_pairs[same], minlength=folds)
    impostors = np.bincount(folds_of_pairs[~same], minlength=folds)
    for counts, what in ((genuine, "one person"), (impostors, "two persons")):
        if not counts.all():
            raise UserError(f"verification: fold {int(np.argmin(counts)) + 1} of {folds} has no pair of {what}")
    false_accepts = _accepts(distances[~same], folds_of_pairs[~same], folds, FINE_THRESHOLDS)
    others = (false_accepts.sum(axis=0) - false_accepts) / (impostors.sum() - impostors)[:, np.newaxis]
    accepted = distances < np.array([_threshold_at(far, rates) for rates in others])[folds_of_pairs]
    true_rates = np.bincount(folds_of_pairs[same], accepted[same], folds) / genuine
    false_rates = np.bincount(folds_of_pairs[~same], accepted[~same], folds) / impostors
    return ValidationRate(float(np.mean(true_rates)), float(np.std(true_rates)), float(np.mean(false_rates)))


def verify(plain: ArrayLike, mirrored: ArrayLike, issame: ArrayLike, folds: int | None = None) -> VerificationScore:
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


def _distances(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared L2 distances (P,) of the pairs."""
    distances: NDArray[np.float64] = np.sum(np.square(np.subtract(rows[0::2], rows[1::2])), 1)
    return distances


def _accepts(
    distances: NDArray[np.float64], fold_of_pair: NDArray[np.int64], folds: int, thresholds: NDArray[np.float64]
) -> NDArray[np.int64]:
    """How many pairs of each fold are below each threshold, (folds, thresholds)."""
    # A pair is accepted by every threshold from this index on, because the comparison is strict.
    first_accepting = np.searchsorted(thresholds, distances, side="right")  # len(thresholds): by none
    counts = np.zeros((folds, len(thresholds) + 1), dtype=np.int64)
    np.add.at(counts, (fold_of_pair, first_accepting), 1)
    return np.cumsum(counts, axis=1)[:, :-1]


def _threshold_at(far: float, rates: NDArray[np.float64]) -> float:
    """Where the line through ``rates`` (ascending, one a fine threshold, from 0) meets ``far``; 0 if it stays below.

    The reference interpolates with SciPy's ``slinear``, a B-spline of degree one, whose order of operations this keeps.
    Rates repeat: the line runs from the last threshold whose rate is at most ``far`` to the next. Where there is no
    next, it runs between the last two, and where those have one rate the spline has no support there and is 0.
    """
    if rates[-1] < far:
        return 0.0
    right = min(int(np.searchsorted(rates, far, side="right")), len(rates) - 1)
    low, high = float(rates[right - 1]), float(rates[right])
    if low == high:
        return 0.0
    weight = 1.0 / (high - low)
    left_part = float(FINE_THRESHOLDS[right - 1]) * (weight * (high - far))
    return left_part + float(FINE_THRESHOLDS[right]) * (weight * (far - low))


def _check(rows: NDArray[np.float64], same: NDArray[np.bool_], folds: int) -> None:
    if rows.ndim != 2 or same.ndim != 1 or len(rows) != 2 * len(same):
        raise UserError(f"verification: {same.shape} pairs need (2 x pairs, width) features, got {rows.shape}")
    if folds < 2 or len(same) < folds:
        raise UserError(
            f"verification: {len(same)} pairs cannot be cut into {folds} folds, give at least 2 and a pair each"
        )
    _check_finite(rows)


def _check_finite(rows: NDArray[np.float64]) -> None:
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise UserError(
            f"verification: feature {int(np.argmin(finite))} is not finite ({int((~finite).sum())} such rows)"
        )
