"""TAR at FAR with all that goes with it, in a pass over each kind of pairs: what ``eval/tar_far.py`` computes.

The impostor pairs with the highest scores are all kept, and with them everything that happens at low FARs is known
exactly: thresholds, the curve, the pairs that are hardest to tell, how much the people drawn matter. Where the curve
goes on beyond them it is drawn from a sample of the impostor pairs, and says so; a FAR that was asked for is exact
wherever it lies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.formats.person_labels import Codes
from lwface.scoring.breakdown import ColumnTally
from lwface.scoring.error_rate_search import search_error_rates
from lwface.scoring.error_rates import GenuineScores, RateCurve, error_rates, with_intervals
from lwface.scoring.exact.comparisons import Comparisons
from lwface.scoring.exact.feature_set import Pairs, ScoredPairs
from lwface.scoring.exact.impostors import CAPACITY, Impostors, find_impostors, most_kept
from lwface.scoring.exact.tiles import States, Sweeper
from lwface.scoring.intervals import (
    Bootstrap,
    CodedPairs,
    Difference,
    GenuineTally,
    Interval,
    differences,
    interval,
    replicate_thresholds,
    why_no_interval,
)
from lwface.scoring.label_errors import LISTED, Extremes, RowBests, find_suspects
from lwface.scoring.operating_points import (
    Acceptance,
    PairBatch,
    check_pairs,
    points_from,
    ranks_of,
    sweep_genuine,
    threshold_above,
)
from lwface.scoring.parameters import REPLICATES
from lwface.scoring.request import ScoringRequest
from lwface.scoring.tar_far_result import HardPair, Roc, ScoreHistogram, TarFarResult

POINTS_PER_DECADE = 10  # of the curve
HARDEST = 12  # pairs of each kind shown
TAIL = 2**17  # impostor pairs kept at least, so that the bootstrap can tell what lies between them and the sample
CURVE_TAIL = 2**16  # the same for the curve alone
FEWEST_DRAWN = 100  # pairs of the sample above a point of the curve: with fewer the point could be anywhere
HISTOGRAM_BINS = 1024
LARGEST_SCORE = 1 + 2.0**-20


class ReplicatedResult(NamedTuple):
    """A result, and what it takes to compare it with another one of the same rows.

    Attributes:
        tars: (F, B) TAR of each replicate at each FAR.
        people: who have genuine pairs.
    """

    result: TarFarResult
    tars: NDArray[np.float64]
    people: int


def score_request(
    request: ScoringRequest, comparisons: Comparisons | None = None, workers: Sweeper | None = None
) -> ReplicatedResult:
    """Score what is asked for.

    Args:
        request: the rows, the pairs, the FARs.
        comparisons: ``request.comparisons()`` where they are made already.
        workers: who computes; None: this process, and nothing is kept on disk.

    Raises:
        UserError: there are no genuine or no impostor pairs, or a row that has no direction.
    """
    comparisons = comparisons or request.comparisons()
    _check_excluded(request, comparisons)
    return score_pairs(
        comparisons,
        request.fars,
        name=request.title,
        protocol=request.words,
        workers=workers,
        columns=request.columns,
        replicates=request.replicates,
        seed=request.seed,
        exact_error_rates=request.exact_error_rates,
    )


def score_pairs(
    comparisons: Comparisons,
    fars: Sequence[Fraction],
    *,
    name: str = "features",
    protocol: str = "all pairs",
    workers: Sweeper | None = None,
    columns: Sequence[tuple[str, Codes]] = (),
    replicates: int = REPLICATES,
    seed: int = 0,
    exact_error_rates: bool = False,
    capacity: int = CAPACITY,
) -> ReplicatedResult:
    """Score everything there is to know of the pairs of a protocol.

    Args:
        comparisons: the pairs.
        fars: each above 0 and below 1.
        name, protocol: what tables call the features, and the pairs.
        workers: who computes; None: this process, and nothing is kept on disk.
        columns: attributes of the file rows to break down by; not for probe and gallery.
        replicates: of the bootstrap over people, 0: no intervals.
        seed: of the bootstrap.
        exact_error_rates: count equal error rate and best accuracy from all pairs too where a sample would tell them:
            some passes more.
        capacity: pairs held at a time; it changes memory and speed, never a count.

    Raises:
        UserError: there are no genuine or no impostor pairs.
    """
    check_pairs(comparisons)
    if workers is None:
        from lwface.scoring.exact.sharding import Workers  # with PyTorch, which a challenge's server has not

        workers = Workers()
    impostors = _look_at_impostors(comparisons, fars, workers, capacity, spread=replicates > 0)
    found, ladder = impostors.found, impostors.ladder
    thresholds = {rank: threshold_above(ranked.score) for rank, ranked in found.ranks.items()}
    acceptance = Acceptance(comparisons, [*thresholds.values(), *ladder.threshold.tolist()])
    lowest, histogram = Lowest(comparisons), ScoreCounts()
    genuine, bests = GenuineScores(comparisons, all_of_them=exact_error_rates), RowBests(comparisons)
    spread = _Spread(comparisons, [*fars, *ladder.far], found.tail, impostors.sample, replicates, seed)
    decided = points_from(comparisons, fars, found.ranks, dict.fromkeys(found.ranks, 0))  # their thresholds are known
    parts = [
        ColumnTally(comparisons, column, codes, decided, spread.bootstrap, spread.thresholds)
        for column, codes in columns
    ]
    sweep_genuine(comparisons, [acceptance, lowest, histogram, genuine, bests, spread, *parts], workers, exact=True)

    accepted = acceptance.accepted
    points = points_from(comparisons, fars, found.ranks, dict(zip(thresholds, accepted, strict=False)))
    bands = spread.intervals()
    tar = np.array(accepted[len(thresholds) :], dtype=np.int64) / comparisons.genuine_pairs
    curve = RateCurve(np.array(ladder.far, dtype=np.float64), tar, spread.tars[len(fars) :], spread.people)
    pairs = comparisons.genuine_pairs, comparisons.impostor_pairs
    rates = error_rates(genuine, found.tail.scores, impostors.sample.scores, pairs)
    if exact_error_rates and not (rates.equal.exact and rates.accuracy.exact):
        rates = search_error_rates(comparisons, genuine.scores, workers)
    extremes = Extremes(
        _hard_pairs(comparisons, found.highest, LISTED),
        found.highest.scores,
        len(found.highest.scores) == comparisons.impostor_pairs,
        lowest.pairs(LISTED),
    )
    result = TarFarResult(
        name,
        len(comparisons.everyone()),
        comparisons.width,
        comparisons.genuine_pairs,
        comparisons.impostor_pairs,
        protocol,
        [point.with_interval(band) for point, band in zip(points, bands, strict=False)],
        roc=ladder.roc(tar, bands[len(fars) :]),
        genuine=histogram.result(sampled=False),
        impostors=impostors.histogram(),
        hardest_genuine=lowest.pairs(HARDEST),
        hardest_impostors=extremes.impostors[:HARDEST],
        suspects=find_suspects(extremes, bests, genuine.scores, impostors.scores, comparisons.impostor_pairs),
        breakdowns=[part.result(found.tail, impostors.complete) for part in parts],
        error_rates=with_intervals(rates, curve),
        no_intervals=why_no_interval(spread.people, replicates),
    )
    return ReplicatedResult(result, spread.tars[: len(fars)], spread.people)


def _check_excluded(request: ScoringRequest, comparisons: Comparisons) -> None:
    """:class:`UserError` where there are no genuine or no impostor pairs because of ``exclude_same``."""
    column = request.exclude_same
    if column is None or (comparisons.genuine_pairs and comparisons.impostor_pairs):
        return
    whole = replace(request, exclude_same=None).comparisons()
    for kind, left, before, rows in (
        ("genuine", comparisons.genuine_pairs, whole.genuine_pairs, "of one person"),
        ("impostor", comparisons.impostor_pairs, whole.impostor_pairs, "of different people"),
    ):
        if before and not left:
            raise UserError(
                f"--exclude-same {column}: leaves none of {before} {kind} pairs: all rows {rows} have the same "
                f"{column}; name another column, or leave --exclude-same out"
            )


def differences_from_first(found: Sequence[ReplicatedResult]) -> list[Difference]:
    """Each further result less the first, at every FAR."""
    first, differing = found[0], []
    for other in found[1:]:
        differing += differences(
            (first.result.name, other.result.name),
            [point.far for point in first.result.points],
            ([point.tar for point in first.result.points], [point.tar for point in other.result.points]),
            (first.tars, other.tars),
            first.people,
        )
    return differing


class _Impostors(NamedTuple):
    """What is known of the impostor pairs.

    Attributes:
        found: the scores that decide, and the highest pairs.
        complete: whether those are all there are.
        sample: of all pairs, in no order; empty where they are all kept.
        ladder: the thresholds of the curve.
    """

    found: Impostors
    complete: bool
    sample: ScoredPairs
    ladder: _Ladder

    @property
    def scores(self) -> NDArray[np.float64]:
        """Of all, or of the sample; highest first."""
        return self.found.tail.scores if self.complete else np.sort(self.sample.scores)[::-1]

    def histogram(self) -> ScoreHistogram:
        """Of all, or of the sample."""
        return _histogram(self.scores, sampled=not self.complete)


def _look_at_impostors(
    comparisons: Comparisons, fars: Sequence[Fraction], workers: Sweeper, capacity: int, *, spread: bool
) -> _Impostors:
    wanted = sorted(set(ranks_of(comparisons, fars).values()))
    depth = _tail_rank(comparisons, wanted, capacity, spread=spread)
    found = find_impostors(comparisons, wanted, workers, tail_rank=depth, capacity=capacity)
    complete = len(found.tail.scores) == comparisons.impostor_pairs
    sample = ScoredPairs(Pairs.joined([]), np.empty(0)) if complete else comparisons.sample
    return _Impostors(found, complete, sample, _ladder(comparisons, found.tail, sample))


def _tail_rank(comparisons: Comparisons, ranks: Sequence[int], capacity: int, *, spread: bool) -> int:
    """How many impostor pairs are wanted: all if they may be kept, else what the curve and (``spread``) the bootstrap
    need, for which the tail goes twice as far as the ranks."""
    most = most_kept(comparisons, capacity)
    if most == comparisons.impostor_pairs:
        return most
    if not spread:
        return CURVE_TAIL
    return max(TAIL, 2 * max((rank for rank in ranks if rank <= most), default=0) + 1000)


# -- the curve --------------------------------------------------------------------------------------------------------


class _Ladder(NamedTuple):
    """Points of a curve, ascending: achieved FAR, threshold, and whether all pairs were counted."""

    far: list[Fraction]
    threshold: NDArray[np.float64]
    exact: NDArray[np.bool_]

    def roc(self, tar: NDArray[np.float64], bands: Sequence[Interval | None]) -> Roc:
        """The curve with the TAR (R,) at each point and its interval."""
        return Roc(np.array(self.far, dtype=np.float64), tar, self.threshold, self.exact, *_band(bands))


def _ladder(comparisons: Comparisons, tail: ScoredPairs, sample: ScoredPairs) -> _Ladder:
    """Evenly placed on a logarithmic axis, from one false accept to all pairs."""
    total, drawn = comparisons.impostor_pairs, np.sort(sample.scores)[::-1]
    steps = np.arange(math.ceil(POINTS_PER_DECADE * math.log10(total)) + 1) / POINTS_PER_DECADE
    allowed = np.unique(np.floor(10**steps).clip(1, total).astype(np.int64))
    points: dict[float, tuple[Fraction, float, bool]] = {}  # by threshold
    for scores, pairs, counts, exact in (
        (tail.scores, total, allowed[allowed < len(tail.scores)], True),
        (drawn, len(drawn), _of_sample(allowed, len(tail.scores), total, len(drawn)), False),
    ):
        above = np.searchsorted(-scores, -scores[counts], "left")  # of the score that must be refused
        for score, count in zip(scores[counts].tolist(), above.tolist(), strict=True):
            if count and (exact or not len(tail.scores) or score < tail.scores[-1]):
                points.setdefault(threshold_above(score), (Fraction(count, pairs), threshold_above(score), exact))
    points.setdefault(-LARGEST_SCORE, (Fraction(1), -LARGEST_SCORE, True))  # everything is accepted
    rows = sorted(points.values())
    return _Ladder([far for far, _, _ in rows], np.array([row[1] for row in rows]), np.array([row[2] for row in rows]))


def _of_sample(allowed: NDArray[np.int64], kept: int, total: int, drawn: int) -> NDArray[np.int64]:
    """The counts beyond the ``kept`` highest of all pairs, as counts of a sample."""
    beyond = allowed[(allowed >= kept) & (allowed < total)]
    counts = np.unique(np.floor(beyond / total * drawn).astype(np.int64))
    return counts[(counts >= FEWEST_DRAWN) & (counts < drawn)]


def _band(bands: Sequence[Interval | None]) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Lower and upper ends of a curve's intervals; NaN where there is none."""
    if not any(bands):
        return None, None
    ends = np.array([band or (math.nan, math.nan) for band in bands])
    return ends[:, 0], ends[:, 1]


