"""Screening on a device: the same cells as 64-bit integers on the processor give, by every method.

Tests have no GPU. PyTorch's methods run on the CPU; the Triton kernel runs on Triton's interpreter, to be chosen
before Triton is first imported: :func:`test_the_triton_kernel` runs this file once more, in a process of its own.
That the kernel compiles for the cards it was written for is tested with Triton's own compiler.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from lwface.scoring.exact import gpu_screening, processor_screening, screening_kernel
from lwface.scoring.exact.gpu_screening import IN_FLIGHT, GpuScreen, Tile, device_bytes
from lwface.scoring.exact.processor_screening import ProcessorScreen
from lwface.scoring.exact.screening import WIDEST
from lwface.scoring.exact.screening_kernel import LAUNCHES, Kernel, Launch, fastest_kernel
from tests.scoring_oracle import draw_case, run_case

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
METHODS = ["descriptors", "pointers"] if INTERPRETED else ["integers", "floats"]
CPU = torch.device("cpu")


def codes(rows, width, seed):
    return np.random.default_rng(seed).integers(-127, 128, (rows, width), dtype=np.int8)


def cells_of(left, right, rows, columns, threshold, above):
    """The cells by their definition, a cell at a time."""
    products = left.astype(np.int64) @ right.astype(np.int64).T
    found = [(i, j) for i in rows for j in columns if products[i, j] >= threshold and (not above or j > i)]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def same_cells(cells, expected):
    assert cells[0].dtype == cells[1].dtype == np.int64
    np.testing.assert_array_equal(np.stack(cells, axis=1), expected)


@pytest.fixture(params=METHODS)
def screen(request, monkeypatch):
    """Makes a screen of small blocks, so that small tiles have many."""

    def make(left, right=None, *, capacity=10_000, depth=64):
        launch = Launch(16, 32, depth, warps=4, stages=2, descriptors=request.param == "descriptors")
        launch = launch if INTERPRETED else None
        return GpuScreen(left, right, device=CPU, capacity=capacity, launch=launch)

    monkeypatch.setattr(gpu_screening, "SIDE", 24)
    if request.param == "floats":
        monkeypatch.setattr(gpu_screening, "_integer_products_work", lambda device: False)
    return make


@pytest.mark.parametrize(
    ("rows", "columns", "above"),
    [
        (range(67), range(67), True),  # the whole square
        (range(67), range(67), False),
        (range(16, 48), range(16, 48), True),  # on the diagonal, whole blocks
        (range(13, 50), range(7, 61), True),  # across it
        (range(20), range(30, 67), True),  # above it
        (range(40, 67), range(40), True),  # below it: nothing
        (range(66, 67), range(5, 6), False),  # a cell
        (range(5, 5), range(67), False),  # nothing
    ],
)
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_the_cells_of_a_tile(screen, rows, columns, above, share):
    left = codes(67, 128, seed=1)
    threshold = int(np.quantile(left.astype(np.int64) @ left.astype(np.int64).T, 1 - share))
    cells = screen(left).hits(rows, columns, threshold, above=above)
    same_cells(cells, cells_of(left, left, rows, columns, threshold, above))


@pytest.mark.parametrize(("count", "others", "width"), [(1, 1, 64), (5, 90, 192), (70, 3, 512), (17, 16, 1024)])
def test_two_sets(screen, count, others, width):
    left, right = codes(count, width, seed=2), codes(others, width, seed=3)
    for above in (False, True):
        cells = screen(left, right).hits(range(count), range(others), 1000, above=above)
        same_cells(cells, cells_of(left, right, range(count), range(others), 1000, above))


def test_a_threshold_is_met_exactly_and_may_be_any_integer(screen):
    left = codes(40, 64, seed=4)
    products = left.astype(np.int64) @ left.astype(np.int64).T
    everything = range(40), range(40)
    screened = screen(left)
    for threshold in (int(products[3, 9]), int(products[3, 9]) + 1, 0, products.max(), products.max() + 1):
        cells = screened.hits(*everything, int(threshold), above=False)
        same_cells(cells, cells_of(left, left, *everything, threshold, False))
    for threshold in (-(2**40), -(2**31), int(products.min())):
        assert len(screened.hits(*everything, threshold, above=False)[0]) == 1600
        assert len(screened.hits(*everything, threshold, above=True)[0]) == 780
    for threshold in (2**31 - 1, 2**31, 2**40):
        assert len(screened.hits(*everything, threshold, above=False)[0]) == 0


@pytest.mark.parametrize("width", [1024, WIDEST])
def test_the_largest_products_are_exact(screen, width):
    extremes = np.full((4, width), 127, dtype=np.int8)
    extremes[1] = -127
    extremes[2, 0] = 126  # one 127 less than the largest: 2**24 and beyond, float32 knows no odd numbers
    extremes[3, ::2] = -127
    screened = screen(extremes, depth=width // 4)
    for threshold in (127 * 127 * width - 127, 127 * 127 * width - 126, 1):
        cells = screened.hits(range(4), range(4), threshold, above=False)
        same_cells(cells, cells_of(extremes, extremes, range(4), range(4), threshold, False))


def test_too_many_cells_are_none_and_as_many_as_there_is_room_for_are_returned(screen):
    left = codes(50, 64, seed=5)
    expected = cells_of(left, left, range(50), range(50), 2000, True)
    assert len(expected) > 100
    same_cells(screen(left, capacity=len(expected)).hits(range(50), range(50), 2000, above=True), expected)
    for capacity in (len(expected) - 1, 1):
        screened = screen(left, capacity=capacity)
        assert screened.hits(range(50), range(50), 2000, above=True) is None
        assert screened.hits(range(50), range(50), 2**31, above=True) is not None  # the next tile is another matter


def test_the_cells_are_those_of_the_processors_screen(screen):
    left, right = codes(61, 128, seed=12), codes(45, 128, seed=13)
    for above in (False, True):
        tile = range(5, 61), range(3, 40)
        expected = ProcessorScreen(left, right).hits(*tile, 30_000, above=above)
        same_cells(screen(left, right).hits(*tile, 30_000, above=above), np.array(sorted(zip(*expected, strict=True))))


def test_several_threads_may_screen(screen):
    left = codes(60, 64, seed=14)
    screened = screen(left)
    tiles = [(range(row, row + 20), range(60), 10_000 + 1000 * row) for row in (0, 20, 40)] * 4
    with ThreadPoolExecutor(4) as pool:
        for tile, cells in zip(tiles, pool.map(lambda tile: screened.hits(*tile, above=True), tiles), strict=True):
            same_cells(cells, cells_of(left, left, *tile, True))


def test_a_run_of_tiles_gives_what_each_gives_alone(screen):
    left = codes(80, 64, seed=6)
    tiles = [
        Tile(range(r, min(r + 30, 80)), range(c, min(c + 30, 80)), True) for r in (0, 30, 60) for c in range(r, 80, 30)
    ]
    screened = screen(left, capacity=500)
    thresholds = {tile: 20_000 + 1000 * index for index, tile in enumerate(tiles)}
    thresholds[tiles[2]] = -(2**31)  # all 600
    asked, given = [], []

    def threshold(tile):
        asked.append(tile)
        return thresholds[tile]

    for tile, cells in screened.screen_tiles(iter(tiles), threshold):
        given.append(tile)
        assert len(asked) == min(len(given) + IN_FLIGHT, len(tiles))  # so many tiles the device has meanwhile
        alone = screened.hits(tile.rows, tile.columns, thresholds[tile], above=True)
        if tile == tiles[2]:
            assert cells is None
            assert alone is None
        else:
            assert alone is not None
            same_cells(cells, np.stack(alone, axis=1))
            same_cells(cells, cells_of(left, left, tile.rows, tile.columns, thresholds[tile], True))
    assert given == asked == tiles
    assert list(screened.screen_tiles([], threshold)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"left": np.zeros((3, 64), dtype=np.uint8)},
        {"left": np.zeros((3, 0), dtype=np.int8)},
        {"left": np.zeros(64, dtype=np.int8)},
        {"left": torch.zeros(3, 64)},
        {"right": np.zeros((3, 128), dtype=np.int8)},
        {"capacity": 0},
        {"capacity": 2**30 + 1},
    ],
    ids=str,
)
def test_what_cannot_be_screened_is_refused(change):
    with pytest.raises(ValueError, match=r"codes of|capacity"):
        GpuScreen(**{"left": np.zeros((3, 64), dtype=np.int8), "device": CPU} | change)


def test_codes_of_any_width_are_filled_up():
    codes = np.random.default_rng(8).integers(-127, 128, (40, 528), dtype=np.int8)
    found = GpuScreen(codes, device=CPU).hits(range(40), range(40), 60000, above=True)
    expected = ProcessorScreen(codes, codes).hits(range(40), range(40), 60000, above=True)
    assert sorted(zip(*map(list, found), strict=True)) == sorted(zip(*map(list, expected), strict=True))
    assert len(found[0])


def test_a_tile_beyond_32_bits_is_refused():
    with pytest.raises(ValueError, match="cells"):
        GpuScreen(codes(3, 64, seed=7), device=CPU).hits(range(2**16), range(2**15), 0, above=False)


if not INTERPRETED:

    def test_codes_may_be_a_read_only_map_or_a_tensor(tmp_path):
        left = codes(30, 64, seed=8)
        np.save(tmp_path / "codes.npy", left)
        expected = cells_of(left, left, range(30), range(30), 1000, True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for given in (np.load(tmp_path / "codes.npy", mmap_mode="r"), torch.from_numpy(left), left[:, ::-1]):
                cells = GpuScreen(given, device=CPU).hits(range(30), range(30), 1000, above=True)
                same_cells(cells, expected)

    def test_codes_are_copied_in_parts(monkeypatch):
        monkeypatch.setattr(gpu_screening, "UPLOAD_BYTES", 64 * 7)
        left = codes(30, 64, seed=9)
        same_cells(
            GpuScreen(left, device=CPU).hits(range(30), range(30), 0, above=False),
            cells_of(left, left, range(30), range(30), 0, False),
        )

    @pytest.mark.parametrize("integers", [False, True])
    def test_memory_is_known_before(monkeypatch, integers):
        side, width, capacity = 256, 128, 70_000
        monkeypatch.setattr(gpu_screening, "SIDE", side)
        monkeypatch.setattr(gpu_screening, "_integer_products_work", lambda device: integers)
        left, right = codes(600, width, seed=10), codes(500, width, seed=11)
        with torch.profiler.profile(profile_memory=True) as profile:
            screened = GpuScreen(left, right, device=CPU, capacity=capacity)
            assert len(screened.hits(range(256), range(256), -(2**31), above=False)[0]) == 2**16
        held = peak = 0
        for event in profile.profiler.kineto_results.events():
            if event.name() == "[memory]":
                held += event.nbytes()
                peak = max(peak, held)
        assert side**2 * 4 < peak <= device_bytes(600, 500, width, capacity, tiles=1)

    @pytest.fixture
    def card(monkeypatch):
        """Pretends that the CPU is a CUDA device of some compute capability."""

        def pretend(*capability):
            monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
            monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
            monkeypatch.setattr(torch.version, "cuda", "13.0")
            return torch.zeros(5, 128, dtype=torch.int8)

        return pretend

    def fake_seconds(monkeypatch, **seconds):
        """Makes a launch last that long, by its number; a launch not named fails. Returns what was tried."""
        tried = []

        def lasts(kernel, repeats):
            number = LAUNCHES.index(kernel.launch)
            tried.append(number)
            if f"launch{number}" not in seconds:
                raise RuntimeError(f"out of resources:\n  launch {number}")
            return seconds[f"launch{number}"]

        monkeypatch.setattr(Kernel, "seconds", lasts)
        return tried

    def test_the_faster_of_two_launches_is_chosen_when_there_is_much_to_do(card, monkeypatch):
        left = card(9, 0)
        tried = fake_seconds(monkeypatch, launch0=2.0, launch1=1.0, launch2=0.5)
        assert fastest_kernel(left, left).launch == LAUNCHES[0]
        assert tried == [0]
        monkeypatch.setattr(screening_kernel, "MUCH", 24)
        assert fastest_kernel(left, left).launch == LAUNCHES[1]
        assert tried == [0, 0, 1]

    def test_a_launch_that_fails_is_passed_over(card, monkeypatch, capsys):
        left = card(9, 0)
        tried = fake_seconds(monkeypatch, launch2=1.0, launch3=2.0)
        assert gpu_screening._choose_kernel(left, left).launch == LAUNCHES[2]
        assert tried == [0, 1, 2]
        assert capsys.readouterr().err == ""

    def test_before_hopper_there_is_no_copy_engine(card, monkeypatch):
        left = card(8, 6)
        tried = fake_seconds(monkeypatch, launch2=1.0, launch3=2.0)
        assert fastest_kernel(left, left).launch == LAUNCHES[2]
        assert tried == [2]

    @pytest.mark.parametrize("reason", ["capability", "cuda", "triton", "launches"])
    def test_without_the_kernel_a_line_says_why_pytorch_is_used(card, monkeypatch, capsys, reason):
        left = card(*((7, 5) if reason == "capability" else (9, 0)))
        if reason == "cuda":
            monkeypatch.setattr(torch.version, "cuda", None)
        if reason == "triton":
            monkeypatch.setitem(sys.modules, "triton", None)
            monkeypatch.delitem(sys.modules, "lwface.scoring.exact.screening_kernel")
        if reason == "launches":
            fake_seconds(monkeypatch)
        assert gpu_screening._choose_kernel(left, left) is None
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert {"capability": "7.5", "cuda": "NVIDIA", "triton": "triton", "launches": "launch 3"}[reason] in line

    @pytest.mark.parametrize("launch", LAUNCHES, ids=str)
    def test_the_kernel_compiles_for_the_cards_it_is_for(launch, monkeypatch, tmp_path):
        """To Hopper's (Ampere's) int8 matrix instructions and copies, in the shared memory of a H100 (A100)."""
        monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
        constants = {
            "WIDTH": 512,
            "BLOCK_ROWS": launch.rows,
            "BLOCK_COLUMNS": launch.columns,
            "BLOCK_DEPTH": launch.depth,
            "BAND": screening_kernel.BAND,
            "DESCRIPTORS": launch.descriptors,
        }
        signature = dict.fromkeys(screening_kernel.screen.arg_names, "i32") | dict.fromkeys(constants, "constexpr")
        signature |= {"left": "*i8", "right": "*i8", "keys": "*i64", "counter": "*i32"}
        if launch.descriptors:
            signature["left"] = f"tensordesc<i8[{launch.rows}, {launch.depth}]>"
            signature["right"] = f"tensordesc<i8[{launch.columns}, {launch.depth}]>"
        names = list(signature)
        source = ASTSource(
            screening_kernel.screen,
            signature,
            {(names.index(name),): value for name, value in constants.items()},
            {(place,): [["tt.divisibility", 16]] for place, name in enumerate(names) if signature[name][0] == "*"},
        )
        target = GPUTarget("cuda", 90 if launch.descriptors else 80, 32)
        options = {"num_warps": launch.warps, "num_stages": launch.stages}
        compiled = triton.compile(source, target=target, options=options)
        assembly = compiled.asm["ptx"]
        products = r"wgmma\.mma_async.*\.s32\.s8\.s8" if launch.descriptors else r"mma\.sync.*\.s32\.s8\.s8\.s32"
        assert re.search(products, assembly)
        assert ("cp.async.bulk.tensor" if launch.descriptors else "cp.async.cg") in assembly
        assert compiled.metadata.shared <= (227 if launch.descriptors else 163) * 1024

    def test_the_triton_kernel():
        """All of the above, on Triton's interpreter."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider", "-rs", __file__],
            env=os.environ | {"TRITON_INTERPRET": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "skipped" not in done.stdout


@pytest.mark.parametrize("seed", range(8))
def test_an_evaluation_through_it_equals_the_oracle(monkeypatch, seed):
    used = []

    def screen(left, right):
        used.append(GpuScreen(left, None if right is left else right, device=CPU))
        return used[-1]

    monkeypatch.setattr(processor_screening, "ProcessorScreen", screen)
    drawn = (draw_case(1000 * seed + number) for number in range(1000))
    cases = [case for case, _ in zip((c for c in drawn if c.screened and "list" not in c.name), range(4), strict=False)]
    assert all(run_case(case) for case in cases)
    assert used
