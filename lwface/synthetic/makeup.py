"""Make-up of an outing, which tells nothing of who wears it: what is put on, how much of it and in which colours.

Everything is drawn evenly over wide ranges, and each part is at times left out. :mod:`lwface.synthetic.cosmetics` lays
it on the skin. Colours are linear light.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Colour = tuple[float, float, float]
# sRGB of lips from nude over rose, pink, coral and red to wine, plum and brown; of lids; of liners.
LIPS = (
    *((218, 142, 126), (196, 112, 102), (196, 98, 104), (212, 84, 118), (222, 60, 96), (224, 98, 80), (204, 40, 40)),
    *((176, 18, 34), (134, 16, 36), (98, 14, 34), (104, 36, 66), (128, 68, 52), (84, 36, 30)),
)
LIDS = (
    *((150, 112, 88), (112, 78, 60), (74, 52, 44), (128, 112, 104), (60, 56, 58), (168, 116, 112), (138, 84, 92)),
    *((196, 150, 92), (164, 98, 52), (92, 70, 112), (124, 112, 158), (52, 76, 122), (60, 118, 132), (74, 104, 72)),
    *((226, 206, 182), (206, 160, 160), (34, 30, 32)),
)
LINERS = ((14, 12, 14), (14, 12, 14), (14, 12, 14), (58, 38, 28), (70, 66, 68), (28, 40, 84), (30, 70, 62))
PARTS = (0.85, 0.65, 0.75, 0.6, 0.8, 0.85)  # how often each part of a make-up is there, in order
MANS_PARTS = (0.9, 0.25, 0.25, 0.5, 0.25, 0.3)
MUTED = 1.15, 0.96, 0.89  # what a colour without colour is of its mean: warm
BLUSHES = ((1.0, 0.62, 0.64), (1.02, 0.72, 0.58), (0.96, 0.52, 0.58), (0.86, 0.5, 0.5), (1.04, 0.66, 0.7))


class Base(NamedTuple):
    """Foundation and powder over the whole face."""

    cover: float  # share of redness, freckles, blotches and shadows under the eyes that it hides
    tone: Colour  # factors on the colour where it covers
    gloss: float  # factor


class Cheeks(NamedTuple):
    """Blush, contour and highlights; mm on the template."""

    blush: float
    tint: Colour  # factors on the colour at full strength
    x: float
    y: float
    width: float
    height: float
    tilt: float  # how steeply it rises to the side
    contour: float
    highlight: float


class Lids(NamedTuple):
    """Shadow on the lids, and lines along their edges; lengths in mm."""

    cover: float
    colour: Colour
    crease: float  # cover of the darker colour in the fold
    crease_colour: Colour
    reach: float  # share of the way from the lid's edge to the brow
    outside: float  # how far past the outer corner, in half widths of the eye
    below: float  # cover under the lower lid
    gloss: float  # added, as of a shimmer
    line: float  # cover of the line on the upper lid
    line_colour: Colour
    thickness: float
    wing: float  # length past the corner
    lower_line: float


class Brows(NamedTuple):
    """Brows drawn in over one's own; factors and mm on what the person has."""

    cover: float
    tone: float  # of the hair's colour
    thickness: float
    arch: float
    length: float


class LipColour(NamedTuple):
    """Lipstick."""

    cover: float
    colour: Colour
    gloss: float
    height: float  # factor on the heights of the lips
    liner: float  # how much darker their edge is


class Makeup(NamedTuple):
    """All that somebody has put on; None: nothing of it."""

    base: Base | None
    cheeks: Cheeks | None
    lids: Lids | None
    brows: Brows | None
    lips: LipColour | None
    mascara: float  # added to the lashes


def chance(share: float, *, man: bool) -> float:
    """How often somebody is made up where ``share`` of all are: men seldom, while there are women left."""
    woman = min(1.0, 1.8 * share)
    return 2 * share - woman if man else woman


