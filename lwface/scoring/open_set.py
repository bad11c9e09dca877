"""Open-set 1:N search: who a probe is in a gallery, or that it is nobody there, with exact scores and counts.

Every probe is searched in the whole gallery. A person's score is the best score of its gallery rows. A probe whose
person is in the gallery is *mated*; all others, distractors among them, are *non-mated*.

* **Rank** of a mated probe: 1 and the number of other people whose score is at least its mate's. Ties count against the
  mate. **CMC** at a rank: the share of mated probes with that rank or a better one.
* **FPIR** at a threshold: the share of non-mated probes whose best gallery score is at least the threshold, so that the
  search would name somebody. **TPIR**: the share of mated probes whose mate's score is at least the threshold and whose
  rank is within the limit (1 unless another is asked for). (NIST, "Face Recognition Vendor Test, Part 2:
  Identification", NISTIR 8271; TPIR is 1 - FNIR.)
* The **threshold** of an FPIR is the smallest float64 that keeps to it, by the rule that
  ``lwface/scoring/operating_points.py`` has for a FAR: the float64 next above the (k+1)-th largest best score, k =
  floor(FPIR * non-mated probes). Of non-mated probes that tie there all are refused. An FPIR of less than one probe is
  not resolvable.

Scores are those of ``lwface/scoring/exact/feature_set.py``. Blocks of a float32 matrix product screen the gallery;
with the proven bound ``e`` on their error, only what they leave open is scored exactly:

* A person's screened score, the largest of its rows', is within ``e`` of the person's score. If it is more than ``e``
  from the mate's exact score, it is above or below that for certain.
* With ``b`` the best exact score so far and ``t`` the largest screened score of a block's rows, the best row of the
  block has a screened score of at least ``t - 2 e``; and one of at least ``b - e`` if it is better than ``b``.

So ranks, scores and counts do not depend on block size or the order of rows. Memory is a few blocks and some numbers a
row; the features stay on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.progress import progress
from lwface.formats.person_labels import LABEL_LIMIT
from lwface.scoring.exact.feature_set import FeatureSet, score, screening_error
from lwface.scoring.intervals import Interval
from lwface.scoring.parameters import BLOCK_SIZE

PROBES_PER_ROW = 4  # a block has this many times more probes: the gallery is normalised that much less often
EXACT_BYTES = 2**22  # float64 work space while exact scores are computed: it stays in the cache


class SearchSide:
    """The rows of a set that are searched or searched for, sorted by person.

    Args:
        features: the set.
        positions: (n,) ascending positions in it; all of them when left out.
    """

    def __init__(self, features: FeatureSet, positions: NDArray[np.int64] | None = None) -> None:
        self.features = features
        self.positions = np.arange(len(features)) if positions is None else positions
        self.persons = features.persons[self.positions]  # (n,) ascending

    def __len__(self) -> int:
        return len(self.positions)

    def units(self, indices: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        """Unit rows (n, D) of the side's rows ``indices``."""
        return self.features.units(self.positions[indices])


class Searches(NamedTuple):
    """What the gallery answered."""

    mate_scores: NDArray[np.float64]  # (mated probes,) score of the probe's own person
    ranks: NDArray[np.int64]  # (mated probes,) from 1
    best_scores: NDArray[np.float64]  # (non-mated probes,) best score of anybody
    mated_persons: NDArray[np.int64]  # (mated probes,) number of the person
    stranger_persons: NDArray[np.int64]  # (non-mated probes,)

    @property
    def cmc(self) -> list[tuple[int, int]]:
        """Each rank that occurs, with the number of mated probes at it or a better one."""
        ranks, counts = np.unique(self.ranks, return_counts=True)
        return list(zip(ranks.tolist(), np.cumsum(counts).tolist(), strict=True))

    def hits(self, rank: int) -> int:
        """How many mated probes have ``rank`` or a better one."""
        return int(np.count_nonzero(self.ranks <= rank))


