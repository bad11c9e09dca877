"""Margins on the cosine between an embedding and the weight of its own class, as pure functions in radians.

One formula covers the family (Deng et al., "ArcFace", CVPR 2019, equation 4)::

    cos(theta)  ->  cos(m1 * theta + m2) - m3        for the class of the label, other cosines as they are

=========  =============  ===========================================================
name       (m1, m2, m3)   source
=========  =============  ===========================================================
nsoftmax   (1, 0, 0)      Wang et al., "NormFace", 2017
arcface    (1, 0.5, 0)    Deng et al., "ArcFace", CVPR 2019
cosface    (1, 0, 0.35)   Wang et al., "CosFace", CVPR 2018
combined   (1, 0.3, 0.2)  Deng et al., "ArcFace", CVPR 2019, section 2.2
=========  =============  ===========================================================

As in the original, nothing special happens where ``phi = m1 * theta + m2`` passes pi and the cosine turns. That leaves
a degenerate optimum: where every embedding is opposite to every weight, all cosines are -1 but the right one's is
cos(pi + m2) > -1, so all images are "classified" while all embeddings are equal. Large data sets do not fall into it,
small ones do within a few hundred steps. ``monotonic`` closes it with the extension of Liu et al. ("SphereFace", CVPR
2017, section 3.3): ``(-1)**k * cos(phi) - 2 * k`` with ``k = floor(phi / pi)``, which falls all the way.

The gradient and its guard
    d/dc cos(m1 acos(c) + m2) = m1 sin(m1 theta + m2) / sin(theta) has poles at c = +-1. The value is exact on all of
    [-1, 1] (a cosine that rounding pushed outside counts as the end it passed). In the gradient alone sin(theta) is
    replaced by ``max(sin(theta), SINE_FLOOR)``: it is exact where |c| <= 1 - SINE_FLOOR**2 / 2 = 1 - 5e-7, all but the
    last few float32 numbers, and beyond that too small by the factor ``sin(theta) / SINE_FLOOR``, so at most
    ``m1 / SINE_FLOOR`` and never infinite. Training loses nothing: what reaches the embedding is this gradient times
    the slope of the cosine, which is proportional to sin(theta).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

SINE_FLOOR = 1e-3


class _AngularMargin(Function):
    """cos(m1 acos(c) + m2), or its monotonic extension, with its exact, guarded gradient."""

    @staticmethod
    def forward(ctx: Any, cosine: torch.Tensor, m1: float, m2: float, monotonic: bool) -> torch.Tensor:
        theta = cosine.clamp(-1, 1).acos()
        ctx.save_for_backward(theta)
        ctx.margins = (m1, m2, monotonic)
        phi = m1 * theta + m2
        turns = _half_turns(phi, monotonic)
        return _sign(turns) * torch.cos(phi) - 2 * turns

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (theta,) = ctx.saved_tensors
        m1, m2, monotonic = ctx.margins
        phi = m1 * theta + m2
        rise = m1 * _sign(_half_turns(phi, monotonic)) * torch.sin(phi)
        return gradient * rise / torch.sin(theta).clamp(min=SINE_FLOOR), None, None, None


def _half_turns(phi: torch.Tensor, monotonic: bool) -> torch.Tensor:
    """k of the extension, 0 everywhere without it."""
    return torch.floor(phi / math.pi) if monotonic else torch.zeros_like(phi)


def _sign(turns: torch.Tensor) -> torch.Tensor:
    """(-1)**k."""
    return 1 - 2 * torch.remainder(turns, 2)


class _Angle(Function):
    """acos(c) with its exact, guarded gradient."""

    @staticmethod
    def forward(ctx: Any, cosine: torch.Tensor) -> torch.Tensor:
        theta = cosine.clamp(-1, 1).acos()
        ctx.save_for_backward(theta)
        return theta

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (theta,) = ctx.saved_tensors
        return -gradient / torch.sin(theta).clamp(min=SINE_FLOOR)


def angle(cosine: torch.Tensor) -> torch.Tensor:
    """The angles in radians of cosines of any shape, with the guarded gradient of this module's docstring."""
    return _Angle.apply(cosine)


def cosine_of(phi: torch.Tensor, monotonic: bool = False) -> torch.Tensor:
    """cos(phi), or its monotonic extension, of angles in radians of any shape: for margins that differ by row."""
    if not monotonic:
        return torch.cos(phi)
    turns = _half_turns(phi, monotonic=True)
    return _sign(turns) * torch.cos(phi) - 2 * turns


def arc_or_line(cosine: torch.Tensor, margin: float) -> torch.Tensor:
    """``cos(theta + m)`` up to theta = pi - m, and ``cos(theta) - m sin(m)`` beyond, as many programs close the turn.

    It falls on beyond pi - m, with a step down there from -1 to ``-cos(m) - m sin(m)`` (m = 0.5: -1.117).

    Args:
        cosine: any shape.
        margin: radians, from 0 to pi.
    """
    arc, line = torch.cos(angle(cosine) + margin), cosine - margin * math.sin(margin)
    return torch.where(cosine > math.cos(math.pi - margin), arc, line)


def target_with_margin(
    cosine: torch.Tensor, m1: float = 1.0, m2: float = 0.0, m3: float = 0.0, monotonic: bool = False
) -> torch.Tensor:
    """``cos(m1 * acos(cosine) + m2) - m3`` elementwise, with the guarded gradient of this module's docstring.

    Args:
        cosine: any shape, values in [-1, 1].
        m1: factor on the angle, above 0.
        m2: added to the angle, radians.
        m3: taken from the cosine.
        monotonic: use the extension of this module's docstring beyond pi.
    """
    if m1 == 1.0 and m2 == 0.0:  # no angle is needed, and the gradient is exactly 1
        return cosine - m3 if m3 else cosine
    return _AngularMargin.apply(cosine, m1, m2, monotonic) - m3
