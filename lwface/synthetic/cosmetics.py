"""Lays a make-up on the skin of a picture, before lids, lashes and the mouth are drawn over it.

Foundation fades to a texture of the same person without redness, freckles and shadows; the rest is worked out a pixel
at a time in the template's coordinates, so it stays where it is whatever the pose, and sharp.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.appearance import Appearance
from lwface.synthetic.complexion import weathered
from lwface.synthetic.head import EYE, EYE_HALF_WIDTH
from lwface.synthetic.kernel import clip, hill, kernel, step, table
from lwface.synthetic.makeup import Base, Brows, Cheeks, Lids, LipColour, Makeup
from lwface.synthetic.person import Person
from lwface.synthetic.shading import F, Shown
from lwface.synthetic.texture import (
    ABOVE,
    FRONT,
    LINE,
    LIP_END,
    LIP_GRAIN,
    LOWER,
    UPPER,
    WHITE,
    brow_cover,
    paint,
    settings,
    shared,
)

Floats = NDArray[Any]  # float32 unless said otherwise
Faces = NDArray[np.int32]
EYE_X, HALF_WIDTH = float(EYE[0]), float(EYE_HALF_WIDTH)
LEFT_BARE = 0.35  # of what skin has beyond its paint, under a foundation that covers all


@lru_cache(maxsize=48)
def even_texture(who: Person) -> Floats:
    """The person's texture as under much foundation: the same brows, lips and grain, and little of the rest."""
    look = who.look
    even = replace(
        look,
        redness=0.15 * look.redness,
        freckles=0.1 * look.freckles,
        shadows_under_eyes=0.15 * look.shadows_under_eyes,
        wrinkles=0.7 * look.wrinkles,
    )
    texture = paint(who, even)
    return weathered(texture, who, LEFT_BARE * who.skin) if who.skin else texture


def made_up(shown: Shown, first: int, end: int, who: Person, makeup: Makeup, edges: Floats) -> None:
    """Change the surface of the head, triangles ``first`` to ``end`` of a layer.

    Args:
        edges: (2, 2, N) heights of the lids' edges, as :func:`lwface.synthetic.skin.eye_edges` has them.
    """
    mine = shown.face, first, end, shown.at, shown.surface
    fields = shared()
    if makeup.base is not None:
        _base(*mine, even_texture(who), fields[FRONT], makeup.base)
    if makeup.cheeks is not None:
        _cheeks(*mine, fields[FRONT], makeup.cheeks)
    if makeup.lids is not None:
        _lids(*mine, edges, settings(who.look).astype(np.float64), makeup.lids)
    if makeup.brows is not None:
        look, hair = _drawn_in(who.look, makeup.brows)
        _brows(*mine, fields[FRONT], look, hair, makeup.brows)
    if makeup.lips is not None:
        heights = who.look.lip_height.astype(np.float64) * makeup.lips.height
        _lips(*mine, fields, heights, makeup.lips)


def _drawn_in(look: Appearance, brows: Brows) -> tuple[Floats, Floats]:
    """What :func:`brow_cover` reads of the brows that are drawn in, and their colour (3,)."""
    shape = replace(
        look,
        brow_thickness=max(1.4, look.brow_thickness * brows.thickness),
        brow_arch=look.brow_arch + brows.arch,
        brow_length=look.brow_length * brows.length,
        brow_density=1.0,
    )
    hair, skin = (colour.astype(np.float64) ** 2 for colour in (look.hair, look.skin))
    colour = np.minimum(np.minimum(hair, 0.2), 0.5 * skin) * brows.tone  # darker than the skin, whatever the hair
    return settings(shape), colour


@kernel
def _texel(field: Floats, column: float, row: float) -> float:
    """The value of ``field (SIZE, SIZE)`` at a texture's place, linear between its texels."""
    most = field.shape[0] - 1.001
    column, row = clip(column, 0.0, most), clip(row, 0.0, most)
    left, top = int(column), int(row)
    fx, fy = column - left, row - top
    upper = field[top, left] * (1 - fx) + field[top, left + 1] * fx
    return upper * (1 - fy) + (field[top + 1, left] * (1 - fx) + field[top + 1, left + 1] * fx) * fy


