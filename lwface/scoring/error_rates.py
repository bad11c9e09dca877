"""Equal error rate and best accuracy: two single figures of a whole curve, beside the TAR at chosen FARs.

With FAR(t) the share of the impostor pairs that score at least t and FRR(t) the share of the genuine pairs that score
less:

* **Equal error rate**: where FAR = FRR. Both are steps, so that they seldom are equal at any t; the figure is where the
  straight line between two neighbouring operating points crosses FAR = FRR (what ``brentq`` on ``interp1d`` of a ROC
  curve finds). Its threshold is the smallest float64 at which FAR is not above FRR.
* **Best accuracy**: the largest ``(1 - FRR(t) + 1 - FAR(t)) / 2`` of any t, the share judged right when genuine and
  impostor pairs weigh the same, as in packs such as LFW. (Counted one by one, all pairs of a set have so many impostors
  that refusing everybody is 99 % right.) Its threshold is the largest that reaches it. It is chosen on the pairs that
  it is measured on, unlike the accuracy over folds of :mod:`lwface.scoring.pack_accuracy`.

Both are ratios of exact counts where all impostor pairs are kept, and where the highest ones that are kept decide; else
the impostors are a sample of them, and the figure says so (:mod:`lwface.scoring.error_rate_search` counts them all).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.scoring.exact.comparisons import Comparisons
from lwface.scoring.exact.tiles import States
from lwface.scoring.intervals import FEWEST_PEOPLE, TAIL_SHARE, Interval, mixed, percentiles
from lwface.scoring.operating_points import PairBatch, threshold_above
from lwface.scoring.tar_far_result import ErrorRate, ErrorRates

KEPT_GENUINE = 2**22  # scores: 32 MB. Of more genuine pairs, as many are drawn
NEARLY = 1e-12  # within this of the best in float64, exact integers decide


def first_true(count: int, holds: Callable[[int], bool]) -> int:
    """The first of the places 0 to ``count`` - 1 from which on ``holds``; ``count`` where it holds nowhere.

    As ``bisect_left`` with a key, which Python 3.9, a challenge's server, has not.
    """
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


class Staircase(NamedTuple):
    """Operating points from the strictest on: at ``scores[k]`` so many pairs are accepted.

    The first point accepts nothing; it has no score (infinity). Of the others all are there that either figure may
    need: those of genuine scores, for at an impostor's alone accuracy only falls, and those of the two impostor scores
    between which the errors become equal.
    """

    scores: NDArray[np.float64]  # (K,) descending
    genuine: NDArray[np.int64]  # (K,) accepted
    impostors: NDArray[np.int64]  # (K,)
    genuine_pairs: int
    impostor_pairs: int

    @classmethod
    def of(
        cls,
        genuine: NDArray[np.float64],
        impostors: NDArray[np.float64],
        genuine_pairs: int | None = None,
        impostor_pairs: int | None = None,
    ) -> Staircase:
        """The points of scores in any order; the pair counts are given where those are only the highest scores."""
        sides = np.sort(genuine), np.sort(impostors)
        totals = genuine_pairs or len(genuine), impostor_pairs or len(impostors)

        def points(scores: NDArray[np.float64]) -> Staircase:
            accepted, wrongly = (len(side) - np.searchsorted(side, scores, "left") for side in sides)
            return cls(scores, accepted, wrongly, *totals)

        strictest_first = sides[1][::-1]
        place = first_true(len(impostors), lambda at: points(strictest_first[at : at + 1]).crossed(0))
        between = strictest_first[max(place - 1, 0) : place + 1]
        scores = np.unique(np.concatenate([sides[0], between, sides[1][[0, -1]]]))[::-1]
        return points(np.append(np.inf, scores))

    def crossed(self, place: int) -> bool:
        """Whether FAR is above FRR at a point."""
        far, frr = self.rates(place)
        return far > frr

    def rates(self, place: int) -> tuple[Fraction, Fraction]:
        """FAR and FRR of a point."""
        refused = self.genuine_pairs - int(self.genuine[place])
        return Fraction(int(self.impostors[place]), self.impostor_pairs), Fraction(refused, self.genuine_pairs)

    def equal_error(self) -> ErrorRate | None:
        """Where the two errors are equal; None: not among these points."""
        place = first_true(len(self.scores), self.crossed)
        if place == len(self.scores):
            far, frr = self.rates(place - 1)
            return self._error(float(far), float(self.scores[-1]), place - 1) if far == frr else None
        (far, frr), (next_far, next_frr) = self.rates(place - 1), self.rates(place)
        share = (frr - far) / (frr - far + next_far - next_frr)
        rate = far + share * (next_far - far)
        return self._error(float(rate), threshold_above(float(self.scores[place])), place - 1)

    def best_accuracy(self) -> ErrorRate | None:
        """The most that are judged right; None: a score below these may do better."""
        best = self._best()
        # at lower scores all genuine pairs may be accepted, but no fewer impostors
        beyond = (self.impostor_pairs - int(self.impostors[-1])) * self.genuine_pairs
        return None if self.genuine[-1] < self.genuine_pairs and self._gain(best) < beyond else self.best_of_these()

    def best_of_these(self) -> ErrorRate:
        """The most that are judged right at any of these points."""
        best = self._best()
        accuracy = Fraction(self._gain(best), 2 * self.genuine_pairs * self.impostor_pairs) + Fraction(1, 2)
        threshold = float(self.scores[best]) if best else threshold_above(float(self.scores[1]))
        return self._error(float(accuracy), threshold, best)

    def _best(self) -> int:
        gain = self.genuine / self.genuine_pairs - self.impostors / self.impostor_pairs
        nearly = np.flatnonzero(gain >= gain.max() - NEARLY).tolist()
        return max(nearly, key=lambda place: (self._gain(place), -place))

    def _gain(self, place: int) -> int:
        """1 - FRR - FAR, times both numbers of pairs: an integer that may be beyond 64 bits."""
        accepted, wrongly = int(self.genuine[place]), int(self.impostors[place])
        return accepted * self.impostor_pairs - wrongly * self.genuine_pairs

    def _error(self, rate: float, threshold: float, place: int) -> ErrorRate:
        far, frr = self.rates(place)
        return ErrorRate(rate, threshold, float(far), float(frr), exact=True)


class GenuineScores:
    """Keeps the genuine scores; of more than ``limit``, those that a hash of their rows draws, about as many.

    Attributes:
        complete: whether all are kept.

    Args:
        comparisons: the pairs.
        all_of_them: keep all, whatever the limit: eight bytes each.
        limit: most that are kept.
    """

    def __init__(self, comparisons: Comparisons, *, all_of_them: bool = False, limit: int = KEPT_GENUINE) -> None:
        self.complete = all_of_them or comparisons.genuine_pairs <= limit
        self._comparisons = comparisons
        self._share = np.uint64(min(limit / comparisons.genuine_pairs, 1) * (2**64 - 1))
        self._found: list[NDArray[np.float64]] = []

    def add(self, batch: PairBatch) -> None:
        """See some pairs."""
        scores = batch.scores
        if not self.complete:
            left, right = self._comparisons.rows(batch.pairs)
            drawn = mixed(mixed(left.astype(np.uint64)) ^ right.astype(np.uint64)) <= self._share
            scores = scores[drawn]
        self._found.append(scores)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Those kept, in no order."""
        return np.concatenate([np.empty(0), *self._found])

    def state(self) -> dict[str, NDArray[Any]]:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        return {"scores": self.scores}

    def merge(self, states: States) -> None:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        self._found = [s["scores"] for s in states]


