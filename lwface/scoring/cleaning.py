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
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.progress import progress
from lwface.scoring.drawn_scores import DISTRACTOR, Features, Rows, draw_scores
from lwface.scoring.folder_parts import NOBODY, FolderParts, Folders, StrangerLimit
from lwface.scoring.label_errors import stranger_limit
from lwface.scoring.same_people import find_same_people

DUPLICATE = 0.97  # cosine
GROUP = 3  # images that make a person of their own
LOWEST = 0.1  # of the genuine pairs, which tell nothing of a home
TILE = 2048  # rows of a tile of scores: 16 MB

DUPLICATES, MISLABELLED, UNLIKE, SECOND, SAME = (
    "duplicate",
    "mislabelled",
    "resembles nobody of its label",
    "second person of a folder",
    "same person",
)


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
    folders = Folders(features, labels)
    found = Cleaning()
    duplicate_of = folders.duplicates(rules.duplicate)  # (N,) row that is kept, or -1, and the score
    found.told.append(f"duplicates: from {rules.duplicate:.3f}")
    parts = folders.parts(duplicate_of[0], StrangerLimit(strangers, rules.stranger))
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
    same, told = find_same_people(features, labels, keep, rules.same, seed)
    found.proposals += [Proposal(two.row, SAME, two.person, two.other, two.score, two.mate) for two in same]
    found.told.append(told)
    order = {kind: place for place, kind in enumerate((MISLABELLED, UNLIKE, SECOND, DUPLICATES, SAME))}
    falling = (DUPLICATES, SAME)
    found.proposals.sort(key=lambda p: (order[p.kind], -p.score if p.kind in falling else p.score, p.row))
    return found


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
    labels: Rows, parts: FolderParts, other: Rows, other_score: NDArray[np.float32], home: float
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
