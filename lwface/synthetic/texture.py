"""The skin of a person, painted once into a texture over the template's grid: tone, lips, brows, beard, lines.

Colours are linear light (the square of sRGB, a close and fast stand-in for its curve). A texel (row, column) of the
texture lies at grid position (row * (ROWS-1) / (SIZE-1), column * (COLUMNS-1) / (SIZE-1)).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic import arithmetic, wide
from lwface.synthetic.appearance import BEARD_STYLES, Appearance
from lwface.synthetic.arithmetic import between, power
from lwface.synthetic.filters import gaussian
from lwface.synthetic.head import COLUMNS, MOUTH_HALF_WIDTH, MOUTH_ROW, ROWS, bump, smoothstep, template
from lwface.synthetic.kernel import kernel
from lwface.synthetic.parts import hair_edge
from lwface.synthetic.person import STREAM_TEXTURE, Person, generator

Floats = NDArray[Any]  # float32 unless said otherwise
Doubles = NDArray[np.float64]
SIZE = 320
TEXELS = SIZE * SIZE
WHITE = 50_000  # 1.0 in a texture: half the memory of float32, and gloss may be a little over 1
NO_EDGE = 1e6  # mm, the edge of no hair
_, _, MOUSTACHE_ONLY, GOATEE_ONLY, FULL = range(len(BEARD_STYLES))
F = np.float32
# How much of a colour goes where skin is redder, under eyes, on lids, freckles, moles, lines, nostrils, between lips.
RED_TINTS = (F(0.02), F(0.38), F(0.28), F(0.38), F(0.7 / 0.8), F(0.4), F(0.88), F(0.75))
GREEN_TINTS = (F(0.24), F(0.5), F(0.4), F(0.54), F(1.0), F(0.5), F(0.93), F(0.87))
BLUE_TINTS = (F(0.22), F(0.45), F(0.4), F(0.66), F(0.82 / 0.8), F(0.53), F(0.94), F(0.87))


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Floats:
    """Smooth noise (size, size) with about unit deviation and features of ``size / cells`` pixels."""
    coarse = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


@lru_cache(maxsize=1)
def strokes() -> Floats:
    """Noise (512, 512) in 0..255 that is drawn out along x, periodic in both directions: hairs seen closely."""
    rng = np.random.default_rng(7)
    noise = rng.standard_normal((512, 512), dtype=np.float32)
    spectrum = np.fft.rfft2(noise)
    fy, fx = np.fft.fftfreq(512)[:, None], np.fft.rfftfreq(512)[None]
    spectrum *= arithmetic.exp(-((fx / 0.022) ** 2) - (fy / 0.22) ** 2)
    image = np.fft.irfft2(spectrum, s=(512, 512))
    return np.rint(np.clip(0.5 + 0.28 * image / image.std(), 0, 1) * 255).astype(np.uint8)


@kernel
def _strokes_at(strokes: Floats, along: Doubles, across: Doubles, result: Floats) -> None:
    for i in range(along.shape[0]):
        for j in range(along.shape[1]):
            result[i, j] = wide.wrapped(strokes, np.float32(along[i, j]), np.float32(across[i, j]))


# What everybody's skin shares, (SIZE, SIZE) each, in this order: where a texel lies on the template (mm), and masks.
FIELDS = (
    *("x", "y", "a", "above_mouth", "front", "nostrils", "red", "beard", "moustache", "goatee", "folds", "forehead"),
    *("crows_feet", "under_eyes", "lids", "freckled", "upper_lip", "lower_lip", "lip_end", "mouth_line", "shine"),
    *("lip_grain", "beard_grain", "brow_grain"),
)
NO_MASKS = (
    "x",
    "y",
    "a",
    "above_mouth",
    "front",
    "upper_lip",
    "lower_lip",
    "shine",
    "lip_grain",
    "beard_grain",
    "brow_grain",
)
UNSEEN = 1e-4
X, Y, A, ABOVE, FRONT, NOSTRILS, RED, BEARD, MOUSTACHE, GOATEE, FOLDS, FOREHEAD = range(12)
FEET, UNDER_EYES, LIDS, FRECKLED, UPPER, LOWER, LIP_END, LINE, SHINE, LIP_GRAIN, BEARD_GRAIN, BROW_GRAIN = range(12, 24)


@lru_cache(maxsize=1)
def shared() -> Floats:
    """What everybody's skin shares (len(FIELDS), SIZE, SIZE), computed once."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    mesh = template().vertices.astype(np.float64)
    rows, columns = rows * ((ROWS - 1) / (SIZE - 1)), columns * ((COLUMNS - 1) / (SIZE - 1))
    x, y, z = np.moveaxis(between(mesh, columns, rows), -1, 0)
    above = y - between(mesh[MOUTH_ROW : MOUTH_ROW + 1, :, 1], columns, np.zeros_like(columns))
    front = smoothstep(5, 35, z)
    fields = {"x": x, "y": y, "a": np.abs(x), "above_mouth": above, "front": front}
    fields |= _hairy(x, y, z, above, front) | _lined(x, y, z, front) | _toned(x, y, front) | _lips(x, above, front)
    grains = {"lip_grain": (above * 3, x * 6), "beard_grain": (y * 6 + x, x * 9 - y * 1.5)}
    grains["brow_grain"] = (np.abs(x) * 5 + y * 3, (y - 0.45 * np.abs(x)) * 9)
    for name, (along, across) in grains.items():
        fields[name] = np.empty((SIZE, SIZE))
        _strokes_at(strokes(), along, across, fields[name])
    return np.stack([fields[name] for name in FIELDS]).astype(np.float32)


