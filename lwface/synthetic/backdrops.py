"""What may be behind and between people: walls, rooms, shapes, textures, writing, things of the colour of skin.

Everything is drawn from random numbers, so nothing here was ever photographed. A backdrop teaches a detector what is no
face; it is quick rather than true, and changes from picture to picture.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]  # (S, S, 3) RGB, 0 to 255
Painter = Callable[[np.random.Generator, Any], None]
DARKEST, FAIREST = np.array((58.0, 36.0, 26.0)), np.array((246.0, 212.0, 190.0))  # ends of what skin looks like
LETTERS = string.ascii_letters + string.digits + ".,:!?&%"
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)


def tone(rng: np.random.Generator) -> tuple[float, float, float]:
    """A colour: of anything, often muted, a third of the time that of skin, wood and sand."""
    if rng.random() < 0.33:
        share = rng.random()
        found = DARKEST * (1 - share) + FAIREST * share + rng.normal(0, 10, 3)
    else:
        grey = rng.uniform(0, 255)
        found = grey + (rng.uniform(0, 255, 3) - grey) * rng.beta(1.0, 1.6)
    red, green, blue = np.clip(found, 0, 255).tolist()
    return red, green, blue


def _place(rng: np.random.Generator, side: int) -> tuple[int, int]:
    x, y = rng.integers(-side // 8, side + side // 8, 2).tolist()
    return x, y


def field(rng: np.random.Generator, side: int, cells: int) -> NDArray[np.float32]:
    """Smooth noise (S, S), about -1 to 1, of so many hills a side."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)


def _add(image: Pixels, amount: NDArray[np.float32], colour: NDArray[np.float64]) -> None:
    """Add ``colour`` (3,) times ``amount`` (h, w) to ``image`` (h, w, 3); by OpenCV, which is quicker at it."""
    image += cv2.transform(amount[..., None], colour.astype(np.float32)[:, None])


def clouds(rng: np.random.Generator, image: Pixels) -> None:
    """Noise of several sizes, in one colour or in three."""
    side = len(image)
    for cells in rng.choice((2, 4, 8, 16, 32, 64), int(rng.integers(1, 4)), replace=False).tolist():
        _add(image, field(rng, side, cells), rng.normal(0, 22, 3))


def slopes(rng: np.random.Generator, image: Pixels) -> None:
    """It grows lighter or another colour from one side to the other."""
    side = len(image)
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    along = ramp[:, None] * np.float32(np.sin(turn)) + ramp[None] * np.float32(np.cos(turn))
    _add(image, along, rng.normal(0, 45, 3))


def room(rng: np.random.Generator, image: Any) -> None:
    """Walls, floor and ceiling that meet in a corner."""
    side = len(image)
    corner = rng.uniform(0.15, 0.85, 2) * side
    ends = [(-side, -side), (2 * side, -side), (2 * side, 2 * side), (-side, 2 * side)]
    for one, other in zip(ends, [*ends[1:], ends[0]], strict=True):
        if rng.random() < 0.8:
            bend = corner + rng.uniform(-0.2, 0.2, 2) * side
            shape = np.array([corner, bend, one, other]).astype(np.int32)
            cv2.fillPoly(image, [shape[[0, 2, 3]]], tone(rng))


def boxes(rng: np.random.Generator, image: Any) -> None:
    """Furniture, windows, frames on a wall."""
    side = len(image)
    for _ in range(int(rng.integers(2, 14))):
        x, y = _place(rng, side)
        w, h = (rng.uniform(0.02, 0.5, 2) * side).astype(int).tolist()
        cv2.rectangle(image, (x, y), (x + w, y + h), tone(rng), -1 if rng.random() < 0.7 else int(rng.integers(1, 6)))


def polygons(rng: np.random.Generator, image: Any) -> None:
    """Shapes with corners."""
    side = len(image)
    for _ in range(int(rng.integers(2, 9))):
        middle, size = rng.uniform(0, side, 2), rng.uniform(0.05, 0.4) * side
        shape = middle + rng.normal(0, size, (int(rng.integers(3, 7)), 2))
        cv2.fillPoly(image, [shape.astype(np.int32)], tone(rng), cv2.LINE_AA)


def rounds(rng: np.random.Generator, image: Any) -> None:
    """Ovals of all sizes, filled or rings: balls, plates, lamps, wheels; two or three in a row look like eyes."""
    side = len(image)
    for _ in range(int(rng.integers(2, 12))):
        x, y = _place(rng, side)
        size = max(2, int(side * 10 ** rng.uniform(-2, -0.6)))
        axes = (size, max(1, int(size * rng.uniform(0.4, 1.0))))
        width = -1 if rng.random() < 0.7 else int(rng.integers(1, 5))
        colour = tone(rng)
        for number in range(int(rng.integers(1, 4))):
            at = (int(x + number * size * rng.uniform(2, 4)), y)
            cv2.ellipse(image, at, axes, rng.uniform(0, 180), 0, 360, colour, width, cv2.LINE_AA)


def lines(rng: np.random.Generator, image: Any) -> None:
    """Cables, branches, edges."""
    side = len(image)
    for _ in range(int(rng.integers(2, 16))):
        walk = np.cumsum(rng.normal(0, side * 0.15, (int(rng.integers(2, 7)), 2)), axis=0) + _place(rng, side)
        cv2.polylines(image, [walk.astype(np.int32)], False, tone(rng), int(rng.integers(1, 7)), cv2.LINE_AA)


