"""TAR at FAR with exact counts.

A pair is accepted when its score is at least the threshold. For a FAR asked for, with ``I`` impostor pairs and
``k = floor(FAR * I)``, the threshold reported is the smallest float64 that at most ``k`` impostor scores reach. That is
the float64 next above the (k+1)-th largest impostor score ``s``: at ``s`` itself and below at least k+1 impostors are
accepted, and above ``s`` there are at most k. So impostors that tie at ``s`` are all refused: ties fall on the safe
side, ``false_accepts`` may be less than ``k``, and FAR is never above the one asked for. TAR is the share of genuine
pairs accepted, the largest that keeps to the FAR.

A FAR of less than one impostor pair (``FAR * I < 1``) is beyond what the set can tell: any threshold above the largest
impostor score has no false accept, and how far above is a matter of luck. It is reported as not resolvable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.scoring.exact.comparisons import Comparisons
from lwface.scoring.exact.feature_set import NO_PAIR, Pairs, ScoreBlock
from lwface.scoring.exact.impostors import CAPACITY, Ranked, find_impostors
from lwface.scoring.exact.tiles import Consumer, PairTile, States, Sweeper
from lwface.scoring.intervals import Interval


class PairBatch:
    """Some pairs with their scores.

    Attributes:
        pairs: n of them.
        screened: (n,) float32; None: the exact ones are wanted of all.
    """

    def __init__(self, comparisons: Comparisons, pairs: Pairs, screened: NDArray[np.float32] | None = None) -> None:
        self.comparisons = comparisons
        self.pairs = pairs
        self.screened = screened

    @classmethod
    def of(cls, comparisons: Comparisons, block: ScoreBlock) -> PairBatch:
        """The pairs of ``block``."""
        cells = np.flatnonzero(block.values > NO_PAIR)
        return cls(comparisons, block.pairs(cells), block.values.ravel()[cells])

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """(n,) exact scores, computed when they are first asked for."""
        return self.comparisons.exact(self.pairs)


class Acceptance:
    """Counts the pairs whose exact score is at least each of ``thresholds``: ``accepted`` (T,) in their order."""

    def __init__(self, comparisons: Comparisons, thresholds: Sequence[float]) -> None:
        self._order = np.argsort(thresholds, kind="stable")
        self._thresholds = np.array(thresholds, dtype=np.float64)[self._order]
        self._margin = comparisons.error
        self._counts = np.zeros(len(thresholds) + 1, dtype=np.int64)  # by how many thresholds a pair reaches

    def add(self, batch: PairBatch) -> None:
        """Count the pairs of ``batch``; only those near a threshold are scored exactly."""
        if batch.screened is None:
            reached = np.searchsorted(self._thresholds, batch.scores, "right")
        else:
            screened = batch.screened.astype(np.float64)
            reached = np.searchsorted(self._thresholds, screened - self._margin, "right")
            unsure = np.flatnonzero(reached != np.searchsorted(self._thresholds, screened + self._margin, "right"))
            exact = batch.comparisons.exact(batch.pairs.take(unsure))
            reached[unsure] = np.searchsorted(self._thresholds, exact, "right")
        self._counts += np.bincount(reached, minlength=len(self._counts))

    @property
    def accepted(self) -> list[int]:
        """Pairs at or above each threshold."""
        at_least = np.cumsum(self._counts[::-1])[::-1][1:]
        accepted = np.empty(len(at_least), dtype=np.int64)
        accepted[self._order] = at_least
        return accepted.tolist()

    def state(self) -> dict[str, NDArray[Any]]:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        return {"counts": self._counts}

    def merge(self, states: States) -> None:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        self._counts = np.sum([s["counts"] for s in states], axis=0)


class GenuineConsumer(Consumer, Protocol):
    """Adds up what it sees of the genuine pairs."""

    def add(self, batch: PairBatch) -> None:
        """See some of them."""
        ...


@dataclass(frozen=True)
class OperatingPoint:
    """One FAR and what it allows; the figures are None when the set cannot resolve it."""

    far: Fraction
    impostor_pairs: int
    genuine_pairs: int
    threshold: float | None = None
    false_accepts: int | None = None
    true_accepts: int | None = None
    interval: Interval | None = None  # of the TAR

    @property
    def resolvable(self) -> bool:
        """Whether the FAR is at least one impostor pair."""
        return self.far * self.impostor_pairs >= 1

    @property
    def tar(self) -> float | None:
        """Share of the genuine pairs accepted."""
        return None if self.true_accepts is None else self.true_accepts / self.genuine_pairs

    @property
    def achieved_far(self) -> float | None:
        """Share of the impostor pairs accepted."""
        return None if self.false_accepts is None else self.false_accepts / self.impostor_pairs

    @property
    def reason(self) -> str | None:
        """Why there are no figures."""
        if self.resolvable:
            return None
        return f"needs at least {-(-1 // self.far)} impostor pairs, the set has {self.impostor_pairs}"

    def with_interval(self, interval: Interval | None) -> OperatingPoint:
        """The same with the interval of its TAR."""
        return self if self.tar is None else replace(self, interval=interval)

    def as_json(self) -> dict[str, Any]:
        """The entry of ``results`` in the command's JSON."""
        return {
            "far": float(self.far),
            "threshold": self.threshold,
            "false_accepts": self.false_accepts,
            "true_accepts": self.true_accepts,
            "tar": self.tar,
            "tar_interval": None if self.interval is None else list(self.interval),
            "achieved_far": self.achieved_far,
            "resolvable": self.resolvable,
            **({} if self.reason is None else {"reason": self.reason}),
        }