@dataclass(frozen=True)
class SearchPoint:
    """One FPIR and what it allows; the figures are None when the probes cannot resolve it."""

    fpir: Fraction
    non_mated: int
    mated: int
    threshold: float | None = None
    false_positives: int | None = None
    true_positives: int | None = None
    interval: Interval | None = None  # of the TPIR

    @property
    def tpir(self) -> float | None:
        """Share of the mated probes that are identified."""
        return None if self.true_positives is None else self.true_positives / self.mated

    @property
    def achieved_fpir(self) -> float | None:
        """Share of the non-mated probes for which somebody is named."""
        return None if self.false_positives is None else self.false_positives / self.non_mated

    @property
    def reason(self) -> str | None:
        """Why there are no figures."""
        if self.threshold is not None:
            return None
        return f"needs at least {-(-1 // self.fpir)} non-mated probes, there are {self.non_mated}"

    def as_json(self) -> dict[str, Any]:
        """The entry of ``results`` in the command's JSON."""
        return {
            "fpir": float(self.fpir),
            "threshold": self.threshold,
            "false_positives": self.false_positives,
            "true_positives": self.true_positives,
            "tpir": self.tpir,
            "tpir_interval": None if self.interval is None else list(self.interval),
            "achieved_fpir": self.achieved_fpir,
            "resolvable": self.reason is None,
            **({} if self.reason is None else {"reason": self.reason}),
        }


def split_gallery(features: FeatureSet, rows_each: int, strangers: Iterable[int] = ()) -> tuple[SearchSide, SearchSide]:
    """Probe and gallery of one set: the first ``rows_each`` rows of every person, in the file's order, are enrolled.

    The others are probes; distractors, and all rows of ``strangers`` (by their labels), are non-mated probes. Who has
    no more rows than are enrolled is never searched for, and is in the gallery for others to be mistaken for.

    Raises:
        UserError: nothing is left for one of the two.
    """
    known = (features.persons < LABEL_LIMIT) & ~np.isin(features.persons, list(strangers))
    starts = np.searchsorted(features.persons, features.persons)
    enrolled = known & (np.arange(len(features)) - starts < rows_each)
    if enrolled.all() or not enrolled.any():
        what = "probe" if enrolled.any() else "gallery"
        raise UserError(f"with {rows_each} rows of each person in the gallery no row is left for the {what}")
    return SearchSide(features, np.flatnonzero(~enrolled)), SearchSide(features, np.flatnonzero(enrolled))


def search(probe: SearchSide, gallery: SearchSide, *, block_size: int = BLOCK_SIZE) -> Searches:
    """Search every probe in the gallery.

    Args:
        probe, gallery: the two sides; of two files, their sets must have been made with different ``side``.
        block_size: gallery rows of a block. It changes memory and speed, never a result.

    Raises:
        UserError: the widths differ, the block size is not positive, or no probe's person is in the gallery.
    """
    if probe.features.width != gallery.features.width:
        raise UserError(f"probe features have width {probe.features.width}, gallery features {gallery.features.width}")
    if block_size < 1:
        raise UserError(f"block size {block_size} is not a positive number of rows")
    people = _People(gallery, block_size)
    number = np.minimum(np.searchsorted(people.persons, probe.persons), len(people.persons) - 1)
    mated = people.persons[number] == probe.persons
    if not mated.any():
        raise UserError("no probe's person is in the gallery: there is nobody to identify")
    step = block_size * PROBES_PER_ROW
    found = [np.flatnonzero(mated), np.flatnonzero(~mated)]
    mate_scores, ranks = np.empty(len(found[0])), np.empty(len(found[0]), dtype=np.int64)
    for start in progress(range(0, len(found[0]), step), label="mated probes", unit="block"):
        part = slice(start, start + step)
        units = probe.units(found[0][part])
        mate_scores[part], ranks[part] = people.mate_scores_and_ranks(units, number[found[0][part]])
    best_scores = np.empty(len(found[1]))
    for start in progress(range(0, len(found[1]), step), label="non-mated probes", unit="block"):
        part = slice(start, start + step)
        best_scores[part] = people.best_scores(probe.units(found[1][part]))
    return Searches(mate_scores, ranks, best_scores, probe.persons[mated], probe.persons[~mated])


def search_points(searches: Searches, fpirs: Sequence[Fraction], *, rank: int = 1) -> list[SearchPoint]:
    """TPIR at each FPIR, in the order given; a mate must have ``rank`` or a better one to count."""
    mated, non_mated = len(searches.ranks), len(searches.best_scores)
    best = np.sort(searches.best_scores)
    named = searches.mate_scores[searches.ranks <= rank]
    points = []
    for fpir in fpirs:
        allowed = fpir.numerator * non_mated // fpir.denominator
        if not allowed:
            points.append(SearchPoint(fpir, non_mated, mated))
            continue
        threshold = float(np.nextafter(best[non_mated - 1 - allowed], np.inf))
        false_positives = non_mated - int(np.searchsorted(best, threshold))
        points.append(
            SearchPoint(fpir, non_mated, mated, threshold, false_positives, int(np.count_nonzero(named >= threshold)))
        )
    return points


