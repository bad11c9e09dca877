"""The faces of a picture as numbers, and which place of the network learns which face.

A face is a row of :data:`WIDTH` numbers: its state, its box, its five points, in pixels of the picture.
"""

from __future__ import annotations

import torch
from torch import Tensor

NOTHING, FACE, UNCLEAR = 0, 1, 2  # a row that fills up; a face; one that is neither to be found nor to be left
WIDTH = 15  # of a row
INNER = (
    0.25  # of a box's sides, from its middle: there a place learns the face (centre sampling of FCOS's later version)
)
NEAR = 0.6  # strides, likewise, for the smallest faces
REACH = {8: (0.0, 8.0), 16: (3.0, 10.0), 32: (4.0, float("inf"))}  # strides that a face's size has, by the map
NOBODY, LEFT_OUT = -1, -2


def sizes_of(boxes: Tensor) -> Tensor:
    """The square roots of the areas of boxes (..., 4)."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1).sqrt()


def owners(targets: Tensor, middles: Tensor, strides: Tensor) -> Tensor:
    """Whose face each place learns: (N, A) rows of ``targets`` (N, M, 15), :data:`NOBODY` or :data:`LEFT_OUT`.

    A place learns a face whose middle is near and whose size is right for the place's map (FCOS, section 3.2); of
    several the smallest. What lies in an unclear face and learns no other is left out.
    """
    boxes, state = targets[:, None, :, 1:5], targets[:, None, :, 0]
    size, place, stride = sizes_of(boxes), middles[:, None, :], strides[:, None]
    distance = (place - (boxes[..., :2] + boxes[..., 2:]) / 2).abs()
    reach = torch.maximum((boxes[..., 2:] - boxes[..., :2]) * INNER, (stride * NEAR)[..., None])
    least, most = (_by_stride(strides, end)[:, None] for end in (0, 1))
    fits = (distance <= reach).all(dim=-1) & (size >= least * stride) & (size < most * stride) & (state == FACE)
    smallest, owner = torch.where(fits, size, torch.inf).min(dim=-1)
    inside = ((place > boxes[..., :2]) & (place < boxes[..., 2:])).all(dim=-1) & (state == UNCLEAR)
    free = torch.where(inside.any(dim=-1), LEFT_OUT, NOBODY)
    return torch.where(smallest.isfinite(), owner, free)


def _by_stride(strides: Tensor, end: int) -> Tensor:
    """The least or largest size (A,) that faces have on each place's map, in strides."""
    found = torch.zeros_like(strides)
    for stride, reach in REACH.items():
        found[strides == stride] = reach[end]
    return found
