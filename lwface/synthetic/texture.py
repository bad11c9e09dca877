"""The skin of a person, painted once into a texture over the template's grid: tone, lips, brows, beard, lines.

Colours are linear light (the square of sRGB, a close and fast stand-in for its curve). A texel (row, column) of the
texture lies at grid position (row * (ROWS-1) / (SIZE-1), column * (COLUMNS-1) / (SIZE-1)).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.head import COLUMNS, MOUTH_HALF_WIDTH, MOUTH_ROW, ROWS, bump, smoothstep, template
from lwface.synthetic.parts import hair_edge
from lwface.synthetic.person import STREAM_TEXTURE, Appearance, Person, generator

Floats = NDArray[Any]  # float32 unless said otherwise
SIZE = 320


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Floats:
    """Smooth noise (size, size) with about unit deviation and features of ``size / cells`` pixels."""
    coarse = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


@lru_cache(maxsize=1)
def strokes() -> Floats:
    """Noise (512, 512) in 0..1 that is drawn out along x, periodic in both directions: hairs seen closely."""
    rng = np.random.default_rng(7)
    noise = rng.standard_normal((512, 512), dtype=np.float32)
    spectrum = np.fft.rfft2(noise)
    fy, fx = np.fft.fftfreq(512)[:, None], np.fft.rfftfreq(512)[None]
    spectrum *= np.exp(-((fx / 0.022) ** 2) - (fy / 0.22) ** 2)
    image = np.fft.irfft2(spectrum, s=(512, 512))
    return np.clip(0.5 + 0.28 * image / image.std(), 0, 1).astype(np.float32)


def lookup(texture: Floats, x: Floats, y: Floats) -> Floats:
    """Values of ``texture (H, W[, K])`` between its pixels at positions of any shape; the border's value outside.

    OpenCV remaps to images of less than 32768 rows and columns, so long lists are folded.
    """
    count, width = x.size, 512
    rows = -(-count // width)
    folded = np.zeros((2, rows * width), np.float32)
    folded[0, :count], folded[1, :count] = x.ravel(), y.ravel()
    at_x, at_y = folded.reshape(2, rows, width)
    value = cv2.remap(texture, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    channels = texture.shape[2:]
    return value.reshape(-1, *channels)[:count].reshape(*x.shape, *channels)


def stroke_noise(along: Floats, across: Floats) -> Floats:
    """The stroke noise at texture coordinates (in its pixels, any range); the shape of ``along``."""
    return lookup(strokes(), np.mod(along, 511), np.mod(across, 511))


@dataclass(frozen=True)
class Canvas:
    """Where every texel lies on the template, and masks that everybody shares; all (SIZE, SIZE)."""

    x: Floats
    y: Floats
    z: Floats
    a: Floats  # |x|
    above_mouth: Floats  # mm above the line between the lips
    front: Floats
    nostrils: Floats
    red: Floats  # where skin is redder
    beard: Floats
    moustache: Floats
    goatee: Floats
    folds: Floats
    forehead_lines: Floats
    crows_feet: Floats


@lru_cache(maxsize=1)
def canvas() -> Canvas:
    """The shared canvas, computed once."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    scale = np.float32(1.0 / (SIZE - 1))
    mesh = template().vertices
    rows, columns = rows * (ROWS - 1) * scale, columns * (COLUMNS - 1) * scale
    p = cv2.remap(mesh, columns, rows, cv2.INTER_LINEAR)
    x, y, z = (np.ascontiguousarray(p[..., i]) for i in range(3))
    a = np.abs(x)
    line = cv2.remap(
        np.ascontiguousarray(mesh[MOUTH_ROW : MOUTH_ROW + 1, :, 1]), columns, np.zeros_like(columns), cv2.INTER_LINEAR
    )
    above = y - line
    front = smoothstep(5, 35, z)
    nostrils = bump(a, y, 6.8, -47.2, 3.6, 1.9) * front
    red = 0.8 * bump(a, y, 42, -32, 17, 14) + 0.6 * bump(x, y, 0, -40, 12, 8) + 0.25 * bump(x, y, 0, -104, 16, 8)
    lips_hole = 1 - np.exp(-((a / 26) ** 4) - ((above + 2) / 9) ** 4)
    cheek_line = -50 - 16 * smoothstep(20, 48, a) + 36 * smoothstep(52, 68, a)
    jaw = smoothstep(5, -5, y - cheek_line) * smoothstep(-128, -112, y) * smoothstep(-12, 10, z) * lips_hole
    moustache = (
        smoothstep(-49, -54, y)
        * smoothstep(-2, 2, above - 5 * np.exp(-((a / 12) ** 2)))
        * smoothstep(31, 25, a)
        * front
    )
    goatee = np.exp(-((a / 19) ** 4)) * smoothstep(-78, -84, y) * smoothstep(-124, -114, y)
    goatee = np.maximum(goatee, bump(a, y, 28, -75, 4.5, 16)) * front * lips_hole
    fold = 18 + (np.clip(-y, 40, 80) - 40) * 0.42
    folds = np.exp(-(((a - fold) / 1.5) ** 2)) * smoothstep(-38, -48, y) * smoothstep(-82, -66, y) * front
    bend = y - 4 * np.cos(x / 22)
    lines = (
        np.exp(-(((np.mod(bend, 11) - 5.5) / 0.9) ** 2))
        * smoothstep(27, 33, y)
        * smoothstep(62, 54, y)
        * smoothstep(46, 30, a)
        * front
    )
    angle = np.arctan2(y - 1, a - 44)
    feet = np.exp(-(((np.mod(angle + 0.2, 0.4) - 0.2) / 0.07) ** 2)) * smoothstep(46, 50, a) * smoothstep(64, 55, a)
    feet *= smoothstep(0.9, 0.6, np.abs(angle)) * (z > 20)
    return Canvas(x, y, z, a, above, front, nostrils, red, jaw, moustache, goatee, folds, lines, feet)


