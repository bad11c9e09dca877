"""A person's own teeth: colour, widths and lengths, gaps, crooked ones, what is missing, dark, gold or braced.

They stay where they are in skull and jaw while the lips move over them, so a grin shows more of them than speech does,
and of some people the gum. Everything is drawn evenly over wide ranges. Lengths are mm, colours linear light.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.head import COLUMNS, MOUTH_HALF_WIDTH, MOUTH_ROW, ROWS, template
from lwface.synthetic.kernel import clip, hill, kernel, step, table
from lwface.synthetic.person import STREAM_TEETH, Person, generator
from lwface.synthetic.texture import SIZE as TEXTURE_SIZE

Floats = NDArray[Any]  # float32 unless said otherwise
Doubles = NDArray[np.float64]
# Of half a row from the middle: widths as seen from in front (Wheeler's Dental Anatomy: 8.5 and 6.5 mm of the first two
# above, 5 and 5.5 below; further back they turn away), how much shorter they are than the first, how pointed.
UPPER = ((8.6, 6.7, 6.6, 5.4, 4.4, 3.6), (0.0, 0.7, 0.1, 0.7, 1.0, 1.4), (0.0, 0.0, 1.5, 0.7, 0.4, 0.3))
LOWER = ((5.3, 5.8, 6.2, 5.6, 4.8, 4.2), (0.0, 0.0, -0.3, 0.3, 0.7, 1.1), (0.0, 0.0, 1.3, 0.6, 0.4, 0.3))
USUAL = np.array((0.80, 0.76, 0.68))  # everybody's where nothing is asked for
WHITE, YELLOW, GREY = np.array(((0.95, 0.94, 0.91), (0.66, 0.50, 0.20), (0.60, 0.55, 0.47)))
GOLD, METAL = (0.78, 0.50, 0.10), (0.42, 0.43, 0.46)
MOUTH_WIDTH = float(MOUTH_HALF_WIDTH)
TO_COLUMN, TO_ROW = (COLUMNS - 1) / (TEXTURE_SIZE - 1), (ROWS - 1) / (TEXTURE_SIZE - 1)
TOOTH = X, HALF, EDGE, HEIGHT, SLANT, POINT, RED, GREEN, BLUE, BRACKET = range(10)  # what is kept of each


class Jaw(NamedTuple):
    """One row of teeth, those that stand further out last."""

    teeth: Doubles  # (N, len(TOOTH)); places, half widths and lengths, what they lean, colour
    height: float  # of the crowns, from edge to gum
    arc: float  # how much higher the edges are 25 mm from the middle, towards the gum
    cant: float  # slope of the whole row
    wire: float  # cover of a braces' wire


class Teeth(NamedTuple):
    """A mouth's."""

    upper: Jaw
    lower: Jaw
    shown: float  # how far the upper ones reach below the lip at rest
    risen: float  # how far the lower ones reach above theirs
    gum: Doubles  # (3,) colour


class Draw:
    """Draws of a person: ``amount`` times as far from the middle, by a third over the range at most."""

    def __init__(self, rng: np.random.Generator, amount: float) -> None:
        self.rng, self.far, self.often = rng, min(amount, 1 + max(amount - 1, 0) / 9), min(amount, 1.5)

    def __call__(self, middle: float, reach: float) -> float:
        """A number evenly from ``reach`` about ``middle``."""
        return middle + self.far * self.rng.uniform(-reach, reach)

    def happens(self, share: float) -> bool:
        """Whether what is so of this ``share`` of people at an amount of 1 is so here."""
        return bool(self.rng.random() < share * self.often)


@lru_cache(maxsize=64)
def own_teeth(who: Person) -> Teeth:
    """The teeth of a person."""
    draw = Draw(generator(who.seed, who.identity, 0, STREAM_TEETH), who.teeth)
    colour, braced = _colour(draw), draw.happens(0.1)
    size, spacing = draw(1.0, 0.13), max(0.0, draw(-0.35, 1.1))
    crooked = max(0.0, draw(0.2, 0.9))
    middle = draw.rng.uniform(0.8, 3.4) if draw.happens(0.2) else 0.0
    upper = _jaw(draw, UPPER, size, (middle, spacing, 0.75 * crooked), draw(9.0, 1.7), colour, braced=braced)
    both = braced and draw.rng.random() < 0.6
    lower = _jaw(draw, LOWER, size, (0.0, 0.7 * spacing, crooked), draw(8.0, 1.2), 0.93 * colour, braced=both)
    gum = np.array((0.42, 0.15, 0.15)) * (1 + draw(0.0, 0.25)) * (1, 1 + draw(0.0, 0.2), 1 + draw(0.0, 0.2))
    return Teeth(upper, lower, draw(5.2, 2.8), draw(0.5, 2.2), gum)


