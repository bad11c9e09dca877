"""What a head of points learns by. A new loss is a function here, decorated.

Coordinates are in pixels of the 112x112 crop, heat maps from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lwface.base.registry import Registry

POINT_LOSSES: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry("point loss")


@POINT_LOSSES.register
def l1(found: Tensor, true: Tensor) -> Tensor:
    """``|d|``."""
    return (found - true).abs()


@POINT_LOSSES.register
def l2(found: Tensor, true: Tensor) -> Tensor:
    """``d ** 2``."""
    return (found - true) ** 2


@POINT_LOSSES.register
def smooth_l1(found: Tensor, true: Tensor) -> Tensor:
    """``d ** 2 / 2`` within a pixel, ``|d| - 1 / 2`` outside (Girshick, "Fast R-CNN", ICCV 2015, equation 3)."""
    return functional.smooth_l1_loss(found, true, reduction="none")


@POINT_LOSSES.register
def nll(found: Tensor, true: Tensor) -> Tensor:
    """``|d|``: the head divides it by its own scale and adds the scale's logarithm (a Laplace likelihood)."""
    return (found - true).abs()


@POINT_LOSSES.register
def wing(found: Tensor, true: Tensor) -> Tensor:
    """``w ln(1 + |d| / e)`` below ``w``, ``|d| - c`` above, with w 10 pixels and e 2.

    Feng et al., "Wing Loss for Robust Facial Landmark Localisation with Convolutional Neural Networks", CVPR 2018,
    equation 5; w and e of its table 2.
    """
    width, curve = 10.0, 2.0
    distance = (found - true).abs()
    offset = width - width * math.log(1 + width / curve)
    return torch.where(distance < width, width * torch.log1p(distance / curve), distance - offset)


@POINT_LOSSES.register
def adaptive_wing(found: Tensor, true: Tensor) -> Tensor:
    """Wing loss whose exponent follows the heat map, ten times as much where the map is high.

    Wang, Bo, Fuxin, "Adaptive Wing Loss for Robust Face Alignment via Heatmap Regression", ICCV 2019, equation 3, with
    omega 14, theta 0.5, epsilon 1, alpha 2.1, and the weighted loss map of equation 7 with W 10; pixels are important
    where the map is at least 0.2.
    """
    omega, theta, epsilon, alpha, weight = 14.0, 0.5, 1.0, 2.1, 10.0
    distance = (found - true).abs()
    power = alpha - true
    ratio = theta / epsilon
    slope = omega / (1 + ratio**power) * power * ratio ** (power - 1) / epsilon
    offset = theta * slope - omega * torch.log1p(ratio**power)
    near = omega * torch.log1p((distance / epsilon).clamp(min=1e-12) ** power)
    loss = torch.where(distance < theta, near, slope * distance - offset)
    important = functional.max_pool2d(true, 3, 1, 1) >= 0.2
    return loss * (1 + weight * important)


@POINT_LOSSES.register
def cross_entropy(found: Tensor, true: Tensor) -> Tensor:
    """Of distributions over bins: ``-sum(softmax(true) * log_softmax(found))`` over the last dimension, both logits."""
    return -(true.softmax(-1) * found.log_softmax(-1)).sum(-1)


cross_entropy.of_distributions = True  # type: ignore[attr-defined]
