"""The images of each person in parts that resemble each other less than two strangers at best would.

A person's images are joined by their highest scores, the greatest spanning tree, which is cut where the sides of a link
are two people (:mod:`lwface.scoring.cleaning`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lwface.scoring.drawn_scores import DISTRACTOR, Features, Rows
from lwface.scoring.label_errors import EXPECTED, FEWEST_IMPOSTORS, outlier_below, score_at

LARGEST = 4096  # images of one person that are held against each other at once; more are looked at in parts
NOBODY = -1


class StrangerLimit:
    """At most what the two sides of a link score at best, where they are two people."""

    def __init__(self, strangers: NDArray[np.float64], fixed: float | None) -> None:
        self.strangers, self.fixed = strangers, fixed
        self.outlier = -np.inf

    def of(self, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        """For ``pairs`` between the sides."""
        if self.fixed is not None:
            return np.full(len(pairs), self.fixed)
        if len(self.strangers) < FEWEST_IMPOSTORS:
            return np.full(len(pairs), -np.inf)
        limits: NDArray[np.float64] = score_at(self.strangers, EXPECTED / pairs)
        return np.minimum(limits, self.outlier)

    def told(self) -> str:
        """The threshold, for people."""
        if self.fixed is not None:
            return f"strangers to the rest of their label: up to {self.fixed:.3f}"
        if len(self.strangers) < FEWEST_IMPOSTORS:
            return "strangers to the rest of their label: cannot be told, there are too few people"
        few, many = self.of(np.array([1, 100]))
        return (
            f"strangers to the rest of their label: up to {few:.3f} (one other image) to {many:.3f} (a hundred pairs)"
        )


@dataclass
class FolderParts:
    """The folders in parts.

    Attributes:
        of: by label, the parts as rows, the largest first; only labels with several.
        best: by row, its best score with a row of its own label in another part, for rows of ``of``.
        nearest: by row, that row.
        keeps: (N,) rows of the largest part of each label (of all that are largest).
        told: the threshold.
    """

    of: dict[int, list[Rows]]
    best: dict[int, float]
    nearest: dict[int, int]
    keeps: NDArray[np.bool_]
    told: str


class Folders:
    """The images of each person."""

    def __init__(self, features: Features, labels: Rows) -> None:
        self.features, self.labels = features, labels
        order = np.argsort(labels, kind="stable").astype(np.int64)
        cuts = np.flatnonzero(np.diff(labels[order])) + 1
        groups = [rows for rows in np.split(order, cuts) if len(rows) > 1 and labels[rows[0]] != DISTRACTOR]
        self.groups = [part for rows in groups for part in np.array_split(rows, -(-len(rows) // LARGEST))]

    def duplicates(self, limit: float) -> tuple[Rows, NDArray[np.float64]]:
        """For each row an earlier one of its label that it repeats and that is kept (-1: none), and their score."""
        kept, scores = np.full(len(self.labels), NOBODY), np.zeros(len(self.labels))
        for rows, found in self._gram():
            if not (np.triu(found, 1) >= limit).any():
                continue
            alone = np.ones(len(rows), dtype=bool)
            for place in range(1, len(rows)):
                before = np.where(alone[:place], found[place, :place], -np.inf)
                nearest = int(np.argmax(before))
                if before[nearest] >= limit:
                    alone[place] = False
                    kept[rows[place]], scores[rows[place]] = rows[nearest], before[nearest]
        return kept, scores

    def parts(self, duplicate_of: Rows, limit: StrangerLimit) -> FolderParts:
        """Cut the folders where their parts are strangers; rows that are duplicates are left aside."""
        bests = np.full(len(self.labels), -np.inf)
        alone = duplicate_of == NOBODY
        trees = []
        for rows, scores in self._gram():
            left = alone[rows]
            rows, scores = rows[left], scores[np.ix_(left, left)]
            if len(rows) > 1:
                edges = spanning_tree(scores)
                trees.append((rows, edges))
                np.fill_diagonal(scores, -np.inf)
                bests[rows] = scores.max(axis=1)
        if np.isfinite(bests).any():
            limit.outlier = outlier_below(bests[np.isfinite(bests)])
        found = FolderParts({}, {}, {}, alone.copy(), limit.told())
        for rows, (first, second, weight) in trees:
            parts = cut_tree(len(rows), first, second, weight, limit)
            if len(parts) > 1:
                self._note(found, rows, parts)
        return found

    def _note(self, found: FolderParts, rows: Rows, parts: list[Rows]) -> None:
        parts = sorted(parts, key=lambda part: (-len(part), part[0]))
        largest = len(parts[0])
        found.of[int(self.labels[rows[0]])] = [rows[part] for part in parts]
        for part in parts:
            if len(part) < largest:
                found.keeps[rows[part]] = False
            rest = rows[np.setdiff1d(np.arange(len(rows)), part)]
            scores = np.asarray(self.features[rows[part]]) @ np.asarray(self.features[rest]).T
            for row, of_row in zip(rows[part].tolist(), scores, strict=True):
                found.best[row], found.nearest[row] = float(of_row.max()), int(rest[of_row.argmax()])

    def _gram(self) -> Iterator[tuple[Rows, Features]]:
        for rows in self.groups:
            block = np.asarray(self.features[rows])
            yield rows, block @ block.T


def spanning_tree(scores: Features) -> tuple[Rows, Rows, NDArray[np.float64]]:
    """The links of the greatest spanning tree of ``scores`` (n, n), by Prim: ends (n - 1,) twice, and their scores."""
    count = len(scores)
    outside = np.ones(count, dtype=bool)
    outside[0] = False
    best, via = scores[0].astype(np.float64), np.zeros(count, dtype=np.int64)
    first, second = np.empty(count - 1, dtype=np.int64), np.empty(count - 1, dtype=np.int64)
    weight = np.empty(count - 1, dtype=np.float64)
    for step in range(count - 1):
        new = int(np.argmax(np.where(outside, best, -np.inf)))
        first[step], second[step], weight[step] = via[new], new, best[new]
        outside[new] = False
        closer = outside & (scores[new] > best)
        best[closer], via[closer] = scores[new][closer], new
    return first, second, weight


def cut_tree(count: int, first: Rows, second: Rows, weight: NDArray[np.float64], limit: StrangerLimit) -> list[Rows]:
    """The parts of a tree over ``count`` places that are left when links at most at their limit are cut, worst first.

    Args:
        first, second: ends of the links, in Prim's order: ``second`` is new, so ``first`` is nearer to the root.
    """
    cut = np.zeros(len(weight), dtype=bool)
    while True:
        root = np.arange(count)
        for link in np.flatnonzero(~cut):  # in Prim's order an end is reached after the one before it
            root[second[link]] = root[first[link]]
        below = np.ones(count, dtype=np.int64)
        for link in np.flatnonzero(~cut)[::-1]:
            below[first[link]] += below[second[link]]
        whole = np.bincount(root, minlength=count)
        sides = below[second]
        pairs = np.maximum(sides * (whole[root[second]] - sides), 1)
        excess = np.where(cut, -np.inf, limit.of(pairs) - weight)
        worst = int(np.argmax(excess))
        if excess[worst] < 0:
            break
        cut[worst] = True
        if cut.all():
            root = np.arange(count)
            break
    return [np.flatnonzero(root == start) for start in np.unique(root)]
