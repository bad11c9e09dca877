"""Scores a table of keypoints, as ``landmarks/score_keypoints.py`` does; a side is the truth without the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lwface.challenge.halves import sides
from lwface.challenge.kinds import ChallengeTrack
from lwface.challenge.results import Result, judging
from lwface.formats.keypoint_lookup import read_lookup
from lwface.formats.keypoint_submission import read_submission
from lwface.landmarks import keypoint_scoring

TRUTH, PEOPLE = "truth.csv", "people.csv"
FIGURES = ("rmse", "smooth_l1")


def score(track: ChallengeTrack, submission: Path, reference: Path) -> Result:
    """See :func:`lwface.challenge.scorers.score`; the sides are drawn over pictures."""
    truth = read_lookup(reference / TRUTH)
    named = reference / PEOPLE
    people = keypoint_scoring.read_people(named) if named.is_file() else None
    with judging(submission):
        locations = read_submission(submission, truth)
    figures: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, tuple[float, float]]] = {}
    details: dict[str, Any] = {}
    for side, chosen in sides(track, [str(image) for image in truth.images.tolist()]).items():
        own = truth._replace(locations=np.where(chosen, truth.locations, np.nan))
        found = keypoint_scoring.score(own, locations, people=people)
        figures[side] = {name: float(found[name]) for name in FIGURES}
        intervals[side] = {name: tuple(found[f"{name}_interval"]) for name in FIGURES}
        points = [[name, f"{part['rmse']:.4f}", str(part["known"])] for name, part in found["points"].items()]
        details[side] = {
            "counts": {"pictures": found["images"], "coordinates": found["known"]},
            "tables": {"Each point": [["point", "RMSE, pixels", "coordinates"], *points]},
        }
    return Result(**figures, intervals=intervals, details=details)
