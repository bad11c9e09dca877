"""Finds the pairs whose integer product reaches a threshold, on a CUDA device.

Returns the same cells as ``screening.py``, bit for bit: products of int8 codes are added up in
int32, which holds 127**2 * 2**16, so every order of summation and every device gives the same integers.

* **Triton** (compute capability 8.0 and later): ``screening_kernel.py``, where products stay on the chip. How it is
  cut into programs is measured on the card when there is much to do.
* **PyTorch** where there is no Triton or its kernel does not compile or fit, and on older cards, which one line on
  stderr says: a matrix of products at a time, by ``torch._int_mm`` where a trial gives the right products, else from
  codes in float64, whose sums of integers below 2**53 are exact in any order. float32 is not used: it would be exact
  only up to a width of 1040 (127**2 * 1040 < 2**24), and only while no setting puts TF32 or bfloat16 in its place.

There is no bfloat16 kernel: tensor cores multiply int8 twice as fast, and add bfloat16 products in an order and with
roundings that nobody documents, so that no bound on their error could be proven.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lwface.scoring.exact.screening import CODE_LIMIT, NARROWEST, WIDEST, Cells, extra_numbers

if TYPE_CHECKING:
    from lwface.scoring.exact.screening_kernel import Kernel, Launch

IN_FLIGHT = 2  # tiles that the device has been given and whose cells it has not yet handed back
CELL_LIMIT = 2**31  # of a tile: the kernel's numbers are int32
CAPACITY_LIMIT = 2**30
UPLOAD_BYTES = 2**26  # codes copied to the device at a time
SIDE = 4096  # of the matrix of products that PyTorch makes
TRITON_CAPABILITY = (8, 0)

Fetch = Callable[[], torch.Tensor | None]  # waits for a tile and returns its keys, ``row << 32 | column``


class Tile(NamedTuple):
    """A rectangle of cells.

    Attributes:
        rows, columns: positions in the left and in the right set.
        above: only cells with column > row.
    """

    rows: range
    columns: range
    above: bool


def device_bytes(rows: int, columns: int, width: int, capacity: int, tiles: int = IN_FLIGHT + 1) -> int:
    """The most device memory that a :class:`GpuScreen` holds, beside the some hundreds of MB that CUDA itself takes.

    Args:
        rows, columns: codes of the left and the right set; ``columns`` 0 for a set with itself.
        width: of a code.
        capacity: cells that a tile may return.
        tiles: at a time: threads that call ``hits``, and ``IN_FLIGHT`` more while ``screen_tiles`` is under way.
    """
    keys = 8 * capacity + 1024
    products = SIDE**2 * (8 + 4 + 2) + 2 * SIDE * width * 8  # float64 and int32 products, two masks, float64 codes
    positions = 48 * capacity  # row, column, key, and what is made of them on the way
    return (rows + columns) * (width + -width % NARROWEST) + tiles * max(keys, products + positions)


class GpuScreen:
    """Codes of two sets on a device, ready to be multiplied: see :class:`lwface.scoring.exact.screening.Screen`.

    Several threads may call it: the device takes their tiles in turn, so that none waits for what a thread does with
    its cells.

    Args:
        left: (N, P) int8 codes from -127 to 127; an array or a tensor.
        right: (M, P) codes; None, or ``left`` itself: a set with itself.
        device: a CUDA device; or the CPU, by PyTorch.
        capacity: cells that a tile may return.
        launch: of the Triton kernel; None: chosen as described above.

    Attributes:
        tile: a good side of a tile: large enough that starting it takes no time.
        method: what multiplies, in words.

    Raises:
        ValueError: the codes have another shape or type, or the capacity is none.
    """

    def __init__(
        self,
        left: NDArray[np.int8] | torch.Tensor,
        right: NDArray[np.int8] | torch.Tensor | None = None,
        *,
        device: torch.device,
        capacity: int = 2**22,
        launch: Launch | None = None,
    ) -> None:
        if not 0 < capacity <= CAPACITY_LIMIT:
            raise ValueError(f"capacity {capacity} is not between 1 and {CAPACITY_LIMIT}")
        self._device, self._capacity = device, capacity
        self._left = _on_device(left, device)
        self._right = self._left if right is None or right is left else _on_device(right, device)
        if self._left.shape[1] != self._right.shape[1]:
            raise ValueError(f"codes of widths {self._left.shape[1]} and {self._right.shape[1]}")
        self._kernel: Kernel | None = None
        self._starting = threading.Lock()  # Triton does not promise to start kernels from several threads
        if launch is not None:
            from lwface.scoring.exact.screening_kernel import Kernel

            self._kernel = Kernel(self._left, self._right, launch)
        elif device.type == "cuda":
            self._kernel = _choose_kernel(self._left, self._right)
        # a stream of its own, so that keys are fetched while the next tile's kernel runs
        self._fetching = torch.cuda.Stream(device) if device.type == "cuda" else None
        if self._kernel is not None:
            self.tile, self.method = 32768, f"Triton, {self._kernel.launch}"
        else:
            self._products = _integer_products if _integer_products_work(device) else _float_products
            self.tile, self.method = 2 * SIDE, f"PyTorch, {self._products.__name__.strip('_').replace('_', ' ')}"

    def hits(self, rows: range, columns: range, threshold: int, *, above: bool) -> Cells | None:
        """See :class:`lwface.scoring.exact.screening.Screen`; the cells are sorted by (left, right)."""
        ((_, cells),) = self.screen_tiles([Tile(rows, columns, above)], lambda tile: threshold)
        return cells

    def screen_tiles(
        self, tiles: Iterable[Tile], threshold: Callable[[Tile], int]
    ) -> Iterator[tuple[Tile, Cells | None]]:
        """Each tile with its cells, as :meth:`hits` returns them, in the order of ``tiles``.

        While the caller handles the cells of a tile, the device works on the next two. So ``threshold``, which is asked
        for as a tile is given to the device, does not know the cells of the two before it: one that only rises stays
        right. ``hits`` may be called meanwhile.
        """
        started: deque[tuple[Tile, Fetch]] = deque()
        for tile in tiles:
            done = [_fetched(*started.popleft())] if len(started) == IN_FLIGHT else []
            started.append((tile, self._start(tile, threshold(tile))))
            yield from done
        while started:
            yield _fetched(*started.popleft())

    def _start(self, tile: Tile, threshold: int) -> Fetch:
        if len(tile.rows) * len(tile.columns) >= CELL_LIMIT:
            raise ValueError(f"a tile of {len(tile.rows)} x {len(tile.columns)} cells is not below {CELL_LIMIT}")
        if not (tile.rows and tile.columns):
            return lambda: torch.empty(0, dtype=torch.int64)
        threshold = min(max(threshold, -(2**31)), 2**31 - 1)  # no product is outside of them, or at the upper one
        if self._kernel is None:
            return lambda: self._multiply(tile, threshold)
        return self._start_kernel(self._kernel, tile, threshold)

    def _start_kernel(self, kernel: Kernel, tile: Tile, threshold: int) -> Fetch:
        fetching = self._fetching
        with torch.cuda.device(self._device) if fetching is not None else contextlib.nullcontext():
            keys = torch.empty(self._capacity, dtype=torch.int64, device=self._device)
            counter = torch.zeros(1, dtype=torch.int32, device=self._device)
            with self._starting:
                kernel.run(*tile[:2], threshold, tile.above, keys, counter)
            count = torch.empty(1, dtype=torch.int32, pin_memory=fetching is not None)
            count.copy_(counter, non_blocking=True)
            ended = torch.cuda.Event() if fetching is not None else None
            if ended is not None:
                ended.record()

        def fetch() -> torch.Tensor | None:
            if ended is not None:
                ended.synchronize()
            if int(count) > self._capacity:
                return None
            with torch.cuda.stream(fetching):
                return keys[: int(count)].cpu()

        return fetch

    def _multiply(self, tile: Tile, threshold: int) -> torch.Tensor | None:
        """Keys of a tile by PyTorch, on the host; None: more than the capacity."""
        found, count = [torch.empty(0, dtype=torch.int64)], 0
        for row in range(tile.rows.start, tile.rows.stop, SIDE):
            rows = torch.arange(row, min(row + SIDE, tile.rows.stop), device=self._device)
            for column in range(tile.columns.start, tile.columns.stop, SIDE):
                columns = torch.arange(column, min(column + SIDE, tile.columns.stop), device=self._device)
                if tile.above and column + len(columns) - 1 <= row:
                    continue
                left, right = self._left[row : row + len(rows)], self._right[column : column + len(columns)]
                counts = self._products(left, right) >= threshold
                if tile.above:
                    counts &= columns > rows[:, None]
                count += int(counts.sum())
                if count > self._capacity:
                    return None
                cells = counts.nonzero()
                found.append((cells[:, 0] + row << 32 | cells[:, 1] + column).cpu())
        return torch.cat(found)


def _on_device(codes: NDArray[np.int8] | torch.Tensor, device: torch.device) -> torch.Tensor:
    """``codes`` on ``device``, rows one after another, filled up with zeros to a multiple of ``NARROWEST`` numbers."""
    width = codes.shape[1] if codes.ndim == 2 else 0
    if codes.dtype not in (np.int8, torch.int8) or not 0 < width <= WIDEST + extra_numbers(WIDEST):
        raise ValueError(f"codes of shape {tuple(codes.shape)} and type {codes.dtype}")
    copied = torch.zeros(len(codes), width + -width % NARROWEST, dtype=torch.int8, device=device)
    step = max(1, UPLOAD_BYTES // width)
    for start in range(0, len(codes), step):  # np.array: of a read-only map PyTorch takes a copy alone
        part = codes[start : start + step]
        copied[start : start + step, :width] = (
            part if isinstance(part, torch.Tensor) else torch.from_numpy(np.array(part))
        )
    return copied


def _choose_kernel(left: torch.Tensor, right: torch.Tensor) -> Kernel | None:
    """The fastest kernel that works on the card; None, with a line on stderr: none does."""
    capability = torch.cuda.get_device_capability(left.device)
    try:  # whatever is missing, too old, or does not fit: there is another way
        if torch.version.cuda is None:
            raise RuntimeError("it is not NVIDIA's")
        if capability < TRITON_CAPABILITY:
            raise RuntimeError(f"its compute capability is {capability[0]}.{capability[1]}")
        from lwface.scoring.exact.screening_kernel import fastest_kernel

        with torch.cuda.device(left.device):
            return fastest_kernel(left, right)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"{left.device} is screened by PyTorch, slower than by Triton: {reason}", file=sys.stderr)
        return None


def _fetched(tile: Tile, fetch: Fetch) -> tuple[Tile, Cells | None]:
    found = fetch()
    if found is None:
        return tile, None
    keys = np.sort(found.numpy())
    return tile, (keys >> 32, keys & 0xFFFFFFFF)


def _integer_products(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Products (R, C) int32 of codes (R, P) and (C, P)."""
    # cuBLAS wants more than 16 rows, and multiples of 8
    rows = torch.nn.functional.pad(left, (0, 0, 0, -len(left) % 32))
    columns = torch.nn.functional.pad(right, (0, 0, 0, -len(right) % 32))
    return torch._int_mm(rows, columns.t())[: len(left), : len(right)]


def _float_products(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Products (R, C), integers in float64, of codes (R, P) and (C, P)."""
    return left.double() @ right.double().t()


def _integer_products_work(device: torch.device) -> bool:
    """Whether ``torch._int_mm`` runs on ``device`` and adds up in int32: some processors saturate at 16 bits."""
    codes = torch.full((2, NARROWEST), CODE_LIMIT, dtype=torch.int8, device=device)
    codes[1] = -CODE_LIMIT
    try:
        products = _integer_products(codes, codes)
    except RuntimeError:
        return False
    square = NARROWEST * CODE_LIMIT**2
    return products.tolist() == [[square, -square], [-square, square]]
