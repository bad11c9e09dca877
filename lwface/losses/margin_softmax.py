"""Softmax on scaled cosines, with a margin on the cosine of the right class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional

from lwface.base.errors import UserError
from lwface.losses.classifier import LOSSES, Classifier
from lwface.losses.margin import add_margin

NORM_EPSILON = 1e-10  # added to the squared norm, as in the original: a row of zeros stays zero, with a finite gradient


def l2_normalise(rows: torch.Tensor) -> torch.Tensor:
    """``rows`` (N, D) divided by ``sqrt(sum of squares + 1e-10)`` each."""
    return rows * torch.rsqrt(rows.square().sum(dim=1, keepdim=True) + NORM_EPSILON)


@LOSSES.register_as("margin_softmax")
class MarginSoftmax(Classifier):
    """``s * margin(cos(x, W))``: weight and embedding are L2-normalised, there is no bias.

    Args:
        scale: s, the radius of the sphere on which embeddings are compared.
        m1, m2, m3, monotonic: the margin, see :mod:`lwface.losses.margin`.
    """

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        *,
        scale: float,
        m1: float = 1.0,
        m2: float = 0.0,
        m3: float = 0.0,
        monotonic: bool = False,
    ) -> None:
        super().__init__(num_classes, embedding_size)
        if not scale > 0:
            raise UserError(f"loss_s = {scale!r}: the scale of the cosines must be above 0, the challenge uses 64")
        if not (m1 > 0 and m2 >= 0 and m3 >= 0):
            raise UserError(f"margins (m1, m2, m3) = {(m1, m2, m3)!r}: expected m1 above 0, m2 and m3 at least 0")
        self._scale = scale
        self.margins = (m1, m2, m3)
        self.monotonic = monotonic

    @classmethod
    def from_config(cls, config: Mapping[str, Any], num_classes: int, embedding_size: int) -> MarginSoftmax:
        """Build it with the settings ``loss_s``, ``loss_m1``, ``loss_m2``, ``loss_m3`` and ``loss_monotonic``."""
        m1, m2, m3 = config["loss_m1"], config["loss_m2"], config["loss_m3"]
        monotonic = config["loss_monotonic"]
        return cls(num_classes, embedding_size, scale=config["loss_s"], m1=m1, m2=m2, m3=m3, monotonic=monotonic)

    @property
    def scale(self) -> float:
        """Factor between cosines and logits."""
        return self._scale

    def logits(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Scaled cosines (N, C) with the margin on the class of each label."""
        cosine = functional.linear(l2_normalise(embeddings), l2_normalise(self.weight))  # (N, C)
        return add_margin(cosine, labels, *self.margins, self.monotonic) * self._scale
