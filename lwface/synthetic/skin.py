"""Skin from its texture, with this outing's lipstick; the eyes, worked out a pixel at a time in the template's
coordinates, so always sharp; and what is seen between the lips."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.appearance import Appearance
from lwface.synthetic.cosmetics import made_up
from lwface.synthetic.eyes import corner_line, lower_lid, opened, upper_lid
from lwface.synthetic.head import COLUMNS, EYE, EYE_HALF_WIDTH, MOUTH_HALF_WIDTH, MOUTH_ROW, ROWS, template
from lwface.synthetic.kernel import clip, cos, exp, hill, kernel, sin, step, table
from lwface.synthetic.person import Person
from lwface.synthetic.shading import F, Shown
from lwface.synthetic.shot import Shot
from lwface.synthetic.teeth import draw_teeth
from lwface.synthetic.texture import SIZE as TEXTURE_SIZE
from lwface.synthetic.texture import WHITE

Floats = NDArray[Any]  # float32 unless said otherwise
EYE_X, HALF_WIDTH, MOUTH_WIDTH = float(EYE[0]), float(EYE_HALF_WIDTH), float(MOUTH_HALF_WIDTH)
EDGE_STEPS = 256  # of the tables of lid edges, from corner to corner
TO_COLUMN, TO_ROW = (COLUMNS - 1) / (TEXTURE_SIZE - 1), (ROWS - 1) / (TEXTURE_SIZE - 1)
LASHES = 9  # where they are in what :func:`_eye` reads
JAW = template().expression_names.index("jaw")
STRIP = 2 * (COLUMNS - 1)  # triangles a row of the head's grid


@lru_cache(maxsize=64)
def _lids(look: Appearance) -> Floats:
    """Heights (3, EDGE_STEPS + 1) in mm of the corners' line and of the lids above and under it, float64."""
    t = np.linspace(-1, 1, EDGE_STEPS + 1)
    return np.stack((corner_line(t), upper_lid(t, look), lower_lid(t, look)))


def eye_edges(look: Appearance, shot: Shot) -> Floats:
    """Heights (2, 2, EDGE_STEPS + 1) in mm of the upper and lower lid of the image's left and right eye, float64."""
    line, upper, lower = _lids(look)
    edges = np.empty((2, 2, EDGE_STEPS + 1))
    for eye, opening in zip(edges, shot.lids.tolist(), strict=True):
        eye[0], eye[1] = opened(line, upper, lower, opening)
    return edges


def eye_settings(look: Appearance, shot: Shot, sharp: float) -> Floats:
    """What :func:`_eye` reads (15,), float64; ``sharp`` is how many mm a pixel covers, the width of soft edges."""
    tone = look.iris.astype(np.float64) ** 2 * 1.15
    soft = max(0.35, 0.45 * sharp)
    values = (*shot.lids, *shot.gaze, *shot.light, soft, look.crease, look.lashes, look.iris_radius, *tone, look.white)
    return np.array(values, np.float64)


def surface(
    shown: Shown, first: int, end: int, texture: Floats, who: Person, shot: Shot, sharp: float, head: Floats
) -> None:
    """The surface of the head.

    Args:
        shown: pixels of the layer; the head's are its triangles ``first`` to ``end``.
        texture: of :func:`lwface.synthetic.texture.paint`.
        sharp: mm a pixel covers, the width of soft edges.
        head: (ROWS, COLUMNS, 3), which opens between the lips.
    """
    face, at, look = shown.face, shown.at, who.look
    _painted(face, first, end, at, shown.surface, texture)
    edges, eye = eye_edges(look, shot), eye_settings(look, shot, sharp)
    if shot.session.lip_tint[3] > 0 and (shot.makeup is None or shot.makeup.lips is None):
        _lipstick(face, first, end, at, shown.surface, shot.session.lip_tint)
    if shot.makeup is not None:
        made_up(shown, first, end, who, shot.makeup, edges)
        eye[LASHES] += shot.makeup.mascara
    opened = (head[MOUTH_ROW + 1] - head[MOUTH_ROW]).astype(np.float64) ** 2
    gaps = np.sqrt(opened[:, 0] + opened[:, 1] + opened[:, 2])
    _details(face, first, end, at, shown.surface, edges, eye, gaps)
    if who.teeth:
        draw_teeth(face, first, end, at, shown.surface, who, head, float(shot.expression[JAW]))


