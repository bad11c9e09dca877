"""ArcNegFace: each other class counts by how near it is to the right one's score."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lwface.base.setting import Setting
from lwface.losses.angular import arc_or_line
from lwface.losses.base import LOSSES, Margin
from lwface.losses.settings import Scale


@LOSSES.register_as("arcnegface")
class ArcNegFace(Margin):
    """``s * cos(theta + m)`` for the own class, ``s * (t_j * cos_j + t_j - 1)`` for each other one.

    ``t_j = alpha * exp(-(cos_j - cos(theta + m))**2 / sigma)``: negatives as near as the right class are stressed,
    those much nearer, which may be wrong labels, and those far away are not (Liu et al., "Towards Flops-constrained
    Face Recognition", 2019, arXiv 1909.00632, by the winners of the large image track).

    Defaults: alpha 1.2, sigma 2, m 0.5, s 64 are the authors' program's (sciencefans/trojans-face-recognizer at
    4e0159f, ``EfficientPolyFace/loss.py``). As there, ``t`` is a constant to the gradient, and where theta > pi - m
    the own class has ``cos(theta) - m sin(m)``. The paper itself could not be read here.
    """

    def __init__(
        self,
        *,
        loss_s: Scale = 64.0,
        loss_m: Annotated[float, Setting("additive angular margin in radians", minimum=0, maximum=3.14)] = 0.5,
        loss_alpha: Annotated[float, Setting("weight of a class as near as the right one", above=0)] = 1.2,
        loss_sigma: Annotated[float, Setting("how fast the weight falls with the squared difference", above=0)] = 2.0,
    ) -> None:
        super().__init__()
        self.scale, self.margin, self.alpha, self.sigma = loss_s, loss_m, loss_alpha, loss_sigma

    def own(self, score: Tensor, norms: Tensor) -> Tensor:
        """Cosines (N,) with the margin; the norms are not looked at."""
        return arc_or_line(score, self.margin)

    def others(self, scores: Tensor, own: Tensor) -> Tensor:
        """Cosines (N, C), weighted."""
        with torch.no_grad():
            difference = scores - arc_or_line(own, self.margin)[:, None]
            weight = self.alpha * torch.exp(-difference.square() / self.sigma)
        return weight * (scores + 1) - 1
