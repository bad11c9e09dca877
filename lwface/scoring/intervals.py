"""Where a TAR lies with 95 % confidence, and whether two differ.

**The bootstrap over identities.**

Pairs that share a person are not independent, so that a count of pairs says little about how sure a TAR is: a thousand
pairs of one person are one observation of a person, not a thousand. What is drawn anew here are people. In a replicate
a person p has a weight ``w_p``, the number of times it was drawn; a genuine pair of p then counts ``w_p`` times and an
impostor pair of p and q ``w_p w_q`` times. Each replicate has its own threshold at a FAR and its own TAR, and how these
vary is how the figures would vary had other people been photographed. A distractor is a person of its own.

The weights are Poisson(1), not multinomial: each is drawn by itself, so that it is a function of (seed, person,
replicate) alone, whatever the number of people, the order of rows or the process that asks; the two agree as the number
of people grows. Sources: Bolle, Ratha and Pankanti, "Error analysis of pattern recognition systems: the subsets
bootstrap", 2004, for drawing people; Owen, "The pigeonhole bootstrap", 2007, for products of weights, which are on the
safe side: they overstate the part of the variance that belongs to single impostor pairs (up to three times), not that
of people; Chamandy, Muralidharan, Najmi and Naidu, "Estimating uncertainty for massive data streams", 2012, for Poisson
weights.

Weights are integers and so are all sums: nothing depends on the order of summation.

**The steps.**

1. :func:`replicate_thresholds`: the threshold of each replicate at each FAR, from the impostor pairs with the highest
   scores and the weight of all of them;
2. :class:`GenuineTally`: for each person, how many genuine scores lie between these thresholds. Genuine pairs come in
   any order and in any number, and are not kept;
3. :meth:`GenuineTally.tars`: the TAR of each replicate at its threshold;
4. :func:`interval` and :func:`differences`.

Two feature files of the same rows are compared replicate by replicate, with the same people drawn for both: what makes
people hard or easy for both then cancels, and much smaller differences can be told from chance than by looking at two
intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.threads import in_threads
from lwface.formats.person_labels import LABEL_LIMIT
from lwface.scoring.parameters import REPLICATES

AT_ONCE = 64  # replicates: a row of weights is a cache line
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
TAIL_SHARE = 0.025  # of the replicates beyond either end of an interval
CLIPPED_SHARE = 0.02  # of the replicates whose threshold may be unknown: fewer than lie beyond an end
SAMPLING_ERROR = 0.05  # most by which a sample may misplace a FAR, relative, one standard deviation
FULL = 2**16  # impostor pairs that are weighed one by one
FEWEST_PEOPLE = 10  # with fewer, how they vary is not known well enough for an interval
LEVELS = 4096  # most levels of a tally
TALLY_CELLS = 2**26  # most counts of a tally, four bytes each
CELLS_AT_ONCE = 2048
FEW_COUNTS = 1 / 32  # of the cells: a matrix product of so few wastes more than it gains


class Interval(NamedTuple):
    """Where a figure lies with 95 % confidence."""

    low: float
    high: float


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


def _poisson_table() -> NDArray[np.uint8]:
    """The Poisson(1) quantile of each 16-bit number: probabilities are rounded to 2**-16, the largest value is 8."""
    shares = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(9)])
    ends = np.round(shares * 2**16).astype(np.int64)
    ends[-1] = 2**16
    return np.repeat(np.arange(9, dtype=np.uint8), np.diff(ends, prepend=0))


POISSON = _poisson_table()


class Bootstrap:
    """The people, and their weights in each replicate.

    A person's *code* is its index among the people, ascending by number: those who are no distractors come first.

    Args:
        persons: numbers of the persons of all rows, as in :attr:`lwface.scoring.exact.feature_set.FeatureSet.persons`,
        any order. replicates: how many. seed: of the weights.
    """

    def __init__(self, persons: NDArray[np.int64], *, replicates: int = REPLICATES, seed: int = 0) -> None:
        self.numbers = np.unique(persons)
        self.known = int(np.searchsorted(self.numbers, LABEL_LIMIT))  # codes from here on are distractors
        self.replicates = replicates
        seeds = mixed(np.full(1, seed % 2**64, dtype=np.uint64) + GOLDEN)
        self._states = mixed(self.numbers.astype(np.uint64) * GOLDEN ^ seeds)

    def __len__(self) -> int:
        return len(self.numbers)

    def codes(self, persons: NDArray[np.int64]) -> NDArray[np.int64]:
        """The codes of persons by number."""
        return np.searchsorted(self.numbers, persons)

    def blocks(self) -> list[slice]:
        """The replicates, in parts small enough to work on together."""
        starts = range(0, self.replicates, AT_ONCE)
        return [slice(start, min(start + AT_ONCE, self.replicates)) for start in starts]

    def weights(self, codes: NDArray[np.int64] | slice, replicates: slice) -> NDArray[np.uint8]:
        """Weights (n, R) of persons; ``replicates`` starts at a multiple of four.

        SplitMix64 (Steele, Lea and Flood, 2014) at position ``replicate // 4`` of the person's stream gives 64 bits, 16
        for each replicate.
        """
        first, last = replicates.start // 4, -(-replicates.stop // 4)
        steps = np.arange(first + 1, last + 1, dtype=np.uint64) * GOLDEN
        words = mixed(self._states[codes][:, np.newaxis] + steps)
        return POISSON[words.astype("<u8", copy=False).view("<u2")][:, : replicates.stop - replicates.start]


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's mixing function."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class CodedPairs(NamedTuple):
    """Impostor pairs, in any order."""

    codes: NDArray[np.int64]  # (K, 2) people, as in Bootstrap.codes
    scores: NDArray[np.float64]  # (K,)


NO_PAIRS = CodedPairs(np.empty((0, 2), dtype=np.int64), np.empty(0))


def replicate_thresholds(
    bootstrap: Bootstrap,
    fars: Sequence[Fraction],
    totals: NDArray[np.int64],
    pairs: int,
    tail: CodedPairs,
    *,
    floor: float = -np.inf,
    sample: CodedPairs | None = None,
) -> NDArray[np.float64]:
    """The threshold (F, B) of each replicate: the smallest float64 that impostor pairs of weight FAR * total reach.

    The ``FULL`` highest pairs are weighed one by one, of the next as many every second one for two, of the next twice
    as many every fourth for four, and so on, which misplaces a FAR by less than 1 %. Below ``floor`` a sample stands
    for all pairs: in each replicate it is scaled so that its weight is that of all the pairs below.

    Args:
        bootstrap: the people.
        fars: F.
        totals: (B,) weight of all impostor pairs, of :meth:`lwface.scoring.exact.pair_counts.ImpostorMass.totals`.
        pairs: how many there are.
        tail: every impostor pair that scores at least ``floor``; others in it are passed over. It should reach well
            beyond the rank of a FAR: twice as far and some hundred pairs.
        floor: minus infinity when the tail has all pairs. Without any tail it does not count.
        sample: drawn evenly from all impostor pairs, for the FARs whose rank lies beyond the tail.

    Returns:
        NaN for a replicate without impostor pairs; and for every replicate of a FAR that is less than one pair, or
        whose thresholds lie beyond the tail with no sample large enough to tell them.
    """
    tail, drawn = _highest_first(tail), _highest_first(sample or NO_PAIRS)
    floor = floor if len(tail.scores) else np.inf
    above, below = _Ranked(bootstrap, tail, tail.scores >= floor), _Ranked(bootstrap, drawn, drawn.scores < floor)
    allowed = np.array([[far.numerator * total // far.denominator for total in totals.tolist()] for far in fars])
    reached = np.empty(allowed.shape)  # the highest score at which the weight is too much

    def fill(block: slice) -> None:
        replicates = range(block.start, block.stop)
        for replicate, of_tail, of_below in zip(replicates, above.weights(block), below.weights(block), strict=True):
            weight = allowed[:, replicate]
            reached[:, replicate] = above.score_at(of_tail, weight)
            more = weight >= of_tail[-1]
            if more.any() and of_below[-1]:
                scale = of_below[-1] / (totals[replicate] - of_tail[-1])
                reached[more, replicate] = below.score_at(of_below, np.floor((weight[more] - of_tail[-1]) * scale))

    list(in_threads(fill, bootstrap.blocks()))
    thresholds = np.nextafter(reached, np.inf)
    unknown = np.isneginf(reached) & (totals > 0)
    if below.pairs or floor == -np.inf:
        unknown[:] = False  # all pairs may be accepted
    thresholds[unknown] = floor  # the highest that it can be
    for far, row, missing in zip(fars, thresholds, unknown.mean(axis=1), strict=True):
        if far * pairs < 1 or missing > CLIPPED_SHARE or _misplaced(far, pairs, above.pairs, below.pairs):
            row[:] = np.nan
    thresholds[:, totals == 0] = np.nan
    return thresholds


def _misplaced(far: Fraction, pairs: int, tail: int, sample: int) -> bool:
    """Whether the rank of a FAR lies among the pairs of a sample, and those are too few to find it."""
    beyond = int(far * pairs) + 1 - tail
    if beyond <= 0 or not sample:  # without a sample the unknown thresholds are counted
        return False
    return bool(beyond * (pairs - tail) / sample > (SAMPLING_ERROR * (beyond + tail)) ** 2)


def _highest_first(pairs: CodedPairs) -> CodedPairs:
    order = np.argsort(-pairs.scores, kind="stable")
    return CodedPairs(pairs.codes[order], pairs.scores[order])


class _Ranked:
    """The weights of pairs, highest score first.

    Attributes:
        pairs: how many there are.
    """

    def __init__(self, bootstrap: Bootstrap, ordered: CodedPairs, chosen: NDArray[np.bool_]) -> None:
        places = np.flatnonzero(chosen)
        self.pairs = len(places)
        kept, self._stand_for = _thinned(len(places))
        self._scores = np.append(ordered.scores[places[kept]], -np.inf)
        self._bootstrap = bootstrap
        self._people, inverse = np.unique(ordered.codes[places[kept]], return_inverse=True)
        self._left, self._right = np.ascontiguousarray(inverse.reshape(-1, 2).T)

    def weights(self, block: slice) -> Iterator[NDArray[np.int64]]:
        """For each replicate the weight (1 + K,) of the first 0, 1, 2, ... pairs, valid until the next one's."""
        sums = np.zeros(len(self._left) + 1, dtype=np.int64)
        for weights in np.ascontiguousarray(self._bootstrap.weights(self._people, block).T):
            products = weights[self._left] * weights[self._right]
            np.cumsum(products * self._stand_for, out=sums[1:])
            yield sums

    def score_at(self, sums: NDArray[np.int64], weights: NDArray[np.number]) -> NDArray[np.float64]:
        """The score of the pair with which the weight exceeds each of ``weights``, minus infinity where none does."""
        return self._scores[np.searchsorted(sums[1:], weights, side="right")]