class RateCurve(NamedTuple):
    """TARs at the points of a curve, and those of the bootstrap's replicates.

    Attributes:
        far: (L,) ascending.
        tar: (L,).
        replicates: (L, B), NaN where not known.
        people: who have genuine pairs.
    """

    far: NDArray[np.float64]
    tar: NDArray[np.float64]
    replicates: NDArray[np.float64]
    people: int


def error_rates(
    genuine: GenuineScores, tail: NDArray[np.float64], sample: NDArray[np.float64], pairs: tuple[int, int]
) -> ErrorRates:
    """Both figures without intervals, exact where the scores that are kept tell them.

    Args:
        genuine: the genuine scores.
        tail: (T,) the highest impostor scores, all of them down to the last.
        sample: of all impostor scores; empty where the tail is all of them.
        pairs: how many genuine and impostor pairs there are.
    """
    scores = genuine.scores
    equal = accuracy = None
    if genuine.complete and len(tail):
        points = Staircase.of(scores[scores >= tail.min()] if len(tail) < pairs[1] else scores, tail, *pairs)
        equal, accuracy = points.equal_error(), points.best_accuracy()
    if equal is None or accuracy is None:
        points = Staircase.of(scores, sample if len(sample) else tail)
        equal, accuracy = (
            known or (estimate and estimate._replace(exact=False))
            for known, estimate in ((equal, points.equal_error()), (accuracy, points.best_accuracy()))
        )
    if equal is None or accuracy is None:
        raise AssertionError("all scores, or an even sample of them, have both")
    return ErrorRates(equal, accuracy)