# -- pairs worth a look -----------------------------------------------------------------------------------------------


def _hard_pairs(comparisons: Comparisons, found: ScoredPairs, count: int) -> list[HardPair]:
    """The first ``count``; pairs that tie are in the order of their file rows, whatever the order of comparison."""
    end = min(count, len(found.scores))
    if end:  # and all that tie with the last of them
        end = int(np.searchsorted(-found.scores, -found.scores[end - 1], "right"))
    rows = comparisons.rows(found.pairs.take(slice(end)))
    order = np.lexsort((rows.right, rows.left, -found.scores[:end]))[:count]
    return _listed(rows.take(order), found.scores[order])


def _listed(rows: Pairs, scores: NDArray[np.float64]) -> list[HardPair]:
    return [HardPair(*pair) for pair in zip(rows.left.tolist(), rows.right.tolist(), scores.tolist(), strict=True)]


class Lowest:
    """The genuine pairs with the lowest scores."""

    def __init__(self, comparisons: Comparisons) -> None:
        self._comparisons = comparisons
        self._rows = Pairs.joined([])
        self._scores = np.empty(0)

    def add(self, batch: PairBatch) -> None:
        """See some pairs."""
        worst = self._scores[-1] if len(self._scores) == LISTED else np.inf
        places = np.flatnonzero(batch.scores <= worst)
        if len(places):
            rows = self._comparisons.rows(batch.pairs.take(places))
            self._keep([self._rows, rows], [self._scores, batch.scores[places]])

    def pairs(self, count: int) -> list[HardPair]:
        """The ``count`` lowest, lowest first; pairs that tie in the order of their rows."""
        return _listed(self._rows.take(slice(count)), self._scores[:count])

    def state(self) -> dict[str, NDArray[Any]]:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        left, right = self._rows
        return {"left": left, "right": right, "scores": self._scores}

    def merge(self, states: States) -> None:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        self._keep([Pairs(s["left"], s["right"]) for s in states], [s["scores"] for s in states])

    def _keep(self, rows: Sequence[Pairs], scores: Sequence[NDArray[np.float64]]) -> None:
        joined = Pairs.joined(rows)
        values = np.concatenate(scores)
        order = np.lexsort((joined.right, joined.left, values))[:LISTED]
        self._rows, self._scores = joined.take(order), values[order]


