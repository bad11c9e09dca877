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

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from common.errors import UserError
from eval.comparisons import Comparisons
from eval.selection import Acceptance, Bracket, Histogram, TopPairs

CAPACITY = 2**22  # pairs held at a time while a threshold is looked for: about 200 MB at most


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

    def as_json(self) -> dict[str, Any]:
        """The entry of ``results`` in the command's JSON."""
        return {
            "far": float(self.far),
            "threshold": self.threshold,
            "false_accepts": self.false_accepts,
            "true_accepts": self.true_accepts,
            "tar": self.tar,
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
    impostors: Histogram | None = None,
    capacity: int = CAPACITY,
) -> list[OperatingPoint]:
    """The operating point of each FAR, in the order given.

    Args:
        comparisons: the pairs.
        fars: each above 0 and below 1.
        impostors: the histogram of the impostor scores, when there is one: it saves finding it.
        capacity: pairs held at a time; it changes memory and speed, never a result.

    Raises:
        UserError: there are no genuine or no impostor pairs.
    """
    genuine_pairs, impostor_pairs = comparisons.genuine_pairs, comparisons.impostor_pairs
    if not genuine_pairs:
        raise UserError("there are no genuine pairs: no person has two rows to compare, so there is no TAR to report")
    if not impostor_pairs:
        raise UserError("there are no impostor pairs: every pair is of one person, so there is no FAR to report")
    allowed = {far: far.numerator * impostor_pairs // far.denominator for far in fars}
    ranks = sorted({count + 1 for count in allowed.values() if count >= 1})
    found = _largest_impostors(comparisons, ranks, impostors, capacity) if ranks else {}
    thresholds = {rank: float(np.nextafter(score, np.inf)) for rank, (score, _) in found.items()}
    acceptance = Acceptance(comparisons, [thresholds[rank] for rank in ranks])
    if ranks:
        for block in comparisons.blocks(genuine=True, label="genuine pairs"):
            acceptance.add(block)
    accepted = dict(zip(ranks, acceptance.accepted, strict=True))
    points = []
    for far in fars:
        rank = allowed[far] + 1
        figures = (thresholds[rank], found[rank][1], accepted[rank]) if rank in found else (None, None, None)
        points.append(OperatingPoint(far, impostor_pairs, genuine_pairs, *figures))
    return points


def _largest_impostors(
    comparisons: Comparisons, ranks: list[int], histogram: Histogram | None, capacity: int
) -> dict[int, tuple[float, int]]:
    """For each rank: the rank-th largest impostor score, and how many impostor scores are larger."""
    if histogram is None and ranks[-1] <= capacity // 2:
        top = TopPairs(comparisons, ranks[-1], capacity)
        for block in comparisons.blocks(genuine=False, label="impostor pairs"):
            top.add(block)
            if top.overflowed:
                break
        if not top.overflowed:
            return {rank: top.nth(rank) for rank in ranks}
    if histogram is None:
        histogram = Histogram(comparisons.error)
        for block in comparisons.blocks(genuine=False, label="impostor histogram"):
            histogram.add(block)
    brackets = [Bracket(comparisons, rank, *histogram.bracket(rank, comparisons.error), capacity) for rank in ranks]
    pending = brackets
    while pending:
        for block in comparisons.blocks(genuine=False, label="impostor thresholds"):
            for bracket in pending:
                bracket.add(block)
        pending = [bracket for bracket in pending if not bracket.finish()]
    return {bracket.rank: (bracket.score, bracket.above) for bracket in brackets if bracket.score is not None}
