"""Which triplets are chosen, against a loop written from FaceNet's definition."""

from __future__ import annotations

import math

import pytest
import torch

from lwface.losses import semi_hard
from lwface.losses.semi_hard import pairs_of_people, select_triplets

RUNS = [4, 1, 3, 5, 1, 2, 4]  # images of each person in the bag


@pytest.fixture
def bag():
    labels = torch.tensor([label for label, images in enumerate(RUNS) for _ in range(images)])
    rows = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return rows / rows.norm(dim=1, keepdim=True), labels


def candidates(rows, labels, alpha, max_ap):
    """All negatives of each pair that has one."""
    distance = lambda i, j: sum((a - b) ** 2 for a, b in zip(rows[i].tolist(), rows[j].tolist(), strict=True))  # noqa: E731
    found = {}
    for a in range(len(labels)):
        for p in range(a + 1, len(labels)):
            near = distance(a, p)
            if labels[a] == labels[p] and not 0 < max_ap < near:
                fit = [
                    n
                    for n in range(len(labels))
                    if labels[n] != labels[a] and near < distance(a, n) and distance(a, n) - near < alpha
                ]
                found |= {(a, p): fit} if fit else {}
    return found


def stream(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("alpha", "max_ap"), [(0.3, 0.0), (0.3, 1.0), (1.5, 0.0), (0.01, 0.0)])
def test_the_semi_hard_ones_are_chosen(bag, monkeypatch, alpha, max_ap):
    monkeypatch.setattr(semi_hard, "BLOCK", 7)
    expected, seen = candidates(*bag, alpha, max_ap), {}
    for seed in range(60):
        triplets = select_triplets(*bag, alpha=alpha, max_ap=max_ap, generator=stream(seed)).tolist()
        assert sorted((a, p) for a, p, _ in triplets) == sorted(expected)
        for a, p, n in triplets:
            seen.setdefault((a, p), set()).add(n)
    assert all(negatives <= set(expected[pair]) for pair, negatives in seen.items())
    few = [pair for pair, fit in expected.items() if len(fit) <= 4]
    assert few
    assert all(seen[pair] == set(expected[pair]) for pair in few)  # each is drawn at some time


def test_at_any_distance_the_nearest_farther_one_is_taken(bag):
    rows, labels = bag
    expected = candidates(rows, labels, math.inf, 0.0)
    for a, p, n in select_triplets(rows, labels, alpha=math.inf, generator=stream(0)).tolist():
        others = expected.pop((a, p))
        assert n == min(others, key=lambda other: (rows[a] - rows[other]).square().sum().item())
    assert not expected


def test_the_order_is_random_and_the_streams(bag):
    one, same, other = (select_triplets(*bag, alpha=0.5, generator=stream(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert one[:, 0].tolist() != sorted(one[:, 0].tolist())
    assert not torch.equal(one[:, 0], other[:, 0])


@pytest.mark.parametrize("labels", [[], [3], [3, 3], [1, 1, 1, 0, 2, 2], [0, 1, 0]])
def test_pairs(labels):
    expected = []
    for a in range(len(labels)):
        p = a + 1
        while p < len(labels) and labels[p] == labels[a]:
            expected.append([a, p])
            p += 1
    assert pairs_of_people(torch.tensor(labels, dtype=torch.int64)).tolist() == expected


def test_where_there_are_none(bag):
    rows, labels = bag
    for bag_labels, alpha in ((torch.zeros_like(labels), 9.0), (torch.arange(len(labels)), 9.0), (labels, 0.0)):
        assert select_triplets(rows, bag_labels, alpha=alpha, generator=stream(0)).shape == (0, 3)
