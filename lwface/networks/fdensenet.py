"""DenseNet-BC (Huang et al. 2017, arXiv 1608.06993) for 112x112 faces: the family of d169 and d201."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.base.setting import Setting
from lwface.networks.base import NETWORKS, FaceNetwork, require
from lwface.networks.heads import make_head
from lwface.networks.layers import (
    GLUON_EPS,
    BatchNorm,
    activation,
    convolution,
    initialise_uniform_in,
    named,
)
from lwface.networks.settings import Activation, Depth, EmbeddingSize, Head, Momentum

# Width of the first layer, growth rate, and layers of each of the four stages, for each num_layers.
DEPTHS = {
    121: (64, 32, (6, 12, 24, 16)),
    161: (96, 48, (6, 12, 36, 24)),
    169: (64, 32, (6, 12, 32, 32)),
    201: (64, 32, (6, 12, 48, 32)),
}
BOTTLENECK = 4  # width of the 1x1 convolution, in growth rates


class DenseStage(nn.Sequential):
    """Layers that each read all maps before them and append ``growth`` maps of their own.

    A layer is norm, activation, 1x1 convolution, norm, activation, 3x3 convolution. As in Gluon, all of a stage's
    layers are numbered through: layer i owns ``batchnorm{2i} prelu{2i} conv{2i}`` and those numbered 2i + 1.
    """

    def __init__(self, inputs: int, layers: int, growth: int, *, act: str, dropout: float, bn_mom: float) -> None:
        modules: OrderedDict[str, nn.Module] = OrderedDict()
        hidden = BOTTLENECK * growth
        for layer in range(layers):
            for number, width, outputs, kernel in (
                (2 * layer, inputs + layer * growth, hidden, 1),
                (2 * layer + 1, hidden, growth, 3),
            ):
                modules[f"batchnorm{number}"] = BatchNorm(width, eps=GLUON_EPS, bn_mom=bn_mom)
                modules[f"prelu{number}"] = activation(act, 1)  # Gluon's PReLU learns one slope for all channels
                modules[f"conv{number}"] = convolution(width, outputs, kernel)
            if dropout:
                modules[f"dropout{layer}"] = nn.Dropout(dropout)
        super().__init__(modules)
        self.per_layer = len(modules) // layers

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, inputs + layers * growth, H, W)."""
        modules = list(self)
        for first in range(0, len(modules), self.per_layer):
            grown = x
            for module in modules[first : first + self.per_layer]:
                grown = module(grown)  # the last one's output: (N, growth, H, W)
            x = torch.cat((x, grown), 1)
        return x


@NETWORKS.register
def fdensenet(
    *,
    num_layers: Depth = 169,
    emb_size: EmbeddingSize = 512,
    net_output: Head = "E",
    net_act: Activation = "prelu",
    densenet_dropout: Annotated[float, Setting("share of new maps that a layer drops in training", minimum=0)] = 0.0,
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """A densely connected network of ``num_layers``.

    Args:
        net_act: activation of the stages and of the transitions between them; the first and the last stay ReLU.
        densenet_dropout: share of a layer's new maps that training drops.
    """
    if num_layers not in DEPTHS:
        known = ", ".join(str(number) for number in DEPTHS)
        raise UserError(f"num_layers is {num_layers!r}: choose from {known}")
    possible = isinstance(densenet_dropout, (int, float)) and 0 <= densenet_dropout < 1
    require(possible, "densenet_dropout", densenet_dropout, "a share, at least 0 and below 1")
    width, growth, stages = DEPTHS[num_layers]

    def norm(channels: int) -> BatchNorm:
        return BatchNorm(channels, eps=GLUON_EPS, bn_mom=bn_mom)

    layers: dict[str, nn.Module] = {
        "conv0": convolution(3, width, 3),
        "batchnorm0": norm(width),
        "relu0": nn.ReLU(),
        "pool0": nn.MaxPool2d(3, 2, 1),  # (N, width, 56, 56)
    }
    for stage, count in enumerate(stages, start=1):
        layers[f"stage{stage}"] = DenseStage(width, count, growth, act=net_act, dropout=densenet_dropout, bn_mom=bn_mom)
        width += count * growth
        layers[f"batchnorm{stage}"] = norm(width)
        if stage == len(stages):
            layers["relu1"] = nn.ReLU()
        else:  # the transition halves width and size
            layers[f"prelu{stage - 1}"] = activation(net_act, 1)
            layers[f"conv{stage}"] = convolution(width, width // 2)
            layers[f"pool{stage}"] = nn.AvgPool2d(2)
            width //= 2
    head = make_head(net_output, channels=width, size=7, emb_size=emb_size, act=net_act, bn_mom=bn_mom)
    network = FaceNetwork(named(**layers), head, emb_size, gluon_prefix="densenet0_")
    initialise_uniform_in(network)
    return network