# -- histograms -------------------------------------------------------------------------------------------------------


def _bins(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    places = np.floor((scores + 1) * (HISTOGRAM_BINS / 2)).astype(np.int64).clip(0, HISTOGRAM_BINS - 1)
    return np.bincount(places, minlength=HISTOGRAM_BINS)


def _histogram(scores: NDArray[np.float64], *, sampled: bool) -> ScoreHistogram:
    return ScoreHistogram(np.linspace(-1, 1, HISTOGRAM_BINS + 1), _bins(scores), sampled)


class ScoreCounts:
    """A histogram of genuine scores."""

    def __init__(self) -> None:
        self._counts = np.zeros(HISTOGRAM_BINS, dtype=np.int64)

    def add(self, batch: PairBatch) -> None:
        """See some pairs."""
        self._counts += _bins(batch.scores)

    def result(self, *, sampled: bool) -> ScoreHistogram:
        """The histogram."""
        return ScoreHistogram(np.linspace(-1, 1, HISTOGRAM_BINS + 1), self._counts, sampled)

    def state(self) -> dict[str, NDArray[Any]]:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        return {"counts": self._counts}

    def merge(self, states: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        self._counts = np.sum([s["counts"] for s in states], axis=0)


# -- intervals --------------------------------------------------------------------------------------------------------


class _Spread:
    """How the TARs vary with the people drawn: the bootstrap, fed with the tail, the sample and the genuine pairs."""

    def __init__(
        self,
        comparisons: Comparisons,
        fars: Sequence[Fraction],
        tail: ScoredPairs,
        sample: ScoredPairs,
        replicates: int,
        seed: int,
    ) -> None:
        self._comparisons = comparisons
        self.bootstrap = Bootstrap(comparisons.everyone(), replicates=replicates, seed=seed)
        complete = len(tail.scores) in (0, comparisons.impostor_pairs)
        self.thresholds = np.empty((len(fars), 0))
        if replicates:
            self.thresholds = replicate_thresholds(
                self.bootstrap,
                fars,
                comparisons.impostor_weights(self.bootstrap),
                comparisons.impostor_pairs,
                self._coded(tail),
                floor=-np.inf if complete else float(tail.scores[-1]),
                sample=self._coded(sample) if len(sample.scores) else None,
            )
        self._tally = GenuineTally(self.thresholds, self.bootstrap.known)

    def add(self, batch: PairBatch) -> None:
        """See some genuine pairs."""
        self._tally.add(self.bootstrap.codes(self._comparisons.persons(batch.pairs).left), batch.scores)

    def state(self) -> dict[str, NDArray[Any]]:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        return {"counts": self._tally.state()}

    def merge(self, states: States) -> None:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        self._tally.merge([s["counts"] for s in states])

    @property
    def people(self) -> int:
        """Who have genuine pairs."""
        return int(self._tally.counts.any(axis=1).sum())

    @cached_property
    def tars(self) -> NDArray[np.float64]:
        """(F, B) TAR of each replicate at each FAR."""
        return self._tally.tars(self.bootstrap, np.arange(self.bootstrap.known))

    def intervals(self) -> list[Interval | None]:
        """One a FAR."""
        people = self.people
        return [interval(tars, people) for tars in self.tars]

    def _coded(self, found: ScoredPairs) -> CodedPairs:
        persons = self._comparisons.persons(found.pairs)
        return CodedPairs(self.bootstrap.codes(np.stack(persons, axis=1)), found.scores)
