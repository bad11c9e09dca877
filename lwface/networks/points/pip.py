"""Points as cells and offsets inside them (PIP, "pixel-in-pixel", Jin, Liao, Shao, IJCV 2021, arXiv:2003.03771).

Each point has a score in every cell of the last map and its offset from there; the cell with the highest score speaks.
It also says where the point's nearest neighbours are (the paper's neighbour regression), so a point's place is the mean
of what its own cell and those of its neighbours say.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lwface.networks.base import IMAGE_SIZE
from lwface.networks.points.base import POINT_HEADS, Distance, PointHead

NEIGHBOURS = 10
SCORE_WEIGHT = 10.0  # of the scores' squared error beside the offsets' distance, as in the paper
NEIGHBOUR_WEIGHT = 1.0


@POINT_HEADS.register_as("pip")
class PixelInPixel(PointHead):
    """A 1x1 convolution to scores, offsets, and offsets of neighbours.

    Attributes:
        neighbours: (K, 10) the points nearest to each in the mean face; set by :meth:`learn_mean`.
    """

    losses = ("l1", "smooth_l1", "wing")
    neighbours: Tensor

    def __init__(self, *, channels: int, size: int, points: int, uncertain: bool) -> None:
        super().__init__()
        self.points, self.size = points, size
        self.count = min(NEIGHBOURS, points - 1)
        self.pixels = IMAGE_SIZE / size  # a cell
        self.scores = nn.Conv2d(channels, points, 1)
        self.offsets = nn.Conv2d(channels, 2 * points * (1 + self.count), 1)
        nearest = (torch.arange(points)[:, None] + torch.arange(1, self.count + 1)) % points
        self.register_buffer("neighbours", nearest)  # of no face yet

    def learn_mean(self, mean: Tensor) -> None:
        """Take the neighbours of each point from the ``mean`` face (K, 2)."""
        distances = torch.cdist(mean, mean)
        distances.fill_diagonal_(float("inf"))
        self.neighbours.copy_(distances.argsort(1)[:, : self.count])

    def forward(self, features: Tensor) -> Tensor:
        """(N, K + 2 K (1 + neighbours), S, S): scores, then offsets in cells."""
        return torch.cat((self.scores(features), self.offsets(features)), 1)

    def encode(self, places: Tensor) -> Tensor:
        """A score of 1 in the cell of each point (the nearest, of one outside), and the offsets from all cells."""
        cells = (places + 0.5) / self.pixels  # (N, K, 2)
        column, row = cells.floor().clamp(0, self.size - 1).long().unbind(2)
        scores = functional.one_hot(row * self.size + column, self.size**2).to(places.dtype)  # (N, K, S * S)
        targets = cells[:, self._spoken_for()]  # (N, K, 1 + neighbours, 2)
        grid = torch.arange(self.size, device=places.device, dtype=places.dtype)
        corners = torch.stack(torch.meshgrid(grid, grid, indexing="xy"), 0)  # (2, S, S) x, y
        offsets = targets[..., None, None] - corners  # (N, K, 1 + neighbours, 2, S, S)
        return torch.cat((scores.unflatten(2, (self.size, self.size)), offsets.flatten(1, 3)), 1)

    def decode(self, output: Tensor) -> Tensor:
        """The mean of what a point's own cell and its neighbours' say of it."""
        scores, offsets = self._parts(output)
        found = self._in_cells(offsets, scores.argmax(2))  # (N, K, 1 + neighbours, 2)
        # Every statement goes to the point that it is of; adding is a product with a constant matrix.
        of = functional.one_hot(self._spoken_for().flatten(), self.points).to(found.dtype)  # (K (1 + neighbours), K)
        means = torch.einsum("nsd,sk->nkd", found.flatten(1, 2), of) / of.sum(0)[:, None]
        return means * self.pixels - 0.5

    def loss(self, output: Tensor, places: Tensor, distance: Distance) -> Tensor:
        """Squared error of the scores, and the distance, in pixels, of the offsets in the true cells."""
        scores, offsets = self._parts(output)
        target_scores, target_offsets = self._parts(self.encode(places))
        at = target_scores.argmax(2)
        found = self._in_cells(offsets, at) * self.pixels
        true = self._in_cells(target_offsets, at) * self.pixels
        losses = distance(found, true)  # (N, K, 1 + neighbours, 2)
        own, neighbours = losses[:, :, 0].mean(), losses[:, :, 1:].mean()
        error = functional.mse_loss(scores, target_scores) * self.size**2
        return SCORE_WEIGHT * error + own + NEIGHBOUR_WEIGHT * neighbours

    def _spoken_for(self) -> Tensor:
        """(K, 1 + neighbours): the points that the cell of each point says something of, itself first."""
        own = torch.arange(self.points, device=self.neighbours.device)
        return torch.cat((own[:, None], self.neighbours), 1)

    def _parts(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N, K, S * S), offsets (N, K, 1 + neighbours, 2, S * S)."""
        scores, offsets = output.flatten(2).split((self.points, output.shape[1] - self.points), 1)
        return scores, offsets.unflatten(1, (self.points, 1 + self.count, 2))

    def _in_cells(self, offsets: Tensor, at: Tensor) -> Tensor:
        """Places (N, K, 1 + neighbours, 2), in cells, that the cells ``at`` (N, K) say."""
        index = at[:, :, None, None, None].expand(-1, -1, *offsets.shape[2:4], 1)
        said = offsets.gather(4, index)[..., 0]
        corner = torch.stack((at % self.size, at // self.size), 2)  # (N, K, 2) x, y
        return said + corner[:, :, None]
