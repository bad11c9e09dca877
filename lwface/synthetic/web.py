"""What an old video on the web made of a picture: few pixels, coded twice, combed lines, edges with halos, odd colours.

As videos of 2005 to 2010 were put on the web: a camcorder sharpens and interlaces, a site makes it small and codes it
again, and a player enlarges it. Each frame is coded as JPEG, whose blocks and lost colours are those of such videos.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.formats.image import encode_jpeg
from lwface.synthetic.arithmetic import exp, power
from lwface.synthetic.filters import gaussian

Floats = NDArray[Any]  # float32 unless said otherwise
Pixels = NDArray[np.uint8]  # (H, W, 3) RGB
FACE_PIXELS = 3.401197381662156, 4.700480365792417  # logarithms of 30 and 110, heights of the face in the video
GREY = np.array((0.299, 0.587, 0.114), np.float32)
LEVELS = np.arange(256) / 255


@dataclass(frozen=True)
class Web:
    """What is done to a picture, in this order; drawn by :func:`draw_web`."""

    detail: float  # share of the resolution that is kept
    comb: int  # pixels by which every other line is late
    halo: float  # strength of the camcorder's sharpening
    colour: float  # share of the colours' strength that is kept
    curves: Pixels  # (256, 3) level of each colour for each level
    noise: float  # grey levels
    qualities: tuple[int, int]  # JPEG, before and after it is cut by ``shift``
    shift: tuple[int, int]  # pixels, so that the second code's blocks lie elsewhere
    soft: bool  # enlarged linearly, else cubically


def draw_web(rng: np.random.Generator, face: float) -> Web:
    """What is done to one picture, whose face is ``face`` pixels high."""
    u = rng.uniform
    pixels = float(exp(u(*FACE_PIXELS)))
    return Web(
        detail=min(pixels / face, 1.0),
        comb=int(rng.integers(1, 4)) if u() < 0.15 else 0,
        halo=u(0.0, 1.6) if u() < 0.6 else 0.0,
        colour=u(0.5, 1.15),
        curves=_curves(rng),
        noise=float(rng.exponential(2.0)),
        qualities=(int(rng.integers(24, 80)), int(rng.integers(28, 88))),
        shift=(int(rng.integers(8)), int(rng.integers(8))),
        soft=bool(u() < 0.6),
    )


def _curves(rng: np.random.Generator) -> Pixels:
    """Levels (256, 3): gamma, a tint, blacks that are grey or crushed, whites that are grey or burnt."""
    gamma, tint = exp(0.18 * rng.standard_normal()), 1 + 0.05 * rng.standard_normal(3)
    black, white = rng.uniform(-0.06, 0.08), rng.uniform(0.9, 1.1)
    curve = black + (white - black) * power(LEVELS, gamma)
    return np.rint(np.clip(curve[:, None] * tint, 0, 1) * 255).astype(np.uint8)


def webbed(frame: Pixels, web: Web, grain: Floats) -> Pixels:
    """What the player shows of ``frame``, as many pixels; ``grain`` is unit noise of its size."""
    size = frame.shape[1::-1]
    small = cv2.resize(frame, _reduced(size, web.detail), interpolation=cv2.INTER_AREA)
    image = _coloured(_combed(small, web.comb), web.colour)
    if web.halo:
        image = image + np.float32(web.halo) * (image - gaussian(image, 1.1))
    image = image + np.float32(web.noise) * grain[: len(image), : image.shape[1]]
    levels = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
    sent = np.stack([web.curves[levels[..., k], k] for k in range(3)], axis=-1)
    shown = _coded_twice(sent, web)
    return np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_LINEAR if web.soft else cv2.INTER_CUBIC))


def _reduced(size: tuple[int, ...], detail: float) -> tuple[int, int]:
    width, height = (max(12, round(side * detail)) for side in size)
    return width, height


def _combed(image: Any, late: int) -> Pixels:
    """Every other line ``late`` pixels behind: two moments in one frame."""
    if not late:
        return np.asarray(image)
    combed = image.copy()
    combed[1::2, late:] = image[1::2, :-late]
    return np.asarray(combed)


def _coloured(image: Pixels, share: float) -> Floats:
    """``image`` with ``share`` of its colours' strength (H, W, 3)."""
    exact = image.astype(np.float32)
    grey = exact[..., 0] * GREY[0] + exact[..., 1] * GREY[1] + exact[..., 2] * GREY[2]
    return np.asarray(grey[..., None] + (exact - grey[..., None]) * np.float32(share))


def _coded_twice(image: Pixels, web: Web) -> Pixels:
    once = coded(image, web.qualities[0])
    down, right = web.shift
    moved = cv2.copyMakeBorder(once, down, 0, right, 0, cv2.BORDER_REPLICATE)
    return coded(np.asarray(moved), web.qualities[1])[down:, right:]


def coded(image: Pixels, quality: int) -> Pixels:
    """``image`` after one pass through JPEG."""
    decoded: Any = cv2.imdecode(np.frombuffer(encode_jpeg(image, quality), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))
