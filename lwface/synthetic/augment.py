"""What is behind the person, and what the camera does to the picture: blur, noise, colour, JPEG."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic import optics, wide
from lwface.synthetic.filters import gaussian, motion_taps, spread
from lwface.synthetic.kernel import kernel
from lwface.synthetic.shot import Shot, colour, pick, uniform
from lwface.synthetic.web import coded, webbed

Floats = NDArray[Any]  # float32 unless said otherwise
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, the last two outside
BACKGROUND_CELLS = 64
FALL = np.linspace(0, 1, BACKGROUND_CELLS, dtype=np.float32)[:, None, None]  # from the top to the bottom
JPEG_UNIT = 16  # pixels that are coded together, where colours have half the resolution
F = np.float32
KNEE = F(0.82)  # from here on highlights are rolled off, as film and cameras do


def background(seed: int, blur: float, size: int) -> Floats:
    """A made-up scene (size*size, 3) in linear light: wall and floor, furniture, windows, foliage, out of focus."""
    rng = np.random.default_rng(seed)
    n, u = BACKGROUND_CELLS, uniform(rng)
    kind = pick(rng, ("room", "street", "foliage", "studio", "lights"))
    low, high = colour(rng), colour(rng)
    image = np.empty((n, n, 3), np.float32)
    image[:] = high * (1 - FALL) + low * FALL
    if kind in ("room", "street"):
        for _ in range(int(rng.integers(4, 14))):
            x, y, w, h = rng.uniform(-8, n, 2).tolist() + rng.uniform(3, 26, 2).tolist()
            tone = (colour(rng) * u(0.4, 1.6)).tolist()
            cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), tone, -1 if u() < 0.75 else 2)
        if kind == "room":
            cv2.line(
                image,
                (0, int(rng.integers(n))),
                (n, int(rng.integers(n))),
                (colour(rng) * 0.6).tolist(),
                int(rng.integers(1, 4)),
            )
    elif kind == "foliage":
        green = np.array((0.10, 0.25, 0.06), np.float32) * rng.uniform(0.4, 1.8)
        for cells in (5, 14, 40):
            coarse = cv2.resize(
                rng.standard_normal((cells, cells), dtype=np.float32), (n, n), interpolation=cv2.INTER_CUBIC
            )
            image = image * 0.55 + 0.45 * green * np.clip(1 + 0.9 * coarse, 0, 3)[..., None]
    elif kind == "lights":
        image *= 0.25
        for _ in range(int(rng.integers(6, 22))):
            centre = tuple(int(v) for v in rng.integers(0, n, 2))
            cv2.circle(image, centre, int(rng.integers(1, 6)), (colour(rng) * 1.5 + 0.2).tolist(), -1)
    soft = gaussian(image.astype(np.float32), max(0.3, blur * 0.45))
    large: Floats = cv2.resize(soft, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(large.reshape(-1, 3))


def finish(
    canvas: Floats,
    shot: Shot,
    frame_size: int,
    rng: np.random.Generator,
    part: Box | None = None,
    *,
    only: bool = True,
) -> NDArray[np.uint8]:
    """The camera's picture (S, S, 3) RGB of what was drawn (s, s, 3), s > S, with one pass through JPEG.

    With ``only`` it is no more than ``part``, if given, which begins at multiples of JPEG_UNIT pixels and ends at such
    or at the frame's end: there the picture is the same, and black elsewhere. A video on the web is coded in ``part``
    by itself, for that.
    """
    whole = (0, 0, frame_size, frame_size)
    left, top, right, bottom = (part if only else None) or whole
    border = reach(shot)
    x0, y0 = max(left - border, 0), max(top - border, 0)
    x1, y1 = min(right + border, frame_size), min(bottom + border, frame_size)
    bent = shot.lens or shot.sensor
    if shot.detail < 1 or bent:  # coarse pixels are those of the whole frame, and a lens reads from anywhere
        x0, y0, x1, y1 = whole
    areas = _areas(len(canvas), frame_size)
    gain = np.tile(shot.balance * np.float32(shot.exposure), len(canvas))
    image: Floats = np.empty((y1 - y0, x1 - x0, 3), np.float32)
    lines = canvas.reshape(len(canvas), -1)
    _develop(
        lines,
        areas,
        (x0, y0, x1, y1),
        gain,
        shot.contrast,
        np.zeros(len(gain) + 3 * areas[1].shape[1], np.float32),
        image.reshape(y1 - y0, -1),
    )
    image = _soften(image, shot)
    if bent:
        image = optics.seen(image, shot.lens, shot.sensor)
    if shot.detail < 1:
        small = max(24, round(frame_size * shot.detail))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (frame_size, frame_size), interpolation=cv2.INTER_LINEAR)
    noise = shot.noise if shot.noise > 0.2 else 0.0
    grain = np.ascontiguousarray(_grain(rng, frame_size)[top:bottom, left:right])
    piece = np.ascontiguousarray(image[top - y0 : bottom - y0, left - x0 : right - x0])
    if shot.sensor:
        piece = piece + optics.noise(shot.sensor, rng, frame_size)[top:bottom, left:right] * F(1 / 255)
    if shot.grey:
        piece, grain = _greyed(piece), _greyed(grain)
    pixels = np.empty(piece.shape, np.uint8)
    _digitise(piece.reshape(-1), grain.reshape(-1), noise, pixels.reshape(-1))
    frame = np.zeros((frame_size, frame_size, 3), np.uint8)
    if shot.web is None:
        frame[top:bottom, left:right] = coded(pixels, shot.quality)
        return frame
    frame[top:bottom, left:right] = webbed(pixels, shot.web, grain)
    if part and not only:
        inner = np.s_[part[1] : part[3], part[0] : part[2]]
        frame[inner] = webbed(pixels[inner], shot.web, grain[inner])
    return frame


@lru_cache(maxsize=8)
def _areas(size: int, frame_size: int) -> tuple[NDArray[np.int64], Floats, NDArray[np.int32], Floats]:
    """How a frame's rows and columns cover those of a picture of ``size``.

    First row (S,) of each row, and the shares (S, K) of those from there on; the same of columns with three colours:
    first value (3 * S,) and shares (K, 3 * S).
    """
    scale = size / frame_size
    edges = np.arange(frame_size) * scale
    first = np.floor(edges).astype(np.int64)
    pixels = first[:, None] + np.arange(int(np.ceil(scale)) + 1)
    shares = np.minimum(pixels + 1, (edges + scale)[:, None]) - np.maximum(pixels, edges[:, None])
    shares = np.where(pixels < size, np.clip(shares, 0, None) / scale, 0).astype(np.float32)
    shares = shares[:, : int(np.flatnonzero(shares.any(axis=0))[-1]) + 1]
    starts = (first[:, None] * 3 + np.arange(3)).ravel().astype(np.int32)
    return first, shares, starts, np.ascontiguousarray(np.repeat(shares, 3, axis=0).T)


@kernel
def _develop(
    canvas: Floats,
    areas: tuple[NDArray[np.int64], Floats, NDArray[np.int32], Floats],
    region: Box,
    gain: Floats,
    contrast: float,
    line: Floats,
    result: Floats,
) -> None:
    """The part ``region`` of the frame (H, W * 3): reduced by areas, gamma, contrast, and highlights rolled off.

    ``gain`` (s*3,) is of each value of a row of the canvas (s, s*3); ``line`` holds a row that is reduced downwards,
    and as many zeros as shares reach further.
    """
    first, rows, starts, columns = areas
    left, top, right, bottom = region
    start, end = starts[left * 3], min(starts[right * 3 - 3] + columns.shape[0] * 3, canvas.shape[1])
    steep, base = F(contrast), F(0.5 - 0.5 * contrast)
    for row in range(top, bottom):
        for x in range(start, end):
            line[x] = 0
        for i in range(rows.shape[1]):
            share = rows[row, i]
            if share > 0:
                source = canvas[first[row] + i]
                for x in range(start, end):
                    line[x] += share * min(source[x] * gain[x], F(1.6))
        target = result[row - top]
        reach = right * 3 - left * 3
        for x in range(reach):
            at = starts[left * 3 + x]
            target[x] = columns[0, left * 3 + x] * line[at] + columns[1, left * 3 + x] * line[at + 3]
        for j in range(2, columns.shape[0]):
            for x in range(reach):
                target[x] += columns[j, left * 3 + x] * line[starts[left * 3 + x] + 3 * j]
        for x in range(reach):
            value = np.sqrt(max(target[x], F(0))) * steep + base
            falling = wide.exp(F(-2) * (value - KNEE) * (F(1) / (F(1) - KNEE)))
            rolled = KNEE + (F(1) - KNEE) * (F(1) - falling) / (F(1) + falling)
            target[x] = rolled if value > KNEE else value


@kernel
def _digitise(image: Floats, grain: Floats, noise: float, result: NDArray[np.uint8]) -> None:
    """Whole grey levels (N,) of ``image (N,)`` in 0..1, with unit noise (N,) times ``noise`` levels."""
    strength = F(noise)
    for i in range(result.shape[0]):
        result[i] = np.uint8(min(max(image[i] * F(255) + strength * grain[i] + F(0.5), F(0)), F(255)))


def _greyed(image: Floats) -> Floats:
    """``image (H, W, 3)`` without colour."""
    grey = image[..., 0] * F(0.299) + image[..., 1] * F(0.587) + image[..., 2] * F(0.114)
    return np.repeat(grey[..., None], 3, axis=2)


def reach(shot: Shot) -> int:
    """How many pixels of the picture away, before JPEG, what was drawn changes a pixel of :func:`finish`, at most."""
    blur = 4 * shot.blur + 1  # where OpenCV cuts a Gaussian off, for float32
    motion = float(np.hypot(*shot.motion)) / 2 + 1
    detail = 3 / shot.detail if shot.detail < 1 else 0.0  # a coarse pixel and its neighbour
    return int(np.ceil(1 + blur + motion + detail))


@lru_cache(maxsize=1)
def _noise_sheet() -> Floats:
    """Unit noise (512, 512, 3) from which every picture takes a piece, since drawing it anew takes long."""
    return np.random.default_rng(11).standard_normal((512, 512, 3), dtype=np.float32)


def _grain(rng: np.random.Generator, size: int) -> Floats:
    """Unit noise (size, size, 3): a random piece of the sheet, mirrored at random."""
    down, right = rng.integers(max(1, 512 - size), size=2)
    piece = _noise_sheet()[down : down + size, right : right + size]
    if piece.shape[0] < size:
        return rng.standard_normal((size, size, 3), dtype=np.float32)
    flips = rng.integers(0, 2, 2) * 2 - 1
    return piece[:: flips[0], :: flips[1]]


def _soften(image: Floats, shot: Shot) -> Floats:
    """Lens and motion blur."""
    if shot.blur > 0.15:
        image = gaussian(image, shot.blur)
    right, down = (float(v) for v in shot.motion)
    return spread(image, *motion_taps(right, down)) if right * right + down * down > 1.0 else image
