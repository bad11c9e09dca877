"""What the detector's answers cost: quality focal loss of scores, generalised IoU of boxes, distance of points."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lwface.detection_training.targets import LEFT_OUT, sizes_of
from lwface.networks.face_detector import Found

BOX_WEIGHT, POINT_WEIGHT = 2.0, 1.0
SMOOTH = 0.02  # of a face's size: below it the distance of a point counts by its square
FOCUS = 2.0  # exponent of the quality focal loss


def overlaps(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union and its generalisation (K,) of pairs of boxes (K, 4).

    Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019, algorithm 1.
    """
    inner = (torch.minimum(one[:, 2:], other[:, 2:]) - torch.maximum(one[:, :2], other[:, :2])).clamp(min=0)
    outer = torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])
    shared, hull = inner.prod(dim=1), outer.clamp(min=0).prod(dim=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1) for boxes in (one, other)]
    union = (areas[0] + areas[1] - shared).clamp(min=1e-6)
    return shared / union, shared / union - (hull - union) / hull.clamp(min=1e-6)


def quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    """``|y - p|^2 BCE(p, y)`` of each logit (K,), ``y`` being how good a box is there, 0 for none.

    Li et al., "Generalized Focal Loss", NeurIPS 2020, equation 2.
    """
    cost = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return (quality - logits.sigmoid()).abs().pow(FOCUS) * cost


def detection_loss(found: Found, targets: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of a batch, and the sum over its pictures of the mean overlap of the boxes that learn.

    Args:
        targets: (N, M, 15).
        owner: (N, A) of :func:`~lwface.detection_training.targets.owners`.
    """
    picture, place = (owner >= 0).nonzero(as_tuple=True)
    true = targets[picture, owner[picture, place]]
    count = max(1, len(true))
    iou, generalised = overlaps(found.boxes[picture, place], true[:, 1:5])
    quality = torch.zeros_like(found.logits)
    quality[picture, place] = iou.detach().clamp(min=0)
    judged = owner != LEFT_OUT
    score = quality_focal(found.logits[judged], quality[judged]).sum() / count
    distance = (found.points[picture, place] - true[:, 5:].unflatten(1, (5, 2))) / sizes_of(true[:, 1:5])[:, None, None]
    point = functional.smooth_l1_loss(distance, torch.zeros_like(distance), beta=SMOOTH, reduction="sum") / count
    box = (1 - generalised).sum() / count
    return score + BOX_WEIGHT * box + POINT_WEIGHT * point, iou.detach().sum() / count * len(targets)
