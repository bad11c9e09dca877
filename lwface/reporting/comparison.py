"""Two faces side by side, with what their score means, as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lwface.base.files import PathLike, replacing
from lwface.reporting.markup import clean, shorten
from lwface.reporting.plots import png
from lwface.reporting.themes import LIGHT

NAME_WIDTH, LINE_WIDTH = 28, 72  # characters of a file's name under its face, and of a line: what the width holds
WIDTH, MARGIN, GAP = 4.8, 0.05, 0.1  # inches; two faces and the gap fill the width
FACE = (WIDTH - 2 * MARGIN - GAP) / 2
HEAD, NAME, LINE, FOOT = 0.75, 0.35, 0.26, 0.1  # heights, from the top down


def write_comparison(
    path: PathLike, faces: Sequence[np.ndarray], names: Sequence[str], headline: Sequence[str], lines: Sequence[str]
) -> None:
    """Write ``path`` as a PNG, 960 pixels wide.

    Args:
        path: of the picture.
        faces: two, (H, W, 3) uint8 RGB, as the network saw them.
        names: two, shown below them.
        headline: a line or two: the score and the verdict.
        lines: what explains them; one that is too long for the width goes on below.
    """
    lines = [row for line in lines for row in textwrap.wrap(clean(line), LINE_WIDTH)]
    height = HEAD + FACE + NAME + LINE * len(lines) + FOOT
    figure = Figure(figsize=(WIDTH, height), facecolor=LIGHT.background)
    FigureCanvasAgg(figure)

    def write(text: str, x: float, y: float, width: int, **style: object) -> None:
        """``text`` around a place in inches from the top left; names may look like formulas."""
        label = figure.text(x / WIDTH, 1 - y / height, "", ha="center", va="center", color=LIGHT.text, parse_math=False)
        label.set(text=shorten(text, width), **style)

    for number, text in enumerate(headline):
        middle = HEAD * (number + 1) / (len(headline) + 1)
        write(text, WIDTH / 2, middle, LINE_WIDTH, fontsize=13, weight="normal" if number else "bold")
    for place, (face, name) in enumerate(zip(faces, names, strict=True)):
        left = MARGIN + place * (FACE + GAP)
        axes = figure.add_axes((left / WIDTH, 1 - (HEAD + FACE) / height, FACE / WIDTH, FACE / height))
        axes.imshow(face, interpolation="nearest")
        axes.axis("off")
        write(name, left + FACE / 2, HEAD + FACE + NAME / 2, NAME_WIDTH, fontsize=9)
    for number, text in enumerate(lines):
        write(text, WIDTH / 2, HEAD + FACE + NAME + LINE * (number + 0.5), LINE_WIDTH, fontsize=8.5)
    with replacing(path) as file:
        file.write(png(figure))
