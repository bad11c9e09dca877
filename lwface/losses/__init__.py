"""Losses by name. A new one is a file here with one class decorated by ``@LOSSES.register_as(name)``."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from lwface.base.errors import UserError
from lwface.losses.base import LOSSES, BatchLoss, Loss, Margin
from lwface.losses.classifier import Classifier
from lwface.losses.heads import Heads

for _module in pkgutil.iter_modules(__path__):  # importing a loss's file registers it
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["LOSSES", "BatchLoss", "Classifier", "Heads", "Loss", "Margin", "create_classifier", "create_margin"]


def _create(config: Mapping[str, Any]) -> Margin | BatchLoss:
    kind = LOSSES[config["loss_name"]]
    settings = inspect.signature(kind).parameters
    return kind(**{name: config[name] for name in settings if name in config})


def create_margin(config: Mapping[str, Any]) -> Margin:
    """The margin that ``config["loss_name"]`` names, given the settings its signature names.

    Raises:
        UserError: unknown loss, one without a weight of classes, or a setting it cannot use.
    """
    loss = _create(config)
    if not isinstance(loss, Margin):
        raise UserError(f"the loss {config['loss_name']} has no classes, so no margin on their scores")
    return loss


def create_classifier(
    config: Mapping[str, Any], num_classes: int, embedding_size: int, **holding: Any
) -> Classifier | BatchLoss:
    """What makes the loss that ``config`` describes, for ``num_classes``; errors as for :func:`create_margin`.

    Args:
        config: of the margin.
        num_classes, embedding_size: C and D.
        holding: how :class:`Classifier` holds the weight: ``chunk``, ``products``, ``group``.

    Returns:
        A module called as ``classifier(embeddings (N, D), labels (N,))`` that gives a :class:`Loss`: a classifier with
        its weight, or a loss that needs none, and so has nothing to share among processes.
    """
    loss = _create(config)
    if isinstance(loss, Margin):
        return Classifier(loss, num_classes, embedding_size, **holding)
    return loss
