"""Which pairs a protocol compares, handed out as blocks of screened scores.

Three protocols, one interface (:class:`Comparisons`): all pairs of one set, every probe with every gallery row, a list
of pairs. Whoever consumes blocks sees no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.progress import progress
from eval.feature_set import FeatureSet
from eval.labels import DISTRACTOR
from eval.scores import score, screening_error

NO_PAIR = np.float32(-np.inf)  # marks a cell of a block that is no pair of the kind asked for
ROWS_PER_COLUMN = 4  # a block is this many times taller than wide: its columns are normalised that much less often
EXACT_BYTES = 2**24  # float64 work space while exact scores are computed


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


class Pairs(NamedTuple):
    """Pairs as the protocol that made them numbers them."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]


class Comparisons(Protocol):
    """The pairs of a protocol, and their scores."""

    genuine_pairs: int
    impostor_pairs: int
    error: float  # the most by which a screened score differs from the exact one

    def blocks(self, *, genuine: bool, label: str) -> Iterator[Block]:
        """Every genuine (or every impostor) pair once, with progress called ``label``."""
        ...

    def exact(self, pairs: Pairs) -> NDArray[np.float64]:
        """Exact scores of ``pairs``."""
        ...

    def rows(self, pairs: Pairs) -> Pairs:
        """``pairs`` as row numbers of the feature files."""
        ...


class _Tile(NamedTuple):
    """A rectangle of positions; with ``above``, only what lies above the diagonal of the whole square."""

    first: int
    first_end: int
    second: int
    second_end: int
    above: bool


