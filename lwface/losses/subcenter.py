"""Sub-center ArcFace: several centres a class, so that its wrongly labelled images need not spoil one."""

from __future__ import annotations

from typing import Annotated

from lwface.base.setting import Setting
from lwface.losses.base import LOSSES
from lwface.losses.margin_softmax import MarginSoftmax
from lwface.losses.settings import AngularMargin, CosineMargin, Monotonic, MultiplicativeMargin, Scale


@LOSSES.register_as("subcenter")
class SubcenterArcFace(MarginSoftmax):
    """ArcFace on the best cosine of K centres that each class has: ``cos(theta_c) = max_k W_ck . x``.

    An image is pulled to the nearest of its class's centres only. After training most images of a class lie at one of
    them, the dominant one, and the noise at the others (Deng et al., "Sub-center ArcFace", ECCV 2020, section 3).

    Defaults: K 3, m 0.5, s 64 are the paper's and those of insightface's ``recognition/subcenter_arcface``
    (``loss_K = 3``). Memory and time of the classifier grow K-fold.
    """

    def __init__(
        self,
        *,
        loss_K: Annotated[int, Setting("centres of each class", minimum=1)] = 3,
        loss_s: Scale = 64.0,
        loss_m1: MultiplicativeMargin = 1.0,
        loss_m2: AngularMargin = 0.5,
        loss_m3: CosineMargin = 0.0,
        loss_monotonic: Monotonic = False,
    ) -> None:
        super().__init__(
            loss_s=loss_s, loss_m1=loss_m1, loss_m2=loss_m2, loss_m3=loss_m3, loss_monotonic=loss_monotonic
        )
        self.centres = loss_K
