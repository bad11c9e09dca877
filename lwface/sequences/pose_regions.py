"""Where things are on a crop of a person, by COCO's 17 points: how large the person is, head, trunk, legs; what is not.

Points are (..., 17, 3): x and y as parts of the crop's sides, and a score, up to 0 where the point is not there. All
that is found is a function of the points that are there; where none is, the whole crop is the person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

HEAD_POINTS, SHOULDERS, HIPS, KNEES, ANKLES = slice(0, 5), slice(5, 7), slice(11, 13), slice(13, 15), slice(15, 17)
MIRRORED = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)  # left and right change places
# Two points and their usual distance over the person's height (anthropometry of adults, as lwface.synthetic.body).
LIMBS = (
    *((5, 7, 0.17), (6, 8, 0.17), (7, 9, 0.15), (8, 10, 0.15), (5, 11, 0.29), (6, 12, 0.29)),
    *((11, 13, 0.245), (12, 14, 0.245), (13, 15, 0.245), (14, 16, 0.245), (5, 6, 0.216), (11, 12, 0.124)),
    *((3, 4, 0.108), (0, 5, 0.16), (0, 6, 0.16)),
)
EARS = 12  # of the limbs, the head's width
MEASURES = LIMBS[:10]  # of which the height is made: those that turning about the own axis does not shorten
LONGEST = 3  # of them, whose mean it is: what points towards the camera looks short
HEIGHTS = (0.3, 4.0)  # of a person, in sides of the crop
LINES = (  # between joints; all of them together cover a person but for the head
    *((5, 6), (11, 12), (5, 11), (6, 12), (5, 12), (6, 11), (5, 7), (6, 8), (7, 9), (8, 10)),
    *((11, 13), (12, 14), (13, 15), (14, 16)),
)
UPPER_LINES, LOWER_LINES = LINES[:8], (LINES[1], *LINES[10:])  # what clothes cover: forearms are left out
PATCHES = HEAD, TRUNK, LEGS = ("head", "trunk", "legs")
SIDES = (0.34, 0.46, 0.62)  # of the square around each, in heights
FACE_RADIUS = 0.06  # of the disc that covers a face, in heights
HEAD_RADIUS = 0.08  # of the head with hair
MIDDLE_GREY = 127.5


class Regions(NamedTuple):
    """Squares on crops.

    Attributes:
        centres: (..., 3, 2) of head, trunk and legs.
        sides: (..., 3) of the squares, in sides of the crop.
        there: (..., 3) bool, whether a point of it is.
        heights: (...,) of the person, in sides of the crop.
    """

    centres: Tensor
    sides: Tensor
    there: Tensor
    heights: Tensor


def limb_lengths(points: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths (..., 15) of :data:`LIMBS`, and whether both ends are there."""
    first, second = [limb[0] for limb in LIMBS], [limb[1] for limb in LIMBS]
    there = points[..., 2] > 0
    lengths = (points[..., first, :2] - points[..., second, :2]).norm(dim=-1)
    return lengths, there[..., first] & there[..., second]


def heights(points: Tensor) -> Tensor:
    """(...,) what the person's height would be if their longest limbs were as usual, or else the head's width.

    1 where neither is there.
    """
    lengths, there = limb_lengths(points)
    usual = points.new_tensor([limb[2] for limb in LIMBS])
    found = (lengths / usual).where(there, 0)
    longest = found[..., : len(MEASURES)].topk(LONGEST, dim=-1).values
    count = (longest > 0).sum(-1)
    mean = longest.sum(-1) / count.clamp(min=1)
    head = found[..., EARS].where(there[..., EARS], 1)
    return mean.where(count > 0, head).clamp(*HEIGHTS)


