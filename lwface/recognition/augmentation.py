"""What training does to an aligned face beside mirroring it: points that are a little off, and another photograph.

A network of few faces, or of rendered ones, meets what its data lack: other cameras, other files, other aligners. What
is drawn for an image follows from the seed, the step and the image's place in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from lwface.formats.alignment import ARCFACE_TEMPLATE
from lwface.networks.base import IMAGE_SIZE
from lwface.training.photographs import Photograph, photographed, times
from lwface.training.task import Batch, Batches


@dataclass(frozen=True)
class FaceStrength(Photograph):
    """How much of what is drawn, at ``augmentation = 1``; all standard deviations are cut at three of them.

    Attributes:
        rotation: standard deviation of the turn, degrees.
        scale: of the logarithm of the size.
        shift: of the middle, in sides of the image.
        shear: of what each axis leans and stretches by itself.
    """

    occlusion: float = 0.15
    cut: float = 0.03
    rotation: float = 4.0
    scale: float = 0.05
    shift: float = 0.02
    shear: float = 0.03


class AugmentedFaces:
    """The batches of ``data`` with their images changed; see :class:`lwface.training.task.Batches`.

    Args:
        data: of images (N, H, W, 3) uint8.
        factor: of the usual strength.
        seed: of the run.
    """

    def __init__(self, data: Batches, factor: float, seed: int) -> None:
        self.data, self.strength, self.seed = data, times(FaceStrength(), factor), seed

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, positions: np.ndarray, step: int, first: int = 0) -> Batch:
        """The images at ``positions`` (N,), changed, which are ``first`` and on of ``step``; errors as of the data."""
        found = self.data.batch(positions, step, first)
        changed = [
            augmented(image, self.strength, np.random.default_rng((self.seed, step, number)))
            for number, image in enumerate(found.images.numpy(), start=first)
        ]
        return found._replace(images=torch.from_numpy(np.stack(changed)))


def augmented(image: np.ndarray, strength: FaceStrength, draw: np.random.Generator) -> np.ndarray:
    """Another photograph of the face in ``image`` (H, W, 3) uint8."""
    places = ARCFACE_TEMPLATE * (np.array(image.shape[1::-1]) / IMAGE_SIZE)
    return photographed(_moved(image, strength, draw), places, strength, draw)


def _moved(image: np.ndarray, strength: FaceStrength, draw: np.random.Generator) -> np.ndarray:
    """As another aligner would have cut it out; what was outside is black or a mirror image."""
    turn, size, right, down, stretch, lean = np.clip(draw.normal(size=6), -3, 3)
    angle, by = np.deg2rad(strength.rotation * turn), np.exp(strength.scale * size)
    cos, sin = by * np.cos(angle), by * np.sin(angle)
    shape = np.array([[np.exp(strength.shear * stretch), strength.shear * lean], [0, 1]])
    linear = np.array([[cos, -sin], [sin, cos]]) @ shape
    height, width = image.shape[:2]
    middle = np.array((width - 1, height - 1)) / 2
    offset = middle + strength.shift * np.array((right * width, down * height)) - linear @ middle
    border = cv2.BORDER_CONSTANT if draw.random() < 0.5 else cv2.BORDER_REFLECT_101
    return cv2.warpAffine(image, np.column_stack((linear, offset)), (width, height), borderMode=border)
