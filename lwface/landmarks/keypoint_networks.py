"""Networks that put keypoints on 96x96 greys, by name. A new one is a function here, decorated.

Each takes the number of outputs, 2 a point, and gives layers from (N, 1, 96, 96) to (N, outputs). The first three are
those of the design that the challenge's four approaches come from; its VGGFace is left out: 145 million parameters made
for 224x224 colour, whose published weights are for research only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.base.registry import Registry
from lwface.formats.keypoint_tables import SIDE
from lwface.landmarks.keypoint_choices import NETWORKS
from lwface.networks.base import PIXEL_MEAN, PIXEL_SCALE
from lwface.networks.fmobilefacenet import fmobilefacenet
from lwface.networks.heads import make_head

KEYPOINT_NETWORKS: Registry[Callable[[int], nn.Module]] = Registry("keypoint network")

CENTRE = (SIDE - 1) / 2  # of the image, in pixel indices


class KeypointNetwork(nn.Module):
    """Points of 96x96 greys.

    Args:
        layers: (N, 1, 96, 96), about -1 to 1, to (N, 2 K): -1 and 1 are the middles of opposite edges.
        points: the names of the K points.
    """

    def __init__(self, layers: nn.Module, points: Sequence[str]) -> None:
        super().__init__()
        self.layers = layers
        self.points = tuple(points)
        self.embedding_size = 2 * len(points)  # what the gate expects it to put out

    def forward(self, images: Tensor) -> Tensor:
        """Coordinates (N, 2 K) in pixels, x then y of each point, of ``images`` (N, 1, 96, 96), 0..255."""
        if images.shape[1:] != (1, SIDE, SIDE):
            raise UserError(f"images of shape {tuple(images.shape)}: keypoint networks take (N, 1, {SIDE}, {SIDE})")
        pixels = (images.to(next(self.parameters()).dtype) - PIXEL_MEAN) * PIXEL_SCALE
        return CENTRE + SIDE / 2 * self.layers(pixels)


def create_keypoint_network(name: str, points: Sequence[str]) -> KeypointNetwork:
    """The network called ``name`` for ``points``; :class:`UserError` with the nearest name where there is none."""
    return KeypointNetwork(KEYPOINT_NETWORKS[name](2 * len(points)), points)


def start_at(network: KeypointNetwork, places: Tensor) -> None:
    """Let ``network`` put out ``places`` (2 K,) in pixels, such as the mean face, for every image: the rest is learnt.

    From weights as they are drawn the first hundreds of steps are spent on finding that mean.
    """
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_((places - CENTRE) / (SIDE / 2))


@KEYPOINT_NETWORKS.register
def net2(outputs: int) -> nn.Module:
    """The network that served the design's author best, as its print-out has it, layer by layer."""
    widths = (1, 4, 64, 128, 256)
    convolutions: list[nn.Module] = []
    for number, (inputs, width) in enumerate(itertools.pairwise(widths)):
        convolutions += [
            nn.Conv2d(inputs, width, 5 if number == 0 else 3),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Dropout(0.2),
        ]  # (N, 4, 46, 46), (N, 64, 22, 22), (N, 128, 10, 10), (N, 256, 4, 4)
    connected = (
        *(nn.Linear(4096, 1024), nn.ReLU(inplace=True), nn.Dropout(0.2)),
        *(nn.Linear(1024, 256), nn.ReLU(inplace=True), nn.Dropout(0.2)),
        nn.Linear(256, outputs),
    )
    return nn.Sequential(*convolutions, nn.Flatten(), *connected)


@KEYPOINT_NETWORKS.register
def naimishnet(outputs: int) -> nn.Module:
    """NaimishNet (Agarwal, Krohn-Grimberghe, Vyas 2017, arXiv 1710.00977), for all points at once.

    The paper trains one such network a point, with two outputs.
    """
    layers: list[nn.Module] = []
    inputs = 1
    for number, (width, kernel) in enumerate(((32, 4), (64, 3), (128, 2), (256, 1)), start=1):
        layers += [nn.Conv2d(inputs, width, kernel), nn.ELU(), nn.MaxPool2d(2), nn.Dropout(number / 10)]
        inputs = width  # maps of 46, 22, 10 and 5
    connected = (
        *(nn.Linear(6400, 1000), nn.ELU(), nn.Dropout(0.5)),
        *(nn.Linear(1000, 1000), nn.Dropout(0.6)),  # the paper's activation here is the identity
        nn.Linear(1000, outputs),
    )
    return nn.Sequential(*layers, nn.Flatten(), *connected)


class ScaledTanh(nn.Module):
    """1.7159 tanh(2/3 x): LeNet-5's activation (LeCun et al. 1998, equation 6 and appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise; same shape."""
        return 1.7159 * torch.tanh(2 / 3 * x)


@KEYPOINT_NETWORKS.register
def lenet5(outputs: int) -> nn.Module:
    """LeNet-5 (LeCun et al. 1998, section II.B) on 96 pixels, not 32, so that its maps are 46 and 21, not 14 and 5.

    C5, which sees the whole map, does so here too. Pooling is a plain mean, every map of C3 sees every map of S2, and
    the output is linear: the paper's trained factors, its table I and its radial units are of digits and of 1998.
    """
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), ScaledTanh(), nn.AvgPool2d(2)),  # C1, S2: (N, 6, 46, 46)
        *(nn.Conv2d(6, 16, 5), ScaledTanh(), nn.AvgPool2d(2)),  # C3, S4: (N, 16, 21, 21)
        *(nn.Flatten(), nn.Linear(16 * 21 * 21, 120), ScaledTanh()),  # C5
        *(nn.Linear(120, 84), ScaledTanh()),  # F6
        nn.Linear(84, outputs),
    )


class GreyAsRGB(nn.Module):
    """One channel three times, for bodies made for colour."""

    def forward(self, grey: Tensor) -> Tensor:
        """(N, 1, H, W) to (N, 3, H, W)."""
        return grey.expand(-1, 3, -1, -1)


@KEYPOINT_NETWORKS.register
def mobileface(outputs: int) -> nn.Module:
    """A narrow MobileFaceNet (arXiv 1804.07573), the family of ``y1`` and ``y2``; ours.

    Its last map, (N, 128, 6, 6), is read position by position: where something is counts here.
    """
    widths = (16, 32, 64, 128, 128)
    body = fmobilefacenet(
        net_blocks=(1, 1, 2, 1), net_widths=widths, net_expansions=(1, 2, 1, 2, 1, 2, 1), net_act="relu", net_output="H"
    ).body
    head = make_head("H", channels=widths[-1], size=6, emb_size=outputs, act="relu", bn_mom=0.9)
    return nn.Sequential(GreyAsRGB(), body, head)


if tuple(KEYPOINT_NETWORKS) != NETWORKS:
    raise TypeError(f"keypoint_choices.NETWORKS must name {', '.join(KEYPOINT_NETWORKS)}")
