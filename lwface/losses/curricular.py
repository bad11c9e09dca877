"""CurricularFace: classes nearer than the right one count less at first, and more as training goes on."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lwface.base.setting import Setting
from lwface.losses.angular import angle, arc_or_line
from lwface.losses.base import LOSSES, Margin
from lwface.losses.settings import Scale


@LOSSES.register_as("curricular")
class CurricularFace(Margin):
    """``s * cos(theta + m)`` for the own class; ``s * cos_j * (t + cos_j)`` for each other one nearer than that.

    Other classes with ``cos_j <= cos(theta + m)`` keep their cosine. ``t`` is a running mean of the cosines with the
    own classes, from 0: while it is small, hard classes are played down (Huang et al., "CurricularFace", CVPR 2020,
    section 3).

    Defaults: m 0.5, s 64 are the paper's and the program's; ``loss_t_alpha`` 0.01, the share of a batch in ``t``, is
    the program's (the paper speaks of a momentum of 0.99).

    The program (HuangYG123/CurricularFace at 68c8727, ``head/metrics.py``) takes ``cos(theta) - m sin(m)`` where
    theta > pi - m, of which the paper says nothing; so does this one. What is harder is compared with
    ``cos(theta + m)`` itself there too.
    """

    whole_batch = True
    t: Tensor

    def __init__(
        self,
        *,
        loss_s: Scale = 64.0,
        loss_m: Annotated[float, Setting("additive angular margin in radians", minimum=0, maximum=3.14)] = 0.5,
        loss_t_alpha: Annotated[
            float, Setting("share of a batch in the running mean of the cosines", above=0, maximum=1)
        ] = 0.01,
    ) -> None:
        super().__init__()
        self.scale, self.margin, self.share = loss_s, loss_m, loss_t_alpha
        self.register_buffer("t", torch.zeros(()))

    def own(self, score: Tensor, norms: Tensor) -> Tensor:
        """Cosines (N,) with the margin; their mean is taken into ``t`` first."""
        if self.training:
            self.t.lerp_(score.detach().mean().to(self.t.dtype), self.share)
        return arc_or_line(score, self.margin)

    def others(self, scores: Tensor, own: Tensor) -> Tensor:
        """Cosines (N, C), those of hard classes times ``t + cosine``."""
        hard = scores > torch.cos(angle(own.detach()) + self.margin)[:, None]
        return torch.where(hard, scores * (self.t.to(scores.dtype) + scores), scores)
