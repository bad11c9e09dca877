"""Pictures of several people: heads of a bank before a backdrop, with all that a camera does to them.

Each face's true box and points are known exactly. Beside faces there are things that look like them and are none: heads
from behind, bodies without heads, faces whose parts are in the wrong places. A picture is a function of its random
generator, the bank and its size, on one kind of machine (OpenCV's filters round by the processor).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.formats.alignment import five_from_68
from lwface.formats.image import encode_jpeg
from lwface.synthetic.backdrops import backdrop, writing
from lwface.synthetic.head_bank import Head, HeadBank

Floats = NDArray[np.float32]
FIVE_MIRRORED = (1, 0, 2, 4, 3)
NOBODY_SHARE = 0.1  # of the pictures
MOST = 8  # faces in one
MORE = 0.75  # of the pictures with somebody, and of those with two, and so on, the share with one more
BESIDE = 0.45  # of the picture's side, the largest size of all faces but the first
TRIES = 5  # places that are tried for a face, of which the one is taken where it hides the least
LEAST, LARGEST = 13.0, 1.25  # pixels of a face's size; share of the picture's side
TINY = 10.0  # pixels as they are seen at the end, below which a face is unclear
HIDDEN, GONE = 0.35, 0.9  # share of a face's box behind somebody else: unclear; not there
OUTSIDE = 0.5  # share of its box beyond the picture from which on it is unclear
BACK_SIZE = 85.0  # pixels in the bank that a face would have which is not seen
BELOW = 1.0  # of a head's picture: so far clothes go on below it


@dataclass(frozen=True, eq=False)
class ShownFace:
    """A face in a picture, in its pixels, the first one's centre at (0, 0).

    Attributes:
        box: (4,) float64, the least box of the 68 points.
        points: (5, 2) float64.
        clear: whether it has to be found; what is mostly hidden, outside or too small may be found or not.
    """

    box: NDArray[np.float64]
    points: NDArray[np.float64]
    clear: bool = True

    @property
    def size(self) -> float:
        """The square root of the box's area."""
        return float(np.sqrt((self.box[2:] - self.box[:2]).prod()))


@dataclass
class _Layer:
    """What is to be put into a picture, and how large."""

    size: float  # pixels of the face, or of one that would be there
    head: Head
    is_face: bool


def crowd(
    rng: np.random.Generator, bank: HeadBank, faces: Sequence[int], backs: Sequence[int], side: int
) -> tuple[NDArray[np.uint8], list[ShownFace]]:
    """A picture (S, S, 3) uint8 RGB and who is in it.

    Args:
        faces: numbers of the heads that may be in it; the first of them is, unless nobody is.
        backs: numbers of heads from behind; may be empty.
    """
    image = backdrop(rng, side)
    shown: list[ShownFace] = []
    for layer in sorted(_cast(rng, bank, faces, backs, side), key=lambda one: one.size):
        _put(rng, image, layer, shown)
    if rng.random() < 0.1:
        writing(rng, image)  # a caption before everything; a face behind it is still one
    pixels, detail = camera(rng, image)
    return pixels, [replace(face, clear=face.clear and face.size * detail >= TINY) for face in shown]


def _cast(
    rng: np.random.Generator, bank: HeadBank, faces: Sequence[int], backs: Sequence[int], side: int
) -> list[_Layer]:
    """Who and what is in a picture."""
    count = 0 if rng.random() < NOBODY_SHARE else min(int(rng.geometric(1 - MORE)), MOST)
    chosen = [*faces[:1], *rng.choice(faces, max(count - 1, 0))][:count]
    layers = [
        _Layer(_size(rng, (BESIDE if place else LARGEST) * side), bank.head(int(number)), True)
        for place, number in enumerate(chosen)
    ]
    for _ in range(int(rng.poisson(0.7))):
        kind = rng.random()
        if kind < 0.35 and len(backs):
            head = bank.head(int(rng.choice(backs)))
        else:
            whole = bank.head(int(rng.choice(faces)))
            head = scrambled(rng, whole) if kind < 0.75 else headless(whole)
        layers.append(_Layer(_size(rng, BESIDE * side), head, False))
    return layers


