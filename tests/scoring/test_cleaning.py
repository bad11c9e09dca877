"""Proposals about labels: against naive forms, and on features whose labels were spoiled on purpose."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lwface.scoring import cleaning
from lwface.scoring.cleaning import (
    DUPLICATES,
    MISLABELLED,
    SAME,
    SECOND,
    UNLIKE,
    CleaningRules,
    best_elsewhere,
    propose,
)
from lwface.scoring.folder_parts import spanning_tree

PEOPLE, IMAGES, WIDTH = 60, 8, 64


def faces(people: int = PEOPLE, images: int = IMAGES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit features around a direction a person, and labels."""
    dice = np.random.default_rng(seed)
    rows = dice.normal(size=(people, 1, WIDTH)) + 0.55 * dice.normal(size=(people, images, WIDTH))
    rows = rows.reshape(-1, WIDTH)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), np.repeat(np.arange(people), images)


def of_kind(proposals, kind):
    return {proposal.row for proposal in proposals if proposal.kind == kind}


@pytest.fixture(scope="module")
def spoiled():
    """Three mislabelled rows, person 50 under label 51, person 10 under 10 and 60, a copy of rows 100 and 300."""
    features, labels = faces()
    changed = labels.copy()
    changed[[5, 77, 200]] = [30, 31, 32]
    changed[labels == 50] = 51
    changed[np.flatnonzero(labels == 10)[4:]] = 60
    return np.concatenate([features, features[[100, 300]]]), np.append(changed, changed[[100, 300]])


def test_all_that_was_spoiled_is_proposed_and_nothing_else(spoiled):
    found = propose(*spoiled).proposals
    home = {p.row: (p.person, p.other) for p in found if p.kind == MISLABELLED}
    assert home == {5: (30, 0), 77: (31, 9), 200: (32, 25)}
    assert of_kind(found, SECOND) in (set(range(400, 408)), set(range(408, 416)))
    assert {(p.row, p.neighbour) for p in found if p.kind == DUPLICATES} == {(480, 100), (481, 300)}
    assert {(p.person, p.other) for p in found if p.kind == SAME} == {(60, 10)}
    assert not of_kind(found, UNLIKE)


def test_the_evidence_is_the_score_with_the_rest_of_the_label(spoiled):
    features, labels = spoiled
    for proposal in propose(*spoiled).proposals:
        if proposal.kind == MISLABELLED:
            rest = (labels == proposal.person) & (np.arange(len(labels)) != proposal.row)
            assert proposal.score == pytest.approx(float((features[rest] @ features[proposal.row]).max()), abs=1e-6)
            assert labels[proposal.neighbour] == proposal.other
        if proposal.kind == DUPLICATES:
            assert proposal.score == pytest.approx(features[proposal.row] @ features[proposal.neighbour], abs=1e-6)


def test_right_labels_are_left_alone():
    for seed in range(2):
        assert propose(*faces(seed=seed)).proposals == []


def test_the_order_of_the_rows_is_of_no_account(spoiled):
    features, labels = spoiled
    order = np.random.default_rng(1).permutation(len(labels))
    straight = propose(features, labels).proposals
    shuffled = propose(features[order], labels[order]).proposals
    for kind in (MISLABELLED, UNLIKE):
        assert {int(order[row]) for row in of_kind(shuffled, kind)} == of_kind(straight, kind)
    assert sorted((p.person, p.other) for p in shuffled if p.kind == SAME) == [(60, 10)]
    assert len(of_kind(shuffled, DUPLICATES)) == 2
    assert len(of_kind(shuffled, SECOND)) == 8


@pytest.mark.parametrize("tile", [7, 50, 2048])
def test_the_best_of_another_label_is_the_naive_one(monkeypatch, tile):
    monkeypatch.setattr(cleaning, "TILE", tile)
    features, labels = faces(12, 6)
    labels[[3, 40]] = -1  # distractors are everybody's strangers
    dice = np.random.default_rng(2)
    rows, among = dice.random(72) < 0.8, dice.random(72) < 0.7
    nearest, best = best_elsewhere(features, labels, rows, among)
    scores = features.astype(np.float64) @ features.T.astype(np.float64)
    for row in range(72):
        others = [
            other
            for other in range(72)
            if among[other] and other != row and (labels[other] != labels[row] or labels[row] == -1)
        ]
        if not rows[row]:
            assert nearest[row] == -1
            assert best[row] == -np.inf
            continue
        assert nearest[row] == max(others, key=lambda other: scores[row, other])
        assert best[row] == pytest.approx(scores[row, nearest[row]], abs=1e-6)


