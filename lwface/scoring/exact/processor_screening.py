"""Products of codes on the processor: see :mod:`lwface.scoring.exact.screening`."""

from __future__ import annotations

import threading

import numpy as np
import torch
from numpy.typing import NDArray

from lwface.scoring.exact.screening import CODE_LIMIT, Cells

BLOCK = 1024  # rows and columns of a matrix product: its 4 MiB of int32 are still in the cache when they are compared
SEGMENT = 64  # products are compared by the largest of this many


class ProcessorScreen:
    """int8 matrix products by PyTorch, with one thread of its own a call: call it from several.

    Args:
        left: (N, P) codes.
        right: (M, P) codes; the same array for a set with itself.
        capacity: cells that a call may return.
    """

    def __init__(self, left: NDArray[np.int8], right: NDArray[np.int8], *, capacity: int = 2**22) -> None:
        self._left, self._right = torch.from_numpy(left), torch.from_numpy(right)
        self._capacity = capacity
        self._space = threading.local()

    def hits(self, rows: range, columns: range, threshold: int, *, above: bool) -> Cells | None:
        """See :class:`Screen`."""
        found_rows, found_columns, count = [], [], 0
        for first in range(rows.start, rows.stop, BLOCK):
            first_end = min(first + BLOCK, rows.stop)
            for second in range(columns.start, columns.stop, BLOCK):
                second_end = min(second + BLOCK, columns.stop)
                if above and second_end - 1 <= first:
                    continue
                products = self._products(first_end - first, second_end - second)
                torch._int_mm(self._left[first:first_end], self._right[second:second_end].t(), out=products)
                left, right = _reaching(products, threshold)
                left += first
                right += second
                if above and second < first_end:
                    keep = right > left
                    left, right = left[keep], right[keep]
                count += len(left)
                if count > self._capacity:
                    return None
                if len(left):
                    found_rows.append(left)
                    found_columns.append(right)
        if not found_rows:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        return np.concatenate(found_rows), np.concatenate(found_columns)

    def _products(self, rows: int, columns: int) -> torch.Tensor:
        """Space (rows, columns) int32 of this thread."""
        if not hasattr(self._space, "products"):
            self._space.products = torch.empty(BLOCK * BLOCK, dtype=torch.int32)
        space: torch.Tensor = self._space.products
        return space[: rows * columns].view(rows, columns)


def _reaching(products: torch.Tensor, threshold: int) -> Cells:
    """Rows and columns of the cells of ``products`` (R, C) int32 that are at least ``threshold``."""
    columns = products.shape[1]
    flat = products.view(-1)
    whole = len(flat) // SEGMENT * SEGMENT
    largest = flat[:whole].view(-1, SEGMENT).amax(dim=1) if whole else flat[:0]
    segments = torch.nonzero(largest >= threshold).numpy()[:, 0]
    cells = np.add.outer(segments * SEGMENT, np.arange(SEGMENT)).ravel()
    cells = np.append(cells, np.arange(whole, len(flat)))
    cells = cells[flat.numpy()[cells] >= threshold]
    left, right = np.divmod(cells, columns)
    return left, right


def integer_products_are_exact() -> bool:
    """Whether this processor's int8 matrix product adds up in int32, as it should: some saturate at 16 bits."""
    for first, second in ((CODE_LIMIT, CODE_LIMIT), (CODE_LIMIT, -CODE_LIMIT), (-CODE_LIMIT, -CODE_LIMIT)):
        left = torch.full((32, 256), first, dtype=torch.int8)
        right = torch.full((32, 256), second, dtype=torch.int8)
        try:
            products = torch._int_mm(left, right.t())
        except RuntimeError:
            return False
        if not bool((products == first * second * 256).all()):
            return False
    return True
