"""Points as coordinates, straight from a linear layer (as in PFLD, arXiv:1902.10859, and its forerunners)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lwface.networks.base import IMAGE_SIZE
from lwface.networks.layers import BatchNorm
from lwface.networks.points.base import POINT_HEADS, Distance, PointHead

CHANNELS = 64  # that the map is reduced to before all its positions go into the linear layer
# Pixels, of a likelihood: the scale that is begun with, and by which factor it may become less or more. Without bounds
# one point that is known too surely outweighs all others, and a first step that is too long has no way back.
USUAL_SCALE, RANGE_OF_SCALE = 2.0, 8.0
SCALE = 16.0  # pixels a unit of the linear layer's output, so that fresh weights put points near the middle


@POINT_HEADS.register_as("coordinates")
class Coordinates(PointHead):
    """1x1 convolution to few channels, batch norm, PReLU, and a linear layer over the whole map.

    With ``uncertain`` each coordinate has a number beside it that says the scale of a Laplace distribution, for its
    likelihood.
    """

    losses = ("wing", "l1", "smooth_l1", "nll")

    def __init__(self, *, channels: int, size: int, points: int, uncertain: bool) -> None:
        super().__init__()
        self.points, self.uncertain = points, uncertain
        self.reduce = nn.Conv2d(channels, CHANNELS, 1, bias=False)
        self.norm = BatchNorm(CHANNELS)
        self.act = nn.PReLU(CHANNELS)
        self.places = nn.Linear(CHANNELS * size * size, 2 * points * (2 if uncertain else 1))

    @torch.no_grad()
    def learn_mean(self, mean: Tensor) -> None:
        """Begin with the ``mean`` face (K, 2) for every picture: else the first hundreds of steps only look for it."""
        self.places.weight.zero_()
        self.places.bias.zero_()
        self.places.bias[: 2 * self.points] = self.encode(mean[None])[0, : 2 * self.points]

    def forward(self, features: Tensor) -> Tensor:
        """Numbers (N, 2 K), or (N, 4 K) with the scales behind the coordinates; float32, as bf16 has steps of a pixel's
        quarter there.
        """
        reduced = self.act(self.norm(self.reduce(features))).flatten(1)
        with torch.autocast(reduced.device.type, enabled=False):
            return self.places(reduced.to(self.places.weight.dtype))

    def decode(self, output: Tensor) -> Tensor:
        """The coordinates, scaled."""
        return output[:, : 2 * self.points].unflatten(1, (self.points, 2)) * SCALE + IMAGE_SIZE / 2

    def encode(self, places: Tensor) -> Tensor:
        """The inverse, with the usual scale."""
        numbers = ((places - IMAGE_SIZE / 2) / SCALE).flatten(1)
        return torch.cat((numbers, torch.zeros_like(numbers)), 1) if self.uncertain else numbers

    def loss(self, output: Tensor, places: Tensor, distance: Distance) -> Tensor:
        """Of coordinates in pixels; with scales, the negative log-likelihood ``distance / scale + log(scale)``."""
        losses = distance(self.decode(output), places)  # (N, K, 2)
        if not self.uncertain:
            return losses.mean()
        unbounded = output[:, 2 * self.points :].unflatten(1, (self.points, 2))
        log_scale = math.log(USUAL_SCALE) + math.log(RANGE_OF_SCALE) * unbounded.tanh()
        return (losses * torch.exp(-log_scale) + log_scale).mean()