def regions(points: Tensor) -> Regions:
    """Head, trunk and legs; what is not seen is placed where it would be of one who stands upright."""
    height = heights(points)
    step = torch.stack([torch.zeros_like(height), height], dim=-1)  # (..., 2), downwards
    middles = {name: _middle(points, part) for name, part in _PARTS.items()}

    def place(*choices: tuple[str, float]) -> Tensor:
        """The first of the middles that is there, moved down by parts of the height; or else the crop's middle."""
        found = torch.full_like(step, 0.5)
        for name, down in reversed(choices):
            middle, there = middles[name]
            found = (middle + down * step).where(there[..., None], found)
        return found

    head = place(("head", 0.0), ("shoulders", -0.11), ("hips", -0.4))
    upper = place(("shoulders", 0.0), ("head", 0.11), ("hips", -0.29))
    hips = place(("hips", 0.0), ("shoulders", 0.29), ("head", 0.4))
    lower = place(("ankles", 0.0), ("knees", 0.245), ("hips", 0.49), ("shoulders", 0.78), ("head", 0.89))
    centres = torch.stack([head, (upper + hips) / 2, (hips + lower) / 2], dim=-2)
    seen = {name: there for name, (_, there) in middles.items()}
    there = torch.stack(
        [seen["head"] | seen["shoulders"], seen["shoulders"] | seen["hips"], seen["knees"] | seen["ankles"]], dim=-1
    )
    sides = height[..., None] * points.new_tensor(SIDES)
    return Regions(centres, sides, there, height)


_PARTS = {"head": HEAD_POINTS, "shoulders": SHOULDERS, "hips": HIPS, "knees": KNEES, "ankles": ANKLES}


def _middle(points: Tensor, part: slice) -> tuple[Tensor, Tensor]:
    """The mean (..., 2) of the points of a part that are there, and whether any is."""
    there = points[..., part, 2] > 0
    total = points[..., part, :2].where(there[..., None], 0).sum(-2)
    count = there.sum(-1)
    return total / count.clamp(min=1)[..., None], count > 0


def person_mask(points: Tensor, found: Regions, size: int) -> Tensor:
    """(N, size, size) from 0 to 1: near the head's middle or a line between two joints; 1 all over where none is.

    Args:
        points: (N, 17, 3).
        found: :func:`regions` of them.
        size: cells of a side.
    """
    distance = _distance(points, LINES, size)
    head = (_grid(points, size) - found.centres[:, None, 0]).norm(dim=-1) - 0.05 * found.heights[:, None]
    distance = torch.minimum(distance, head.clamp(min=0).where(found.there[:, :1], torch.inf))
    nothing = ~found.there.any(1)
    return _near(distance, found).where(~nothing[:, None], 1).unflatten(1, (size, size))


def clothes_masks(points: Tensor, found: Regions, size: int) -> Tensor:
    """(N, 2, size, size) from 0 to 1: near the lines of trunk and upper arms, and of the legs; not near the head."""
    masks = [_near(_distance(points, lines, size), found) for lines in (UPPER_LINES, LOWER_LINES)]
    head = (_grid(points, size) - found.centres[:, None, 0]).norm(dim=-1) - HEAD_RADIUS * found.heights[:, None]
    away = (head / (0.04 * found.heights[:, None])).clamp(0, 1).where(found.there[:, :1], 1)
    return (away[:, None] * torch.stack(masks, dim=1)).unflatten(2, (size, size))


def _grid(points: Tensor, size: int) -> Tensor:
    """The middles (size ** 2, 2) of cells, x and y as parts of the sides, row by row."""
    cells = ((torch.arange(size, device=points.device) + 0.5) / size).to(points.dtype)
    return torch.stack(torch.meshgrid(cells, cells, indexing="xy"), dim=-1).flatten(0, 1)


def _near(distance: Tensor, found: Regions) -> Tensor:
    return torch.exp(-((distance / (0.075 * found.heights[:, None])) ** 2))


