"""The r-th largest exact score among very many, found from screened scores in bounded memory.

Consumers of blocks (:class:`eval.comparisons.Block`), each with ``add(block)``:

* :class:`TopPairs`: the pairs that can be among the r largest (or smallest); one pass; memory r.
* :class:`Histogram`: how many screened scores fall in each bin; one pass, fixed memory; for curves, and for ranks too
  large to keep.
* :class:`Bracket`: the r-th largest score when it is known to lie in an interval; passes until one score is left, fixed
  memory.
* :class:`Acceptance`: how many exact scores reach each of some thresholds; one pass.

All of them use only that a screened score differs from the exact one by at most ``error``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval.comparisons import Block, Comparisons, Pairs
from eval.scores import float32_above, float32_below

BINS_PER_UNIT = 2**15  # a histogram bin is 2**-15 wide: a power of two, so that scaling a float32 is exact
SUB_BIN_BITS = 16
SUB_BINS = 2**SUB_BIN_BITS
ROWS_AT_ONCE = 64  # of a block, so that work space stays in the cache


class TopPairs:
    """Keeps every pair that can be among the ``rank`` highest exact scores, or the lowest with ``lowest``.

    The pairs kept are those whose screened score is at least the ``rank``-th largest screened score so far less
    ``2 * error``. For ``rank`` pairs have an exact score of at least that one less ``error``, so the exact ``rank``-th
    largest is no lower, and a pair that reaches it has a screened score at most another ``error`` lower.

    Attributes:
        overflowed: more pairs than ``capacity`` stood within the error of each other; what is kept is not all.
    """

    def __init__(self, comparisons: Comparisons, rank: int, capacity: int, *, lowest: bool = False) -> None:
        self.comparisons = comparisons
        self.rank = rank
        self.capacity = capacity
        self.overflowed = False
        self._sign = np.float32(-1 if lowest else 1)
        self._floor = np.float32(-3)  # below any score
        self._values: list[NDArray[np.float32]] = []
        self._pairs: list[Pairs] = []
        self._kept = 0
        self._compact_at = max(2 * rank, 2**16)

    def add(self, block: Block) -> None:
        """Take the pairs of ``block`` that matter."""
        step = max(1, 2**20 // block.values.shape[1])  # so that a first block cannot fill the memory
        for start in range(0, len(block.values), step):
            values = block.values[start : start + step]
            reached = values >= self._floor if self._sign > 0 else (values <= -self._floor) & np.isfinite(values)
            cells = np.flatnonzero(reached)
            if len(cells):
                self._values.append(values.ravel()[cells] * self._sign)
                self._pairs.append(block.pairs(cells + start * values.shape[1]))
                self._kept += len(cells)
            if self._kept > self._compact_at:
                self._compact()

    def nth(self, rank: int) -> tuple[float, int]:
        """The ``rank``-th best exact score, and how many are better; ``rank`` at most the one asked to keep.

        It is within the error of the ``rank``-th best screened score, so that only the pairs within twice the error of
        that need exact scores: those beyond are better, those below are worse.
        """
        self._compact()
        values, pairs, error = self._values[0], self._pairs[0], self.comparisons.error
        middle = float(np.partition(values, len(values) - rank)[len(values) - rank])
        better = int(np.count_nonzero(values > float32_above(middle + 2 * error)))
        near = np.flatnonzero(
            (values >= float32_below(middle - 2 * error)) & (values <= float32_above(middle + 2 * error))
        )
        scores = np.sort(float(self._sign) * self.comparisons.exact(Pairs(pairs.left[near], pairs.right[near])))
        found = float(scores[len(scores) - (rank - better)])
        return float(self._sign) * found, better + int(np.count_nonzero(scores > found))

    def result(self) -> tuple[Pairs, NDArray[np.float64]]:
        """The pairs kept and their exact scores, best first (equal scores: by file row)."""
        if not self._kept:
            empty = np.empty(0, dtype=np.int64)
            return Pairs(empty, empty), np.empty(0)
        self._compact()
        pairs = self._pairs[0]
        scores = self.comparisons.exact(pairs)
        rows = self.comparisons.rows(pairs)
        low, high = np.minimum(rows.left, rows.right), np.maximum(rows.left, rows.right)
        order = np.lexsort((high, low, -float(self._sign) * scores))
        return Pairs(pairs.left[order], pairs.right[order]), scores[order]

    def _compact(self) -> None:
        values = np.concatenate(self._values)
        pairs = Pairs(np.concatenate([p.left for p in self._pairs]), np.concatenate([p.right for p in self._pairs]))
        if len(values) > self.rank:
            last = float(np.partition(values, len(values) - self.rank)[len(values) - self.rank])
            self._floor = max(self._floor, float32_below(last - 2 * self.comparisons.error))
            keep = np.flatnonzero(values >= self._floor)
            if len(keep) > self.capacity:
                self.overflowed = True
                keep = keep[np.argpartition(-values[keep], self.capacity)[: self.capacity]]
            values, pairs = values[keep], Pairs(pairs.left[keep], pairs.right[keep])
        self._values, self._pairs, self._kept = [values], [pairs], len(values)
        self._compact_at = max(2 * self._kept, 2**16)


class Histogram:
    """Counts screened scores in bins of ``1 / BINS_PER_UNIT``; bin ``b`` holds ``b <= score * BINS_PER_UNIT < b + 1``.

    Attributes:
        counts: (B,) int64.
        lowest: the number ``b`` of the first bin.
    """

    def __init__(self, error: float) -> None:
        margin = 2 + int(
            np.ceil(error * BINS_PER_UNIT)
        )  # scores reach 1 + error; cells that are no pair fall in the first bin
        self.lowest = -BINS_PER_UNIT - margin
        self._counts = np.zeros(2 * (BINS_PER_UNIT + margin) + 1, dtype=np.int64)

    def add(self, block: Block) -> None:
        """Count the pairs of ``block``."""
        for start in range(0, len(block.values), ROWS_AT_ONCE):
            scaled = block.values[start : start + ROWS_AT_ONCE].ravel() * np.float32(BINS_PER_UNIT)
            np.maximum(scaled, np.float32(self.lowest), out=scaled)  # NO_PAIR is minus infinity
            bins = np.floor(scaled, out=scaled).astype(np.int64)
            bins -= self.lowest
            self._counts += np.bincount(bins, minlength=len(self._counts))

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pairs in each bin; the first holds none."""
        counts = self._counts.copy()
        counts[0] = 0
        return counts

    @property
    def edges(self) -> NDArray[np.float64]:
        """Lower edge of each bin, and the upper edge of the last."""
        return (np.arange(len(self._counts) + 1) + self.lowest) / BINS_PER_UNIT

    def bracket(self, rank: int, error: float) -> tuple[float, float]:
        """An interval that holds the ``rank``-th largest exact score.

        The ``rank``-th largest screened score lies in one bin, and sorting moves no score by more than ``error``.
        """
        at_least = np.cumsum(self.counts[::-1])[::-1]  # pairs in this bin or above
        found = int(np.flatnonzero(at_least >= rank)[-1])
        edges = self.edges
        return float(edges[found]) - error, float(edges[found + 1]) + error


