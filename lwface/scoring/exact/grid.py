"""All pairs of a set, or every probe with every gallery row."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.scoring.exact.comparisons import BASE_BYTES
from lwface.scoring.exact.feature_set import (
    NO_PAIR,
    FeatureSet,
    Pairs,
    ScoreBlock,
    ScoredPairs,
    exact_scores,
    float32_floor,
    screened_scores,
    screening_error,
)
from lwface.scoring.exact.pair_counts import ImpostorMass, pair_counts
from lwface.scoring.exact.sampling import SAMPLE, sampled
from lwface.scoring.exact.screening import Screen, coded_width, least_product
from lwface.scoring.exact.tiles import PairTile
from lwface.scoring.intervals import Bootstrap
from lwface.scoring.parameters import BLOCK_SIZE

ROWS_PER_COLUMN = 4  # a block is this many times taller than wide: its columns are normalised that much less often
BLOCKS_PER_TILE = 8  # a tile is this many blocks wide
LARGE_ROWS, LARGE_BLOCKS_PER_TILE = 2**17, 32
GENUINE_ROWS, GENUINE_COLUMNS = 64, 1024  # of a block of genuine pairs: they lie in a narrow band
GENUINE_PAIRS = 2**18  # of a tile: they are all held at a time
PAIRS_AT_ONCE = 2**16  # while candidates are scored
UNSCREENED = "unscreened"


class Grid:
    """All pairs of a set (``right`` is None: each unordered pair once, no row with itself) or left x right.

    Args:
        left, right: the sets; rows of one group are not compared.
        block_size: columns of a block. It changes memory and speed, never a result.
        distractor_pairs: whether pairs of two distractors count as impostor pairs.
        ignored: (Q, 2) rows (left, right); these pairs are left out. Without ``right`` in any order.
        device: the name of what screens, see :func:`lwface.scoring.exact.sharding.own_device`; :data:`UNSCREENED`:
            nothing does, and PyTorch is not needed.

    Raises:
        UserError: the sets differ in width, or the block size is not positive.
    """

    def __init__(
        self,
        left: FeatureSet,
        right: FeatureSet | None,
        *,
        block_size: int = BLOCK_SIZE,
        distractor_pairs: bool = True,
        ignored: NDArray[np.int64] | None = None,
        device: str = "cpu",
    ) -> None:
        if right is not None and left.width != right.width:
            raise UserError(f"probe features have width {left.width}, gallery features {right.width}")
        if block_size < 1:
            raise UserError(f"block size {block_size} is not a positive number of rows")
        self.left = left
        self.right = left if right is None else right
        self.block_size = block_size
        self.width = left.width
        self.error = screening_error(left.width)
        self._distractor_pairs = distractor_pairs
        self.device = device
        known, rows, columns = left.known, len(left), len(self.right)
        # Rectangles that hold every pair once.
        if right is None and distractor_pairs:
            self._regions = [PairTile(0, rows, 0, rows, True)]
        elif right is None:
            self._regions = [PairTile(0, known, 0, known, True), PairTile(0, known, known, rows)]
        elif distractor_pairs:
            self._regions = [PairTile(0, rows, 0, columns)]
        else:
            self._regions = [PairTile(0, known, 0, columns), PairTile(known, rows, 0, right.known)]
        self._regions = [region for region in self._regions if region.area]
        genuine, impostor = pair_counts(
            left.persons,
            None if right is None else right.persons,
            groups=left.groups,
            other_groups=None if right is None else right.groups,
            distractor_pairs=distractor_pairs,
        )
        self._ignored = self._ignored_keys(ignored)
        away, away_impostors = len(self._ignored_pairs().left), len(self._ignored_impostors().left)
        self.genuine_pairs, self.impostor_pairs = genuine - away + away_impostors, impostor - away_impostors
        self._screen: Screen | None = None
        self._screen_made = False
        self._screening = threading.Lock()

    # -- what is compared -----------------------------------------------------------------------------------------

    def tiles(self, *, genuine: bool) -> list[PairTile]:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        large = max(len(self.left), len(self.right)) >= LARGE_ROWS
        side = self.block_size * (LARGE_BLOCKS_PER_TILE if large else BLOCKS_PER_TILE)
        if genuine:
            return self._bands(side)
        return [tile for region in self._regions for tile in _squares(region, side)]

    @cached_property
    def sample(self) -> ScoredPairs:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        return sampled(self.left, self.right, self._regions, self._is_impostor)

    def rows(self, pairs: Pairs) -> Pairs:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        left, right = self.left.rows[pairs.left], self.right.rows[pairs.right]
        return (
            Pairs(np.minimum(left, right), np.maximum(left, right)) if self.right is self.left else Pairs(left, right)
        )

    def persons(self, pairs: Pairs) -> Pairs:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        return Pairs(self.left.persons[pairs.left], self.right.persons[pairs.right])

    def everyone(self) -> NDArray[np.int64]:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        return self.left.persons if self.right is self.left else np.append(self.left.persons, self.right.persons)

    def people(self) -> NDArray[np.int64]:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        return self.left.people()

    def impostor_pairs_within(self, values: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        at_position = values[self.left.rows]
        found = np.zeros(count, dtype=np.int64)
        for value in range(count):
            chosen = at_position == value
            groups = None if self.left.groups is None else self.left.groups[chosen]
            persons = self.left.persons[chosen]
            found[value] = pair_counts(persons, groups=groups, distractor_pairs=self._distractor_pairs).impostor
        away = self._ignored_pairs()
        away = away.take(self.left.persons[away.left] != self.left.persons[away.right])
        left, right = at_position[away.left], at_position[away.right]
        return found - np.bincount(left[(left == right) & (left >= 0)], minlength=count)

    def memory(self) -> int:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        sets = [self.left] if self.right is self.left else [self.left, self.right]
        return BASE_BYTES + sum(features.memory() for features in sets)

    def impostor_weights(self, bootstrap: Bootstrap) -> NDArray[np.int64]:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        both = self.right is not self.left
        mass = ImpostorMass(
            bootstrap,
            bootstrap.codes(self.left.persons),
            bootstrap.codes(self.right.persons) if both else None,
            groups=self.left.groups,
            other_groups=self.right.groups if both else None,
            distractor_pairs=self._distractor_pairs,
            ignored=bootstrap.codes(np.stack(self._ignored_impostors(), axis=1)),
        )
        return mass.totals()

    # -- their scores ---------------------------------------------------------------------------------------------

    def exact(self, pairs: Pairs) -> NDArray[np.float64]:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        return exact_scores(self.left, self.right, pairs)

    def genuine(self, tile: PairTile) -> Pairs:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        positions = np.arange(tile.first, tile.first_end)
        persons = self.left.persons[positions]
        starts = positions + 1 if tile.above else np.searchsorted(self.right.persons, persons, "left")
        counts = np.searchsorted(self.right.persons, persons, "right") - starts
        left = np.repeat(positions, counts)
        right = np.arange(len(left)) + np.repeat(starts - np.cumsum(counts) + counts, counts)
        pairs = Pairs(left, right)
        return pairs.take(self._is_compared(pairs, np.full(len(left), True)))

    def above(self, tile: PairTile, floor: Callable[[], float]) -> Iterator[ScoredPairs]:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        self._make_screen()
        parts = [tile]
        while parts:
            part = parts.pop()
            cells = self._hits(part, floor())
            if cells is not None:
                if len(cells.left):
                    yield self._reaching(cells, floor)
            elif max(part.first_end - part.first, part.second_end - part.second) > BLOCKS_PER_TILE * self.block_size:
                parts.extend(_quarters(part))
            else:  # so many that screening saves nothing
                for block in self.blocks(part, genuine=False):
                    cells_of_block = np.flatnonzero(block.values >= float32_floor(floor() - self.error))
                    for start in range(0, len(cells_of_block), PAIRS_AT_ONCE):
                        pairs = block.pairs(cells_of_block[start : start + PAIRS_AT_ONCE])
                        scores = self.exact(pairs)
                        keep = np.flatnonzero(scores >= floor())
                        yield ScoredPairs(pairs.take(keep), scores[keep])

    def prepare(self) -> None:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        for features in (self.left, self.right):
            _ = features.rounded
            if self.device != UNSCREENED:
                _ = features.codes
        if self.impostor_pairs > SAMPLE:
            _ = self.sample

    def _make_screen(self) -> None:
        """Bring the codes to what multiplies them, once."""
        with self._screening:
            if self._screen_made or self.device == UNSCREENED:
                return
            from lwface.scoring.exact.processor_screening import ProcessorScreen, integer_products_are_exact
            from lwface.scoring.exact.sharding import own_device

            self.prepare()
            device = own_device(self.device)
            if self.left.codes is None or self.right.codes is None:
                pass
            elif device.type == "cuda":
                from lwface.scoring.exact.gpu_screening import GpuScreen  # needs Triton or CUDA

                right = None if self.right is self.left else self.right.codes
                self._screen = GpuScreen(self.left.codes, right, device=device)
            elif integer_products_are_exact():
                self._screen = ProcessorScreen(self.left.codes, self.right.codes)
            self._screen_made = True

    def blocks(self, tile: PairTile, *, genuine: bool) -> Iterator[ScoreBlock]:
        """See :class:`lwface.scoring.exact.comparisons.Comparisons`."""
        tall, wide = (
            (GENUINE_ROWS, GENUINE_COLUMNS) if genuine else (self.block_size * ROWS_PER_COLUMN, self.block_size)
        )
        space = np.empty(tall * wide, dtype=np.float32)
        for first in range(tile.first, tile.first_end, tall):
            first_end = min(first + tall, tile.first_end)
            columns = self._band(first, first_end) if genuine else tile
            start = max(columns.second, first + 1) if tile.above else columns.second
            units = self.left.float32_units(slice(first, first_end))
            for second in range(start, columns.second_end, wide):
                second_end = min(second + wide, columns.second_end)
                rows = min(first_end, second_end - 1) if tile.above else first_end  # below: on or under the diagonal
                others = self.right.float32_units(slice(second, second_end))
                values = space[: (rows - first) * len(others)].reshape(rows - first, len(others))
                np.matmul(units[: rows - first], others.T, out=values)
                self._mark(values, first, second, tile.above, genuine)
                yield ScoreBlock(values, first, second)

    def _mark(self, values: NDArray[np.float32], first: int, second: int, above: bool, genuine: bool) -> None:
        """Put ``NO_PAIR`` into the cells of a block that are no pair of the kind asked for."""
        shape = values.shape
        rows, columns = np.arange(first, first + shape[0]), np.arange(second, second + shape[1])
        persons, other_persons = self.left.persons[rows], self.right.persons[columns]
        if genuine:
            values[persons[:, np.newaxis] != other_persons] = NO_PAIR
        else:  # sorted by person: those who are on both sides are a range of the rows
            start = int(np.searchsorted(persons, other_persons[0], "left"))
            end = int(np.searchsorted(persons, other_persons[-1], "right"))
            values[start:end][persons[start:end, np.newaxis] == other_persons] = NO_PAIR
        if above and first + shape[0] > second:
            below = max(first, second)  # rows above this one lie above the diagonal in every column
            values[below - first :][columns <= rows[below - first :, np.newaxis]] = NO_PAIR
        if self.left.groups is not None and self.right.groups is not None:
            groups = self.left.groups[rows, np.newaxis]
            values[(groups >= 0) & (groups == self.right.groups[columns])] = NO_PAIR
        if len(self._ignored):
            start, end = np.searchsorted(self._ignored, np.array([first, first + shape[0]]) * len(self.right))
            left, right = np.divmod(self._ignored[start:end], len(self.right))
            inside = (right >= second) & (right < second + shape[1])
            values[left[inside] - first, right[inside] - second] = NO_PAIR

    # -- how --------------------------------------------------------------------------------------------------------

    def _hits(self, tile: PairTile, floor: float) -> Pairs | None:
        """Cells that may reach ``floor``; None where a screen finds too many or there is none."""
        if self._screen is None or floor < -1:
            return None
        rows, columns = range(tile.first, tile.first_end), range(tile.second, tile.second_end)
        coded = coded_width(self.left.width)
        assert coded is not None, "there is a screen"
        threshold = least_product(floor, coded)
        cells = self._screen.hits(rows, columns, threshold, above=tile.above)
        return None if cells is None else Pairs(*cells)

    def _reaching(self, pairs: Pairs, floor: Callable[[], float]) -> ScoredPairs:
        """The impostor pairs among ``pairs`` whose exact score is at least the floor."""
        pairs = pairs.take(self._is_impostor(pairs))
        screened = screened_scores(self.left, self.right, pairs)
        if screened is not None:
            pairs = pairs.take(screened >= float32_floor(floor() - self.error))
        scores = self.exact(pairs)
        keep = np.flatnonzero(scores >= floor())
        return ScoredPairs(pairs.take(keep), scores[keep])

    def _is_impostor(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Whether two different persons who are to be compared are on each pair of cells of a region."""
        different: NDArray[np.bool_] = self.left.persons[pairs.left] != self.right.persons[pairs.right]
        return self._is_compared(pairs, different)

    def _is_compared(self, pairs: Pairs, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Those of ``keep`` (n,) whose rows share no group and whose pair is not ignored."""
        if self.left.groups is not None and self.right.groups is not None:
            groups = self.left.groups[pairs.left]
            keep &= (groups < 0) | (groups != self.right.groups[pairs.right])
        if len(self._ignored):
            keep &= ~_contains(self._ignored, self._cells(pairs))
        return keep

    def _cells(self, pairs: Pairs) -> NDArray[np.int64]:
        """Their numbers, as those of the ignored pairs: of one set, the lower position first."""
        left, right = pairs
        if self.right is self.left:
            left, right = np.minimum(left, right), np.maximum(left, right)
        return left * len(self.right) + right

    def _bands(self, side: int) -> list[PairTile]:
        """Parts of at most ``side`` rows that hold some ``GENUINE_PAIRS`` at most, or one row."""
        persons = self.left.persons[: self.left.known]
        ends = np.searchsorted(self.right.persons, persons, "right")
        counts = np.cumsum(ends - np.searchsorted(self.right.persons, persons, "left"))
        tiles, first, before = [], 0, 0
        while first < len(persons):
            end = max(first + 1, int(np.searchsorted(counts, before + GENUINE_PAIRS, "right")))
            end = min(end, first + side, len(persons))
            tiles.append(self._band(first, end))
            first, before = end, int(counts[end - 1])
        return tiles

    def _band(self, first: int, first_end: int) -> PairTile:
        """The columns that hold all genuine pairs of some rows, none of them a distractor."""
        persons = self.right.persons
        start = int(np.searchsorted(persons, self.left.persons[first], "left"))
        end = int(np.searchsorted(persons, self.left.persons[first_end - 1], "right"))
        above = self.right is self.left
        return PairTile(first, first_end, first if above else start, end, above)

    def _ignored_keys(self, ignored: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Ascending cell numbers (left position * columns + right position) of the ignored pairs."""
        if ignored is None or not len(ignored):
            return np.empty(0, dtype=np.int64)
        sides = []
        for features, rows in zip((self.left, self.right), ignored.T, strict=True):
            positions = np.empty(len(features), dtype=np.int64)
            positions[features.rows] = np.arange(len(features))
            sides.append(positions[rows])
        left, right = (np.minimum(*sides), np.maximum(*sides)) if self.right is self.left else sides
        inside = np.zeros(len(left), dtype=bool)
        for region in self._regions:
            inside |= (
                (left >= region.first)
                & (left < region.first_end)
                & (right >= region.second)
                & (right < region.second_end)
            )
        return np.unique((left * len(self.right) + right)[inside])

    def _ignored_pairs(self) -> Pairs:
        """The ignored pairs that would be compared otherwise."""
        left, right = np.divmod(self._ignored, max(1, len(self.right)))
        counted = left != right if self.right is self.left else np.full(len(left), True)
        if self.left.groups is not None and self.right.groups is not None:
            groups = self.left.groups[left]
            counted &= (groups < 0) | (groups != self.right.groups[right])
        return Pairs(left, right).take(counted)

    def _ignored_impostors(self) -> Pairs:
        """The persons of those that would be impostor pairs."""
        persons = self.persons(self._ignored_pairs())
        return persons.take(persons.left != persons.right)


def _squares(region: PairTile, side: int) -> Iterator[PairTile]:
    for first in range(region.first, region.first_end, side):
        first_end = min(first + side, region.first_end)
        for second in range(first if region.above else region.second, region.second_end, side):
            tile = PairTile(first, first_end, second, min(second + side, region.second_end), region.above)
            if tile.area:
                yield tile


def _quarters(tile: PairTile) -> list[PairTile]:
    row, column = (tile.first + tile.first_end + 1) // 2, (tile.second + tile.second_end + 1) // 2
    parts = [
        PairTile(*rows, *columns, tile.above)
        for rows in ((tile.first, row), (row, tile.first_end))
        for columns in ((tile.second, column), (column, tile.second_end))
    ]
    return [part for part in parts if part.area]


def _contains(ascending: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.bool_]:
    places = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[places] == values
    return found