class _People:
    """A gallery as people with rows."""

    def __init__(self, gallery: SearchSide, block_size: int) -> None:
        self.gallery = gallery
        self.block_size = block_size
        self.error = screening_error(gallery.features.width)
        self.persons, self.starts = np.unique(gallery.persons, return_index=True)  # (G,) each, G people
        self.ends = np.append(self.starts[1:], len(gallery))

    def mate_scores_and_ranks(
        self, units: NDArray[np.float64], mates: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Scores (S,) of the probes ``units`` (S, D) with the people ``mates`` (S,), and the ranks (S,) of these."""
        mate_scores = self._exact(units, np.arange(len(units)), mates)
        surely_above = _float32_above(mate_scores + self.error)[:, np.newaxis]
        surely_below = _float32_below(mate_scores - self.error)[:, np.newaxis]
        ranks = np.ones(len(units), dtype=np.int64)
        screened = units.astype(np.float32)
        for first, last in self._blocks_of_people():
            values = self._screen_people(screened, first, last)  # (S, people)
            own = np.flatnonzero((mates >= first) & (mates < last))
            values[own, mates[own] - first] = -np.inf
            ranks += np.count_nonzero(values > surely_above, axis=1)
            open_probes, open_people = np.nonzero((values >= surely_below) & (values <= surely_above))
            if len(open_probes):
                scores = self._exact(units, open_probes, open_people + first)
                ranks += np.bincount(open_probes[scores >= mate_scores[open_probes]], minlength=len(units))
        return mate_scores, ranks

    def best_scores(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Best score (S,) of each of the probes ``units`` (S, D) with any row."""
        best = np.full(len(units), -np.inf)
        screened = units.astype(np.float32)
        for start in range(0, len(self.gallery), self.block_size):
            values = self._screen(screened, slice(start, start + self.block_size))  # (S, rows)
            top = values.max(axis=1)
            floor = _float32_below(np.maximum(top.astype(np.float64) - 2 * self.error, best - self.error))
            better = np.flatnonzero(top >= floor)
            probes, rows = np.nonzero(values[better] >= floor[better, np.newaxis])
            probes, rows = better[probes], rows + start
            step = max(1, EXACT_BYTES // (8 * units.shape[1]))
            for begin in range(0, len(probes), step):
                part = slice(begin, begin + step)
                np.maximum.at(best, probes[part], score(units[probes[part]], self.gallery.units(rows[part])))
        return best

    def _blocks_of_people(self) -> Iterator[tuple[int, int]]:
        """Ranges of people whose rows make a block; one alone may have more."""
        first = 0
        while first < len(self.persons):
            last = int(np.searchsorted(self.ends, self.starts[first] + self.block_size, "right"))
            last = max(last, first + 1)
            yield first, last
            first = last

    def _screen(self, screened: NDArray[np.float32], rows: slice) -> NDArray[np.float32]:
        return screened @ self.gallery.units(rows).astype(np.float32).T

    def _screen_people(self, screened: NDArray[np.float32], first: int, last: int) -> NDArray[np.float32]:
        """Screened scores (S, people) of each of the people ``first`` to ``last`` - 1: the best of their rows."""
        start, end = int(self.starts[first]), int(self.ends[last - 1])
        if last - first == 1:
            best = np.full((len(screened), 1), -np.inf, dtype=np.float32)
            for begin in range(start, end, self.block_size):
                values = self._screen(screened, slice(begin, min(begin + self.block_size, end)))
                np.maximum(best, values.max(axis=1, keepdims=True), out=best)
            return best
        values = self._screen(screened, slice(start, end))
        if end - start == last - first:
            return values
        return np.maximum.reduceat(values, self.starts[first:last] - start, axis=1)

    def _exact(
        self, units: NDArray[np.float64], probes: NDArray[np.int64], people: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Scores (n,) of ``units[probes]`` with ``people``: the best of their rows."""
        ends = np.cumsum(self.ends[people] - self.starts[people])  # of each one's rows among all to be scored
        step = max(1, EXACT_BYTES // (8 * units.shape[1]))
        best = np.full(len(people), -np.inf)
        for begin in range(0, int(ends[-1]), step):
            numbers = np.arange(begin, min(begin + step, int(ends[-1])))
            which = np.searchsorted(ends, numbers, "right")
            rows = self.ends[people[which]] - (ends[which] - numbers)
            np.maximum.at(best, which, score(units[probes[which]], self.gallery.units(rows)))
        return best


def _float32_above(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Numbers at least as large as ``values``."""
    return np.nextafter(values.astype(np.float32), np.float32(np.inf))


def _float32_below(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Numbers at most as large as ``values``."""
    return np.nextafter(values.astype(np.float32), np.float32(-np.inf))
