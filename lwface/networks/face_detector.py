"""A small network that finds faces: boxes, scores and five points at every place of three maps.

Anchor-free, as FCOS (Tian, Shen, Chen, He, ICCV 2019): each place of a map of stride 8, 16 and 32 says whether it is
the middle of a face, how far away the four edges of its box are (equation 1 there), and, as YuNet (Wu, Peng, Yu, 2023),
where its five points are. One map is handed down to the next finer one, as in feature pyramids (Lin et al., CVPR 2017);
the last layers are the same for all three. Convolutions are plain ones of 3x3: at these widths they train faster on a
CPU than depthwise-separable ones do, which wait for memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

STRIDES = (8, 16, 32)
WIDTHS = (16, 32, 48, 64, 80)  # channels after the five halvings
DEPTHS = (2, 3, 3)  # convolutions of the last three
MIDDLE = 48  # channels that the three maps share
NUMBERS = 15  # of a place: a score, four edges, five points
RARE = 0.01  # share of places that are faces, as the network believes before it is trained
PIXEL_MEAN, PIXEL_SCALE = 127.5, 1 / 64
FARTHEST = 4.0  # logarithm of the largest distance of an edge, in strides


class Found(NamedTuple):
    """What a network says of A places of N pictures, in pixels of the picture, the first pixel's centre at (0, 0).

    Attributes:
        logits: (N, A), of a face being there.
        boxes: (N, A, 4) left, top, right, bottom.
        points: (N, A, 5, 2).
    """

    logits: Tensor
    boxes: Tensor
    points: Tensor


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A convolution of 3x3, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def places_of(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Middles (A, 2) of the places of a picture, and the stride (A,) of each; row by row, the finest map first."""
    middles, strides = [], []
    for stride in STRIDES:
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        middles.append((torch.stack((x, y), dim=-1).reshape(-1, 2) + 0.5) * stride - 0.5)
        strides.append(torch.full((rows * columns,), float(stride)))
    return torch.cat(middles), torch.cat(strides)


class FaceDetector(nn.Module):
    """(N, 3, H, W) RGB 0..255, sides multiples of 32, to :class:`Found`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, WIDTHS[0], 2), conv(WIDTHS[0], WIDTHS[1], 2))
        self.stages = nn.ModuleList(
            nn.Sequential(conv(inputs, outputs, 2), *(conv(outputs, outputs) for _ in range(depth - 1)))
            for inputs, outputs, depth in zip(WIDTHS[1:4], WIDTHS[2:], DEPTHS, strict=True)
        )
        self.across = nn.ModuleList(nn.Conv2d(width, MIDDLE, 1) for width in WIDTHS[2:])
        self.smooth = nn.ModuleList(conv(MIDDLE, MIDDLE) for _ in STRIDES)
        self.head = conv(MIDDLE, MIDDLE)
        self.out = nn.Conv2d(MIDDLE, NUMBERS, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        bias = torch.zeros(NUMBERS)
        bias[0] = -math.log(1 / RARE - 1)  # Lin et al., "Focal Loss", ICCV 2017, section 3.3
        self.out.bias = nn.Parameter(bias)

    def forward(self, images: Tensor) -> Tensor:
        """The numbers (N, A, 15) of all places: a logit, logarithms of four distances in strides, five points."""
        maps, x = [], self.stem((images.float() - PIXEL_MEAN) * PIXEL_SCALE)
        for stage, across in zip(self.stages, self.across, strict=True):
            x = stage(x)
            maps.append(across(x))
        for finer in (1, 0):
            maps[finer] = maps[finer] + functional.interpolate(maps[finer + 1], size=maps[finer].shape[2:])
        outputs = [self.out(self.head(smooth(one))) for smooth, one in zip(self.smooth, maps, strict=True)]
        return torch.cat([one.flatten(2).transpose(1, 2) for one in outputs], dim=1)


def decoded(numbers: Tensor, middles: Tensor, strides: Tensor) -> Found:
    """What the numbers (N, A, 15) say, at ``middles`` (A, 2) of ``strides`` (A,)."""
    reach = numbers[..., 1:5].clamp(max=FARTHEST).exp() * strides[:, None]
    boxes = torch.cat((middles - reach[..., :2], middles + reach[..., 2:]), dim=-1)
    moves = numbers[..., 5:].unflatten(-1, (5, 2)) * strides[:, None, None]
    return Found(numbers[..., 0], boxes, middles[:, None] + moves)


def folded(network: FaceDetector) -> FaceDetector:
    """``network`` in evaluation mode with each batch norm inside its convolution: the same answers, sooner."""
    network.eval()
    for parts in network.modules():
        if isinstance(parts, nn.Sequential) and len(parts) == 3 and isinstance(parts[1], nn.BatchNorm2d):
            parts[0] = fuse_conv_bn_eval(_convolution(parts), parts[1])
            parts[1] = nn.Identity()
    return network


def _convolution(parts: Sequence[nn.Module] | nn.Sequential) -> nn.Conv2d:
    first = parts[0]
    assert isinstance(first, nn.Conv2d)
    return first