def _thinned(pairs: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places among ``pairs`` in order, and how many each stands for: of each 2, 4, ... the one in the middle."""
    places, stand_for = [np.arange(min(FULL, pairs))], [np.ones(min(FULL, pairs), dtype=np.int64)]
    begin, step = FULL, 2
    while begin < pairs:
        end = min(2 * begin, pairs)
        starts = np.arange(begin, end, step)
        places.append(np.minimum(starts + step // 2, end - 1))
        stand_for.append(np.minimum(step, end - starts))
        begin, step = end, 2 * step
    return np.concatenate(places), np.concatenate(stand_for)


class GenuineTally:
    """How many genuine scores of each person lie between the thresholds of the replicates.

    A *cell* is a person, or what else shares a weight: the pairs of one person that are of one group. With more
    thresholds than the memory has room for, levels are placed at quantiles of those of each FAR, its lowest and highest
    among them, and a TAR between two levels is interpolated; else nothing is approximated.

    Attributes:
        levels: (G,) ascending.
        counts: (C, G + 1) scores of each cell that reach so many levels; tallies of parts of the pairs may be added up.

    Args:
        thresholds: (F, B) of :func:`replicate_thresholds`.
        cells: C.
    """

    def __init__(self, thresholds: NDArray[np.float64], cells: int) -> None:
        self.thresholds = thresholds
        self.levels = _levels(thresholds, min(LEVELS, TALLY_CELLS // max(1, cells)))
        self.counts = np.zeros((cells, len(self.levels) + 1), dtype=np.uint32)

    def add(self, cells: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Count genuine pairs: the cell and the score of each (n,)."""
        places = np.searchsorted(self.levels, scores, side="right")
        places += cells * self.counts.shape[1]
        np.add.at(self.counts.reshape(-1), places, np.uint32(1))

    def state(self) -> NDArray[np.int32]:
        """The counts as one array; its bits are those of unsigned numbers, which are not sent between processes."""
        return self.counts.ravel().view(np.int32)

    def merge(self, states: Sequence[NDArray[np.int32]]) -> None:
        """Become the sum of ``states``."""
        total = np.zeros_like(self.counts)
        for state in states:
            total += state.view(np.uint32).reshape(total.shape)
        self.counts = total

    def tars(
        self, bootstrap: Bootstrap, codes: NDArray[np.int64], cells: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """The TAR (F, B) of each replicate at its threshold; NaN where that is NaN, or no genuine pair has a weight.

        Args:
            bootstrap: the people.
            codes: (C,) the person of each cell.
            cells: those to take; None: all.
        """
        cells = np.arange(len(codes)) if cells is None else cells
        weight = np.zeros((bootstrap.replicates, len(self.levels) + 1))  # float64 for BLAS; integers below 2**53
        for start in range(0, len(cells), CELLS_AT_ONCE):
            part = cells[start : start + CELLS_AT_ONCE]
            weights = bootstrap.weights(codes[part], slice(0, bootstrap.replicates))
            _add_weighted(weight, weights, self.counts[part])
        reached = np.cumsum(weight[:, ::-1], axis=1)[:, ::-1]  # [:, g]: the first g levels
        with np.errstate(invalid="ignore"):  # without any weight: NaN
            shares = reached[:, 1:] / reached[:, :1]
        return self._between_levels(shares)

    def _between_levels(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share (F, B) at each threshold, from the shares (B, G) at the levels."""
        known = ~np.isnan(self.thresholds)
        tars = np.full(self.thresholds.shape, np.nan)
        replicates = np.nonzero(known)[1]
        thresholds = self.thresholds[known]
        upper = np.searchsorted(self.levels, thresholds)
        lower = np.maximum(upper - 1, 0)
        gaps = self.levels[upper] - self.levels[lower]
        parts = np.divide(thresholds - self.levels[lower], gaps, out=np.ones_like(gaps), where=gaps > 0)
        tars[known] = (1 - parts) * shares[replicates, lower] + parts * shares[replicates, upper]
        return tars


def _add_weighted(total: NDArray[np.float64], weights: NDArray[np.uint8], counts: NDArray[np.uint32]) -> None:
    """Add ``weights.T @ counts`` of (C, B) and (C, G) to ``total`` (B, G); most people have but a few counts."""
    levels, cells = np.nonzero(counts.T)
    if len(cells) > FEW_COUNTS * counts.size:
        total += weights.T.astype(np.float64) @ counts.astype(np.float64)
        return
    if not len(cells):
        return
    present, starts = np.unique(levels, return_index=True)
    numbers = counts[cells, levels].astype(np.float64)[:, np.newaxis]
    for start in range(0, len(total), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        total[part, present] += np.add.reduceat(weights[cells, part] * numbers, starts, axis=0).T


def _levels(thresholds: NDArray[np.float64], limit: int) -> NDArray[np.float64]:
    known = thresholds[~np.isnan(thresholds)]
    levels = np.unique(known)
    if len(levels) <= limit:
        return levels
    rows = [np.sort(row[~np.isnan(row)]) for row in thresholds]
    each = max(2, limit // len(rows))
    places = np.linspace(0, 1, each)
    return np.unique([row[np.round(places * (len(row) - 1)).astype(np.int64)] for row in rows if len(row)])


def interval(tars: NDArray[np.float64], people: int) -> Interval | None:
    """The percentile interval of the replicates (B,); NaN are passed over.

    When every replicate accepts all genuine pairs, drawing people anew says nothing: the lower end is then the share q
    of people of whom all pairs are accepted at which ``people`` such people in a row are as rare as 2.5 %
    (``q ** people``), and likewise the upper end when none is accepted.

    Args:
        tars: (B,) of one FAR.
        people: who have genuine pairs.

    Returns:
        None when there are fewer than ``FEWEST_PEOPLE``, or half of the replicates are NaN.
    """
    found = percentiles(tars) if people >= FEWEST_PEOPLE else None
    if found is None:
        return None
    rare = TAIL_SHARE ** (1 / people)
    return Interval(rare if found.low == 1 else found.low, 1 - rare if found.high == 0 else found.high)


def why_no_interval(people: int, replicates: int) -> str:
    """Why no figure has an interval; empty where those that can be told have one.

    Args:
        people: who have genuine pairs.
        replicates: that were drawn.
    """
    if not replicates:
        return "no people were drawn for one (--bootstrap 0)"
    return f"fewer than {FEWEST_PEOPLE} people with genuine pairs: {people}" if people < FEWEST_PEOPLE else ""


def percentiles(values: NDArray[np.float64]) -> Interval | None:
    """The middle 95 % of replicates (B,) that are not NaN; None when half of them are."""
    known = values[~np.isnan(values)]
    if len(known) <= len(values) // 2:
        return None
    return Interval(*np.quantile(known, [TAIL_SHARE, 1 - TAIL_SHARE]).tolist())


def differences(
    names: tuple[str, str],
    fars: Sequence[Fraction],
    tars: tuple[Sequence[float | None], Sequence[float | None]],
    replicates: tuple[NDArray[np.float64], NDArray[np.float64]],
    people: int,
) -> list[Difference]:
    """TAR of the second less TAR of the first at each FAR.

    Args:
        names: of the two.
        fars: F.
        tars: (F,) of each, None where the FAR is not resolvable.
        replicates: (F, B) of each, of the same bootstrap (same people, same seed).
        people: who have genuine pairs.
    """
    found = []
    for index, far in enumerate(fars):
        first, second = tars[0][index], tars[1][index]
        change = None if first is None or second is None else second - first
        around = None
        if change is not None and people >= FEWEST_PEOPLE:
            around = percentiles(replicates[1][index] - replicates[0][index])
        found.append(Difference(*names, far, change, around))
    return found
