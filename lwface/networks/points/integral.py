"""Points as the means of heat maps (integral regression: Sun et al., "Integral Human Pose Regression", ECCV 2018,
arXiv:1711.08229, equation 3).

A map says where a point may be, and its mean is where the point is, between the cells too and without a search for
the highest one. So a coarse map is enough, and the error of a place can be learnt by. A map that has the right mean
may still have any shape: a cross-entropy keeps it near a Gaussian (the regularisation of DSNT: Nibali et al.,
arXiv:1801.07372, section 3.3, there by another divergence).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lwface.networks.base import IMAGE_SIZE
from lwface.networks.points.base import POINT_HEADS, Distance, PointHead

MARGIN = 2  # cells around the map of features, for points outside of the crop
SIGMA = 1.0  # cells, of the Gaussian that is taught; from 0.8 on its mean does not feel the cells
SHAPE_WEIGHT = 0.5  # of the cross-entropy beside the distance in pixels
STEEPEST = 8.0  # tilt a cell, of a place that is too far outside to be the mean of anything
TILTS = 6  # Newton steps to a distribution's mean; exact to a hundredth of a pixel some 6 pixels outside


@POINT_HEADS.register_as("integral")
class Integral(PointHead):
    """One 3x3 convolution to a map for each point, which reaches over the crop's border."""

    losses = ("l1", "smooth_l1", "wing")

    def __init__(self, *, channels: int, size: int, points: int, uncertain: bool) -> None:
        super().__init__()
        self.points = points
        self.cells = size + 2 * MARGIN
        self.pixels = IMAGE_SIZE / size  # a cell
        self.maps = nn.Conv2d(channels, points, 3, padding=1 + MARGIN)
        nn.init.normal_(self.maps.weight, 0, 0.01)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (N, K, S + 4, S + 4)."""
        return self.maps(features)

    def decode(self, output: Tensor) -> Tensor:
        """The means of the distributions."""
        share = output.flatten(2).softmax(2).unflatten(2, output.shape[2:])
        centres = self._centres(output)
        return torch.stack(((share.sum(2) * centres).sum(2), (share.sum(3) * centres).sum(2)), 2)

    def encode(self, places: Tensor) -> Tensor:
        """Logits of Gaussians whose means are ``places``, next to the border too, where one of their sides is missing.

        There they lean outwards: multiplied by an exponential, which moves the mean and leaves the width.
        """
        away = (self._centres(places) - places[..., None]) / self.pixels  # (N, K, 2, cells)
        shape = -(away**2) / (2 * SIGMA**2)
        tilt = torch.zeros_like(places)[..., None]
        for _ in range(TILTS):
            share = (shape + tilt * away).softmax(3)
            mean = (share * away).sum(3, keepdim=True)
            tilt = tilt - mean / ((share * away**2).sum(3, keepdim=True) - mean**2).clamp(min=0.05)
            tilt = tilt.clamp(-STEEPEST, STEEPEST)
        across = shape + tilt * away
        return across[:, :, 1, :, None] + across[:, :, 0, None, :]

    def loss(self, output: Tensor, places: Tensor, distance: Distance) -> Tensor:
        """Of the means in pixels, and the cross-entropy with the Gaussians."""
        with torch.no_grad():
            wanted = self.encode(places).flatten(2).softmax(2)
        shape = -(wanted * output.flatten(2).log_softmax(2)).sum(2)
        return distance(self.decode(output), places).mean() + SHAPE_WEIGHT * shape.mean()

    def _centres(self, like: Tensor) -> Tensor:
        """(cells,) their middles in pixels; no buffer, which would have to be in the file to be there once loaded."""
        cells = torch.arange(self.cells, device=like.device, dtype=like.dtype)
        return (cells - MARGIN + 0.5) * self.pixels - 0.5
