"""TAR against FLOPs of all networks of a search, as PNG and SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from lwface.base.files import replacing
from lwface.gate.budgets import Track
from lwface.gate.flops import flops_text
from lwface.reporting.themes import LIGHT
from lwface.search.results import BASELINE, COMPLETE, PRUNED, Row, front, winner_of

MARKERS = {"mobile": "o", "residual": "s"}
COLOURS = {"mobile": LIGHT.genuine, "residual": "#7a4fa3"}
LIMIT_COLOUR = LIGHT.impostor
BASELINE_COLOUR = "#4d5566"
SIZE = 64  # of a marker, in square points
ROOM = 40  # pixels between two labelled points
NEAR_LIMIT = 0.5  # share of the limit from which a linear axis shows the networks well


def write_plots(folder: Path, rows: Sequence[Row], track: Track, *, far: str, proxy: str) -> tuple[Path, Path]:
    """Draw ``pareto.png`` and ``pareto.svg`` into ``folder``; their paths.

    Trials trained to the end are filled, pruned ones faint at the TAR they had when they were stopped; the line joins
    the front; the winner has a ring; the vertical line is the track's limit.

    Args:
        far: the FAR of the TAR, as text.
        proxy: how the networks were trained, in words.
    """
    with matplotlib.rc_context({"svg.hashsalt": "search", "svg.fonttype": "none"}):  # equal searches, equal files
        figure = _figure(rows, track, far, proxy)
        paths = folder / "pareto.png", folder / "pareto.svg"
        for path, metadata in zip(paths, ({"Software": None}, {"Date": None}), strict=True):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=path.suffix[1:], metadata=metadata)
            with replacing(path) as file:
                file.write(buffer.getvalue())
    return paths


def _figure(rows: Sequence[Row], track: Track, far: str, proxy: str) -> Figure:
    figure = Figure(figsize=(8, 5.2), dpi=150, facecolor=LIGHT.background, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor=LIGHT.background)
    _style(axes)
    best = front(rows)
    axes.plot(
        [row.flops for row in best],
        [row.tar for row in best],
        color=LIGHT.text,
        linewidth=1.4,
        drawstyle="steps-post",
        zorder=2,
        label="front",
    )
    axes.plot([best[-1].flops, track.flops], [best[-1].tar] * 2, color=LIGHT.text, linewidth=1, alpha=0.3, zorder=1)
    _baselines(axes, [row for row in rows if row.state == BASELINE])
    for family in MARKERS:
        for state, alpha in ((COMPLETE, 1.0), (PRUNED, 0.25)):
            _points(axes, [r for r in rows if r.family == family and r.state == state], family, state, alpha)
    winner = winner_of(rows)
    if winner:
        axes.scatter(
            [winner.flops], [winner.tar], s=SIZE * 4, facecolors="none", edgecolors=LIMIT_COLOUR, linewidths=2, zorder=4
        )
    axes.set_title(f"{track.name}: {proxy}", fontsize=12, color=LIGHT.text, loc="left")
    axes.set_xlabel("FLOPs of the network", fontsize=12, color=LIGHT.text)
    axes.set_ylabel(f"TAR at FAR {far}, held-out people", fontsize=12, color=LIGHT.text)
    _limit(axes, rows, track)
    top = max(row.tar for row in rows)
    axes.set_ylim(0, min(1.02, top * 1.18 + 0.01))
    _label(axes, rows, best, winner)
    axes.legend(loc="best", fontsize=10, labelcolor=LIGHT.text, framealpha=0.9, edgecolor=LIGHT.grid)
    return figure


def _points(axes: Any, rows: Sequence[Row], family: str, state: str, alpha: float) -> None:
    if rows:
        axes.scatter(
            [row.flops for row in rows],
            [row.tar for row in rows],
            s=SIZE,
            marker=MARKERS[family],
            color=COLOURS[family],
            alpha=alpha,
            linewidths=0,
            zorder=3,
            label=f"{family}{', pruned' if state == PRUNED else ''}",
        )


def _baselines(axes: Any, rows: Sequence[Row]) -> None:
    if rows:
        axes.scatter(
            [row.flops for row in rows],
            [row.tar for row in rows],
            s=SIZE * 1.2,
            marker="D",
            color=BASELINE_COLOUR,
            linewidths=0,
            zorder=3,
            label="baseline",
        )


def _label(axes: Any, rows: Sequence[Row], best: Sequence[Row], winner: Row | None) -> None:
    """The winner, the baselines by name, and the numbers of the other trials on the front where there is room."""
    places: list[Any] = []

    def label(row: Row, text: str, *, must: bool, **style: Any) -> None:
        place = axes.transData.transform((row.flops, row.tar))  # pixels
        if must or all(max(abs(place - other)) > ROOM for other in places):
            places.append(place)
            _text(axes, row, text, **style)

    if winner:
        label(winner, f"trial {winner.name}: {winner.tar:.3f}", must=True, bold=True)
    for row in rows:
        if row.state == BASELINE:
            label(row, row.name, must=True, below=True)
    for row in best:
        if row.state == COMPLETE and row is not winner:
            label(row, row.name, must=False)


def _text(axes: Any, row: Row, text: str, *, bold: bool = False, below: bool = False) -> None:
    axes.annotate(
        text,
        (row.flops, row.tar),
        xytext=(6, -5) if below else (0, 11),  # beside the front, which goes up and to the right
        textcoords="offset points",
        ha="left" if below else "center",
        va="top" if below else "bottom",
        fontsize=10,
        fontweight="bold" if bold else "normal",
        color=LIGHT.text,
        zorder=5,
    )


def _limit(axes: Any, rows: Sequence[Row], track: Track) -> None:
    """The track's limit as a line; where all networks are far below it, on a logarithmic axis."""
    smallest, largest = (choose(row.flops for row in rows) for choose in (min, max))
    if largest >= NEAR_LIMIT * track.flops:
        axes.set_xlim(0, track.flops * 1.04)
    else:
        axes.set_xscale("log")
        axes.set_xlim(smallest / 1.3, track.flops * 1.1)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _flops(value)))
    axes.axvline(track.flops, color=LIMIT_COLOUR, linewidth=1.6, linestyle="--", zorder=1)
    axes.annotate(
        f"limit of {track.name}, {flops_text(track.flops)}",
        (track.flops, 0.03),
        xycoords=("data", "axes fraction"),
        xytext=(-4, 0),
        textcoords="offset points",
        rotation=90,
        ha="right",
        va="bottom",
        fontsize=10,
        color=LIMIT_COLOUR,
    )


def _flops(value: float) -> str:
    """A tick's text: 200M, 1.2G."""
    return flops_text(value).replace(".0", "") if value else "0"


def _style(axes: Any) -> None:
    axes.tick_params(which="both", labelsize=11, colors=LIGHT.text)
    axes.grid(True, color=LIGHT.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(LIGHT.grid)
