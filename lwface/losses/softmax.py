"""Plain softmax: a fully connected layer on the embedding as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lwface.losses.classifier import LOSSES, Classifier


@LOSSES.register_as("softmax")
class Softmax(Classifier):
    """``W x + b``; the bias starts at 0 and is left out when ``fc7_no_bias`` is set."""

    def __init__(self, num_classes: int, embedding_size: int, *, bias: bool = True) -> None:
        super().__init__(num_classes, embedding_size)
        self.bias = nn.Parameter(torch.zeros(num_classes)) if bias else None

    @classmethod
    def from_config(cls, config: Mapping[str, Any], num_classes: int, embedding_size: int) -> Softmax:
        """Build it with the setting ``fc7_no_bias``."""
        return cls(num_classes, embedding_size, bias=not config["fc7_no_bias"])

    def logits(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Logits (N, C); the labels are not looked at."""
        return functional.linear(embeddings, self.weight, self.bias)
