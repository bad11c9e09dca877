"""Which pairs a protocol compares, and their scores: screened block by block, or exact for those that matter.

Three protocols, one interface (:class:`Comparisons`): all pairs of one set and every probe with every gallery row
(:class:`lwface.scoring.exact.grid.Grid`), a list of pairs (:class:`PairList`). Whoever consumes them sees no
difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lwface.formats.labels import DISTRACTOR
from lwface.scoring.bootstrap import Bootstrap, listed_totals
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.scores import float32_below, score, screening_error

NO_PAIR = np.float32(-np.inf)  # marks a cell of a block that is no pair of the kind asked for
SOME_PAIRS = 2**16
BASE_BYTES = 3 * 2**28  # kept pairs, what merges them, blocks, and the interpreter with its libraries
PAIRS_AT_ONCE = 2**10  # whose float32 rows stay in the cache
EXACT_BYTES = 2**20  # float64 work space while exact scores are computed: it stays in the cache


class Pairs(NamedTuple):
    """Pairs as the protocol that made them numbers them."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]

    def take(self, indices: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Pairs:
        """Some of them."""
        return Pairs(self.left[indices], self.right[indices])


class ScoredPairs(NamedTuple):
    """Pairs and their exact scores."""

    pairs: Pairs
    scores: NDArray[np.float64]


class Tile(NamedTuple):
    """A rectangle of positions; with ``above``, only what lies above the diagonal of the whole square."""

    first: int
    first_end: int
    second: int
    second_end: int
    above: bool = False

    @property
    def area(self) -> int:
        """Cells, those on and below the diagonal left out with ``above``."""
        columns = self.second_end - self.second
        if not self.above:
            return (self.first_end - self.first) * columns
        cut = min(max(self.first, self.second), self.first_end)  # rows before this one lie above it entirely
        longest, beyond = (max(self.second_end - 1 - row, 0) for row in (cut, self.first_end))  # cells of a row
        return (cut - self.first) * columns + (longest * (longest + 1) - beyond * (beyond + 1)) // 2


@dataclass(frozen=True)
class Block:
    """Screened scores of the pairs ``left[i], right[j]``.

    Attributes:
        values: (R, C) float32, valid until the next block is asked for; ``NO_PAIR`` where a cell is not to be counted.
        first: position in the left set of row 0.
        second: position in the right set of column 0. For a list of pairs: index of the first, and C is 1.
    """

    values: NDArray[np.float32]
    first: int
    second: int

    def pairs(self, cells: NDArray[np.int64]) -> Pairs:
        """The pairs of the flat indices ``cells``."""
        rows, columns = np.divmod(cells, self.values.shape[1])
        return Pairs(rows + self.first, columns + self.second)


class Comparisons(Protocol):
    """The pairs of a protocol, and their scores."""

    genuine_pairs: int
    impostor_pairs: int
    error: float  # the most by which a screened score differs from the exact one

    def tiles(self, *, genuine: bool) -> list[Tile]:
        """Parts that hold every genuine (or every impostor) pair once: what is shared out among processes."""
        ...

    def blocks(self, tile: Tile, *, genuine: bool) -> Iterator[Block]:
        """The genuine (or impostor) pairs of a tile."""
        ...

    def above(self, tile: Tile, floor: Callable[[], float]) -> Iterator[ScoredPairs]:
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

    def memory(self) -> int:
        """Bytes that comparing takes at most, in each process, whatever the number of pairs."""
        ...

    def impostor_weights(self, bootstrap: Bootstrap) -> NDArray[np.int64]:
        """(B,) weight of all impostor pairs in each replicate."""
        ...

    def scores_of_some(self, seed: int) -> NDArray[np.float32]:
        """Screened scores of many impostor pairs, quickly: those among some rows drawn evenly."""
        ...

    def sample(self, count: int, seed: int) -> Pairs:
        """``count`` impostor pairs drawn with replacement, each as likely as any other; fewer when they are rare."""
        ...


def exact_scores(left: FeatureSet, right: FeatureSet, pairs: Pairs) -> NDArray[np.float64]:
    """Exact scores of the positions ``pairs`` of two sets."""
    scores = np.empty(len(pairs.left))
    step = max(1, EXACT_BYTES // (8 * left.width))
    for start in range(0, len(scores), step):
        part = slice(start, start + step)
        scores[part] = score(left.units(pairs.left[part]), right.units(pairs.right[part]))
    return scores


def screened_scores(left: FeatureSet, right: FeatureSet, pairs: Pairs) -> NDArray[np.float32] | None:
    """float32 scores of the positions ``pairs``; None when the unit rows do not fit into memory."""
    units, others = left.rounded, right.rounded
    if units is None or others is None:
        return None
    scores = np.empty(len(pairs.left), dtype=np.float32)
    for start in range(0, len(scores), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        np.einsum("nd,nd->n", units[pairs.left[part]], others[pairs.right[part]], out=scores[part])
    return scores


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

    def tiles(self, *, genuine: bool) -> list[Tile]:
        """See :class:`Comparisons`."""
        start, end = (0, self.genuine_pairs) if genuine else (self.genuine_pairs, len(self.first))
        return [Tile(at, min(at + self.block_size, end), 0, 1) for at in range(start, end, self.block_size)]

    def blocks(self, tile: Tile, *, genuine: bool) -> Iterator[Block]:
        """See :class:`Comparisons`."""
        pairs = self._pairs(tile)
        values = screened_scores(self.features, self.features, self._positions(pairs))
        if values is None:
            values = self.exact(pairs).astype(np.float32)
        yield Block(values[:, np.newaxis], tile.first, 0)

    def above(self, tile: Tile, floor: Callable[[], float]) -> Iterator[ScoredPairs]:
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

    def memory(self) -> int:
        """See :class:`Comparisons`."""
        return BASE_BYTES + self.features.memory() + 3 * (self.first.nbytes + self.second.nbytes)

    def impostor_weights(self, bootstrap: Bootstrap) -> NDArray[np.int64]:
        """See :class:`Comparisons`."""
        left, right = self.first[self.genuine_pairs :], self.second[self.genuine_pairs :]
        codes = bootstrap.codes(self.features.persons[np.stack([left, right], axis=1)])
        return listed_totals(bootstrap, codes)

    def scores_of_some(self, seed: int) -> NDArray[np.float32]:
        """See :class:`Comparisons`."""
        return self.exact(self.sample(SOME_PAIRS, seed)).astype(np.float32)

    def sample(self, count: int, seed: int) -> Pairs:
        """See :class:`Comparisons`."""
        if not self.impostor_pairs:
            return Pairs(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
        chosen = np.random.default_rng(seed).integers(self.genuine_pairs, len(self.first), count)
        return Pairs(chosen, np.zeros_like(chosen))

    def _pairs(self, tile: Tile) -> Pairs:
        indices = np.arange(tile.first, tile.first_end)
        return Pairs(indices, np.zeros_like(indices))

    def _positions(self, pairs: Pairs) -> Pairs:
        return Pairs(self.first[pairs.left], self.second[pairs.left])


def float32_floor(value: float) -> np.float32:
    """A float32 that is at most ``value``, minus infinity included."""
    return np.float32(-2) if value < -2 else float32_below(value)
