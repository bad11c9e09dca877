"""The embedding engine: aligned faces in, features out. Verification, image and video features all go through here.

A feature depends on its image and on the image's place in the batch alone: every batch that the network sees is full,
the last one padded, so neither the number of images nor the other images of a batch can change a bit of it. An ONNX
model that looks at more than the image is refused before its first feature (:mod:`lwface.features.trust`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.base.evaluating import evaluating
from lwface.features.backends import prepare
from lwface.features.choices import EAGER, PRECISIONS
from lwface.features.runners import arithmetic
from lwface.features.trust import require_own_features
from lwface.networks.points.base import PointNetwork
from lwface.onnx.model import OnnxNetwork


class Embedder:
    """Runs a network over any number of images in full batches, in evaluation mode and without gradients.

    Args:
        network: takes (N, 3, H, W) RGB 0..255 and gives (N, D); has ``embedding_size`` D. It is moved to ``device``;
            its training mode is put back after each call, so a network in training can be embedded in between.
        device: where it runs.
        batch_size: images the network sees at once, always exactly so many.
        precision: ``float32``, exact (no TF32), or ``bf16``: autocast, for a CUDA device.
        backend: what runs the network; see :meth:`use_backend`.

    Raises:
        UserError: one of these cannot be, or the network puts points on a face, which are no features of whose it is.

    Attributes:
        backend: what runs the network and gives these numbers to the last bit, with its version.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        device: torch.device,
        batch_size: int,
        precision: str = "float32",
        backend: str = EAGER,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"batch size {batch_size}: at least 1 is needed")
        if precision not in PRECISIONS:
            raise UserError(f"unknown precision {precision!r}: choose from {', '.join(PRECISIONS)}")
        if precision == "bf16" and device.type != "cuda":
            raise UserError(f"precision bf16 needs a CUDA device, not {device}: use float32")
        if isinstance(network, PointNetwork):
            what = f"the model puts {network.points} points on a face and gives no features of whose it is"
            raise UserError(f"{what}: give one of faces; landmarks/predict.py runs this one")
        self.network = network.to(device)
        self.device, self.batch_size, self.precision = device, batch_size, precision
        self.embedding_size = int(network.embedding_size)  # type: ignore[arg-type]
        self.use_backend(backend)

    def use_backend(self, backend: str, *, images: int | None = None, image_size: tuple[int, int] = (112, 112)) -> None:
        """Run the network by ``backend`` from here on, with the weights that it has now.

        Args:
            backend: one of :data:`lwface.features.choices.BACKENDS`. Eager alone follows a network whose weights
                change.
            images: how many the network will see, mirrored ones counted: what ``auto`` may spend on choosing.
            image_size: (height, width).

        Raises:
            UserError: see :func:`lwface.features.backends.prepare`.
        """
        self._runner = prepare(
            self.network,
            backend,
            device=self.device,
            batch_size=self.batch_size,
            precision=self.precision,
            image_size=image_size,
            images=images,
        )
        self.backend = self._runner.label

    def require_own_features(self, images: np.ndarray | None = None) -> None:
        """Raise :class:`UserError` unless a feature depends on its image alone; see :mod:`lwface.features.trust`.

        Embedding does so by itself with an ONNX model, which another program may have made. Who embeds with any model
        that a user names asks first, before an output is opened.

        Args:
            images: (N, H, W, 3) uint8 to try it with; None: made ones of 112x112.
        """
        require_own_features(self.network, images, device=self.device, precision=self.precision)

    def embed(self, images: np.ndarray, flip: bool) -> np.ndarray:
        """Features f(x), with ``flip`` f(x) + f(mirrored x), not normalised.

        Args:
            images: (N, H, W, 3) RGB uint8.
            flip: add the feature of the mirrored image.

        Returns:
            (N, D) float32.
        """
        features = np.empty((len(images), self.embedding_size), np.float32)
        for batch, place in self._batches(images):
            found = self._forward(batch)
            if flip:
                found = found + self._forward(self._mirrored(batch))
            features[place] = self._to_numpy(found, place)
        return features

    def embed_both(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(plain, mirrored)``: the features (N, D) float32 of the images (N, H, W, 3) and of their mirror images."""
        plain = np.empty((len(images), self.embedding_size), np.float32)
        mirrored = np.empty_like(plain)
        for batch, place in self._batches(images):
            plain[place] = self._to_numpy(self._forward(batch), place)
            mirrored[place] = self._to_numpy(self._forward(self._mirrored(batch)), place)
        return plain, mirrored

    def _batches(self, images: np.ndarray) -> Iterator[tuple[torch.Tensor, slice]]:
        """Full batches (B, 3, H, W) uint8 on the device, with the rows of ``images`` that each begins with."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"images must be uint8 (N, H, W, 3), got {images.dtype} {images.shape}")
        if len(images) and isinstance(self.network, OnnxNetwork):
            self.require_own_features(images)
        for start in range(0, len(images), self.batch_size):
            chunk = images[start : start + self.batch_size]
            batch = np.zeros((self.batch_size, *images.shape[1:]), np.uint8)
            batch[: len(chunk)] = chunk
            # Bytes are a quarter of what floats would be to move. The permuted view is channels-last in memory, with
            # which y2 runs 1.5 times as fast on a CPU as with the other order, and r50 1.25 times.
            moved = torch.from_numpy(batch).to(self.device)
            yield moved.permute(0, 3, 1, 2), slice(start, start + len(chunk))

    def _mirrored(self, batch: torch.Tensor) -> torch.Tensor:
        """``batch`` (B, 3, H, W) with left and right exchanged, in memory as it was."""
        if self.device.type != "cpu":
            return batch.flip(3)
        # On this thread alone: PyTorch's threads, once woken, spin for a while, and slow other backends' threads down.
        nhwc = batch.permute(0, 2, 3, 1).numpy()
        return torch.from_numpy(np.ascontiguousarray(nhwc[:, :, ::-1])).permute(0, 3, 1, 2)

    def _forward(self, batch: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) uint8 -> (B, D) float32."""
        with evaluating(self._runner), arithmetic(self.device, self.precision):
            features = self._runner(batch)
        if features.shape != (self.batch_size, self.embedding_size):
            expected = (self.batch_size, self.embedding_size)
            raise ValueError(f"the network gave features of shape {tuple(features.shape)}, expected {expected}")
        return features.float()

    def _to_numpy(self, features: torch.Tensor, place: slice) -> np.ndarray:
        return features[: place.stop - place.start].cpu().numpy()
