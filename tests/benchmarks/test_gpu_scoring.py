"""The benchmark of a CUDA device, as far as it runs without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import gpu_scoring
from lwface.base.errors import UserError
from lwface.scoring.exact.gpu_screening import GpuScreen

CPU = torch.device("cpu")


def test_without_a_cuda_device_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="needs a CUDA device"):
        gpu_scoring.main([])


@pytest.mark.parametrize("flags", [["--rows", "1"], ["--width", "100"], ["--width", "0"], ["--far", "0"]])
def test_what_cannot_be_measured_is_refused(flags):
    with pytest.raises(UserError, match="wants"):
        gpu_scoring.main(flags)


def test_tiles_hold_every_pair_once():
    seen = np.zeros((23, 23), dtype=int)
    for tile in gpu_scoring.upper_tiles(23, 5):
        for row in tile.rows:
            for column in tile.columns:
                seen[row, column] += column > row
    np.testing.assert_array_equal(seen, np.triu(np.ones((23, 23), dtype=int), 1))


def test_the_share_of_pairs_kept_is_about_the_one_asked_for():
    codes = gpu_scoring.draw_codes(1500, 256, CPU, seed=3)
    assert codes.float().std().item() == pytest.approx(32, rel=0.01)
    screen = GpuScreen(codes, device=CPU)
    screen.tile = 400
    done = gpu_scoring.screen_all(screen, 1500, gpu_scoring.threshold_for(1e-2, 256))
    assert done.overflowed == 0
    assert done.cells / (1500 * 1499 / 2) == pytest.approx(1e-2, rel=0.05)


def test_cells_that_differ_from_the_processors_are_found(monkeypatch):
    monkeypatch.setattr(gpu_scoring, "CHECKED_SIDE", 50)
    codes = gpu_scoring.draw_codes(120, 64, CPU, seed=4)
    assert gpu_scoring.check(GpuScreen(codes, device=CPU), codes, 5000, tiles=3, seed=5) == 3 * 50 * 50
    with pytest.raises(UserError, match="differs"):
        gpu_scoring.check(GpuScreen(codes.flip(0), device=CPU), codes, 5000, tiles=3, seed=5)


def test_tiles_that_overflow_are_counted():
    codes = gpu_scoring.draw_codes(100, 64, CPU, seed=6)
    done = gpu_scoring.screen_all(GpuScreen(codes, device=CPU, capacity=50), 100, 0)
    assert (done.cells, done.overflowed) == (0, 1)
