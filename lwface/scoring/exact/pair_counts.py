"""How many genuine and impostor pairs a protocol has, without visiting them.

Every set of pairs here is counted from how often each key occurs: n equal keys of one set are n (n - 1) / 2 pairs, n
keys of one set and m of another n m pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.formats.labels import LABEL_LIMIT

NO_GROUP = -1


class PairCounts(NamedTuple):
    """Exact numbers of pairs."""

    genuine: int
    impostor: int


def pair_counts(
    persons: NDArray[np.int64],
    others: NDArray[np.int64] | None = None,
    *,
    groups: NDArray[np.int64] | None = None,
    other_groups: NDArray[np.int64] | None = None,
    distractor_pairs: bool = True,
) -> PairCounts:
    """Count the unordered pairs of ``persons``, or the pairs of each of ``persons`` with each of ``others``.

    Args:
        persons: (N,) who is on each row; from ``LABEL_LIMIT`` on a distractor, whose number no other row has.
        others: (M,) likewise of a gallery; None: the pairs of ``persons`` with each other.
        groups, other_groups: (N,), (M,) codes: two rows of the same code are not compared. ``NO_GROUP`` is the code of
            a row in no group: it is compared with every row.
        distractor_pairs: whether pairs of two distractors are counted.

    Raises:
        ValueError: groups for one of the sets only.
    """
    if others is not None and (groups is None) != (other_groups is None):
        raise ValueError("groups are needed for both sets or for neither")
    left = _Side(persons, groups)
    right = None if others is None else _Side(others, other_groups)
    total = _pairs(len(persons), None if others is None else len(others))
    total -= _same(left.groups, None if right is None else right.groups)
    if not distractor_pairs:  # those of one group were taken away before
        total -= _pairs(len(left.distractors), None if right is None else len(right.distractors))
        total += _same(left.distractors, None if right is None else right.distractors)
    genuine = _same(persons, others) - _same_in_group(left, right)
    return PairCounts(genuine, total - genuine)


class _Side:
    """One set: ``groups`` of the rows that have one, ``distractors``: the groups of all distractors."""

    def __init__(self, persons: NDArray[np.int64], groups: NDArray[np.int64] | None) -> None:
        groups = np.full(len(persons), NO_GROUP) if groups is None else groups
        self.persons = persons
        self.groups = groups
        self.distractors = groups[persons >= LABEL_LIMIT]


def _pairs(rows: int, others: int | None) -> int:
    return rows * (rows - 1) // 2 if others is None else rows * others


def _same(keys: NDArray[np.int64], others: NDArray[np.int64] | None) -> int:
    """Pairs of equal keys; ``NO_GROUP`` equals nothing."""
    values, counts = np.unique(keys[keys != NO_GROUP], return_counts=True)
    if others is None:
        return int((counts * (counts - 1) // 2).sum())
    found, matches = np.unique(others, return_counts=True)
    _, left, right = np.intersect1d(values, found, assume_unique=True, return_indices=True)
    return int((counts[left] * matches[right]).sum())


def _same_in_group(left: _Side, right: _Side | None) -> int:
    """Pairs of one person and one group."""
    sides = [left] if right is None else [left, right]
    persons = np.unique(np.concatenate([side.persons for side in sides]), return_inverse=True)[1]
    groups = np.concatenate([side.groups for side in sides])
    width = int(groups.max(initial=0)) + 1
    joined = np.where(groups == NO_GROUP, NO_GROUP, persons * width + groups)
    rows = len(left.persons)
    return _same(joined[:rows], None if right is None else joined[rows:])
