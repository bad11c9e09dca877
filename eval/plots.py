"""The report's plots as PNG bytes, each for a light and for a dark page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from eval.operating_points import OperatingPoint
from eval.selection import BINS_PER_UNIT, Histogram
from eval.survey import roc

DISPLAY_BINS = 200  # over the scores that occur


class Theme(NamedTuple):
    """Colours of a page."""

    background: str
    text: str
    grid: str
    genuine: str
    impostor: str


LIGHT = Theme("#ffffff", "#1f2430", "#d9dde5", "#1769aa", "#c2452d")
DARK = Theme("#171a21", "#e6e9ef", "#343a46", "#6cb6ff", "#ff8e72")


def roc_png(genuine: Histogram, impostors: Histogram, points: Sequence[OperatingPoint], theme: Theme) -> bytes:
    """TAR over FAR on a logarithmic axis, with the exact operating points; down to one impostor pair."""
    curve = roc(genuine, impostors)
    figure, axes = _axes(theme, "false accept rate (log scale)", "true accept rate")
    shown = curve.far > 0
    axes.plot(curve.far[shown], curve.tar[shown], color=theme.genuine, linewidth=2, drawstyle="steps-pre")
    solved = [point for point in points if point.false_accepts and point.tar is not None]
    axes.plot(
        [point.achieved_far for point in solved],
        [point.tar for point in solved],
        linestyle="",
        marker="o",
        markersize=8,
        color=theme.impostor,
        label="operating points (exact)",
    )
    axes.set_xscale("log")
    axes.set_xlim(1 / int(impostors.counts.sum()), 1)
    axes.set_ylim(0, 1.02)
    if solved:
        _legend(axes, theme, "lower right")
    return _png(figure)


def histogram_png(genuine: Histogram, impostors: Histogram, points: Sequence[OperatingPoint], theme: Theme) -> bytes:
    """Density of genuine and impostor scores, with the thresholds."""
    figure, axes = _axes(theme, "score (cosine)", "density")
    occupied = np.flatnonzero(genuine.counts + impostors.counts)
    first, last = int(occupied[0]), int(occupied[-1]) + 1
    per_bin = max(1, -(-(last - first) // DISPLAY_BINS))
    starts = np.arange(first, last, per_bin)
    edges = np.append(genuine.edges[starts], genuine.edges[starts[-1]] + per_bin / BINS_PER_UNIT)
    for name, histogram, colour in (("impostor", impostors, theme.impostor), ("genuine", genuine, theme.genuine)):
        counts = np.add.reduceat(histogram.counts[:last], starts)
        density = counts * BINS_PER_UNIT / (per_bin * counts.sum())
        axes.stairs(density, edges, fill=True, alpha=0.35, color=colour)
        axes.stairs(density, edges, color=colour, linewidth=1.5, label=f"{name} pairs")
    for point in points:
        if point.threshold is not None:
            axes.axvline(point.threshold, color=theme.text, linewidth=1, linestyle="--")
            axes.annotate(
                f"FAR {float(point.far):g}",
                (point.threshold, 0.98),
                xycoords=("data", "axes fraction"),
                rotation=90,
                va="top",
                ha="right",
                fontsize=10,
                color=theme.text,
            )
    axes.set_ylim(bottom=0)
    _legend(axes, theme, "best")
    return _png(figure)


def _axes(theme: Theme, horizontal: str, vertical: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(6.4, 4.4), dpi=150, facecolor=theme.background, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor=theme.background)
    axes.set_xlabel(horizontal, fontsize=13, color=theme.text)
    axes.set_ylabel(vertical, fontsize=13, color=theme.text)
    axes.tick_params(which="both", labelsize=12, colors=theme.text)
    axes.grid(True, color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color(theme.grid)
    return figure, axes


def _legend(axes: Any, theme: Theme, place: str) -> None:
    axes.legend(
        loc=place, fontsize=11, labelcolor=theme.text, facecolor=theme.background, edgecolor=theme.grid, framealpha=0.9
    )


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None})
    return buffer.getvalue()
