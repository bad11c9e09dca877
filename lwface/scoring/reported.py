"""The JSON that ``eval/tar_far.py --json`` wrote, read back: what a score means by it.

Light on purpose: a command looks into the file before it loads what it computes with.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lwface.base.errors import UserError, unknown_name
from lwface.base.files import PathLike

WRITER = "eval/tar_far.py --json FILE (lwface tar-far)"


class ReportedPoint(NamedTuple):
    """A threshold, and the shares of impostor and genuine pairs that reach it."""

    far: float  # achieved
    tar: float
    threshold: float
    exact: bool
    interval: tuple[float, float] | None = None  # 95 %, of the TAR, where it was drawn


class FarVerdict(NamedTuple):
    """Whether a score is accepted at the threshold of a FAR asked for, and the TAR there with its interval."""

    far: float
    threshold: float
    accepted: bool
    tar: float
    tar_interval: tuple[float, float] | None


class ScoreMeaning(NamedTuple):
    """What is known of a score as a threshold; the report has points above and below it, and no more is claimed.

    Attributes:
        far_at_most: share of the impostor pairs that score as much, from the next threshold below.
        tar_at_least: share of the genuine pairs that score as much, from the next threshold above.
        exact: whether both points were counted from all pairs.
        beyond: whether the score is above all thresholds of the report, so that ``far_at_most`` is all it can tell.
    """

    far_at_most: float
    tar_at_least: float
    exact: bool
    beyond: bool


@dataclass(frozen=True)
class ReportedScores:
    """One feature file's figures.

    Attributes:
        name: of the features where the JSON has several, else of the file.
        dim: numbers a feature has.
        genuine_pairs, impostor_pairs: how many there were.
        operating: (FAR asked for, point) where it could be resolved, loosest first.
        curve: all points, loosest threshold first.
        others: names of other features in the same JSON.
    """

    name: str
    dim: int
    genuine_pairs: int
    impostor_pairs: int
    operating: list[tuple[float, ReportedPoint]]
    curve: list[ReportedPoint]
    others: list[str]

    def meaning(self, score: float) -> ScoreMeaning:
        """The bounds that the neighbouring points give; both are on the safe side."""
        below = [point for point in self.curve if point.threshold <= score]
        above = [point for point in self.curve if point.threshold >= score]
        loose = min(below, key=lambda point: point.far, default=ReportedPoint(1.0, 1.0, -math.inf, True))
        strict = max(above, key=lambda point: point.tar, default=ReportedPoint(0.0, 0.0, math.inf, True))
        return ScoreMeaning(loose.far, strict.tar, loose.exact and strict.exact, not above)

    def verdicts(self, score: float) -> list[FarVerdict]:
        """One a FAR that was asked for, loosest first."""
        return [
            FarVerdict(far, point.threshold, score >= point.threshold, point.tar, point.interval)
            for far, point in self.operating
        ]


def read_reported(path: PathLike, name: str | None = None) -> ReportedScores:
    """Read a JSON of scores.

    Args:
        path: of the file.
        name: which features, where it has several; None: the first.

    Raises:
        UserError: it is no such JSON, no FAR could be resolved, or there are no features of this name.
        OSError: it cannot be read.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); give the file that {WRITER} wrote") from None
    models = found.get("models", {}) if isinstance(found, dict) else {}
    if name is not None:
        if name not in models:
            known = list(models) or ["(none: the file is of one feature file)"]
            raise UserError(f"{path}: {unknown_name('features', name, known)}")
        chosen = models[name]
    else:
        chosen = found
        name = next(iter(models), Path(path).stem)
    try:
        scores = scores_of(chosen, name, [other for other in models if other != name])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{path}: not the scores of feature files; give the file that {WRITER} wrote") from None
    if not scores.curve:
        raise UserError(f"{path}: no FAR could be resolved, so it has no threshold; ask for a larger one with --far")
    return scores


def scores_of(found: dict[str, Any], name: str, others: list[str]) -> ReportedScores:
    """The figures of one feature file in a JSON of scores, or on a model's card; ``name`` is what messages call them.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: they are not such.
    """
    operating = [(float(entry["far"]), _point(entry)) for entry in found["results"] if entry["threshold"] is not None]
    curve = [
        ReportedPoint(float(entry["far"]), float(entry["tar"]), float(entry["threshold"]), bool(entry["exact"]))
        for entry in found.get("roc", [])
    ]
    return ReportedScores(
        name,
        int(found["dim"]),
        int(found["genuine_pairs"]),
        int(found["impostor_pairs"]),
        sorted(operating, key=lambda entry: -entry[0]),
        sorted([*curve, *(point for _, point in operating)], key=lambda point: point.threshold),
        others,
    )


def _point(entry: dict[str, Any]) -> ReportedPoint:
    drawn = entry.get("tar_interval")
    interval = None if drawn is None else (float(drawn[0]), float(drawn[1]))
    far, tar, threshold = (float(entry[key]) for key in ("achieved_far", "tar", "threshold"))
    return ReportedPoint(far, tar, threshold, True, interval)
