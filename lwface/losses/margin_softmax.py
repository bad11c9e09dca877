"""Softmax on scaled cosines, with a margin on the angle and the cosine of the right class."""

from __future__ import annotations

import math
from typing import Annotated

from torch import Tensor

from lwface.base.errors import UserError
from lwface.base.setting import Setting
from lwface.losses.angular import angle, target_with_margin
from lwface.losses.base import LOSSES, Margin
from lwface.losses.settings import AngularMargin, CosineMargin, Monotonic, MultiplicativeMargin, Scale


@LOSSES.register_as("margin_softmax")
class MarginSoftmax(Margin):
    """``s * (cos(m1 * theta + m2) - m3)``: nsoftmax, ArcFace, CosFace and their combinations.

    The formula, its sources and its gradient: :mod:`lwface.losses.angular`. Scales and margins of nsoftmax, arcface,
    cosface and combined are the original's, in ``sample_config.py``.

    ``interclass_filtering_threshold``: another class whose cosine is above it may well be the same person under a
    second label: its cosine counts as 0 and has no gradient (An et al., "Killing Two Birds with One Stone", CVPR 2022,
    and arcface_torch's ``losses.py``, which takes 0.4 for conflicting labels. Its README, r50 on WebFace12M-Conflict,
    IJB-C at 1e-4: 95.30, with filtering and a sample rate of 0.3 97.28).

    ``loss_centre``: adds ``loss_centre * theta / pi``, the angle to the own centre (Deng et al., "ArcFace", CVPR 2019,
    equation 5, "intra-loss", weight 1). Their Table 2 has a gain for nsoftmax and none for arcface.
    """

    def __init__(
        self,
        *,
        loss_s: Scale = 64.0,
        loss_m1: MultiplicativeMargin = 1.0,
        loss_m2: AngularMargin = 0.0,
        loss_m3: CosineMargin = 0.0,
        loss_monotonic: Monotonic = False,
        interclass_filtering_threshold: Annotated[
            float,
            Setting("cosine above which another class is left out, as perhaps the same person; 0: none", minimum=0),
        ] = 0.0,
        loss_centre: Annotated[float, Setting("weight of the angle to the own centre, in half turns", minimum=0)] = 0.0,
    ) -> None:
        super().__init__()
        if not loss_s > 0:
            raise UserError(f"loss_s = {loss_s!r}: the scale of the cosines must be above 0, the challenge uses 64")
        margins = (loss_m1, loss_m2, loss_m3)
        if not (loss_m1 > 0 and loss_m2 >= 0 and loss_m3 >= 0):
            raise UserError(f"margins (m1, m2, m3) = {margins!r}: expected m1 above 0, m2 and m3 at least 0")
        self.scale = loss_s
        self.margins = margins
        self.monotonic = loss_monotonic
        self.filter, self.weight_of_pull = interclass_filtering_threshold, loss_centre

    def own(self, score: Tensor, norms: Tensor) -> Tensor:
        """Cosines (N,) with the margin; the norms are not looked at."""
        return target_with_margin(score, *self.margins, self.monotonic)

    def others(self, scores: Tensor, own: Tensor) -> Tensor:
        """Cosines (N, C), 0 where they are above the filter."""
        return scores.masked_fill(scores > self.filter, 0.0) if self.filter > 0 else scores

    def pull(self, own: Tensor) -> Tensor | None:
        """The weighted angle to the own centre (N,)."""
        return self.weight_of_pull / math.pi * angle(own) if self.weight_of_pull > 0 else None