@kernel
def _painted(face: NDArray[np.int32], first: int, end: int, at: Floats, surface: Floats, texture: Floats) -> None:
    """Colour and gloss of the texture, linear between its texels."""
    most = F(texture.shape[0] - 1.001)
    for i in range(face.shape[0]):
        if first <= face[i] < end:
            column, row = min(max(at[3, i], F(0)), most), min(max(at[4, i], F(0)), most)
            left, top = np.int32(column), np.int32(row)
            fx, fy = column - F(left), row - F(top)
            a, b, c, d = (F(1) - fx) * (F(1) - fy), fx * (F(1) - fy), (F(1) - fx) * fy, fx * fy
            for k in range(4):
                upper = F(texture[top, left, k]) * a + F(texture[top, left + 1, k]) * b
                lower = F(texture[top + 1, left, k]) * c + F(texture[top + 1, left + 1, k]) * d
                surface[k, i] = (upper + lower) * F(1 / WHITE)
            surface[4, i] = F(1)
            surface[5, i] = surface[6, i] = surface[7, i] = 0


@kernel
def _lipstick(face: NDArray[np.int32], first: int, end: int, at: Floats, surface: Floats, tint: Floats) -> None:
    """Lips in the colour of ``tint (4,)``, whose last is its coverage: where the gloss is that of lips."""
    for i in range(face.shape[0]):
        if first <= face[i] < end and abs(at[7, i]) < 26 and -84 < at[8, i] < -56:
            weight = clip((surface[3, i] - 0.36) / 0.1, 0.0, 1.0) * tint[3]
            tone = 0.6 + (np.float64(surface[0, i]) + surface[1, i] + surface[2, i]) / 3
            for k in range(3):
                surface[k, i] += (tint[k] * tone - surface[k, i]) * weight


@kernel
def _details(
    face: NDArray[np.int32],
    first: int,
    end: int,
    at: Floats,
    surface: Floats,
    edges: Floats,
    eye: Floats,
    gaps: Floats,
) -> None:
    """Eyes and mouth over the skin; ``gaps (COLUMNS,)`` are mm by which the mouth is open."""
    for i in range(face.shape[0]):
        if first <= face[i] < end:
            x, y = np.float64(at[7, i]), np.float64(at[8, i])
            if (face[i] - first) // STRIP == MOUTH_ROW:
                surface[0, i], surface[1, i], surface[2, i], surface[3, i] = _mouth(at[3, i], at[4, i], x, gaps)
            elif abs(abs(x) - EYE_X) < 22 and abs(y) < 15:
                red, green, blue = np.float64(surface[0, i]), np.float64(surface[1, i]), np.float64(surface[2, i])
                red, green, blue, gloss, glint = _eye(red, green, blue, np.float64(surface[3, i]), x, y, edges, eye)
                surface[0, i], surface[1, i], surface[2, i], surface[3, i] = red, green, blue, gloss
                surface[5, i] = surface[6, i] = surface[7, i] = glint


@kernel
def _mouth(column: float, row: float, x: float, gaps: Floats) -> tuple[float, float, float, float]:
    """Colour and gloss of teeth, tongue and dark between the lips."""
    gap = table(gaps, column * TO_COLUMN)
    depth = (row * TO_ROW - MOUTH_ROW) * gap  # mm under the upper lip
    bottom = gap - depth
    r = abs(x) / MOUTH_WIDTH
    edge = 6.5 - 3.0 * r * r + 0.35 * cos(x * (6.283185307179586 / 7.5))
    tooth = step(0.5, -0.5, depth - edge) * step(1.0, 0.7, r)
    lower = step(0.5, -0.5, bottom - 3.2 + 3 * r * r) * step(0.85, 0.6, r) * 0.7 if gap > 9 else 0.0
    between = x + 3.75 - np.floor((x + 3.75) / 7.5) * 7.5 - 3.75
    shade = (0.50 + 0.35 * step(0.0, 3.0, depth)) * (1 - 0.30 * hill(between / 0.45)) * (1 - 0.55 * r * r)
    tongue = step(8.0, 2.0, bottom) * step(0.8, 0.3, r)
    red, green, blue = 0.045 + tongue * 0.20, 0.014 + tongue * 0.06, 0.013 + tongue * 0.06
    for cover, tone in ((tooth, shade), (lower, 0.55 * shade)):
        red += (0.80 * tone - red) * cover
        green += (0.76 * tone - green) * cover
        blue += (0.68 * tone - blue) * cover
    return red, green, blue, 0.3 * tooth


