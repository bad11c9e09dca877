"""A trained point network put to work: points of faces in pixels of whole pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.features.choices import EAGER
from lwface.features.runners import Original, Workload, arithmetic, make_runner
from lwface.landmarks.cropping import box_of, crop, out_of_crop, square_of, to_crop, whole_square
from lwface.landmarks.options import BOTH, BOX, IMAGE
from lwface.landmarks.scheme import MIRROR, POINTS
from lwface.models.store import load_model
from lwface.networks.base import IMAGE_SIZE
from lwface.onnx.model import OnnxNetwork

REFINEMENTS = 2  # from a whole picture to the box of a face in it
FARTHEST = 1e6  # pixels of a crop: what is beyond is no point of any face


class PointPredictor:
    """Points of faces, given their boxes.

    Args:
        network: (N, 3, 112, 112) RGB to places (N, 2 K).
        config: the settings it was saved with.
        backend: of :mod:`lwface.features.runners`.
        mirror: average with the points of the mirrored crop.
        batch_size: faces that go through the network at once.
    """

    def __init__(
        self,
        network: nn.Module,
        config: dict[str, Any],
        *,
        backend: str = EAGER,
        mirror: bool = False,
        batch_size: int = 1,
    ) -> None:
        numbers = int(network.embedding_size)  # type: ignore[arg-type]
        self.count, self.view, self.mirror, self.batch_size = numbers // 2, config.get("view", BOX), mirror, batch_size
        if "point_head" not in config or numbers != 2 * POINTS:
            raise UserError(f"the model gives {numbers} numbers a face and is none of {POINTS} points")
        workload = Workload(torch.device("cpu"), batch_size)
        self.runner = make_runner(Original(network, workload), backend)

    @classmethod
    def load(cls, model: str, **options: Any) -> PointPredictor:
        """The predictor of ``model``: ``PREFIX,EPOCH``, its file, or an ONNX file made of it.

        Raises:
            UserError: no such model, or none of points.
        """
        network, config = load_model(model)
        if isinstance(network, OnnxNetwork):
            config = {**config, **network.config}
        try:
            return cls(network.eval(), config, **options)
        except UserError as error:
            raise UserError(f"{model}: {error}") from None

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Points (N, K, 2) float32, x then y, of the faces in ``boxes``.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (N, 4) left, top, right, bottom in its pixels, tight around the faces' points.
        """
        if self.view == IMAGE:
            raise UserError("this model sees whole pictures of one face: it takes no boxes; train with --view box")
        squares = square_of(np.asarray(boxes, np.float64).reshape(-1, 4))
        return self._of_squares([image] * len(squares), squares)

    def whole(self, image: np.ndarray, refinements: int = REFINEMENTS) -> np.ndarray:
        """Points (K, 2) float32 of a picture (H, W, 3) uint8 RGB of one face, without its box.

        A model that sees both is first shown the whole picture, and then the box of what it found there.
        """
        if self.view == BOX:
            raise UserError("this model sees faces in their boxes: give --boxes, or a model trained with --view both")
        found = self._of_squares([image], whole_square(image)[None])
        for _ in range(refinements if self.view == BOTH else 0):
            found = self(image, box_of(found))
        return found[0]

    def _of_squares(self, images: Sequence[np.ndarray], squares: np.ndarray) -> np.ndarray:
        crops = [crop(image, to_crop(square)) for image, square in zip(images, squares, strict=True)]
        if not crops:
            return np.empty((0, self.count, 2), np.float32)
        places = self.places(np.stack(crops))
        found = [out_of_crop(of_one, square) for of_one, square in zip(places, squares, strict=True)]
        return np.stack(found).astype(np.float32)

    def places(self, crops: np.ndarray) -> np.ndarray:
        """Places (N, K, 2) float64 in crops (N, 112, 112, 3) uint8."""
        found = self._run(crops)
        if self.mirror:
            mirrored = self._run(np.ascontiguousarray(crops[:, :, ::-1]))[:, MIRROR]
            mirrored[..., 0] = IMAGE_SIZE - 1 - mirrored[..., 0]
            found = (found + mirrored) / 2
        return found

    def _run(self, crops: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, len(crops), self.batch_size):
            part = crops[start : start + self.batch_size]
            full = np.concatenate((part, np.repeat(part[-1:], self.batch_size - len(part), axis=0)))
            with arithmetic(torch.device("cpu"), "float32"):
                numbers = self.runner(torch.from_numpy(full).permute(0, 3, 1, 2))
            if not numbers.abs().max() < FARTHEST:  # nor where one is no number
                raise UserError("the model puts points far outside of the picture: is it trained?")
            found.append(numbers[: len(part)].double().numpy())
        return np.concatenate(found).reshape(len(crops), self.count, 2)