def _fourth(x: Doubles) -> Doubles:
    return np.asarray((x * x) ** 2)


def _hairy(x: Doubles, y: Doubles, z: Doubles, above: Doubles, front: Doubles) -> dict[str, Doubles]:
    """Where beards grow."""
    a = np.abs(x)
    hole = 1 - arithmetic.exp(-_fourth(a / 26) - _fourth((above + 2) / 9))  # the lips
    cheek_line = -50 - 16 * smoothstep(20, 48, a) + 36 * smoothstep(52, 68, a)
    jaw = smoothstep(5, -5, y - cheek_line) * smoothstep(-128, -112, y) * smoothstep(-12, 10, z) * hole
    over_lip = smoothstep(-2, 2, above - 5 * arithmetic.exp(-((a / 12) ** 2)))
    moustache = smoothstep(-49, -54, y) * over_lip * smoothstep(31, 25, a) * front
    goatee = arithmetic.exp(-_fourth(a / 19)) * smoothstep(-78, -84, y) * smoothstep(-124, -114, y)
    goatee = np.maximum(goatee, bump(a, y, 28, -75, 4.5, 16)) * front * hole
    return {"beard": jaw, "moustache": moustache, "goatee": goatee}


def _lined(x: Doubles, y: Doubles, z: Doubles, front: Doubles) -> dict[str, Doubles]:
    """Where lines are: beside the nose, on the forehead, at the eyes' corners."""
    a = np.abs(x)
    fold = 18 + (np.clip(-y, 40, 80) - 40) * 0.42
    folds = arithmetic.exp(-(((a - fold) / 1.5) ** 2)) * smoothstep(-38, -48, y) * smoothstep(-82, -66, y) * front
    bend = y - 4 * arithmetic.cos(x / 22)
    lines = arithmetic.exp(-(((np.mod(bend, 11) - 5.5) / 0.9) ** 2))
    lines *= smoothstep(27, 33, y) * smoothstep(62, 54, y) * smoothstep(46, 30, a) * front
    angle = arithmetic.arctan((y - 1) / np.maximum(a - 44, 0.5))
    feet = arithmetic.exp(-(((np.mod(angle + 0.2, 0.4) - 0.2) / 0.07) ** 2))
    feet *= smoothstep(46, 50, a) * smoothstep(64, 55, a) * smoothstep(0.9, 0.6, np.abs(angle)) * (z > 20)
    return {"folds": folds, "forehead": lines, "crows_feet": feet}