@kernel
def _eye(
    red: float, green: float, blue: float, gloss: float, x: float, y: float, edges: Floats, eye: Floats
) -> tuple[float, float, float, float, float]:
    """Colour and gloss of skin near an eye with the eye in it, and how much of the key light it mirrors."""
    which = 0 if x < 0 else 1
    opening, soft, lashes = eye[which], eye[7], eye[9]
    ex = abs(x) - EYE_X
    t = ex / HALF_WIDTH
    away = abs(t)
    at = (clip(t, -1.0, 1.0) + 1) * (0.5 * EDGE_STEPS)
    high, low = table(edges[which, 0], at), table(edges[which, 1], at)
    above = y - high
    hole = (
        min(step(-soft, soft, -above), step(-soft, soft, y - low)) * step(1.02, 0.94, away) * step(0.02, 0.15, opening)
    )
    # The fold of the upper lid, and the lashes: a dark line above, a thin one below, longer to the outside.
    fold = 0.0
    if away < 1.12:
        fold = hill((above - eye[8] * clip(opening, 0.25, 1.0) - 0.6 * t) / 0.75) * clip(1.15 - t * t, 0.0, 1.0)
        fold *= (0.42 if eye[8] > 1.0 else 0.12) * step(0.1, 0.6, opening)
    reach = 0.55 + (0.35 + 0.9 * lashes) * clip(0.75 + 0.5 * t, 0.3, 1.3) * 0.8
    dark = hill((above - 0.15) / reach) * step(1.14, 0.98, away) * (0.50 + 0.42 * lashes)
    if t > -0.6:
        dark = max(dark, hill((low - y) / 0.75) * step(1.05, 0.9, away) * (0.16 + 0.25 * lashes))
    dark = clip(dark, 0.0, 0.95)
    red, green, blue, wet = red * (1 - fold * 0.55), green * (1 - fold * 0.68), blue * (1 - fold * 0.70), 0.0
    if hole > 0:
        (ball_red, ball_green, ball_blue), wet = _ball(x, y, ex, high, low, eye)
        red += (ball_red - red) * hole
        green += (ball_green - green) * hole
        blue += (ball_blue - blue) * hole
    gloss = gloss * (1 - hole) * (1 - dark) + 0.25 * hole
    return red * (1 - dark * 0.88), green * (1 - dark * 0.92), blue * (1 - dark * 0.93), gloss, wet * hole * (1 - dark)


@kernel
def _ball(
    x: float, y: float, ex: float, high: float, low: float, eye: Floats
) -> tuple[tuple[float, float, float], float]:
    """Colour of the eyeball and where it mirrors the light."""
    white = (1 - 0.30 * step(6.0, 15.0, abs(ex))) * eye[14]
    pink = step(-10.5, -14.0, ex)
    red, green, blue = 0.66 * white, 0.63 * white, 0.60 * white
    red, green, blue = red + (0.50 - red) * pink, green + (0.22 - green) * pink, blue + (0.19 - blue) * pink
    dx, dy = x - (-EYE_X if x < 0 else EYE_X) - eye[2], y - 0.4 - eye[3]
    r = np.sqrt(dx * dx + dy * dy) / eye[10]
    if r < 1.06:
        tone = clip(1.35 - 0.55 * r, 0.5, 1.4) * (1 - 0.75 * step(0.82, 1.0, r)) * step(0.36, 0.44, r)
        tone *= 1 + 0.22 * _fibres(dx, dy, r) * max(1 - r, 0.0)
        cover = step(1.06, 0.96, r)
        red += (eye[11] * tone + 0.004 - red) * cover
        green += (eye[12] * tone + 0.004 - green) * cover
        blue += (eye[13] * tone + 0.004 - blue) * cover
    shade = 1 - 0.62 * exp(-max(high - y, 0.0) / 2.2) - 0.18 * exp(-max(y - low, 0.0) / 1.2)
    spot_x, spot_y = dx - 3.2 * eye[4], dy - 3.2 * eye[5] * 0.8
    return (red * shade, green * shade, blue * shade), exp(-(spot_x * spot_x + spot_y * spot_y) / 1.1)


@kernel
def _fibres(dx: float, dy: float, r: float) -> float:
    """The pattern -1..1 of an iris at ``dx, dy`` mm from its centre, ``r`` of its radii."""
    small, large = min(abs(dx), abs(dy)), max(abs(dx), abs(dy), 1e-9)
    q = small / large
    s = q * q
    # The arc tangent (Hastings, "Approximations for digital computers", 1955, sheet 11: error under 1e-4).
    angle = q * (0.9998660 + s * (-0.3302995 + s * (0.1801410 + s * (-0.0851330 + s * 0.0208351))))
    if abs(dy) > abs(dx):
        angle = 1.5707963267948966 - angle
    if dx < 0:
        angle = 3.141592653589793 - angle
    if dy < 0:
        angle = -angle
    return sin(angle * 17 + 3 * r) * sin(angle * 29 + 1.3)
