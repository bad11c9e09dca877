"""Whether an ONNX model gives what its network gives, and for an image the same however many are beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.onnx.choices import BATCHES, ROWS

SEED = 0


@dataclass(frozen=True)
class Limits:
    """What is still taken for the same embedding."""

    cosine: float  # with the network's, at least
    drift: float  # between sizes of the batch, norm of the difference over the norm, at most


# Float arithmetic leaves room for another order of addition, and nothing more. 8-bit arithmetic can round the other way
# after such a difference. Its ranges are those of faces, and so is what it is held to.
LIMITS = {"float32": Limits(0.99999, 1e-5), "fp16": Limits(0.999, 1e-3), "int8": Limits(0.9, 1e-2)}


@dataclass(frozen=True)
class Agreement:
    """What a comparison found."""

    images: str  # which, in words
    cosine: float  # the lowest
    drift: float  # the largest

    def __str__(self) -> str:
        """One line for the user."""
        sizes = f"{', '.join(map(str, BATCHES[:-1]))} and {BATCHES[-1]}"
        return f"{self.images} at batch {sizes}: cosine at least {self.cosine:.7f}, drift at most {self.drift:.1e}"


def pseudo_random_images() -> Tensor:
    """(32, 3, 112, 112) uint8, always the same: half noise in each pixel, half smooth blobs of colour."""
    generator = torch.Generator().manual_seed(SEED)
    noise = torch.randint(0, 256, (ROWS // 2, 3, 112, 112), generator=generator)
    coarse = torch.rand((ROWS - ROWS // 2, 3, 7, 7), generator=generator) * 255
    blobs = F.interpolate(coarse, size=(112, 112), mode="bilinear", align_corners=False)
    return torch.cat([noise.to(torch.uint8), blobs.round().to(torch.uint8)])


def compare(model: nn.Module, network: nn.Module, images: Tensor, what: str) -> Agreement:
    """Run 32 ``images`` through ``model`` in each of :data:`BATCHES`, and through ``network`` at once.

    Args:
        images: (32, 3, 112, 112) uint8.
        what: the images in words.

    Raises:
        UserError: an embedding is not finite or zero.
    """
    with torch.inference_mode():
        expected = network(images).double().numpy()  # (32, D)
        found = [
            torch.cat([model(images[start : start + size]) for start in range(0, ROWS, size)]).double().numpy()
            for size in BATCHES
        ]
    for rows in (expected, *found):
        norms = np.linalg.norm(rows, axis=1)
        if not np.isfinite(norms).all() or not norms.all():
            raise UserError(f"an embedding of {what} is zero or not finite: the model cannot be checked with them")
    cosines = [np.sum(_units(rows) * _units(expected), axis=1).min() for rows in found]
    norm = np.linalg.norm(found[-1], axis=1)
    drifts = [(np.linalg.norm(rows - found[-1], axis=1) / norm).max() for rows in found]
    return Agreement(what, float(min(cosines)), float(max(drifts)))


def require_agreement(agreement: Agreement, precision: str) -> None:
    """Raise :class:`UserError` when what was found is not the same embedding within :data:`LIMITS`."""
    limits = LIMITS[precision]
    if not agreement.drift <= limits.drift:
        raise UserError(
            f"the model's embeddings change with the number of images beside them (by {agreement.drift:.2e} of their "
            f"norm, {limits.drift:.0e} is allowed; {agreement.images}): nothing is written"
        )
    if not agreement.cosine >= limits.cosine:
        raise UserError(
            f"the model's embeddings are not the network's (cosine {agreement.cosine:.7f}, at least {limits.cosine} is "
            f"expected; {agreement.images}): nothing is written"
        )


def _units(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