def operating_points(
    comparisons: Comparisons,
    fars: Sequence[Fraction],
    *,
    workers: Sweeper | None = None,
    capacity: int = CAPACITY,
) -> list[OperatingPoint]:
    """The operating point of each FAR, in the order given.

    Args:
        comparisons: the pairs.
        fars: each above 0 and below 1.
        workers: who computes; None: this process, and nothing is kept on disk.
        capacity: pairs held at a time; it changes memory and speed, never a result.

    Raises:
        UserError: there are no genuine or no impostor pairs.
    """
    check_pairs(comparisons)
    if workers is None:
        from lwface.scoring.exact.sharding import Workers  # with PyTorch, which a challenge's server has not

        workers = Workers()
    ranks = ranks_of(comparisons, fars)
    found = find_impostors(comparisons, sorted(set(ranks.values())), workers, capacity=capacity).ranks if ranks else {}
    thresholds = {rank: threshold_above(ranked.score) for rank, ranked in found.items()}
    acceptance = Acceptance(comparisons, list(thresholds.values()))
    if ranks:
        sweep_genuine(comparisons, [acceptance], workers)
    accepted = dict(zip(thresholds, acceptance.accepted, strict=True))
    return points_from(comparisons, fars, found, accepted)


def check_pairs(comparisons: Comparisons) -> None:
    """Raise :class:`UserError` where there are no genuine or no impostor pairs."""
    if not comparisons.genuine_pairs:
        raise UserError("there are no genuine pairs: no person has two rows to compare, so there is no TAR to report")
    if not comparisons.impostor_pairs:
        raise UserError("there are no impostor pairs: every pair is of one person, so there is no FAR to report")


def ranks_of(comparisons: Comparisons, fars: Sequence[Fraction]) -> dict[Fraction, int]:
    """Which impostor score decides at each FAR that can be resolved: one more than it allows."""
    allowed = {far: far.numerator * comparisons.impostor_pairs // far.denominator for far in fars}
    return {far: count + 1 for far, count in allowed.items() if count >= 1}


def threshold_above(score: float) -> float:
    """The smallest threshold that refuses ``score``."""
    return float(np.nextafter(score, np.inf))


def points_from(
    comparisons: Comparisons, fars: Sequence[Fraction], found: Mapping[int, Ranked], accepted: Mapping[int, int]
) -> list[OperatingPoint]:
    """The operating points from the deciding impostors and the genuine pairs accepted, both by rank."""
    ranks = ranks_of(comparisons, fars)
    points = []
    for far in fars:
        point = OperatingPoint(far, comparisons.impostor_pairs, comparisons.genuine_pairs)
        if far in ranks:
            rank = ranks[far]
            point = replace(
                point,
                threshold=threshold_above(found[rank].score),
                false_accepts=found[rank].above,
                true_accepts=accepted[rank],
            )
        points.append(point)
    return points


def sweep_genuine(
    comparisons: Comparisons, consumers: Sequence[GenuineConsumer], workers: Sweeper, *, exact: bool = False
) -> None:
    """Show every genuine pair to each of ``consumers``, in batches; with ``exact`` all of them are scored exactly."""

    def look(tile: PairTile) -> list[PairBatch]:
        if not exact:
            return [PairBatch.of(comparisons, block) for block in comparisons.blocks(tile, genuine=True)]
        batch = PairBatch(comparisons, comparisons.genuine(tile))
        _ = batch.scores  # here, in one of several threads
        return [batch]

    def take(batches: list[PairBatch]) -> None:
        for batch in batches:
            for consumer in consumers:
                consumer.add(batch)

    workers.sweep("genuine", comparisons.tiles(genuine=True), look, take, consumers, label="genuine pairs")
