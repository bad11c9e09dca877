"""Training images of faces and their keypoints, changed together: mirrored, moved, turned, scaled, lit otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from lwface.base.device import sent
from lwface.base.errors import UserError
from lwface.landmarks.keypoint_choices import Augmentation


def mirror_order(points: Sequence[str]) -> list[int]:
    """For each of ``points``, the position of the one that it is called in a mirror image: left and right change.

    >>> mirror_order(["left_eye_center", "right_eye_center", "nose_tip"])
    [1, 0, 2]
    """
    sides = {"left": "right", "right": "left"}
    names = ["_".join(sides.get(word, word) for word in point.split("_")) for point in points]
    lonely = [name for name in names if name not in points]
    if lonely:
        raise UserError(f"points {', '.join(points)}: without {lonely[0]} no mirror image can be learnt from")
    return [points.index(name) for name in names]


def augment(
    images: Tensor, points: Tensor, order: Sequence[int], strength: Augmentation, stream: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Change each image and its points.

    With q a place from the centre of the image, ``q' = s R F q + t``: F mirrors, R turns, s scales, t shifts.

    Args:
        images: (N, 1, S, S) float, 0..255.
        points: (N, K, 2) in pixels of the image, x then y; NaN where not known.
        order: :func:`mirror_order` of the K points.
        stream: on the CPU; what is drawn from it does not depend on ``strength`` or on the device.

    Returns:
        Images and points; what left the image is not known any more. Behind the edge, its pixels are repeated.
    """
    drawn = sent(torch.rand((len(images), 7), generator=stream).to(images.dtype), images.device)  # (N, 7) in [0, 1)
    mirrored = (drawn[:, 0] < 0.5) & strength.mirror
    even = 2 * drawn[:, 1:] - 1  # (N, 6) in [-1, 1)
    angle = even[:, 0] * math.radians(strength.rotation)
    scale = 1 + even[:, 1] * strength.scale
    shift = even[:, 2:4] * strength.shift  # (N, 2)
    flip = 1 - 2 * mirrored.to(images)  # -1 where mirrored
    cosine, sine = angle.cos(), angle.sin()
    linear = scale[:, None, None] * torch.stack(  # s R F (N, 2, 2)
        (torch.stack((cosine * flip, -sine), dim=1), torch.stack((sine * flip, cosine), dim=1)), dim=1
    )
    side = images.shape[-1]
    centre = (side - 1) / 2
    inverse = torch.linalg.inv(linear)
    back = -(inverse @ shift[:, :, None]) * (2 / side)  # in grid_sample's units, half an image
    grid = functional.affine_grid(torch.cat((inverse, back), dim=2), list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    gain = 1 + even[:, 4] * strength.brightness
    offset = even[:, 5] * strength.brightness * 128
    lit = ((moved - 127.5) * gain[:, None, None, None] + 127.5 + offset[:, None, None, None]).clamp(0, 255)

    places = (points - centre) @ linear.transpose(1, 2) + shift[:, None, :] + centre  # (N, K, 2)
    places = torch.where(mirrored[:, None, None], places[:, list(order)], places)
    outside = ((places < -0.5) | (places > side - 0.5)).any(dim=2, keepdim=True)
    return lit, places.masked_fill(outside, math.nan)
