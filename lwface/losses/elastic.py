"""ElasticFace: a margin drawn anew for each image and step."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lwface.base.device import sent
from lwface.base.setting import Setting
from lwface.losses.angular import angle, cosine_of
from lwface.losses.base import LOSSES, Margin
from lwface.losses.settings import Monotonic, Scale


@LOSSES.register_as("elastic")
class ElasticFace(Margin):
    """``s * cos(theta + m_i)`` (arc) or ``s * (cos(theta) - m_i)`` (cos), ``m_i`` normal with mean m, deviation sigma.

    With ``loss_plus`` the margins of a batch are sorted: the largest goes to the image whose cosine with its own class
    is smallest (Boutros et al., "ElasticFace", CVPR workshops 2022, section 3: ElasticFace-Arc, -Cos, -Arc+, -Cos+).

    Defaults: m 0.5 (arc; 0.35 for cos) and s 64 are of the paper and the authors' ``config/config.py``, which has sigma
    0.05, with plus 0.0175 (arc) and 0.02 (cos); the classes in their ``utils/losses.py`` have 0.0125.

    The program (fdbtrs/ElasticFace at 5496ec0) differs from the paper with ``plus``: it gives row ``i`` the margin of
    rank ``order[i]``, where ``order[i]`` is the row that is i-th by cosine; the right one is the margin of row i's own
    rank, as here.

    Margins are drawn on the CPU, the same for every device; the classifier sees to it that they are the same in each
    process and after a resume. Outside of training the margin is m.
    """

    whole_batch = True

    def __init__(
        self,
        *,
        loss_s: Scale = 64.0,
        loss_m: Annotated[float, Setting("mean margin: radians (arc) or cosine (cos)", minimum=0)] = 0.5,
        loss_sigma: Annotated[float, Setting("standard deviation of the margin", minimum=0)] = 0.05,
        loss_kind: Annotated[str, Setting("where the margin goes", choices=("arc", "cos"))] = "arc",
        loss_plus: Annotated[bool, Setting("give the largest margin to the image with the smallest cosine")] = False,
        loss_monotonic: Monotonic = False,
    ) -> None:
        super().__init__()
        self.scale, self.margin, self.sigma = loss_s, loss_m, loss_sigma
        self.arc, self.plus, self.monotonic = loss_kind == "arc", loss_plus, loss_monotonic

    def own(self, score: Tensor, norms: Tensor) -> Tensor:
        """Cosines (N,) with the margins; the norms are not looked at."""
        margins = self.margins(score.detach()) if self.training else self.margin
        return cosine_of(angle(score) + margins, self.monotonic) if self.arc else score - margins

    def margins(self, score: Tensor) -> Tensor:
        """Margins (N,) newly drawn for a batch whose cosines with their own classes are ``score`` (N,)."""
        drawn = sent(torch.randn(len(score), dtype=torch.float64).to(score.dtype), score.device)
        margins = self.margin + self.sigma * drawn
        if not self.plus:
            return margins
        smallest_last = score.argsort(descending=True, stable=True)
        return torch.empty_like(margins).scatter(0, smallest_last, margins.sort().values)
