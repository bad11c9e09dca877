"""Li-ArcFace: the angle itself, through a line, in place of its cosine."""

from __future__ import annotations

import math
from typing import Annotated

from torch import Tensor

from lwface.base.setting import Setting
from lwface.losses.angular import angle
from lwface.losses.base import LOSSES, Margin
from lwface.losses.settings import AngularMargin


@LOSSES.register_as("liarc")
class LiArcFace(Margin):
    """``s * (pi - 2 * (theta + m)) / pi`` for the own class, ``s * (pi - 2 * theta) / pi`` for the others.

    The slope is the same at every angle, so there is no turn at pi that ArcFace has, and training narrow embeddings
    from scratch converges (Li et al., "AirFace", 2019, arXiv 1907.12256, by the second of the light image track).

    Defaults: s 64 and m 0.45. The authors published no program; two reimplementations (cavalleria/cavaface, pytorch
    ports of AirFace) have 0.45, limxuanyu127/seesawfacenet_pytorch has 0.42.

    The slope of the angle has poles at cosines of +-1, so the gradient is the guarded one of
    :mod:`lwface.losses.angular`.
    """

    def __init__(
        self,
        *,
        loss_s: Annotated[float, Setting("scale of the scores", above=0)] = 64.0,
        loss_m: AngularMargin = 0.45,
    ) -> None:
        super().__init__()
        self.scale, self.margin = loss_s, loss_m

    def own(self, score: Tensor, norms: Tensor) -> Tensor:
        """Lines (N,) of cosines (N,) with the margin; the norms are not looked at."""
        return 1 - 2 / math.pi * (angle(score) + self.margin)

    def others(self, scores: Tensor, own: Tensor) -> Tensor:
        """Lines (N, C) of cosines (N, C)."""
        return 1 - 2 / math.pi * angle(scores)
