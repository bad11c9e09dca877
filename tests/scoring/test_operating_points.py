"""TAR at FAR: exact counts against a brute-force float64 oracle, and invariances."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwface.scoring.exact import rank_search
from lwface.scoring.exact.comparisons import PairList
from lwface.scoring.exact.feature_set import (
    FeatureSet,
    Pairs,
    float32_above,
    float32_below,
    row_norms,
    score,
    screening_error,
)
from lwface.scoring.exact.grid import Grid
from lwface.scoring.operating_points import operating_points
from lwface.scoring.parameters import parse_fars
from tests.scoring_oracle import FARS, draw_case, figures, make_rows, oracle, run_case, same_person, scores_of


@pytest.mark.parametrize("number", [*range(250), 2354])  # of the command's seed 0; thousands more: by the command
def test_every_protocol_equals_the_oracle(number):
    run_case(draw_case(number))


def test_block_size_order_and_memory_change_nothing():
    generator = np.random.default_rng(5)
    features, labels = make_rows(6, 700, 64, "random")
    fars = parse_fars("0.5,0.1,1e-2,1e-3,1e-4")
    results = set()
    for block_size, capacity, shuffled in itertools.product([37, 256, 1024], [16, 4096, 2**22], [False, True]):
        order = generator.permutation(700) if shuffled else np.arange(700)
        grid = Grid(FeatureSet(features[order], labels[order], "f"), None, block_size=block_size)
        results.add(tuple(figures(operating_points(grid, fars, capacity=capacity))))
    assert len(results) == 1


def test_a_bracket_narrows_over_several_passes(monkeypatch):
    """With parts as coarse as these, and room for two scores, it takes many passes to find one score."""
    monkeypatch.setattr(rank_search, "SUB_BIN_BITS", 4)
    monkeypatch.setattr(rank_search, "SUB_BINS", 16)
    features, labels = make_rows(7, 60, 8, "near")
    first, second = np.triu_indices(60, 1)
    same = same_person(labels, labels)[first, second]
    fars = parse_fars(FARS)
    expected = oracle(scores_of(features, features)[first, second], same, fars)
    grid = Grid(FeatureSet(features, labels, "f"), None)
    assert figures(operating_points(grid, fars, capacity=2)) == expected


def test_all_scores_equal():
    features, labels = np.ones((30, 4), dtype=np.float32), np.repeat(np.arange(10), 3)
    for capacity in (2, 2**22):
        grid = Grid(FeatureSet(features, labels, "f"), None)
        (point,) = operating_points(grid, parse_fars("0.5"), capacity=capacity)
        assert (point.threshold, point.false_accepts, point.true_accepts) == (np.nextafter(1.0, 2), 0, 0)


def test_a_far_of_exactly_one_pair_is_resolvable_and_a_little_less_is_not():
    # 4 persons with 5 rows each: 150 impostor pairs; 0.29 * 100 is below 29 in floating point.
    features = np.random.default_rng(8).normal(size=(20, 6)).astype(np.float32)
    grid = Grid(FeatureSet(features, np.repeat(np.arange(4), 5), "f"), None)
    assert grid.impostor_pairs == 150
    one, less = Fraction(1, 150), Fraction(1, 150) - Fraction(1, 10**20)
    points = operating_points(grid, [one, less])
    assert [point.resolvable for point in points] == [True, False]
    assert points[0].false_accepts == 1
    assert figures(points)[1] == (None, None, None)
    assert points[1].tar is None
    assert points[1].achieved_far is None


def test_the_number_of_accepts_is_not_rounded_in_floating_point():
    scores = np.arange(1, 101) / 128  # pairs (x, 1 0) with these cosines, near enough to keep their order
    rows = np.stack([scores, np.sqrt(1 - scores**2)], axis=1).astype(np.float32)
    features = np.concatenate([[[1, 0]], rows]).astype(np.float32)
    pairs = PairList(
        FeatureSet(features, np.arange(101), "f"),
        np.append(np.zeros(100, dtype=np.int64), 1),
        np.append(np.arange(1, 101), 2),
        np.append(np.zeros(100, dtype=bool), True),
    )
    assert math.floor(0.29 * 100) == 28
    assert operating_points(pairs, parse_fars("0.29"))[0].false_accepts == 29


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 7, 128, 512, 4096]),
    st.sampled_from(["random", "positive", "alternating", "scales", "denormal"]),
)
def test_the_screening_error_holds(seed, width, kind):
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(40, width))
    if kind == "positive":  # errors of one sign add up
        rows = 1 + 1e-3 * np.abs(rows)
    elif kind == "alternating":
        rows = np.sign(rows) * (1 + 2.0**-20 * np.abs(rows))
    elif kind == "scales":
        rows *= 10.0 ** generator.uniform(-20, 20, size=rows.shape)
    elif kind == "denormal":
        rows *= 1e-42
    rows = rows.astype(np.float32)
    rows[~rows.any(axis=1)] = 1
    units = rows.astype(np.float64) / row_norms(rows.astype(np.float64))[:, None]
    screened = units.astype(np.float32) @ units.astype(np.float32).T
    exact = np.array([score(np.broadcast_to(unit, units.shape), units) for unit in units])
    assert np.abs(screened - exact).max() <= screening_error(width)


def test_the_score_is_symmetric_and_the_same_in_any_batch():
    rows = np.random.default_rng(9).normal(size=(50, 77)).astype(np.float32)
    features = FeatureSet(rows, np.arange(50), "f")
    grid = Grid(features, None)
    first, second = np.triu_indices(50)
    together = grid.exact(Pairs(first, second))
    alone = [grid.exact(Pairs(np.array([b]), np.array([a])))[0] for a, b in zip(first, second, strict=True)]
    assert together.tolist() == alone
    assert together.tolist() == scores_of(rows, rows)[first, second].tolist()


@pytest.mark.parametrize("value", [0.1, -0.1, 1 / 3, 1.0, 0.0, 1e-50, -1e-50, 2.0**-149])
def test_float32_neighbours(value):
    below, above = float32_below(value), float32_above(value)
    assert float(below) <= value <= float(above)
    assert np.nextafter(below, np.float32(np.inf)) >= above


def test_a_distractor_in_the_first_row_is_one_too():
    features = np.random.default_rng(11).normal(size=(6, 3)).astype(np.float32)
    labels = np.array([-1, -1, 4, 4, 5, -1])
    for include, impostors in ((True, 14), (False, 11)):
        grid = Grid(FeatureSet(features, labels, "f"), None, distractor_pairs=include)
        assert (grid.genuine_pairs, grid.impostor_pairs) == (1, impostors)
        expected = [(a, b) for a, b in itertools.combinations(range(6), 2) if include or max(labels[a], labels[b]) >= 0]
        found = [pair for genuine in (True, False) for pair in listed(grid, genuine)]
        assert sorted(found) == expected


def listed(grid, genuine):
    """Rows of every pair that the blocks hold."""
    for block in (block for tile in grid.tiles(genuine=genuine) for block in grid.blocks(tile, genuine=genuine)):
        rows = grid.rows(block.pairs(np.flatnonzero(block.values > -2)))
        yield from ((min(pair), max(pair)) for pair in zip(rows.left.tolist(), rows.right.tolist(), strict=True))


@pytest.mark.parametrize(("fars", "capacity"), [("1e-3", 2**22), ("0.5", 2**13)])
def test_memory_is_a_few_blocks(fars, capacity):
    rows = 8000  # all scores at once would take 128 MB as float32 and 256 MB as float64
    features, labels = make_rows(12, rows, 8, "random")
    tracemalloc.start()
    operating_points(Grid(FeatureSet(features, labels, "f"), None, block_size=64), parse_fars(fars), capacity=capacity)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6
