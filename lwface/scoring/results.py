"""What an evaluation found, as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lwface.scoring.evaluation import Breakdown, Difference, Evaluation, Roc
from lwface.scoring.operating_points import Interval, OperatingPoint

CAVEAT = "A local score: these are not the challenge's labels and pairs, so it is not an official result."
HEADINGS = ("FAR", "threshold", "TAR", "95 % interval", "true accepts", "false accepts", "achieved FAR")
DIFFERENCE_HEADINGS = ("FAR", "first", "second", "second - first", "95 % interval", "better")


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """``rows, dim, genuine_pairs, impostor_pairs``, ``results`` with one entry a FAR, and the curve as ``roc``."""
    return {
        "rows": evaluation.rows,
        "dim": evaluation.dim,
        "genuine_pairs": evaluation.genuine_pairs,
        "impostor_pairs": evaluation.impostor_pairs,
        "protocol": evaluation.protocol,
        "results": [point.as_json() for point in evaluation.points],
        **(
            {"breakdowns": [_breakdown_json(found) for found in evaluation.breakdowns]} if evaluation.breakdowns else {}
        ),
        **({"roc": _roc_json(evaluation.roc)} if evaluation.roc is not None else {}),
    }


def comparison_json(evaluations: Sequence[Evaluation], differences: Sequence[Difference]) -> dict[str, Any]:
    """The first one as :func:`as_json` has it, all by name under ``models``, and ``differences``."""
    return {
        **as_json(evaluations[0]),
        "models": {evaluation.name: as_json(evaluation) for evaluation in evaluations},
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


def table(evaluation: Evaluation) -> str:
    """The table the command prints."""
    rows = [_cells(point) for point in evaluation.points]
    notes = [f"not resolvable: {point.reason}" if point.reason else "" for point in evaluation.points]
    return "\n".join(
        [
            f"{evaluation.rows} rows of {evaluation.dim}, {evaluation.protocol}: "
            f"{evaluation.genuine_pairs} genuine, {evaluation.impostor_pairs} impostor",
            *_aligned(HEADINGS, rows, notes),
        ]
    )


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
