"""MnasNet (Tan et al. 2019, arXiv 1807.11626) for 112x112 faces: the family of mnas, mnas05 and mnas025."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from lwface.networks.base import NETWORKS, FaceNetwork, scaled
from lwface.networks.heads import make_head
from lwface.networks.layers import (
    GLUON_EPS,
    BatchNorm,
    activation,
    convolution,
    initialise_uniform_in,
    named,
)
from lwface.networks.settings import Activation, EmbeddingSize, Head, Momentum, Multiplier

# name, expansion, channels, units, stride of the first unit, kernel of the first unit (the others have 3)
STAGES = (
    ("stage2", 3, 24, 3, 2, 3),  # (N, 24, 56, 56)
    ("stage3", 3, 40, 3, 2, 5),  # (N, 40, 28, 28)
    ("stage4_1", 6, 80, 3, 2, 5),  # (N, 80, 14, 14)
    ("stage4_2", 6, 96, 2, 1, 3),
    ("stage5_1", 6, 192, 4, 2, 5),  # (N, 192, 7, 7)
    ("stage5_2", 6, 320, 1, 1, 3),
)


class MnasLayers:
    """Builds this family's blocks with one activation and one batch-norm momentum, under Gluon's names."""

    def __init__(self, act: str, bn_mom: float) -> None:
        self.act = act
        self.bn_mom = bn_mom

    def norm(self, channels: int) -> BatchNorm:
        """A batch norm with Gluon's epsilon."""
        return BatchNorm(channels, eps=GLUON_EPS, bn_mom=self.bn_mom)

    def slope(self) -> nn.Module:
        """An activation; Gluon's PReLU learns one slope for all channels."""
        return activation(self.act, 1)

    def block(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, linear: bool = False
    ) -> nn.Sequential:
        """Convolution, batch norm, activation unless ``linear``."""
        return named(
            conv0=convolution(inputs, outputs, kernel, stride, groups=groups),
            batchnorm0=self.norm(outputs),
            prelu0=None if linear else self.slope(),
        )

    def separable(self, inputs: int, outputs: int) -> nn.Sequential:
        """3x3 depthwise and 1x1 convolution, each with batch norm and activation."""
        return named(
            conv0=convolution(inputs, inputs, 3, groups=inputs),
            batchnorm0=self.norm(inputs),
            prelu0=self.slope(),
            conv1=convolution(inputs, outputs),
            batchnorm1=self.norm(outputs),
            prelu1=self.slope(),
        )


class InvertedResidual(nn.Sequential):
    """1x1 expansion, depthwise convolution, 1x1 linear projection; added to its input when ``residual``."""

    def __init__(
        self,
        layers: MnasLayers,
        inputs: int,
        outputs: int,
        *,
        expansion: int,
        kernel: int = 3,
        stride: int = 1,
        residual: bool = True,
    ) -> None:
        hidden = inputs * expansion
        super().__init__(
            OrderedDict(
                expand=layers.block(inputs, hidden),
                dwise=layers.block(hidden, hidden, kernel, stride, groups=hidden),
                linear=layers.block(hidden, outputs, linear=True),
            )
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = super().forward(x)
        return out + x if self.residual else out


def _stage(
    layers: MnasLayers, inputs: int, outputs: int, *, expansion: int, units: int, stride: int, kernel: int
) -> nn.Sequential:
    """``units`` inverted residuals, of which the first changes width and size."""
    first = InvertedResidual(layers, inputs, outputs, expansion=expansion, kernel=kernel, stride=stride, residual=False)
    rest = (InvertedResidual(layers, outputs, outputs, expansion=expansion) for _ in range(1, units))
    return named(**{f"expandedconv{i}": unit for i, unit in enumerate((first, *rest))})


@NETWORKS.register
def fmnasnet(
    *,
    emb_size: EmbeddingSize = 512,
    net_output: Head = "GDC",
    net_act: Activation = "prelu",
    net_multiplier: Multiplier = 1.0,
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """MnasNet whose channel counts are multiplied by ``net_multiplier``; the first layer keeps all 112 pixels."""
    layers = MnasLayers(net_act, bn_mom)
    first, channels, last = (scaled(width, net_multiplier) for width in (32, 16, 1024))
    stages: dict[str, nn.Module] = {
        "stage1_conv0": layers.block(3, first, 3),  # (N, 32, 112, 112)
        "stage1_sepconv0": layers.separable(first, channels),
    }
    for name, expansion, width, units, stride, kernel in STAGES:
        outputs = scaled(width, net_multiplier)
        stages[name] = _stage(layers, channels, outputs, expansion=expansion, units=units, stride=stride, kernel=kernel)
        channels = outputs
    stages["stage5_3"] = layers.block(channels, last)  # (N, 1024, 7, 7)
    head = make_head(
        net_output, channels=last, size=7, emb_size=emb_size, act=net_act, bn_mom=bn_mom, gdc_channels=last
    )
    network = FaceNetwork(named(**stages), head, emb_size, gluon_prefix="mnasnet0_")
    initialise_uniform_in(network)
    return network
