"""The report's plots. Each is drawn for a light page; :func:`dark_svg` recolours it for a dark one.

Text stays text in the SVG, so that a viewer sets names in any script with its own fonts. The same evaluation gives the
same bytes. A model is told by its marker as well as its colour; a dashed line is one drawn from a sample of the pairs.
"""

from __future__ import annotations

import io
import itertools
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from lwface.reporting.markup import far_text, shorten
from lwface.reporting.themes import DARK, LIGHT, MARKERS
from lwface.scoring.operating_points import OperatingPoint
from lwface.scoring.tar_far_result import Breakdown, Roc, ScoreHistogram, TarFarResult

WIDTH = 4.8  # inches: on a phone of 390 pixels, text of 11 points is then as large as the page's small print
DISPLAY_BINS = 120  # of a histogram
CURVE_POINTS = 400  # drawn of a curve
CURVE_MARKERS = 5  # on each curve, to tell it without colour
SAMPLED = (0, (4, 1.6))  # dashes


def roc_figure(evaluations: Sequence[TarFarResult]) -> Figure:
    """TAR over FAR on a logarithmic axis, with interval bands and the operating points."""
    return _rates_figure(evaluations, rejected=False)


def det_figure(evaluations: Sequence[TarFarResult]) -> Figure:
    """FRR (1 - TAR) over FAR, both axes logarithmic, as in NIST's face recognition evaluations."""
    return _rates_figure(evaluations, rejected=True)


def histogram_figure(evaluation: TarFarResult) -> Figure:
    """Density of genuine and impostor scores on a logarithmic axis, with the threshold of each FAR."""
    figure, axes = new_axes("score (cosine)", "density (log)", 4.0)
    for label, histogram, colour in (
        ("impostor pairs", evaluation.impostors, LIGHT.impostor),
        ("genuine pairs", evaluation.genuine, LIGHT.genuine),
    ):
        if histogram is None or not histogram.counts.any():
            continue
        edges, density = _display_bins(histogram)
        style = "--" if histogram.sampled else "-"
        label += " (a sample)" if histogram.sampled else ""
        axes.stairs(density, edges, fill=True, alpha=0.22, color=colour, baseline=0)
        axes.stairs(density, edges, color=colour, linewidth=1.6, linestyle=style, baseline=None, label=label)
    axes.set_yscale("log")
    _mark_thresholds(axes, evaluation.points)
    handles, labels = axes.get_legend_handles_labels()
    add_legend(figure, handles, labels)
    return figure


def breakdown_figure(breakdown: Breakdown, whole: Sequence[OperatingPoint]) -> Figure:
    """TAR and interval of each value of a column, one marker a FAR; dotted lines are the TAR of all pairs."""
    fars = [point.far for point in whole if point.tar is not None]
    step = (0.17 if len(breakdown.groups) < 10 else 0.12) * len(fars) + 0.12  # inches a value
    figure, axes = new_axes("true accept rate", "", 1.25 + step * len(breakdown.groups))
    handles = []
    for index, far in enumerate(fars):
        colour, marker = LIGHT.series[index % len(LIGHT.series)], MARKERS[index % len(MARKERS)]
        shift = (index - (len(fars) - 1) / 2) * min(0.26, 0.8 / len(fars))
        for position, group in enumerate(breakdown.groups):
            point = next((point for point in group.points if point.far == far), None)
            if point is None or point.tar is None:
                continue
            if point.interval is not None:
                axes.plot(point.interval, [position + shift] * 2, color=colour, linewidth=1.6, solid_capstyle="butt")
            axes.plot(point.tar, position + shift, marker=marker, color=colour, markersize=6.5, linestyle="")
        total = next(point.tar for point in whole if point.far == far)
        axes.axvline(total, color=colour, linewidth=1, linestyle=":", zorder=0.5)
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=6.5, linewidth=1.6))
    names = [shorten(group.value, 20) or "(empty)" for group in breakdown.groups]
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(breakdown.groups) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    add_legend(figure, handles, [f"FAR {far_text(far)}" for far in fars], columns=3)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG of 960 pixels' width."""
    return _save(figure, format="png", dpi=200, metadata={"Software": None})


def svg(figure: Figure) -> bytes:
    """The figure as an SVG, its outlines to a hundredth of a point."""
    exact = _save(figure, format="svg", metadata={"Date": None})
    return re.sub(rb' d="[^"]*"', lambda outline: re.sub(rb"(\.\d\d)\d+", rb"\1", outline[0]), exact)


