"""The nearest rows of a table of codes: an exact search by matrix products, on all cores.

Single-precision products screen: of a row they say that it is among the nearest, or that it cannot be, by a bound on
their rounding (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1). What is left, few more rows
than are asked for, is compared by the sums of squared differences in double precision. So the answer does not depend
on blocks, cores or the library that multiplies.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from lwface.base.threads import in_threads
from lwface.scoring.exact.tiles import libraries

_PRODUCTS = 1 << 19  # that are held at once: 2 MiB, which stays in the cache
_LEAST, _MOST = 1024, 16384  # rows of a block
_TOGETHER = 512  # queries of a block

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class Neighbours:
    """The rows of ``codes`` (N, D), all finite, to be searched again and again."""

    def __init__(self, codes: Floats) -> None:
        self.codes = np.asarray(codes)
        self.norms = np.empty((len(codes), 1), np.float32)  # squares of the rows' lengths
        for start in range(0, len(codes), _MOST):
            block = self.codes[start : start + _MOST]
            self.norms[start : start + _MOST, 0] = np.einsum("nd,nd->n", block, block)

    def nearest(self, asked: Floats, count: int) -> tuple[Integers, Floats]:
        """The ``count`` rows nearest to each of ``asked`` (T, D), all finite, by Euclidean distance.

        Ties go to the lower row.

        Returns:
            Rows and squared distances, (T, count) each, nearest first; fewer columns where there are fewer rows.
        """
        asked, shape = np.asarray(asked, np.float32), (len(asked), min(count, len(self.codes)))
        rows, squares = np.empty(shape, np.int64), np.empty(shape, np.float32)
        for at in range(0, len(asked), _TOGETHER):
            part = slice(at, at + _TOGETHER)
            found = self._nearest(asked[part], count)
            rows[part] = found.rows.reshape(rows[part].shape)
            squares[part] = found.squares.reshape(rows[part].shape)
        return rows, squares

    def _nearest(self, asked: Floats, count: int) -> _Nearest:
        """:meth:`nearest`, the rows shared among the cores."""
        total, block = len(self.codes), int(np.clip(_PRODUCTS // len(asked), _LEAST, _MOST))
        share = max(block, -(-total // len(os.sched_getaffinity(0))))

        def search(start: int) -> _Nearest:
            part, end = _Nearest(self.codes, self.norms, asked, count), min(start + share, total)
            for at in range(start, end, block):
                part.look(at, min(at + block, end))
            part.settle()
            return part

        with libraries().limit(limits=1, user_api="blas"):
            whole, *others = in_threads(search, range(0, max(total, 1), share))
        for other in others:
            whole.take(other)
        return whole


class _Nearest:
    """The nearest rows so far: ``rows`` and ``squares``, those of a query together, the nearest first.

    With u the rounding of single precision and e = (D + 4) u, a computed ``|b|^2 - 2 a.b`` misses the true one by at
    most e (2 |b|^2 + |a|^2). So a row is as near as the last of the nearest only if it is at most ``_limit`` when twice
    e |b|^2 is taken off.
    """

    def __init__(self, codes: Floats, norms: Floats, asked: Floats, count: int) -> None:
        self._codes, self._norms, self._asked, self._count = codes, norms, asked, count
        self._rounding = np.float32((codes.shape[1] + 4) * 2.0**-24)
        self._own = (asked.astype(np.float64) ** 2).sum(axis=1)
        self._limit = np.full(len(asked), np.inf, np.float32)
        self._waiting: list[Integers] = []  # (2, n) of query and row each
        self._queries = self.rows = np.empty(0, np.int64)
        self.squares = np.empty(0)

    def look(self, start: int, end: int) -> None:
        """Screen the rows from ``start`` to ``end``."""
        block, norms = self._codes[start:end], self._norms[start:end]
        least = block @ (-2 * self._asked).T
        least += (1 - 2 * self._rounding) * norms
        if np.isinf(self._limit[0]) and self._count <= len(block):
            most = np.partition(least + 4 * self._rounding * norms, self._count - 1, axis=0)[self._count - 1]
            self._limit = _above(most + 2 * self._rounding * self._own)
        near = np.flatnonzero(least <= self._limit)
        rows, queries = np.divmod(near, len(self._asked))
        self._waiting.append(np.stack([queries, start + rows]))
        if sum(pairs.shape[1] for pairs in self._waiting) > len(self._asked) * self._count:
            self.settle()

    def settle(self) -> None:
        """Compare what waits in double precision, and keep the nearest."""
        queries, rows = np.concatenate([np.empty((2, 0), np.int64), *self._waiting], axis=1)
        self._waiting.clear()
        apart = self._codes[rows].astype(np.float64) - self._asked[queries]
        self._keep(queries, rows, np.einsum("nd,nd->n", apart, apart))

    def take(self, other: _Nearest) -> None:
        """What another found among other rows, too."""
        self._keep(other._queries, other.rows, other.squares)

    def _keep(self, queries: Integers, rows: Integers, squares: NDArray[np.float64]) -> None:
        queries, rows = np.append(self._queries, queries), np.append(self.rows, rows)
        squares = np.append(self.squares, squares)
        order = np.lexsort((rows, squares, queries))
        firsts = np.searchsorted(queries[order], np.arange(len(self._asked)))
        kept = order[np.arange(len(order)) - firsts[queries[order]] < self._count]
        self._queries, self.rows, self.squares = queries[kept], rows[kept], squares[kept]
        if len(kept) == len(self._asked) * self._count:
            last = self.squares[self._count - 1 :: self._count]
            self._limit = _above(last - (1 - self._rounding) * self._own)


def _above(values: NDArray[np.floating]) -> Floats:
    """The next single-precision numbers that are not below."""
    return np.nextafter(np.asarray(values, np.float32), np.float32(np.inf))