def _colour(draw: Draw) -> Doubles:
    """From bleached to yellow or grey."""
    worn, grey = draw.rng.random(), draw.rng.random()
    aged = YELLOW + (GREY - YELLOW) * grey
    return USUAL + (WHITE + (aged - WHITE) * worn - USUAL) * min(draw.far, 1.0)


def _jaw(
    draw: Draw,
    usual: tuple[tuple[float, ...], ...],
    size: float,
    apart: tuple[float, float, float],
    height: float,
    colour: Doubles,
    *,
    braced: bool,
) -> Jaw:
    """A row: ``apart`` is the gap in the middle, that between all others, and how crooked they are."""
    middle, spacing, crooked = apart
    shift, lateral, rows = draw(0.0, 1.2), draw(0.0, 0.9), []
    second, canine, worn = draw(0.94, 0.2), draw(1.0, 0.12), draw(0.7, 0.6)
    for side in (-1, 1):
        at = middle / 2
        for place, (wide, short, point) in enumerate(zip(*usual, strict=True)):
            wide *= size * {1: second, 2: canine}.get(place, 1.0)
            turned, off, lean, length, tone = draw.rng.uniform(-1.7, 1.7, 5) * crooked
            edge = short + (lateral if place == 1 else 0.0) + 0.75 * length
            x = shift + side * (at + wide / 2) + 0.6 * off
            shade = colour * (0.94 if place == 2 else 1.0) * (1 + 0.07 * tone)
            half = 0.5 * wide * (1 + 0.07 * tone - 0.09 * abs(turned))
            rows.append((x, half, edge, height - 0.6 * short, 0.12 * lean, point * worn, *shade, float(braced)))
            at += wide + spacing
    teeth = _odd(draw, np.array(rows), braced=braced)
    outermost = teeth[np.argsort(teeth[:, RED] + teeth[:, HALF] * 1e-3, kind="stable")]
    return Jaw(outermost, height, draw(1.4, 1.8), draw(0.0, 0.04), 0.8 * braced)


def _odd(draw: Draw, teeth: Doubles, *, braced: bool) -> Doubles:
    """With a dark one, gold ones, or without one, of some people."""
    half = len(teeth) // 2
    if draw.happens(0.1):
        teeth[int(draw.rng.integers(3)) + half * int(draw.rng.integers(2)), RED : BLUE + 1] *= (0.42, 0.34, 0.28)
    if draw.happens(0.08) and not braced:
        for _ in range(int(draw.rng.integers(1, 4))):
            teeth[int(draw.rng.integers(1, 5)) + half * int(draw.rng.integers(2)), RED : BLUE + 1] = GOLD
    if not draw.happens(0.13):
        return teeth
    lost = draw.rng.choice(half, int(draw.rng.integers(1, 3)), replace=False, p=(0.12, 0.2, 0.16, 0.26, 0.16, 0.10))
    return np.delete(teeth, lost + half * int(draw.rng.integers(2)), axis=0)


