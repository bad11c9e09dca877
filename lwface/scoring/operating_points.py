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
from typing import Any, NamedTuple, Protocol

import numpy as np

from lwface.base.errors import UserError
from lwface.scoring.exact.comparisons import Comparisons, Tile
from lwface.scoring.exact.impostors import CAPACITY, Ranked, find_impostors
from lwface.scoring.exact.selection import Acceptance, Batch
from lwface.scoring.exact.sharding import Consumer, Session


class GenuineConsumer(Consumer, Protocol):
    """Adds up what it sees of the genuine pairs."""

    def add(self, batch: Batch) -> None:
        """See some of them."""
        ...


class Interval(NamedTuple):
    """Where a figure lies with 95 % confidence."""

    low: float
    high: float


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


def parse_fars(text: str) -> list[Fraction]:
    """The exact FARs of a comma-separated list such as ``1e-3,1e-4``; each above 0 and below 1."""
    fars = []
    for part in text.split(","):
        try:
            in_range = 0 < float(part) < 1  # first: the fraction of a huge exponent would fill the memory
        except ValueError:
            in_range = False
        if not in_range:
            raise UserError(f"FAR {part.strip()!r} is not a number above 0 and below 1; give them as in 1e-3,1e-4")
        fars.append(Fraction(part.strip()))
    return fars


def operating_points(
    comparisons: Comparisons,
    fars: Sequence[Fraction],
    *,
    session: Session | None = None,
    capacity: int = CAPACITY,
) -> list[OperatingPoint]:
    """The operating point of each FAR, in the order given.

    Args:
        comparisons: the pairs.
        fars: each above 0 and below 1.
        session: who computes; None: this process, and nothing is kept on disk.
        capacity: pairs held at a time; it changes memory and speed, never a result.

    Raises:
        UserError: there are no genuine or no impostor pairs.
    """
    check_pairs(comparisons)
    session = session or Session()
    ranks = ranks_of(comparisons, fars)
    found = find_impostors(comparisons, sorted(set(ranks.values())), session, capacity=capacity).ranks if ranks else {}
    thresholds = {rank: threshold_above(ranked.score) for rank, ranked in found.items()}
    acceptance = Acceptance(comparisons, list(thresholds.values()))
    if ranks:
        sweep_genuine(comparisons, [acceptance], session)
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
    comparisons: Comparisons, consumers: Sequence[GenuineConsumer], session: Session, *, exact: bool = False
) -> None:
    """Show every genuine pair to each of ``consumers``, in batches; with ``exact`` all of them are scored exactly."""

    def look(tile: Tile) -> list[Batch]:
        batches = [Batch.of(comparisons, block) for block in comparisons.blocks(tile, genuine=True)]
        if exact:
            for batch in batches:
                _ = batch.scores  # here, in one of several threads
        return batches

    def take(batches: list[Batch]) -> None:
        for batch in batches:
            for consumer in consumers:
                consumer.add(batch)

    session.sweep("genuine", comparisons.tiles(genuine=True), look, take, consumers, label="genuine pairs")
