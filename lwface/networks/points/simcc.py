"""Points as two classifications each, of x and of y (SimCC, Li et al., arXiv:2107.03332).

Bins are finer than pixels. The place is the mean of the distribution, which for a Gaussian on bins narrower than it is
exact where both of its sides are inside.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lwface.networks.base import IMAGE_SIZE
from lwface.networks.layers import BatchNorm
from lwface.networks.points.base import POINT_HEADS, Distance, PointHead

BINS_A_PIXEL = 1.0
MARGIN = 28.0  # pixels around the crop, for points outside of it
SIGMA = 2.0  # pixels, of the distribution that is taught
HIDDEN = 3  # channels a point


@POINT_HEADS.register_as("simcc")
class SimCC(PointHead):
    """1x1 convolution to a few channels a point, and for each point the same two linear layers over the map."""

    losses = ("cross_entropy", "l1", "smooth_l1", "wing")

    def __init__(self, *, channels: int, size: int, points: int, uncertain: bool) -> None:
        super().__init__()
        self.points = points
        self.bins = round((IMAGE_SIZE + 2 * MARGIN) * BINS_A_PIXEL)
        self.reduce = nn.Conv2d(channels, HIDDEN * points, 1, bias=False)
        self.norm = BatchNorm(HIDDEN * points)
        self.act = nn.PReLU(HIDDEN * points)
        self.classify = nn.Linear(HIDDEN * size * size, 2 * self.bins)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (N, K, 2, bins)."""
        each = self.act(self.norm(self.reduce(features))).unflatten(1, (self.points, HIDDEN)).flatten(2)
        return self.classify(each).unflatten(2, (2, self.bins))

    def decode(self, output: Tensor) -> Tensor:
        """Means of the distributions."""
        return (output.softmax(3) * self._centres(output)).sum(3)

    def encode(self, places: Tensor) -> Tensor:
        """Logits of Gaussians around ``places``."""
        return -((self._centres(places) - places[..., None]) ** 2) / (2 * SIGMA**2)

    def loss(self, output: Tensor, places: Tensor, distance: Distance) -> Tensor:
        """The cross-entropy with Gaussians, or a distance of the means in pixels."""
        if getattr(distance, "of_distributions", False):
            return distance(output, self.encode(places)).mean()
        return distance(self.decode(output), places).mean()

    def _centres(self, like: Tensor) -> Tensor:
        """(bins,) their middles in pixels; no buffer, which would have to be in the file to be there once loaded."""
        bins = torch.arange(self.bins, device=like.device, dtype=like.dtype)
        return (bins + 0.5) / BINS_A_PIXEL - MARGIN - 0.5
