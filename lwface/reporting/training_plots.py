"""The curves of training runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lwface.reporting.markup import shorten
from lwface.reporting.plots import add_legend, new_axes
from lwface.reporting.themes import LIGHT, MARKERS
from lwface.reporting.training_log import Logged, TrainingRun

HEIGHT = 3.4  # inches
CURVE_MARKERS = 5  # on a curve of many points, to tell it without colour
NAME_WIDTH = 36
SPREAD, SPREAD_OF = "std", ("accuracy",)  # the figure that is another's deviation, and which


def figure_of_steps(runs: Sequence[TrainingRun], figure: str, label: str) -> Figure:
    """A figure of the log over the steps, a curve a run."""
    return _drawn(runs, label, lambda run: [(run.name, run.steps)], figure, sparse=True)


def validation_figure(runs: Sequence[TrainingRun], label: str, figure: str) -> Figure:
    """The merit of every validation set that is judged by ``figure``; of one run a curve a set, of several one each."""
    return _of_packs(runs, label, figure, lambda run: [pack for pack in run.validations if run.merit(pack) == figure])


def norm_figure(runs: Sequence[TrainingRun], label: str, figure: str) -> Figure:
    """``figure`` of every validation set that has it."""
    return _of_packs(runs, label, figure, lambda run: packs_with(run, figure))


def packs_with(run: TrainingRun, figure: str) -> list[str]:
    """The validation sets whose entries have ``figure``."""
    return [pack for pack, entries in run.validations.items() if any(figure in entry.figures for entry in entries)]


def _of_packs(
    runs: Sequence[TrainingRun], label: str, figure: str, packs: Callable[[TrainingRun], list[str]]
) -> Figure:
    def curves(run: TrainingRun) -> list[tuple[str, list[Logged]]]:
        return [(pack if len(runs) == 1 else f"{run.name}: {pack}", run.validations[pack]) for pack in packs(run)]

    return _drawn(runs, label, curves, figure, sparse=False)


def _drawn(
    runs: Sequence[TrainingRun],
    label: str,
    curves: Callable[[TrainingRun], list[tuple[str, list[Logged]]]],
    figure: str,
    *,
    sparse: bool,
) -> Figure:
    drawing, axes = new_axes("step", label, HEIGHT)
    handles, labels = [], []
    for index, (name, entries) in enumerate(curve for run in runs for curve in curves(run)):
        colour, marker = LIGHT.series[index % len(LIGHT.series)], MARKERS[index % len(MARKERS)]
        steps = np.array([entry.step for entry in entries])
        values = np.array([entry.value(figure) for entry in entries])
        every = max(1, len(steps) // CURVE_MARKERS) if sparse else 1
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.7}
        spread = np.array([entry.value(SPREAD) for entry in entries])
        if figure in SPREAD_OF and not np.isnan(spread).all():
            low, high = np.clip((values - spread, values + spread), 0, 1)  # no accuracy lies beyond
            axes.fill_between(steps, low, high, color=colour, alpha=0.14, linewidth=0)
        axes.plot(steps, values, markevery=every, **style)
        handles.append(Line2D([], [], **style))
        labels.append(shorten(name, NAME_WIDTH))
    axes.set_xlim(left=0)
    if len(handles) > 1 or not sparse:
        add_legend(drawing, handles, labels)
    return drawing
