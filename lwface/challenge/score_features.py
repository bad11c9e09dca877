"""Scores a feature file, as ``eval/tar_far.py`` does: exact TAR at FAR over all pairs of a side's people.

With NumPy alone unless there are so many rows that PyTorch's screening is worth its import; no digit depends on that.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.challenge.halves import sides
from lwface.challenge.kinds import ChallengeTrack
from lwface.challenge.results import Malformed, Result, judging
from lwface.formats.feature_file import read_features, read_header, validate
from lwface.formats.person_labels import DISTRACTOR, People, read_people
from lwface.scoring.exact.alone import Alone
from lwface.scoring.exact.grid import UNSCREENED
from lwface.scoring.parameters import exact_rate
from lwface.scoring.request import LabelledRows, ScoringRequest
from lwface.scoring.tar_far import score_request

LABELS = "labels.txt"
SCREENED_ROWS = 2**15  # from here on a screen is sooner made than done without


def score(track: ChallengeTrack, submission: Path, reference: Path) -> Result:
    """See :func:`lwface.challenge.scorers.score`; the sides are drawn over people, a distractor being one.

    Pairs of the public half are those of two public rows, and so on; of all, those of one of either are among them.
    """
    labels = read_labels(reference)
    count = len(labels)
    with judging(submission):
        rows, width = read_header(submission)
        if rows != count:
            raise Malformed(submission.name, f"has {rows} rows, expected {count}: one for each line of the list")
        if width > track.widest:
            raise Malformed(submission.name, f"has {width} numbers a row, more than the {track.widest} allowed")
        validate(submission, unit_rows=False)
        features = np.asarray(read_features(submission))
        norms = np.einsum("rc,rc->r", features.astype(np.float64), features.astype(np.float64))
        if not norms.all():
            raise Malformed(submission.name, f"row {int(np.argmin(norms != 0))} (from 0) is all zeros: no direction")
    figures: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, tuple[float, float]]] = {}
    details: dict[str, Any] = {}
    for side, chosen in sides(track, person_names(labels)).items():
        figures[side], intervals[side], details[side] = _side(track, side, features[chosen], labels[chosen])
    return Result(**figures, intervals=intervals, details=details)


def read_labels(reference: Path) -> NDArray[np.int64]:
    """Who is on each row, (N,)."""
    path = reference / LABELS
    return read_people(path, len(path.read_text(encoding="utf-8").split())).labels


def person_names(labels: NDArray[np.int64]) -> list[str]:
    """What the sides are drawn over: a name a row, a distractor's its own."""
    return [str(label) if label != DISTRACTOR else f"row {row}" for row, label in enumerate(labels.tolist())]


def _side(
    track: ChallengeTrack, side: str, features: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[dict[str, float], dict[str, tuple[float, float]], dict[str, Any]]:
    """Figures, intervals and details of one side."""
    screened = len(labels) >= SCREENED_ROWS and importlib.util.find_spec("torch") is not None
    request = ScoringRequest(
        LabelledRows(features, People(labels)),
        [exact_rate(str(track.settings["far"]), "FAR")],
        title="submission",
        device="cpu" if screened else UNSCREENED,
    )
    found = score_request(request, workers=None if screened else Alone()).result
    (point,) = found.points
    if point.tar is None or found.error_rates is None:
        raise UserError(f"track {track.name}, {side} half: FAR {track.settings['far']} {point.reason}")
    figures = {"tar": point.tar, "eer": found.error_rates.equal.rate}
    known = {"tar": point.interval, "eer": found.error_rates.equal.interval}
    pairs = [
        ["genuine", f"{point.genuine_pairs:,}", f"{point.true_accepts:,}"],
        ["impostor", f"{point.impostor_pairs:,}", f"{point.false_accepts:,}"],
    ]
    return (
        figures,
        {name: (ends.low, ends.high) for name, ends in known.items() if ends is not None},
        {
            "counts": {"rows": len(labels), "width": features.shape[1]},
            "tables": {f"Pairs accepted from {point.threshold:.6f} on": [["pairs", "in all", "accepted"], *pairs]},
        },
    )
