"""How many genuine and impostor pairs a protocol has, and what they weigh in a bootstrap, without visiting them.

Every set of pairs here is counted from how often each key occurs: n equal keys of one set are n (n - 1) / 2 pairs, n
keys of one set and m of another n m pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.formats.person_labels import LABEL_LIMIT
from lwface.scoring.intervals import Bootstrap

NO_GROUP = -1
CHUNK = 2**12  # persons, or pairs, whose weights are held at a time


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


class ImpostorMass:
    """The impostor pairs of a protocol, of which only the weight in each replicate is wanted.

    Pairs of different persons are products of sums, so that none of them is visited: within a group of rows,
    ``(sum_p w_p n_p) (sum_q w_q m_q) - sum_p w_p**2 n_p m_p`` for n_p rows of one set and m_p of another, and half of
    that for the unordered pairs of one set. What is left out (rows of one group, pairs of distractors, pairs listed) is
    taken away again.

    Args:
        bootstrap: the people of both sets.
        codes: (N,) the person of each row.
        others: (M,) of a gallery; None: the unordered pairs of one set.
        groups, other_groups, distractor_pairs: as in :func:`lwface.scoring.exact.pair_counts.pair_counts`.
        ignored: (L, 2) codes of impostor pairs that would be counted otherwise and are to be left out.
    """

    def __init__(
        self,
        bootstrap: Bootstrap,
        codes: NDArray[np.int64],
        others: NDArray[np.int64] | None = None,
        *,
        groups: NDArray[np.int64] | None = None,
        other_groups: NDArray[np.int64] | None = None,
        distractor_pairs: bool = True,
        ignored: NDArray[np.int64] | None = None,
    ) -> None:
        self.bootstrap = bootstrap
        sides = [(codes, groups)] if others is None else [(codes, groups), (others, other_groups)]
        terms = [(1, [_Rows(side, np.zeros_like(side)) for side, _ in sides])]
        if groups is not None:
            terms.append((-1, [_Rows(side, group).where(group >= 0) for side, group in sides if group is not None]))
        if not distractor_pairs:  # those of one group were taken away before
            alone = [(-sign, [rows.where(rows.codes >= bootstrap.known) for rows in term]) for sign, term in terms]
            terms += alone
        self._products = [(sign, _Product.of(len(bootstrap), term)) for sign, term in terms]
        self._ignored = None if ignored is None or not len(ignored) else ignored

    def totals(self) -> NDArray[np.int64]:
        """(B,) weight of all impostor pairs in each replicate."""
        return np.concatenate([self._totals(block) for block in self.bootstrap.blocks()])

    def _totals(self, replicates: slice) -> NDArray[np.int64]:
        total = np.zeros(replicates.stop - replicates.start, dtype=np.int64)
        for sign, product in self._products:
            total += sign * product.total(self.bootstrap, replicates)
        if self._ignored is not None:
            total -= _listed_total(self.bootstrap, self._ignored, replicates)
        return total


class _Rows(NamedTuple):
    """The person and the group of each row."""

    codes: NDArray[np.int64]
    groups: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> _Rows:
        return _Rows(self.codes[chosen], self.groups[chosen])


class _Product(NamedTuple):
    """Pairs of different persons within each group, counted by (group, person)."""

    codes: NDArray[np.int64]  # (C,)
    groups: NDArray[np.int64]  # (C,) ascending
    counts: list[NDArray[np.int64]]  # (C,) rows of the only set, or of the left and of the right one

    @classmethod
    def of(cls, people: int, sides: list[_Rows]) -> _Product:
        keys = [rows.groups * people + rows.codes for rows in sides]
        cells, inverse = np.unique(np.concatenate(keys), return_inverse=True)
        places = np.split(inverse, [len(keys[0])])[: len(sides)]
        return cls(cells % people, cells // people, [np.bincount(place, minlength=len(cells)) for place in places])

    def total(self, bootstrap: Bootstrap, replicates: slice) -> NDArray[np.int64]:
        """(R,) weight of the pairs."""
        size = replicates.stop - replicates.start
        sums = np.zeros((len(self.counts), int(self.groups.max(initial=-1)) + 1, size), dtype=np.int64)
        same = np.zeros(size, dtype=np.int64)
        for start in range(0, len(self.codes), CHUNK):
            part = slice(start, start + CHUNK)
            weights = bootstrap.weights(self.codes[part], replicates).astype(np.int64)
            groups, starts = np.unique(self.groups[part], return_index=True)
            weighted = [weights * counts[part, np.newaxis] for counts in self.counts]
            for side, values in zip(sums, weighted, strict=True):
                side[groups] += np.add.reduceat(values, starts, axis=0)
            same += np.einsum("cr,cr->r", weighted[0], weighted[-1])
        total = np.einsum("gr,gr->r", sums[0], sums[-1]) - same
        return total // 2 if len(self.counts) == 1 else total


def listed_totals(bootstrap: Bootstrap, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """(B,) weight in each replicate of impostor pairs (L, 2) of codes that are given one by one; 3 s a million."""
    return np.concatenate([_listed_total(bootstrap, pairs, block) for block in bootstrap.blocks()])


def _listed_total(bootstrap: Bootstrap, pairs: NDArray[np.int64], replicates: slice) -> NDArray[np.int64]:
    people, places = np.unique(pairs, return_inverse=True)
    weights = bootstrap.weights(people, replicates)
    total = np.zeros(replicates.stop - replicates.start, dtype=np.int64)
    for start in range(0, len(pairs), CHUNK):
        left, right = places.reshape(-1, 2)[start : start + CHUNK].T
        total += (weights[left] * weights[right]).sum(axis=0, dtype=np.int64)
    return total
