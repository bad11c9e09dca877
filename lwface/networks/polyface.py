"""Efficient PolyFace (Liu et al. 2019, arXiv 1909.00632), winner of the challenge's large image track: polyface.

The residual Inception blocks of PolyNet (Zhang et al. 2017, arXiv 1611.05725) behind the stem of Inception v4; how many
blocks each stage has was searched under the budget: 23, 38 and 23. The face is enlarged from 112 to 235 pixels by a
layer of the network, so the images themselves stay as the challenge gives them. Built as the authors' program
(liuyuisanai/trojans-face-recognizer) layer by layer, enlargement included; with its weights the body puts out the same.
512 parameters more belong to the batch norm of the embedding, where theirs learns nothing:

============= =========== ============= ==========
.             FLOPs       multiply-adds parameters
============= =========== ============= ==========
polyface      28103954320 14066411104   119928064
their program 28103954320 14066411104   119927552
reported      28.25 G     .             .
============= =========== ============= ==========

Chosen here: pixels go from -1 to 1 in the order red, green, blue, the authors' from -1.6 to 1.6 in the order blue,
green, red. Batch norms add 2e-5 to the variance; the authors' 1e-10 is below what cuDNN and MXNet take. Stochastic
depth leaves a block out for one image, the authors' for a whole batch. Dropout before the embedding falls on single
numbers, the authors' on whole maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lwface.networks.base import NETWORKS, FaceNetwork, require_numbers, scaled
from lwface.networks.heads import make_head
from lwface.networks.layers import BatchNorm, StochasticDepth, activation, initialise_uniform_in, named
from lwface.networks.settings import Activation, DropPath, EmbeddingSize, Head, Momentum, Multiplier, Units

ENLARGED = 235  # pixels
SIZE = 6  # pixels of the last map
RESIDUAL_SCALE = 0.3

# A branch is a chain of convolutions (outputs, kernel, stride); tall or wide kernels are (height, width).
Branch = tuple[tuple[int, int | tuple[int, int], int], ...]
BLOCKS: tuple[tuple[Branch, ...], ...] = (
    (((32, 1, 1), (48, 3, 1), (64, 3, 1)), ((32, 1, 1), (32, 3, 1)), ((32, 1, 1),)),
    (((128, 1, 1), (160, (1, 7), 1), (192, (7, 1), 1)), ((192, 1, 1),)),
    (((192, 1, 1), (224, (1, 3), 1), (256, (3, 1), 1)), ((192, 1, 1),)),
)
REDUCTIONS: tuple[tuple[Branch, ...], ...] = (
    (((256, 1, 1), (256, 3, 1), (384, 3, 2)), ((384, 3, 2),)),
    (
        ((256, 1, 1), (256, 3, 1), (256, 3, 2)),
        ((256, 1, 1), (256, 3, 2)),
        ((256, 1, 1), (384, 3, 2)),
    ),
)


class Enlarge(nn.Module):
    """Drop the first row and column of pixels, and enlarge what remains, as the authors do."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 112, 112) to (N, 3, 235, 235)."""
        return F.interpolate(x[:, :, 1:, 1:], (ENLARGED, ENLARGED), mode="bilinear", align_corners=False)


class Branches(nn.Module):
    """Several branches over the same map, their channels side by side."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, sum of the branches' channels, H', W')."""
        return torch.cat([branch(x) for branch in self.children()], 1)


