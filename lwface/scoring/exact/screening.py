"""int8 codes of features, whose integer products screen pairs on any device.

The error of doing so is proven here. Every screen (:mod:`lwface.scoring.exact.processor_screening`,
:mod:`lwface.scoring.exact.gpu_screening`) has the method of :class:`Screen` and returns the same cells.

A unit row is rotated by a Hadamard matrix with random signs, which leaves every product of two rows as it is and makes
all rows alike: whatever the network, the P numbers of a rotated row scatter like standard normal ones. So one scale
fits all: a code is 32 times the number, rounded to an integer from -127 to 127. Products of codes are exact integers on
every processor, so the pairs that pass a screening are the same pairs on a laptop and on a GPU.

**Proof.** As in ``feature_set.py``, ``a`` and ``b`` are the unit rows (width D, filled up with zeros to P, a power of
two), u = 2**-24; ``s`` their score. H is the P x P Hadamard matrix (entries +-1, ``H.T H = P``), S the signs.
``y = H S a`` in real numbers has ``a.b = y_a.y_b / P`` and L2 norm ``sqrt(P) |a|``.

1. What is computed, ``z``, starts from ``a`` rounded to float32 and takes m = log2 P stages of ``x + y`` and ``x - y``,
   each rounded with a relative error of at most u (a sum in float32 does not underflow), each in real numbers sqrt(2)
   times an orthogonal map. So ``|z - y| <= ((1 + u)**(m + 1) - 1) sqrt(P) |a|``, below ``(m + 2) u sqrt(P)``; what
   rounding ``a`` loses below float32's normal range, at most ``2**-126 sqrt(D)``, is covered by the factor in 3.
2. With codes ``c``, let ``rho = |z - c / 32|`` and ``r = rho / sqrt(P) + (m + 2) u``: then ``|y - c / 32|`` is at most
   ``sqrt(P) r``. ``rho`` is computed in float32; its relative error, below (P + 4) u, is made up for.
3. ``y_a.y_b - c_a.c_b / 1024 = (y_a - c_a / 32).y_b + (c_a / 32).(y_b - c_b / 32)``, so by Cauchy-Schwarz, with
   ``|c_a / 32| <= sqrt(P) (|a| + r_a)``, the score differs from ``c_a.c_b / (1024 P)`` by at most
   ``(r_a + r_b + r_a r_b) (1 + 2**-20)``: the factor covers that |a| and |b| are not exactly 1 and that s is not
   exactly a.b, by terms of 2**-53 that :mod:`lwface.scoring.exact.feature_set` bounds (r_a is at least u).
4. ``r_a r_b <= (r_a**2 + r_b**2) / 2``, so with ``e = (r + r**2 / 2) (1 + 2**-20)`` a score is at most the product of
   the codes, divided by 1024 P, plus ``e_a + e_b``.

**The error is part of the code.** E more numbers follow the P of each row: 64 + t with t from 0 to 63, the t of a row
adding up to T, at least ``16 P e``. Two rows' extra numbers have a product of at least ``4096 E + 64 (T_a + T_b)``, and
the second term is at least ``1024 P (e_a + e_b)``. So one integer threshold serves all pairs, though each has a bound
of its own: a pair with a score of at least f has a product of at least ``1024 P f + 4096 E`` (:func:`least_product`).

Rounding alone makes r about 2**-5 / sqrt(12) = 0.009. One row in some thirty has a number beyond 127 / 32; its r is
larger.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FLOAT32_ROUNDING = 2.0**-24
SCALE = 32  # of a rotated row to its codes; with standard normal numbers 127 / 32 is hardly ever exceeded
CODE_LIMIT = 127
EXTRA_BASE = 64  # the smallest extra number; the largest is CODE_LIMIT
NARROWEST, WIDEST = 64, 2**16  # 127**2 * (2**16 + 2**11) is an int32
ROWS_AT_ONCE = 256  # a chunk stays in the cache
SIGN_SEED = 20191027  # of the rotation: the same for every set, as probe and gallery are multiplied


def coded_width(width: int) -> int | None:
    """Numbers of a rotated row (P) of features of ``width``; None: too wide for int32 products."""
    coded = max(NARROWEST, 1 << (width - 1).bit_length())
    return coded if coded <= WIDEST else None


def extra_numbers(coded: int) -> int:
    """Numbers (E) that follow the P of a code: enough for errors up to 0.12."""
    return max(16, coded // 32)


def encode(units: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Codes (N, P + E) of unit rows (N, D) rounded to float32, and the bound ``e`` (N,) of each.

    A bound that is too large for the extra numbers makes it infinite: the code is of no use then.
    """
    rows, width = units.shape
    coded = coded_width(width)
    if coded is None:
        raise ValueError(f"width {width} is too large for int8 codes")
    extra = extra_numbers(coded)
    signs = np.random.default_rng(SIGN_SEED).choice(np.array([-1, 1], dtype=np.float32), size=(width, 1))
    codes, errors = np.empty((rows, coded + extra), dtype=np.int8), np.empty(rows)
    stages = coded.bit_length() - 1
    for start in range(0, rows, ROWS_AT_ONCE):
        part = slice(start, min(start + ROWS_AT_ONCE, rows))
        rotated = np.zeros((coded, part.stop - start), dtype=np.float32)  # a column a row: whole columns are added
        rotated[:width] = units[part].T
        rotated[:width] *= signs
        rotated = _hadamard(rotated) * np.float32(SCALE)
        rounded = np.clip(np.rint(rotated), -CODE_LIMIT, CODE_LIMIT)
        codes[part, :coded] = rounded.T
        rotated -= rounded
        distance = np.sqrt(np.einsum("pn,pn->n", rotated, rotated).astype(np.float64)) / SCALE
        margin = 1 + 2 * (coded + 4) * FLOAT32_ROUNDING
        residual = distance * margin / math.sqrt(coded) + (stages + 2) * FLOAT32_ROUNDING
        errors[part] = (residual + residual**2 / 2) * (1 + 2.0**-20)
    total = np.ceil(errors * (SCALE * SCALE * coded // EXTRA_BASE))
    errors[total > extra * (CODE_LIMIT - EXTRA_BASE)] = np.inf
    steps = np.minimum(total, extra * (CODE_LIMIT - EXTRA_BASE)).astype(np.int64)[:, np.newaxis]
    codes[:, coded:] = EXTRA_BASE + (steps + np.arange(extra)) // extra  # as even as integers can be
    return codes, errors


def least_product(floor: float, coded: int) -> int:
    """The smallest product of codes that a pair with a score of at least ``floor`` can have."""
    return math.ceil(floor * (SCALE * SCALE * coded)) + EXTRA_BASE**2 * extra_numbers(coded)


def _hadamard(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each column (P,) of ``columns`` (P, N) times the Hadamard matrix."""
    coded, count = columns.shape
    other = np.empty_like(columns)
    half = 1
    while half < coded:
        source = columns.reshape(coded // (2 * half), 2, half, count)
        target = other.reshape(source.shape)
        np.add(source[:, 0], source[:, 1], out=target[:, 0])
        np.subtract(source[:, 0], source[:, 1], out=target[:, 1])
        columns, other = other, columns
        half *= 2
    return columns


Cells = tuple[NDArray[np.int64], NDArray[np.int64]]


class Screen(Protocol):
    """Codes of two sets, ready to be multiplied."""

    def hits(self, rows: range, columns: range, threshold: int, *, above: bool) -> Cells | None:
        """Positions (left, right) of the cells of ``rows`` x ``columns`` whose product is at least ``threshold``.

        Args:
            rows, columns: positions in the left and in the right set.
            threshold: an integer.
            above: only cells with column > row.

        Returns:
            None where they are too many to hold; a smaller tile may do.
        """
        ...
