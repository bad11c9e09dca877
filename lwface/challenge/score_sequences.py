"""Scores guesses who is on each sequence, as ``sequences/evaluate.py`` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lwface.base.errors import UserError
from lwface.challenge.halves import sides, taken
from lwface.challenge.kinds import ChallengeTrack
from lwface.challenge.results import Result, judging
from lwface.formats.sequence_submission import SequenceTruth, read_guesses, read_people_learnt, read_truth
from lwface.sequences.scoring import score_guesses

TRUTH, PEOPLE = "truth.csv", "people.csv"
FIGURES = ("score", "top1", "top5")


def score(track: ChallengeTrack, submission: Path, reference: Path) -> Result:
    """See :func:`lwface.challenge.scorers.score`; the sides are drawn over sequences."""
    truth = read_truth(reference / TRUTH)
    people = len(read_people_learnt(reference / PEOPLE))
    if truth.indices.max() >= people:
        raise UserError(f"{reference / TRUTH}: place {truth.indices.max()}, but {PEOPLE} has 0 to {people - 1}")
    with judging(submission):
        guesses = read_guesses(submission, truth.samples, people)
    figures: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, tuple[float, float]]] = {}
    details: dict[str, Any] = {}
    for side, chosen in sides(track, truth.samples).items():
        own = SequenceTruth(taken(truth.samples, chosen), truth.indices[chosen], taken(truth.people, chosen))
        found = score_guesses(guesses[chosen], own)
        figures[side] = {name: found[name]["value"] for name in FIGURES}
        known = [name for name in FIGURES if found[name]["low"] is not None]
        intervals[side] = {name: (found[name]["low"], found[name]["high"]) for name in known}
        hits = [[str(place), str(count)] for place, count in enumerate(found["hits"], start=1)]
        details[side] = {
            "counts": {"sequences": found["samples"], "people": found["people"], "of strangers": found["strangers"]},
            "tables": {"Where the right person stands": [["guess", "sequences"], *hits]},
        }
    return Result(**figures, intervals=intervals, details=details)
