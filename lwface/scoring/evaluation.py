"""What the evaluation of one feature file found: everything that the table, the JSON and the report show."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.scoring.operating_points import Interval, OperatingPoint


class HardPair(NamedTuple):
    """Two file rows and their exact score; with probe and gallery, ``left`` is a probe row, ``right`` a gallery row."""

    left: int
    right: int
    score: float


class Roc(NamedTuple):
    """TAR over FAR, from the strictest threshold to the loosest.

    Each point is what an operating point at that FAR is: counted from all pairs where ``exact``, else from a sample of
    the impostor pairs.
    """

    far: NDArray[np.float64]  # (R,) achieved, ascending, first at most one impostor pair
    tar: NDArray[np.float64]  # (R,)
    threshold: NDArray[np.float64]  # (R,)
    exact: NDArray[np.bool_]  # (R,)
    low: NDArray[np.float64] | None = None  # (R,) interval of the TAR
    high: NDArray[np.float64] | None = None


class ScoreHistogram(NamedTuple):
    """Pairs by score, in equal bins."""

    edges: NDArray[np.float64]  # (B + 1,)
    counts: NDArray[np.int64]  # (B,)
    sampled: bool  # of a sample of the pairs, not of all


class Suspects(NamedTuple):
    """Pairs whose score says that the labels are wrong; at most some thousand of each kind are listed."""

    impostors: list[HardPair]  # above 0.9, highest first
    impostor_count: int
    genuine: list[HardPair]  # below 0, lowest first
    genuine_count: int
    more_impostors: bool = False  # there were too many to count: ``impostor_count`` is of those kept


class GroupPoint(NamedTuple):
    """A part of the pairs at the threshold of one FAR of the whole."""

    far: Fraction  # asked for, of all pairs
    tar: float | None  # None: the part has no genuine pairs, or the FAR is not resolvable
    interval: Interval | None
    achieved_far: float | None  # None: the part has no impostor pairs


class Group(NamedTuple):
    """The rows that share a value, compared among themselves."""

    value: str
    rows: int
    people: int
    genuine_pairs: int
    impostor_pairs: int
    points: list[GroupPoint]


class Breakdown(NamedTuple):
    """One column of attributes, by value; ``gaps`` has one (TAR, interval) a FAR: largest minus smallest TAR."""

    column: str
    groups: list[Group]
    gaps: list[tuple[float | None, Interval | None]]


class Difference(NamedTuple):
    """Two feature files of the same rows at one FAR."""

    first: str
    second: str
    far: Fraction
    difference: float | None  # TAR of the second minus TAR of the first
    interval: Interval | None

    @property
    def better(self) -> str | None:
        """The name of the better one; None when the interval holds 0 and so neither is shown to be."""
        if self.interval is None or self.interval.low <= 0 <= self.interval.high:
            return None
        return self.second if self.interval.low > 0 else self.first


@dataclass(frozen=True)
class Evaluation:
    """One feature file under one protocol.

    Attributes:
        name: what tables call it.
        rows, dim: of the feature file (of probe and gallery together).
        protocol: which pairs, in words.
        points: one a FAR asked for, in the order asked.
    """

    name: str
    rows: int
    dim: int
    genuine_pairs: int
    impostor_pairs: int
    protocol: str
    points: list[OperatingPoint]
    roc: Roc | None = None
    genuine: ScoreHistogram | None = None
    impostors: ScoreHistogram | None = None
    hardest_genuine: list[HardPair] = field(default_factory=list)
    hardest_impostors: list[HardPair] = field(default_factory=list)
    suspects: Suspects | None = None
    breakdowns: list[Breakdown] = field(default_factory=list)