def _toned(x: Doubles, y: Doubles, front: Doubles) -> dict[str, Doubles]:
    """Where skin is redder, darker, freckled, and how it shines."""
    a = np.abs(x)
    shine = 0.30 + 0.25 * bump(x, y, 0, 40, 34, 16) + 0.25 * bump(x, y, 0, -30, 9, 16)
    return {
        "nostrils": bump(a, y, 6.8, -47.2, 3.6, 1.9) * front,
        "red": 0.8 * bump(a, y, 42, -32, 17, 14) + 0.6 * bump(x, y, 0, -40, 12, 8) + 0.25 * bump(x, y, 0, -104, 16, 8),
        "under_eyes": bump(a, y, 27, -9, 15, 5) * front,
        "lids": 0.35 * bump(a, y, 31, 5, 18, 8) * front,
        "freckled": (bump(a, y, 24, -22, 32, 24) + 0.35) * front,
        "shine": shine + 0.12 * bump(a, y, 46, -18, 12, 8),
    }


def _lips(x: Doubles, above: Doubles, front: Doubles) -> dict[str, Doubles]:
    """Heights of the lips' red in shares of the largest, with Cupid's bow; where it ends; the line between the lips."""
    a = np.abs(x)
    r = np.clip(a / MOUTH_HALF_WIDTH, 0, 1.2)
    bow = 1 - 0.16 * arithmetic.exp(-((a / 3.2) ** 2))
    return {
        "upper_lip": np.sqrt(np.clip(1 - r * np.sqrt(r), 0, 1)) * bow,
        "lower_lip": power(np.clip(1 - r**2, 0, 1), 0.6),
        "lip_end": smoothstep(1.04, 0.97, r) * front,
        "mouth_line": arithmetic.exp(-((above / 0.9) ** 2)) * smoothstep(27.5, 24, a) * front * 0.8,
    }


def paint(person: Person, look: Appearance | None = None) -> Floats:
    """The skin's texture (SIZE, SIZE, 4) in steps of 1 / WHITE: linear colour, and gloss (0 matt .. 1 wet).

    With the grain of ``person``, and of their own look where no other is given.
    """
    look, fields = look or person.look, shared()
    rng = generator(person.seed, person.identity, 0, STREAM_TEXTURE)
    noise = np.stack([smooth_noise(rng, SIZE, cells) for cells in (9, 60, 14)])
    dots = np.zeros((2, SIZE, SIZE), np.float32)
    if look.freckles > 0:
        speckle = rng.standard_normal((SIZE, SIZE, 1), dtype=np.float32)
        _freckle(gaussian(speckle, 1.1)[..., 0], fields[FRECKLED], np.float32(min(look.freckles, 1.6)), dots[0])
    for mole in look.moles:
        _mole(fields, mole, dots[1])
    edge = np.full(SIZE, NO_EDGE, np.float32)
    if look.hair_style != "bald":
        heights = hair_edge(look, -150.0)
        edge[:] = np.interp(np.linspace(0, len(heights) - 1, SIZE), np.arange(len(heights)), heights)
    texture = np.empty((SIZE, SIZE, 4), np.uint16)
    colours = np.stack((look.skin, look.lips, look.hair)) ** 2
    _paint(
        *(texture.reshape(-1), fields.reshape(-1), noise.reshape(-1), dots.reshape(-1)),
        *(colours, edge, settings(look)),
    )
    return texture


