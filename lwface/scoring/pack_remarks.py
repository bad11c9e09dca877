"""When the accuracy on a pack of pairs means nothing: pairs of one kind, a model that tells nobody apart.

Where a pack, or a fold of it, has pairs of one kind only, a threshold that calls every pair alike is right about all of
it: 1.00000 of a model that has learnt nothing. Such a pack has no accuracy. A model that is no better than one answer
to all pairs, or whose features collapsed or blew up, has one, but a line says what it is worth.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lwface.base.errors import UserError
from lwface.scoring.parameters import FOLDS

ALIKE = 0.99  # mean cosine of two persons: the protocol's thresholds, 0.01 apart in 2 - 2 cosine, end there
LARGEST_NORM, SMALLEST_NORM = 1e5, 1e-3  # of features; trained networks have norms of 1 to some hundreds
CHANCE = 2.0  # standard deviations of an accuracy above guessing
LEAST_FOLDS = 2
KINDS = {True: "one person", False: "two persons"}


def fold_of_pair(pairs: int, folds: int) -> NDArray[np.int64]:
    """The fold (P,) of each pair: consecutive, the first ones a pair longer where it does not come out even."""
    sizes = np.full(folds, pairs // folds)
    sizes[: pairs % folds] += 1
    return np.repeat(np.arange(folds), sizes)


def one_kind(issame: ArrayLike, folds: int = FOLDS) -> str | None:
    """Which part of the pairs, in ``folds`` consecutive folds, is of one kind only, in words; None where none is.

    Args:
        issame: (P,), true where a pair shows one person; at least as many as folds.
        folds: parts the pairs are cut into, in order.
    """
    same = np.asarray(issame, dtype=bool)
    if same.all() or not same.any():
        return f"all {len(same)} pairs are of {KINDS[bool(same.all())]}"
    fold = fold_of_pair(len(same), folds)
    genuine, sizes = np.bincount(fold[same], minlength=folds), np.bincount(fold, minlength=folds)
    single = np.flatnonzero((genuine == 0) | (genuine == sizes))
    if not len(single):
        return None
    first = int(single[0])
    start = int(sizes[:first].sum()) + 1
    where = f"fold {first + 1} of {folds} (pairs {start} to {start + sizes[first] - 1})"
    return f"{where} has only pairs of {KINDS[bool(genuine[first])]}"


def usable_folds(issame: ArrayLike, folds: int = FOLDS) -> int | None:
    """The largest number of folds up to ``folds`` of which each has pairs of both kinds; None where there is none."""
    most = min(folds, len(np.asarray(issame)))
    return next((number for number in range(most, LEAST_FOLDS - 1, -1) if one_kind(issame, number) is None), None)


def remedy(issame: ArrayLike, folds: int) -> str:
    """What helps a pack of which a part is of one kind."""
    same = np.asarray(issame, dtype=bool)
    if same.all() or not same.any():
        return f"add pairs of {KINDS[not same.any()]}"
    fewer = usable_folds(same, folds)
    return f"with {fewer} folds each has both kinds" if fewer else "mix the pairs of both kinds"


def require_both_kinds(issame: ArrayLike, name: object) -> None:
    """:class:`UserError` where all pairs of the pack ``name`` are of one kind."""
    same = np.asarray(issame, dtype=bool)
    if same.all() or not same.any():
        raise UserError(f"{name}: {one_kind(same)}, so that its accuracy says nothing; {remedy(same, FOLDS)}")


def folds_for(issame: ArrayLike, name: object, folds: int = FOLDS) -> int:
    """How many folds the pack ``name`` is to be cut into: ``folds``, or as many as have pairs of both kinds each.

    Raises:
        UserError: fewer pairs than folds, or no number of folds does.
    """
    same = np.asarray(issame, dtype=bool)
    if len(same) < folds:
        raise UserError(f"{name}: {len(same)} pairs cannot be cut into {folds} folds: add pairs")
    usable = usable_folds(same, folds)
    if usable is None:
        raise UserError(f"{name}: {one_kind(same, folds)}, so that its accuracy says nothing; {remedy(same, folds)}")
    return usable


def remark(
    outputs: list[NDArray[np.float32]], rows: NDArray[np.float64], issame: ArrayLike, accuracy: float | None
) -> str | None:
    """What is suspicious about features and accuracy, in one line without its head; None where nothing is.

    Args:
        outputs: (2P, D) each, as the network gives them: of the images, and of their mirror images if there are any.
        rows: (2P, D) L2-normalised, what is compared; rows ``2i`` and ``2i+1`` are pair ``i``.
        issame: (P,).
        accuracy: None: there is none.
    """
    same = np.asarray(issame, dtype=bool)
    found = []
    zeros = int(np.count_nonzero(~rows.any(axis=1)))
    if zeros:
        found.append(f"{zeros} of {len(rows)} features are all zeros")
    norm = float(np.mean([np.linalg.norm(part.astype(np.float64), axis=1).mean() for part in outputs]))
    if norm > LARGEST_NORM:
        found.append(f"the features blow up, their mean norm is {norm:.3g}")
    elif zeros < len(rows) and norm < SMALLEST_NORM:
        found.append(f"the features vanish, their mean norm is {norm:.3g}")
    if not same.all() and zeros < len(rows):
        cosine = float(np.einsum("pd,pd->p", rows[0::2][~same], rows[1::2][~same]).mean())
        if cosine >= ALIKE:
            found.append(f"the features collapsed, those of two persons have a mean cosine of {cosine:.6f}")
    guess = max(same.mean(), 1 - same.mean())
    if accuracy is not None and accuracy <= guess + CHANCE * math.sqrt(guess * (1 - guess) / len(same)):
        kind = KINDS[bool(same.mean() >= 0.5)]
        found.append(f"no better than guessing: whoever calls all {len(same)} pairs {kind} has {guess:.5f}")
    return "; ".join(found) or None
