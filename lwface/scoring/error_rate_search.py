"""Equal error rate and best accuracy of all pairs, however many there are: passes that count at chosen thresholds.

Neither figure needs more of the impostors than how many score at least as much as single genuine scores:

* Accuracy is highest at a genuine score, for between two of them only impostors are lost. Of the genuine scores between
  two that are counted, none can be better than the genuine pairs accepted at the lower end and the impostors accepted
  at the upper end make it; where that is less than the best counted, they are left out.
* FAR is above FRR below some genuine score and not at the next. Either it falls to FRR at an impostor's score between
  the two, where FRR stands still and so is the equal error rate, with the threshold of an operating point at that FAR;
  or at the genuine score itself, which takes the counts at it and just above it.

So each pass counts the impostors at some hundred genuine scores among those still in question; there are few passes.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.scoring.error_rates import NEARLY, Staircase
from lwface.scoring.exact.comparisons import Comparisons
from lwface.scoring.exact.impostors import Ranked, find_impostors
from lwface.scoring.exact.tiles import PairTile, Sweeper
from lwface.scoring.operating_points import Acceptance, PairBatch, threshold_above
from lwface.scoring.tar_far_result import ErrorRate, ErrorRates

AT_ONCE = 512  # thresholds of a pass for each of the two figures: more make those many pairs that lie near one


def search_error_rates(
    comparisons: Comparisons, genuine: NDArray[np.float64], workers: Sweeper, at_once: int = AT_ONCE
) -> ErrorRates:
    """Both figures, exact, without intervals.

    Args:
        comparisons: the pairs.
        genuine: (G,) all genuine scores.
        workers: who computes.
        at_once: thresholds of a pass for each figure; it changes the number of passes, never a result.
    """
    search = _Search(comparisons, genuine, workers, at_once)
    wanted = search.wanted()
    while len(wanted):
        search.count(wanted)
        wanted = search.wanted()
    return ErrorRates(search.equal_error(), search.best_accuracy())


class _Search:
    """What is known so far. A candidate is a genuine score, or the float64 just above one; strictest first."""

    def __init__(self, comparisons: Comparisons, genuine: NDArray[np.float64], workers: Sweeper, at_once: int) -> None:
        self._comparisons, self._workers, self._at_once = comparisons, workers, at_once
        ordered = np.sort(genuine)
        self._candidates = np.unique(np.concatenate([ordered, np.nextafter(ordered, np.inf)]))[::-1]
        self._is_score = np.isin(self._candidates, ordered)
        self._accepted = len(ordered) - np.searchsorted(ordered, self._candidates, "left")
        self._impostors = np.full(len(self._candidates), -1, dtype=np.int64)  # accepted, where that is counted
        self._passes = 0

    def count(self, places: NDArray[np.int64]) -> None:
        """A pass over all impostor pairs: how many reach each of the candidates."""
        thresholds = self._candidates[places].tolist()
        total = Acceptance(self._comparisons, thresholds)

        def look(tile: PairTile) -> Acceptance:
            part = Acceptance(self._comparisons, thresholds)
            for block in self._comparisons.blocks(tile, genuine=False):
                part.add(PairBatch.of(self._comparisons, block))
            return part

        def take(part: Acceptance) -> None:
            total.merge([total.state(), part.state()])

        tiles = self._comparisons.tiles(genuine=False)
        self._workers.sweep(f"error-rates-{self._passes}", tiles, look, take, [total], label="error rates")
        self._passes += 1
        self._impostors[places] = total.accepted

    def wanted(self) -> NDArray[np.int64]:
        """The candidates to be counted next; none when both figures are decided."""
        return np.unique(np.concatenate([self._some(self._near_crossing()), self._some(self._may_be_best())]))

    def best_accuracy(self) -> ErrorRate:
        """The best of the candidates counted, and of accepting nothing."""
        counted = self._counted()
        columns = (self._candidates, self._accepted, self._impostors)
        scores, genuine, impostors = (
            np.append(first, column[counted]) for first, column in zip((np.inf, 0, 0), columns, strict=True)
        )
        found = self._points(scores, genuine, impostors).best_of_these()
        if found.far or found.frr < 1:
            return found
        return found._replace(threshold=max(float(self._candidates[0]), threshold_above(self._score_of(1).score)))

    def equal_error(self) -> ErrorRate:
        """From the two neighbouring candidates where FAR rises above FRR."""
        points, end = self._points(), len(self._candidates)
        after = next((place for place in self._counted().tolist() if points.crossed(place)), end)
        at_a_score = after < end and np.nextafter(self._candidates[after], np.inf) == self._candidates[after - 1]
        if at_a_score:
            found = self._points(*(column[after - 1 : after + 1] for column in points[:3])).equal_error()
            if found is None:
                raise AssertionError("FAR is above FRR at the second of the two and not at the first")
            return found
        # between two genuine scores: FRR stands still, and FAR falls to it at an impostor's score
        frr = points.rates(after - 1)[1]
        deciding = self._score_of(int(frr * points.impostor_pairs) + 1)
        far = Fraction(deciding.above, points.impostor_pairs)
        return ErrorRate(float(frr), threshold_above(deciding.score), float(far), float(frr), exact=True)

    def _near_crossing(self) -> NDArray[np.int64]:
        """Between the last counted candidate where FAR is not above FRR and the first where it is."""
        points, counted = self._points(), self._counted()
        first = next((place for place in counted.tolist() if points.crossed(place)), len(self._candidates))
        before = counted[counted < first]
        return np.arange(before[-1] + 1 if len(before) else 0, first)

    def _may_be_best(self) -> NDArray[np.int64]:
        """The scores not counted that may be at least as good as the best counted candidate."""
        counted, places = self._counted(), np.flatnonzero((self._impostors < 0) & self._is_score)
        points = self._points()
        before = np.searchsorted(counted, places) - 1  # the counted one above: no fewer impostors are accepted
        least = np.append(self._impostors[counted], 0)[before]  # none above: the 0 at the end
        bound = self._accepted[places] / points.genuine_pairs - least / points.impostor_pairs
        gains = self._accepted[counted] / points.genuine_pairs - self._impostors[counted] / points.impostor_pairs
        return places[bound >= gains.max(initial=0) - NEARLY]

    def _counted(self) -> NDArray[np.int64]:
        return np.flatnonzero(self._impostors >= 0)

    def _some(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """At most so many of the places as a pass counts, evenly chosen."""
        chosen = np.linspace(0, len(places) - 1, min(len(places), self._at_once)).round().astype(np.int64)
        return places[chosen]

    def _points(self, *columns: NDArray[Any]) -> Staircase:
        """The candidates as operating points; or other ones."""
        scores, genuine, impostors = columns or (self._candidates, self._accepted, self._impostors)
        pairs = self._comparisons.genuine_pairs, self._comparisons.impostor_pairs
        return Staircase(scores, genuine, impostors, *pairs)

    def _score_of(self, rank: int) -> Ranked:
        """The impostor score of a rank."""
        return find_impostors(self._comparisons, [rank], self._workers, prefix=f"error-rate-{rank}-").ranks[rank]
