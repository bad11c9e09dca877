"""What training does to a picture's pixels, so that what is learnt from few cameras, or rendered, works with others.

Nothing here moves a point of the picture. All of it is drawn from one generator, so a batch is a function of the seed
and the step.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

PROBABILITIES = ("grey", "blur", "noise", "jpeg", "coarse", "occlusion", "cut")


@dataclass(frozen=True)
class Photograph:
    """How much is done to pixels; 0 of anything turns it off.

    Attributes:
        colour: of gains and offsets of brightness, contrast, saturation and channels.
        grey, blur, noise, jpeg, coarse, occlusion, cut: probabilities of a grey picture, of blur (round or along a
            line), noise, JPEG's artefacts, of low resolution, of something in front of the face, and of a picture that
            ends within the face.
    """

    colour: float = 0.3
    grey: float = 0.1
    blur: float = 0.25
    noise: float = 0.25
    jpeg: float = 0.25
    coarse: float = 0.25
    occlusion: float = 0.3
    cut: float = 0.05


Kind = TypeVar("Kind", bound=Photograph)


def times(strength: Kind, factor: float) -> Kind:
    """``strength`` times ``factor``; probabilities end at 1, and that of a mirrored picture stays."""
    changed = {key: value * factor for key, value in vars(strength).items() if key != "mirror"}
    ended = {key: min(1.0, changed[key]) for key in PROBABILITIES}
    return dataclasses.replace(strength, **{**changed, **ended})


def photographed(image: np.ndarray, places: np.ndarray, strength: Photograph, draw: np.random.Generator) -> np.ndarray:
    """The picture as another camera, another light and another file would have it.

    Args:
        image: (S, S, 3) uint8 RGB; is not changed.
        places: (K, 2) where something may be in front of it.
    """
    if draw.random() < strength.occlusion:
        image = _occluded(image, places, draw)
    if draw.random() < strength.cut:
        image = _cut(image, draw)
    if strength.colour:
        image = _coloured(image, strength.colour, draw)
    if draw.random() < strength.grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if draw.random() < strength.coarse:
        size = int(draw.integers(28, 90))
        small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    if draw.random() < strength.blur:
        image = _blurred(image, draw)
    if draw.random() < strength.noise:
        noise = draw.normal(0, draw.uniform(2, 16), (*image.shape[:2], 3 if draw.random() < 0.5 else 1))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if draw.random() < strength.jpeg:
        quality = int(draw.integers(20, 80))
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return image


def _coloured(image: np.ndarray, much: float, draw: np.random.Generator) -> np.ndarray:
    """Another gamma, brightness and contrast, saturation, and tint: one table a channel, one product of channels."""
    gamma = np.exp(draw.normal(0, much))
    gain, offset = np.exp(draw.normal(0, much / 2)), draw.normal(0, 60 * much)
    tint = np.exp(draw.normal(0, much / 4, 3))
    levels = np.arange(256) / 255
    table = np.clip(((levels**gamma - 0.5) * gain + 0.5)[:, None] * 255 * tint + offset, 0, 255)
    image = cv2.LUT(image, np.round(table).astype(np.uint8)[None])
    keep = float(np.clip(np.exp(draw.normal(0, 1.5 * much)), 0.0, 2.0))
    grey = np.array((0.299, 0.587, 0.114))
    return cv2.transform(image, keep * np.eye(3) + (1 - keep) * np.ones((3, 1)) * grey)


def _blurred(image: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Out of focus, or moved while the shutter was open."""
    if draw.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), draw.uniform(0.5, 2.2))
    length, angle = int(draw.integers(3, 12)), draw.uniform(0, np.pi)
    kernel = np.zeros((length, length), np.float32)
    end = np.array((np.cos(angle), np.sin(angle))) * (length - 1) / 2
    middle = (length - 1) / 2
    first, last = (tuple(int(v) for v in np.round(middle + sign * end)) for sign in (-1, 1))
    cv2.line(kernel, first, last, 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _occluded(image: np.ndarray, places: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """A hand, a microphone, hair, a bar: a patch of one colour or of the picture itself, over some of the points."""
    image = image.copy()
    size = image.shape[0]
    middle = places[draw.integers(len(places))] + draw.normal(0, 8, 2)
    half = draw.uniform(5, 0.28 * size, 2)
    mask = np.zeros(image.shape[:2], np.uint8)
    centre = tuple(int(v) for v in np.clip(middle, 0, size - 1))
    if draw.random() < 0.5:
        axes = tuple(max(1, int(v)) for v in half)
        cv2.ellipse(mask, centre, axes, float(draw.uniform(0, 180)), 0, 360, 255, -1)
    else:
        corners = cv2.boxPoints((centre, tuple(2 * float(v) for v in half), float(draw.uniform(0, 180))))
        cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), 255)
    kind = draw.random()
    if kind < 0.4:
        other = np.roll(image, draw.integers(20, size - 20, 2), axis=(0, 1))
    elif kind < 0.8:
        other = np.broadcast_to(draw.integers(0, 256, 3).astype(np.uint8), image.shape)
    else:
        other = cv2.resize(draw.integers(0, 256, (8, 8, 3), np.uint8), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.where(mask[..., None] > 0, other, image)


def _cut(image: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """The picture ends on one side, within the face; beyond it is black, as outside of a frame."""
    image = image.copy()
    depth = int(draw.uniform(0.08, 0.35) * image.shape[0])
    side = draw.integers(4)
    parts = (image[:depth], image[-depth:], image[:, :depth], image[:, -depth:])
    parts[side][...] = 0
    return image