class Bracket:
    """The ``rank``-th largest exact score, known to lie in ``[low, high]``.

    Each pass counts exactly what lies above and sorts what lies inside into ``SUB_BINS`` equal parts of the float64
    numbers there are; while at most ``capacity`` lie inside they are kept, and then one pass is enough. Call ``add``
    for every block, then ``finish``; repeat until that returns true.

    Attributes:
        score: the result, None until it is known.
        above: how many scores are larger than ``score``.
    """

    def __init__(self, comparisons: Comparisons, rank: int, low: float, high: float, capacity: int) -> None:
        self.comparisons = comparisons
        self.rank = rank
        self.capacity = capacity
        self.score: float | None = None
        self._low, self._high = (int(key) for key in _keys(np.array([low, high])))
        self._begin()

    def _begin(self) -> None:
        self.above = 0
        self._inside = 0
        self._kept: list[NDArray[np.int64]] = []
        self._shift = max(0, (self._high - self._low).bit_length() - SUB_BIN_BITS)
        self._counts = np.zeros(SUB_BINS, dtype=np.int64)
        low, high = _scores(np.array([self._low, self._high]))
        self._surely_below = float32_below(float(low) - self.comparisons.error)
        self._surely_above = float32_above(float(high) + self.comparisons.error)

    def add(self, block: Block) -> None:
        """Count the pairs of ``block``."""
        self.above += int(np.count_nonzero(block.values > self._surely_above))
        step = max(1, 2**20 // block.values.shape[1])
        for start in range(0, len(block.values), step):
            values = block.values[start : start + step]
            cells = np.flatnonzero((values >= self._surely_below) & (values <= self._surely_above))
            if len(cells):
                self._add_exact(self.comparisons.exact(block.pairs(cells + start * values.shape[1])))

    def _add_exact(self, scores: NDArray[np.float64]) -> None:
        keys = _keys(scores)
        self.above += int(np.count_nonzero(keys > self._high))
        keys = keys[(keys >= self._low) & (keys <= self._high)]
        self._counts += np.bincount((keys - self._low) >> self._shift, minlength=SUB_BINS)
        self._inside += len(keys)
        if self._inside <= self.capacity:
            self._kept.append(keys)
        else:
            self._kept.clear()

    def finish(self) -> bool:
        """End a pass; true when the score is known."""
        wanted = self.rank - self.above  # among those inside, from the top
        if not 1 <= wanted <= self._inside:
            raise AssertionError(f"rank {self.rank} is not in its bracket: {self.above} above, {self._inside} inside")
        if self._inside <= self.capacity:
            keys = np.sort(np.concatenate(self._kept))
            found = int(keys[-wanted])
            self.above += int(np.count_nonzero(keys > found))
            self.score = float(_scores(np.array([found]))[0])
            return True
        at_least = np.cumsum(self._counts[::-1])[::-1]
        part = int(np.flatnonzero(at_least >= wanted)[-1])
        low = self._low + (part << self._shift)
        if self._shift == 0:  # one score a part
            self.above += int(at_least[part + 1]) if part + 1 < SUB_BINS else 0
            self.score = float(_scores(np.array([low]))[0])
            return True
        self._low, self._high = low, min(self._high, low + (1 << self._shift) - 1)
        self._begin()
        return False


class Acceptance:
    """Counts the pairs whose exact score is at least each of ``thresholds``."""

    def __init__(self, comparisons: Comparisons, thresholds: list[float]) -> None:
        self.comparisons = comparisons
        self.thresholds = thresholds
        self.accepted = [0] * len(thresholds)

    def add(self, block: Block) -> None:
        """Count the pairs of ``block``."""
        for index, threshold in enumerate(self.thresholds):
            sure = float32_above(threshold + self.comparisons.error)
            unsure = float32_below(threshold - self.comparisons.error)
            count = int(np.count_nonzero(block.values > sure))
            step = max(1, 2**20 // block.values.shape[1])
            for start in range(0, len(block.values), step):
                values = block.values[start : start + step]
                cells = np.flatnonzero((values >= unsure) & (values <= sure))
                if len(cells):
                    scores = self.comparisons.exact(block.pairs(cells + start * values.shape[1]))
                    count += int(np.count_nonzero(scores >= threshold))
            self.accepted[index] += count


def _keys(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Integers in the order of the float64 numbers, consecutive for consecutive numbers."""
    bits = scores.view(np.int64)
    return np.where(bits < 0, -(bits & np.int64(2**63 - 1)), bits)


def _scores(keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """The inverse of :func:`_keys`."""
    return np.copysign(np.abs(keys).view(np.float64), keys)
