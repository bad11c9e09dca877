"""The r-th largest exact score among very many, in bounded memory.

For an r too large to keep all that are higher: one pass if a sample of the pairs told where the score lies and few are
near, else some more. What is seen are screened scores that differ from the exact ones by at most the protocol's error,
and no more than that is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.scoring.exact.comparisons import Comparisons
from lwface.scoring.exact.feature_set import Pairs, ScoreBlock, float32_above, float32_below
from lwface.scoring.exact.tiles import States

SUB_BIN_BITS = 16
SUB_BINS = 2**SUB_BIN_BITS
CELLS_AT_ONCE = 2**18  # of a block, so that work space stays in the cache
LOWEST, HIGHEST = -1.5, 1.5  # no score is beyond


class RankSearch:
    """The ``rank``-th highest exact score, known to lie in ``[low, high]``.

    Each pass counts the screened scores that are above for certain and sorts those that may lie inside into equal
    bins. While at most ``capacity`` may lie inside, their pairs are kept, and their exact scores give the result. Else
    the bin with the ``rank``-th screened score, widened by the error, is the next interval: sorting moves no score by
    more than that. Where it would not get smaller, :class:`_ExactSearch` takes over. Call ``add`` for every block, then
    ``finish``; repeat until that returns true. Should the interval turn out wrong, it moves.

    Attributes:
        score: the result, None until it is known.
        above: how many scores are larger than ``score``.
    """

    def __init__(self, comparisons: Comparisons, rank: int, low: float, high: float, capacity: int) -> None:
        self.comparisons = comparisons
        self.rank = rank
        self.capacity = capacity
        self.score: float | None = None
        self.above = 0
        self._exact: _ExactSearch | None = None
        self._begin(max(low, LOWEST), min(high, HIGHEST))

    def _begin(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        error = self.comparisons.error
        self._from, self._to = float32_below(low - error), float32_above(high + error)  # of what may lie inside
        self._bins = SUB_BINS / (float(self._to) - float(self._from))
        self._sure = 0
        self._counts = np.zeros(SUB_BINS, dtype=np.int64)
        self._kept: list[Pairs] | None = []
        self._inside = 0

    def add(self, block: ScoreBlock) -> None:
        """Count the pairs of ``block``."""
        if self._exact is not None:
            self._exact.add(block)
            return
        step = max(1, CELLS_AT_ONCE // block.values.shape[1])
        for start in range(0, len(block.values), step):
            values = block.values[start : start + step]
            self._sure += int(np.count_nonzero(values > self._to))
            cells = np.flatnonzero((values >= self._from) & (values <= self._to))
            if not len(cells):
                continue
            self._counts += np.bincount(self._bin_of(values.ravel()[cells]), minlength=SUB_BINS)
            self._inside += len(cells)
            if self._inside > self.capacity:
                self._kept = None
            elif self._kept is not None:
                self._kept.append(block.pairs(cells + start * values.shape[1]))

    def finish(self) -> bool:
        """End a pass; true when the score is known."""
        if self._exact is not None:
            if self._exact.finish():
                self.score, self.above = self._exact.score, self._exact.above
            return self.score is not None
        wanted = self.rank - self._sure  # among those inside, from the top
        if wanted < 1:
            self._begin(self._high, HIGHEST)
        elif wanted > self._inside:
            self._begin(LOWEST, self._low)
        elif self._kept is not None:
            self._choose(wanted)
        else:
            self._narrow(wanted)
        return self.score is not None

    def part(self) -> RankSearch:
        """Another one for some of the pairs of this pass, to be joined."""
        part = RankSearch(self.comparisons, self.rank, self._low, self._high, self.capacity)
        part._exact = None if self._exact is None else self._exact.part()
        return part

    def join(self, part: RankSearch) -> None:
        """Add what a part counted."""
        if self._exact is not None and part._exact is not None:
            self._exact.join(part._exact)
            return
        self._sure += part._sure
        self._inside += part._inside
        self._counts += part._counts
        if self._kept is None or part._kept is None or self._inside > self.capacity:
            self._kept = None
        else:
            self._kept += part._kept

    def state(self) -> dict[str, NDArray[Any]]:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        if self._exact is not None:
            return self._exact.state()
        kept = self._kept or []
        sides = [np.concatenate([np.empty(0, dtype=np.int64), *(pairs[side] for pairs in kept)]) for side in (0, 1)]
        figures = np.array([self._sure, self._inside, int(self._kept is None)])
        return {"figures": figures, "counts": self._counts, "left": sides[0], "right": sides[1]}

    def merge(self, states: States) -> None:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        if self._exact is not None:
            self._exact.merge(states)
            return
        self._sure, self._inside, dropped = (sum(int(s["figures"][place]) for s in states) for place in range(3))
        self._counts = np.sum([s["counts"] for s in states], axis=0)
        kept = [Pairs(s["left"], s["right"]) for s in states]
        self._kept = None if dropped or self._inside > self.capacity else kept

    def _bin_of(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        bins = ((values.astype(np.float64) - float(self._from)) * self._bins).astype(np.int64)
        return np.minimum(bins, SUB_BINS - 1)

    def _choose(self, wanted: int) -> None:
        """The result from exact scores of all that may lie inside, unless it turns out to lie elsewhere."""
        kept = self._kept or []
        pairs = Pairs(*(np.concatenate(side) for side in zip(*kept, strict=True)))
        scores = np.sort(self.comparisons.exact(pairs))
        found = float(scores[len(scores) - wanted])
        if found > self._high:  # there, it competes with scores that were counted as above
            self._begin(self._high, HIGHEST)
        elif found < self._low:
            self._begin(LOWEST, self._low)
        else:
            self.score = found
            self.above = self._sure + int(np.count_nonzero(scores > found))

    def _narrow(self, wanted: int) -> None:
        at_least = np.cumsum(self._counts[::-1])[::-1]
        found = int(np.flatnonzero(at_least >= wanted)[-1])
        error = self.comparisons.error + 2.0**-40  # the edges are rounded
        low = float(self._from) + found / self._bins - error
        high = float(self._from) + (found + 1) / self._bins + error
        if high - low > (self._high - self._low) / 2:
            self._exact = _ExactSearch(self.comparisons, self.rank, low, high, self.capacity)
        else:
            self._begin(low, high)


class _ExactSearch:
    """The ``rank``-th highest exact score, known for certain to lie in ``[low, high]``, as narrow as the error.

    Each pass counts exactly what lies above and sorts what lies inside into ``SUB_BINS`` equal parts of the float64
    numbers there are; while at most ``capacity`` lie inside they are kept, and then one pass is enough. All scores may
    be equal: a part ends as one number.
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

    def add(self, block: ScoreBlock) -> None:
        self.above += int(np.count_nonzero(block.values > self._surely_above))
        step = max(1, CELLS_AT_ONCE // block.values.shape[1])
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

    def part(self) -> _ExactSearch:
        low, high = _scores(np.array([self._low, self._high])).tolist()
        return _ExactSearch(self.comparisons, self.rank, low, high, self.capacity)

    def join(self, part: _ExactSearch) -> None:
        self.above += part.above
        self._inside += part._inside
        self._counts += part._counts
        self._kept = self._kept + part._kept if self._inside <= self.capacity else []

    def state(self) -> dict[str, NDArray[Any]]:
        kept = np.concatenate([np.empty(0, dtype=np.int64), *self._kept])
        return {"figures": np.array([self.above, self._inside]), "counts": self._counts, "kept": kept}

    def merge(self, states: States) -> None:
        self.above, self._inside = (sum(int(s["figures"][place]) for s in states) for place in range(2))
        self._counts = np.sum([s["counts"] for s in states], axis=0)
        self._kept = [s["kept"] for s in states] if self._inside <= self.capacity else []


def _keys(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Integers in the order of the float64 numbers, consecutive for consecutive numbers."""
    bits = scores.view(np.int64)
    return np.where(bits < 0, -(bits & np.int64(2**63 - 1)), bits)


def _scores(keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """The inverse of :func:`_keys`."""
    return np.copysign(np.abs(keys).view(np.float64), keys)