@lru_cache(maxsize=1)
def _drop() -> float:
    """How far the jaw's teeth go down as it opens fully, as the lower lip in its middle does."""
    movements = template().expression_modes.reshape(-1, ROWS, COLUMNS, 3)
    return float(movements[template().expression_names.index("jaw"), MOUTH_ROW + 1, COLUMNS // 2, 1])


def draw_teeth(
    face: NDArray[np.int32], first: int, end: int, at: Floats, surface: Floats, who: Person, head: Floats, jaw: float
) -> None:
    """What is seen between the lips, over what :func:`lwface.synthetic.skin.surface` drew there.

    Args:
        head: (ROWS, COLUMNS, 3) with an expression, which opens between the lips.
        jaw: how far open it is, 0 to 1.
    """
    teeth, rest = own_teeth(who), who.vertices[MOUTH_ROW : MOUTH_ROW + 2, COLUMNS // 2, 1].tolist()
    lips = head[MOUTH_ROW : MOUTH_ROW + 2].astype(np.float64)
    levels = rest[0] - teeth.shown, rest[1] + teeth.risen + jaw * _drop()
    _between_lips(face, first, end, at, surface, lips, teeth.upper, teeth.lower, levels, teeth.gum)


@kernel
def _between_lips(
    face: NDArray[np.int32],
    first: int,
    end: int,
    at: Floats,
    surface: Floats,
    lips: Doubles,
    upper: Jaw,
    lower: Jaw,
    levels: tuple[float, float],
    gum: Doubles,
) -> None:
    """Dark and tongue, and before them both rows; ``lips (2, COLUMNS, 3)``, ``levels`` are the heights of the edges."""
    for i in range(face.shape[0]):
        if first <= face[i] < end and (face[i] - first) // (2 * (COLUMNS - 1)) == MOUTH_ROW:
            column = at[3, i] * TO_COLUMN
            down = clip(at[4, i] * TO_ROW - MOUTH_ROW, 0.0, 1.0)
            x, top, bottom = table(lips[0, :, 0], column), table(lips[0, :, 1], column), table(lips[1, :, 1], column)
            y, r = top + (bottom - top) * down, abs(x) / MOUTH_WIDTH
            tongue = step(8.0, 2.0, y - bottom) * step(0.8, 0.3, r)
            colour = 0.045 + tongue * 0.20, 0.014 + tongue * 0.06, 0.013 + tongue * 0.06
            back = 1 - 0.5 * min(r * r, 1.3)
            below = (0.50 + 0.25 * step(0.0, 3.0, top - y)) * back
            colour, wet = _row(colour, 0.0, x, levels[1] - y, lower, gum, below)
            above = (0.50 + 0.40 * step(0.0, 3.5, top - y)) * back
            colour, wet = _row(colour, wet, x, y - levels[0], upper, gum, above)
            surface[0, i], surface[1, i], surface[2, i], surface[3, i] = colour[0], colour[1], colour[2], 0.35 * wet


@kernel
def _row(
    colour: tuple[float, float, float], wet: float, x: float, height: float, jaw: Jaw, gum: Doubles, light: float
) -> tuple[tuple[float, float, float], float]:
    """Lay a row of teeth and its gum over a colour, ``height`` mm from the edges of its first towards the gum."""
    red, green, blue = colour
    height -= jaw.arc * (x / 25) * (x / 25) + jaw.cant * x
    flesh = step(jaw.height - 2.6, jaw.height - 1.4, height)
    red, green, blue = (
        red + (gum[0] * light - red) * flesh,
        green + (gum[1] * light - green) * flesh,
        blue + (gum[2] * light - blue) * flesh,
    )
    wet += (0.8 - wet) * flesh
    for k in range(jaw.teeth.shape[0]):
        tooth = jaw.teeth[k]
        across = x - tooth[X]
        up = height - tooth[EDGE] - tooth[SLANT] * across
        half = tooth[HALF] * (1 - 0.13 * clip(up / tooth[HEIGHT], 0.0, 1.0))
        d = across / half
        if abs(d) < 1.3:
            s, soft = min(d * d, 1.5), 0.3 / half
            edge, neck = 0.9 * s * s + tooth[POINT] * min(abs(d), 1.0), tooth[HEIGHT] - tooth[EDGE] - 1.3 * s
            cover = step(-0.35, 0.35, up - edge) * step(0.4, -0.4, up - neck) * step(1 + soft, 1 - soft, abs(d))
            tone = light * (1 - 0.22 * s * s) * (1 - 0.10 * step(1.6, 0.0, up - edge))
            yellow = 1 - 0.14 * step(0.4 * neck, neck, up)
            red += (tooth[RED] * tone - red) * cover
            green += (tooth[GREEN] * tone * (0.3 + 0.7 * yellow) - green) * cover
            blue += (tooth[BLUE] * tone * yellow - blue) * cover
            wet += (1 - wet) * cover
            bracket = tooth[BRACKET] * step(1.9, 1.3, abs(across)) * step(1.9, 1.3, abs(up - 0.5 * tooth[HEIGHT]))
            red, green, blue = _metal(red, green, blue, bracket * cover, light)
    wire = jaw.wire * hill((height - 0.5 * jaw.height) / 0.55) * step(26.0, 23.0, abs(x))
    return _metal(red, green, blue, wire, 0.85 * light), wet


@kernel
def _metal(red: float, green: float, blue: float, cover: float, light: float) -> tuple[float, float, float]:
    return (
        red + (METAL[0] * light - red) * cover,
        green + (METAL[1] * light - green) * cover,
        blue + (METAL[2] * light - blue) * cover,
    )
