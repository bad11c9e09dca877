"""Colours and markers of pages and plots."""

from __future__ import annotations

from typing import NamedTuple

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


class Theme(NamedTuple):
    """Colours of a page. ``series`` differ in lightness too, and so for the colour-blind."""

    background: str
    text: str
    grid: str
    genuine: str
    impostor: str
    series: tuple[str, ...]


LIGHT = Theme(
    "#ffffff",
    "#1f2430",
    "#d9dde5",
    "#1769aa",
    "#c2452d",
    ("#1878d8", "#b86a08", "#2f8a74", "#4b1486", "#4a4e00", "#37424d"),
)
DARK = Theme(
    "#171a21",
    "#e6e9ef",
    "#343a46",
    "#6cb6ff",
    "#ff8e72",
    ("#5c98ff", "#d68e38", "#a6f5b8", "#b18fc4", "#ffe65b", "#dde6f2"),
)
