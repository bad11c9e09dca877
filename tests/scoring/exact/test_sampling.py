"""The sample of impostor pairs: no pair twice, each as likely as any other, scores as they are defined."""

from __future__ import annotations

import numpy as np
import pytest

from lwface.scoring.exact import sampling
from lwface.scoring.exact.comparisons import PairList
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.exact.sampling import draw_blocks
from lwface.scoring.exact.tiles import PairTile
from tests.scoring_oracle import make_rows

SQUARE = PairTile(0, 37, 0, 37, True)
CROSS = PairTile(5, 25, 40, 71)


def drawn(regions):
    """Each pair drawn, the lower position first."""
    pairs = [blocks.pairs() for blocks in draw_blocks(regions)]
    left, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return list(zip(np.minimum(left, right).tolist(), np.maximum(left, right).tolist(), strict=True))


@pytest.mark.parametrize("regions", [[SQUARE], [CROSS], [PairTile(0, 30, 0, 30, True), PairTile(0, 30, 30, 71)]])
@pytest.mark.parametrize("size", [1, 60, 300, 10**6])
def test_each_pair_is_as_likely_as_any_other(monkeypatch, regions, size):
    possible = {
        (left, right)
        for first, first_end, second, second_end, above in regions
        for left in range(first, first_end)
        for right in range(second, second_end)
        if not above or right > left
    }
    monkeypatch.setattr(sampling, "SAMPLE", size)
    times = dict.fromkeys(possible, 0)
    rounds = 400
    for seed in range(rounds):
        monkeypatch.setattr(sampling, "SAMPLE_SEED", seed)
        found = drawn(regions)
        assert len(set(found)) == len(found)
        for pair in found:
            times[pair] += 1
    share = np.array(list(times.values())) / rounds
    expected = min(size / len(possible), share.mean())
    assert share.mean() == pytest.approx(expected, rel=0.5 / np.sqrt(size) + 0.1)
    if size == 10**6:
        assert share.mean() > 0.7  # all but those within a group and those of the rows left over
    spread = np.sqrt(expected * (1 - expected) / rounds)
    assert np.abs(share - expected).max() < 6 * spread + 0.02


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 130])
def test_sets_of_a_few_rows(rows):
    found = drawn([PairTile(0, rows, 0, rows, True)])
    assert len(set(found)) == len(found)
    assert len(found) == rows * (rows - 1) // 2 or rows > 15
    assert all(left < right for left, right in found)


@pytest.mark.parametrize("distractor_pairs", [True, False])
def test_only_impostor_pairs_with_their_scores(distractor_pairs):
    features, labels = make_rows(3, 200, 48, "random")
    groups = np.arange(200) % 5 - 1
    ignored = np.random.default_rng(0).integers(0, 200, (500, 2))
    rows = FeatureSet(features, labels, "f", groups=groups)
    grid = Grid(rows, None, ignored=ignored, distractor_pairs=distractor_pairs)
    pairs, scores = grid.sample
    assert np.abs(scores - grid.exact(pairs)).max() <= 2.0**-30
    assert (scores == np.rint(scores * 2**30) / 2**30).all()
    every = {(left, right) for tile in grid.tiles(genuine=False) for left, right in impostors(grid, tile)}
    found = set(zip(*(side.tolist() for side in grid.rows(pairs)), strict=True))
    assert found <= every
    assert len(found) > 0.7 * len(every)


def impostors(grid, tile):
    """The impostor pairs of a tile by the other road: those that reach minus infinity."""
    for block in grid.above(tile, lambda: -np.inf):
        yield from zip(*(side.tolist() for side in grid.rows(block.pairs)), strict=True)


def test_probes_and_gallery():
    features, labels = make_rows(5, 120, 16, "random")
    probe, gallery = FeatureSet(features[:20], labels[:20], "p"), FeatureSet(features[20:], labels[20:], "g", side=1)
    grid = Grid(probe, gallery)
    pairs, scores = grid.sample
    persons = grid.persons(pairs)
    assert (persons.left != persons.right).all()
    assert np.abs(scores - grid.exact(pairs)).max() <= 2.0**-30
    assert len(scores) > 0.7 * grid.impostor_pairs


def test_a_list():
    features, labels = make_rows(5, 60, 16, "random")
    first, second = np.triu_indices(60, 1)
    pairs = PairList(FeatureSet(features, labels, "f"), first, second, None)
    found, scores = pairs.sample
    assert (pairs.exact(found) == scores).all()
    persons = pairs.persons(found)
    assert (persons.left != persons.right).all()
    assert len(np.unique(found.left)) == pairs.impostor_pairs


def test_no_impostor_pairs():
    features, _ = make_rows(5, 30, 16, "random")
    assert len(Grid(FeatureSet(features, np.zeros(30, dtype=np.int64), "f"), None).sample.scores) == 0
