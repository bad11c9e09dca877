"""Sub-center ArcFace: several centres a class, so that its wrongly labelled images need not spoil one."""

from __future__ import annotations

from typing import Annotated

from lwface.base.setting import Setting
from lwface.losses.base import LOSSES
from lwface.losses.margin_softmax import MarginSoftmax


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
        loss_s: Annotated[float, Setting("scale of the cosines", above=0)] = 64.0,
        loss_m1: Annotated[float, Setting("multiplicative angular margin", above=0)] = 1.0,
        loss_m2: Annotated[float, Setting("additive angular margin in radians", minimum=0)] = 0.5,
        loss_m3: Annotated[float, Setting("additive cosine margin", minimum=0)] = 0.0,
        loss_monotonic: Annotated[
            bool, Setting("let the margin's cosine fall on beyond pi, where the original's rises again")
        ] = False,
    ) -> None:
        super().__init__(
            loss_s=loss_s, loss_m1=loss_m1, loss_m2=loss_m2, loss_m3=loss_m3, loss_monotonic=loss_monotonic
        )
        self.centres = loss_K
