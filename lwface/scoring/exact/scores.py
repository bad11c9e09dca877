"""The score of a pair, exactly, and how far fast arithmetic may be from it.

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

import numpy as np
from numpy.typing import NDArray

WIDTH_LIMIT = 2**22  # the proof's condition; features have some hundreds of numbers
FLOAT32_ROUNDING = 2.0**-24


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