def with_intervals(found: ErrorRates, curve: RateCurve) -> ErrorRates:
    """The figures with their intervals, where the curve has them."""
    return ErrorRates(
        found.equal._replace(interval=_equal_error_interval(found.equal.rate, curve)),
        found.accuracy._replace(interval=_accuracy_interval(found.accuracy.rate, curve)),
    )


def _equal_error_interval(rate: float, curve: RateCurve) -> Interval | None:
    around = _spread(rate, _curve_equal_error(curve.far, curve.tar[:, np.newaxis]), _of_replicates(curve), curve.people)
    if around is not None and around.high == 0:  # every replicate is without error: as in intervals.interval
        return Interval(0.0, 1 - TAIL_SHARE ** (1 / curve.people))
    return around


def _accuracy_interval(rate: float, curve: RateCurve) -> Interval | None:
    far = curve.far[:, np.newaxis]
    whole = ((1 + curve.tar[:, np.newaxis] - far) / 2).max(axis=0, initial=0.5)
    with np.errstate(invalid="ignore"):
        replicates = np.fmax.reduce((1 + curve.replicates - far) / 2, axis=0, initial=0.5)
    replicates[np.isnan(curve.replicates).all(axis=0)] = np.nan
    around = _spread(rate, whole, replicates, curve.people)
    if around is not None and around.low == 1:
        return Interval((1 + TAIL_SHARE ** (1 / curve.people)) / 2, 1.0)
    return around


def _of_replicates(curve: RateCurve) -> NDArray[np.float64]:
    return _curve_equal_error(curve.far, curve.replicates)


def _curve_equal_error(far: NDArray[np.float64], tar: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B,) where each of the curves (L, B) crosses FAR = FRR, between its points; NaN where they are not known."""
    frr = 1 - tar
    found = np.full(tar.shape[1], np.nan)
    for column in range(tar.shape[1]):
        crossed = far >= frr[:, column]  # NaN: no
        if not crossed.any():
            continue
        place = int(crossed.argmax())
        if place == 0:  # stricter than the curve goes
            found[column] = frr[0, column]
            continue
        before, after = (frr[at, column] - far[at] for at in (place - 1, place))
        share = before / (before - after)
        found[column] = far[place - 1] + share * (far[place] - far[place - 1])
    return found


def _spread(rate: float, whole: NDArray[np.float64], replicates: NDArray[np.float64], people: int) -> Interval | None:
    """The middle 95 % of replicates (B,), moved by what the curve's few points make of the figure of all."""
    if people < FEWEST_PEOPLE or not len(replicates):
        return None
    around = percentiles(replicates - whole[0])
    return around and Interval(*(min(max(rate + end, 0.0), 1.0) for end in around))