def _size(rng: np.random.Generator, largest: float) -> float:
    """Of a face in a picture, each octave as often as another."""
    return float(np.exp(rng.uniform(np.log(LEAST), np.log(largest))))


def _target(rng: np.random.Generator, size: float, side: int, shown: Sequence[ShownFace]) -> NDArray[np.float64]:
    """Where the middle (2,) of something of ``size`` comes to be: of a few places the one that hides the least."""
    near = max(1 - 0.5 * size / side, 0.4)  # what is large is nearer to the middle, or little of it would be seen
    tried = side / 2 + rng.uniform(-0.5, 0.5, (TRIES, 2)) * side * near
    if not shown:
        return np.asarray(tried[0])
    boxes = np.stack([face.box for face in shown])
    middles, reach = tried[:, None], np.array((0.8, 1.0)) * size  # of the head, to each side of the middle
    inner = np.minimum(boxes[:, 2:], middles + reach) - np.maximum(boxes[:, :2], middles - reach)
    hidden = inner.clip(min=0).prod(axis=2) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(tried[int(hidden.sum(axis=1).argmin())])


def headless(head: Head) -> Head:
    """What is below the chin: neck and clothes."""
    assert head.points is not None
    chin = int(min(max(head.points[:, 1].max() + 6, 1), len(head.pixels) - 2))
    pixels = head.pixels.copy()
    pixels[:chin] = 0
    return Head(pixels, None)


def scrambled(rng: np.random.Generator, head: Head) -> Head:
    """The head with what the face's box shows cut into tiles that are mixed: all of a face but its order."""
    assert head.points is not None
    side, tiles = len(head.pixels), int(rng.integers(3, 6))
    corner = np.clip(head.points.min(axis=0) - 2, 0, side - tiles).astype(int)
    end = np.clip(head.points.max(axis=0) + 3, corner + tiles, side).astype(int)
    (w, h), (left, top) = ((end - corner) // tiles).tolist(), corner.tolist()
    spots = [(left + w * i, top + h * j) for i in range(tiles) for j in range(tiles)]
    pixels = head.pixels.copy()
    for (x, y), source in zip(spots, _mixed(rng, len(spots)), strict=True):
        a, b = spots[source]
        right, down = (rng.integers(0, 2, 2) * 2 - 1).tolist()
        pixels[y : y + h, x : x + w] = head.pixels[b : b + h, a : a + w][::down, ::right]
    return Head(pixels, None)


def _mixed(rng: np.random.Generator, count: int) -> list[int]:
    """0 to ``count - 1`` in an order that leaves few of them where they were."""
    order = rng.permutation(count)
    while (order == np.arange(count)).mean() > 0.3:
        order = rng.permutation(count)
    found: list[int] = order.tolist()
    return found


def _put(rng: np.random.Generator, image: Floats, layer: _Layer, shown: list[ShownFace]) -> None:
    """Draw a layer over the picture (S, S, 3), and keep account of the faces."""
    head, side = layer.head, len(image)
    size = BACK_SIZE if head.points is None else float(np.sqrt(np.ptp(head.points, axis=0).prod()))
    middle = _middle(head)
    by = layer.size / size
    turn = np.deg2rad(rng.normal(0, 12) if rng.random() < 0.93 else rng.uniform(-60, 60))
    stretch, mirror = np.exp(rng.normal(0, 0.05)), float(rng.integers(0, 2) * 2 - 1)
    matrix = by * np.array(((np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))))
    matrix = matrix @ np.diag((mirror * stretch, 1 / stretch))
    target = _target(rng, layer.size, side, shown)
    full = np.column_stack((matrix, target - matrix @ middle))
    patch, (left, top) = _warped(head, full, by, side)
    if patch.size:
        colours, cover = _spoilt(rng, patch)
        height, width = cover.shape[:2]
        region = image[top : top + height, left : left + width]
        region -= region * cover
        region += colours
        _account(shown, cover[..., 0], (left, top))
    if layer.is_face:
        assert head.points is not None
        points = head.points @ full[:, :2].T + full[:, 2]
        five = five_from_68(points)
        five = five[list(FIVE_MIRRORED)] if mirror < 0 else five
        box = np.concatenate((points.min(axis=0), points.max(axis=0)))
        inside = (np.minimum(box[2:], side - 0.5) - np.maximum(box[:2], -0.5)).clip(min=0).prod()
        shown.append(ShownFace(box, five, bool(inside / (box[2:] - box[:2]).prod() > OUTSIDE)))


