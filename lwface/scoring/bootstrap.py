"""How much the people drawn change a threshold: a bootstrap over identities.

Pairs that share a person are not independent, so that a count of pairs says little about how sure a TAR is: a thousand
pairs of one person are one observation of a person, not a thousand. What is drawn anew here are people. In a replicate
a person p has a weight ``w_p``, the number of times it was drawn; a genuine pair of p then counts ``w_p`` times and an
impostor pair of p and q ``w_p w_q`` times. Each replicate has its own threshold at a FAR and its own TAR, and how these
vary is how the figures would vary had other people been photographed. A distractor is a person of its own.

The weights are Poisson(1), not multinomial: each is drawn by itself, so that it is a function of (seed, person,
replicate) alone, whatever the number of people, the order of rows or the process that asks; the two agree as the number
of people grows. Sources: Bolle, Ratha and Pankanti, "Error analysis of pattern recognition systems: the subsets
bootstrap", 2004, for drawing people; Owen, "The pigeonhole bootstrap", 2007, for products of weights, which are on the
safe side: they overstate the part of the variance that belongs to single impostor pairs (up to three times), not that
of people; Chamandy, Muralidharan, Najmi and Naidu, "Estimating uncertainty for massive data streams", 2012, for Poisson
weights.

Weights are integers and so are all sums: nothing depends on the order of summation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.formats.labels import LABEL_LIMIT

REPLICATES = 1000
AT_ONCE = 64  # replicates: a row of weights is a cache line
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
CHUNK = 2**12  # persons, or pairs, whose weights are held at a time


def _poisson_table() -> NDArray[np.uint8]:
    """The Poisson(1) quantile of each 16-bit number: probabilities are rounded to 2**-16, the largest value is 8."""
    shares = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(9)])
    ends = np.round(shares * 2**16).astype(np.int64)
    ends[-1] = 2**16
    return np.repeat(np.arange(9, dtype=np.uint8), np.diff(ends, prepend=0))


POISSON = _poisson_table()


class Bootstrap:
    """The people, and their weights in each replicate.

    A person's *code* is its index among the people, ascending by number: those who are no distractors come first.

    Args:
        persons: numbers of the persons of all rows, as in :attr:`lwface.scoring.exact.feature_set.FeatureSet.persons`,
        any order. replicates: how many. seed: of the weights.
    """

    def __init__(self, persons: NDArray[np.int64], *, replicates: int = REPLICATES, seed: int = 0) -> None:
        self.numbers = np.unique(persons)
        self.known = int(np.searchsorted(self.numbers, LABEL_LIMIT))  # codes from here on are distractors
        self.replicates = replicates
        seeds = _mixed(np.full(1, seed % 2**64, dtype=np.uint64) + GOLDEN)
        self._states = _mixed(self.numbers.astype(np.uint64) * GOLDEN ^ seeds)

    def __len__(self) -> int:
        return len(self.numbers)

    def codes(self, persons: NDArray[np.int64]) -> NDArray[np.int64]:
        """The codes of persons by number."""
        return np.searchsorted(self.numbers, persons)

    def blocks(self) -> list[slice]:
        """The replicates, in parts small enough to work on together."""
        starts = range(0, self.replicates, AT_ONCE)
        return [slice(start, min(start + AT_ONCE, self.replicates)) for start in starts]

    def weights(self, codes: NDArray[np.int64] | slice, replicates: slice) -> NDArray[np.uint8]:
        """Weights (n, R) of persons; ``replicates`` starts at a multiple of four.

        SplitMix64 (Steele, Lea and Flood, 2014) at position ``replicate // 4`` of the person's stream gives 64 bits, 16
        for each replicate.
        """
        first, last = replicates.start // 4, -(-replicates.stop // 4)
        steps = np.arange(first + 1, last + 1, dtype=np.uint64) * GOLDEN
        words = _mixed(self._states[codes][:, np.newaxis] + steps)
        return POISSON[words.astype("<u8", copy=False).view("<u2")][:, : replicates.stop - replicates.start]


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's mixing function."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


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
