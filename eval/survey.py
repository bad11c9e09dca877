"""What a report shows beside the operating points: where the scores lie, and the pairs that are hardest to tell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.comparisons import Comparisons
from eval.selection import Histogram, TopPairs

HARDEST = 12  # pairs of each kind shown
HARDEST_CAPACITY = 2**16  # where more pairs than this tie, some of them are shown


class HardPair(NamedTuple):
    """Two file rows and their exact score."""

    left: int
    right: int
    score: float


class Survey(NamedTuple):
    """Histograms of the screened scores, and the hardest pairs, hardest first."""

    genuine: Histogram
    impostors: Histogram
    hardest_genuine: list[HardPair]  # lowest scores
    hardest_impostors: list[HardPair]  # highest scores


class Curve(NamedTuple):
    """A ROC at the edges of the histograms' bins, from the loosest threshold to the strictest."""

    far: NDArray[np.float64]
    tar: NDArray[np.float64]


def survey(comparisons: Comparisons) -> Survey:
    """Look at every pair once; memory does not grow with their number."""
    genuine, hardest_genuine = _look(comparisons, genuine=True)
    impostors, hardest_impostors = _look(comparisons, genuine=False)
    return Survey(genuine, impostors, hardest_genuine, hardest_impostors)


def roc(genuine: Histogram, impostors: Histogram) -> Curve:
    """The curve of screened scores: each point is at a bin's lower edge, so off by no more than the screening error."""
    rates = [np.cumsum(histogram.counts[::-1])[::-1] / histogram.counts.sum() for histogram in (impostors, genuine)]
    return Curve(*rates)


def _look(comparisons: Comparisons, *, genuine: bool) -> tuple[Histogram, list[HardPair]]:
    histogram = Histogram(comparisons.error)
    hardest = TopPairs(comparisons, HARDEST, HARDEST_CAPACITY, lowest=genuine)
    kind = "genuine" if genuine else "impostor"
    for block in comparisons.blocks(genuine=genuine, label=f"{kind} scores"):
        histogram.add(block)
        hardest.add(block)
    pairs, scores = hardest.result()
    rows = comparisons.rows(pairs)
    found = zip(rows.left.tolist(), rows.right.tolist(), scores.tolist(), strict=True)
    return histogram, [HardPair(*pair) for pair in found][:HARDEST]