def brow_mask(c: Canvas, look: Appearance) -> Floats:
    """Coverage of the eyebrows, with hairs that lean outwards."""
    t = (c.a - 13) / (37 * look.brow_length)  # 0 inner end .. 1 tail
    line = look.brow_height + look.brow_slope * (c.a - 30) + look.brow_arch * (1 - ((t - 0.62) / 0.62) ** 2) - 1.0
    half = look.brow_thickness * smoothstep(-0.12, 0.10, t) * (1 - 0.75 * smoothstep(0.35, 1.05, t))
    off = (c.y - line) / np.maximum(half, 0.3)
    hairs = stroke_noise(c.a * 5 + c.y * 3, (c.y - 0.45 * c.a) * 9)
    soft = np.clip(1.25 - np.abs(off), 0, 1) * smoothstep(-0.12, 0.05, t) * smoothstep(1.08, 0.95, t)
    return np.clip(soft * (0.45 + 1.1 * hairs) * 1.25, 0, 1) * look.brow_density * c.front


def lip_mask(c: Canvas, look: Appearance) -> Floats:
    """Coverage of the red of the lips, with Cupid's bow."""
    r = np.clip(c.a / MOUTH_HALF_WIDTH, 0, 1.2)
    bow = 1 - 0.16 * np.exp(-((c.a / 3.2) ** 2))
    upper = look.lip_height[0] * np.sqrt(np.clip(1 - r**1.5, 0, 1)) * bow
    lower = look.lip_height[1] * np.clip(1 - r**2, 0, 1) ** 0.6
    edge = np.where(c.above_mouth > 0, upper - c.above_mouth, lower + c.above_mouth)
    return smoothstep(-0.9, 0.9, edge) * smoothstep(1.04, 0.97, r) * c.front


def _dots(c: Canvas, rng: np.random.Generator, amount: float) -> Floats:
    speckle = cv2.GaussianBlur(rng.standard_normal((SIZE, SIZE), dtype=np.float32), (0, 0), 1.1)
    where = bump(c.a, c.y, 24, -22, 32, 24) + 0.35
    return smoothstep(0.42, 0.75, speckle) * where * np.float32(min(amount, 1.6)) * c.front


