"""The head: a template mesh, smooth fields that make an identity of it, and fields that make an expression.

The template is a grid of rings, ``(ROWS, COLUMNS)`` vertices, from the crown down to the base of the neck. A vertex
has one meaning (this one is the tip of the nose of everybody), so an identity and an expression are displacements of
the same vertices and add up. Units are millimetres; x points to the image's right in a frontal picture, y up, z to the
camera; the pupils' height is y = 0 and the ear canals are near z = 0. The sizes follow common adult anthropometric
means (63 mm between the pupils, 195 mm from glabella to occiput, 136 mm across the cheekbones).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.arithmetic import between, cos, exp, log, power, sin

Floats = NDArray[Any]  # float32 unless said otherwise

# Profile of the head: one slice a row. Front, side and back heights differ, since the lower slices tilt with the jaw.
#   y front, z front, half width, exponent of the superellipse, y side, y back, z back, z of the centre
SLICES = np.array(
    [
        (116, -8, 0.5, 2.0, 116, 116, -8.5, -8),  # crown
        (111.5, 26, 35, 2.0, 111, 110, -46, -10),
        (99, 51, 56, 2.05, 97, 96, -76, -12),
        (82, 71, 69, 2.2, 78, 76, -95, -14),
        (62, 83, 75, 2.3, 56, 50, -104, -14),  # hairline
        (40, 89, 76.5, 2.4, 34, 26, -106, -12),
        (20, 90.5, 74.5, 2.45, 14, 4, -102, -10),  # brows
        (0, 86, 71, 2.4, -6, -16, -96, -8),  # pupils
        (-20, 86, 69, 2.35, -24, -32, -90, -6),
        (-45, 88, 65.5, 2.25, -42, -45, -84, -5),  # base of the nose
        (-68, 89, 61.5, 2.15, -58, -56, -80, -5),  # line between the lips
        (-90, 86, 57, 2.05, -72, -66, -78, -6),
        (-108, 84, 53, 1.9, -83, -74, -76, -8),  # chin
        (-116, 74, 51, 1.8, -90, -80, -76, -10),
        (-119, 54, 47.5, 1.9, -97, -88, -77, -14),
        (-122, 34, 47, 2.0, -107, -98, -78, -18),
        (-136, 23, 48, 2.0, -125, -115, -80, -22),
        (-165, 17, 53, 2.0, -158, -145, -84, -25),
        (-205, 15, 64, 2.0, -200, -175, -90, -28),  # base of the neck
    ],
    dtype=np.float64,
)
_SUBDIVISIONS = (3, 3, 3, 4, 5, 7, 9, 9, 12, 13, 12, 7, 4, 3, 3, 2, 3, 2)
MOUTH_SLICE = 10
MOUTH_ROW = sum(_SUBDIVISIONS[:MOUTH_SLICE])  # the upper lip's edge; the row after it is the lower lip's
ROWS = sum(_SUBDIVISIONS) + 2
COLUMNS = 97

EYE = np.array((31.5, 0.0, 65.5))  # centre of the left-hand eyeball (x mirrored for the other)
EYE_RADIUS = 12.2
EYE_HALF_WIDTH = 14.5
MOUTH_HALF_WIDTH = 25.0


def hermite(knots: NDArray[np.float64], values: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic interpolation of ``values (K, ...)`` over rising ``knots (K,)`` with central-difference slopes."""
    slopes = np.gradient(values, knots, axis=0)
    i = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    shape = (-1,) + (1,) * (values.ndim - 1)
    step = (knots[i + 1] - knots[i]).reshape(shape)
    t = (at.reshape(shape) - knots[i].reshape(shape)) / step
    h00, h10 = (1 + 2 * t) * (1 - t) ** 2, t * (1 - t) ** 2
    h01, h11 = t * t * (3 - 2 * t), t * t * (t - 1)
    return h00 * values[i] + h10 * step * slopes[i] + h01 * values[i + 1] + h11 * step * slopes[i + 1]