def _middle(head: Head) -> NDArray[np.float64]:
    """Of the face, or of where one would be, in pixels of the head's picture."""
    if head.points is None:
        return np.array((0.5, 0.42)) * len(head.pixels)
    return (head.points.min(axis=0) + head.points.max(axis=0)).astype(np.float64) / 2


def _warped(head: Head, full: NDArray[np.float64], by: float, side: int) -> tuple[Floats, tuple[int, int]]:
    """Colours and cover (h, w, 4) as ``full`` (2, 3) puts them into the picture, and where that begins."""
    both: Any = head.pixels
    scale = min(1.0, by * 1.2)
    if scale < 1:
        small = max(8, round(len(both) * scale))
        both, scale = cv2.resize(both, (small, small), interpolation=cv2.INTER_AREA), small / len(both)
    below = round(len(both) * BELOW)
    both = cv2.copyMakeBorder(both, 0, below, 0, 0, cv2.BORDER_REPLICATE)
    corners = np.array([(x, y) for x in (0, both.shape[1]) for y in (0, both.shape[0])], np.float64) / scale
    corners = corners @ full[:, :2].T + full[:, 2]
    left, top = np.clip(np.floor(corners.min(axis=0)) - 1, 0, side).astype(int).tolist()
    right, bottom = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, side).astype(int).tolist()
    if right <= left or bottom <= top:
        return np.zeros((0, 0, 4), np.float32), (0, 0)
    matrix = full.copy()
    matrix[:, 2] += matrix[:, :2] @ np.full(2, 0.5 / scale - 0.5) - (left, top)
    matrix[:, :2] /= scale
    there: Any = cv2.warpAffine(both, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    return there.astype(np.float32), (left, top)


def _spoilt(rng: np.random.Generator, patch: Floats) -> tuple[Floats, Floats]:
    """Colours and cover, 0 to 1, (h, w, 3) both, of ``patch`` (h, w, 4) in another light, with another contrast.

    A head that was rendered once so looks different each time. (OpenCV's ``transform`` multiplies the values of each
    pixel by a matrix in a fifth of the time that NumPy takes to broadcast along three of them.)
    """
    contrast = np.exp(rng.normal(0, 0.2))
    gain = np.exp(rng.normal(0, 0.28) + rng.normal(0, 0.08, 3)) * contrast
    lift = np.full((3, 1), rng.uniform(60, 140) * (1 - contrast) / 255)
    colours: Any = cv2.transform(patch, np.concatenate((np.diag(gain), lift), axis=1).astype(np.float32))
    cover: Any = cv2.transform(patch, np.tile(np.array((0, 0, 0, 1 / 255), np.float32), (3, 1)))
    if rng.random() < 0.4:
        height, width = cover.shape[:2]
        across = 1 + np.linspace(-1, 1, width, dtype=np.float32) * np.float32(rng.normal(0, 0.35))
        down = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(rng.normal(0, 0.25))
        ramp = np.clip(across + down[:, None], 0.15, 2)
        colours *= cv2.merge((ramp, ramp, ramp))
    return np.minimum(np.maximum(colours, 0, out=colours), cover * np.float32(255), out=colours), cover


def _account(shown: list[ShownFace], cover: Floats, corner: tuple[int, int]) -> None:
    """Tell the faces that what was drawn now hides."""
    height, width = cover.shape
    for number in reversed(range(len(shown))):
        face = shown[number]
        low, high = face.box[:2] - corner, face.box[2:] - corner
        x0, y0 = np.clip(np.round(low), 0, (width, height)).astype(int).tolist()
        x1, y1 = np.clip(np.round(high), 0, (width, height)).astype(int).tolist()
        hidden = float(cover[y0:y1, x0:x1].sum() / max((high - low).prod(), 1e-6))
        if hidden > GONE:
            del shown[number]
        elif hidden > HIDDEN:
            shown[number] = replace(face, clear=False)


def camera(rng: np.random.Generator, image: Floats) -> tuple[NDArray[np.uint8], float]:
    """What a camera and a codec make of a picture (S, S, 3); and the share of its resolution that is left."""
    image, detail = _lens(rng, image)
    image = _colours(rng, image)
    if rng.random() < 0.5:
        image += _grain(rng, len(image)) * np.float32(rng.exponential(4.5))
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.8:
        data = np.frombuffer(encode_jpeg(pixels, int(rng.integers(18, 97))), np.uint8)
        decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
        pixels = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    return pixels, detail


def _lens(rng: np.random.Generator, image: Floats) -> tuple[Floats, float]:
    """Blur, fewer pixels, motion, sharpening."""
    side, detail, found = len(image), 1.0, image
    if rng.random() < 0.3:
        found = np.asarray(cv2.GaussianBlur(found, (0, 0), rng.uniform(0.3, 1.6)), np.float32)
    if rng.random() < 0.3:
        detail = float(rng.uniform(0.35, 0.9))
        small = max(16, round(side * detail))
        coarse = cv2.resize(found, (small, small), interpolation=cv2.INTER_AREA)
        found = np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
    if rng.random() < 0.08:
        found = np.asarray(cv2.filter2D(found, -1, _motion(rng)), np.float32)
    if rng.random() < 0.15:  # as cheap cameras do
        strength = float(rng.uniform(0.3, 1.5))
        soft = cv2.GaussianBlur(found, (0, 0), 1.5)
        found = np.asarray(cv2.addWeighted(found, 1 + strength, soft, -strength, 0), np.float32)
    return found, detail


def _motion(rng: np.random.Generator) -> Floats:
    """The kernel (K, K) of a straight movement."""
    length = int(rng.integers(2, 7)) * 2 - 1
    kernel, slope, middle = np.zeros((length, length), np.float32), rng.uniform(-1, 1), (length - 1) / 2
    for x in range(length):
        kernel[round(middle + slope * (x - middle)), x] = 1 / length
    return kernel if rng.random() < 0.5 else kernel.T


def _colours(rng: np.random.Generator, image: Floats) -> Floats:
    """Contrast, brightness, white balance, sometimes none of the colour, sometimes another gamma."""
    contrast, balance = np.exp(rng.normal(0, 0.22)), np.exp(rng.normal(0, 0.07, 3))
    linear = np.diag(balance * contrast)
    if rng.random() < 0.1:
        linear = np.tile(np.array((0.299, 0.587, 0.114)) * contrast, (3, 1))
    offset = np.full((3, 1), 128 + rng.normal(0, 22) - 128 * contrast)
    found: Any = cv2.transform(image, np.concatenate((linear, offset), axis=1).astype(np.float32))
    if rng.random() < 0.15:
        found = 255 * np.power(np.clip(found, 0, 255) / 255, np.float32(np.exp(rng.normal(0, 0.35))))
    return np.asarray(found, np.float32)


@lru_cache(maxsize=1)
def _sheet() -> Floats:
    """Unit noise (1024, 1024, 3), from which pictures take a piece each: drawing it anew takes longer."""
    return np.random.default_rng(23).standard_normal((1024, 1024, 3), dtype=np.float32)


def _grain(rng: np.random.Generator, side: int) -> Floats:
    """Unit noise (side, side, 3): a piece of the sheet, mirrored at random."""
    if side > 1024:
        return rng.standard_normal((side, side, 3), dtype=np.float32)
    down, right = rng.integers(max(1, 1025 - side), size=2).tolist()
    flips = rng.integers(0, 2, 2) * 2 - 1
    return _sheet()[down : down + side, right : right + side][:: flips[0], :: flips[1]]
