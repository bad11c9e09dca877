"""What was found of TAR at FAR: everything that the table, the JSON and the report show, and the first two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.scoring.intervals import Difference, Interval
from lwface.scoring.operating_points import OperatingPoint

CAVEAT = "A local score: these are not the challenge's labels and pairs, so it is not an official result."
HEADINGS = ("FAR", "threshold", "TAR", "95 % interval", "true accepts", "false accepts", "achieved FAR")
DIFFERENCE_HEADINGS = ("FAR", "first", "second", "second - first", "95 % interval", "better")


class HardPair(NamedTuple):
    """Two file rows and their exact score; with probe and gallery, ``left`` is a probe row, ``right`` a gallery row."""

    left: int
    right: int
    score: float


class Roc(NamedTuple):
    """TAR over FAR, from the strictest threshold to the loosest.

    Each point is what an operating point at that FAR is: counted from all pairs where ``exact``, else from a sample of
    the impostor pairs.
    """

    far: NDArray[np.float64]  # (R,) achieved, ascending, first at most one impostor pair
    tar: NDArray[np.float64]  # (R,)
    threshold: NDArray[np.float64]  # (R,)
    exact: NDArray[np.bool_]  # (R,)
    low: NDArray[np.float64] | None = None  # (R,) interval of the TAR
    high: NDArray[np.float64] | None = None


class ScoreHistogram(NamedTuple):
    """Pairs by score, in equal bins."""

    edges: NDArray[np.float64]  # (B + 1,)
    counts: NDArray[np.int64]  # (B,)
    sampled: bool  # of a sample of the pairs, not of all


class ErrorRate(NamedTuple):
    """One figure of a whole curve, and the operating point that goes with it."""

    rate: float
    threshold: float
    far: float  # at the threshold
    frr: float
    exact: bool  # counted from all pairs; else the impostors are a sample
    interval: Interval | None = None  # of the rate


class ErrorRates(NamedTuple):
    """See :mod:`lwface.scoring.error_rates`."""

    equal: ErrorRate
    accuracy: ErrorRate


class DoubtfulRow(NamedTuple):
    """A row that resembles nobody of its label."""

    row: int  # of the feature file; of the probe's, where there is a gallery
    best: float  # its highest genuine score
    pairs: int  # genuine pairs of it


class Suspects(NamedTuple):
    """Pairs whose labels are probably wrong, at most some thousand of a kind: :mod:`lwface.scoring.label_errors`."""

    impostors: list[HardPair]  # highest first
    impostor_count: int
    genuine: list[HardPair]  # of doubtful rows, lowest first
    genuine_count: int
    more_impostors: bool = False  # there were too many to count: ``impostor_count`` is of those kept
    impostor_limit: float | None = None  # the score from which they are suspect; None: the model cannot tell
    rows: list[DoubtfulRow] | None = None  # least similar first; None: the model cannot tell


class GroupPoint(NamedTuple):
    """A part of the pairs at the threshold of one FAR of the whole."""

    far: Fraction  # asked for, of all pairs
    tar: float | None  # None: the part has no genuine pairs, or the FAR is not resolvable
    interval: Interval | None
    achieved_far: float | None  # None: the part has no impostor pairs


class Group(NamedTuple):
    """The rows that share a value, compared among themselves."""

    value: str
    rows: int
    people: int
    genuine_pairs: int
    impostor_pairs: int
    points: list[GroupPoint]


class Breakdown(NamedTuple):
    """One column of attributes, by value; ``gaps`` has one (TAR, interval) a FAR: largest minus smallest TAR."""

    column: str
    groups: list[Group]
    gaps: list[tuple[float | None, Interval | None]]


@dataclass(frozen=True)
class TarFarResult:
    """One feature file under one protocol.

    Attributes:
        name: what tables call it.
        rows, dim: of the feature file (of probe and gallery together).
        protocol: which pairs, in words.
        points: one a FAR asked for, in the order asked.
        no_intervals: why no figure has an interval; empty where they have.
    """

    name: str
    rows: int
    dim: int
    genuine_pairs: int
    impostor_pairs: int
    protocol: str
    points: list[OperatingPoint]
    roc: Roc | None = None
    genuine: ScoreHistogram | None = None
    impostors: ScoreHistogram | None = None
    hardest_genuine: list[HardPair] = field(default_factory=list)
    hardest_impostors: list[HardPair] = field(default_factory=list)
    suspects: Suspects | None = None
    breakdowns: list[Breakdown] = field(default_factory=list)
    error_rates: ErrorRates | None = None
    no_intervals: str = ""


def as_json(result: TarFarResult) -> dict[str, Any]:
    """``rows, dim, genuine_pairs, impostor_pairs``, ``results`` with one entry a FAR, and the curve as ``roc``."""
    return {
        "rows": result.rows,
        "dim": result.dim,
        "genuine_pairs": result.genuine_pairs,
        "impostor_pairs": result.impostor_pairs,
        "protocol": result.protocol,
        "results": [point.as_json() for point in result.points],
        **({"breakdowns": [_breakdown_json(found) for found in result.breakdowns]} if result.breakdowns else {}),
        **({"roc": _roc_json(result.roc)} if result.roc is not None else {}),
        **(_error_rates_json(result.error_rates) if result.error_rates is not None else {}),
    }


def comparison_json(results: Sequence[TarFarResult], differences: Sequence[Difference]) -> dict[str, Any]:
    """The first one as :func:`as_json` has it, all by name under ``models``, and ``differences``."""
    return {
        **as_json(results[0]),
        "models": {result.name: as_json(result) for result in results},
        "differences": [
            {
                "far": float(found.far),
                "first": found.first,
                "second": found.second,
                "difference": found.difference,
                "interval": _ends(found.interval),
                "better": found.better,
            }
            for found in differences
        ],
    }


def printed(results: Sequence[TarFarResult], differences: Sequence[Difference]) -> str:
    """All that the command prints."""
    parts = []
    for found in results:
        parts.append(f"{found.name}: {table(found)}" if len(results) > 1 else table(found))
        parts += [breakdown_table(breakdown) for breakdown in found.breakdowns]
    return "\n".join([*parts, *([difference_table(differences)] if differences else []), CAVEAT])


def table(result: TarFarResult) -> str:
    """The table the command prints."""
    rows = [_cells(point) for point in result.points]
    notes = [f"not resolvable: {point.reason}" if point.reason else "" for point in result.points]
    return "\n".join(
        [
            f"{result.rows} rows of {result.dim}, {result.protocol}: "
            f"{result.genuine_pairs} genuine, {result.impostor_pairs} impostor",
            *_aligned(HEADINGS, rows, notes),
            *_error_rate_lines(result.error_rates),
            *([f"no 95 % intervals: {result.no_intervals}"] if result.no_intervals else []),
        ]
    )


def _error_rate_lines(found: ErrorRates | None) -> list[str]:
    """Equal error rate and best accuracy, a line each."""
    figures = () if found is None else (("equal error rate", found.equal), ("best accuracy", found.accuracy))
    return [
        f"{name:16}  {figure.rate:.6f}  {_interval_text(figure.interval, '.4f')}  at threshold {figure.threshold:.6f}"
        + ("" if figure.exact else " (impostors: a sample)")
        for name, figure in figures
    ]


def difference_table(differences: Sequence[Difference]) -> str:
    """The table of a comparison."""
    rows = [
        (
            f"{float(found.far):g}",
            found.first,
            found.second,
            "" if found.difference is None else f"{found.difference:+.6f}",
            _interval_text(found.interval, "+.4f"),
            found.better or "not shown",
        )
        for found in differences
    ]
    return "\n".join(_aligned(DIFFERENCE_HEADINGS, rows, [""] * len(rows)))


def breakdown_table(breakdown: Breakdown) -> str:
    """The table of a column of attributes."""
    fars = [f"TAR at {float(point.far):g}" for point in breakdown.groups[0].points] if breakdown.groups else []
    rows = [
        (
            group.value,
            str(group.rows),
            str(group.people),
            str(group.genuine_pairs),
            str(group.impostor_pairs),
            *("-" if point.tar is None else f"{point.tar:.4f}" for point in group.points),
        )
        for group in breakdown.groups
    ]
    gaps = ("gap", "", "", "", "", *("-" if gap is None else f"{gap:.4f}" for gap, _ in breakdown.gaps))
    headings = (breakdown.column, "rows", "people", "genuine", "impostor", *fars)
    return "\n".join(_aligned(headings, [*rows, gaps], [""] * (len(rows) + 1)))


def _cells(point: OperatingPoint) -> tuple[str, ...]:
    """The texts under :data:`HEADINGS`; only the FAR for one that is not resolvable."""
    far = f"{float(point.far):g}"
    if point.threshold is None or point.tar is None:
        return (far,)
    return (
        far,
        f"{point.threshold:.6f}",
        f"{point.tar:.6f}",
        _interval_text(point.interval, ".4f"),
        str(point.true_accepts),
        str(point.false_accepts),
        f"{point.achieved_far:.4g}",
    )


def _aligned(headings: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> list[str]:
    """Lines with right-aligned columns, each row followed by its note."""
    whole = [headings, *(row for row in rows if len(row) > 1)]
    widths = [max(len(row[column]) for row in whole) for column in range(len(headings))]
    widths[0] = max(len(row[0]) for row in [headings, *rows])
    lines = [
        "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=False)) for row in [headings, *rows]
    ]
    return [f"{line}  {note}".rstrip() for line, note in zip(lines, ["", *notes], strict=True)]


def _interval_text(interval: Interval | None, style: str) -> str:
    return "-" if interval is None else f"{interval.low:{style}} to {interval.high:{style}}"


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _roc_json(roc: Roc) -> list[dict[str, Any]]:
    columns = [roc.far.tolist(), roc.tar.tolist(), roc.threshold.tolist(), roc.exact.tolist()]
    return [
        {"far": far, "tar": tar, "threshold": threshold, "exact": exact}
        for far, tar, threshold, exact in zip(*columns, strict=True)
    ]


def _error_rates_json(found: ErrorRates) -> dict[str, Any]:
    return {
        name: {
            "rate": figure.rate,
            "interval": _ends(figure.interval),
            "threshold": figure.threshold,
            "far": figure.far,
            "frr": figure.frr,
            "exact": figure.exact,
        }
        for name, figure in (("equal_error_rate", found.equal), ("best_accuracy", found.accuracy))
    }


def _breakdown_json(breakdown: Breakdown) -> dict[str, Any]:
    return {
        "column": breakdown.column,
        "groups": [
            {
                "value": group.value,
                "rows": group.rows,
                "people": group.people,
                "genuine_pairs": group.genuine_pairs,
                "impostor_pairs": group.impostor_pairs,
                "results": [
                    {
                        "far": float(point.far),
                        "tar": point.tar,
                        "tar_interval": _ends(point.interval),
                        "achieved_far": point.achieved_far,
                    }
                    for point in group.points
                ],
            }
            for group in breakdown.groups
        ],
        "gaps": [{"tar": gap, "interval": _ends(interval)} for gap, interval in breakdown.gaps],
    }
