"""Losses by name: each is a classifier that turns embeddings and labels into logits for the cross-entropy.

Adding one costs one file here with a class decorated by ``@LOSSES.register_as(name)`` and one import below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lwface.losses.classifier import LOSSES, Classifier
from lwface.losses.margin_softmax import MarginSoftmax
from lwface.losses.softmax import Softmax

__all__ = ["LOSSES", "Classifier", "MarginSoftmax", "Softmax", "create_classifier"]


def create_classifier(config: Mapping[str, Any], num_classes: int, embedding_size: int) -> Classifier:
    """The classifier that ``config["loss_name"]`` names, with the settings it reads from ``config``.

    Returns:
        A module called as ``classifier(embeddings (N, D), labels (N,))`` that gives logits ``(N, num_classes)``.

    Raises:
        UserError: unknown loss, or a setting it cannot use.
    """
    return LOSSES[config["loss_name"]].from_config(config, num_classes, embedding_size)
