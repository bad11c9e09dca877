"""Light, and the materials it falls on but skin, cloth and lenses. All colours are linear light in 0..1.

A layer's pixels are arrays of a row for each attribute: a loop over the pixels becomes wide instructions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic import wide
from lwface.synthetic.kernel import kernel
from lwface.synthetic.raster import Hits
from lwface.synthetic.shot import Shot

Floats = NDArray[Any]  # float32 unless said otherwise
F = np.float32
_ALL = np.empty(0, np.float32)
FLAT, RIBBED, FOLDED = range(3)  # the patterns of plain materials
SECOND = 20  # where a second light begins in what :func:`light_of` makes
STRAND_EDGE = 9.0  # mm by which single strands reach over or fall short of the hair's edge


@dataclass(frozen=True)
class Shown:
    """The visible pixels (P,) of a layer, and what their materials say before light falls on them."""

    pixel: NDArray[np.int32]  # (P,) index into the flat image
    face: NDArray[np.int32]  # (P,) which triangle of the layer
    at: Floats  # (9, P) attributes: normal (3), detail (2), ambient, lit, extra (2)
    surface: Floats  # (8, P) linear colour (3), gloss, softness (0 or 1), shares of the key light that it mirrors (3)

    @classmethod
    def of(cls, hits: Hits, values: Floats) -> Shown:
        """The pixels of ``hits`` with attributes (V, 9) of their vertices."""
        return cls(hits.pixel, hits.face, hits.interpolate(values), np.empty((8, len(hits.pixel)), np.float32))


def light_of(shot: Shot) -> Floats:
    """What :func:`lit` reads of a shot (20,): key light, half way to the viewer, colours, rim light, shadow.

    With a second light (26,), whose direction and colour come last.
    """
    towards = shot.light.astype(np.float64)
    half = towards + np.array((0, 0, 1))
    half /= np.sqrt(half[0] * half[0] + half[1] * half[1] + half[2] * half[2])
    second = () if shot.second is None else shot.second
    return np.concatenate(
        (towards, half, shot.key, shot.sky, shot.ground, shot.rim, (shot.shadow,), second),
        dtype=np.float32,
        casting="same_kind",
    )


def draw(canvas: Floats, shown: Shown, cover: Floats | None, light: Floats) -> None:
    """Light a layer and lay it over ``canvas (N, 3)`` with ``cover (P,)``; None: all of it."""
    colour = np.empty((3, len(shown.pixel)), np.float32)
    lit(shown.at, shown.surface, light, colour)
    if len(light) > SECOND:
        _lit_again(shown.at, shown.surface, light[SECOND:], colour)
    _put(canvas, shown.pixel, colour, _ALL if cover is None else cover)


@kernel
def lit(at: Floats, surface: Floats, light: Floats, colour: Floats) -> None:
    """Colour (3, P) of lit surfaces: wrapped Lambert key and rim lights, sky and ground, a Blinn highlight.

    Light bleeds round the terminator: a little, and red the furthest on what is soft, as under skin.
    """
    lx, ly, lz, hx, hy, hz = light[0], light[1], light[2], light[3], light[4], light[5]
    key0, key1, key2, ground0, ground1, ground2 = light[6], light[7], light[8], light[12], light[13], light[14]
    sky0, sky1, sky2 = light[9] - ground0, light[10] - ground1, light[11] - ground2
    rim, rim0, rim1, rim2 = light[15] * F(0.9), light[16], light[17], light[18]
    shadow, rest = light[19], F(1) - light[19]
    hard0, hard1, hard2 = key0 / F(1.1), key1 / F(1.1), key2 / F(1.1)
    soft0, soft1, soft2 = key0 / F(1.30) - hard0, key1 / F(1.16) - hard1, key2 / F(1.11) - hard2
    for i in range(colour.shape[1]):
        x, y, z, ambient, soft = at[0, i], at[1, i], at[2, i], at[5, i], surface[4, i]
        scale = F(1) / np.sqrt(max(x * x + y * y + z * z, F(1e-8)))
        facing = (x * lx + y * ly + z * lz) * scale
        visible = at[6, i] * shadow + rest
        up = y * scale * F(0.5) + F(0.5)
        shine = max((x * hx + y * hy + z * hz) * scale, F(0))
        shine = shine * shine
        shine = shine * shine
        shine = shine * shine * shine * (F(0.06) + F(0.22) * shine * shine) * surface[3, i] * visible
        shine = shine if facing > F(-0.1) else F(0)
        side = max(x * scale * rim - z * scale * F(0.35), F(0))
        total0 = max(facing + (F(0.1) + F(0.20) * soft), F(0)) * visible * (hard0 + soft * soft0)
        total1 = max(facing + (F(0.1) + F(0.06) * soft), F(0)) * visible * (hard1 + soft * soft1)
        total2 = max(facing + (F(0.1) + F(0.01) * soft), F(0)) * visible * (hard2 + soft * soft2)
        colour[0, i] = (total0 + (up * sky0 + ground0) * ambient + side * rim0) * surface[0, i] + (
            shine + surface[5, i]
        ) * key0
        colour[1, i] = (total1 + (up * sky1 + ground1) * ambient + side * rim1) * surface[1, i] + (
            shine + surface[6, i]
        ) * key1
        colour[2, i] = (total2 + (up * sky2 + ground2) * ambient + side * rim2) * surface[2, i] + (
            shine + surface[7, i]
        ) * key2


@kernel
def _lit_again(at: Floats, surface: Floats, light: Floats, colour: Floats) -> None:
    """Add a second light, wrapped Lambert without shadows but those of the surface itself, to ``colour (3, P)``."""
    for i in range(colour.shape[1]):
        x, y, z = at[0, i], at[1, i], at[2, i]
        scale = F(1) / np.sqrt(max(x * x + y * y + z * z, F(1e-8)))
        facing = max((x * light[0] + y * light[1] + z * light[2]) * scale + F(0.12), F(0)) * F(0.9) * at[5, i]
        for k in range(3):
            colour[k, i] += facing * light[3 + k] * surface[k, i]


@kernel
def _put(canvas: Floats, pixel: NDArray[np.int32], colour: Floats, cover: Floats) -> None:
    for i in range(pixel.shape[0]):
        for k in range(3):
            below = canvas[pixel[i], k]
            canvas[pixel[i], k] = below + (colour[k, i] - below) * (cover[i] if cover.shape[0] else F(1))


@kernel
def plain(
    face: NDArray[np.int32],
    first: int,
    end: int,
    at: Floats,
    surface: Floats,
    colour: Floats,
    pattern: int,
    gloss: float,
    soft: float,
) -> None:
    """The surface of a part of one ``colour (3,)``, its triangles ``first`` to ``end``: ears, hands, masks, caps."""
    for i in range(face.shape[0]):
        if first <= face[i] < end:
            tone = F(1)
            if pattern == RIBBED:
                tone = F(0.88) + F(0.12) * wide.cos(at[4, i] * F(0.9))
            elif pattern == FOLDED:
                tone = F(1) - F(0.22) * wide.hill((wide.modulo(at[4, i], 15.0) - F(7)) / F(1.1))
            for k in range(3):
                surface[k, i] = colour[k] * tone
            surface[3, i], surface[4, i] = gloss, soft
            surface[5, i] = surface[6, i] = surface[7, i] = 0


@kernel
def strand_cover(at: Floats, strokes: NDArray[np.uint8], cover: Floats) -> None:
    """How much ``cover (P,)`` of each pixel of a hair layer is hair: strands that end at different heights."""
    for i in range(cover.shape[0]):
        noise = wide.wrapped(strokes, at[3, i] * F(2.0), at[4, i] * F(4.5))
        height = at[7, i] - (noise - F(0.5)) * F(2 * STRAND_EDGE)
        cover[i] = wide.clip(height / F(5.0) + F(0.35), F(0), F(1))


@kernel
def curl(at: Floats, amount: float, places: Floats) -> None:
    """Where (4, P) hair's strands and its finer ones lie on the strokes; ``amount`` is 0 straight .. 1."""
    curly, wavy = F(amount), F(21 * amount)
    for i in range(places.shape[1]):
        along, around = at[3, i], at[4, i]
        if curly > F(0.3):
            wave = wavy * wide.sin(along * F(0.35) + F(2) * wide.sin(around * F(0.21)))
            places[0, i] = along * F(2.2) + F(9) * wide.sin(around * F(0.45))
            places[1, i] = around * F(3.0) + wave
        else:
            places[0, i], places[1, i] = along * F(1.3), around * F(5.0) + F(4) * wide.sin(along * F(0.05))
        places[2, i], places[3, i] = along * F(2.1) + F(100), around * F(9.0) + F(37)


