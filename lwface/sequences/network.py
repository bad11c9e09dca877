"""A network for sequences of whole people at 64x64: what is seen of head, trunk, legs and all, and how the pose moves.

Each frame is cut into squares by its pose (:mod:`lwface.sequences.pose_regions`), what is not the person is dimmed, and
one body of this project's residual networks looks at all of them. Each part has an embedding of its own, the mean over
the sequence's frames weighted by how good the frame is for it, as the network learns to tell. The pose has a branch
without pixels. A part that no frame shows has none.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lwface.networks.base import PIXEL_MEAN, PIXEL_SCALE
from lwface.networks.fresnet import fresnet
from lwface.networks.heads import make_head
from lwface.sequences.clip_options import NETWORK_WIDTHS, PARTS, SIDE
from lwface.sequences.pose_regions import PATCHES, POSE_FEATURES, cut, person_mask, pose_features, regions

PATCH = 32  # pixels of a square's side, and of the whole crop as the body sees it
MASK_CELLS = 16
DIM_LASTING, DIM_WORN = 0.25, 0.0  # what is left of the contrast where the person is not
LEAST_WEIGHT = 1e-4


class Evidence(NamedTuple):
    """What sequences say of who it is.

    Attributes:
        embeddings: (N, parts, D), by the order of :data:`~lwface.sequences.clip_options.PARTS`.
        weights: (N, parts) how much of each was seen, the sum over frames; 0: nothing.
    """

    embeddings: Tensor
    weights: Tensor


class SequenceNetwork(nn.Module):
    """Embeddings of sequences.

    Args:
        name: of :data:`~lwface.sequences.clip_options.NETWORK_WIDTHS`.
        emb_size: D, of each part.

    Attributes:
        weigh: whether frames are weighted by their quality; otherwise all in which a part is there count alike.
    """

    def __init__(self, name: str, emb_size: int) -> None:
        super().__init__()
        widths = NETWORK_WIDTHS[name]
        self.body = fresnet(
            net_unit=1, net_input=0, net_act="relu", net_units=(1, 2, 0, 0), net_widths=(*widths, *widths[-1:] * 2)
        ).body  # (N, 3, 32, 32) to (N, C, 4, 4)
        size, act = PATCH // 8, "relu"
        self.heads = nn.ModuleList(
            make_head("E", channels=widths[-1], size=size, emb_size=emb_size, act=act, bn_mom=0.9)
            for _ in range(len(PATCHES) + 1)
        )
        self.quality = nn.ModuleList(_silent(nn.Linear(widths[-1], 1)) for _ in range(len(PATCHES) + 1))
        self.motion = nn.Sequential(
            nn.Linear(POSE_FEATURES, 96),
            nn.ReLU(inplace=True),
            nn.Dropout(0.2),
            nn.Linear(96, 96),
            nn.ReLU(inplace=True),
        )
        self.motion_head = nn.Sequential(
            nn.BatchNorm1d(3 * 96), nn.Dropout(0.3), nn.Linear(3 * 96, emb_size), nn.BatchNorm1d(emb_size, affine=False)
        )
        self.embedding_size = emb_size
        self.weigh = True

    def forward(self, images: Tensor, points: Tensor, lasting: Tensor | None = None) -> Evidence:
        """The evidence of sequences.

        Args:
            images: (N, T, 3, 64, 64) RGB, 0..255.
            points: (N, T, 17, 3).
            lasting: what the parts of :data:`~lwface.sequences.clip_options.LASTING` look at, while it is learnt: the
                same with other clothes; None: ``images``.
        """
        if images.shape[2:] != (3, SIDE, SIDE):
            raise ValueError(f"images of shape {tuple(images.shape)}: expected (N, T, 3, {SIDE}, {SIDE})")
        number, frames = images.shape[:2]
        other = images if lasting is None else lasting
        embeddings, weights = self._looks(images.flatten(0, 1), other.flatten(0, 1), points.flatten(0, 1))
        weights = weights.unflatten(0, (number, frames))  # (N, T, looks)
        share = weights / weights.sum(1, keepdim=True).clamp(min=LEAST_WEIGHT)
        looks = (share[..., None] * embeddings.unflatten(0, (number, frames))).sum(1)
        moves, moved = self._moves(points)
        return Evidence(
            torch.cat([looks, moves[:, None]], dim=1), torch.cat([weights.sum(1), moved.sum(1, keepdim=True)], dim=1)
        )

    def _looks(self, images: Tensor, lasting: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (M, looks, D) and weights (M, looks) of M frames, by the order of the parts but for the pose."""
        found = regions(points)
        mask = person_mask(points, found, MASK_CELLS)[:, None]
        mask = functional.interpolate(mask, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        worn, kept = (
            (each.to(torch.float32) - PIXEL_MEAN) * (dim + (1 - dim) * mask) + PIXEL_MEAN
            for each, dim in ((images, DIM_WORN), (lasting, DIM_LASTING))
        )
        head = cut(kept, found.centres[:, :1], found.sides[:, :1], PATCH)
        below = cut(worn, found.centres[:, 1:], found.sides[:, 1:], PATCH)
        whole = functional.avg_pool2d(kept, SIDE // PATCH)
        seen = (torch.cat([head, below, whole[:, None]], dim=1) - PIXEL_MEAN) * PIXEL_SCALE  # (M, looks, 3, 32, 32)
        maps = self.body(seen.flatten(0, 1)).unflatten(0, seen.shape[:2])
        embeddings = torch.stack([head(maps[:, place]) for place, head in enumerate(self.heads)], dim=1)
        there = functional.pad(found.there, (0, 1), value=True).to(maps.dtype)
        if not self.weigh:
            return embeddings, there
        means = maps.mean((3, 4))
        quality = torch.cat([layer(means[:, place]) for place, layer in enumerate(self.quality)], dim=1)
        return embeddings, there * quality.clamp(-6, 6).exp()

    def _moves(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (N, D) of poses, and how many points there are in each frame (N, T)."""
        features = self.motion(pose_features(points))  # (N, T, 96)
        there = (points[..., 2] > 0).float().mean(2)
        share = (there / there.sum(1, keepdim=True).clamp(min=LEAST_WEIGHT))[..., None]
        mean = (share * features).sum(1)
        spread = (share * (features - mean[:, None]) ** 2).sum(1).clamp(min=1e-8).sqrt()
        return self.motion_head(torch.cat([mean, spread, features.amax(1)], dim=1)), there


def _silent(layer: nn.Linear) -> nn.Linear:
    """``layer``, which puts out 0 until it has learnt something: all frames count alike at first."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


if len(PARTS) != len(PATCHES) + 2:
    raise TypeError("clip_options.PARTS must name the patches, the whole and the pose")
