"""The bound that is part of a code holds, however the rows are made to break it; products equal those of int64."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard

from lwface.scoring.exact import processor_screening
from lwface.scoring.exact.feature_set import row_norms, score
from lwface.scoring.exact.processor_screening import ProcessorScreen, integer_products_are_exact
from lwface.scoring.exact.screening import SCALE, SIGN_SEED, coded_width, encode, extra_numbers, least_product

ROWS = 24
WIDTHS = [1, 2, 7, 64, 100, 128, 512, 4096]
KINDS = ["normal", "one sign", "near ties", "denormal", "huge", "equal", "sparse", "steps", "half steps", "clipped"]


def drawn_rows(seed, width, kind):
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(ROWS, width))
    coded = coded_width(width)
    if kind == "one sign":
        rows = 1 + 1e-3 * np.abs(rows)
    elif kind == "near ties":
        rows = rows[:1] + 1e-6 * rows
    elif kind == "denormal":
        rows *= 1e-42
    elif kind == "huge":
        rows *= 10.0 ** generator.uniform(-30, 37, size=(ROWS, 1))
    elif kind == "equal":
        rows = np.repeat(rows[:1], ROWS, axis=0)
    elif kind == "sparse":
        rows *= generator.random(rows.shape) < 0.05
    elif kind in ("steps", "half steps", "clipped"):
        # rows whose rotation is just what rounding treats worst: half-way between two codes, or beyond the largest
        targets = generator.integers(-3, 4, (ROWS, coded)) + {"half steps": 0.499999}.get(kind, 0.0)
        if kind == "clipped":
            targets[:, 0] = 127 * generator.choice([1.0, 1.2, 2.0], ROWS)
        signs = np.random.default_rng(SIGN_SEED).choice(np.array([-1, 1], dtype=np.float32), size=(width, 1))[:, 0]
        rows = ((targets / SCALE) @ hadamard(coded))[:, :width] * signs
    rows = np.clip(rows, -3e38, 3e38).astype(np.float32)
    rows[~rows.any(axis=1)] = 1
    units = rows.astype(np.float64)
    return units / row_norms(units)[:, np.newaxis]


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(WIDTHS), st.sampled_from(KINDS))
def test_no_score_is_above_what_its_product_tells(seed, width, kind):
    units = drawn_rows(seed, width, kind)
    codes, errors = encode(units)
    useful = np.isfinite(errors)
    products = codes.astype(np.int64) @ codes.astype(np.int64).T
    for row in np.flatnonzero(useful):
        scores = score(np.broadcast_to(units[row], units.shape), units)
        for column in np.flatnonzero(useful):
            assert products[row, column] >= least_product(float(scores[column]), coded_width(width)), (row, column)


@pytest.mark.parametrize("width", [64, 128, 512, 1000])
def test_the_bound_is_of_use(width):
    """For rows like a network's, what is screened lies a few hundredths above the score."""
    generator = np.random.default_rng(width)
    units = generator.normal(size=(200, width)) + 0.5 * generator.normal(size=width)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    codes, errors = encode(units)
    coded = coded_width(width)
    assert np.median(errors) < 0.0098
    products = codes.astype(np.int64) @ codes.astype(np.int64).T
    above = products - 1024 * coded * (units @ units.T) - 4096 * extra_numbers(coded)
    assert np.median(above) / (1024 * coded) < 0.022


def test_codes_stay_in_range_and_products_in_int32():
    units = np.eye(8, 512)
    units[0] = hadamard(512)[3] * np.random.default_rng(SIGN_SEED).choice([-1, 1], size=512) / np.sqrt(512)
    codes, errors = encode(units)
    assert codes.shape == (8, 512 + 16)
    assert np.abs(codes.astype(int)).max() <= 127
    assert np.isfinite(errors[1:]).all()  # one number each: spread evenly by the rotation
    for width in (1, 64, 65, 512, 4096, 2**16):
        coded = coded_width(width)
        assert 127**2 * (coded + extra_numbers(coded)) < 2**31
    assert coded_width(2**16 + 1) is None


def test_a_row_that_lies_along_the_rotation_has_no_useful_code():
    signs = np.random.default_rng(SIGN_SEED).choice(np.array([-1, 1], dtype=np.float32), size=(512, 1))[:, 0]
    units = (hadamard(512)[:4] * signs / np.sqrt(512)).astype(np.float64)
    assert np.isinf(encode(units)[1]).all()


def test_a_row_has_the_same_code_whatever_is_beside_it():
    units = drawn_rows(1, 100, "normal")
    together, errors = encode(np.tile(units, (50, 1)))
    alone = [encode(units[row : row + 1]) for row in range(ROWS)]
    assert (together[:ROWS] == np.concatenate([codes for codes, _ in alone])).all()
    assert errors[:ROWS] == pytest.approx(np.concatenate([error for _, error in alone]), rel=1e-6)


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
    monkeypatch.setattr(processor_screening, "BLOCK", block)
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