def dark_svg(light: bytes) -> bytes:
    """The SVG of a figure, recoloured for a dark page."""
    pairs = [*zip(LIGHT[:-1], DARK[:-1], strict=True), *zip(LIGHT.series, DARK.series, strict=True)]
    colours = {old.encode(): new.encode() for old, new in pairs}
    return re.sub(rb"#[0-9a-f]{6}", lambda found: colours.get(found[0], found[0]), light)


def _rates_figure(evaluations: Sequence[TarFarResult], *, rejected: bool) -> Figure:
    figure, axes = new_axes(
        "false accept rate (log)", "false reject rate (log)" if rejected else "true accept rate", 3.9
    )
    axes.set_xscale("log")
    several = len(evaluations) > 1
    drawn = [
        _draw_rates(axes, evaluation, index, several=several, rejected=rejected)
        for index, evaluation in enumerate(evaluations)
    ]
    lows, highs = [low for low, _ in drawn], [high for _, high in drawn]
    if rejected:
        axes.set_yscale("log")
        axes.set_ylim(min(lows) / 1.3, max(1, *highs))
    else:
        axes.set_ylim(max(0, np.floor(min(lows) * 10 - 0.5) / 10), 1.01)
    axes.set_xlim(1 / max(evaluation.impostor_pairs for evaluation in evaluations), 1)
    handles, labels = _curve_key(evaluations)
    add_legend(figure, handles, labels)
    return figure


def _draw_rates(
    axes: Any, evaluation: TarFarResult, index: int, *, several: bool, rejected: bool
) -> tuple[float, float]:
    """One evaluation's curve and points; the smallest and largest rate that is drawn."""
    colour, marker = LIGHT.series[index % len(LIGHT.series)], MARKERS[index % len(MARKERS)]
    seen = [1.0]
    if evaluation.roc is not None:
        roc = _drawable(evaluation.roc)
        rate = 1 - roc.tar if rejected else roc.tar
        seen += rate[rate > 0].tolist()
        if roc.low is not None and roc.high is not None:
            low, high = (1 - roc.high, 1 - roc.low) if rejected else (roc.low, roc.high)
            floor = rate[rate > 0].min(initial=1) / 1.3 if rejected else 0
            axes.fill_between(roc.far, np.maximum(low, floor), high, step="post", color=colour, alpha=0.16, linewidth=0)
        rate = np.where(rate > 0, rate, np.nan) if rejected else rate  # zero is nowhere on a logarithmic axis
        for start, stop, exact in _runs(roc.exact):
            axes.plot(
                roc.far[start:stop],
                rate[start:stop],
                color=colour,
                linewidth=1.7,
                linestyle="-" if exact else SAMPLED,
                drawstyle="steps-post",
            )
        places = _marked(roc.far, index) if several else []
        axes.plot(roc.far[places], rate[places], linestyle="", marker=marker, markersize=5, color=colour)
    for point in evaluation.points:
        if point.tar is None or not point.achieved_far or (rejected and point.tar == 1):
            continue
        value = 1 - point.tar if rejected else point.tar
        seen.append(value)
        if point.interval is not None:
            ends = [1 - point.interval.high, 1 - point.interval.low] if rejected else list(point.interval)
            axes.plot([point.achieved_far] * 2, np.maximum(ends, value / 1e3), color=colour, linewidth=1.6)
        edge = {"markeredgecolor": LIGHT.background, "clip_on": False}  # one impostor pair is at the very left
        axes.plot(point.achieved_far, value, marker=marker, markersize=9, color=colour, **edge)
    return min(seen), max(seen)


def _drawable(roc: Roc) -> Roc:
    """About :data:`CURVE_POINTS` points, even on the logarithmic axis, which has no place for a FAR of 0."""
    shown = np.flatnonzero(roc.far > 0)
    if len(shown) > CURVE_POINTS:
        logs = np.log10(roc.far[shown])
        shown = shown[np.unique(np.searchsorted(logs, np.linspace(logs[0], logs[-1], CURVE_POINTS)))]
    low, high = (None if part is None else part[shown] for part in (roc.low, roc.high))
    return Roc(roc.far[shown], roc.tar[shown], roc.threshold[shown], roc.exact[shown], low, high)


def _runs(exact: NDArray[np.bool_]) -> Iterator[tuple[int, int, bool]]:
    """Start, stop and kind of each stretch of points of one kind; a stretch ends on the first point of the next."""
    if not len(exact):
        return
    starts = [0, *(np.flatnonzero(np.diff(exact)) + 1).tolist(), len(exact)]
    for start, stop in itertools.pairwise(starts):
        yield start, min(stop + 1, len(exact)), bool(exact[start])


