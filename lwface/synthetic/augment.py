"""What is behind the person, and what the camera does to the picture: blur, noise, colour, JPEG."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.formats.image import encode_jpeg
from lwface.synthetic.shot import Shot, colour

Floats = NDArray[Any]  # float32 unless said otherwise
BACKGROUND_CELLS = 64


def background(seed: int, blur: float, size: int) -> Floats:
    """A made-up scene (size*size, 3) in linear light: wall and floor, furniture, windows, foliage, out of focus."""
    rng = np.random.default_rng(seed)
    n = BACKGROUND_CELLS
    kind = rng.choice(("room", "street", "foliage", "studio", "lights"))
    low, high = colour(rng), colour(rng)
    t = np.linspace(0, 1, n, dtype=np.float32)[:, None, None]
    image = np.broadcast_to(high * (1 - t) + low * t, (n, n, 3)).copy()
    if kind in ("room", "street"):
        for _ in range(int(rng.integers(4, 14))):
            x, y, w, h = rng.uniform(-8, n, 2).tolist() + rng.uniform(3, 26, 2).tolist()
            tone = (colour(rng) * rng.uniform(0.4, 1.6)).tolist()
            cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), tone, -1 if rng.uniform() < 0.75 else 2)
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
    image = cv2.GaussianBlur(image, (0, 0), max(0.3, blur * 0.45))
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(image.reshape(-1, 3))


def finish(canvas: Floats, shot: Shot, frame_size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The camera's picture (S, S, 3) RGB of what was drawn (s, s, 3), s > S, with one pass through JPEG."""
    image = cv2.resize(
        np.minimum(canvas * (shot.balance * np.float32(shot.exposure)), 1.6),
        (frame_size, frame_size),
        interpolation=cv2.INTER_AREA,
    )
    np.maximum(image, 0, out=image)
    np.sqrt(image, out=image)
    if shot.contrast != 1:
        image *= np.float32(shot.contrast)
        image += np.float32(0.5 - 0.5 * shot.contrast)
    knee = 0.82  # highlights are rolled off, as film and cameras do
    bright = image > knee
    image[bright] = knee + (1 - knee) * np.tanh((image[bright] - knee) / (1 - knee))
    image = _soften(image, shot)
    if shot.detail < 1:
        small = max(24, round(frame_size * shot.detail))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (frame_size, frame_size), interpolation=cv2.INTER_LINEAR)
    image *= np.float32(255)
    if shot.noise > 0.2:
        image += _grain(rng, frame_size) * np.float32(shot.noise)
    if shot.grey:
        image = np.repeat(image @ np.array(((0.299,), (0.587,), (0.114,)), np.float32), 3, axis=2)
    image += np.float32(0.5)
    frame = np.clip(image, 0, 255, out=image).astype(np.uint8)
    data = np.frombuffer(encode_jpeg(frame, shot.quality), np.uint8)
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


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
    tall, wide = rng.integers(max(1, 512 - size), size=2)
    piece = _noise_sheet()[tall : tall + size, wide : wide + size]
    if piece.shape[0] < size:
        return rng.standard_normal((size, size, 3), dtype=np.float32)
    flips = rng.choice((-1, 1), 2)
    return piece[:: flips[0], :: flips[1]]


def _soften(image: Floats, shot: Shot) -> Floats:
    """Lens and motion blur."""
    if shot.blur > 0.15:
        image = cv2.GaussianBlur(image, (0, 0), shot.blur)
    length = float(np.hypot(*shot.motion))
    if length > 1.0:
        reach = int(np.ceil(length / 2))
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
        for t in np.linspace(-0.5, 0.5, 8 * reach + 1):
            kernel[round(reach + t * float(shot.motion[1])), round(reach + t * float(shot.motion[0]))] += 1
        image = cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    return image
