"""How sequences are changed while they are learnt: mirrored, in another light, with covered faces and lost points; and
how clothes change, for the parts that are to know people whatever they wear.

Whatever is drawn is drawn once for a sequence: its frames stay of one video. Only lost points and the errors of the
others are drawn for each frame, as a detector's are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lwface.sequences.pose_regions import clothes_masks, cover_faces, mirrored_points, regions

GAIN, TINT, GAMMA = 0.15, 0.05, 0.15  # deviations of the logarithms
LOST, ERROR = (
    0.08,
    0.006,
)  # share of the points lost, and what is added to the error of the others, in sides of the crop
CLOTHES_CELLS = 16  # of a side of the mask of clothes
RECOLOURED = 0.8  # share of the sequences whose clothes are given other colours
NO_SCORE = -1.0


def augment_clips(images: Tensor, points: Tensor, cover: float, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images (N, T, 3, H, W) uint8 and points (N, T, 17, 3), both changed; images as float32.

    Args:
        cover: share of the sequences whose faces are covered.
        stream: on the CPU; all that is random comes from it.
    """
    number, frames = images.shape[:2]

    def draw(*shape: int, normal: bool = False) -> Tensor:
        made = torch.randn(shape, generator=stream) if normal else torch.rand(shape, generator=stream)
        return made.to(images.device)

    turned = draw(number, 1, 1) < 0.5
    images = images.flip(-1).where(turned[..., None, None], images).float()
    points = mirrored_points(points).where(turned[..., None], points)
    covered = draw(number) < cover
    masked = cover_faces(images.flatten(0, 1), points.flatten(0, 1)).unflatten(0, (number, frames))
    images = masked.where(covered[:, None, None, None, None], images)
    gain = (GAIN * draw(number, 1, 1, 1, 1, normal=True) + TINT * draw(number, 1, 3, 1, 1, normal=True)).exp()
    gamma = (GAMMA * draw(number, 1, 1, 1, 1, normal=True)).exp()
    images = ((images / 255).clamp(min=1e-4) ** gamma * gain).clamp(max=1) * 255
    places = points[..., :2] + ERROR * draw(*points.shape[:3], 2, normal=True)
    scores = points[..., 2:].where(draw(*points.shape[:3], 1) >= LOST, NO_SCORE)
    return images, torch.cat([places, scores], dim=-1)


def change_clothes(images: Tensor, points: Tensor, stream: torch.Generator) -> Tensor:
    """Images (N, T, 3, H, W) float32 of 0 to 255, with other colours where the pose has trunk and legs.

    For the upper and the lower clothes of each sequence three mixtures of the channels are drawn, with another gain and
    another offset; patterns stay.
    """
    number, frames = images.shape[:2]
    flat = points.flatten(0, 1)
    masks = clothes_masks(flat, regions(flat), CLOTHES_CELLS)
    masks = functional.interpolate(masks, size=images.shape[-2:], mode="bilinear", align_corners=False)
    masks = masks.unflatten(0, (number, frames))  # (N, T, 2, H, W)
    for part in range(2):
        mixture = torch.rand((number, 3, 3), generator=stream) ** 3
        gain = 0.1 + 1.2 * torch.rand((number, 1, 1), generator=stream)
        offset = 200 * torch.rand((number, 1, 3, 1, 1), generator=stream) - 40
        mixture = gain * mixture / mixture.sum(2, keepdim=True)
        changed = torch.einsum("nij,ntjhw->ntihw", mixture.to(images.device), images) + offset.to(images.device)
        drawn = torch.rand((number, 1, 1, 1, 1), generator=stream).to(images.device) < RECOLOURED
        images = images + (masks[:, :, part, None] * (changed.clamp(0, 255) - images)).where(drawn, 0)
    return images