def test_the_tree_is_the_greatest_one():
    features, _ = faces(5, 3)
    scores = features @ features.T
    root = list(range(15))  # Kruskal
    total = 0.0
    for _, left, right in sorted((-scores[i, j], i, j) for i in range(15) for j in range(i)):
        if root[left] != root[right]:
            total += float(scores[left, right])
            root = [root[left] if r == root[right] else r for r in root]
    first, second, weight = spanning_tree(scores)
    assert weight.sum() == pytest.approx(total, abs=1e-5)
    assert weight == pytest.approx(scores[first, second])


def test_parts_at_a_fixed_threshold_are_the_connected_ones():
    features, _ = faces(4, 5)
    labels = np.zeros(20, dtype=np.int64)
    scores = features @ features.T
    limit = 0.55
    joined = np.eye(20, dtype=bool) | (scores > limit)
    for _ in range(20):
        joined = joined @ joined
    parts = sorted({tuple(np.flatnonzero(row)) for row in joined}, key=lambda part: (-len(part), part))
    found = propose(features, labels, CleaningRules(duplicate=1.1, stranger=limit, home=2.0)).proposals
    proposed = {proposal.row for proposal in found}
    assert proposed == set(range(20)) - set(map(int, parts[0]))
    assert all((p.kind == SECOND) == (len(next(q for q in parts if p.row in q)) >= 3) for p in found)


def test_duplicates_keep_the_first_of_a_chain():
    features, labels = faces()
    copies = features[[8, 8, 9]]
    found = propose(np.concatenate([copies, features]), np.append([1, 1, 1], labels)).proposals
    assert {(p.row, p.neighbour) for p in found} == {(1, 0), (11, 0), (12, 2)}
    assert all(later > earlier for later, earlier in ((p.row, p.neighbour) for p in found))


def test_one_photograph_under_two_people_is_told():
    features, labels = faces()
    found = propose(np.concatenate([features, features[[8]]]), np.append(labels, 60)).proposals
    assert [(p.kind, p.row, p.person, p.other, p.neighbour) for p in found] == [(DUPLICATES, 480, 60, 1, 8)]


def test_two_images_that_differ_are_not_both_proposed():
    features, labels = faces()
    stranger = faces(1, 2, seed=9)[0]
    features = np.concatenate([features, features[[0]] * 0.9 + 0.1 * stranger[:1], stranger[1:]])
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    found = propose(features, np.append(labels, [60, 60]), CleaningRules(duplicate=0.999)).proposals
    assert [(p.row, p.kind, p.other) for p in found] == [(480, MISLABELLED, 0)]
    alone = np.concatenate([features[:480], faces(2, 1, seed=11)[0]])
    assert propose(alone, np.append(labels, [60, 60])).proposals == []  # nothing says which of the two is right


def test_distractors_are_no_person():
    features, labels = faces()
    found = propose(features, np.where(labels < 20, -1, labels)).proposals
    assert not [p for p in found if p.kind != DUPLICATES]


def test_too_few_people_to_tell_is_said():
    found = propose(*faces(3, 4))
    assert found.proposals == []
    assert any("cannot be told" in text for text in found.told)


def test_the_likeliest_come_first(spoiled):
    found = propose(*spoiled).proposals
    for kind in (MISLABELLED, SECOND):
        scores = [p.score for p in found if p.kind == kind]
        assert all(before <= after for before, after in pairwise(scores))


def test_lengths_that_differ_are_refused():
    features, labels = faces(3, 2)
    with pytest.raises(ValueError, match="6 rows and 5 labels"):
        propose(features, labels[:5])
