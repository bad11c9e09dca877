"""Features with their people, in the order in which they are compared, and the scores of pairs of them.

**Score.** Let ``x`` and ``y`` be two stored float32 rows of width D, converted to float64. With :func:`tree_sum` (a sum
whose order is fixed by D alone) the norm of ``x`` is ``sqrt(tree_sum(x * x))``, its unit row ``a = x / norm``, and the
score is ``tree_sum(a * b)``: each product, sum, root and quotient rounded once to float64, by IEEE 754. So the score of
a pair is one definite float64, the same on every processor, in either order of the two, in whatever batch.

**Screening.** :func:`screening_error` bounds the distance of that score from a float32 matrix product of the unit rows
rounded to float32. Proof. Write u = 2**-24, v = 2**-53, L = ceil(log2 D) and gamma(n) = n u / (1 - n u).

1. Squares of float32 numbers lie in [2**-298, 2**256], products of unit rows above 2**-600: float64 neither overflows
   nor underflows. A tree sum of D products rounds each term at most L + 1 times, so the norm has a relative error below
   (L/2 + 2) v, and the L2 norm of ``a`` is at most 1 + (L + 4) v. By Cauchy-Schwarz
   ``sum |a_d b_d| <= 1 + (3 L + 12) v`` =: 1 + e.
2. The score differs from the real number a.b by at most (L + 2) v (1 + e).
3. Rounding to float32 gives ``a' = a (1 + d)``, ``|d| <= u``, so a'.b' differs from a.b by at most
   (2 u + u**2)(1 + e). Numbers below float32's normal range lose at most 2**-126 each, flushed to zero or not.
4. A float32 dot product of width D, in any order of summation, with fused multiply-adds or without, differs from a'.b'
   by at most gamma(D) sum |a'_d b'_d| <= gamma(D) (1 + u)**2 (1 + e) (Higham, "Accuracy and Stability of Numerical
   Algorithms", 2nd edition, section 3.1), and again 2**-126 for each of at most 2 D results below the normal range.

The sum is at most ``(gamma(D) (1 + u)**2 + 2 u + u**2) (1 + 2**-20)``: for D < 2**22 the terms in v and 2**-126
together are below 100 v (1 + gamma(D)) + D 2**-120 < 2**-20 * (2 u + gamma(D)).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.threads import in_threads
from lwface.formats.person_labels import DISTRACTOR, LABEL_LIMIT
from lwface.scoring.exact.screening import FLOAT32_ROUNDING, coded_width, encode, extra_numbers

ROWS_AT_ONCE = 1024  # of a thread, while they are in float64
KEPT_BYTES = 2**29  # unit rows are kept in memory up to this size, those in float32 and those in float64 each
NO_PAIR = np.float32(-np.inf)  # marks a cell of a block that is no pair of the kind asked for
PAIRS_AT_ONCE = 2**10  # whose float32 rows stay in the cache
EXACT_BYTES = 2**20  # float64 work space while exact scores are computed: it stays in the cache
WIDTH_LIMIT = 2**22  # the proof's condition; features have some hundreds of numbers


def tree_sum(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of each row of ``terms`` (N, D) in a fixed order, overwriting ``terms``.

    The part from the largest power of two below the width on is added to the front, until one column is left.
    """
    width = terms.shape[1]
    while width > 1:
        half = 1 << ((width - 1).bit_length() - 1)
        terms[:, : width - half] += terms[:, half:width]
        width = half
    return terms[:, 0].copy()


