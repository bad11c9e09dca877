"""The impostor scores that decide: the highest ones, all kept, and single ranks far below them.

FAR times the number of impostor pairs bounds how many of their scores matter, so nothing is done with the others than
to screen them out. Where the highest end is told by a sample of the pairs: it makes the work less and never decides.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.scoring.exact.comparisons import Comparisons, ScoredPairs, Tile
from lwface.scoring.exact.selection import HIGHEST, LOWEST, RankSearch, Tail
from lwface.scoring.exact.sharding import Session

CAPACITY = 2**21  # pairs held at a time: some 100 MB
KEPT_IF_ALL = 2**21  # so many impostor pairs are simply all kept
KEPT_SHARE = 256  # of more, at most one in this many: beyond, screening hardly pays
SAMPLE = 2**16
SAMPLE_SEED = 1
DEVIATIONS = 6  # of a count in the sample: what lies beyond is as good as never met


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


def find_impostors(
    comparisons: Comparisons,
    ranks: Sequence[int],
    session: Session,
    *,
    tail_rank: int = 0,
    capacity: int = CAPACITY,
) -> Impostors:
    """The impostor scores of ``ranks`` (1: the highest), and the highest pairs.

    Args:
        comparisons: the pairs.
        ranks: each from 1 to the number of impostor pairs.
        session: who computes.
        tail_rank: keep at least so many of the highest pairs, if they may be kept.
        capacity: pairs held at a time; it changes memory and speed, never a result.
    """
    most = most_kept(comparisons, capacity)
    wanted = max((rank for rank in [*ranks, min(tail_rank, most)] if rank <= most), default=0)
    sample = _Sample(comparisons)
    kept = Tail(wanted) if not wanted else _find_tail(comparisons, wanted, sample, session, capacity)
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
        _search(comparisons, pending, session, f"thresholds-{passes}")
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
        self._comparisons = comparisons
        self._pairs = comparisons.impostor_pairs
        self._enough = self._pairs > 4 * SAMPLE

    def floor(self, rank: int, attempt: int) -> float:
        """A score that about ``rank`` pairs reach, with some to spare, more at each further attempt."""
        expected = rank * len(self._quick) / self._pairs
        spare = 12 + DEVIATIONS * math.sqrt(expected) + expected / 8  # pairs of some rows vary with the rows
        return _highest(self._quick, math.ceil((expected + spare) * 8**attempt))

    def interval(self, rank: int) -> tuple[float, float]:
        """Where the ``rank``-th highest score is almost certain to lie."""
        expected = rank * len(self._even) / self._pairs
        margin = DEVIATIONS * math.sqrt(expected * (1 - rank / self._pairs)) + 12
        upper = math.floor(expected - margin)
        lower = _highest(self._even, math.ceil(expected + margin))
        return max(LOWEST, lower), HIGHEST if upper < 1 else _highest(self._even, upper)

    @cached_property
    def _quick(self) -> NDArray[np.floating[Any]]:
        return self._comparisons.scores_of_some(SAMPLE_SEED) if self._enough else np.empty(0)

    @cached_property
    def _even(self) -> NDArray[np.floating[Any]]:
        pairs = self._comparisons.sample(SAMPLE, SAMPLE_SEED)
        return self._comparisons.exact(pairs) if self._enough else np.empty(0)


def _highest(scores: NDArray[np.floating[Any]], rank: int) -> float:
    """The ``rank``-th highest, minus infinity where there are fewer."""
    place = len(scores) - rank
    return -math.inf if place < 0 else float(np.partition(scores, place)[place])


def _find_tail(comparisons: Comparisons, rank: int, sample: _Sample, session: Session, capacity: int) -> Tail:
    tiles = comparisons.tiles(genuine=False)
    for attempt in itertools.count():
        tail = Tail(rank, floor=sample.floor(rank, attempt), capacity=capacity)
        _fill(tail, comparisons, tiles, session, f"impostors-{attempt}")
        if not tail.missed:
            return tail
    raise AssertionError("the floor falls to minus infinity")


def _fill(tail: Tail, comparisons: Comparisons, tiles: Sequence[Tile], session: Session, name: str) -> None:
    def look(tile: Tile) -> Tail:
        own = Tail(tail.rank, floor=tail.floor, capacity=tail.capacity)
        for found in comparisons.above(tile, lambda: max(own.floor, tail.floor)):
            own.add(found)
        return own

    session.sweep(name, tiles, look, tail.join, [tail], label="impostor pairs")


def _search(comparisons: Comparisons, searches: Sequence[RankSearch], session: Session, name: str) -> None:
    def look(tile: Tile) -> list[RankSearch]:
        parts = [search.part() for search in searches]
        for block in comparisons.blocks(tile, genuine=False):
            for part in parts:
                part.add(block)
        return parts

    def take(parts: list[RankSearch]) -> None:
        for search, part in zip(searches, parts, strict=True):
            search.join(part)

    session.sweep(name, comparisons.tiles(genuine=False), look, take, searches, label="impostor thresholds")
