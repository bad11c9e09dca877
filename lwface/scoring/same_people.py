"""One person in two folders: people whose mean features score what no two strangers' would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.scoring.drawn_scores import DISTRACTOR, DRAWN, Features, Rows, pair_scores
from lwface.scoring.label_errors import stranger_limit

TILE = 2048  # rows of a tile of scores: 16 MB
FEWEST_HALVED = 4  # images, of people whose halves tell whether the model knows people by their means


class SamePeople(NamedTuple):
    """Two labels that seem to be one person.

    Attributes:
        person, other: the labels, the later one first.
        score: of their means.
        row, mate: the images of either that are nearest to each other.
    """

    person: int
    other: int
    score: float
    row: int
    mate: int


def find_same_people(
    features: Features, labels: Rows, keep: NDArray[np.bool_], fixed: float | None, seed: int
) -> tuple[list[SamePeople], str]:
    """People who seem to be one, each two with their nearest images, and the threshold in words.

    Args:
        features: (N, D) unit rows. ``labels``: (N,), -1 for a distractor.
        keep: (N,) rows that are not left out for another reason.
        fixed: the threshold of the means' score; None: what strangers' means reach in a tenth of such sets.
    """
    rows = np.flatnonzero(keep & (labels != DISTRACTOR))
    people, of_row, counts = np.unique(labels[rows], return_inverse=True, return_counts=True)
    sums = _half_sums(features, rows, of_row, len(people))
    several = counts >= 2
    people, sums = people[several], sums[:, several]
    means = _unit(sums.sum(axis=0))
    limit = _limit(means, _unit(sums[:, counts[several] >= FEWEST_HALVED]), seed) if fixed is None else fixed
    if limit is None:
        return [], "one person in two folders: cannot be told: too few people, or the model is too weak"
    order = rows[np.argsort(labels[rows], kind="stable")]
    starts, ends = (np.searchsorted(labels[order], people, side) for side in ("left", "right"))
    found = []
    for first, second, score in _above(means, limit):
        mine, theirs = (order[starts[who] : ends[who]] for who in (second, first))
        cross = np.asarray(features[mine]) @ np.asarray(features[theirs]).T
        row, mate = np.unravel_index(int(cross.argmax()), cross.shape)
        found.append(SamePeople(int(people[second]), int(people[first]), score, int(mine[row]), int(theirs[mate])))
    return found, f"one person in two folders: means from {limit:.3f}"


def _half_sums(features: Features, rows: Rows, of_row: Rows, people: int) -> NDArray[np.float32]:
    """Sums (2, P, D) of every second row of each of the ``people``, whose number ``of_row`` gives for ``rows`` (K,)."""
    halves = np.zeros((2, people, features.shape[1]), dtype=np.float32)
    seen = np.zeros(people, dtype=np.int64)
    for start in range(0, len(rows), TILE):
        block = np.asarray(features[rows[start : start + TILE]])
        for row, person in zip(block, of_row[start : start + TILE].tolist(), strict=True):
            halves[seen[person] % 2, person] += row
            seen[person] += 1
    return halves


def _limit(means: Features, halves: NDArray[np.float32], seed: int) -> float | None:
    """From which score the means (P, D) of two people are those of one.

    None where strangers' scores have no tail, or where half of the people, cut in ``halves`` (2, Q, D), are not
    known again.
    """
    pairs = len(means) * (len(means) - 1) // 2
    reached = stranger_limit(_strangers(means, seed), pairs) if pairs else None
    torn = np.einsum("pd,pd->p", *halves)
    return reached if reached is not None and len(torn) and np.median(torn) >= reached else None


def _above(means: Features, limit: float) -> Iterator[tuple[int, int, float]]:
    """Pairs of people, the earlier one first, whose means (P, D) score at least ``limit``, and that score."""
    for top in range(0, len(means), TILE):
        for left in range(top, len(means), TILE):
            scores = means[top : top + TILE] @ means[left : left + TILE].T
            for one, two in zip(*np.nonzero(scores >= limit), strict=True):
                if top + one < left + two:
                    yield top + int(one), left + int(two), float(scores[one, two])


def _strangers(means: Features, seed: int) -> NDArray[np.float64]:
    """Scores of pairs of people's means, highest first: of all, or of as many as are drawn."""
    if len(means) <= TILE:
        scores = (means @ means.T)[np.triu_indices(len(means), 1)]
    else:
        left, right = np.random.default_rng(seed).integers(len(means), size=(2, DRAWN))
        scores = pair_scores(means, left[left != right], right[left != right])
    return -np.sort(-scores.astype(np.float64))


def _unit(rows: Features) -> Features:
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: Features = (rows / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)
    return unit
