"""The folds of a pack by its order: those that were drawn, ten for everybody else's."""

from __future__ import annotations

import numpy as np
import pytest

from lwface.making.image_folder import Sample
from lwface.making.pair_list import draw_pairs
from lwface.scoring.drawn_folds import drawn_folds
from lwface.scoring.pack_accuracy import evaluate, pack_figures, verify


def unit_rows(rows: int, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(rows, 5))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("folds", range(2, 11))
@pytest.mark.parametrize("each", [1, 7])
def test_a_drawn_pack_shows_its_folds(folds: int, each: int) -> None:
    crowd = [Sample(f"{p}/{i}", str(p)) for p in range(5 * folds) for i in range(4)]
    same = [pair.same for pair in draw_pairs(crowd, 2 * each * folds, 0, folds)]
    assert drawn_folds(same) == folds


@pytest.mark.parametrize(
    "same",
    [
        [True] * 20,
        [True] * 30 + [False] * 30,  # one fold is none
        [False, False, True, True] * 3,
        ([True] * 3 + [False] * 2) * 4,
        ([True] * 3 + [False] * 3) * 4 + [True],
        ([True] * 3 + [False] * 3) * 12,
        [True, False] * 300,
        [],
    ],
)
def test_other_orders_are_of_ten(same: list[bool]) -> None:
    assert drawn_folds(same) == 10


def test_random_orders_are_of_ten() -> None:
    generator = np.random.default_rng(1)
    assert {drawn_folds(generator.permutation([True, False] * 60)) for _ in range(50)} == {10}


def test_scores_use_them() -> None:
    same = np.array(([True] * 6 + [False] * 6) * 4)
    rows = unit_rows(96)
    found = evaluate(rows, same)
    assert len(found.fold_accuracies) == 4
    assert found.accuracy == evaluate(rows, same, 4).accuracy != evaluate(rows, same, 10).accuracy
    assert verify(rows, rows, same) == verify(rows, rows, same, 4)
    figures = pack_figures(rows.astype(np.float32), same)
    assert (figures.folds, pack_figures(rows.astype(np.float32), same, folds=10).folds) == (4, 10)
    assert figures.table("p").startswith("[p]Folds: 4\n")
    assert "Folds" not in pack_figures(rows.astype(np.float32), same, folds=10).table("p")
