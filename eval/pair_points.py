"""TAR at FAR of a list with many pairs a row, such as the 15.7 million of IJB-C among 23 124 templates.

The meaning is that of ``eval/operating_points.py``, to the last count. A float32 matrix product of the rows on either
side gives the screened scores of all pairs, much faster than pair by pair; they take four bytes a pair. Only those
within twice the proven error of a threshold's place are scored exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.progress import progress
from eval.feature_set import FeatureSet
from eval.operating_points import OperatingPoint
from eval.scores import float32_above, float32_below, score, screening_error

BLOCK_ROWS = 256  # rows on the left that are multiplied at once with the rows on the right that they are paired with
EXACT_BYTES = 2**22  # float64 work space while exact scores are computed: it stays in the cache


class _Near(NamedTuple):
    above: int
    scores: NDArray[np.float64]  # ascending


def pair_points(
    features: FeatureSet,
    first: NDArray[np.int32],
    second: NDArray[np.int32],
    same: NDArray[np.bool_],
    fars: Sequence[Fraction],
) -> list[OperatingPoint]:
    """The operating point of each FAR, in the order given.

    Args:
        features: the rows that are paired, N of them.
        first, second: (P,) positions in it.
        same: (P,) whether a pair is genuine.
        fars: each above 0 and below 1.

    Raises:
        UserError: there are no genuine or no impostor pairs.
    """
    impostors, genuine = np.flatnonzero(~same), np.flatnonzero(same)
    if not len(genuine) or not len(impostors):
        raise UserError(f"of {len(same)} pairs {len(genuine)} are genuine: there must be some of both kinds")
    screened = screened_scores(features, first, second)
    wrong, right = screened[impostors], screened[genuine]
    error = screening_error(features.width)
    ascending = np.sort(wrong)

    def exact_near(pairs: NDArray[np.int64], values: NDArray[np.float32], middle: float, margin: float) -> _Near:
        """``pairs`` with screened ``values``: how many are above ``middle`` by more than ``margin``, and the others."""
        low, high = float32_below(middle - margin), float32_above(middle + margin)
        near = pairs[(values >= low) & (values <= high)]
        return _Near(int(np.count_nonzero(values > high)), np.sort(_exact(features, first[near], second[near])))

    points = []
    for far in fars:
        rank = far.numerator * len(wrong) // far.denominator + 1
        if rank == 1:
            points.append(OperatingPoint(far, len(wrong), len(right)))
            continue
        # The rank-th largest score is within the error of the rank-th largest screened score: sorting moves no further.
        above, scores = exact_near(impostors, wrong, float(ascending[-rank]), 2 * error)
        threshold = float(np.nextafter(scores[above - rank], np.inf))
        false_accepts = above + int(np.count_nonzero(scores >= threshold))
        above, scores = exact_near(genuine, right, threshold, error)
        true_accepts = above + int(np.count_nonzero(scores >= threshold))
        points.append(OperatingPoint(far, len(wrong), len(right), threshold, false_accepts, true_accepts))
    return points


def screened_scores(features: FeatureSet, first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.float32]:
    """Scores (P,) of the pairs ``first, second`` (P,) of positions, within the screening error."""
    units = np.empty((len(features), features.width), dtype=np.float32)
    for start in range(0, len(features), 4096):
        units[start : start + 4096] = features.units(slice(start, start + 4096))
    lefts, left = _numbered(first, len(features))
    blocks = left // BLOCK_ROWS
    order = np.argsort(blocks.astype(np.uint16) if blocks.max() < 2**16 else blocks, kind="stable")
    ends = np.cumsum(np.bincount(blocks))
    values = np.empty(len(first), dtype=np.float32)
    for block in progress(range(len(ends)), label="pairs", unit="block"):
        pairs = order[ends[block - 1] if block else 0 : ends[block]]
        rows = lefts[block * BLOCK_ROWS : (block + 1) * BLOCK_ROWS]
        columns, right = _numbered(second[pairs], len(features))
        products = units[rows] @ units[columns].T
        values[pairs] = products[left[pairs] - block * BLOCK_ROWS, right]
    return values


def _numbered(positions: NDArray[np.int32], count: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The different ``positions`` below ``count``, ascending, and for each position its number among them."""
    used = np.zeros(count, dtype=bool)
    used[positions] = True
    numbers = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(used), numbers[positions]


def _exact(features: FeatureSet, first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.float64]:
    scores = np.empty(len(first))
    step = max(1, EXACT_BYTES // (8 * features.width))
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        scores[part] = score(
            features.units(first[part].astype(np.int64)), features.units(second[part].astype(np.int64))
        )
    return scores
