"""TAR and FAR of the parts of a set: the rows that share a camera, a pose, an age band, compared among themselves.

Every part is judged at the thresholds of the whole, for one threshold is what is deployed: a part whose TAR is lower is
served worse, one whose achieved FAR is higher is protected less. Counts are exact; intervals come from the replicates
of the whole (:mod:`lwface.scoring.intervals`), each part at the replicate's overall threshold, so that the parts can be
compared.

The gap is the largest TAR less the smallest among the parts that have enough people for an interval. Its interval is
that of the difference between those two parts: of the maximum less the minimum of each replicate it could never hold 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.formats.person_labels import Codes
from lwface.scoring.exact.comparisons import Comparisons
from lwface.scoring.exact.feature_set import ScoredPairs
from lwface.scoring.exact.tiles import States
from lwface.scoring.intervals import Bootstrap, GenuineTally, Interval, interval, percentiles
from lwface.scoring.operating_points import OperatingPoint, PairBatch
from lwface.scoring.tar_far_result import Breakdown, Group, GroupPoint


class ValuedRows(NamedTuple):
    """The rows of one set."""

    codes: NDArray[np.int64]  # (N,) person, as in Bootstrap.codes
    values: NDArray[np.int64]  # (N,) of the column; negative: none


class BreakdownTally:
    """Counts the pairs of which both rows have the same value.

    Args:
        name: of the column, for the result.
        values: V, of :func:`lwface.scoring.column_values.chosen_values`.
        left: the rows of the only set, or of the probe.
        points: F, of the whole.
        bootstrap: the people of both sets.
        thresholds: (F, B) of the replicates of the whole.
        right: the rows of the gallery.
    """

    def __init__(
        self,
        name: str,
        values: list[str],
        left: ValuedRows,
        points: Sequence[OperatingPoint],
        bootstrap: Bootstrap,
        thresholds: NDArray[np.float64],
        right: ValuedRows | None = None,
    ) -> None:
        self.name, self.values = name, values
        self.points, self.bootstrap = points, bootstrap
        self.left, self.right = left, left if right is None else right
        self._sides = [left] if right is None else [left, right]
        known = np.array([np.nan if point.threshold is None else point.threshold for point in points])
        self._thresholds = np.unique(known[~np.isnan(known)])
        self._reach = 1 + np.searchsorted(self._thresholds, known)  # how many thresholds an accepted pair reaches
        self._genuine = np.zeros((len(values), len(self._thresholds) + 1), dtype=np.int64)  # by thresholds reached
        self._impostors = np.zeros_like(self._genuine)
        people = len(bootstrap)
        has_value = (left.values >= 0) & (left.codes < bootstrap.known)
        self._cells, cell_of = np.unique(
            left.values[has_value] * people + left.codes[has_value], return_inverse=True
        )  # a (value, person) that has rows, by value
        self._cell_of = np.full(len(left.codes), -1)
        self._cell_of[has_value] = cell_of
        self._tally = GenuineTally(thresholds, len(self._cells))

    def add_genuine(self, left: NDArray[np.int64], right: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Count genuine pairs (n,) of rows and their scores; every genuine pair is to be added once."""
        kept, scores = self._add(self._genuine, left, right, scores)
        self._tally.add(self._cell_of[left[kept]], scores)

    def add_impostors(self, left: NDArray[np.int64], right: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Count impostor pairs (n,); every one at or above the thresholds of interest is to be added once."""
        self._add(self._impostors, left, right, scores)

    def _add(
        self,
        counts: NDArray[np.int64],
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        scores: NDArray[np.float64],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        values = self.left.values[left]
        kept = np.flatnonzero((values >= 0) & (values == self.right.values[right]))
        reached = np.searchsorted(self._thresholds, scores[kept], side="right")
        np.add.at(counts, (values[kept], reached), 1)
        return kept, scores[kept]

    def state(self) -> dict[str, NDArray[Any]]:
        """What was counted of the genuine pairs, as :class:`lwface.scoring.exact.tiles.Consumer` has it."""
        return {"genuine": self._genuine.ravel(), "tally": self._tally.state()}

    def merge(self, states: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        """Become the sum of ``states``."""
        self._genuine = np.sum([s["genuine"] for s in states], axis=0).reshape(self._genuine.shape)
        self._tally.merge([s["tally"] for s in states])

    def result(self, impostor_pairs: NDArray[np.int64], *, floor: float = -np.inf) -> Breakdown:
        """What was counted.

        Args:
            impostor_pairs: (V,) of each value, as ``impostor_pairs_within`` of the comparisons counts them.
            floor: every impostor pair that scores at least this was added; at a threshold below it the achieved FAR is
                None.
        """
        replicates, groups = [], []
        for value in range(len(self.values)):
            cells = np.flatnonzero(self._cells // len(self.bootstrap) == value)
            cells = cells[self._tally.counts[cells].any(axis=1)]  # of people with genuine pairs
            replicates.append(self._tally.tars(self.bootstrap, self._cells % len(self.bootstrap), cells))
            groups.append(self._group(value, int(impostor_pairs[value]), replicates[-1], len(cells), floor))
        gaps = [self._gap(index, groups, replicates) for index in range(len(self.points))]
        return Breakdown(self.name, groups, gaps)

    def _group(
        self, value: int, impostor_pairs: int, replicates: NDArray[np.float64], people: int, floor: float
    ) -> Group:
        genuine_pairs = int(self._genuine[value].sum())
        points = []
        for index, point in enumerate(self.points):
            tar, around, achieved = None, None, None
            if point.threshold is not None and genuine_pairs:
                tar = int(self._genuine[value, self._reach[index] :].sum()) / genuine_pairs
                around = interval(replicates[index], people)
            if point.threshold is not None and point.threshold >= floor and impostor_pairs:
                achieved = int(self._impostors[value, self._reach[index] :].sum()) / impostor_pairs
            points.append(GroupPoint(point.far, tar, around, achieved))
        codes = [side.codes[side.values == value] for side in self._sides]
        rows, persons = sum(map(len, codes)), len(np.unique(np.concatenate(codes)))
        return Group(self.values[value], rows, persons, genuine_pairs, impostor_pairs, points)

    @staticmethod
    def _gap(
        index: int, groups: list[Group], replicates: list[NDArray[np.float64]]
    ) -> tuple[float | None, Interval | None]:
        tars = {
            value: point.tar
            for value, point in enumerate(group.points[index] for group in groups)
            if point.tar is not None and point.interval is not None
        }
        if len(tars) < 2:
            return None, None
        best, worst = max(tars, key=lambda value: tars[value]), min(tars, key=lambda value: tars[value])
        change = replicates[best][index] - replicates[worst][index]
        return tars[best] - tars[worst], percentiles(change)


class ColumnTally:
    """Shows the pairs of a protocol to a :class:`BreakdownTally` of one column of attributes of the rows.

    Args:
        comparisons: the pairs, of one set.
        name, codes: of the column.
        points: F, of the whole.
        bootstrap: the people.
        thresholds: (F or more, B) of the replicates of the whole.
    """

    def __init__(
        self,
        comparisons: Comparisons,
        name: str,
        codes: Codes,
        points: Sequence[OperatingPoint],
        bootstrap: Bootstrap,
        thresholds: NDArray[np.float64],
    ) -> None:
        self._comparisons = comparisons
        self._side = ValuedRows(bootstrap.codes(comparisons.people()), codes.codes)
        self._tally = BreakdownTally(name, codes.values, self._side, points, bootstrap, thresholds[: len(points)])

    def add(self, batch: PairBatch) -> None:
        """See some genuine pairs."""
        self._tally.add_genuine(*self._comparisons.rows(batch.pairs), batch.scores)

    def state(self) -> dict[str, NDArray[Any]]:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        return self._tally.state()

    def merge(self, states: States) -> None:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        self._tally.merge(states)

    def result(self, tail: ScoredPairs, complete: bool) -> Breakdown:
        """What was counted, with the impostors of the tail."""
        self._tally.add_impostors(*self._comparisons.rows(tail.pairs), tail.scores)
        lowest = float(tail.scores[-1]) if len(tail.scores) else np.inf
        counts = self._comparisons.impostor_pairs_within(self._side.values, len(self._tally.values))
        return self._tally.result(counts, floor=-np.inf if complete else lowest)
