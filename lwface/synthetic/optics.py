"""What a poor lens and a poor sensor do to a picture, and to the points in it.

A lens bends lines, the more the farther from its axis, breaks colours apart there, is darker and less sharp there, and
scatters light. A sensor reads line after line while the scene moves under a lamp that flickers, and its noise has rows
and spots of colour. A picture of a face is often cut out of a larger one, so that the lens's axis may lie outside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic import arithmetic
from lwface.synthetic.filters import gaussian
from lwface.synthetic.kernel import kernel
from lwface.synthetic.texture import smooth_noise

Floats = NDArray[Any]  # float32 unless said otherwise
Points = NDArray[np.float64]  # (N, 2), x and y in pixels of the frame, pixel (0, 0) having its centre at (0, 0)
F = np.float32
TURN = 2 * np.pi
GLOW_FROM, GLOW_PIXELS = F(0.75), 5.0  # brightness that scatters, and how far it does
NEWTON_STEPS = 8  # to a point's place: the error is squared by each


@dataclass(frozen=True)
class Lens:
    """One lens. Its radius 1 is at the corner of the frame that is farthest from its axis."""

    axis: tuple[float, float]  # shares of the frame's sides
    bend: float  # a point at radius r shows what is at r * (1 + bend * r * r): barrel when positive, pincushion below 0
    colours: float  # the share by which red's picture is larger, and blue's smaller
    dark: float  # the share of brightness that is missing at radius 1
    soft: float  # pixels of blur where it is least sharp
    sharp: tuple[float, float]  # where it is sharpest, shares of the frame's sides
    veil: float  # share of the picture that is scattered light
    veil_colour: tuple[float, float, float]
    glow: float  # strength of the light around what is bright


@dataclass(frozen=True)
class Sensor:
    """One sensor, and the movement and the lamp that its lines see one after the other."""

    lean: float  # pixels by which the frame's last line is further to the right than its first
    wave: float  # pixels a line is off to a side at most, as the camera shakes
    waves: tuple[float, float]  # of them down the frame, and the turn that they begin at
    flicker: float  # share by which lines are darker and brighter
    bands: tuple[float, float]  # of those down the frame, and the turn that they begin at
    lines: float  # grey levels of noise that a whole line shares
    spots: float  # grey levels of noise in spots of colour
    spot_pixels: float


def draw_lens(rng: np.random.Generator) -> Lens:
    """A lens, each of whose faults is often little and at times much."""
    u = rng.uniform
    cut_out = u() < 0.6
    return Lens(
        axis=(u(-0.4, 1.4), u(-0.4, 1.4)) if cut_out else (0.5, 0.5),
        bend=u(-0.16, 0.36),
        colours=u(-0.012, 0.012) if u() < 0.7 else 0.0,
        dark=u(0.0, 0.6),
        soft=u(0.0, 2.2) if u() < 0.5 else 0.0,
        sharp=(u(), u()),
        veil=u(0.0, 0.3) if u() < 0.4 else 0.0,
        veil_colour=(u(0.5, 1.0), u(0.5, 1.0), u(0.5, 1.0)),
        glow=u(0.0, 1.5) if u() < 0.4 else 0.0,
    )


def draw_sensor(rng: np.random.Generator) -> Sensor:
    """A sensor that is read line by line, most often of something that moves."""
    u = rng.uniform
    return Sensor(
        lean=u(-28.0, 28.0) if u() < 0.6 else 0.0,
        wave=u(0.0, 3.0) if u() < 0.3 else 0.0,
        waves=(u(0.5, 5.0), u()),
        flicker=u(0.0, 0.2) if u() < 0.4 else 0.0,
        bands=(u(0.5, 5.0), u()),
        lines=float(rng.exponential(1.5)),
        spots=float(rng.exponential(3.0)),
        spot_pixels=u(2.0, 7.0),
    )


def placed(points: Points, lens: Lens | None, sensor: Sensor | None, size: int) -> Points:
    """Where ``points (N, 2)`` of the scene are in a frame of ``size`` pixels; what :func:`seen` reads, inverted."""
    x, y = points.astype(np.float64).T
    if lens:
        across, down, reach, scale = _geometry(lens, size)
        dx, dy = x - across, y - down
        wanted = np.sqrt(dx * dx + dy * dy) / (reach * scale)
        radius = wanted.copy()
        for _ in range(NEWTON_STEPS):
            square = radius * radius
            radius = radius - (radius * (1 + lens.bend * square) - wanted) / (1 + 3 * lens.bend * square)
        share = radius / np.maximum(wanted, 1e-12) / scale
        x, y = across + dx * share, down + dy * share
    return np.stack((x + shifts(sensor, y, size) if sensor else x, y), axis=1)


def shifts(sensor: Sensor, y: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """By how many pixels what is in the lines ``y (N,)`` is to the right of where it was in the first moment."""
    along = y / size
    count, start = sensor.waves
    return np.asarray(sensor.lean * (along - 0.5) + sensor.wave * arithmetic.sin(TURN * (count * along + start)))


def seen(image: Floats, lens: Lens | None, sensor: Sensor | None) -> Floats:
    """What lens and sensor make of a whole frame ``image (S, S, 3)``, 0 to 1."""
    size = len(image)
    if lens and lens.soft > 0.2:
        blurred = gaussian(image, lens.soft)
        image = image + (blurred - image) * _away(lens.sharp, size)
    rows = np.arange(size, dtype=np.float64)
    late = shifts(sensor, rows, size) if sensor else np.zeros(size)
    across, down, reach, scale = _geometry(lens, size) if lens else (0.0, 0.0, 1.0, 1.0)
    bend, colours, dark = (lens.bend, lens.colours, lens.dark) if lens else (0.0, 0.0, 0.0)
    lines = _flicker(sensor, rows, size) if sensor else np.ones(size)
    result = np.empty_like(image)
    settings = np.array((across, down, reach, scale, bend, colours, dark))
    _see(np.ascontiguousarray(image), late, lines, settings, result)
    return _scattered(result, lens) if lens else result


def noise(sensor: Sensor, rng: np.random.Generator, size: int) -> Floats:
    """Noise (size, size, 3) of whole lines and of spots of colour, in grey levels."""
    lines = rng.standard_normal((size, 1, 1), dtype=np.float32) * F(sensor.lines)
    cells = max(2, int(size / sensor.spot_pixels))
    spots = np.stack([smooth_noise(rng, size, cells) for _ in range(3)], axis=-1)
    return np.asarray(lines + spots * F(sensor.spots))


def _geometry(lens: Lens, size: int) -> tuple[float, float, float, float]:
    """Pixels of the axis, of radius 1, and the share that keeps what a barrel draws in inside the frame."""
    across, down = (share * size - 0.5 for share in lens.axis)
    right, low = (max(abs(at + 0.5), abs(size - 0.5 - at)) for at in (across, down))
    return across, down, float(np.sqrt(right * right + low * low)), 1 / (1 + max(lens.bend, 0.0) * 0.5)


def _flicker(sensor: Sensor, rows: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Factors (S,) on the brightness of lines."""
    count, start = sensor.bands
    return np.asarray(1 + sensor.flicker * arithmetic.sin(TURN * (count * rows / size + start)))


