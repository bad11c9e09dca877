"""Features with their people, in the order in which they are compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.formats.labels import DISTRACTOR, LABEL_LIMIT
from lwface.scoring.exact.quantised import coded_width, encode, extra_numbers
from lwface.scoring.exact.scores import WIDTH_LIMIT, row_norms

Found = TypeVar("Found")

ROWS_AT_ONCE = 1024  # of a thread, while they are in float64
ROUNDED_BYTES = 2**29  # float32 unit rows are kept in memory up to this size


class FeatureSet:
    """Rows sorted by person, distractors last, so that the genuine pairs of any two sets lie in a narrow band.

    A *position* is an index in that order; a *row* is an index in the file.

    Attributes:
        rows: (N,) file row at each position.
        persons: (N,) int64 ascending; a distractor has a number of its own.
        known: how many positions are no distractors.
        groups: (N,) int64 group at each position, or None.

    Args:
        features: (N, D) float32, an array or a memory map; it is read block by block and never copied whole.
        labels: (N,) int64, -1 for a distractor.
        name: what errors call the features.
        side: 0 or 1; distractors of sets with different sides are different persons.
        groups: (N,) int64, rows of one group are not compared with each other; -1: in no group.

    Raises:
        UserError: no rows, or a row that is not finite or is zero and so has no direction.
    """

    def __init__(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        name: str | os.PathLike[str],
        side: int = 0,
        groups: NDArray[np.int64] | None = None,
    ) -> None:
        if features.ndim != 2 or not len(features) or not 0 < features.shape[1] < WIDTH_LIMIT:
            raise UserError(f"{name}: features of shape {features.shape} cannot be scored, rows of numbers are needed")
        if labels.shape != (len(features),):
            raise UserError(f"{name}: {len(labels)} labels for {len(features)} feature rows")
        self.features = features
        self.labels = labels
        distractor_numbers = LABEL_LIMIT + side * (LABEL_LIMIT // 2) + np.arange(len(labels), dtype=np.int64)
        persons = np.where(labels == DISTRACTOR, distractor_numbers, labels)
        self.rows = np.argsort(persons, kind="stable")
        self.persons = persons[self.rows]
        self.known = int(np.searchsorted(self.persons, LABEL_LIMIT))
        self.groups = None if groups is None else groups[self.rows]
        self._norms = _checked_norms(features, name)  # (N,) by row

    def __len__(self) -> int:
        return len(self.features)

    @property
    def width(self) -> int:
        """Numbers a feature has."""
        return int(self.features.shape[1])

    def units(self, positions: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        """Unit rows (n, D) at ``positions``, as the score defines them."""
        rows = self.rows[positions]
        units = self.features[rows].astype(np.float64)
        units /= self._norms[rows, np.newaxis]
        return units

    def float32_units(self, positions: slice) -> NDArray[np.float32]:
        """Unit rows (n, D) at ``positions``, rounded to float32."""
        return self.units(positions).astype(np.float32) if self.rounded is None else self.rounded[positions]

    def people(self) -> NDArray[np.int64]:
        """(N,) person by row: :attr:`persons` in the order of the file."""
        people = np.empty_like(self.persons)
        people[self.rows] = self.persons
        return people

    def memory(self) -> int:
        """Bytes that it takes once codes and rounded rows are made; the features themselves stay on disk."""
        coded = coded_width(self.width)
        codes = 0 if coded is None else coded + extra_numbers(coded)
        rounded = 4 * self.width if 4 * len(self) * self.width <= ROUNDED_BYTES else 0
        return len(self) * (codes + rounded + 8 * 6)  # norms, labels, persons, rows, groups and one of them sorted

    @cached_property
    def rounded(self) -> NDArray[np.float32] | None:
        """Unit rows (N, D) by position in float32, None when they would fill the memory."""
        if 4 * len(self) * self.width > ROUNDED_BYTES:
            return None
        rows = np.empty((len(self), self.width), dtype=np.float32)

        def fill(part: slice) -> None:
            rows[part] = self.units(part)

        list(_in_threads(fill, _parts(len(self))))
        return rows

    @cached_property
    def codes(self) -> NDArray[np.int8] | None:
        """Codes (N, P + E) by position, see :mod:`.quantised`; None when some row has no useful one."""
        coded = coded_width(self.width)
        if coded is None:
            return None
        codes = np.empty((len(self), coded + extra_numbers(coded)), dtype=np.int8)

        def fill(part: slice) -> bool:
            codes[part], errors = encode(self.units(part))
            return bool(np.isfinite(errors).all())

        return codes if all(_in_threads(fill, _parts(len(self)))) else None


def _checked_norms(features: NDArray[np.float32], name: str | os.PathLike[str]) -> NDArray[np.float64]:
    norms = np.empty(len(features))

    def fill(part: slice) -> None:
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is told below
            norms[part] = row_norms(features[part].astype(np.float64))

    list(_in_threads(fill, _parts(len(features))))
    for wrong, what in ((~np.isfinite(norms), "not finite"), (norms == 0, "all zeros")):
        if wrong.any():
            count = int(wrong.sum())
            raise UserError(
                f"{name}: row {int(np.argmax(wrong))} is {what} ({count} such rows); write the features again"
            )
    return norms


def _in_threads(work: Callable[[slice], Found], parts: Sequence[slice]) -> Iterator[Found]:
    """What ``work`` gives for each of ``parts``, in their order, on all cores of this process."""
    if len(parts) == 1:
        yield work(parts[0])
        return
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "rows") as pool:
        yield from pool.map(work, parts)


def _parts(rows: int) -> list[slice]:
    return [slice(start, start + ROWS_AT_ONCE) for start in range(0, rows, ROWS_AT_ONCE)]
