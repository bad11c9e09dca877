"""A sample of the impostor pairs, with scores by matrix products.

Where the highest scores end, where the score of a rank lies and how a curve goes on beyond what is kept are told by a
sample. Pairs drawn one by one would take two rows from memory each; here the rows are shuffled and cut into groups, and
groups are compared whole: a row that was read meets ``SIDE`` others. Every group meets as many others as any other one,
so that people who are easily confused, or hardly ever, are in the sample as often as they are in the set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.threads import in_threads
from lwface.scoring.exact.feature_set import FeatureSet, Pairs, ScoredPairs
from lwface.scoring.exact.tiles import PairTile, libraries

SAMPLE = 2**20  # pairs drawn
SAMPLE_SEED = 1
SIDE = 64  # rows of a group
BLOCKS_AT_ONCE = 16
SMALLEST = 8  # groups, of a set too small for so many rows
SCORE_STEP = 2.0**-30  # scores are rounded to it: BLAS libraries differ by some 2**-50, and so agree


class Blocks(NamedTuple):
    """Groups that are compared with each other: every row of ``left[b]`` with every row of ``right[b]``.

    Attributes:
        left: (B, S) positions.
        right: (B, T) positions.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]

    def pairs(self) -> Pairs:
        """All of them, a block after the other."""
        shape = (len(self.left), self.left.shape[1], self.right.shape[1])
        left = np.broadcast_to(self.left[:, :, np.newaxis], shape)
        right = np.broadcast_to(self.right[:, np.newaxis, :], shape)
        return Pairs(left.ravel(), right.ravel())

    def scores(self, left: FeatureSet, right: FeatureSet) -> NDArray[np.float64]:
        """The scores of :meth:`pairs`, rounded to multiples of ``SCORE_STEP``."""
        scores = np.matmul(left.units(self.left), right.units(self.right).transpose(0, 2, 1))
        return np.rint(scores.ravel() / SCORE_STEP) * SCORE_STEP

    def parts(self) -> list[Blocks]:
        """The same in parts small enough to work on at a time."""
        starts = range(0, len(self.left), BLOCKS_AT_ONCE)
        return [Blocks(*(side[start : start + BLOCKS_AT_ONCE] for side in self)) for start in starts]


def sampled(
    left: FeatureSet, right: FeatureSet, regions: Sequence[PairTile], counts: Callable[[Pairs], NDArray[np.bool_]]
) -> ScoredPairs:
    """About ``SAMPLE`` pairs of some rectangles, in no order; scores are rounded to multiples of ``SCORE_STEP``.

    Args:
        left, right: the sets.
        regions: see :func:`draw_blocks`.
        counts: tells which pairs are to be had.
    """

    def look(part: Blocks) -> ScoredPairs:
        pairs = part.pairs()
        keep = np.flatnonzero(counts(pairs))
        return ScoredPairs(pairs.take(keep), part.scores(left, right)[keep])

    parts = [part for blocks in draw_blocks(regions) for part in blocks.parts()]
    with libraries().limit(limits=1, user_api="blas"):
        found = list(in_threads(look, parts))
    scores = [np.empty(0), *(part.scores for part in found)]
    return ScoredPairs(Pairs.joined(part.pairs for part in found), np.concatenate(scores))


def draw_blocks(regions: Sequence[PairTile]) -> list[Blocks]:
    """About ``SAMPLE`` pairs of some rectangles, or nearly all of fewer, each as likely as any other.

    Args:
        regions: without common cells; with ``above``, a square of rows with themselves, of which each unordered pair is
            drawn at most once and no row meets itself.
    """
    generator = np.random.default_rng(SAMPLE_SEED)
    area = sum(region.area for region in regions)
    return [_of_region(region, SAMPLE * region.area / area, generator) for region in regions]


def draw_listed(count: int) -> NDArray[np.int64]:
    """``SAMPLE`` of ``count`` pairs of a list, each as likely as any other; with replacement."""
    return np.random.default_rng(SAMPLE_SEED).integers(count, size=SAMPLE if count else 0)


def _of_region(region: PairTile, count: float, generator: np.random.Generator) -> Blocks:
    groups = _shuffled(region.first, region.first_end, generator)
    others = groups if region.above else _shuffled(region.second, region.second_end, generator)
    wanted = int(count / (groups.shape[1] * others.shape[1]) + generator.random())  # on average what is asked for
    shifts = np.arange(1, len(groups) // 2 + 1) if region.above else np.arange(len(others))
    shifts = generator.permutation(shifts)[: wanted // len(groups) + 2]  # one may be of half as many
    left = np.tile(np.arange(len(groups)), len(shifts))
    shift = np.repeat(shifts, len(groups))
    if region.above:  # half way round, each two groups meet twice
        once = (2 * shift < len(groups)) | (2 * left < len(groups))
        left, shift = left[once], shift[once]
    left, shift = left[:wanted], shift[:wanted]
    return Blocks(groups[left], others[(left + shift) % len(others)])


def _shuffled(first: int, end: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Groups (G, S) of positions; what remains of the last one is left out."""
    side = min(SIDE, max(1, (end - first) // SMALLEST))
    positions = first + generator.permutation(end - first)
    return positions[: len(positions) // side * side].reshape(-1, side)