def smoothstep(low: float, high: float, value: NDArray) -> NDArray:
    """0 below ``low``, 1 above ``high``, a smooth cubic between (``low > high`` falls instead)."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bump(x: NDArray, y: NDArray, x0: float, y0: float, width: float, height: float) -> NDArray:
    """A Gaussian hill of height 1 at (x0, y0)."""
    return exp(-(((x - x0) / width) ** 2) - ((y - y0) / height) ** 2)


@dataclass(frozen=True)
class Template:
    """The mean head, what moves it, and where things are on it."""

    vertices: Floats  # (ROWS, COLUMNS, 3)
    angle: Floats  # (COLUMNS,) azimuth in radians, 0 in front
    identity_modes: Floats  # (K, ROWS*COLUMNS*3): one standard deviation of each
    identity_names: tuple[str, ...]
    expression_modes: Floats  # (E, ROWS*COLUMNS*3): full strength of each
    expression_names: tuple[str, ...]
    occlusion: Floats  # (ROWS, COLUMNS) share of ambient light that reaches the skin
    lookup: Floats  # (H, W, 2) column and row of the surface point at a canonical (x, y); see locate
    jaw: Floats  # (17, 2) column and row of the points of the jaw line


def _columns() -> NDArray[np.float64]:
    """Azimuths (COLUMNS,), three times as dense on the face as behind."""
    fine = np.linspace(-np.pi, np.pi, 4001)
    density = 1.0 + 3.6 * exp(-((fine**2) ** 2))
    total = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2)))
    angle = np.interp(np.linspace(0, total[-1], COLUMNS), total, fine)
    return (angle - angle[::-1]) / 2  # exactly symmetric


def _slice_positions() -> NDArray[np.float64]:
    """Position (ROWS,) of every row in units of slices; the mouth's row appears twice."""
    parts = [index + np.arange(count) / count for index, count in enumerate(_SUBDIVISIONS)]
    rows = np.concatenate([*parts, [float(len(_SUBDIVISIONS))]])
    return np.insert(rows, MOUTH_ROW, float(MOUTH_SLICE))


