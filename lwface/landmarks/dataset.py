"""Crops of pictures with points, a batch at a time, augmented for training or as they are."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from lwface.base.errors import UserError
from lwface.formats.image import read_rgb
from lwface.landmarks.augmentation import NONE, Strength, augment
from lwface.landmarks.cropping import box_of, crop, moved, square_of, to_crop
from lwface.landmarks.options import BOX, IMAGE
from lwface.landmarks.point_sets import PointPicture
from lwface.landmarks.scheme import MIRROR
from lwface.networks.base import IMAGE_SIZE
from lwface.training.task import Batch

KEPT_SIDE = 2 * IMAGE_SIZE  # pixels of a face's square beyond which a kept picture is made smaller
KEPT_ROOM = 1.6  # of the square that is kept, for what augmentation moves in
MEMORY = 3 * 2**30  # bytes of pictures that are kept decoded; more are read each time


class PointDataset:
    """Crops of ``pictures`` with their points; see :class:`lwface.training.task.Batches`.

    Args:
        pictures: at least one.
        seed: of the augmentation.
        strength: of it.
        view: ``box`` or ``image``.
    """

    def __init__(
        self, pictures: Sequence[PointPicture], *, seed: int = 0, strength: Strength = NONE, view: str = BOX
    ) -> None:
        self.pictures, self.seed, self.strength, self.view = list(pictures), seed, strength, view
        self._kept: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self._room_left = MEMORY

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, positions: np.ndarray, step: int) -> Batch:
        """Images (N, 112, 112, 3) uint8 and places (N, K, 2) float32 in their pixels.

        Raises:
            UserError: a picture cannot be read.
        """
        images, places = [], []
        for number, position in enumerate(positions):
            picture, points, square = self._picture(int(position))
            if self.strength is NONE:
                matrix = to_crop(square)
                image, found = crop(picture, matrix), moved(points, matrix).astype(np.float32)
            else:
                draw = np.random.default_rng((self.seed, step, number))
                image, found = augment(picture, points, square, MIRROR, self.strength, draw)
            images.append(image)
            places.append(found)
        return Batch(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(places)), {})

    def keep(self) -> None:
        """Decode what fits into memory, before processes are started that share it."""
        for position in range(len(self)):
            if self._room_left <= 0:
                return
            self._kept[position] = kept = _reduced(*self._read(position))
            self._room_left -= kept[0].nbytes

    def _picture(self, position: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._kept[position] if position in self._kept else self._read(position)

    def _read(self, position: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Picture, points and square."""
        picture = self.pictures[position]
        pixels = read_rgb(picture.path)
        if self.view == IMAGE:
            height, width = pixels.shape[:2]
            square = np.array([(width - 1) / 2, (height - 1) / 2, max(width, height)], np.float64)
        else:
            square = square_of(box_of(picture.points)[None])[0]
        if not square[2] > 1:
            raise UserError(f"{picture.path}: its points are all at one place")
        return pixels, picture.points, square


def _reduced(pixels: np.ndarray, points: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The part of a picture that crops can show, no finer than they need it."""
    height, width = pixels.shape[:2]
    x, y, side = square
    half = KEPT_ROOM * side / 2
    left, top = max(0, int(x - half)), max(0, int(y - half))
    right, bottom = min(width, int(x + half) + 2), min(height, int(y + half) + 2)
    if right <= left or bottom <= top:
        return pixels, points, square
    part = pixels[top:bottom, left:right]
    scale = min(1.0, KEPT_SIDE / side)
    offset = np.array((left, top), np.float64)
    if scale == 1:
        return np.ascontiguousarray(part), points - offset, square - (*offset, 0)
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    by = np.array(size) / np.array(part.shape[1::-1])
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    middle = (square[:2] - offset + 0.5) * by - 0.5
    return small, (points - offset + 0.5) * by - 0.5, np.array([*middle, side * by.mean()])