@kernel
def hair(
    face: NDArray[np.int32],
    first: int,
    end: int,
    at: Floats,
    surface: Floats,
    places: Floats,
    colour: Floats,
    amount: float,
    strokes: NDArray[np.uint8],
    light: Floats,
) -> None:
    """The surface of hair, strands of differing tone; ``places`` are of :func:`curl`. Turns normals to the viewer."""
    hx, hy, hz, straight = light[3], light[4], light[5], F(1 - amount)
    for i in range(face.shape[0]):
        if first <= face[i] < end:
            strands = wide.wrapped(strokes, places[0, i], places[1, i])
            fine = wide.wrapped(strokes, places[2, i], places[3, i])
            inside = at[2, i] < F(-0.05)  # of hanging hair
            inner = F(0.45) if inside else F(1)
            tone = (F(0.38) + F(0.85) * strands + F(0.35) * fine) * inner
            tone *= F(0.8) + F(0.2) * wide.step(-4.0, 14.0, at[7, i])
            at[5, i] *= F(0.7) + F(0.3) * strands
            at[6, i] = inner
            surface[3, i] = surface[4, i] = 0
            x, y, z = at[0, i], at[1, i], at[2, i]
            band = max(x * hx + y * hy + z * hz, F(0)) / np.sqrt(max(x * x + y * y + z * z, F(1e-8)))
            band = band * band
            band = band * band * band * band * band * strands * strands * straight * inner
            for k in range(3):
                surface[k, i], surface[5 + k, i] = colour[k] * tone, band * (F(0.05) + F(0.35) * colour[k])
                at[k, i] = -at[k, i] if inside else at[k, i]
