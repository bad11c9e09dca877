"""Scores a solution.txt of the landmark challenge, as ``landmarks/evaluate.py`` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.challenge.halves import sides, taken
from lwface.challenge.kinds import ChallengeTrack
from lwface.challenge.results import Result, judging
from lwface.formats.keypoint_tables import table
from lwface.formats.point_annotations import ANNOTATIONS, read_annotations
from lwface.formats.point_solution import read_solution
from lwface.landmarks.point_errors import FoundPoints, area_under_curve, failure_rate
from lwface.landmarks.scheme import REGIONS
from lwface.scoring.drawn_groups import interval

TRUTH, PEOPLE = "truth.txt", "people.csv"
NORMS = {"nme": "challenge", "nme_box": "box", "nme_eyes": "inter-ocular"}


def score(track: ChallengeTrack, submission: Path, reference: Path) -> Result:
    """See :func:`lwface.challenge.scorers.score`; the sides are drawn over pictures, as the challenge did."""
    annotations = reference / ANNOTATIONS
    truth = read_annotations(annotations) if annotations.is_file() else read_solution(reference / TRUTH)
    people = _people(reference / PEOPLE, list(truth))
    with judging(submission):
        found = read_solution(submission, truth)
    names = list(truth)
    faces = FoundPoints(
        names, np.stack([found[name] for name in names]), np.stack([truth[name] for name in names]), people
    )
    for norm in NORMS.values():
        flat = np.flatnonzero(faces.lengths(norm) <= 0)
        if len(flat):
            raise UserError(f"{reference}: the true points of {names[flat[0]]} have no length {norm!r} to divide by")
    nme = {figure: faces.nme(norm) for figure, norm in NORMS.items()}
    figures: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, tuple[float, float]]] = {}
    details: dict[str, Any] = {}
    for side, chosen in sides(track, names).items():
        own = taken(people, chosen)
        figures[side], intervals[side] = _side({name: values[chosen] for name, values in nme.items()}, own)
        details[side] = _details(faces, chosen, own)
    return Result(**figures, intervals=intervals, details=details)


def _side(
    nme: dict[str, NDArray[np.float64]], people: list[str]
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Figures and intervals of one side."""
    figures = {name: float(values.mean()) for name, values in nme.items()}
    figures |= {"auc": area_under_curve(nme["nme_box"]), "failures": failure_rate(nme["nme_box"])}
    found = {}
    for name, values in nme.items():
        estimate = interval(values, people)
        if estimate.low is not None and estimate.high is not None:
            found[name] = (estimate.low, estimate.high)
    return figures, found


def _details(faces: FoundPoints, chosen: NDArray[np.bool_], people: list[str]) -> dict[str, Any]:
    by_box = (faces.distances / faces.lengths("box")[:, None])[chosen]
    regions = [[name, f"{100 * by_box[:, points].mean():.3f} %"] for name, points in REGIONS.items()]
    return {
        "counts": {"pictures": len(by_box), "people": len(set(people))},
        "tables": {"Regions of the face, by the box": [["region", "NME"], *regions]},
    }


def _people(path: Path, names: list[str]) -> list[str]:
    """Whom each picture shows; the picture itself where nobody says."""
    if not path.is_file():
        return names
    found: dict[str, str] = {}
    for line, places, fields in table(path, ("image", "person")):
        image = fields[places["image"]].strip()
        if image in found:
            raise UserError(f"{path}, line {line}, column image: {image} is there twice")
        found[image] = fields[places["person"]].strip()
    lacking = [name for name in names if name not in found]
    if lacking:
        raise UserError(f"{path}: says not who is on {lacking[0]} ({len(lacking)} in all)")
    return [found[name] for name in names]