def settings(look: Appearance) -> Floats:
    """What :func:`_paint` reads of a look (19,)."""
    shade = {"none": 0.06 if look.masculine > 0.2 else 0.0, "stubble": 0.42}.get(look.beard, 0.10)
    kind = BEARD_STYLES.index(look.beard)
    skin = look.redness, look.shadows_under_eyes, look.wrinkles, *look.lip_height
    brow = look.brow_height, look.brow_slope, look.brow_arch, look.brow_thickness, look.brow_density, look.brow_length
    beard: tuple[float, ...] = shade * look.beard_density, kind == FULL, kind == GOATEE_ONLY, kind >= MOUSTACHE_ONLY
    if look.beard_parts is not None:
        stubble, *grown = look.beard_parts
        beard = 0.5 * stubble, *grown
    further = 0.6 + 0.4 * look.beard_density, look.brow_gap, look.brow_tone, look.beard_tone
    return np.array((*skin, *brow, *beard, *further), np.float32)


@kernel
def _freckle(speckle: Floats, where: Floats, amount: float, dots: Floats) -> None:
    for row in range(dots.shape[0]):
        for column in range(dots.shape[1]):
            dots[row, column] = wide.step(0.42, 0.75, speckle[row, column]) * where[row, column] * F(amount)


@kernel
def _mole(fields: Floats, mole: Floats, dots: Floats) -> None:
    """Add the cover of a ``mole (3,)``, whose place and radius are in mm, to ``dots (SIZE, SIZE)``."""
    x, y, share = mole[0], mole[1], F(1) / (mole[2] * mole[2])
    for row in range(dots.shape[0]):
        for column in range(dots.shape[1]):
            right, up = fields[X, row, column] - x, fields[Y, row, column] - y
            away = (right * right + up * up) * share
            cover = F(0.85) * wide.exp(-away * away) * fields[FRONT, row, column]
            dots[row, column] = F(1) - (F(1) - dots[row, column]) * (F(1) - cover * F(0.8))


@kernel
def _paint(
    texture: Floats, fields: Floats, noise: Floats, dots: Floats, colours: Floats, edge: Floats, look: Floats
) -> None:
    """Paint every texel: skin, redness, shadows, freckles, moles, lines, roots of the hair, lips, beard, brows.

    Nothing branches and all arrays are flat, of known length, so that a row of texels becomes wide instructions.
    """
    redness, shadows, wrinkles, upper, lower = look[0], look[1], look[2], look[3], look[4]
    shade, full, goatee, moustache, density = look[11], look[12], look[13], look[14], look[15]
    for row in range(SIZE):
        for column in range(SIZE):
            i = row * SIZE + column
            front, above = fields[FRONT * TEXELS + i], fields[ABOVE * TEXELS + i]
            mottle = F(1) + F(0.035) * noise[0 * TEXELS + i] + F(0.03) * noise[1 * TEXELS + i]
            red = fields[RED * TEXELS + i] * (F(0.85) + F(0.5) * noise[2 * TEXELS + i]) * redness
            red = wide.clip(red, F(0), F(1.2))
            under, lids = wide.clip(shadows * fields[UNDER_EYES * TEXELS + i], F(0), F(1)), fields[LIDS * TEXELS + i]
            spots, mole = wide.clip(dots[i], F(0), F(1)), dots[TEXELS + i]
            lines = wrinkles * (F(0.5) * fields[FOREHEAD * TEXELS + i] + F(0.4) * fields[FEET * TEXELS + i])
            lines += F(0.35) * fields[FOLDS * TEXELS + i] * (F(0.15) + wrinkles)
            lines, holes = wide.clip(lines, F(0), F(1)), wide.clip(fields[NOSTRILS * TEXELS + i] * F(0.95), F(0), F(1))
            height = fields[Y * TEXELS + i] - edge[column]
            roots = wide.step(-2.0, 9.0, height) * F(0.8)
            fringe = F(0.22) * wide.exp(min(height, F(0)) / F(7)) if height < F(2) else F(0)
            tall = upper * fields[UPPER * TEXELS + i] - above
            deep = lower * fields[LOWER * TEXELS + i] + above
            lips = wide.step(-0.9, 0.9, tall if above > F(0) else deep) * fields[LIP_END * TEXELS + i]
            lip_tone, line = F(1) - F(0.14) * fields[LIP_GRAIN * TEXELS + i], fields[LINE * TEXELS + i]
            grain, over = fields[BEARD_GRAIN * TEXELS + i], fields[MOUSTACHE * TEXELS + i]
            jaw = max(fields[BEARD * TEXELS + i], over)
            stubble = wide.clip(jaw * shade * (F(0.4) + F(0.8) * grain), F(0), F(1))
            beard = max(max(full * jaw, goatee * fields[GOATEE * TEXELS + i]), moustache * over)
            beard = wide.clip(beard * (F(0.7) + F(0.8) * grain), F(0), F(1)) * density
            beard_tone = F(0.45) + F(0.95) * grain
            brow = (
                brow_cover(fields[A * TEXELS + i], fields[Y * TEXELS + i], fields[BROW_GRAIN * TEXELS + i], look)
                * front
            )
            marks = under, lids, spots, mole, lines, holes, roots, fringe, lips, line, stubble, beard, brow
            tones = mottle, lip_tone, beard_tone * look[18], look[17]
            texture[4 * i + 0] = _layers(colours[0, 0], colours[1, 0], colours[2, 0], red, marks, tones, RED_TINTS)
            texture[4 * i + 1] = _layers(colours[0, 1], colours[1, 1], colours[2, 1], red, marks, tones, GREEN_TINTS)
            texture[4 * i + 2] = _layers(colours[0, 2], colours[1, 2], colours[2, 2], red, marks, tones, BLUE_TINTS)
            gloss = fields[SHINE * TEXELS + i] * (F(0.8) + F(0.2) * mottle) + F(0.25) * lips
            texture[4 * i + 3] = np.uint16(gloss * F(WHITE) + F(0.5))


