"""The screening kernel in Triton: a matrix product of int8 codes whose results never leave the chip unless they count.

Imports Triton, which a computer without a CUDA device need not have: only :mod:`lwface.scoring.exact.gpu_screening`
imports this module, when it is needed.

A program multiplies one block of rows with one block of columns and keeps the int32 products in registers. Next to
always none of them reaches the threshold: the largest is compared, and the program is over. Otherwise each cell that
counts takes a place from a counter and writes its position there, in any order. A place of its own for each by an
atomic addition costs a few registers, where the usual cumulative sum over a block needs 256 KiB of shared memory, more
than a multiprocessor has.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl

COPY_ENGINE_CAPABILITY = (9, 0)
NO_PRODUCT = 2**31 - 1  # larger than any product
MUCH = 2**35  # pairs: below, measuring launches takes longer than it saves
TRIALS = 2  # launches that are measured against each other
TRIAL_SIDE = 16384
BAND = 8  # blocks of rows whose programs run side by side, so that what they read is found in the cache


@dataclass(frozen=True)
class Launch:
    """How the kernel is cut into programs. It changes time and nothing else.

    Attributes:
        rows, columns: cells of a program. More of them reuse what is read more often.
        depth: codes multiplied at a time.
        warps: of a program. A thread holds rows * columns / (32 warps) products; 128 leave registers for the rest.
        stages: blocks on their way from memory, or being multiplied, at a time.
        descriptors: whether the copy engine reads the blocks, which Hopper was the first to have.
    """

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int
    descriptors: bool


LAUNCHES = (  # the likeliest first. A program with 256 columns reads least; of two with 128, one works if one waits.
    Launch(128, 256, 128, warps=8, stages=4, descriptors=True),
    Launch(128, 128, 128, warps=4, stages=3, descriptors=True),
    Launch(128, 256, 64, warps=8, stages=3, descriptors=False),
    Launch(128, 128, 64, warps=4, stages=3, descriptors=False),
)


class Kernel:
    """The kernel with its codes.

    Args:
        left, right: (N, P) and (M, P) int8 codes on one device, contiguous.
        launch: its depth is halved as often as P needs.
    """

    def __init__(self, left: torch.Tensor, right: torch.Tensor, launch: Launch) -> None:
        self.launch = launch
        self._left, self._right = left, right
        self._depth = launch.depth
        while left.shape[1] % self._depth:
            self._depth //= 2
        self._operands = left, right
        if launch.descriptors:
            from triton.tools.tensor_descriptor import TensorDescriptor  # younger than the rest of Triton

            self._operands = (
                TensorDescriptor.from_tensor(left, [launch.rows, self._depth]),
                TensorDescriptor.from_tensor(right, [launch.columns, self._depth]),
            )

    def run(
        self, rows: range, columns: range, threshold: int, above: bool, keys: torch.Tensor, counter: torch.Tensor
    ) -> None:
        """Start the kernel on the current stream: see :func:`screen`."""
        launch = self.launch
        programs = triton.cdiv(len(rows), launch.rows) * triton.cdiv(len(columns), launch.columns)
        screen[(programs,)](
            *self._operands,
            keys,
            counter,
            rows.start,
            rows.stop,
            columns.start,
            columns.stop,
            threshold,
            int(above),
            len(keys),
            WIDTH=self._left.shape[1],
            BLOCK_ROWS=launch.rows,
            BLOCK_COLUMNS=launch.columns,
            BLOCK_DEPTH=self._depth,
            BAND=BAND,
            DESCRIPTORS=launch.descriptors,
            num_warps=launch.warps,
            num_stages=launch.stages,
        )

    def seconds(self, repeats: int) -> float:
        """Compile, and time a tile without hits on the current CUDA device: the least of ``repeats``."""
        rows, columns = (range(min(TRIAL_SIDE, len(codes))) for codes in (self._left, self._right))
        keys = torch.empty(1, dtype=torch.int64, device=self._left.device)
        counter = torch.zeros(1, dtype=torch.int32, device=self._left.device)
        times = []
        for _ in range(1 + repeats):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            self.run(rows, columns, NO_PRODUCT, False, keys, counter)
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1000)
        return min(times[1:])


def fastest_kernel(left: torch.Tensor, right: torch.Tensor) -> Kernel:
    """The first kernel that works on the current CUDA device; of the first two, when there is much to do, the faster.

    Raises:
        RuntimeError: none works, with the last one's reason.
    """
    capability = torch.cuda.get_device_capability(left.device)
    trials = TRIALS if len(left) * len(right) > MUCH else 1
    seconds: dict[Kernel, float] = {}
    failure: Exception | None = None
    for launch in LAUNCHES:
        if len(seconds) == trials:
            break
        if launch.descriptors and capability < COPY_ENGINE_CAPABILITY:
            continue
        try:  # it may be more than the card holds or the compiler can, in errors of many kinds
            kernel = Kernel(left, right, launch)
            seconds[kernel] = kernel.seconds(repeats=3)
        except Exception as error:
            failure = error
    if not seconds:
        raise RuntimeError(f"no kernel works: {failure}") from failure
    return min(seconds, key=lambda kernel: seconds[kernel])


@triton.jit(
    do_not_specialize=["first_row", "end_row", "first_column", "end_column", "threshold", "above", "capacity"]
)  # else each new kind of number, such as the multiples of 16, is compiled anew
def screen(
    left: tl.tensor,
    right: tl.tensor,
    keys: tl.tensor,
    counter: tl.tensor,
    first_row: tl.tensor,
    end_row: tl.tensor,
    first_column: tl.tensor,
    end_column: tl.tensor,
    threshold: tl.tensor,
    above: tl.tensor,
    capacity: tl.tensor,
    WIDTH: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    BLOCK_DEPTH: tl.constexpr,
    BAND: tl.constexpr,
    DESCRIPTORS: tl.constexpr,
) -> None:
    """Write the positions of the cells whose product is at least ``threshold``.

    Args:
        left, right: (N, WIDTH) and (M, WIDTH) int8 codes, rows one after another: tensor descriptors with blocks of
            BLOCK_ROWS (BLOCK_COLUMNS) x BLOCK_DEPTH, or pointers.
        keys: (capacity,) int64, filled with ``row << 32 | column`` in no order.
        counter: (1,) int32, 0 before: the cells found. Past ``capacity`` it may stop short of their number.
        first_row, end_row, first_column, end_column: the tile, not empty.
        threshold: int32.
        above: not 0: only cells with column > row.
        capacity: of ``keys``, at most 2**30: programs that find the counter past it add nothing more, and those under
            way add less than 2**30.
        WIDTH: a multiple of BLOCK_DEPTH.
        BAND: see above.
        DESCRIPTORS: whether ``left`` and ``right`` are descriptors.
    """
    column_blocks = tl.cdiv(end_column - first_column, BLOCK_COLUMNS)
    program = tl.program_id(0)
    band = program // (BAND * column_blocks) * BAND
    height = tl.minimum(tl.cdiv(end_row - first_row, BLOCK_ROWS) - band, BAND)
    in_band = program % (BAND * column_blocks)
    row = first_row + (band + in_band % height) * BLOCK_ROWS
    column = first_column + in_band // height * BLOCK_COLUMNS
    if (above != 0) & (column + BLOCK_COLUMNS - 1 <= row):
        return
    rows = row + tl.arange(0, BLOCK_ROWS)
    columns = column + tl.arange(0, BLOCK_COLUMNS)

    products = tl.zeros((BLOCK_ROWS, BLOCK_COLUMNS), tl.int32)
    if DESCRIPTORS:  # what lies behind the last row is read as zeros
        for depth in range(0, WIDTH, BLOCK_DEPTH):
            products = tl.dot(left.load([row, depth]), right.load([column, depth]).T, products, out_dtype=tl.int32)
    else:  # what lies behind the tile is read from its last row, and no cell of it is kept
        depths = tl.arange(0, BLOCK_DEPTH)
        left += tl.minimum(rows, end_row - 1).to(tl.int64)[:, None] * WIDTH + depths[None, :]
        right += tl.minimum(columns, end_column - 1).to(tl.int64)[None, :] * WIDTH + depths[:, None]
        for _ in range(0, WIDTH, BLOCK_DEPTH):
            products = tl.dot(tl.load(left), tl.load(right), products, out_dtype=tl.int32)
            left += BLOCK_DEPTH
            right += BLOCK_DEPTH

    if tl.max(products) < threshold:
        return
    if tl.load(counter, volatile=True) > capacity:
        return
    counts = (products >= threshold) & (rows < end_row)[:, None] & (columns < end_column)[None, :]
    counts &= (above == 0) | (columns[None, :] > rows[:, None])
    ones = tl.full((BLOCK_ROWS, BLOCK_COLUMNS), 1, tl.int32)
    places = tl.atomic_add(counter + tl.zeros_like(ones), ones, mask=counts, sem="relaxed")
    found = rows.to(tl.int64)[:, None] << 32 | columns.to(tl.int64)[None, :]
    tl.store(keys + places, found, mask=counts & (places < capacity))
