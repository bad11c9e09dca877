"""Points as heat maps, decoded between their cells.

A map's peak has the shape of a Gaussian, whose logarithm is a parabola: the three cells around the highest give its
top exactly, in each direction (the derivation is that of DARK, Zhang et al., arXiv:1910.06278, equation 9, for one
dimension). Integer cells alone would cost half a cell.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lwface.networks.base import IMAGE_SIZE
from lwface.networks.layers import BatchNorm
from lwface.networks.points.base import POINT_HEADS, Distance, PointHead

CHANNELS = 96
SIGMA = 1.5  # cells
MARGIN = 3  # cells around the crop, for points outside of it: what the transposed convolutions give without padding
LEAST = 1e-6  # of a map's value under the logarithm


@POINT_HEADS.register_as("heatmap")
class HeatMaps(PointHead):
    """1x1 convolution, two transposed convolutions of stride 2, and a map for each point."""

    losses = ("adaptive_wing", "l2")

    def __init__(self, *, channels: int, size: int, points: int, uncertain: bool) -> None:
        super().__init__()
        self.points = points
        self.cells = 4 * size + 2 * MARGIN
        self.pixels = IMAGE_SIZE / (4 * size)  # a cell
        self.layers = nn.Sequential(
            *(nn.Conv2d(channels, CHANNELS, 1, bias=False), BatchNorm(CHANNELS), nn.PReLU(CHANNELS)),
            *(nn.ConvTranspose2d(CHANNELS, CHANNELS, 4, 2, bias=False), BatchNorm(CHANNELS), nn.PReLU(CHANNELS)),
            *(nn.ConvTranspose2d(CHANNELS, CHANNELS, 4, 2, bias=False), BatchNorm(CHANNELS), nn.PReLU(CHANNELS)),
            nn.Conv2d(CHANNELS, points, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Maps (N, K, 4 S + 6, 4 S + 6)."""
        return self.layers(features)

    def encode(self, places: Tensor) -> Tensor:
        """Gaussians of height 1 around ``places``."""
        cells = torch.arange(self.cells, device=places.device, dtype=places.dtype)
        across = torch.exp(-((cells - self._in_cells(places)[..., None]) ** 2) / (2 * SIGMA**2))  # (N, K, 2, cells)
        return across[:, :, 1, :, None] * across[:, :, 0, None, :]

    def decode(self, output: Tensor) -> Tensor:
        """The tops of parabolas through the logarithms of the highest cell and its neighbours."""
        inner = output[:, :, 1:-1, 1:-1]
        width = self.cells - 2
        highest = inner.flatten(2).argmax(2)  # (N, K)
        row, column = highest // width + 1, highest % width + 1
        flat = output.flatten(2).clamp(min=LEAST).log()

        def value(down: int, right: int) -> Tensor:
            return flat.gather(2, ((row + down) * self.cells + column + right)[..., None])[..., 0]

        middle = value(0, 0)
        x = column + _top(value(0, -1), middle, value(0, 1))
        y = row + _top(value(-1, 0), middle, value(1, 0))
        return (torch.stack((x, y), 2) - MARGIN + 0.5) * self.pixels - 0.5

    def loss(self, output: Tensor, places: Tensor, distance: Distance) -> Tensor:
        """Of the maps' values."""
        return distance(output, self.encode(places)).mean()

    def _in_cells(self, places: Tensor) -> Tensor:
        """Places in cells of the map: the middle of a cell is a whole number."""
        return (places + 0.5) / self.pixels - 0.5 + MARGIN


def _top(before: Tensor, middle: Tensor, after: Tensor) -> Tensor:
    """Where, from the middle one, the parabola through three values at -1, 0 and 1 is highest; within a cell."""
    bend = before - 2 * middle + after
    return (0.5 * (before - after) / bend.clamp(max=-LEAST)).clamp(-1, 1)