def _rings() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vertices (ROWS, COLUMNS, 3) of the head without features, and the azimuths."""
    angle = _columns()
    table = hermite(np.arange(len(SLICES), dtype=np.float64), SLICES, _slice_positions())[:, None, :]  # (ROWS, 1, 8)
    y_front, z_front, half_width, exponent, y_side, y_back, z_back, z_centre = np.moveaxis(table, -1, 0)
    sine, cosine = sin(angle)[None], cos(angle)[None]
    exponent = np.where(cosine > 0, exponent, 2.0)
    radius = 1 / power(power(np.abs(sine), exponent) + power(np.abs(cosine), exponent), 1 / exponent)
    forward = radius * cosine
    x = half_width * radius * sine
    z = z_centre + np.where(forward > 0, (z_front - z_centre) * forward, (z_centre - z_back) * forward)
    y = y_side + np.where(forward > 0, (y_front - y_side) * forward, (y_side - y_back) * forward)
    return np.stack((x, y, z), axis=-1), angle


def _features(base: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eye sockets, eyelids, nose, lips and chin: displacement (ROWS, COLUMNS, 3) of the plain rings."""
    x, y, z = np.moveaxis(base, -1, 0)
    a = np.abs(x)
    front = smoothstep(5, 35, z)
    d = np.zeros_like(base)
    depth = -7.5 * bump(a, y, 30, 3, 18, 12) - 4.5 * bump(a, y, 15.5, 3, 7, 9)
    depth += 3.2 * bump(a, y, 27, 18, 22, 6.5) + 1.5 * bump(x, y, 0, 14, 12, 8)
    depth += 4.0 * bump(a, y, 50, -22, 17, 13) + 2.5 * bump(a, y, 34, -38, 16, 15) - 2.5 * bump(a, y, 50, -62, 13, 15)
    depth += 5.0 * bump(x, y, 0, -64, 27, 20) + 6.5 * bump(x, y, 0, -102, 15, 10) - 3.0 * bump(x, y, 0, -83, 18, 5)
    fold = 18 + (np.clip(-y, 40, 76) - 40) * 0.42  # the nasolabial fold's x at this height
    depth -= 1.8 * exp(-(((a - fold) / 3.5) ** 2)) * smoothstep(-36, -48, y) * smoothstep(-80, -66, y)
    # Nose: a ridge that rises to the tip and drops under it, wings beside it.
    ridge = hermite(
        np.array([-60.0, -49.5, -46.5, -43.5, -38.5, -32.0, -20.0, -5.0, 6.0, 16.0, 30.0]),
        np.array([0.0, 0.0, 8.0, 21.0, 27.5, 25.0, 18.5, 10.5, 6.0, 1.5, 0.0]),
        np.clip(y, -60, 30).ravel(),
    ).reshape(y.shape)
    ridge_width = 7.0 + 3.2 * smoothstep(-18, -38, y) + 1.0 * smoothstep(0, 14, y)
    depth += ridge * (0.72 * exp(-((a / ridge_width) ** 2)) + 0.28 * exp(-((a / (ridge_width * 1.75)) ** 2)))
    depth += 9.5 * bump(a, y, 13.0, -40.5, 5.2, 5.6) + 2.0 * bump(x, y, 0, -39, 7, 5)
    # Lips: two rolls with a crease between, fading to the corners; the philtrum above.
    line = base[MOUTH_ROW, :, 1][None]  # y of the mouth's line at this column
    above = y - line
    fade = np.clip(1 - (a / (MOUTH_HALF_WIDTH + 1.5)) ** 2, 0, 1)
    depth += 4.2 * power(fade, 0.8) * exp(-(((above - 3.9) / 3.3) ** 2)) + 5.2 * fade * exp(
        -(((above + 5.0) / 4.2) ** 2)
    )
    depth -= 2.6 * power(fade, 0.4) * exp(-((above / 1.3) ** 2)) + 1.6 * bump(a, above, 26, 0, 4, 4)
    depth += 0.8 * bump(a, y, 4.2, -54, 2.2, 6) - 1.2 * bump(x, y, 0, -54, 2.4, 6)
    d[..., 2] = depth * front
    # Wings of the nose bulge sideways too, the nostrils' floor is under them.
    d[..., 0] += np.sign(x) * 3.0 * bump(a, y, 11.5, -41.5, 5.0, 5.0) * front
    # Eyelids: the skin follows the eyeball where the ball stands out of the socket.
    gap = (a - EYE[0]) ** 2 + (y - EYE[1]) ** 2
    ball = EYE[2] + np.sqrt(np.clip((EYE_RADIUS + 0.8) ** 2 - gap, 0, None))
    lift = ball - (z + d[..., 2])
    inside = smoothstep((EYE_RADIUS + 0.8) ** 2, 70, gap) * front
    d[..., 2] += inside * (lift + log(1 + exp(-np.clip(lift, -30, 30) / 2.2)) * 2.2)  # smooth maximum
    return d


