"""The classifier whose weight is whole on one device."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lwface.base.errors import UserError
from lwface.losses.base import Loss, Margin

WEIGHT_STD = 0.01  # standard deviation of the initial weight, as in the original
NORM_EPSILON = 1e-10  # added to the squared norm, as in the original: a row of zeros stays zero, with a finite gradient


def l2_normalise(rows: Tensor) -> Tensor:
    """``rows`` (N, D) divided by ``sqrt(sum of squares + 1e-10)`` each."""
    return rows * torch.rsqrt(rows.square().sum(dim=1, keepdim=True) + NORM_EPSILON)


class FullClassifier(nn.Module):
    """A last layer ``fc7`` of shape (classes, width), and the margin on its scores.

    Args:
        margin: what is done to the scores.
        num_classes: C.
        embedding_size: D.

    Raises:
        UserError: fewer than two classes.
    """

    def __init__(self, margin: Margin, num_classes: int, embedding_size: int) -> None:
        super().__init__()
        if num_classes < 2:
            raise UserError(f"a classifier needs at least 2 identities to tell apart, the data set has {num_classes}")
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_size).normal_(std=WEIGHT_STD))
        self.bias = nn.Parameter(torch.zeros(num_classes)) if margin.bias else None
        self.margin = margin

    def forward(self, embeddings: Tensor, labels: Tensor) -> Loss:
        """The cross-entropy of ``embeddings`` (N, D) of any floating type and integer ``labels`` (N,).

        Computed in the weight's precision even under autocast: with a scale of 64, the 8 bits of a bfloat16 cosine
        would be steps of 0.25 in the logit.

        Raises:
            TypeError: labels are not integers.
            ValueError: the shapes do not fit.
        """
        self._check(embeddings, labels)
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings, labels = embeddings.to(self.weight.dtype), labels.long()
            norms = torch.linalg.vector_norm(embeddings, dim=1)  # (N,)
            logits = self.logits(embeddings, labels, norms)
            loss = functional.cross_entropy(logits, labels)
            if (penalty := self.margin.penalty(norms)) is not None:
                loss = loss + penalty.mean()
        return Loss(loss, (logits.argmax(dim=1) == labels).sum())

    def logits(self, embeddings: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        """Logits (N, C) of ``embeddings`` (N, D) with ``labels`` (N,) int64, all in the weight's precision."""
        margin = self.margin
        if margin.cosine:
            scores = functional.linear(l2_normalise(embeddings), l2_normalise(self.weight))  # (N, C)
        else:
            scores = functional.linear(embeddings, self.weight, self.bias)
        index = labels[:, None]  # (N, 1)
        own = scores.gather(1, index).squeeze(1)  # (N,)
        with_margin, others = margin.own(own, norms), margin.others(scores, own)
        _check_like(with_margin, own, margin, "own")
        _check_like(others, scores, margin, "others")
        if with_margin is not own:  # where nothing is done to it, the scores need no copy
            others = others.scatter(1, index, with_margin[:, None])
        return others * margin.scale if margin.scale != 1 else others

    def _check(self, embeddings: Tensor, labels: Tensor) -> None:
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise TypeError(f"labels must be integers, got {labels.dtype}")
        width = self.weight.shape[1]
        if embeddings.ndim != 2 or embeddings.shape[1] != width or labels.shape != embeddings.shape[:1]:
            shapes = f"{tuple(embeddings.shape)} and {tuple(labels.shape)}"
            raise ValueError(f"expected embeddings (N, {width}) and labels (N,), got {shapes}")


def _check_like(found: object, given: Tensor, margin: Margin, method: str) -> None:
    """A margin changes scores, not what they are."""
    if not isinstance(found, Tensor) or (found.shape, found.dtype) != (given.shape, given.dtype):
        gave = f"{tuple(found.shape)} {found.dtype}" if isinstance(found, Tensor) else type(found).__name__
        expected = f"{tuple(given.shape)} {given.dtype}"
        raise UserError(f"the loss {type(margin).__name__}: its {method}() gave {gave}, expected {expected}")