def _marked(far: NDArray[np.float64], index: int) -> list[int]:
    """Points for the markers of curve ``index``: even on the logarithmic axis, apart from those of its neighbours."""
    if not len(far):
        return []
    ends = np.log10(far[[0, -1]])
    shares = (np.arange(CURVE_MARKERS) + 0.25 + 0.5 * (index % 2)) / CURVE_MARKERS
    return sorted({int(np.abs(np.log10(far) - place).argmin()) for place in ends[0] + shares * (ends[1] - ends[0])})


def _curve_key(evaluations: Sequence[TarFarResult]) -> tuple[list[Any], list[str]]:
    handles: list[Any] = []
    labels = []
    several = len(evaluations) > 1
    for index, evaluation in enumerate(evaluations):
        colour = LIGHT.series[index % len(LIGHT.series)]
        handles.append(Line2D([], [], color=colour, marker=MARKERS[index % len(MARKERS)], markersize=6, linewidth=1.7))
        labels.append(shorten(evaluation.name, 36))
    curves = [evaluation.roc for evaluation in evaluations if evaluation.roc is not None]
    colour = LIGHT.text if several else LIGHT.series[0]
    if any(not curve.exact.all() for curve in curves):
        handles.append(Line2D([], [], color=colour, linewidth=1.7, linestyle=SAMPLED))
        labels.append("from a sample of the impostor pairs")
    if any(curve.low is not None for curve in curves):
        handles.append(Patch(color=colour, alpha=0.2, linewidth=0))
        labels.append("95 % interval")
    return handles, labels


def _display_bins(histogram: ScoreHistogram) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges and density (nan where nothing is) of about :data:`DISPLAY_BINS` bins over the scores that occur."""
    occupied = np.flatnonzero(histogram.counts)
    first, last = int(occupied[0]), int(occupied[-1]) + 1
    starts = np.arange(first, last, max(1, -(-(last - first) // DISPLAY_BINS)))
    edges = histogram.edges[[*starts, last]]
    counts = np.add.reduceat(histogram.counts[:last], starts)
    density = counts / (np.diff(edges) * counts.sum())
    return edges, np.where(density > 0, density, np.nan)


def _mark_thresholds(axes: Any, points: Sequence[OperatingPoint]) -> None:
    """A line for each threshold, named above the plot where there is room between it and the one before."""
    low, high = axes.get_xlim()
    last = -np.inf
    for threshold, far in sorted((point.threshold, point.far) for point in points if point.threshold is not None):
        axes.axvline(threshold, color=LIGHT.text, linewidth=1, linestyle=(0, (3, 2)))
        if threshold - last < 0.036 * (high - low):
            continue
        last = threshold
        axes.annotate(
            f"FAR {far_text(far)}",
            (threshold, 1.02),
            xycoords=("data", "axes fraction"),
            rotation=90,
            va="bottom",
            ha="center",
            fontsize=9.5,
            color=LIGHT.text,
            annotation_clip=False,
        )


def new_axes(horizontal: str, vertical: str, height: float) -> tuple[Figure, Any]:
    """A figure of the reports' width and its only axes, with their labels; ``height`` is in inches."""
    figure = Figure(figsize=(WIDTH, height), facecolor=LIGHT.background, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor=LIGHT.background)
    axes.set_xlabel(horizontal, fontsize=11, color=LIGHT.text)
    axes.set_ylabel(vertical, fontsize=11, color=LIGHT.text)
    axes.tick_params(which="both", labelsize=10.5, color=LIGHT.grid, labelcolor=LIGHT.text)
    axes.grid(True, color=LIGHT.grid, linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_color(LIGHT.grid)
        spine.set_visible(side in ("left", "bottom"))
    return figure, axes


def add_legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str], columns: int = 1) -> None:
    """A legend below the plot; labels are shown as they are, whatever they begin with or look like."""
    if not handles:
        return
    legend = figure.legend(
        handles,
        ["-"] * len(labels),  # set below: a legend would read "$" as mathematics and drop names that begin with "_"
        loc="outside lower left",
        ncols=min(columns, len(labels)),
        fontsize=10,
        labelcolor=LIGHT.text,
        frameon=False,
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_parse_math(False)
        text.set_text(label)


def _save(figure: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "report", "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a PNG shows a box, an SVG the viewer's glyph
        figure.savefig(buffer, facecolor=LIGHT.background, **options)
    return buffer.getvalue()