def _away(sharp: tuple[float, float], size: int) -> Floats:
    """How unsharp each pixel is (S, S, 1): 0 at the place ``sharp``, 1 from half a frame away on."""
    rows, columns = np.mgrid[0:size, 0:size]
    x, y = columns / size - sharp[0], rows / size - sharp[1]
    return np.clip(4 * (x * x + y * y), 0, 1).astype(np.float32)[..., None]


def _scattered(image: Floats, lens: Lens) -> Floats:
    """``image`` with light around what is bright and a veil over all."""
    if lens.glow > 0:
        image = image + F(lens.glow) * gaussian(np.maximum(image - GLOW_FROM, F(0)), GLOW_PIXELS)
    if lens.veil > 0:
        image = image + (np.array(lens.veil_colour, np.float32) - image) * F(lens.veil)
    return image


@kernel
def _see(image: Floats, late: Floats, lines: Floats, lens: Floats, result: Floats) -> None:
    """Fill ``result (S, S, 3)`` from where each line and colour finds it in ``image``, whose edges go on outside.

    Float64 but for the pixels. ``late`` and ``lines (S,)`` are a line's shift and brightness; ``lens (7,)`` is axis,
    radius and share of :func:`_geometry`, then bend, colours and dark of a :class:`Lens`.
    """
    size = image.shape[0]
    across, down, reach, scale, bend, colours, dark = lens[0], lens[1], lens[2], lens[3], lens[4], lens[5], lens[6]
    for row in range(size):
        for column in range(size):
            dx, dy = column - late[row] - across, row - down
            square = (dx * dx + dy * dy) / (reach * reach)
            share = scale * (1 + bend * square)
            bright = lines[row] * (1 - dark * square)
            for k in range(3):
                part = share * (1 + colours * (k - 1))
                x = min(max(across + dx * part, 0.0), size - 1.001)
                y = min(max(down + dy * part, 0.0), size - 1.001)
                left, top = int(x), int(y)
                fx, fy = x - left, y - top
                upper = image[top, left, k] * (1 - fx) + image[top, left + 1, k] * fx
                lower = image[top + 1, left, k] * (1 - fx) + image[top + 1, left + 1, k] * fx
                result[row, column, k] = F((upper * (1 - fy) + lower * fy) * bright)