@kernel
def _layers(skin: Any, lip: Any, hair: Any, red: Any, marks: Any, tones: Any, tints: Any) -> Any:
    """One colour of a texel, layer over layer."""
    under, lids, spots, mole, lines, holes, roots, fringe, lips, line, stubble, beard, brow = marks
    redder, under_tint, lid, spotted, moled, lined, holed, mouthed = tints
    value = skin * tones[0] * (F(1) - red * redder) * (F(1) - under * under_tint)
    value *= (F(1) - lids * lid) * (F(1) - spots * spotted) * (F(1) - mole * moled)
    value *= (F(1) - lines * lined) * (F(1) - holes * holed)
    value = (value + (hair * F(0.7) - value) * roots) * (F(1) - fringe)
    value += (lip * tones[1] - value) * (lips * F(0.92))
    value *= F(1) - line * mouthed
    value += (hair * F(0.8) - value) * stubble
    value += (hair * tones[2] - value) * beard
    value += (hair * tones[3] - value) * brow
    return np.uint16(wide.clip(value, F(0.002), F(1)) * F(WHITE) + F(0.5))


@kernel
def brow_cover(a: Any, y: Any, grain: Any, look: Floats) -> Any:
    """Coverage of the eyebrows ``a`` mm from the middle at height ``y``, with hairs that lean outwards."""
    height, slope, arch, thickness, density, length = look[5], look[6], look[7], look[8], look[9], look[10]
    t = (a - look[16]) / (F(37) * length)  # 0 inner end .. 1 tail
    rise = (t - F(0.62)) * F(1 / 0.62)
    line = height + slope * (a - F(30)) + arch * (F(1) - rise * rise) - F(1)
    half = thickness * wide.step(-0.12, 0.10, t) * (F(1) - F(0.75) * wide.step(0.35, 1.05, t))
    off = abs(y - line) / max(half, F(0.3))
    soft = wide.clip(F(1.25) - off, F(0), F(1)) * wide.step(-0.12, 0.05, t) * wide.step(1.08, 0.95, t)
    return wide.clip(soft * (F(0.45) + F(1.1) * grain) * F(1.25), F(0), F(1)) * density