def draw_makeup(rng: np.random.Generator, *, man: bool) -> Makeup:
    """One make-up. What is left out is drawn as well, so that one part's absence moves no other."""
    base, cheeks, lids, brows, lips, lashes = (rng.random(6) < (MANS_PARTS if man else PARTS)).tolist()
    drawn = Makeup(_base(rng), _cheeks(rng), _lids(rng), _brows(rng), _lips(rng), rng.uniform(0.15, 0.9))
    return Makeup(
        drawn.base if base else None,
        drawn.cheeks if cheeks else None,
        drawn.lids if lids else None,
        drawn.brows if brows else None,
        drawn.lips if lips else None,
        drawn.mascara if lashes else 0.0,
    )


def _base(rng: np.random.Generator) -> Base:
    u = rng.uniform
    light, warm, pink = u(0.9, 1.14), u(-0.07, 0.07), u(-0.04, 0.04)
    tone = light * (1 + warm), light * (1 - pink), light * (1 - warm + 0.5 * pink)
    return Base(u(0.25, 1.0), tone, u(0.15, 1.25))


def _cheeks(rng: np.random.Generator) -> Cheeks:
    u = rng.uniform
    tint = BLUSHES[int(rng.integers(len(BLUSHES)))]
    there = rng.random(3) < (0.85, 0.5, 0.5)
    blush, contour, highlight = np.where(there, (u(0.1, 0.8), u(0.15, 0.9), u(0.15, 1.0)), 0.0).tolist()
    return Cheeks(
        blush=blush,
        tint=tint,
        x=u(36, 54),
        y=u(-36, -18),
        width=u(11, 20),
        height=u(7, 13),
        tilt=u(0.0, 0.8),
        contour=contour,
        highlight=highlight,
    )


def _lids(rng: np.random.Generator) -> Lids:
    u = rng.uniform
    shadowed, creased, below, shining, lined, winged, lower = (
        rng.random(7) < (0.85, 0.6, 0.35, 0.4, 0.65, 0.35, 0.35)
    ).tolist()
    colour, crease = (_mixed(rng, LIDS, u(0.0, 0.7)) for _ in range(2))
    dark = u(0.25, 0.9)
    cover, crease_cover, under = u(0.15, 0.85), u(0.15, 0.8), u(0.1, 0.6)
    reach, outside, gloss = u(0.4, 0.95), u(0.0, 0.45), u(0.1, 0.5)
    line, line_colour, thickness, wing, low = u(0.45, 1), _picked(rng, LINERS), u(0.6, 2.6), u(1.5, 8), u(0.2, 0.85)
    return Lids(
        cover=cover * shadowed,
        colour=colour,
        crease=crease_cover * creased * shadowed,
        crease_colour=(dark * crease[0], dark * crease[1], dark * crease[2]),
        reach=reach,
        outside=outside,
        below=under * below,
        gloss=gloss * shining * shadowed,
        line=line * lined,
        line_colour=line_colour,
        thickness=thickness,
        wing=wing * winged,
        lower_line=low * lower,
    )


def _brows(rng: np.random.Generator) -> Brows:
    u = rng.uniform
    return Brows(u(0.3, 0.95), tone=u(0.45, 1.05), thickness=u(0.75, 1.35), arch=u(-0.6, 1.6), length=u(0.95, 1.1))


def _lips(rng: np.random.Generator) -> LipColour:
    u = rng.uniform
    colour = _mixed(rng, LIPS, u(0.0, 0.2))
    gloss = u(0.5, 1.1) if rng.random() < 0.5 else u(0.05, 0.3)
    liner = u(0.1, 0.5) if rng.random() < 0.4 else 0.0
    return LipColour(u(0.35, 1.0), colour, gloss, u(0.97, 1.12), liner)


def _picked(rng: np.random.Generator, palette: tuple[tuple[int, int, int], ...]) -> Colour:
    red, green, blue = ((part / 255) ** 2 for part in palette[int(rng.integers(len(palette)))])
    return red, green, blue


def _mixed(rng: np.random.Generator, palette: tuple[tuple[int, int, int], ...], grey: float) -> Colour:
    """A colour between two of a palette, of which a share ``grey`` is muted."""
    one, other, share = _picked(rng, palette), _picked(rng, palette), rng.random()
    colour = [a + (b - a) * share for a, b in zip(one, other, strict=True)]
    middle = (colour[0] + colour[1] + colour[2]) / 3
    red, green, blue = (c + (m * middle - c) * grey for c, m in zip(colour, MUTED, strict=True))
    return red, green, blue
