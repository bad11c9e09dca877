"""Supervised contrastive loss: the images of a person in a batch are to find each other among all of the batch."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lwface.base.setting import Setting
from lwface.losses.base import LOSSES, BatchLoss, Loss
from lwface.losses.classes import l2_normalise

GroupSize = Annotated[int, Setting("images of each person in a batch", minimum=2)]
Temperature = Annotated[float, Setting("what cosines are divided by: the smaller, the more the nearest count", above=0)]
LEFT_OUT = -1e4  # a logit whose exponential is 0 in float32


@LOSSES.register_as("supcon")
class SupervisedContrastive(BatchLoss):
    """The mean over rows i of ``-1/|P(i)| sum_{p in P(i)} log(exp(z_i z_p / t) / sum_{a != i} exp(z_i z_a / t))``.

    P(i) are the other rows of the same person, z unit embeddings (Khosla et al., "Supervised contrastive learning",
    NeurIPS 2020, arXiv 2004.11362, equation 2, L_out). A row whose P(i) is empty counts 0. There is no weight of
    classes, so that it begins to teach at once where people are many and their images few.

    Batches are made of ``group_size`` images of each person (:mod:`lwface.recognition.groups`).
    """

    joint = True

    def __init__(self, *, group_size: GroupSize = 4, temperature: Temperature = 0.0625) -> None:
        super().__init__()
        self.group_size, self.temperature = group_size, temperature

    def forward(self, embeddings: Tensor, labels: Tensor) -> Loss:
        """The loss of ``embeddings`` (N, D); right are the rows whose nearest other row is of the same person.

        Computed in float32 at least, under autocast too.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            rows = l2_normalise(embeddings.to(torch.promote_types(embeddings.dtype, torch.float32)))
            itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
            logits = (rows @ rows.T / self.temperature).masked_fill(itself, LEFT_OUT)
            same = (labels[:, None] == labels) & ~itself
            found = logits.log_softmax(dim=1)
            loss = -(found * same).sum(dim=1) / same.sum(dim=1).clamp(min=1)
        return Loss(loss.mean(), same.gather(1, logits.argmax(dim=1, keepdim=True)).sum())