class Residual(nn.Module):
    """Inception block: branches and a 1x1 convolution back to the input's width, scaled, dropped or added."""

    def __init__(self, mixed: nn.Module, project: nn.Module, relu: nn.Module, rate: float) -> None:
        super().__init__()
        self.mixed = mixed
        self.project = project
        self.drop = StochasticDepth(rate)
        self.relu = relu
        # The authors scale by 0.3 in training and, since a block is then there with probability 1 - rate only, by
        # 0.3 * (1 - rate) in evaluation; StochasticDepth divides by 1 - rate in training instead.
        self.scale = RESIDUAL_SCALE * (1 - rate)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), same shape."""
        return self.relu(x + self.drop(self.project(self.mixed(x))) * self.scale)


class Builder:
    """Makes the layers, all with the same options; numbers of channels are those before ``net_multiplier``."""

    def __init__(self, multiplier: float, act: str, bn_mom: float) -> None:
        self.multiplier, self.act, self.bn_mom = multiplier, act, bn_mom

    def width(self, channels: int) -> int:
        """Channels a layer of ``channels`` has."""
        return scaled(channels, self.multiplier)

    def conv(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int] = 1,
        stride: int = 1,
        *,
        same: bool = True,
        linear: bool = False,
    ) -> nn.Sequential:
        """Convolution, batch norm and, unless ``linear``, activation; ``same`` pads so that the map keeps its size."""
        height, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, wide // 2) if same else (0, 0)
        return named(
            conv=nn.Conv2d(inputs, self.width(outputs), (height, wide), stride, padding, bias=False),
            bn=BatchNorm(self.width(outputs), bn_mom=self.bn_mom),
            relu=None if linear else activation(self.act, self.width(outputs)),
        )

    def chain(self, inputs: int, branch: Branch) -> nn.Sequential:
        """The convolutions of ``branch``, over ``inputs`` channels; one that halves the map does not pad it."""
        layers = {}
        for number, (outputs, kernel, stride) in enumerate(branch):
            layers[f"conv{number}"] = self.conv(inputs, outputs, kernel, stride, same=stride == 1)
            inputs = self.width(outputs)
        return named(**layers)

    def mixed(self, inputs: int, branches: Sequence[Branch], *, pool: bool = False) -> tuple[nn.Module, int]:
        """The ``branches`` side by side, with ``pool`` also the input's maxima; and the channels they put out."""
        modules: dict[str, nn.Module] = {f"branch{i}": self.chain(inputs, branch) for i, branch in enumerate(branches)}
        if pool:
            modules["pool"] = nn.MaxPool2d(3, 2)
        return Branches(**modules), sum(self.width(branch[-1][0]) for branch in branches) + pool * inputs

    def block(self, stage: int, channels: int, rate: float) -> Residual:
        """A residual block of ``stage`` over ``channels`` channels."""
        mixed, inside = self.mixed(channels, BLOCKS[stage])
        project = named(conv=nn.Conv2d(inside, channels, 1, bias=False), bn=BatchNorm(channels, bn_mom=self.bn_mom))
        return Residual(mixed, project, activation(self.act, channels), rate)

    def stem(self) -> tuple[nn.Module, int]:
        """Inception v4's stem, (N, 3, 235, 235) to (N, 384, 27, 27); and the channels it puts out."""
        width = self.width
        fine = width(64) + width(96)
        first = Branches(pool=nn.MaxPool2d(3, 2), conv=self.conv(width(64), 96, 3, 2, same=False))
        short = named(conv0=self.conv(fine, 64), conv1=self.conv(width(64), 96, 3, same=False))
        long = named(
            conv0=self.conv(fine, 64),
            conv1=self.conv(width(64), 64, (7, 1)),
            conv2=self.conv(width(64), 64, (1, 7)),
            conv3=self.conv(width(64), 96, 3, same=False),
        )
        middle = 2 * width(96)
        last = Branches(pool=nn.MaxPool2d(3, 2), conv=self.conv(middle, 192, 3, 2, same=False))
        stem = named(
            conv0=self.conv(3, 32, 3, 2, same=False),  # (N, 32, 117, 117)
            conv1=self.conv(width(32), 32, 3, same=False),
            conv2=self.conv(width(32), 64, 3),  # (N, 64, 115, 115)
            mixed0=first,  # (N, 160, 57, 57)
            mixed1=Branches(branch0=short, branch1=long),  # (N, 192, 55, 55)
            mixed2=last,  # (N, 384, 27, 27)
        )
        return stem, middle + width(192)


@NETWORKS.register
def polyface(
    *,
    emb_size: EmbeddingSize = 256,
    net_output: Head = "E",
    net_act: Activation = "relu",
    net_units: Units = (23, 38, 23),
    net_multiplier: Multiplier = 1.0,
    net_drop_path: DropPath = 0.2,
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """Efficient PolyFace.

    Args:
        net_units: residual blocks at 27, 13 and 6 pixels.
        net_multiplier: factor on all channels.
        net_drop_path: probability with which training leaves a block out, for each image on its own.
    """
    require_numbers("net_units", net_units, 3, "the residual blocks at 27, 13 and 6 pixels")
    builder = Builder(net_multiplier, net_act, bn_mom)
    stem, channels = builder.stem()
    layers: dict[str, nn.Module] = {"enlarge": Enlarge(), "stem": stem}
    for stage, count in enumerate(net_units):
        if stage > 0:
            layers[f"reduce{stage}"], channels = builder.mixed(channels, REDUCTIONS[stage - 1], pool=True)
        for number in range(count):
            layers[f"stage{stage + 1}_block{number + 1}"] = builder.block(stage, channels, net_drop_path)
    head = make_head(
        net_output, channels=channels, size=SIZE, emb_size=emb_size, act=net_act, bn_mom=bn_mom, gdc_channels=channels
    )
    network = FaceNetwork(named(**layers), head, emb_size)
    initialise_uniform_in(network, gain=3.0)  # the authors' start
    return network
