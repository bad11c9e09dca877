"""Which pairs a protocol compares, and their scores: screened block by block, or exact for those that matter.

Three protocols, one interface (:class:`Comparisons`): all pairs of one set and every probe with every gallery row
(:class:`lwface.scoring.exact.grid.Grid`), a list of pairs (:class:`PairList`). Whoever consumes them sees no
difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lwface.formats.person_labels import DISTRACTOR
from lwface.scoring.exact.feature_set import (
    FeatureSet,
    Pairs,
    ScoreBlock,
    ScoredPairs,
    exact_scores,
    float32_floor,
    screened_scores,
    screening_error,
)
from lwface.scoring.exact.pair_counts import listed_totals
from lwface.scoring.exact.sampling import draw_listed
from lwface.scoring.exact.tiles import PairTile
from lwface.scoring.intervals import Bootstrap

BASE_BYTES = 3 * 2**28  # kept pairs, what merges them, blocks, and the interpreter with its libraries


class Comparisons(Protocol):
    """The pairs of a protocol, and their scores."""

    genuine_pairs: int
    impostor_pairs: int
    width: int  # numbers a feature has
    error: float  # the most by which a screened score differs from the exact one

    def tiles(self, *, genuine: bool) -> list[PairTile]:
        """Parts that hold every genuine (or every impostor) pair once: what is shared out among processes."""
        ...

    def blocks(self, tile: PairTile, *, genuine: bool) -> Iterator[ScoreBlock]:
        """The genuine (or impostor) pairs of a tile."""
        ...

    def genuine(self, tile: PairTile) -> Pairs:
        """The genuine pairs of a tile, without their scores."""
        ...

    def above(self, tile: PairTile, floor: Callable[[], float]) -> Iterator[ScoredPairs]:
        """The impostor pairs of a tile with a score of at least ``floor()``, which may rise meanwhile."""
        ...

    def exact(self, pairs: Pairs) -> NDArray[np.float64]:
        """Exact scores of ``pairs``."""
        ...

    def rows(self, pairs: Pairs) -> Pairs:
        """``pairs`` as row numbers of the feature files; of one file, the lower one first."""
        ...

    def persons(self, pairs: Pairs) -> Pairs:
        """Who is on either side of ``pairs``: equal numbers are one person, each distractor has its own."""
        ...

    def everyone(self) -> NDArray[np.int64]:
        """Who is on each row, of both sets."""
        ...

    def people(self) -> NDArray[np.int64]:
        """Who is on each row of the (left) feature file, in the file's order."""
        ...

    def impostor_pairs_within(self, values: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """(count,) impostor pairs of rows of one set that both have each of ``values`` (N,), negative for none."""
        ...

    def prepare(self) -> None:
        """Read the features and make what screens of them, where that is not done yet; without PyTorch."""
        ...

    def memory(self) -> int:
        """Bytes that comparing takes at most, in each process, whatever the number of pairs."""
        ...

    def impostor_weights(self, bootstrap: Bootstrap) -> NDArray[np.int64]:
        """(B,) weight of all impostor pairs in each replicate."""
        ...

    @property
    def sample(self) -> ScoredPairs:
        """About ``SAMPLE`` impostor pairs, each as likely as any other; fewer when they are rare.

        The scores may differ from the exact ones by 2**-30, too little for a sample to tell.
        """
        ...


class PairList:
    """The pairs of a list; memory is the list's and a block's.

    Args:
        features: the set whose rows are paired.
        first, second: (P,) rows.
        same: (P,), None: pairs of equal labels are genuine.
        block_size: pairs of a block.
        distractor_pairs: whether pairs of two distractors are kept.
        ignored: (Q, 2) rows; these pairs are left out, and so are pairs of two rows of one group.
    """

    def __init__(
        self,
        features: FeatureSet,
        first: NDArray[np.int64],
        second: NDArray[np.int64],
        same: NDArray[np.bool_] | None,
        *,
        block_size: int = 2**16,
        distractor_pairs: bool = True,
        ignored: NDArray[np.int64] | None = None,
    ) -> None:
        labels = features.labels
        distractors = (labels[first] == DISTRACTOR) & (labels[second] == DISTRACTOR)
        if same is None:
            same = (labels[first] == labels[second]) & ~distractors
        self.features = features
        self.width = features.width
        self.error = screening_error(features.width)
        self.block_size = block_size
        positions = np.empty(len(features), dtype=np.int64)  # of each row
        positions[features.rows] = np.arange(len(features))
        lefts, rights = positions[first], positions[second]
        keep = np.full(len(first), True) if distractor_pairs else ~distractors
        if features.groups is not None:
            keep &= (features.groups[lefts] < 0) | (features.groups[lefts] != features.groups[rights])
        if ignored is not None and len(ignored):
            keys, unwanted = (
                np.sort(table, axis=1) @ [len(features), 1] for table in (np.stack([first, second], 1), ignored)
            )
            keep &= ~np.isin(keys, unwanted)
        # genuine pairs first: then either kind is a range of the list
        order = np.concatenate([np.flatnonzero(keep & same), np.flatnonzero(keep & ~same)])
        self.first, self.second = lefts[order], rights[order]
        self.genuine_pairs = int((keep & same).sum())
        self.impostor_pairs = len(order) - self.genuine_pairs

    def tiles(self, *, genuine: bool) -> list[PairTile]:
        """See :class:`Comparisons`."""
        start, end = (0, self.genuine_pairs) if genuine else (self.genuine_pairs, len(self.first))
        return [PairTile(at, min(at + self.block_size, end), 0, 1) for at in range(start, end, self.block_size)]

    def blocks(self, tile: PairTile, *, genuine: bool) -> Iterator[ScoreBlock]:
        """See :class:`Comparisons`."""
        pairs = self._pairs(tile)
        values = screened_scores(self.features, self.features, self._positions(pairs))
        if values is None:
            values = self.exact(pairs).astype(np.float32)
        yield ScoreBlock(values[:, np.newaxis], tile.first, 0)

    def genuine(self, tile: PairTile) -> Pairs:
        """See :class:`Comparisons`."""
        return self._pairs(tile)

    def above(self, tile: PairTile, floor: Callable[[], float]) -> Iterator[ScoredPairs]:
        """See :class:`Comparisons`."""
        pairs = self._pairs(tile)
        screened = screened_scores(self.features, self.features, self._positions(pairs))
        if screened is not None:
            pairs = pairs.take(screened >= float32_floor(floor() - self.error))
        scores = self.exact(pairs)
        keep = np.flatnonzero(scores >= floor())
        yield ScoredPairs(pairs.take(keep), scores[keep])

    def exact(self, pairs: Pairs) -> NDArray[np.float64]:
        """See :class:`Comparisons`."""
        return exact_scores(self.features, self.features, self._positions(pairs))

    def rows(self, pairs: Pairs) -> Pairs:
        """See :class:`Comparisons`."""
        left, right = self._positions(pairs)
        left, right = self.features.rows[left], self.features.rows[right]
        return Pairs(np.minimum(left, right), np.maximum(left, right))

    def persons(self, pairs: Pairs) -> Pairs:
        """See :class:`Comparisons`."""
        left, right = self._positions(pairs)
        return Pairs(self.features.persons[left], self.features.persons[right])

    def everyone(self) -> NDArray[np.int64]:
        """See :class:`Comparisons`."""
        return self.features.persons

    def people(self) -> NDArray[np.int64]:
        """See :class:`Comparisons`."""
        return self.features.people()

    def impostor_pairs_within(self, values: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """See :class:`Comparisons`."""
        left, right = (values[self.features.rows[side[self.genuine_pairs :]]] for side in (self.first, self.second))
        return np.bincount(left[(left == right) & (left >= 0)], minlength=count)

    def prepare(self) -> None:
        """See :class:`Comparisons`."""
        _ = self.features.rounded

    def memory(self) -> int:
        """See :class:`Comparisons`."""
        return BASE_BYTES + self.features.memory() + 3 * (self.first.nbytes + self.second.nbytes)

    def impostor_weights(self, bootstrap: Bootstrap) -> NDArray[np.int64]:
        """See :class:`Comparisons`."""
        left, right = self.first[self.genuine_pairs :], self.second[self.genuine_pairs :]
        codes = bootstrap.codes(self.features.persons[np.stack([left, right], axis=1)])
        return listed_totals(bootstrap, codes)

    @cached_property
    def sample(self) -> ScoredPairs:
        """See :class:`Comparisons`."""
        chosen = self.genuine_pairs + draw_listed(self.impostor_pairs)
        pairs = Pairs(chosen, np.zeros_like(chosen))
        return ScoredPairs(pairs, self.exact(pairs))

    def _pairs(self, tile: PairTile) -> Pairs:
        indices = np.arange(tile.first, tile.first_end)
        return Pairs(indices, np.zeros_like(indices))

    def _positions(self, pairs: Pairs) -> Pairs:
        return Pairs(self.first[pairs.left], self.second[pairs.left])
