"""The processor's screen against products of int64, and what it does about processors that saturate."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from lwface.scoring.exact import screening
from lwface.scoring.exact.screening import ProcessorScreen, integer_products_are_exact


def codes_of(rows, width, seed=0):
    return np.random.default_rng(seed).integers(-127, 128, (rows, width), dtype=np.int8)


def expected(left, right, rows, columns, threshold, above):
    products = left[rows.start : rows.stop].astype(np.int64) @ right[columns.start : columns.stop].astype(np.int64).T
    hit = products >= threshold
    if above:
        hit &= np.arange(columns.start, columns.stop) > np.arange(rows.start, rows.stop)[:, None]
    found = np.argwhere(hit) + np.array([rows.start, columns.start])
    return sorted(map(tuple, found.tolist()))


def listed(cells):
    return sorted(zip(cells[0].tolist(), cells[1].tolist(), strict=True))


@pytest.mark.parametrize("block", [7, 64, 1024])
@pytest.mark.parametrize("above", [False, True])
def test_cells_equal_the_products(monkeypatch, block, above):
    monkeypatch.setattr(screening, "BLOCK", block)
    codes = codes_of(150, 144)
    screen = ProcessorScreen(codes, codes)
    for rows, columns in ((range(150), range(150)), (range(3, 90), range(60, 149)), (range(100, 150), range(20))):
        for threshold in (-(2**31), 0, 60000, 2**31 - 1):
            cells = screen.hits(rows, columns, threshold, above=above)
            assert listed(cells) == expected(codes, codes, rows, columns, threshold, above)


def test_two_sets_extreme_codes_and_several_threads():
    left, right = codes_of(300, 1056, 1), codes_of(200, 1056, 2)
    left[:4], right[:4] = 127, np.int8([127, -127, 127, -127])[:, None]
    screen = ProcessorScreen(left, right)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda t: screen.hits(range(300), range(200), t, above=False), [250000] * 8))
    wanted = expected(left, right, range(300), range(200), 250000, False)
    assert (0, 0) in wanted
    assert (0, 1) not in wanted
    assert all(listed(cells) == wanted for cells in found)


def test_too_many_cells_are_refused():
    codes = codes_of(64, 64)
    assert ProcessorScreen(codes, codes, capacity=64 * 64 - 1).hits(range(64), range(64), -(2**31), above=False) is None
    assert (
        len(ProcessorScreen(codes, codes, capacity=64 * 64).hits(range(64), range(64), -(2**31), above=False)[0])
        == 4096
    )


def test_a_processor_that_saturates_is_found_out(monkeypatch):
    assert integer_products_are_exact()  # where tests run
    exact = torch._int_mm

    def saturating(left, right, *, out=None):
        return exact(left, right).clamp(-32768, 32767)

    monkeypatch.setattr(torch, "_int_mm", saturating)
    assert not integer_products_are_exact()

    def missing(left, right):
        raise RuntimeError("not implemented")

    monkeypatch.setattr(torch, "_int_mm", missing)
    assert not integer_products_are_exact()
