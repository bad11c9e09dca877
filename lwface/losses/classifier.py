"""What every classifier shares: its weight, the check of its inputs, and float32 arithmetic under autocast."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.base.registry import Registry

LOSSES: Registry[type[Classifier]] = Registry("kind of loss")

WEIGHT_STD = 0.01  # standard deviation of the initial weight, as in the original


class Classifier(nn.Module, ABC):
    """A last layer ``fc7`` of shape (classes, width); a loss overrides :meth:`logits` and :meth:`from_config`."""

    def __init__(self, num_classes: int, embedding_size: int) -> None:
        super().__init__()
        if num_classes < 2:
            raise UserError(f"a classifier needs at least 2 identities to tell apart, the data set has {num_classes}")
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_size).normal_(std=WEIGHT_STD))

    @classmethod
    @abstractmethod
    def from_config(cls, config: Mapping[str, Any], num_classes: int, embedding_size: int) -> Classifier:
        """Build it with the settings that it reads from ``config``."""

    @property
    def scale(self) -> float:
        """Factor between cosines and logits; 1 where there is none."""
        return 1.0

    @abstractmethod
    def logits(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Logits (N, C) of ``embeddings`` (N, D) with ``labels`` (N,) int64, all in the weight's precision."""

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Logits (N, C) for ``embeddings`` (N, D) of any floating type and integer ``labels`` (N,).

        Computed in the weight's precision even under autocast: with a scale of 64, the 8 bits of a bfloat16 cosine
        would be steps of 0.25 in the logit.

        Raises:
            TypeError: labels are not integers.
            ValueError: the shapes do not fit.
        """
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise TypeError(f"labels must be integers, got {labels.dtype}")
        width = self.weight.shape[1]
        if embeddings.ndim != 2 or embeddings.shape[1] != width or labels.shape != embeddings.shape[:1]:
            shapes = f"{tuple(embeddings.shape)} and {tuple(labels.shape)}"
            raise ValueError(f"expected embeddings (N, {width}) and labels (N,), got {shapes}")
        with torch.autocast(embeddings.device.type, enabled=False):
            return self.logits(embeddings.to(self.weight.dtype), labels.long())