def _distance(points: Tensor, lines: Sequence[tuple[int, int]], size: int) -> Tensor:
    """(N, size ** 2) from each cell to the nearest of the lines whose ends are both there; infinite where none is."""
    first, second = [line[0] for line in lines], [line[1] for line in lines]
    there = points[..., 2] > 0
    start, along = points[:, first, None, :2], (points[:, second, :2] - points[:, first, :2])[:, :, None]
    offset = _grid(points, size) - start  # (N, lines, cells, 2)
    share = ((offset * along).sum(-1) / along.square().sum(-1).clamp(min=1e-8)).clamp(0, 1)
    distance = (offset - share[..., None] * along).norm(dim=-1)
    return distance.where((there[:, first] & there[:, second])[..., None], torch.inf).amin(1)


def cut(images: Tensor, centres: Tensor, sides: Tensor, size: int) -> Tensor:
    """Squares (N, K, 3, size, size) of images (N, 3, H, W), middle grey beyond their edges.

    Args:
        centres: (N, K, 2), x and y as parts of the sides. ``sides``: (N, K), likewise.
    """
    number = centres.shape[1]
    theta = torch.zeros(*sides.shape, 2, 3, device=images.device, dtype=images.dtype)
    theta[..., 0, 0] = theta[..., 1, 1] = sides.to(images.dtype)
    theta[..., 2] = (2 * centres - 1).to(images.dtype)
    places = functional.affine_grid(theta.flatten(0, 1), [len(images) * number, 3, size, size], align_corners=False)
    tall = places.unflatten(0, (-1, number)).flatten(1, 2)  # (N, K * size, size, 2)
    found = functional.grid_sample(images - MIDDLE_GREY, tall, align_corners=False) + MIDDLE_GREY
    return found.unflatten(2, (number, size)).transpose(1, 2)


def cover_faces(images: Tensor, points: Tensor) -> Tensor:
    """Images (N, 3, H, W) with a grey disc over the face: where nose or an eye is there."""
    height = heights(points)
    middle, there = _middle(points, slice(0, 3))
    rows, columns = ((torch.arange(side, device=images.device) + 0.5) / side for side in images.shape[2:])
    away = (columns[None, None] - middle[:, 0, None, None]) ** 2 + (rows[None, :, None] - middle[:, 1, None, None]) ** 2
    inside = (away < (FACE_RADIUS * height[:, None, None]) ** 2) & there[:, None, None]
    return images.where(~inside[:, None], torch.as_tensor(MIDDLE_GREY, dtype=images.dtype, device=images.device))


def pose_features(points: Tensor) -> Tensor:
    """What poses (N, T, 17, 3) say frame by frame, (N, T, 115), in heights of the person over the whole sequence.

    34 places against the trunk's middle and 17 whether they are there, 34 movements to the next frame where both are,
    15 logarithms of limbs over their usual length and 15 whether they are there.
    """
    there = points[..., 2] > 0
    height = heights(points).median(dim=1, keepdim=True).values[..., None, None]  # (N, 1, 1, 1)
    middle = regions(points).centres[..., 1:2, :]  # of the trunk
    places = ((points[..., :2] - middle) / height).where(there[..., None], 0).clamp(-2, 2)
    both = there[:, 1:] & there[:, :-1]
    moved = ((points[:, 1:, :, :2] - points[:, :-1, :, :2]) / height).where(both[..., None], 0).clamp(-2, 2)
    moved = functional.pad(moved, (0, 0, 0, 0, 0, 1))
    lengths, known = limb_lengths(points)
    usual = points.new_tensor([limb[2] for limb in LIMBS])
    logs = (lengths / (usual * height[..., 0])).clamp(0.05, 3).log().where(known, 0)
    parts = (places.flatten(2), there, moved.flatten(2), logs, known)
    return torch.cat([part.to(points.dtype) for part in parts], dim=2)


POSE_FEATURES = 17 * 5 + 2 * len(LIMBS)


def mirrored_points(points: Tensor) -> Tensor:
    """Points (..., 17, 3) of the mirrored crop."""
    turned = points[..., MIRRORED, :].clone()
    turned[..., 0] = 1 - turned[..., 0]
    return turned
