"""Cluttered backgrounds: rooms, crowds, shelves and screens of many shapes, large to small, hardly out of focus."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.filters import gaussian

Floats = NDArray[Any]  # float32 unless said otherwise
CELLS = 96  # pixels a side in which shapes are drawn
KINDS = ("boxes", "crowd", "shelves", "leaves", "screen")


def clutter(seed: int, size: int) -> Floats:
    """A made-up scene (size*size, 3) in linear light with much in it."""
    rng = np.random.default_rng(seed)
    image = _ground(rng)
    kind = KINDS[int(rng.integers(len(KINDS)))]
    {"boxes": _boxes, "crowd": _crowd, "shelves": _shelves, "leaves": _leaves, "screen": _screen}[kind](rng, image)
    if rng.random() < 0.7:
        _boxes(rng, image, few=True)
    soft = gaussian(image, rng.uniform(0.3, 1.4)) * np.float32(rng.uniform(0.35, 1.3))
    large: Floats = cv2.resize(soft, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(large.reshape(-1, 3))


def _tones(rng: np.random.Generator, count: int) -> list[list[float]]:
    """So many colours, linear: near to one of the scene, some far from it."""
    base, strength = rng.random(3), rng.uniform(0.05, 0.6)
    mixed = base * (1 - strength) + strength * rng.random((count, 3))
    mixed += (mixed.mean(axis=1, keepdims=True) - mixed) * rng.uniform(0.1, 0.95)
    result: list[list[float]] = (0.002 + (mixed * rng.uniform(0.15, 1.0, (count, 1))) ** 2).tolist()
    return result


def _ground(rng: np.random.Generator) -> Floats:
    """Cloudy colours (CELLS, CELLS, 3) of several sizes over one that changes downwards."""
    top, bottom = np.array(_tones(rng, 2), np.float32)
    fall = np.linspace(0, 1, CELLS, dtype=np.float32)[:, None, None]
    image = top + (bottom - top) * fall + np.zeros((CELLS, CELLS, 3), np.float32)
    for cells, strength in ((4, 0.5), (12, 0.35), (32, 0.2)):
        grey, tint = (rng.standard_normal((cells, cells, colours), dtype=np.float32) for colours in (1, 3))
        noise = grey + np.float32(0.3) * tint
        cloud: Floats = cv2.resize(noise, (CELLS, CELLS), interpolation=cv2.INTER_CUBIC)
        image *= np.clip(1 + np.float32(strength) * cloud, 0.1, 3)
    return image


def _boxes(rng: np.random.Generator, image: Floats, *, few: bool = False) -> None:
    """Furniture, windows, posters: rectangles and quadrangles, large ones first."""
    count = int(rng.integers(3, 8) if few else rng.integers(20, 60))
    sizes = np.sort(rng.uniform(3, 52, count))[::-1]
    corners = rng.uniform(-0.5, 0.5, (count, 4, 2)) * 0.3 + ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
    ratio = rng.uniform(0.4, 1.6, (count, 1, 2))
    places = rng.uniform(0, CELLS, (count, 1, 2)) + corners * ratio * sizes[:, None, None]
    for place, tone in zip(np.rint(places).astype(np.int32), _tones(rng, count), strict=True):
        cv2.fillPoly(image, [place], tone)


def _crowd(rng: np.random.Generator, image: Floats) -> None:
    """Other people far behind: heads on shoulders, from the back row to the front."""
    count = int(rng.integers(5, 16))
    skins, clothes = rng.uniform(0.08, 0.7, count), _tones(rng, 2 * count)
    for number, row in enumerate(np.sort(rng.uniform(15, CELLS, count)).tolist()):
        size, x = 3 + row * 0.09, int(rng.integers(CELLS))
        skin = (skins[number] * np.array((1.0, 0.62, 0.45))).tolist()
        centre, radius = (x, int(row)), int(size)
        chest, half = (x, int(row + 3.4 * size)), (int(2.2 * size), int(2.4 * size))
        cv2.ellipse(image, chest, half, 0, 0, 360, clothes[number], -1)
        cv2.circle(image, (x, int(row - 0.3 * size)), radius + 1, (np.array(clothes[-number - 1]) * 0.3).tolist(), -1)
        cv2.ellipse(image, centre, (int(0.75 * size), radius), 0, 0, 360, skin, -1)


def _shelves(rng: np.random.Generator, image: Floats) -> None:
    """Books or goods side by side."""
    high = int(rng.integers(11, 27))
    (wood,) = _tones(rng, 1)
    for top in range(int(rng.integers(-high, 0)), CELLS, high):
        widths, lower = rng.integers(2, 9, 32), rng.integers(2, 8, 32).tolist()
        books = zip((np.cumsum(widths) - widths).tolist(), widths.tolist(), lower, _tones(rng, 32), strict=True)
        for left, width, low, tone in books:
            cv2.rectangle(image, (left, top + low), (left + width - 1, top + high - 3), tone, -1)
        cv2.rectangle(image, (0, top + high - 2), (CELLS, top + high), wood, -1)


def _leaves(rng: np.random.Generator, image: Floats) -> None:
    """Branches and leaves with light between them."""
    count = int(rng.integers(70, 160))
    greens = np.array((0.5, 1.0, 0.25)) * rng.uniform(0.02, 0.5, (count, 1)) * rng.uniform(0.7, 1.3, (count, 3))
    sizes = rng.integers(1, 6, (count, 2))
    for centre, size, tone in zip(rng.integers(0, CELLS, (count, 2)), sizes, greens, strict=True):
        angle = float(rng.integers(180))
        cv2.ellipse(image, centre.tolist(), size.tolist(), angle, 0, 360, tone.tolist(), -1)


def _screen(rng: np.random.Generator, image: Floats) -> None:
    """A studio's wall: bands, lamps and letters."""
    tones = _tones(rng, 40)
    for number in range(int(rng.integers(2, 7))):
        ends = rng.integers(-20, CELLS + 20, 4).tolist()
        cv2.line(image, tuple(ends[:2]), tuple(ends[2:]), tones[number], int(rng.integers(2, 20)))
    for number in range(int(rng.integers(4, 20))):
        _letters(rng, image, tones[10 + number])
    for number in range(int(rng.integers(0, 9))):
        cv2.circle(image, rng.integers(0, CELLS, 2).tolist(), int(rng.integers(1, 6)), tones[30 + number], -1)


def _letters(rng: np.random.Generator, image: Floats, tone: list[float]) -> None:
    """A line of signs that nobody reads, of 5 x 3 dots each."""
    dot, count = int(rng.integers(1, 4)), int(rng.integers(3, 9))
    signs = rng.random((5, count, 4)) < (0.6, 0.6, 0.6, 0.0)
    dots = np.kron(signs.reshape(5, -1), np.ones((dot, dot), bool))
    top, left = rng.integers(0, CELLS - 16, 2).tolist()
    place = image[top : top + len(dots), left : left + dots.shape[1]]
    place[dots[: len(place), : place.shape[1]]] = tone
