"""What networks of points share: the registry of heads, and the network around a body and a head.

Places are (x, y) in pixels of the 112x112 crop that the network sees, the middle of the first pixel at (0, 0); they
may lie outside of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.base.evaluating import evaluating
from lwface.base.registry import Registry
from lwface.networks.base import IMAGE_SIZE, FaceNetwork

Distance = Callable[[Tensor, Tensor], Tensor]
"""Found and true values of one shape -> the loss of each, in that shape."""


class PointHead(nn.Module, ABC):
    """From the last feature map (N, C, S, S) to numbers that are points.

    Attributes:
        losses: names of the losses that it learns by, its default first.
    """

    losses: tuple[str, ...]

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """The head's numbers (N, ...) of a feature map (N, C, S, S)."""

    @abstractmethod
    def decode(self, output: Tensor) -> Tensor:
        """The places (N, K, 2) that the numbers (N, ...) say."""

    @abstractmethod
    def encode(self, places: Tensor) -> Tensor:
        """Numbers (N, ...) that say ``places`` (N, K, 2): what the head is taught."""

    @abstractmethod
    def loss(self, output: Tensor, places: Tensor, distance: Distance) -> Tensor:
        """The mean loss of the numbers (N, ...) against true ``places`` (N, K, 2)."""

    def learn_mean(self, mean: Tensor) -> None:
        """What the head makes of the mean face (K, 2) before it is trained; most make nothing."""


POINT_HEADS: Registry[type[PointHead]] = Registry("point head")


class PointNetwork(FaceNetwork):
    """Maps crops to points: (N, 3, 112, 112) RGB 0..255 to places (N, 2 K), x0 y0 x1 y1 ....

    Args:
        body: (N, 3, 112, 112) to (N, C, S, S).
        head: of the points.
        points: K.
        adapted: whether a linear map from the places found to those of another data set's convention comes last.
    """

    def __init__(self, body: nn.Module, head: PointHead, points: int, *, normalise: bool, adapted: bool) -> None:
        super().__init__(body, head, 2 * points, normalise=normalise)
        self.points = points
        self.adapt: nn.Linear | None = nn.Linear(2 * points, 2 * points) if adapted else None

    def output(self, images: Tensor) -> Tensor:
        """The head's numbers, which learn."""
        return super().forward(images)

    def forward(self, images: Tensor) -> Tensor:
        """Places (N, 2 K)."""
        places: Tensor = self.head.decode(self.output(images)).flatten(1)  # type: ignore[operator]
        return places if self.adapt is None else self.adapt(places)


def make_point_network(
    network: FaceNetwork, head: str, points: int, *, loss: str, adapted: bool = False, **settings: Any
) -> PointNetwork:
    """The body of ``network`` under the head called ``head``.

    Args:
        points: K.
        loss: by which it learns; a head may have more numbers for one.
        adapted: with a linear map at the end.
        settings: the head's own.

    Raises:
        UserError: no such head, a loss that it does not learn by, or a body that ends in no map.
    """
    kind = POINT_HEADS[head]
    if loss not in kind.losses:
        raise UserError(f"the head {head} does not learn by the loss {loss}: expected one of {', '.join(kind.losses)}")
    channels, size = _map_shape(network)
    made = kind(channels=channels, size=size, points=points, uncertain=loss == "nll", **settings)
    return PointNetwork(network.body, made, points, normalise=network.normalise, adapted=adapted)


def _map_shape(network: FaceNetwork) -> tuple[int, int]:
    """C and S of the body's map (N, C, S, S)."""
    parameter = next(network.parameters())
    with evaluating(network), torch.no_grad():
        features = network.body(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE, device=parameter.device))
    if features.ndim != 4 or features.shape[2] != features.shape[3]:
        raise UserError(f"the network's body ends in {tuple(features.shape[1:])}: points need a square map of features")
    return features.shape[1], features.shape[2]
