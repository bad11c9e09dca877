"""The folds of a verification pack, and whether each has pairs of both kinds.

Where a pack, or a fold of it, has pairs of one kind only, a threshold that calls every pair alike is right about all of
it: 1.00000 of a model that has learnt nothing. Such a pack has no accuracy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lwface.base.errors import UserError

LEAST_FOLDS = 2
KINDS = {True: "one person", False: "two persons"}


def fold_of_pair(pairs: int, folds: int) -> NDArray[np.int64]:
    """The fold (P,) of each pair: consecutive, the first ones a pair longer where it does not come out even."""
    sizes = np.full(folds, pairs // folds)
    sizes[: pairs % folds] += 1
    return np.repeat(np.arange(folds), sizes)


def one_kind(issame: ArrayLike, folds: int) -> str | None:
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


def usable_folds(issame: ArrayLike, folds: int) -> int | None:
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
        what = f"all {len(same)} pairs are of {KINDS[bool(same.all())]}"
        raise UserError(f"{name}: {what}, so that its accuracy says nothing; {remedy(same, LEAST_FOLDS)}")


def folds_for(issame: ArrayLike, name: object, folds: int) -> int:
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
