"""TAR at FAR of a list with many pairs a row, such as the 15.7 million of IJB-C among 23 124 templates.

The meaning is that of ``lwface/scoring/operating_points.py``, to the last count. A float32 matrix product of the rows
on either side gives the screened scores of all pairs, much faster than pair by pair; they take four bytes a pair. Only
those within twice the proven error of a threshold's place are scored exactly.

A row that stands for nobody, a failure to enrol, has no cosine with any: its pairs have the score ``NO_MATCH``, below
all others, and so are refused, genuine and impostor alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.progress import progress
from lwface.scoring.exact.feature_set import FeatureSet, float32_above, float32_below, score, screening_error
from lwface.scoring.intervals import Bootstrap, CodedPairs, GenuineTally, Interval, interval, replicate_thresholds
from lwface.scoring.operating_points import OperatingPoint

BLOCK_ROWS = 256  # rows on the left that are multiplied at once with the rows on the right that they are paired with
EXACT_BYTES = 2**22  # float64 work space while exact scores are computed: it stays in the cache
TAIL = 2**18  # impostor pairs with the highest scores that intervals look at,
SAMPLE = 2**17  # and how many drawn from all stand for the others
SAMPLE_SEED = 3
NO_MATCH = -2.0  # below every cosine


class ListedPairs:
    """A list of pairs of rows, with the screened score of each.

    Args:
        features: the rows that are paired, N of them.
        first, second: (P,) positions in it.
        same: (P,) whether a pair is genuine.
        enrolled: (N,) false of the rows that match nobody; None: there are none.

    Raises:
        UserError: there are no genuine or no impostor pairs.
    """

    def __init__(
        self,
        features: FeatureSet,
        first: NDArray[np.int32],
        second: NDArray[np.int32],
        same: NDArray[np.bool_],
        enrolled: NDArray[np.bool_] | None = None,
    ) -> None:
        self.enrolled = np.ones(len(features), dtype=bool) if enrolled is None else enrolled
        self.features, self.first, self.second = features, first, second
        self.genuine, self.impostors = np.flatnonzero(same), np.flatnonzero(~same)
        if not len(self.genuine) or not len(self.impostors):
            raise UserError(f"of {len(same)} pairs {len(self.genuine)} are genuine: there must be some of both kinds")
        self.error = screening_error(features.width)
        screened = screened_scores(features, first, second)
        screened[~(self.enrolled[first] & self.enrolled[second])] = NO_MATCH
        self._right, self._wrong = screened[self.genuine], screened[self.impostors]
        self._ascending = np.sort(self._wrong)

    def points(self, fars: Sequence[Fraction]) -> list[OperatingPoint]:
        """The operating point of each FAR, in the order given; each above 0 and below 1."""
        points = []
        for far in fars:
            rank = far.numerator * len(self.impostors) // far.denominator + 1
            if rank == 1:
                points.append(OperatingPoint(far, len(self.impostors), len(self.genuine)))
                continue
            threshold, false_accepts = self._threshold(rank)
            near = self._near(self.genuine, self._right, threshold, self.error)
            true_accepts = near.above + int(np.count_nonzero(near.scores >= threshold))
            points.append(
                OperatingPoint(far, len(self.impostors), len(self.genuine), threshold, false_accepts, true_accepts)
            )
        return points

    def intervals(
        self, fars: Sequence[Fraction], people: NDArray[np.int64], *, replicates: int, seed: int
    ) -> list[Interval | None]:
        """Where the TAR at each FAR lies with 95 % confidence, as :mod:`lwface.scoring.intervals` has it.

        Args:
            fars: each above 0 and below 1.
            people: (N,) number of the person on each row.
            replicates, seed: of the bootstrap.
        """
        bootstrap = Bootstrap(people, replicates=replicates, seed=seed)
        codes = bootstrap.codes(people)  # (N,)
        floor, tail = -np.inf, self.impostors
        if len(tail) > TAIL:
            floor, _ = self._threshold(TAIL + 1)
            tail = self.impostors[self._wrong >= float32_below(floor - self.error)]
        drawn = np.random.default_rng(SAMPLE_SEED).choice(self.impostors, SAMPLE) if floor > -np.inf else None
        thresholds = replicate_thresholds(
            bootstrap,
            fars,
            self._impostor_weights(bootstrap, codes),
            len(self.impostors),
            self._scored(tail, codes),
            floor=floor,
            sample=None if drawn is None else self._scored(drawn, codes),
        )
        tally = GenuineTally(thresholds, len(bootstrap))
        people = codes[self.first[self.genuine]]
        tally.add(people, self.exact(self.genuine))
        tars = tally.tars(bootstrap, np.arange(len(bootstrap)))
        return [interval(row, len(np.unique(people))) for row in tars]

    def exact(self, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Exact scores of the pairs with these numbers."""
        scores = np.empty(len(pairs))
        step = max(1, EXACT_BYTES // (8 * self.features.width))
        for start in range(0, len(pairs), step):
            part = pairs[start : start + step]
            left, right = self.first[part].astype(np.int64), self.second[part].astype(np.int64)
            cosines = score(self.features.units(left), self.features.units(right))
            both = self.enrolled[left] & self.enrolled[right]
            scores[start : start + step] = np.where(both, cosines, NO_MATCH)
        return scores

    def _threshold(self, rank: int) -> tuple[float, int]:
        """The float64 next above the ``rank``-th largest impostor score, and how many impostors reach it.

        That score is within the error of the ``rank``-th largest screened score: sorting moves no further.
        """
        near = self._near(self.impostors, self._wrong, float(self._ascending[-rank]), 2 * self.error)
        threshold = float(np.nextafter(near.scores[near.above - rank], np.inf))
        return threshold, near.above + int(np.count_nonzero(near.scores >= threshold))

    def _near(self, pairs: NDArray[np.int64], values: NDArray[np.float32], middle: float, margin: float) -> _Near:
        """How many ``pairs`` have screened ``values`` above ``middle`` by more than ``margin``, and those near it."""
        low, high = float32_below(middle - margin), float32_above(middle + margin)
        near = pairs[(values >= low) & (values <= high)]
        return _Near(int(np.count_nonzero(values > high)), np.sort(self.exact(near)))

    def _scored(self, pairs: NDArray[np.int64], codes: NDArray[np.int64]) -> CodedPairs:
        people = np.stack([codes[self.first[pairs]], codes[self.second[pairs]]], axis=1)
        return CodedPairs(people, self.exact(pairs))

    def _impostor_weights(self, bootstrap: Bootstrap, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Weight (B,) of all impostor pairs in each replicate."""
        left, right = codes[self.first[self.impostors]], codes[self.second[self.impostors]]
        order = np.argsort(left, kind="stable")
        left, right = left[order], right[order]
        totals = np.zeros(bootstrap.replicates, dtype=np.int64)
        for start in range(0, len(bootstrap), BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, len(bootstrap)))
            part = slice(*np.searchsorted(left, [start, start + BLOCK_ROWS]))
            columns, places = _numbered(right[part], len(bootstrap))
            cells = np.bincount((left[part] - start) * len(columns) + places, minlength=len(rows) * len(columns))
            counts = cells.reshape(len(rows), -1).astype(np.float64)  # for BLAS; all are integers below 2**53
            for block in bootstrap.blocks():
                weights = counts @ bootstrap.weights(columns, block).astype(np.float64)
                totals[block] += (weights * bootstrap.weights(rows, block)).sum(axis=0).astype(np.int64)
        return totals


class _Near(NamedTuple):
    above: int
    scores: NDArray[np.float64]  # ascending


def screened_scores(features: FeatureSet, first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.float32]:
    """Scores (P,) of the pairs ``first, second`` (P,) of positions, within the screening error."""
    units = np.empty((len(features), features.width), dtype=np.float32)
    for start in range(0, len(features), 4096):
        units[start : start + 4096] = features.units(slice(start, start + 4096))
    lefts, left = _numbered(first, len(features))
    blocks = left // BLOCK_ROWS
    order = np.argsort(blocks.astype(np.uint16) if blocks.max() < 2**16 else blocks, kind="stable")
    ends = np.cumsum(np.bincount(blocks))
    values = np.empty(len(first), dtype=np.float32)
    for block in progress(range(len(ends)), label="pairs", unit="block"):
        pairs = order[ends[block - 1] if block else 0 : ends[block]]
        rows = lefts[block * BLOCK_ROWS : (block + 1) * BLOCK_ROWS]
        columns, right = _numbered(second[pairs], len(features))
        products = units[rows] @ units[columns].T
        values[pairs] = products[left[pairs] - block * BLOCK_ROWS, right]
    return values


def _numbered(positions: NDArray[np.signedinteger], count: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The different ``positions`` below ``count``, ascending, and for each position its number among them."""
    used = np.zeros(count, dtype=bool)
    used[positions] = True
    numbers = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(used), numbers[positions]
