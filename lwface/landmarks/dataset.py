"""Crops of pictures with points, a batch at a time, augmented for training or as they are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from lwface.base.errors import UserError
from lwface.base.progress import progress
from lwface.formats.image import read_rgb
from lwface.landmarks.augmentation import NONE, Strength, augment
from lwface.landmarks.cropping import box_of, crop, moved, square_of, to_crop, whole_square
from lwface.landmarks.options import BOTH, BOX, IMAGE
from lwface.landmarks.point_sets import PointPicture
from lwface.landmarks.scheme import MIRROR
from lwface.networks.base import IMAGE_SIZE
from lwface.training.task import Batch

KEPT_SIDE = 2 * IMAGE_SIZE  # pixels of a face's square beyond which a kept picture is made smaller
KEPT_ROOM = 1.6  # of the square that is kept, for what augmentation moves in
MEMORY = 3 * 2**30  # bytes of pictures that are kept decoded; more are read each time
WHOLE_SHARE = 0.3  # of the crops that are whole pictures, where the network sees both


class PointDataset:
    """Crops of ``pictures`` with their points; see :class:`lwface.training.task.Batches`.

    Args:
        pictures: at least one.
        seed: of the augmentation.
        strength: of it.
        settle_from: from this step on, crops are around the true boxes: as the network will see faces whose boxes it
            found itself, and as it is judged.
        view: of :data:`~lwface.landmarks.options.VIEWS`; without augmentation, ``both`` is the box.
    """

    def __init__(
        self,
        pictures: Sequence[PointPicture],
        *,
        seed: int = 0,
        strength: Strength = NONE,
        settle_from: float = math.inf,
        view: str = BOX,
    ) -> None:
        self.pictures, self.seed, self.strength, self.view = list(pictures), seed, strength, view
        self.settle_from = settle_from
        firsts: dict[int, int] = {}
        self._first = [firsts.setdefault(id(one), number) for number, one in enumerate(self.pictures)]
        self._kept: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}  # by the first position of a picture
        self._room_left = MEMORY

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, positions: np.ndarray, step: int, first: int = 0) -> Batch:
        """Images (N, 112, 112, 3) uint8 and places (N, K, 2) float32 in their pixels; ``first``: place in the step.

        Raises:
            UserError: a picture cannot be read.
        """
        images, places = [], []
        for number, position in enumerate(positions, start=first):
            picture, points, squares = self._picture(int(position))
            if self.strength is NONE:
                matrix = to_crop(squares[0])
                image, found = crop(picture, matrix), moved(points, matrix).astype(np.float32)
            else:
                draw = np.random.default_rng((self.seed, step, number))
                whole = self.view == IMAGE or (draw.random() < WHOLE_SHARE and self.view == BOTH)
                square = squares[-1 if whole else 0]
                settled = step >= self.settle_from
                strength = dataclasses.replace(self.strength, scale=0.0, shift=0.0) if settled else self.strength
                image, found = augment(picture, points, square, MIRROR, strength, draw, tight=not whole)
            images.append(image)
            places.append(found)
        return Batch(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(places)), {})

    def keep(self) -> None:
        """Decode what fits into memory, before processes are started that share it."""
        for position in progress(sorted(set(self._first)), label="reading", unit="image"):
            if self._room_left <= 0:
                break
            self._kept[position] = kept = _reduced(*self._read(position), whole=self.view != BOX)
            self._room_left -= kept[0].nbytes

    def _picture(self, position: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        kept = self._kept.get(self._first[position])
        return self._read(position) if kept is None else kept

    def _read(self, position: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Picture, points and the squares (1 or 2, 3) that a crop may be of."""
        picture = self.pictures[position]
        pixels = read_rgb(picture.path)
        squares = []
        if self.view in (BOX, BOTH):
            squares.append(square_of(box_of(picture.points)[None])[0])
        if self.view in (IMAGE, BOTH):
            squares.append(whole_square(pixels))
        if not squares[0][2] > 1:
            raise UserError(f"{picture.path}: its points are all at one place")
        return pixels, picture.points, np.stack(squares)


def _reduced(
    pixels: np.ndarray, points: np.ndarray, squares: np.ndarray, *, whole: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The part of a picture that crops can show, no finer than they need it."""
    height, width = pixels.shape[:2]
    x, y, side = squares[0]
    left, top, right, bottom = 0, 0, width, height
    if not whole:
        half = KEPT_ROOM * side / 2
        left, top = max(0, int(x - half)), max(0, int(y - half))
        right, bottom = min(width, int(x + half) + 2), min(height, int(y + half) + 2)
    if right <= left or bottom <= top:  # the face is outside of the picture
        return pixels, points, squares
    part, offset = pixels[top:bottom, left:right], np.array((left, top), np.float64)
    size = np.maximum(1, np.round(np.array(part.shape[1::-1]) * min(1.0, KEPT_SIDE / side))).astype(int)
    by = size / part.shape[1::-1]
    small = cv2.resize(part, size.tolist(), interpolation=cv2.INTER_AREA)

    def there(places: np.ndarray) -> np.ndarray:
        return (places - offset + 0.5) * by - 0.5

    return small, there(points), np.column_stack((there(squares[:, :2]), squares[:, 2] * by.mean()))
