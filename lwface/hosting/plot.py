"""The leaderboard as a picture: the figure that ranks against FLOPs, or by team where no model was counted. SVG.

It takes its colours from the page's style sheet, so that it is dark where the page is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from lwface.challenge.kinds import FigureKind
from lwface.hosting.board import Board, BoardEntry, shown_figure

WIDTH, HEIGHT = 440, 320
LEFT, RIGHT, TOP, BOTTOM = 60, 24, 16, 48
NAMES = 130  # pixels of the teams' names
ROW = 26
MOST_ROWS, MOST_NAMES = 30, 20


class Axis(NamedTuple):
    """Numbers ``low`` to ``high`` on pixels ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of ``value``."""
        span = self.high - self.low or 1.0
        return round(self.start + (value - self.low) / span * (self.end - self.start), 1)

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers within, at most ``most`` + 1 of them."""
        span = self.high - self.low or 1.0
        unit = 10.0 ** math.floor(math.log10(span / most))
        step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= most)
        begin = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(begin, math.floor(self.high / step + 1e-9) + 1)]


def plot_board(board: Board) -> str:
    """A figure in HTML; empty where nobody has a place."""
    placed = [entry for entry in board.entries if entry.place is not None]
    if not placed:
        return ""
    counted = [entry for entry in placed if entry.flops]
    return _against_flops(board, counted) if counted else _by_team(board, placed[:MOST_ROWS])


def _tick(figure: FigureKind, value: float) -> str:
    return f"{100 * value:.6g} %" if figure.percent else f"{value:.6g}"


def _ends(board: Board, entry: BoardEntry) -> tuple[float, float]:
    value = entry.figures[board.track.ranks_by]
    return entry.intervals.get(board.track.ranks_by, (value, value))


def _range(board: Board, entries: Sequence[BoardEntry]) -> tuple[float, float]:
    ends = [end for entry in entries for end in _ends(board, entry)]
    low, high = min(ends), max(ends)
    margin = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return low - margin, high + margin


def _against_flops(board: Board, entries: Sequence[BoardEntry]) -> str:
    figure = board.track.figures[0]
    powers = [math.log10(entry.flops or 1) for entry in entries]
    limit = board.track.limits.flops if board.track.limits and board.track.limits.flops else None
    powers += [math.log10(limit)] if limit else []
    across = Axis(math.floor(min(powers) - 0.05), math.ceil(max(powers) + 0.05), LEFT, WIDTH - RIGHT)
    up = Axis(*_range(board, entries), HEIGHT - BOTTOM, TOP)
    parts = [_line("grid", LEFT, up.at(tick), WIDTH - RIGHT, up.at(tick)) for tick in up.ticks()]
    parts += [_text(LEFT - 8, up.at(tick) + 4, _tick(figure, tick), "end") for tick in up.ticks()]
    for tens in range(int(across.low), int(across.high) + 1):
        parts += [_line("grid", across.at(tens), TOP, across.at(tens), HEIGHT - BOTTOM)]
        parts += [_text(across.at(tens), HEIGHT - BOTTOM + 18, f"{10.0**tens:.0e}", "middle")]
    if limit:
        parts += [_line("limit", across.at(math.log10(limit)), TOP, across.at(math.log10(limit)), HEIGHT - BOTTOM)]
    for entry, power in zip(entries, powers, strict=False):
        low, high = _ends(board, entry)
        x, y = across.at(power), up.at(entry.figures[board.track.ranks_by])
        parts += [_line("whisker", x, up.at(low), x, up.at(high)), _dot(x, y, entry, board)]
        parts += [_text(x + 7, y - 5, str(entry.place), "start", "name")] if (entry.place or 0) <= MOST_NAMES else []
    parts += [_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "FLOPs", "middle")]
    limited = "; the dashed line is the limit" if limit else ""
    return _figure(HEIGHT, parts, f"{figure.title} against FLOPs, with places and 95 % intervals{limited}")


def _by_team(board: Board, entries: Sequence[BoardEntry]) -> str:
    figure, name_width = board.track.figures[0], NAMES
    height = TOP + ROW * len(entries) + BOTTOM
    across = Axis(*_range(board, entries), name_width, WIDTH - RIGHT)
    parts = [_line("grid", across.at(tick), TOP, across.at(tick), height - BOTTOM) for tick in across.ticks(3)]
    parts += [_text(across.at(tick), height - BOTTOM + 18, _tick(figure, tick), "middle") for tick in across.ticks(3)]
    for row, entry in enumerate(entries):
        y = TOP + ROW * (row + 0.5)
        low, high = _ends(board, entry)
        parts += [_text(name_width - 10, y + 4, entry.team[:18], "end", "name")]
        parts += [_line("whisker", across.at(low), y, across.at(high), y)]
        parts += [_dot(across.at(entry.figures[board.track.ranks_by]), y, entry, board)]
    parts += [_text((name_width + WIDTH - RIGHT) / 2, height - 8, figure.title, "middle")]
    return _figure(height, parts, f"{figure.title}, with 95 % intervals where there are such")


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _dot(x: float, y: float, entry: BoardEntry, board: Board) -> str:
    value = shown_figure(board.track.figures[0], entry.figures[board.track.ranks_by])
    return f'<circle class="dot" cx="{x}" cy="{y}" r="4.5"><title>{escape(f"{entry.team}: {value}")}</title></circle>'


def _figure(height: float, parts: Sequence[str], caption: str) -> str:
    drawing = f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(caption)}">'
    return f"<figure>{drawing}{''.join(parts)}</svg><figcaption>{escape(caption)}.</figcaption></figure>"