def _identity_fields(p: NDArray[np.float64]) -> dict[str, tuple[NDArray, NDArray, NDArray]]:
    """Named displacement fields; each is one standard deviation, in mm, of how people differ."""
    x, y, z = np.moveaxis(p, -1, 0)
    a, s = np.abs(x), np.sign(x)
    o = np.zeros_like(x)
    front = smoothstep(5, 35, z)
    above = smoothstep(20, 60, y)
    low = smoothstep(-30, -75, y) * smoothstep(-150, -118, y)
    eye = bump(a, y, EYE[0], EYE[1], 19, 13) * front
    brow = bump(a, y, 29, 19, 26, 9) * front
    nose = bump(x, y, 0, -36, 17, 17) * front
    tip = bump(x, y, 0, -38, 11, 9) * front
    bridge = exp(-((a / 9) ** 2)) * smoothstep(14, 2, y) * smoothstep(-38, -22, y) * front
    wings = bump(a, y, 13, -41, 7, 8) * front
    mouth = bump(a, y, 18, -68, 18, 13) * front
    lips = bump(x, y, 0, -68, 24, 11) * front
    upper = exp(-(((y + 62) / 5.5) ** 2)) * exp(-((a / 22) ** 2)) * front
    lower = exp(-(((y + 76) / 6.5) ** 2)) * exp(-((a / 20) ** 2)) * front
    chin = bump(x, y, 0, -106, 22, 15) * smoothstep(-10, 30, z)
    cheekbone = bump(a, y, 52, -20, 18, 16) * smoothstep(-10, 40, z)
    cheek = bump(a, y, 42, -52, 18, 22) * smoothstep(-10, 40, z)
    corner = bump(a, y, 54, -78, 18, 20) * smoothstep(-60, 0, z)
    return {
        "head width": (x * 0.035, o, o),
        "head depth": (o, o, z * 0.03),
        "cranium height": (o, np.clip(y - 20, 0, None) * 0.06, o),
        "face length": (o, np.clip(y + 5, -115, 0) * 0.055, o),
        "jaw width": (x * 0.075 * low, o, o),
        "jaw corner": (s * 3.5 * corner, -3.0 * corner, o),
        "jaw drop": (o, -2.5 * low, o),
        "chin width": (s * 3.2 * bump(a, y, 14, -106, 14, 14) * front, o, o),
        "chin length": (o, -4.2 * chin, o),
        "chin forward": (o, o, 4.0 * chin),
        "forehead slope": (o, o, -0.10 * np.clip(y - 25, 0, 80) * above * front),
        "forehead width": (x * 0.05 * above, o, o),
        "temples": (s * 2 * bump(a, y, 66, 25, 16, 22), o, o),
        "eye distance": (s * 2.3 * eye, o, o),
        "eye height": (o, 2.0 * eye, o),
        "eye width": ((a - EYE[0]) * s * 0.10 * eye, o, o),
        "eye opening": (o, (y - EYE[1]) * 0.14 * eye, o),
        "eye tilt": (o, (a - EYE[0]) * 0.11 * eye, o),
        "eye depth": (o, o, 2.4 * eye),
        "brow ridge": (o, o, 2.4 * brow),
        "brow height": (o, 2.4 * brow, o),
        "brow tilt": (o, (a - 30) * 0.13 * brow, o),
        "nose length": (o, -3.6 * nose, o),
        "nose width": (s * 2.4 * wings + x * 0.10 * tip, o, o),
        "nose wings": (o, 1.6 * wings, 1.6 * wings),
        "bridge height": (o, o, 3.0 * bridge),
        "bridge width": (x * 0.28 * bridge, o, o),
        "bridge hump": (o, o, 2.4 * bump(x, y, 0, -16, 9, 9) * front),
        "nasion depth": (o, o, -2.6 * bump(x, y, 0, 4, 11, 9) * front),
        "tip forward": (o, o, 3.0 * tip),
        "tip upturn": (o, 2.6 * tip, 1.0 * tip),
        "tip bulb": (x * 0.22 * tip, o, 0.8 * tip),
        "mouth width": (s * 3.0 * mouth, o, o),
        "mouth height": (o, 2.2 * lips, o),
        "upper lip": (o, 1.6 * upper, 0.9 * upper),
        "lower lip": (o, -1.8 * lower, 1.1 * lower),
        "lips forward": (o, o, 2.2 * lips),
        "mouth corners": (o, 1.4 * bump(a, y, 25, -68, 8, 7) * front, o),
        "cheekbones": (s * 2.6 * cheekbone, o, 2.2 * cheekbone),
        "cheeks": (s * 3.2 * cheek, o, 2.2 * cheek),
        "weight": (s * (3.8 * cheek + 3.5 * corner), -3.0 * bump(x, y, 0, -112, 40, 14), 1.8 * cheek),
        "neck width": (x * 0.09 * smoothstep(-95, -140, y), o, z * 0.05 * smoothstep(-95, -140, y)),
    }


def _length(vector: NDArray[np.float64]) -> float:
    x, y, z = vector.tolist()
    return float(np.sqrt(x * x + y * y + z * z))


def _wave_fields(p: NDArray[np.float64], count: int) -> list[NDArray[np.float64]]:
    """Smooth irregularity nobody has a word for: fixed random plane waves, a mild asymmetry among them."""
    rng = np.random.default_rng(20_190_607)
    modes = []
    for _ in range(count):
        direction, axis = rng.normal(size=3), rng.normal(size=3)
        direction *= 2 * np.pi / rng.uniform(70, 150) / _length(direction)
        phase = p[..., 0] * direction[0] + p[..., 1] * direction[1] + p[..., 2] * direction[2]
        wave = sin(phase + rng.uniform(0, 2 * np.pi)) * smoothstep(-130, -100, p[..., 1])
        modes.append(wave[..., None] * axis / _length(axis) * 0.8)
    return modes