def paint(person: Person) -> Floats:
    """The skin's texture (SIZE, SIZE, 4): linear red, green, blue, and gloss (0 matt .. 1 wet)."""
    look, c = person.look, canvas()
    rng = generator(person.seed, person.identity, 0, STREAM_TEXTURE)
    skin = look.skin**2
    mottle = 1 + 0.035 * smooth_noise(rng, SIZE, 9) + 0.03 * smooth_noise(rng, SIZE, 60)
    colour = skin[None, None] * mottle[..., None]
    red = (c.red * (0.5 + 0.5 * smooth_noise(rng, SIZE, 14)) + 0.35 * c.red)[..., None] * np.float32(look.redness)
    colour *= 1 - np.clip(red, 0, 1.2) * np.array((0.02, 0.24, 0.22), np.float32)

    def darken(mask: Floats, tint: tuple[float, float, float]) -> None:
        colour[...] *= 1 - np.clip(mask, 0, 1)[..., None] * (1 - np.array(tint, np.float32))

    def cover(mask: Floats, paint_colour: Floats) -> None:
        weight = np.clip(mask, 0, 1)[..., None]
        colour[...] += (paint_colour - colour) * weight

    darken(look.shadows_under_eyes * bump(c.a, c.y, 27, -9, 15, 5) * c.front, (0.62, 0.5, 0.55))
    darken(0.35 * bump(c.a, c.y, 31, 5, 18, 8) * c.front, (0.72, 0.6, 0.6))
    darken(_dots(c, rng, look.freckles), (0.62, 0.46, 0.34))
    for x, y, radius in look.moles:
        darken(0.85 * np.exp(-((((c.x - x) ** 2 + (c.y - y) ** 2) / radius**2) ** 2)) * c.front, (0.3, 0.2, 0.18))
    darken(
        0.35 * c.folds * (0.15 + look.wrinkles) + look.wrinkles * (0.5 * c.forehead_lines + 0.4 * c.crows_feet),
        (0.6, 0.5, 0.47),
    )
    darken(c.nostrils * 0.95, (0.12, 0.07, 0.06))
    if look.hair_style != "bald":
        _scalp(c, look, colour)
    lips = lip_mask(c, look)
    grain = 1 - 0.14 * stroke_noise(c.above_mouth * 3, c.x * 6)
    cover(lips * 0.92, (look.lips**2)[None, None] * grain[..., None])
    darken(np.exp(-((c.above_mouth / 0.9) ** 2)) * smoothstep(27.5, 24, c.a) * c.front * 0.8, (0.25, 0.13, 0.13))
    hair = look.hair**2
    _beard(c, look, cover, hair)
    cover(brow_mask(c, look), (hair * 0.75)[None, None])
    gloss = (
        0.30
        + 0.25 * bump(c.x, c.y, 0, 40, 34, 16)
        + 0.25 * bump(c.x, c.y, 0, -30, 9, 16)
        + 0.12 * bump(c.a, c.y, 46, -18, 12, 8)
    )
    gloss = gloss * (0.8 + 0.2 * mottle) + 0.25 * lips
    return np.concatenate((np.clip(colour, 0.002, 1), gloss[..., None]), axis=-1).astype(np.float32)


def _scalp(c: Canvas, look: Appearance, colour: Floats) -> None:
    """The roots of the hair above its edge, and the shade it throws on the forehead."""
    edge = hair_edge(look, -150.0)[None, :]
    columns = np.linspace(0, edge.shape[1] - 1, SIZE, dtype=np.float32)[None]
    height = c.y - lookup(edge, columns, np.zeros_like(columns))
    roots = (smoothstep(-2, 9, height) * 0.8)[..., None]
    colour += ((look.hair**2) * np.float32(0.7) - colour) * roots
    colour *= (1 - 0.22 * np.exp(np.minimum(height, 0) / 7) * (height < 2))[..., None]


def _beard(c: Canvas, look: Appearance, cover: object, hair: Floats) -> None:
    strength = {"none": 0.06 if look.masculine > 0.2 else 0.0, "stubble": 0.42}.get(look.beard, 0.10)
    area = np.maximum(c.beard, c.moustache)
    grain = stroke_noise(c.y * 6 + c.x, c.x * 9 - c.y * 1.5)
    full = {"full": area, "goatee": np.maximum(c.goatee, c.moustache), "moustache": c.moustache}.get(look.beard)
    cover(area * strength * (0.4 + 0.8 * grain) * look.beard_density, (hair * 0.8)[None, None])  # type: ignore[operator]
    if full is not None:
        tone = (hair[None, None] * (0.45 + 0.95 * grain[..., None])).astype(np.float32)
        cover(np.clip(full * (0.7 + 0.8 * grain), 0, 1) * (0.6 + 0.4 * look.beard_density), tone)  # type: ignore[operator]
