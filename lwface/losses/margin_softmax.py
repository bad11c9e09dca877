"""Softmax on scaled cosines, with a margin on the angle and the cosine of the right class."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from lwface.base.errors import UserError
from lwface.base.setting import Setting
from lwface.losses.angular import target_with_margin
from lwface.losses.base import LOSSES, Margin


@LOSSES.register_as("margin_softmax")
class MarginSoftmax(Margin):
    """``s * (cos(m1 * theta + m2) - m3)``: nsoftmax, ArcFace, CosFace and their combinations.

    The formula, its sources and its gradient: :mod:`lwface.losses.angular`.
    """

    def __init__(
        self,
        *,
        loss_s: Annotated[float, Setting("scale of the cosines", above=0)] = 64.0,
        loss_m1: Annotated[float, Setting("multiplicative angular margin", above=0)] = 1.0,
        loss_m2: Annotated[float, Setting("additive angular margin in radians", minimum=0)] = 0.0,
        loss_m3: Annotated[float, Setting("additive cosine margin", minimum=0)] = 0.0,
        loss_monotonic: Annotated[
            bool, Setting("let the margin's cosine fall on beyond pi, where the original's rises again")
        ] = False,
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

    def own(self, score: Tensor, norms: Tensor) -> Tensor:
        """Cosines (N,) with the margin; the norms are not looked at."""
        return target_with_margin(score, *self.margins, self.monotonic)
