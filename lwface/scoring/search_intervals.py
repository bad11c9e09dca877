"""Where rank shares and TPIR at FPIR lie with 95 % confidence: a bootstrap over the people searched for.

In a replicate of :mod:`lwface.scoring.intervals` every person has a weight, and so have all probes of that person,
mated and non-mated. Each replicate has its own threshold at an FPIR and its own TPIR. The gallery stays as it is: the
intervals tell how much other probes would change the figures, not other people enrolled.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.scoring.intervals import Bootstrap, Interval, interval
from lwface.scoring.open_set import Searches


class SearchIntervals(NamedTuple):
    """None where too few people leave an interval unknown, or an FPIR is not resolvable."""

    ranks: list[Interval | None]
    tpirs: list[Interval | None]


def search_intervals(
    searches: Searches,
    ranks: Sequence[int],
    fpirs: Sequence[Fraction],
    *,
    rank_limit: int = 1,
    replicates: int,
    seed: int = 0,
) -> SearchIntervals:
    """The intervals of the share at each of ``ranks`` and of the TPIR at each of ``fpirs``.

    Args:
        searches: what was found.
        ranks: from 1.
        fpirs: each above 0 and below 1.
        rank_limit: a mate must have this rank or a better one to count for TPIR.
        replicates, seed: of the bootstrap.
    """
    people = np.concatenate([searches.mated_persons, searches.stranger_persons])
    bootstrap = Bootstrap(people, replicates=replicates, seed=seed)
    mates = np.argsort(-searches.mate_scores, kind="stable")  # highest first
    strangers = np.argsort(-searches.best_scores, kind="stable")
    mate_codes = bootstrap.codes(searches.mated_persons[mates])
    stranger_codes = bootstrap.codes(searches.stranger_persons[strangers])
    mate_scores, best_scores = searches.mate_scores[mates], searches.best_scores[strangers]
    mate_ranks = searches.ranks[mates]
    shares = np.full((len(ranks), replicates), np.nan)
    tpirs = np.full((len(fpirs), replicates), np.nan)
    everybody = np.arange(len(bootstrap))
    for block in bootstrap.blocks():
        for replicate, weights in enumerate(np.ascontiguousarray(bootstrap.weights(everybody, block).T), block.start):
            of_mates = weights[mate_codes]
            total = int(of_mates.sum(dtype=np.int64))
            if not total:
                continue
            for place, rank in enumerate(ranks):
                shares[place, replicate] = of_mates[mate_ranks <= rank].sum(dtype=np.int64) / total
            named = np.cumsum(np.where(mate_ranks <= rank_limit, of_mates, 0), dtype=np.int64)
            of_strangers = np.cumsum(weights[stranger_codes], dtype=np.int64)
            if len(of_strangers) and of_strangers[-1]:
                limits = _limits(best_scores, of_strangers, fpirs)
                higher = np.searchsorted(-mate_scores, -limits)  # mates that score above the limit
                tpirs[:, replicate] = np.append(0, named)[higher] / total
    unresolvable = [fpir * len(best_scores) < 1 for fpir in fpirs]
    tpirs[unresolvable] = np.nan
    mated = len(np.unique(mate_codes))
    return SearchIntervals([interval(row, mated) for row in shares], [interval(row, mated) for row in tpirs])


def _limits(
    best_scores: NDArray[np.float64], weights: NDArray[np.int64], fpirs: Sequence[Fraction]
) -> NDArray[np.float64]:
    """For each FPIR the score that a mate must exceed: that of the first stranger who is one too many.

    Args:
        best_scores: (U,) highest first.
        weights: (U,) of the first 1, 2, ... of them.
    """
    allowed = [fpir.numerator * int(weights[-1]) // fpir.denominator for fpir in fpirs]
    return best_scores[np.searchsorted(weights, allowed, side="right")]