def writing(rng: np.random.Generator, image: Any) -> None:
    """Letters that mean nothing, in lines, as captions and shop signs have them."""
    side = len(image)
    page = np.clip(image, 0, 255).astype(np.uint8)  # OpenCV writes into nothing else
    for _ in range(int(rng.integers(1, 5))):
        x, y = _place(rng, side)
        scale, font, colour = rng.uniform(0.3, 2.2) * side / 320, FONTS[int(rng.integers(len(FONTS)))], tone(rng)
        if rng.random() < 0.4:
            cv2.rectangle(page, (x - 4, y - int(28 * scale)), (side, y + int(10 * scale)), tone(rng), -1)
        text = "".join(rng.choice(list(LETTERS + "    "), int(rng.integers(2, 24))))
        cv2.putText(page, text, (x, y), font, scale, colour, int(rng.integers(1, 4)), cv2.LINE_AA)
    image[:] = page


def weave(rng: np.random.Generator, image: Pixels) -> None:
    """Stripes, checks or dots over a part of the picture: cloth, blinds, tiles, grilles."""
    side = len(image)
    x0, y0 = rng.uniform(-0.2, 0.7, 2) * side
    w, h = rng.uniform(0.2, 1.2, 2) * side
    left, top = int(max(x0, 0)), int(max(y0, 0))
    right, bottom = int(min(max(x0 + w, left + 2), side)), int(min(max(y0 + h, top + 2), side))
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    turn, step = rng.uniform(0, np.pi), side * 10 ** rng.uniform(-2.0, -0.8)
    right_by, down_by = np.float32(2 * np.pi * np.cos(turn) / step), np.float32(2 * np.pi * np.sin(turn) / step)
    one = np.sin(x * right_by + y * down_by)
    other = np.sin((y * right_by - x * down_by) * np.float32(rng.uniform(0.5, 1.5)))
    kind = int(rng.integers(3))
    wave = one if kind == 0 else one * other if kind == 1 else (one + other > rng.uniform(0, 1.4)) * 2.0 - 1
    if rng.random() < 0.6:
        wave = np.sign(wave)
    strength = rng.uniform(0.3, 1.0)
    middle, swing = (np.array(tone(rng)) + np.array(tone(rng))) / 2, (np.array(tone(rng)) - np.array(tone(rng))) / 2
    part = image[top:bottom, left:right]
    part *= np.float32(1 - strength)
    part += (strength * middle).astype(np.float32)
    _add(part, wave.astype(np.float32), strength * swing)


def leaves(rng: np.random.Generator, image: Any) -> None:
    """Many small things of similar colour: foliage, gravel, a crowd that is far away."""
    side = len(image)
    base, size = np.array(tone(rng)), max(2, int(side * 10 ** rng.uniform(-2, -1.2)))
    for _ in range(int(rng.integers(40, 160))):
        colour = np.clip(base * rng.uniform(0.4, 1.5) + rng.normal(0, 8, 3), 0, 255).tolist()
        axes = (size, max(1, int(size * rng.uniform(0.2, 1.0))))
        cv2.ellipse(image, _place(rng, side), axes, rng.uniform(0, 180), 0, 360, colour, -1)


def limbs(rng: np.random.Generator, image: Any) -> None:
    """Hands, arms, shoulders: rounded skin lit from a side, with spots, but not where a face has them."""
    side = len(image)
    for _ in range(int(rng.integers(1, 5))):
        share, light = rng.random(), rng.uniform(0.5, 1.3)
        skin = np.clip((DARKEST * (1 - share) + FAIREST * share) * light, 0, 255)
        (x, y), size = _place(rng, side), side * 10 ** rng.uniform(-1.4, -0.5)
        length, turn = rng.uniform(1.0, 4.0), rng.uniform(0, 180)
        for step in range(6):  # lighter and smaller towards the light
            within = 1 - step / 7
            axes = (max(1, int(size * length * within)), max(1, int(size * within)))
            shade = np.clip(skin * (0.75 + 0.06 * step), 0, 255).tolist()
            moved = (int(x - step * size * 0.04), int(y - step * size * 0.06))
            cv2.ellipse(image, moved, axes, turn, 0, 360, shade, -1, cv2.LINE_AA)
        for _ in range(int(rng.integers(0, 6))):  # creases, nails, shadows between fingers
            at = (int(x + rng.normal(0, size * 0.5)), int(y + rng.normal(0, size * 0.5)))
            spot = (max(1, int(size * rng.uniform(0.05, 0.4))), max(1, int(size * rng.uniform(0.02, 0.12))))
            colour = np.clip(skin * rng.uniform(0.3, 1.2), 0, 255).tolist()
            cv2.ellipse(image, at, spot, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)


PAINTERS: tuple[Painter, ...] = (clouds, slopes, room, boxes, polygons, rounds, lines, writing, weave, leaves, limbs)


def backdrop(rng: np.random.Generator, side: int) -> Pixels:
    """A picture (S, S, 3) without anybody."""
    image: Pixels = np.empty((side, side, 3), np.float32)
    image[:] = np.array(tone(rng), np.float32)
    slopes(rng, image)
    for painter in rng.permutation(len(PAINTERS))[: int(rng.integers(1, 6))].tolist():
        PAINTERS[painter](rng, image)
        if rng.random() < 0.2:
            cv2.GaussianBlur(image, (0, 0), side * 10 ** rng.uniform(-2.6, -1.5), dst=image)
    return np.clip(image, 0, 255, out=image)