@kernel
def _base(
    face: Faces, first: int, end: int, at: Floats, surface: Floats, even: Floats, front: Floats, base: Base
) -> None:
    """Foundation and powder, down to the jaw."""
    for i in range(face.shape[0]):
        if first <= face[i] < end:
            column, row = np.float64(at[3, i]), np.float64(at[4, i])
            where = _texel(front, column, row) * step(-122.0, -106.0, np.float64(at[8, i]))
            for k in range(3):
                bare, covered = np.float64(surface[k, i]), _texel(even[:, :, k], column, row) / WHITE
                under = bare + (covered - bare) * base.cover
                surface[k, i] = bare + (under * (1 + (base.tone[k] - 1) * base.cover) - bare) * where
            surface[3, i] *= F(1 + (base.gloss - 1) * where)


@kernel
def _hollows(a: float, y: float) -> float:
    """Where contour lies, 0 to 1: under the cheekbones, beside the nose, at the temples, along the jaw."""
    hollow = hill((a - 52) / 15) * hill((y + 43 - 0.65 * (a - 52)) / 6)
    sides = 0.7 * hill((a - 11) / 3) * hill((y + 14) / 18) + 0.6 * hill((a - 60) / 9) * hill((y - 34) / 20)
    jaw = 0.6 * hill((y + 108 - 0.03 * a * a / 4) / 7) * step(8.0, 30.0, a)
    return min(hollow + sides + jaw, 1.0)


@kernel
def _ridges(x: float, y: float) -> float:
    """Where highlights lie, 0 to 1: on cheekbones and nose, under the brows."""
    a = abs(x)
    bone = hill((a - 50) / 10) * hill((y + 15 - 0.35 * (a - 50)) / 5)
    ridge = 0.8 * hill(x / 2.6) * hill((y + 20) / 20) + 0.5 * hill((a - 37) / 9) * hill((y - 11) / 3)
    return min(bone + ridge, 1.0)


@kernel
def _cheeks(face: Faces, first: int, end: int, at: Floats, surface: Floats, front: Floats, cheeks: Cheeks) -> None:
    """Blush, shade under the cheekbones and beside the nose, light on what stands out."""
    for i in range(face.shape[0]):
        if first <= face[i] < end:
            x, y = np.float64(at[7, i]), np.float64(at[8, i])
            a, where = abs(x), _texel(front, np.float64(at[3, i]), np.float64(at[4, i]))
            along, up = a - cheeks.x, y - cheeks.y
            up -= cheeks.tilt * along
            red = cheeks.blush * where * hill(along / cheeks.width) * hill(up / cheeks.height)
            shade = cheeks.contour * where * _hollows(a, y) if cheeks.contour > 0 else 0.0
            glow = cheeks.highlight * where * _ridges(x, y) if cheeks.highlight > 0 else 0.0
            for k in range(3):
                taken = (1 - red * (1 - cheeks.tint[k])) * (1 - shade * (0.30 + 0.08 * k))
                surface[k, i] = F(surface[k, i] * taken * (1 + 0.22 * glow) + red * 0.06 * (cheeks.tint[k] - 0.45))
            surface[3, i] += F(0.35 * glow)