def _expression_fields(p: NDArray[np.float64]) -> dict[str, tuple[NDArray, NDArray, NDArray]]:
    """Named displacement fields of the face's movements, each at full strength."""
    x, y, z = np.moveaxis(p, -1, 0)
    a, s = np.abs(x), np.sign(x)
    o = np.zeros_like(x)
    front = smoothstep(5, 35, z)
    lower = (np.arange(ROWS) > MOUTH_ROW).astype(np.float64)[:, None]
    below = np.clip(p[MOUTH_ROW, :, 1][None] - y, 0, None)
    lip = power(np.clip(1 - (a / MOUTH_HALF_WIDTH) ** 2, 0, 1), 0.6)
    blend = smoothstep(0, 32, below)
    jaw = (
        lower
        * ((1 - blend) * lip + blend * exp(-(((a / 56) ** 2) ** 2)))
        * smoothstep(-60, 30, z)
        * smoothstep(-165, -116, y)
    )
    corner = bump(a, y, 24, -67, 13, 12) * front
    raised = bump(a, y, 42, -36, 17, 15) * front
    near = exp(-((a / 19) ** 2)) * front
    upper_lip = (1 - lower) * exp(-(((y + 66) / 9) ** 2)) * near * lip
    lower_lip = lower * exp(-(((y + 72) / 9) ** 2)) * near * lip
    brow = bump(a, y, 30, 20, 26, 11) * front
    inner = bump(a, y, 14, 17, 11, 11) * front
    return {
        "jaw": (o, -25.0 * jaw, -7.0 * jaw),
        "smile": (s * 6.5 * corner, 6.0 * corner + 3.0 * raised, -4.0 * corner + 3.5 * raised),
        "teeth": (o, 2.6 * upper_lip - 4.0 * lower_lip, o),
        "frown": (s * 1.0 * corner, -4.5 * corner, o),
        "pucker": (-s * 8.0 * corner, o, 5.5 * bump(x, y, 0, -68, 22, 13) * front),
        "brow raise": (o, 5.5 * brow, o),
        "brow knit": (-s * 2.0 * inner, -3.2 * inner, 1.0 * inner),
        "puff": (s * 5.0 * bump(a, y, 40, -60, 16, 17), o, 4.0 * bump(a, y, 38, -60, 16, 17) * front),
        "skew": (3.0 * bump(x, y, 20, -68, 16, 14) * front, 3.5 * bump(x, y, 20, -68, 16, 14) * front, o),
    }


