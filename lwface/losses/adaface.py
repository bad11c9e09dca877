"""AdaFace: a margin that follows the image's quality, of which the embedding's norm is the measure."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from lwface.base.setting import Setting
from lwface.losses.angular import angle
from lwface.losses.base import LOSSES, Margin
from lwface.losses.settings import Scale

NORM_RANGE = (0.001, 100.0)  # a norm outside counts as the end it passed
STD_EPSILON = 1e-3  # added to the deviation
END_GAP = 1e-3  # radians: how near to 0 and pi the angle with its margin may come
FIRST_MEAN, FIRST_STD = 20.0, 100.0  # of norms, before the first batch


@LOSSES.register_as("adaface")
class AdaFace(Margin):
    """``s * (cos(theta + g_angle) - g_add)`` with ``g_angle = -m z``, ``g_add = m + m z``.

    ``z = clip((norm - mean) / (std / h), -1, 1)`` is the quality: mean and deviation of the norms are running ones, no
    gradient goes through z (Kim, Jain and Liu, "AdaFace", CVPR 2022, section 3). An image of poor quality
    (z = -1) has an ArcFace margin, one of middle quality CosFace's, one of good quality (z = 1) a negative angular one
    with twice CosFace's: hard images count most where they can be recognised at all.

    Defaults: m 0.4, h 0.333, s 64 are the paper's and of the authors' training scripts; ``loss_t_alpha`` 0.01, the
    share of a new batch in the running mean, is their ``config.py``'s (the class in their ``head.py`` has 1.0: no
    memory).

    Where the program (mk-minchul/AdaFace at c60eaa7, ``head.py``) goes beyond the paper, so does this: norms clipped
    to 0.001..100, 1e-3 added to the deviation, theta + g_angle kept 1e-3 away from 0 and pi (beyond, no gradient),
    mean 20 and deviation 100 before the first batch. Not taken over: it clamps all cosines to +-(1 - 1e-3), and its
    deviation of a batch of one is NaN, for good: here one row leaves the deviation as it is.
    """

    whole_batch = True
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        loss_s: Scale = 64.0,
        loss_m: Annotated[float, Setting("margin", minimum=0)] = 0.4,
        loss_h: Annotated[float, Setting("concentration: at how many deviations of the norm z is 1", above=0)] = 0.333,
        loss_t_alpha: Annotated[
            float, Setting("share of a batch in the running mean of the norms", above=0, maximum=1)
        ] = 0.01,
    ) -> None:
        super().__init__()
        self.scale, self.margin, self.concentration, self.share = loss_s, loss_m, loss_h, loss_t_alpha
        self.register_buffer("mean", torch.tensor(FIRST_MEAN))
        self.register_buffer("std", torch.tensor(FIRST_STD))

    def own(self, score: Tensor, norms: Tensor) -> Tensor:
        """Cosines (N,) with the margin of their norms (N,), which are taken into the running mean first."""
        norms = norms.detach().clamp(*NORM_RANGE)
        if self.training:
            self.mean.lerp_(norms.mean().to(self.mean.dtype), self.share)
            if len(norms) > 1:
                self.std.lerp_(norms.std().to(self.std.dtype), self.share)
        quality = ((norms - self.mean) / (self.std + STD_EPSILON) * self.concentration).clamp(-1, 1)
        phi = (angle(score) - self.margin * quality).clamp(END_GAP, math.pi - END_GAP)
        return torch.cos(phi) - self.margin * (1 + quality)
