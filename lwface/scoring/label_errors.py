"""Pairs and rows whose labels are probably wrong: outliers by the model's own scores, or nothing where it cannot tell.

A fixed score says nothing: 0.9 is beyond doubt for one model and the threshold of FAR 0.1 for another. So both kinds of
pairs are looked at as this model scores them.

**Two labels, one person.** Impostor scores have a tail that is close to that of a normal distribution: the scores at
FAR 0.1 and at FAR 0.01 (so far down that some wrong labels do not move them) give a straight line over the normal
quantiles, which says what score a tenth of a pair would reach if all labels were right. An impostor pair is suspect
that scores at least this and at least as much as half of the genuine pairs. (On one public model and real faces the
line foretold 0.319 for FAR 1e-3 where 0.320 was counted.) Models whose scores crowd below 1 have shorter tails than the
line, so that it errs on the side of silence.

**A row with somebody else's label** resembles none of those who share its label. A hard photograph has a low score with
most of them, but seldom with all. So a row is doubtful whose *best* genuine score is what the best of as many strangers
would be: not above the impostor score at FAR 0.1 / n for a row of n genuine pairs, which n strangers stay below nine
times in ten.

**Silent** is this where the model is too weak: where less than a tenth of the genuine pairs score as much as an
impostor pair would have to; where a best score so low is no outlier among the best scores of the rows (it lies within
three deviations of their median, by the quartile below it); where more than a tenth of the rows would be doubtful; or
where there are too few pairs to tell their quantiles.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.scoring.exact.comparisons import Comparisons
from lwface.scoring.exact.tiles import States
from lwface.scoring.operating_points import PairBatch
from lwface.scoring.tar_far_result import DoubtfulRow, HardPair, Suspects

LISTED = 2000  # suspects of each kind
BODY = (0.1, 0.01)  # FARs whose scores are trusted whatever some labels say
EXPECTED = 0.1  # pairs of right labels beyond the limit
WEAKEST = 0.1  # share of the genuine pairs that must score as much, and of the rows that may be doubtful
DEVIATIONS = 3
QUARTILE = -NormalDist().inv_cdf(0.25)  # of a normal distribution, in deviations below its median
FEWEST_IMPOSTORS, FEWEST_ROWS = 1000, 20  # to tell the score at FAR 0.01, and the quartile of the rows


class RowBests:
    """The highest genuine score of each row, and how many it has; of probe and gallery, of the probe's rows."""

    def __init__(self, comparisons: Comparisons) -> None:
        rows = len(comparisons.people())
        self._comparisons = comparisons
        self.one_set = rows == len(comparisons.everyone())
        self.scores, self.pairs = np.full(rows, -np.inf), np.zeros(rows, dtype=np.int64)

    def add(self, batch: PairBatch) -> None:
        """See some genuine pairs."""
        left, right = self._comparisons.rows(batch.pairs)
        for rows in (left, right) if self.one_set else (left,):
            np.maximum.at(self.scores, rows, batch.scores)
            np.add.at(self.pairs, rows, 1)

    def state(self) -> dict[str, NDArray[Any]]:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        return {"scores": self.scores, "pairs": self.pairs}

    def merge(self, states: States) -> None:
        """See :class:`lwface.scoring.exact.tiles.Consumer`."""
        self.scores = np.max([s["scores"] for s in states], axis=0)
        self.pairs = np.sum([s["pairs"] for s in states], axis=0)


class Extremes(NamedTuple):
    """The pairs at the wrong end of either kind.

    Attributes:
        impostors: the highest ones, at most :data:`LISTED`.
        impostor_scores: (K,) of all that are kept, highest first.
        complete: whether those are all impostor pairs.
        genuine: the lowest ones, at most :data:`LISTED`.
    """

    impostors: list[HardPair]
    impostor_scores: NDArray[np.float64]
    complete: bool
    genuine: list[HardPair]


def find_suspects(
    extremes: Extremes,
    bests: RowBests,
    genuine: NDArray[np.float64],
    impostors: NDArray[np.float64],
    impostor_pairs: int,
) -> Suspects:
    """What to look at.

    Args:
        extremes: where the suspects are.
        bests: of the rows.
        genuine: (G,) scores, or an even sample of them, in any order.
        impostors: (I,) likewise, highest first.
        impostor_pairs: how many there are.
    """
    limit = impostor_limit(genuine, impostors, impostor_pairs)
    high = 0 if limit is None else int(np.searchsorted(-extremes.impostor_scores, -limit, "right"))
    rows = doubtful_rows(bests, impostors)
    named = {row.row for row in rows or ()}
    torn = [pair for pair in extremes.genuine if pair.left in named or (bests.one_set and pair.right in named)]
    return Suspects(
        extremes.impostors[:high],
        high,
        torn,
        len(torn),
        more_impostors=0 < high == len(extremes.impostor_scores) and not extremes.complete,
        impostor_limit=limit,
        rows=rows,
    )


def impostor_limit(genuine: NDArray[np.float64], impostors: NDArray[np.float64], impostor_pairs: int) -> float | None:
    """From which score an impostor pair is suspect; None: the model, or the set, cannot tell. As in the module's words.

    Args:
        genuine: (G,) in any order.
        impostors: (I,) highest first.
        impostor_pairs: how many there are.
    """
    reached = stranger_limit(impostors, impostor_pairs)
    if reached is None or not len(genuine) or np.mean(genuine >= reached) < WEAKEST:
        return None
    return max(reached, float(np.median(genuine)))


def stranger_limit(impostors: NDArray[np.float64], pairs: int) -> float | None:
    """The score that :data:`EXPECTED` of ``pairs`` pairs of strangers reach, by their tail; None: too few, or ties.

    Args:
        impostors: (I,) scores of strangers, highest first.
        pairs: how many pairs are looked at.
    """
    if len(impostors) < FEWEST_IMPOSTORS:
        return None
    near, far = (float(score_at(impostors, rate)) for rate in BODY)
    if near == far:  # no tail, but ties
        return None
    normal = NormalDist()
    near_z, far_z, z = (-normal.inv_cdf(rate) for rate in (*BODY, EXPECTED / pairs))
    return far + (far - near) / (far_z - near_z) * (z - far_z)


def doubtful_rows(bests: RowBests, impostors: NDArray[np.float64]) -> list[DoubtfulRow] | None:
    """The rows that resemble nobody of their label, least first; None: the model, or the set, cannot tell."""
    rows = np.flatnonzero(bests.pairs)
    if len(rows) < FEWEST_ROWS or len(impostors) < FEWEST_IMPOSTORS:
        return None
    scores, pairs = bests.scores[rows], bests.pairs[rows]
    limits = score_at(impostors, EXPECTED / pairs)
    told = limits <= outlier_below(scores)
    found = np.flatnonzero(told & (scores <= limits))
    if not told.any() or len(found) > WEAKEST * len(rows):
        return None
    order = found[np.lexsort((rows[found], scores[found]))]
    return [DoubtfulRow(*row) for row in zip(*(a[order].tolist() for a in (rows, scores, pairs)), strict=True)]


def outlier_below(scores: NDArray[np.float64]) -> float:
    """Below which of the best ``scores`` of rows one is an outlier: :data:`DEVIATIONS` below their median."""
    quartile, median = np.quantile(scores, [0.25, 0.5])
    return float(median - DEVIATIONS * (median - quartile) / QUARTILE)


def score_at(impostors: NDArray[np.float64], far: Any) -> Any:
    """The impostor score that about a share ``far`` of them, highest first, are above."""
    return impostors[np.minimum(np.asarray(far) * len(impostors), len(impostors) - 1).astype(np.int64)]