def _occlusion(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of the sky each part of the template sees, painted by hand: sockets, nose, lips, under the chin."""
    x, y, z = np.moveaxis(p, -1, 0)
    a = np.abs(x)
    front = smoothstep(5, 35, z)
    dark = 0.42 * bump(a, y, 16.5, 2, 6, 8) + 0.22 * bump(a, y, 30, 8, 16, 5) + 0.12 * bump(a, y, 31, -9, 14, 4)
    dark += (
        0.30 * bump(a, y, 19.5, -43, 3.0, 7) + 0.45 * bump(a, y, 6, -48.5, 8, 2.6) + 0.25 * bump(x, y, 0, -82, 15, 4)
    )
    dark += 0.16 * bump(a, y, 27, -68, 4, 5)
    under = smoothstep(-112, -122, y) * 0.45 + 0.15 * smoothstep(-100, -118, y)
    behind = 0.35 * bump(a, y, 72, -20, 14, 30) * smoothstep(10, -20, z)
    return np.clip(1 - dark * front - under - behind, 0.15, 1)


LOOKUP_STEP = 0.5  # mm a cell of the lookup
LOOKUP_X, LOOKUP_Y = -64.0, 70.0  # canonical position of its first cell; rows go down


def _smoothed(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """``image (H, W, 3)`` blurred downwards by a Gaussian of 0.8 pixels."""
    padded = np.pad(image, ((3, 3), (0, 0), (0, 0)), mode="reflect")
    taps = exp(-0.5 * (np.arange(-3, 4) / 0.8) ** 2)
    total = np.zeros_like(image)
    for start, tap in enumerate(taps):
        total += padded[start : start + len(image)] * tap
    return total / taps.sum()


def _lookup(p: NDArray[np.float64]) -> Floats:
    """Column and row (H, W, 2) of the front surface at canonical (x, y), on a LOOKUP_STEP grid."""
    scale = 8
    rows, columns = np.mgrid[0 : ROWS - 1 : 1 / scale, 0 : COLUMNS - 1 : 1 / scale].astype(np.float32)
    fine = between(p.astype(np.float32), columns, rows)
    keep = (fine[..., 2] > 20) & (np.abs(fine[..., 0]) < 63) & (fine[..., 1] < 69) & (fine[..., 1] > -119)
    width, height = int(-2 * LOOKUP_X / LOOKUP_STEP) + 1, int((LOOKUP_Y + 120) / LOOKUP_STEP) + 1
    ix = np.rint((fine[keep][:, 0] - LOOKUP_X) / LOOKUP_STEP).astype(np.intp)
    iy = np.rint((LOOKUP_Y - fine[keep][:, 1]) / LOOKUP_STEP).astype(np.intp)
    total = np.zeros((height * width, 3))
    np.add.at(total, iy * width + ix, np.stack((columns[keep], rows[keep], np.ones(len(ix))), axis=1))
    image = _smoothed(_smoothed(total.reshape(height, width, 3)).swapaxes(0, 1)).swapaxes(0, 1).astype(np.float32)
    return np.ascontiguousarray(image[..., :2] / np.maximum(image[..., 2:], 1e-6))


def _jaw_points(angle: NDArray[np.float64]) -> Floats:
    """Column and row (17, 2) of the jaw line from the ear on the image's left over the chin to the other."""
    slices = np.array([7.2, 8.3, 9.4, 10.5, 11.5, 12.1, 12.4, 12.55, 12.6])
    degrees = np.array([-79, -78, -76, -72, -64, -51, -35, -17, 0])
    rows = np.interp(slices, _slice_positions(), np.arange(ROWS))
    columns = np.interp(np.radians(degrees), angle, np.arange(COLUMNS))
    left = np.stack((columns, rows), axis=1)
    right = np.stack((COLUMNS - 1 - columns, rows), axis=1)[:-1][::-1]
    return np.concatenate((left, right)).astype(np.float32)


@lru_cache(maxsize=1)
def template() -> Template:
    """The template, computed at the first call (about 0.2 s) and shared afterwards."""
    base, angle = _rings()
    p = base + _features(base)
    fields = _identity_fields(p)
    named = [np.stack(field, axis=-1) for field in fields.values()]
    waves = _wave_fields(p, 14)
    names = (*fields, *(f"wave {index}" for index in range(len(waves))))
    movements = _expression_fields(p)
    return Template(
        vertices=p.astype(np.float32),
        angle=angle.astype(np.float32),
        identity_modes=np.stack([m.ravel() for m in named + waves]).astype(np.float32),
        identity_names=names,
        expression_modes=np.stack([np.stack(m, axis=-1).ravel() for m in movements.values()]).astype(np.float32),
        expression_names=tuple(movements),
        occlusion=_occlusion(p).astype(np.float32),
        lookup=_lookup(p),
        jaw=_jaw_points(angle),
    )


def locate(points: NDArray) -> Floats:
    """Column and row (N, 2) on the template's grid of canonical points (N, 2), in mm, on the front of the face."""
    column, row = (points[:, 0] - LOOKUP_X) / LOOKUP_STEP, (LOOKUP_Y - points[:, 1]) / LOOKUP_STEP
    return between(template().lookup, column, row).astype(np.float32)


def on_surface(vertices: Floats, where: Floats) -> Floats:
    """Points (N, 3) of the mesh ``vertices (ROWS, COLUMNS, 3)`` at grid positions ``where (N, 2)`` (column, row)."""
    return between(vertices, where[:, 0], where[:, 1]).astype(np.float32)


def blend(strengths: Floats, modes: Floats) -> Floats:
    """Sum (ROWS, COLUMNS, 3) of displacement fields ``modes (K, V)`` with ``strengths (K,)``, one after the other."""
    total = np.zeros(modes.shape[1], np.float32)
    for strength, mode in zip(strengths, modes, strict=True):
        if strength:
            total += mode * strength
    return total.reshape(ROWS, COLUMNS, 3)
