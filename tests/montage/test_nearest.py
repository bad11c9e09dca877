"""The search against one through everything, in double precision, and against FAISS's."""

from __future__ import annotations

import numpy as np
import pytest

from lwface.montage import nearest as search
from lwface.montage.nearest import Neighbours


def through_everything(codes, asked, count):
    """Rows and squares by all differences; ties to the lower row."""
    squares = ((codes[None].astype(np.float64) - asked[:, None]) ** 2).sum(axis=2)
    rows = np.argsort(squares, axis=1, kind="stable")[:, :count]
    return rows, np.take_along_axis(squares, rows, axis=1)


@pytest.fixture(params=[1, 3])
def blocks(request, monkeypatch):
    """Blocks of so few rows that there are many, on one core and on three."""
    monkeypatch.setattr(search, "_LEAST", 16)
    monkeypatch.setattr(search, "_PRODUCTS", 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(request.param)))


def with_ties(dice):
    return dice.integers(0, 4, (300, 3)), dice.integers(0, 4, (7, 3))


def far_from_nought(dice):
    """Differences of some 0.01 beside numbers of 1000: single-precision products lose them altogether."""
    middle = 1000 * dice.standard_normal(8)
    return middle + 0.01 * dice.standard_normal((300, 8)), middle + 0.01 * dice.standard_normal((7, 8))


def of_one_place(dice):
    return np.ones((300, 5)), np.concatenate([np.ones((1, 5)), dice.standard_normal((3, 5))])


def in_order(dice):
    """As a video's frames: each is near the one before, and the nearest come last."""
    return np.cumsum(0.1 * dice.standard_normal((300, 4)), axis=0)[::-1], 0.1 * dice.standard_normal((7, 4))


@pytest.mark.parametrize("make", [with_ties, far_from_nought, of_one_place, in_order])
@pytest.mark.parametrize("count", [1, 9, 100, 300, 301])
def test_it_is_a_search_through_everything(make, count, blocks):
    codes, asked = (part.astype(np.float32) for part in make(np.random.default_rng(0)))
    rows, squares = Neighbours(codes).nearest(asked, count)
    expected_rows, expected = through_everything(codes, asked, count)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_allclose(squares, expected, rtol=1e-6)
    assert (rows.dtype, squares.dtype) == (np.int64, np.float32)


def test_more_queries_than_are_looked_at_together(monkeypatch):
    monkeypatch.setattr(search, "_TOGETHER", 3)
    dice = np.random.default_rng(0)
    codes, asked = (dice.standard_normal((n, 4)).astype(np.float32) for n in (50, 10))
    np.testing.assert_array_equal(Neighbours(codes).nearest(asked, 5)[0], through_everything(codes, asked, 5)[0])


def test_nothing_asked_and_nothing_there():
    codes = np.ones((4, 3), np.float32)
    assert Neighbours(codes).nearest(codes[:0], 2)[0].shape == (0, 2)
    assert Neighbours(codes[:0]).nearest(codes, 2)[0].shape == (4, 0)


def test_distances_are_faiss_s():
    faiss = pytest.importorskip("faiss")
    dice = np.random.default_rng(0)
    codes = dice.standard_normal((20000, 32)).astype(np.float32)
    asked = codes[::400] + np.float32(0.01)
    flat = faiss.IndexFlatL2(32)
    flat.add(codes)
    rows, squares = Neighbours(codes).nearest(asked, 64)
    theirs, their_rows = flat.search(asked, 64)
    np.testing.assert_allclose(squares, theirs, rtol=1e-5, atol=1e-5)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(rows.tolist(), their_rows.tolist(), strict=True)]) > 63.9
