"""The challenge's own "naive solution": the mean signature of each person, that of each video, cosines, the top five.

Nothing is trained. What it does and in which order is its ``solution.py``; means and cosines are float64 here, and of
people with equal cosines the one with the lower place comes first (there, whichever NumPy's sort leaves last).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.formats.sequence_paths import frame_paths, samples
from lwface.formats.sequence_pickles import Signatures
from lwface.formats.sequence_submission import SequenceTruth, guess_count
from lwface.sequences.splits import enumerate_paths, split_by, train_test_split

AT_ONCE = 1024  # samples whose cosines with all people are in memory


@dataclass(frozen=True, eq=False)
class Solution:
    """What was guessed.

    Attributes:
        people: P names, those learnt from; guesses are places among them.
        samples: S names.
        guesses: (S, K) the best first; K is five, or P where there are fewer.
        truth: who it was, where paths tell.
    """

    people: list[str]
    samples: list[str]
    guesses: NDArray[np.int64]
    truth: SequenceTruth | None


def solve_split(signatures: Signatures, train_to_test_ratio: float = 0.5) -> Solution:
    """Learn from some of each person's videos and judge by the others, as the challenge's demo does.

    Raises:
        UserError: paths do not tell people and videos, no video is left to judge by, or a mean signature is zero.
    """
    person_ids, video_ids = enumerate_paths(signatures.paths)
    train, test = train_test_split(person_ids, video_ids, train_to_test_ratio)
    if not len(test):
        raise UserError(
            f"no video is left to judge by: {len(np.unique(video_ids))} videos of {person_ids.max() + 1} people, "
            f"ratio {train_to_test_ratio:g}; each person needs two videos or more, or give --test"
        )
    parts = [Signatures([signatures.paths[i] for i in some], signatures.signatures[some]) for some in (train, test)]
    return solve(*parts)


def solve(train: Signatures, test: Signatures) -> Solution:
    """Learn from all of ``train`` and guess who is on each video (or sequence, where paths name no video) of ``test``.

    Raises:
        UserError: the training paths do not tell people, the two are of different width, or a mean signature is zero.
    """
    if train.signatures.shape[1] != test.signatures.shape[1]:
        widths = " and ".join(str(part.signatures.shape[1]) for part in (train, test))
        raise UserError(f"signatures of {widths} numbers: both must come from one model")
    learnt = frame_paths(train.paths, "the signatures to learn from")
    if not learnt[0].person:
        raise UserError(f"the signatures to learn from: {train.paths[0]} does not say whose it is")
    people, person_means = group_means([frame.person for frame in learnt], train.signatures)
    asked = frame_paths(test.paths, "the signatures to judge")
    names, sample_means = group_means(samples(asked), test.signatures)
    guesses = rank_people(unit_means(sample_means, names), unit_means(person_means, people), guess_count(len(people)))
    truth = None
    if asked[0].person:
        owner = dict(zip(samples(asked), (frame.person for frame in asked), strict=True))
        places = {name: place for place, name in enumerate(people)}
        owners = [owner[name] for name in names]
        truth = SequenceTruth(names, np.array([places.get(name, -1) for name in owners], np.int64), owners)
    return Solution(people, names, guesses, truth)


def group_means(names: list[str], rows: NDArray[np.floating]) -> tuple[list[str], NDArray[np.float64]]:
    """The different ``names`` (N,), sorted, and the mean (G, D) float64 of the ``rows`` (N, D) of each."""
    groups, place = np.unique(names, return_inverse=True)
    parts = split_by(np.arange(len(rows)), place)
    return groups.tolist(), np.stack([rows[part].mean(axis=0, dtype=np.float64) for part in parts])


def unit_means(means: NDArray[np.float64], names: list[str]) -> NDArray[np.float64]:
    """``means`` (G, D) divided by their lengths; :class:`UserError` naming the one that is zero."""
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    if not lengths.all():
        raise UserError(f"{names[int(lengths.argmin())]}: its mean signature is zero, which resembles nobody")
    return means / lengths


def rank_people(asked: NDArray[np.float64], people: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The ``count`` nearest of ``people`` (P, D) to each of ``asked`` (S, D) by the cosine, best first: (S, count).

    Args:
        asked, people: of length 1.
        count: at most P.
    """
    found = np.empty((len(asked), count), np.int64)
    for start in range(0, len(asked), AT_ONCE):
        cosines = asked[start : start + AT_ONCE] @ people.T
        found[start : start + AT_ONCE] = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return found