@kernel
def _lids(
    face: Faces, first: int, end: int, at: Floats, surface: Floats, edges: Floats, look: Floats, lids: Lids
) -> None:
    """Shadow between the lids' edges and the brows, and lines along the edges."""
    steps = edges.shape[2] - 1
    for i in range(face.shape[0]):
        x, y = np.float64(at[7, i]), np.float64(at[8, i])
        if first <= face[i] < end and abs(abs(x) - EYE_X) < 30 and -14 < y < 28 and at[2, i] > F(-0.2):
            which, ex = 0 if x < 0 else 1, abs(x) - EYE_X
            t = ex / HALF_WIDTH
            place = (clip(t, -1.0, 1.0) + 1) * (0.5 * steps)
            high, low = table(edges[which, 0], place), table(edges[which, 1], place)
            above, below = y - high, low - y
            rise = (abs(x) - look[16]) / (37 * look[10]) / 0.62 - 1
            brow = look[5] + look[6] * (abs(x) - 30) + look[7] * (1 - rise * rise) - 1
            share = (above - 4 * lids.outside * max(t - 0.7, 0.0)) / max(brow - high, 4.0)
            inside = step(-1.3, -0.75, t) * step(1.2 + lids.outside, 0.75 + 0.6 * lids.outside, t)
            colour = step(lids.reach, 0.1 * lids.reach, share) * inside * step(-1.5, 0.0, above)
            fold = hill((share - 0.42 * lids.reach) / (0.3 * lids.reach)) * step(-0.7, 0.6, t) * inside
            fold *= step(-1.5, 0.0, above)
            under = hill((below - 1.0) / 1.9) * step(-0.9, 0.3, t) * step(1.25, 0.9, t) * step(-1.0, 0.5, below)
            past = max(ex - HALF_WIDTH + 3, 0.0)  # mm
            wide = lids.thickness * (0.45 + 0.55 * step(-0.9, 0.8, t))
            wide *= clip((HALF_WIDTH + lids.wing - ex) / (1.5 + lids.wing), 0.0, 1.0) if t > 1 else 1.0
            edge = above - (0.55 * past if lids.wing > 0 else 0.0)
            line = step(wide + 0.45, wide - 0.45, edge) * step(-1.3, -0.6, edge) * step(-1.05, -0.85, t) * lids.line
            line *= 1.0 if ex < HALF_WIDTH + max(lids.wing, 0.5) else 0.0
            lower = hill((below - 0.4) / 0.9) * step(-0.8, -0.1, t) * step(1.08, 0.92, t) * lids.lower_line
            line = max(line, lower)
            lit = 0.3 + 1.1 * (np.float64(surface[0, i]) + surface[1, i] + surface[2, i]) / 3
            for k in range(3):
                value = np.float64(surface[k, i])
                value += (lids.colour[k] * lit - value) * max(colour * lids.cover, under * lids.below)
                value += (lids.crease_colour[k] * lit - value) * (fold * lids.crease)
                surface[k, i] = value + (lids.line_colour[k] - value) * line
            surface[3, i] = (surface[3, i] + lids.gloss * colour) * (1 - line)


@kernel
def _brows(
    face: Faces,
    first: int,
    end: int,
    at: Floats,
    surface: Floats,
    front: Floats,
    look: Floats,
    hair: Floats,
    brows: Brows,
) -> None:
    """Brows of one colour ``hair (3,)`` over one's own."""
    for i in range(face.shape[0]):
        if first <= face[i] < end and 4 < at[8, i] < 40 and abs(at[7, i]) < 70:
            cover = np.float64(brow_cover(abs(at[7, i]), at[8, i], F(0.55), look)) * brows.cover
            cover *= _texel(front, np.float64(at[3, i]), np.float64(at[4, i]))
            for k in range(3):
                surface[k, i] += (hair[k] - surface[k, i]) * cover


@kernel
def _lips(
    face: Faces, first: int, end: int, at: Floats, surface: Floats, fields: Floats, heights: Floats, lips: LipColour
) -> None:
    """Lips of one colour, a little over their edge at times, ``heights (2,)`` mm at most."""
    for i in range(face.shape[0]):
        if first <= face[i] < end and abs(at[7, i]) < 29 and -92 < at[8, i] < -48:
            column, row = np.float64(at[3, i]), np.float64(at[4, i])
            above = _texel(fields[ABOVE], column, row)
            tall = heights[0] * _texel(fields[UPPER], column, row) - above
            deep = heights[1] * _texel(fields[LOWER], column, row) + above
            inside = tall if above > 0 else deep
            cover = step(-0.8, 0.8, inside) * _texel(fields[LIP_END], column, row) * lips.cover
            tone = 1 - 0.16 * _texel(fields[LIP_GRAIN], column, row)
            tone *= (1 - 0.75 * _texel(fields[LINE], column, row)) * (1 - lips.liner * hill(inside / 1.6))
            own = (np.float64(surface[0, i]) + surface[1, i] + surface[2, i]) / 3
            tone *= min(0.4 + 1.5 * own, 1.05)  # paler where the lips are
            for k in range(3):
                surface[k, i] += (lips.colour[k] * tone - surface[k, i]) * cover
            surface[3, i] += (lips.gloss - surface[3, i]) * min(cover * 1.3, 1.0)
