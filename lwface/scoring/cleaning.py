"""Labels that features contradict: images to leave out of training, and people to join. Proposals; nothing is changed.

What is looked at is the cosine of two rows, by three rules. What strangers score is taken from pairs drawn at random,
as in :mod:`lwface.scoring.label_errors`, so that no threshold is that of another model:

* **duplicates**: two images that score :data:`DUPLICATE` or more show the same photograph, as it is, encoded anew or
  (where features have the mirror image in them) mirrored. The later one is proposed.
* **wrong label**: a person's other images are joined by their highest scores (the greatest spanning tree). Where the
  best score between the two sides of a link, of ``a`` and ``b`` images, is what the best of ``a * b`` pairs of
  strangers would be (not above their score at FAR ``0.1 / (a * b)``), and an outlier below the best scores of all rows,
  the sides are two people. The largest part keeps the label. A part finds a home where half of its images resemble one
  other person most, at the score that strangers reach in a tenth of as many looks and above the lowest tenth of
  genuine pairs: it is *mislabelled*. One of :data:`GROUP` images or more without a home is a *second person* in one
  folder; fewer *resemble nobody* of the label. Where parts of one image each are all there is, only those with a home
  are proposed: nothing says which one is right.
* **one person in two folders**: the mean features of two people's images score what pairs of strangers' means reach in
  a tenth of such sets, by the tail of their scores. Where less than half of the people reach that who are cut in halves
  (every second image), it cannot be told.

Memory is that of the tiles and of a few numbers a row: features may be a memory map. The time is that of half of one
matrix product of all rows with all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.progress import progress
from lwface.scoring.label_errors import (
    EXPECTED,
    FEWEST_IMPOSTORS,
    outlier_below,
    score_at,
    stranger_limit,
)

DUPLICATE = 0.97  # cosine
GROUP = 3  # images that make a person of their own
LOWEST = 0.1  # of the genuine pairs, which tell nothing of a home
TILE = 2048  # rows of a tile of scores: 16 MB
LARGEST = 4096  # images of one person that are held against each other at once; more are looked at in parts
DRAWN = 1_000_000  # pairs that tell what strangers score
DISTRACTOR = -1
NOBODY = -1

DUPLICATES, MISLABELLED, UNLIKE, SECOND, SAME = (
    "duplicate",
    "mislabelled",
    "resembles nobody of its label",
    "second person of a folder",
    "same person",
)
Features = NDArray[np.float32]
Rows = NDArray[np.int64]


class Proposal(NamedTuple):
    """Something to look at.

    Attributes:
        row: the image; of :data:`SAME` the one of ``person`` that is nearest to ``other``.
        kind: one of the five.
        person: its label.
        other: the label that it seems to have; -1: not known.
        score: the evidence: of a duplicate the score with ``neighbour``, of a wrong label the best with an image that
            keeps the label, of two people that of their means.
        neighbour: the image to look at beside it; -1: none.
    """

    row: int
    kind: str
    person: int
    other: int
    score: float
    neighbour: int


@dataclass(frozen=True)
class CleaningRules:
    """Thresholds, as cosines; None: taken from the features as the module says.

    Attributes:
        duplicate: from which two images are one photograph.
        stranger: at most this is the best score of a part with the rest of its label.
        home: at least this is the score of an image with one of the person whom it shows.
        same: at least this is the score of the means of two folders of one person.
    """

    duplicate: float = DUPLICATE
    stranger: float | None = None
    home: float | None = None
    same: float | None = None


@dataclass
class Cleaning:
    """What was found.

    Attributes:
        proposals: by kind, the most certain first.
        told: the thresholds used, in words for people.
    """

    proposals: list[Proposal] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def propose(features: Features, labels: Rows, rules: CleaningRules | None = None, *, seed: int = 0) -> Cleaning:
    """What the features (N, D) float32 of unit rows say against the ``labels`` (N,), -1 for a distractor.

    Raises:
        ValueError: the lengths differ.
    """
    if len(features) != len(labels):
        raise ValueError(f"{len(features)} rows and {len(labels)} labels")
    rules = rules or CleaningRules()
    strangers, genuine = draw_scores(features, labels, seed)
    folders = _Folders(features, labels)
    found = Cleaning()
    duplicate_of = folders.duplicates(rules.duplicate)  # (N,) row that is kept, or -1, and the score
    found.told.append(f"duplicates: from {rules.duplicate:.3f}")
    parts = folders.parts(duplicate_of[0], _Limit(strangers, rules.stranger))
    found.told.append(parts.told)
    home = rules.home if rules.home is not None else _home_limit(strangers, genuine, len(features))
    found.told.append(
        "another person's image: cannot be told" if home is None else f"another person's image: from {home:.3f}"
    )
    other, other_score = best_elsewhere(features, labels, duplicate_of[0] == NOBODY, parts.keeps)
    found.proposals += _wrong_labels(labels, parts, other, other_score, np.inf if home is None else home)
    out = {proposal.row for proposal in found.proposals}
    found.proposals += _duplicates(labels, duplicate_of, other, other_score, rules.duplicate, out)
    out |= {proposal.row for proposal in found.proposals}
    keep = np.ones(len(labels), dtype=bool)
    keep[list(out)] = False
    same, told = _same_people(features, labels, keep, rules.same, seed)
    found.proposals += same
    found.told.append(told)
    order = {kind: place for place, kind in enumerate((MISLABELLED, UNLIKE, SECOND, DUPLICATES, SAME))}
    falling = (DUPLICATES, SAME)
    found.proposals.sort(key=lambda p: (order[p.kind], -p.score if p.kind in falling else p.score, p.row))
    return found


def draw_scores(features: Features, labels: Rows, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of pairs of strangers, highest first, and of pairs of one person, in any order; drawn by ``seed``."""
    dice = np.random.default_rng(seed)
    rows = len(features)
    pairs = min(DRAWN, rows * rows)  # of few rows some twice, which moves no quantile
    strangers: list[NDArray[np.float64]] = []
    genuine: list[NDArray[np.float64]] = []
    order = np.argsort(labels, kind="stable")
    following = labels[order]
    for _ in range(-(-pairs // 2**16)):
        left, right = dice.integers(rows, size=(2, min(2**16, pairs)))
        apart = (left != right) & ((labels[left] != labels[right]) | (labels[left] == DISTRACTOR))
        strangers.append(_scores(features, left[apart], right[apart]))
        if sum(len(scores) for scores in genuine) < pairs // 10:
            place = dice.integers(rows, size=2**13)
            first = np.searchsorted(following, following[place])
            count = np.searchsorted(following, following[place], "right") - first
            mate = first + (dice.random(len(place)) * count).astype(np.int64)
            there = (following[place] != DISTRACTOR) & (mate != place)
            genuine.append(_scores(features, order[place[there]], order[mate[there]]))
    return -np.sort(-np.concatenate(strangers)), np.concatenate(genuine)


class _Limit:
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
class _Parts:
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


class _Folders:
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

    def parts(self, duplicate_of: Rows, limit: _Limit) -> _Parts:
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
        found = _Parts({}, {}, {}, alone.copy(), limit.told())
        for rows, (first, second, weight) in trees:
            parts = cut_tree(len(rows), first, second, weight, limit)
            if len(parts) > 1:
                self._note(found, rows, parts)
        return found

    def _note(self, found: _Parts, rows: Rows, parts: list[Rows]) -> None:
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


def cut_tree(count: int, first: Rows, second: Rows, weight: NDArray[np.float64], limit: _Limit) -> list[Rows]:
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


def best_elsewhere(
    features: Features, labels: Rows, rows: NDArray[np.bool_], among: NDArray[np.bool_]
) -> tuple[Rows, NDArray[np.float32]]:
    """For each of ``rows`` (N,) the most similar of the rows ``among`` (N,) with another label, and their score.

    -1 and -infinity for the others, and where there is none.
    """
    best, nearest = np.full(len(labels), -np.inf, dtype=np.float32), np.full(len(labels), NOBODY)
    own = np.where(labels == DISTRACTOR, labels.max(initial=0) + 1 + np.arange(len(labels)), labels)
    order = np.flatnonzero(rows | among)
    order = order[np.argsort(own[order], kind="stable")]
    tiles = [order[start : start + TILE] for start in range(0, len(order), TILE)]
    with progress(total=len(tiles) * (len(tiles) + 1) // 2, label="comparing", unit="tile") as bar:
        for number, left in enumerate(tiles):
            block = np.asarray(features[left])
            for right in tiles[number:]:
                scores = block @ (block if right is left else np.asarray(features[right])).T
                if own[left[-1]] >= own[right[0]]:  # labels rise: only here may two be the same
                    scores[own[left][:, None] == own[right][None, :]] = -np.inf
                _take_best(best, nearest, scores, left, right, rows, among)
                if right is not left:
                    _take_best(best, nearest, scores.T, right, left, rows, among)
                bar.update()
    return nearest, best


def _take_best(
    best: NDArray[np.float32],
    nearest: Rows,
    scores: Features,
    left: Rows,
    right: Rows,
    rows: NDArray[np.bool_],
    among: NDArray[np.bool_],
) -> None:
    columns = among[right]
    if not columns.all():
        scores = scores[:, columns]
        right = right[columns]
    if not len(right):
        return
    place = scores.argmax(axis=1)
    found = scores[np.arange(len(left)), place]
    better = rows[left] & (found > best[left])
    best[left[better]], nearest[left[better]] = found[better], right[place[better]]


def _wrong_labels(
    labels: Rows, parts: _Parts, other: Rows, other_score: NDArray[np.float32], home: float
) -> list[Proposal]:
    found = []
    for label, groups in parts.of.items():
        homes = [_home(labels, group, other, other_score, home) for group in groups]
        tied = [place for place, group in enumerate(groups) if len(group) == len(groups[0])]
        main = next((place for place in tied if homes[place] == NOBODY), tied[0])  # it stays: nothing says it is wrong
        single = len(groups[0]) == 1
        for place, (group, whose) in enumerate(zip(groups, homes, strict=True)):
            if place == main or (single and whose == NOBODY):
                continue
            kind = MISLABELLED if whose != NOBODY else SECOND if len(group) >= GROUP else UNLIKE
            for row in group.tolist():
                at_home = whose != NOBODY and labels[other[row]] == whose
                neighbour = int(other[row]) if at_home else parts.nearest[row]
                found.append(Proposal(row, kind, label, whose, parts.best[row], neighbour))
    return found


def _home_limit(strangers: NDArray[np.float64], genuine: NDArray[np.float64], rows: int) -> float | None:
    """From which score an image of another person tells whose an image is; None: strangers' scores have no tail."""
    reached = stranger_limit(strangers, rows)
    return None if reached is None or not len(genuine) else max(reached, float(np.quantile(genuine, LOWEST)))


def _home(labels: Rows, group: Rows, other: Rows, other_score: NDArray[np.float32], home: float) -> int:
    """The label to which at least half of the group belongs by its scores; -1: none."""
    near = labels[other[group[other_score[group] >= home]]].tolist()
    whose, count = Counter(near).most_common(1)[0] if near else (NOBODY, 0)
    return int(whose) if 2 * count >= len(group) else NOBODY


def _duplicates(
    labels: Rows,
    duplicate_of: tuple[Rows, NDArray[np.float64]],
    other: Rows,
    other_score: NDArray[np.float32],
    limit: float,
    out: set[int],
) -> list[Proposal]:
    """Those of one label, and those of two whose other image stays."""
    kept, scores = duplicate_of
    found = [
        Proposal(row, DUPLICATES, int(labels[row]), int(labels[row]), float(scores[row]), int(kept[row]))
        for row in np.flatnonzero(kept != NOBODY).tolist()
    ]
    gone = out | {proposal.row for proposal in found}
    for row in np.flatnonzero(other_score >= limit).tolist():
        mate = int(other[row])
        if row not in gone and mate not in gone:
            later = max(row, mate)
            gone.add(later)
            pair = (later, DUPLICATES, int(labels[later]), int(labels[row + mate - later]), float(other_score[row]))
            found.append(Proposal(*pair, row + mate - later))
    return found


def _same_people(
    features: Features, labels: Rows, keep: NDArray[np.bool_], fixed: float | None, seed: int
) -> tuple[list[Proposal], str]:
    """Pairs of people whose means are those of one, each with the pair of images that are nearest; and the limit."""
    rows = np.flatnonzero(keep & (labels != DISTRACTOR))
    people, of_row, counts = np.unique(labels[rows], return_inverse=True, return_counts=True)
    means = np.zeros((len(people), features.shape[1]), dtype=np.float32)
    halves = np.zeros((2, *means.shape), dtype=np.float32)
    seen = np.zeros(len(people), dtype=np.int64)
    for start in range(0, len(rows), TILE):
        chosen, whose = rows[start : start + TILE], of_row[start : start + TILE]
        block = np.asarray(features[chosen])
        np.add.at(means, whose, block)
        for row, person in zip(block, whose.tolist(), strict=True):
            halves[seen[person] % 2, person] += row
            seen[person] += 1
    several = counts >= 2
    people, means, halves = people[several], _unit(means[several]), _unit(halves[:, several])
    pairs = len(people) * (len(people) - 1) // 2
    limit = fixed
    if limit is None and pairs:
        strangers = _strangers(means, seed)
        reached = stranger_limit(strangers, pairs)
        torn = np.einsum("pd,pd->p", *halves[:, counts[several] >= 4])
        if reached is not None and len(torn) and np.median(torn) >= reached:
            limit = reached
    if limit is None:
        return [], "one person in two folders: cannot be told: too few people, or the model is too weak"
    found = []
    order = np.argsort(labels[rows], kind="stable")
    ordered = rows[order]
    starts = np.searchsorted(labels[ordered], people)
    ends = np.searchsorted(labels[ordered], people, "right")
    for top in range(0, len(people), TILE):
        for left in range(top, len(people), TILE):
            scores = means[top : top + TILE] @ means[left : left + TILE].T
            for one, two in zip(*np.nonzero(scores >= limit), strict=True):
                first, second = top + int(one), left + int(two)
                if first >= second:
                    continue
                mine, theirs = (ordered[starts[who] : ends[who]] for who in (second, first))
                cross = np.asarray(features[mine]) @ np.asarray(features[theirs]).T
                row, mate = np.unravel_index(int(cross.argmax()), cross.shape)
                who = (int(people[second]), int(people[first]))
                found.append(Proposal(int(mine[row]), SAME, *who, float(scores[one, two]), int(theirs[mate])))
    return found, f"one person in two folders: means from {limit:.3f}"


def _strangers(means: Features, seed: int) -> NDArray[np.float64]:
    """Scores of pairs of people's means, highest first: of all, or of as many as are drawn."""
    if len(means) <= TILE:
        scores = (means @ means.T)[np.triu_indices(len(means), 1)]
    else:
        left, right = np.random.default_rng(seed).integers(len(means), size=(2, DRAWN))
        scores = _scores(means, left[left != right], right[left != right])
    return -np.sort(-scores.astype(np.float64))


def _scores(features: Features, left: Rows, right: Rows) -> NDArray[np.float64]:
    return np.einsum("nd,nd->n", np.asarray(features[left]), np.asarray(features[right])).astype(np.float64)


def _unit(rows: Features) -> Features:
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: Features = (rows / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)
    return unit
