"""What an evaluation found, as a table for people and as JSON for programs."""

from __future__ import annotations

from typing import Any, NamedTuple

from eval.operating_points import OperatingPoint

CAVEAT = "A local score: these are not the challenge's labels and pairs, so it is not an official result."


class Results(NamedTuple):
    """The operating points of a set of pairs."""

    rows: int
    dim: int
    genuine_pairs: int
    impostor_pairs: int
    protocol: str  # which pairs, in words
    points: list[OperatingPoint]

    def as_json(self) -> dict[str, Any]:
        """``rows, dim, genuine_pairs, impostor_pairs`` and ``results``, one entry a FAR."""
        return {
            "rows": self.rows,
            "dim": self.dim,
            "genuine_pairs": self.genuine_pairs,
            "impostor_pairs": self.impostor_pairs,
            "results": [point.as_json() for point in self.points],
        }


HEADINGS = ("FAR", "threshold", "TAR", "true accepts", "false accepts", "achieved FAR")


def cells(point: OperatingPoint) -> tuple[str, ...]:
    """The texts under :data:`HEADINGS`; only the FAR for one that is not resolvable (see ``point.reason``)."""
    far = f"{float(point.far):g}"
    if point.threshold is None or point.tar is None:
        return (far,)
    return (
        far,
        f"{point.threshold:.6f}",
        f"{point.tar:.6f}",
        str(point.true_accepts),
        str(point.false_accepts),
        f"{point.achieved_far:.4g}",
    )


def table(results: Results) -> str:
    """The table the command prints."""
    texts = [cells(point) for point in results.points]
    whole = [HEADINGS, *(row for row in texts if len(row) > 1)]
    widths = [max(len(row[column]) for row in whole) for column in range(len(HEADINGS))]
    widths[0] = max(len(row[0]) for row in [HEADINGS, *texts])
    lines = [
        f"{results.rows} rows of {results.dim}, {results.protocol}: "
        f"{results.genuine_pairs} genuine, {results.impostor_pairs} impostor",
        "  ".join(heading.rjust(width) for heading, width in zip(HEADINGS, widths, strict=True)),
    ]
    for point, row in zip(results.points, texts, strict=True):
        line = "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=False))
        lines.append(f"{line}  not resolvable: {point.reason}" if point.reason else line)
    return "\n".join([*lines, CAVEAT])