class Grid:
    """All pairs of a set (``right`` is None: each unordered pair once, no row with itself) or left x right.

    Args:
        left, right: the sets.
        block_size: columns of a block. It changes memory and speed, never a result.
        distractor_pairs: whether pairs of two distractors count as impostor pairs.
    """

    def __init__(
        self, left: FeatureSet, right: FeatureSet | None, *, block_size: int = 512, distractor_pairs: bool = True
    ) -> None:
        if right is not None and left.width != right.width:
            raise UserError(f"probe features have width {left.width}, gallery features {right.width}")
        if block_size < 1:
            raise UserError(f"block size {block_size} is not a positive number of rows")
        self.left = left
        self.right = left if right is None else right
        self.block_size = block_size
        self.error = screening_error(left.width)
        # Rectangles (left range, right range, above the diagonal) that hold every pair once.
        known, rows, columns = left.known, len(left), len(self.right)
        if right is None and distractor_pairs:
            self.regions = [_Tile(0, rows, 0, rows, True)]
        elif right is None:
            self.regions = [_Tile(0, known, 0, known, True), _Tile(0, known, known, rows, False)]
        elif distractor_pairs:
            self.regions = [_Tile(0, rows, 0, columns, False)]
        else:
            self.regions = [_Tile(0, known, 0, columns, False), _Tile(known, rows, 0, right.known, False)]
        self.genuine_pairs = self._count_genuine()
        self.impostor_pairs = sum(map(_area, self.regions)) - self.genuine_pairs
        self._space = np.empty(0, dtype=np.float32)

    def _count_genuine(self) -> int:
        persons, counts = np.unique(self.left.persons[: self.left.known], return_counts=True)
        if self.right is self.left:
            return sum(count * (count - 1) // 2 for count in counts.tolist())
        others = self.right.persons
        matches = np.searchsorted(others, persons, "right") - np.searchsorted(others, persons, "left")
        return sum(a * b for a, b in zip(counts.tolist(), matches.tolist(), strict=True))

    def blocks(self, *, genuine: bool, label: str) -> Iterator[Block]:
        """See :class:`Comparisons`."""
        tiles = [tile for region in self.regions for tile in self._tiles(region, genuine)]
        largest = max(((t.first_end - t.first) * (t.second_end - t.second) for t in tiles), default=0)
        self._space = np.empty(largest, dtype=np.float32)
        units, units_of = np.empty((0, self.left.width), dtype=np.float32), (-1, -1)
        for tile in progress(tiles, label=label, unit="block"):
            if units_of != (tile.first, tile.first_end):
                units_of = (tile.first, tile.first_end)
                units = self.left.units(slice(*units_of)).astype(np.float32)
            first, first_end = self._rows_that_matter(tile, genuine)
            if first < first_end:
                others = self.right.units(slice(tile.second, tile.second_end)).astype(np.float32)
                yield self._block(tile, units[first - tile.first : first_end - tile.first], others, first, genuine)

    def exact(self, pairs: Pairs) -> NDArray[np.float64]:
        """See :class:`Comparisons`."""
        scores = np.empty(len(pairs.left))
        step = max(1, EXACT_BYTES // (8 * self.left.width))
        for start in range(0, len(scores), step):
            part = slice(start, start + step)
            scores[part] = score(self.left.units(pairs.left[part]), self.right.units(pairs.right[part]))
        return scores

    def rows(self, pairs: Pairs) -> Pairs:
        """See :class:`Comparisons`."""
        return Pairs(self.left.rows[pairs.left], self.right.rows[pairs.right])

    def _tiles(self, region: _Tile, genuine: bool) -> Iterator[_Tile]:
        tall, wide = self.block_size * ROWS_PER_COLUMN, self.block_size
        for first in range(region.first, region.first_end, tall):
            first_end = min(first + tall, region.first_end)
            for second in range(first if region.above else region.second, region.second_end, wide):
                if genuine and self.right.persons[second] > self.left.persons[first_end - 1]:
                    break  # sorted by person: no later column matches either
                yield _Tile(first, first_end, second, min(second + wide, region.second_end), region.above)

    def _same_person(self, tile: _Tile) -> tuple[int, int]:
        """The rows of a tile whose person may occur among its columns."""
        persons, others = self.left.persons, self.right.persons
        start = int(np.searchsorted(persons, others[tile.second], "left"))
        end = int(np.searchsorted(persons, others[tile.second_end - 1], "right"))
        return max(start, tile.first), min(end, tile.first_end)

    def _rows_that_matter(self, tile: _Tile, genuine: bool) -> tuple[int, int]:
        first, first_end = self._same_person(tile) if genuine else (tile.first, tile.first_end)
        return first, min(first_end, tile.second_end - 1) if tile.above else first_end

    def _block(
        self, tile: _Tile, units: NDArray[np.float32], others: NDArray[np.float32], first: int, genuine: bool
    ) -> Block:
        shape = (len(units), len(others))
        values = np.matmul(units, others.T, out=self._space[: shape[0] * shape[1]].reshape(shape))
        columns = np.arange(tile.second, tile.second_end)
        start, end = self._same_person(tile)
        start, end = max(start, first), min(end, first + len(units))
        if start < end:
            same = self.left.persons[start:end, np.newaxis] == self.right.persons[columns]
            values[start - first : end - first][~same if genuine else same] = NO_PAIR
        if tile.above and first + len(units) > tile.second:
            below = max(first, tile.second)  # rows above this one lie above the diagonal in every column
            rows = np.arange(below, first + len(units))
            values[below - first :][columns <= rows[:, np.newaxis]] = NO_PAIR
        return Block(values, first, tile.second)


class PairList:
    """The pairs of a list. Each is scored exactly; memory is the list's and a block's.

    Args:
        features: the set whose rows are paired.
        first, second: (P,) rows.
        same: (P,), None: pairs of equal labels are genuine.
        block_size: pairs of a block.
        distractor_pairs: whether pairs of two distractors are kept.
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
    ) -> None:
        labels = features.labels
        distractors = (labels[first] == DISTRACTOR) & (labels[second] == DISTRACTOR)
        if same is None:
            same = (labels[first] == labels[second]) & ~distractors
        keep = np.full(len(first), True) if distractor_pairs else ~distractors
        self.features = features
        self.error = screening_error(features.width)
        self.block_size = block_size
        positions = np.empty(len(features), dtype=np.int64)  # of each row
        positions[features.rows] = np.arange(len(features))
        # genuine pairs first: then either kind is a range of the list
        order = np.concatenate([np.flatnonzero(keep & same), np.flatnonzero(keep & ~same)])
        self._first, self._second = positions[first[order]], positions[second[order]]
        self.genuine_pairs = int((keep & same).sum())
        self.impostor_pairs = len(order) - self.genuine_pairs

    def blocks(self, *, genuine: bool, label: str) -> Iterator[Block]:
        """See :class:`Comparisons`."""
        start, end = (0, self.genuine_pairs) if genuine else (self.genuine_pairs, len(self._first))
        for begin in progress(range(start, end, self.block_size), label=label, unit="block"):
            indices = np.arange(begin, min(begin + self.block_size, end))
            scores = self.exact(Pairs(indices, np.zeros_like(indices)))
            yield Block(scores.astype(np.float32)[:, np.newaxis], begin, 0)

    def exact(self, pairs: Pairs) -> NDArray[np.float64]:
        """See :class:`Comparisons`."""
        scores = np.empty(len(pairs.left))
        step = max(1, EXACT_BYTES // (8 * self.features.width))
        for start in range(0, len(scores), step):
            part = pairs.left[start : start + step]
            scores[start : start + step] = score(
                self.features.units(self._first[part]), self.features.units(self._second[part])
            )
        return scores

    def rows(self, pairs: Pairs) -> Pairs:
        """See :class:`Comparisons`."""
        rows = self.features.rows
        return Pairs(rows[self._first[pairs.left]], rows[self._second[pairs.left]])


def _area(tile: _Tile) -> int:
    rows, columns = tile.first_end - tile.first, tile.second_end - tile.second
    return rows * (rows - 1) // 2 if tile.above else rows * columns