def row_norms(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """L2 norms (N,) of ``rows`` (N, D)."""
    return np.sqrt(tree_sum(rows * rows))


def score(units: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (N,) of the pairs ``units[n], others[n]`` of unit rows (N, D)."""
    return tree_sum(units * others)


def screening_error(width: int) -> float:
    """The most by which a float32 matrix product of float32-rounded unit rows can differ from the score."""
    if not 0 < width < WIDTH_LIMIT:
        raise ValueError(f"width {width} is not between 1 and {WIDTH_LIMIT - 1}")
    u = FLOAT32_ROUNDING
    gamma = width * u / (1 - width * u)
    return (gamma * (1 + u) ** 2 + 2 * u + u * u) * (1 + 2.0**-20)


def float32_below(value: float) -> np.float32:
    """The largest float32 that is at most ``value``."""
    rounded = np.float32(value)
    return rounded if float(rounded) <= value else np.nextafter(rounded, np.float32(-np.inf))


def float32_above(value: float) -> np.float32:
    """The smallest float32 that is at least ``value``."""
    return -float32_below(-value)


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
        self._units = np.empty(features.shape) if self._fits(8) else None  # (N, D) by position
        self._norms = self._checked_norms(name)  # (N,) by row

    def __len__(self) -> int:
        return len(self.features)

    @property
    def width(self) -> int:
        """Numbers a feature has."""
        return int(self.features.shape[1])

    def units(self, positions: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        """Unit rows (n, D) at ``positions``, as the score defines them; not to be written to."""
        return self._computed(positions) if self._units is None else self._units[positions]

    def float32_units(self, positions: slice) -> NDArray[np.float32]:
        """Unit rows (n, D) at ``positions``, rounded to float32; not to be written to."""
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
        kept = sum(size * self.width for size in (4, 8) if self._fits(size))
        return len(self) * (codes + kept + 8 * 6)  # norms, labels, persons, rows, groups and one of them sorted

    def _fits(self, size: int) -> bool:
        """Whether unit rows are kept in numbers of so many bytes."""
        return size * len(self) * self.width <= KEPT_BYTES

    @cached_property
    def rounded(self) -> NDArray[np.float32] | None:
        """Unit rows (N, D) by position in float32, None when they would fill the memory."""
        if not self._fits(4):
            return None
        rows = np.empty((len(self), self.width), dtype=np.float32)

        def fill(part: slice) -> None:
            rows[part] = self.units(part)

        list(in_threads(fill, _parts(len(self))))
        return rows

    @cached_property
    def codes(self) -> NDArray[np.int8] | None:
        """Codes (N, P + E) by position, see :mod:`.screening`; None when some row has no useful one."""
        coded = coded_width(self.width)
        if coded is None:
            return None
        codes = np.empty((len(self), coded + extra_numbers(coded)), dtype=np.int8)

        def fill(part: slice) -> bool:
            codes[part], errors = encode(self.float32_units(part))
            return bool(np.isfinite(errors).all())

        return codes if all(in_threads(fill, _parts(len(self)))) else None

    def _computed(self, positions: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        rows = self.rows[positions]
        units = self.features[rows].astype(np.float64)
        units /= self._norms[rows, np.newaxis]
        return units

    def _checked_norms(self, name: str | os.PathLike[str]) -> NDArray[np.float64]:
        """The norms (N,) by row; where unit rows are kept, they are made in the same pass, else the file is read in its
        own order."""
        norms, units = np.empty(len(self)), self._units

        def fill(part: slice) -> None:
            rows = part if units is None else self.rows[part]
            block = self.features[rows].astype(np.float64)
            with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # what is not finite is told below
                norms[rows] = row_norms(block)
                if units is not None:
                    np.divide(block, norms[rows, np.newaxis], out=units[part])

        list(in_threads(fill, _parts(len(self))))
        for wrong, what in ((~np.isfinite(norms), "not finite"), (norms == 0, "all zeros")):
            if wrong.any():
                count = int(wrong.sum())
                raise UserError(
                    f"{name}: row {int(np.argmax(wrong))} is {what} ({count} such rows); write the features again"
                )
        return norms


def _parts(rows: int) -> list[slice]:
    return [slice(start, start + ROWS_AT_ONCE) for start in range(0, rows, ROWS_AT_ONCE)]


class Pairs(NamedTuple):
    """Pairs as the protocol that made them numbers them."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]

    def take(self, indices: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Pairs:
        """Some of them."""
        return Pairs(self.left[indices], self.right[indices])

    @classmethod
    def joined(cls, parts: Iterable[Pairs]) -> Pairs:
        """All of ``parts``, one after another."""
        none = np.empty(0, dtype=np.int64)
        left, right = zip((none, none), *parts, strict=True)
        return cls(np.concatenate(left), np.concatenate(right))


class ScoredPairs(NamedTuple):
    """Pairs and their exact scores."""

    pairs: Pairs
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class ScoreBlock:
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


def float32_floor(value: float) -> np.float32:
    """A float32 that is at most ``value``, minus infinity included."""
    return np.float32(-2) if value < -2 else float32_below(value)
