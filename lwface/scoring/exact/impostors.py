"""The impostor scores that decide: the highest ones, all kept, and single ranks far below them.

FAR times the number of impostor pairs bounds how many of their scores matter, so nothing is done with the others than
to screen them out. Where the highest end is told by a sample of the pairs: it makes the work less and never decides.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.scoring.exact.comparisons import Comparisons
from lwface.scoring.exact.feature_set import Pairs, ScoredPairs
from lwface.scoring.exact.rank_search import HIGHEST, LOWEST, RankSearch
from lwface.scoring.exact.tiles import PairTile, States, Sweeper

CAPACITY = 2**21  # pairs held at a time: some 100 MB
KEPT_IF_ALL = 2**21  # so many impostor pairs are simply all kept
KEPT_SHARE = 256  # of more, at most one in this many: beyond, screening hardly pays
ENOUGH = 2**18  # of fewer impostor pairs no sample is worth drawing
DEVIATIONS = 5  # of a count in the sample: what lies beyond is as good as never met, and then searched for again


class Ranked(NamedTuple):
    """A score and how many impostor scores are larger."""

    score: float
    above: int


class Impostors(NamedTuple):
    """What was found.

    Attributes:
        ranks: each rank asked for.
        tail: every impostor pair with a score of at least that of the last one, highest first. Empty when no rank asked
            for is small enough, and when more pairs tie for the highest score than can be kept.
        highest: the same, and some more of the pairs that tie with the last one where they are too many.
    """

    ranks: dict[int, Ranked]
    tail: ScoredPairs
    highest: ScoredPairs


class Tail:
    """Keeps every impostor pair whose exact score is at least the ``rank``-th highest, and says so if it could not.

    Args:
        rank: how many pairs are asked for.
        floor: pairs below it need not be offered. It may be a guess: see :attr:`missed`.
        capacity: how many pairs more than ``rank`` may be kept because they tie with the ``rank``-th.

    Attributes:
        floor: scores below it no longer matter; it rises.
        lost: the highest score of which pairs were dropped though they tied with the ``rank``-th of that moment,
            because there were too many; minus infinity: none was. Pairs with a higher score are all there, and so
            nothing is missing once the ``rank``-th has risen above it.
    """

    def __init__(self, rank: int, *, floor: float = -math.inf, capacity: int = 2**21) -> None:
        self.rank = rank
        self.floor = floor
        self.capacity = capacity
        self.lost = -math.inf
        self._found: list[ScoredPairs] = []
        self._count = 0
        self._compact_at = 2 * rank + 2**16

    @property
    def missed(self) -> bool:
        """Whether fewer pairs than asked for reached the floor: with a guessed one, it was too high."""
        return self._count < self.rank

    def add(self, found: ScoredPairs) -> None:
        """Take pairs that score at least the floor."""
        self._found.append(found)
        self._count += len(found.scores)
        if self._count > self._compact_at:
            self._compact()

    def join(self, other: Tail) -> None:
        """Take what another one kept."""
        other._compact()
        self.lost = max(self.lost, other.lost)
        self.add(other._joined())

    def result(self) -> ScoredPairs:
        """The pairs kept, highest first; pairs that tie are in ascending order of position."""
        self._compact()
        (left, right), scores = self._joined()
        order = np.lexsort((right, left, -scores))
        return ScoredPairs(Pairs(left[order], right[order]), scores[order])

    def state(self) -> dict[str, NDArray[Any]]:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        (left, right), scores = self._joined()
        return {"left": left, "right": right, "scores": scores, "limits": np.array([self.floor, self.lost])}

    def merge(self, states: States) -> None:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        self._found = [ScoredPairs(Pairs(s["left"], s["right"]), s["scores"]) for s in states]
        self._count = sum(len(found.scores) for found in self._found)
        self.floor, self.lost = (max(float(s["limits"][place]) for s in states) for place in range(2))
        self._compact()

    def _joined(self) -> ScoredPairs:
        if not self._found:
            empty = np.empty(0, dtype=np.int64)
            return ScoredPairs(Pairs(empty, empty), np.empty(0))
        if len(self._found) > 1:
            pairs = Pairs(*(np.concatenate(side) for side in zip(*(f.pairs for f in self._found), strict=True)))
            self._found = [ScoredPairs(pairs, np.concatenate([f.scores for f in self._found]))]
        return self._found[0]

    def _compact(self) -> None:
        pairs, scores = self._joined()
        if len(scores) > self.rank:
            last = float(np.partition(scores, len(scores) - self.rank)[len(scores) - self.rank])
            keep = np.flatnonzero(scores >= last)
            self.floor = max(self.floor, last)
            if len(keep) > self.rank + self.capacity:
                above = np.flatnonzero(scores > last)
                keep = np.append(above, np.flatnonzero(scores == last)[: self.rank - len(above)])
                self.floor, self.lost = max(self.floor, float(np.nextafter(last, np.inf))), max(self.lost, last)
            self._found = [ScoredPairs(pairs.take(keep), scores[keep])]
            self._count = len(keep)
        self._compact_at = max(2 * self.rank + 2**16, self._count + 2**16)


def find_impostors(
    comparisons: Comparisons,
    ranks: Sequence[int],
    workers: Sweeper,
    *,
    tail_rank: int = 0,
    capacity: int = CAPACITY,
    prefix: str = "",
) -> Impostors:
    """The impostor scores of ``ranks`` (1: the highest), and the highest pairs.

    Args:
        comparisons: the pairs.
        ranks: each from 1 to the number of impostor pairs.
        workers: who computes.
        tail_rank: keep at least so many of the highest pairs, if they may be kept.
        capacity: pairs held at a time; it changes memory and speed, never a result.
        prefix: of the sweeps' names: another one for each call of a run.
    """
    most = most_kept(comparisons, capacity)
    wanted = max((rank for rank in [*ranks, min(tail_rank, most)] if rank <= most), default=0)
    sample = _Sample(comparisons)
    kept = Tail(wanted) if not wanted else _find_tail(comparisons, wanted, sample, workers, capacity, prefix)
    best = kept.result()
    complete = int(np.searchsorted(-best.scores, -kept.lost, "left"))  # all, where what was lost is below the last
    tail = _first(best, complete)
    highest = _first(best, max(complete, wanted))  # which of those that tie were kept is chance, not how many are shown
    found: dict[int, Ranked] = {}
    for rank in ranks:
        if rank <= complete:
            score = float(tail.scores[rank - 1])
            found[rank] = Ranked(score, int(np.searchsorted(-tail.scores, -score, "left")))
    missing = sorted(set(ranks) - found.keys())
    each = max(1, capacity // max(1, len(missing)))
    pending = [RankSearch(comparisons, rank, *sample.interval(rank), each) for rank in missing]
    passes = 0
    while pending:
        _search(comparisons, pending, workers, f"{prefix}thresholds-{passes}")
        passes += 1
        pending, searched = [s for s in pending if not s.finish()], pending
        found.update({s.rank: Ranked(s.score, s.above) for s in searched if s.score is not None})
    return Impostors(found, tail, highest)


def _first(found: ScoredPairs, count: int) -> ScoredPairs:
    return ScoredPairs(found.pairs.take(slice(count)), found.scores[:count])


def most_kept(comparisons: Comparisons, capacity: int = CAPACITY) -> int:
    """The largest rank up to which all pairs are kept."""
    total = comparisons.impostor_pairs
    return min(capacity, total if total <= KEPT_IF_ALL else total // KEPT_SHARE)


class _Sample:
    """Scores of some impostor pairs: where the ``rank``-th highest of all is likely to be."""

    def __init__(self, comparisons: Comparisons) -> None:
        self._pairs = comparisons.impostor_pairs
        self._scores = comparisons.sample.scores if self._pairs > ENOUGH else np.empty(0)

    def floor(self, rank: int, attempt: int) -> float:
        """A score that about ``rank`` pairs reach, with some to spare, more at each further attempt."""
        expected = rank * len(self._scores) / self._pairs
        spare = 12 + DEVIATIONS * math.sqrt(expected)
        return _highest(self._scores, math.ceil((expected + spare) * 8**attempt))

    def interval(self, rank: int) -> tuple[float, float]:
        """Where the ``rank``-th highest score is almost certain to lie."""
        expected = rank * len(self._scores) / self._pairs
        margin = DEVIATIONS * math.sqrt(expected * (1 - rank / self._pairs)) + 12
        upper = math.floor(expected - margin)
        lower = _highest(self._scores, math.ceil(expected + margin))
        return max(LOWEST, lower), HIGHEST if upper < 1 else _highest(self._scores, upper)


def _highest(scores: NDArray[np.floating[Any]], rank: int) -> float:
    """The ``rank``-th highest, minus infinity where there are fewer."""
    place = len(scores) - rank
    return -math.inf if place < 0 else float(np.partition(scores, place)[place])


def _find_tail(
    comparisons: Comparisons, rank: int, sample: _Sample, workers: Sweeper, capacity: int, prefix: str
) -> Tail:
    tiles = comparisons.tiles(genuine=False)
    for attempt in itertools.count():
        tail = Tail(rank, floor=sample.floor(rank, attempt), capacity=capacity)
        _fill(tail, comparisons, tiles, workers, f"{prefix}impostors-{attempt}")
        if not tail.missed:
            return tail
    raise AssertionError("the floor falls to minus infinity")


def _fill(tail: Tail, comparisons: Comparisons, tiles: Sequence[PairTile], workers: Sweeper, name: str) -> None:
    def look(tile: PairTile) -> Tail:
        own = Tail(tail.rank, floor=tail.floor, capacity=tail.capacity)
        for found in comparisons.above(tile, lambda: max(own.floor, tail.floor)):
            own.add(found)
        return own

    workers.sweep(name, tiles, look, tail.join, [tail], label="impostor pairs")


def _search(comparisons: Comparisons, searches: Sequence[RankSearch], workers: Sweeper, name: str) -> None:
    def look(tile: PairTile) -> list[RankSearch]:
        parts = [search.part() for search in searches]
        for block in comparisons.blocks(tile, genuine=False):
            for part in parts:
                part.add(block)
        return parts

    def take(parts: list[RankSearch]) -> None:
        for search, part in zip(searches, parts, strict=True):
            search.join(part)

    workers.sweep(name, comparisons.tiles(genuine=False), look, take, searches, label="impostor thresholds")
