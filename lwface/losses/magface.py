"""MagFace: the norm of an embedding learns to be the image's quality, and the margin grows with it."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lwface.base.errors import UserError
from lwface.base.setting import Setting
from lwface.losses.angular import angle
from lwface.losses.base import LOSSES, Margin
from lwface.losses.settings import Scale


@LOSSES.register_as("magface")
class MagFace(Margin):
    """``s * cos(theta + m(a))`` with ``m(a)`` linear in the norm ``a``, and ``lambda_g * (1 / a + a / u_a**2)`` added.

    ``m(a) = (u_margin - l_margin) / (u_a - l_a) * (a - l_a) + l_margin``, the norm clipped to ``l_a .. u_a``; gradients
    go through the norm in both terms: a larger one makes the image harder and its penalty smaller, so easy images grow
    long (Meng et al., "MagFace", CVPR 2021, section 3).

    Defaults are the paper's and of the authors' ``run/run.sh``: norms 10 to 110, margins 0.45 to 0.8, lambda_g 35
    (``trainer.py`` alone has 20), s 64. They are for embeddings of 512 numbers; narrower ones are shorter.

    The program (IrvingMeng/MagFace at 99bae61, ``models/magface.py``) differs from the paper in ``loss_easy_margin``:
    where the cosine is not above 0 there is no margin. It is the default here too; without it, the program has a line
    beyond pi - m, and this the paper's cosine. Its penalty takes the clipped norm, so outside of the range nothing
    teaches the norm; this one does so too.
    """

    def __init__(
        self,
        *,
        loss_s: Scale = 64.0,
        loss_l_a: Annotated[float, Setting("lower bound of the norms", above=0)] = 10.0,
        loss_u_a: Annotated[float, Setting("upper bound of the norms", above=0)] = 110.0,
        loss_l_margin: Annotated[float, Setting("margin of the lowest norm in radians", minimum=0)] = 0.45,
        loss_u_margin: Annotated[float, Setting("margin of the highest norm in radians", minimum=0)] = 0.8,
        loss_lambda_g: Annotated[float, Setting("weight of the penalty of short embeddings", minimum=0)] = 35.0,
        loss_easy_margin: Annotated[bool, Setting("no margin where the cosine is not above 0")] = True,
    ) -> None:
        super().__init__()
        if not loss_l_a < loss_u_a:
            raise UserError(f"norms from loss_l_a = {loss_l_a!r} to loss_u_a = {loss_u_a!r}: the second must be larger")
        self.scale, self.bounds = loss_s, (loss_l_a, loss_u_a)
        self.first, self.slope = loss_l_margin, (loss_u_margin - loss_l_margin) / (loss_u_a - loss_l_a)
        self.weight_of_penalty, self.easy = loss_lambda_g, loss_easy_margin

    def own(self, score: Tensor, norms: Tensor) -> Tensor:
        """Cosines (N,) with the margin of their norms (N,)."""
        margin = self.first + self.slope * (norms.clamp(*self.bounds) - self.bounds[0])
        found = torch.cos(angle(score) + margin)
        return torch.where(score > 0, found, score) if self.easy else found

    def penalty(self, norms: Tensor) -> Tensor | None:
        """The weighted ``1 / a + a / u_a**2`` (N,)."""
        norms = norms.clamp(*self.bounds)
        return self.weight_of_penalty * (1 / norms + norms / self.bounds[1] ** 2)
