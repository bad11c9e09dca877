"""Screening of all pairs on a CUDA device: pairs a second, and the share of what the card's matrix products reach.

    python benchmarks/gpu_scoring.py

Codes are drawn as those of features scatter (``lwface/scoring/exact/screening.py``), on the card; the threshold is the
one that a share ``--far`` of such pairs reaches. The time is that of every tile until its cells are in the computer's
memory, sorted. The card's own rates are those of one large matrix product of random numbers, the median of ten. Some
tiles are computed once more on the processor, and must have the same cells.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.errors import UserError
from lwface.base.progress import progress
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.gpu_screening import GpuScreen, Tile, device_bytes
from lwface.scoring.exact.grid import Grid
from lwface.scoring.exact.screening import CODE_LIMIT, NARROWEST, SCALE, WIDEST
from lwface.scoring.operating_points import OperatingPoint, operating_points

IMAGES = 1_862_120  # of the challenge
SIDE = 8192  # of the matrix products that the card is measured by
CHECKED_SIDE = 2048
PART = 2**16  # rows drawn at a time
ROWS_A_PERSON = 20
RANKED_BY = Fraction("1e-8")  # FAR of the challenge


@dataclass
class Screened:
    """What screening all pairs gave."""

    seconds: float
    cells: int
    overflowed: int  # tiles with more cells than the capacity


def draw_codes(rows: int, width: int, device: torch.device, seed: int) -> torch.Tensor:
    """Codes (rows, width) of independent unit rows: normal numbers, rounded."""
    generator = torch.Generator(device).manual_seed(seed)
    codes = torch.empty(rows, width, dtype=torch.int8, device=device)
    for start in range(0, rows, PART):
        part = codes[start : start + PART]
        numbers = torch.randn(part.shape, generator=generator, device=device)
        part.copy_((SCALE * numbers).round_().clamp_(-CODE_LIMIT, CODE_LIMIT))
    return codes


def threshold_for(far: float, width: int) -> int:
    """The product that a share ``far`` of independent pairs reaches: the sum of ``width`` products is about normal."""
    return round(statistics.NormalDist().inv_cdf(1 - far) * SCALE**2 * width**0.5)


def upper_tiles(rows: int, side: int) -> Iterator[Tile]:
    """Tiles that hold every pair of ``rows`` once."""
    for first in range(0, rows, side):
        for second in range(first, rows, side):
            yield Tile(range(first, min(first + side, rows)), range(second, min(second + side, rows)), True)


def screen_all(screen: GpuScreen, rows: int, threshold: int) -> Screened:
    """Screen every pair of ``rows``."""
    tiles = list(upper_tiles(rows, screen.tile))
    cells = overflowed = 0
    start = time.perf_counter()
    screened = screen.screen_tiles(tiles, lambda tile: threshold)
    for _, found in progress(screened, total=len(tiles), label="screening", unit="tile"):
        if found is None:
            overflowed += 1
        else:
            cells += len(found[0])
    return Screened(time.perf_counter() - start, cells, overflowed)


def check(screen: GpuScreen, codes: torch.Tensor, threshold: int, tiles: int, seed: int) -> int:
    """Compare random tiles with float64 products of NumPy, exact for these integers. Returns the cells compared.

    Raises:
        UserError: a tile differs.
    """
    generator, cells = np.random.default_rng(seed), 0
    side = min(CHECKED_SIDE, len(codes))
    for _ in range(tiles):
        row, column = sorted(int(start) for start in generator.integers(0, len(codes) - side + 1, 2))
        left, right = (codes[start : start + side].cpu().numpy().astype(np.float64) for start in (row, column))
        rows, columns = np.nonzero(left @ right.T >= threshold)
        above = columns + column > rows + row
        expected = rows[above] + row, columns[above] + column
        found = screen.hits(range(row, row + side), range(column, column + side), threshold, above=True)
        if found is None or not all(map(np.array_equal, found, expected)):
            raise UserError(f"the tile at row {row}, column {column} differs from the processor's")
        cells += side * side
    return cells


def seconds_of(work: Callable[[], object], repeats: int = 10) -> float:
    """Median seconds of ``work`` on the current CUDA device, after two runs that do not count."""
    times = []
    for _ in range(2 + repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return statistics.median(times[2:])


def card_rates(device: torch.device) -> dict[str, float]:
    """Operations (a multiplication, an addition) a second of large matrix products."""
    int8 = [draw_codes(SIDE, SIDE, device, seed) for seed in (0, 1)]
    bfloat16 = [codes.to(torch.bfloat16) for codes in int8]
    return {
        "bfloat16": 2 * SIDE**3 / seconds_of(lambda: bfloat16[0] @ bfloat16[1].t()),
        "int8": 2 * SIDE**3 / seconds_of(lambda: torch._int_mm(int8[0], int8[1].t())),
    }


def score_all(rows: int, width: int, device: torch.device) -> tuple[float, OperatingPoint]:
    """Seconds of the whole evaluation of random features in memory, at the challenge's FAR, and what it found."""
    generator = np.random.default_rng(0)
    features = np.empty((rows, width), dtype=np.float32)
    labels = generator.integers(0, max(1, rows // ROWS_A_PERSON), rows)
    for start in range(0, rows, PART):
        features[start : start + PART] = generator.standard_normal(features[start : start + PART].shape, np.float32)
    start_time = time.perf_counter()
    grid = Grid(FeatureSet(features, labels, "random features"), None, device=str(device))
    (point,) = operating_points(grid, [RANKED_BY])
    return time.perf_counter() - start_time, point


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description="Pairs a second of screening on a CUDA device, and what share of the card that is.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=IMAGES, help="features")
    parser.add_argument("--width", type=int, default=512, help="numbers of a code, a multiple of 64")
    parser.add_argument("--far", type=float, default=1e-7, help="share of the pairs that reach the threshold")
    parser.add_argument("--capacity", type=int, default=2**22, help="cells that a tile may return")
    parser.add_argument("--checks", type=int, default=8, help="tiles computed on the processor, too")
    parser.add_argument(
        "--whole", action=argparse.BooleanOptionalAction, default=True, help="time TAR at FAR 1e-8, too"
    )
    parser.add_argument("--device", default="cuda", help="CUDA device")
    args = parser.parse_args(arguments)
    if args.rows < 2 or not 0 < args.width <= WIDEST or args.width % NARROWEST or not 0 < args.far < 1:
        raise UserError("--rows wants at least 2, --width a multiple of 64, --far a share between 0 and 1")
    if not torch.cuda.is_available():
        raise UserError("this benchmark needs a CUDA device, and PyTorch finds none")
    device = torch.device(args.device)
    with torch.cuda.device(device):
        rates = card_rates(device)
        codes = draw_codes(args.rows, args.width, device, seed=0)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        screen = GpuScreen(codes, device=device, capacity=args.capacity)
        started = time.perf_counter() - start
        threshold = threshold_for(args.far, args.width)
        done = screen_all(screen, args.rows, threshold)
        memory = torch.cuda.max_memory_allocated()
        checked = check(screen, codes, threshold, args.checks, seed=1)
        name = torch.cuda.get_device_name()
        method = screen.method
        del screen, codes  # their memory is wanted
        seconds, point = score_all(args.rows, args.width, device) if args.whole else (0.0, None)
    pairs = args.rows * (args.rows - 1) // 2
    rate = 2 * args.width * pairs / done.seconds
    print(f"{args.rows} codes of width {args.width} on {name}, PyTorch {torch.__version__}")
    print(f"method            {method}, chosen and compiled in {started:.2f} s")
    print(f"seconds           {done.seconds:.3f}")
    print(f"pairs             {pairs}, {pairs / done.seconds:.4g} a second")
    print(f"cells kept        {done.cells}, {done.cells / pairs:.3g} of the pairs; {done.overflowed} tiles overflowed")
    for kind, reached in rates.items():
        print(f"of {kind:<15}{100 * rate / reached:.1f} %: {rate / 1e12:.1f} of {reached / 1e12:.1f} T operations/s")
    bound = device_bytes(args.rows, 0, args.width, args.capacity)
    print(f"device memory     {memory / 1e9:.3f} GB, known before to be at most {bound / 1e9:.3f} GB")
    if point is not None:
        print(f"whole evaluation  {seconds:.2f} s from features in memory, FAR 1e-8: threshold {point.threshold}")
    print(f"checked           {args.checks} tiles, {checked} cells: the same as the processor's")


if __name__ == "__main__":
    run_command(main)
