"""MixFaceNets (Boutros et al. 2021, arXiv 2107.13046): MixNet's mixed depthwise kernels in a face network.

An inverted residual whose depthwise convolution gives each part of the channels a kernel of its own size, 3, 5, 7, ...
(MixConv, Tan and Le 2019, arXiv 1907.09595); its 1x1 convolutions may be split into parts, too. ShuffleMixFaceNets
shuffle the channels behind every unit. Sizes, splits and activations are those of the authors' program
(fdbtrs/mixfacenets); with its weights, embeddings are the same. Their MFLOPs are two a multiply-add, like the official
count, and batch norms and activations besides. Ours have 512 parameters more, a bias in the family's GDC head:

============= ========= ============= ========== ======== ==========
.             here                               reported
------------- ---------------------------------- -------------------
network       FLOPs     multiply-adds parameters MFLOPs   parameters
============= ========= ============= ========== ======== ==========
MixFaceNet-XS 151367794 76561120      1041378    161.9    1.04 M
MixFaceNet-S  433275570 218141424     3073622    451.7    3.07 M
MixFaceNet-M  603012431 303388992     3953558    626.1    3.95 M
============= ========= ============= ========== ======== ==========
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from lwface.base.errors import unknown_name
from lwface.base.setting import Setting
from lwface.networks.attention import ChannelGate
from lwface.networks.base import IMAGE_SIZE, NETWORKS, FaceNetwork, require, rounded
from lwface.networks.heads import make_head
from lwface.networks.layers import GLUON_EPS, BatchNorm, activation, convolution, named
from lwface.networks.settings import EmbeddingSize, Head, Momentum, Multiplier


class UnitShapes(NamedTuple):
    """What the table says of a unit."""

    outputs: int  # channels at width 1
    expand_parts: int  # of the 1x1 expansion
    kernels: int  # sizes of the depthwise convolution: 3, 5, ...
    project_parts: int  # of the 1x1 projection
    expansion: int
    squeeze: int  # input channels over the gate's hidden ones; 0: no squeeze-and-excitation


# For each size: channels of the first layer and units at 56, 28, 14 and 14 pixels, the last of which go on at 7.
SIZES: dict[str, tuple[int, tuple[tuple[UnitShapes, ...], ...]]] = {
    "s": (
        16,
        (
            (UnitShapes(24, 2, 1, 2, 6, 0), UnitShapes(24, 2, 1, 2, 3, 0)),
            (UnitShapes(40, 1, 3, 1, 6, 2), *[UnitShapes(40, 2, 2, 2, 6, 2)] * 3),
            (UnitShapes(80, 1, 3, 2, 6, 4), *[UnitShapes(80, 1, 2, 2, 6, 4)] * 2),
            (UnitShapes(120, 2, 3, 2, 6, 2), *[UnitShapes(120, 2, 4, 2, 3, 2)] * 2),
            (UnitShapes(200, 1, 5, 1, 6, 2), *[UnitShapes(200, 1, 4, 2, 6, 2)] * 2),
        ),
    ),
    "m": (
        24,
        (
            (UnitShapes(32, 2, 3, 2, 6, 0), UnitShapes(32, 2, 1, 2, 3, 0)),
            (UnitShapes(40, 1, 4, 1, 6, 2), *[UnitShapes(40, 2, 2, 2, 6, 2)] * 3),
            (UnitShapes(80, 1, 3, 1, 6, 4), *[UnitShapes(80, 2, 4, 2, 6, 4)] * 3),
            (UnitShapes(120, 1, 1, 1, 6, 2), *[UnitShapes(120, 2, 4, 2, 3, 2)] * 3),
            (UnitShapes(200, 1, 4, 1, 6, 2), *[UnitShapes(200, 1, 4, 2, 6, 2)] * 3),
        ),
    ),
}
STRIDES = (1, 2, 2, 1, 2)  # of the first unit of each stage
DIVISOR = 8  # all widths are multiples of it
TOP_WIDTH, NARROW_TOP_WIDTH = 1024, 512  # channels before the head; the second of networks narrower than 1


def parts(channels: int, count: int) -> list[int]:
    """``channels`` in ``count`` equal parts; what does not divide goes to the first."""
    each = channels // count
    return [channels - each * (count - 1), *[each] * (count - 1)]


class MixConv(nn.Module):
    """Channels in parts, each with a convolution of its own: of kernel 3, 5, ... when ``depthwise``, else 1x1."""

    def __init__(self, inputs: int, outputs: int, count: int, stride: int = 1, *, depthwise: bool = False) -> None:
        super().__init__()
        self.sizes = parts(inputs, count)
        pairs = zip(self.sizes, parts(outputs, count), strict=True)
        self.convs = nn.ModuleList(
            convolution(i, o, 3 + 2 * number if depthwise else 1, stride, groups=i if depthwise else 1)
            for number, (i, o) in enumerate(pairs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride), rounded up."""
        pieces = torch.split(x, self.sizes, 1)
        return torch.cat([conv(piece) for conv, piece in zip(self.convs, pieces, strict=True)], 1)


class Shuffle(nn.Module):
    """Channels 0, 2, 4, ... and then 1, 3, 5, ..."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.pairs, self.shape = (-1, channels // 2, 2, size, size), (-1, channels, size, size)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, channels, size, size) in another order; same shape."""
        return x.reshape(self.pairs).transpose(1, 2).reshape(self.shape)


def _swish_or_prelu(swish: bool, channels: int) -> nn.Module:
    return nn.SiLU() if swish else activation("prelu", channels)


def _block(conv: nn.Module, outputs: int, *, act: nn.Module | None, bn_mom: float) -> nn.Sequential:
    """Convolution, batch norm, activation."""
    return named(conv=conv, bn=BatchNorm(outputs, eps=GLUON_EPS, bn_mom=bn_mom), act=act)


class MixUnit(nn.Module):
    """Expansion, depthwise convolution, squeeze-and-excitation, linear projection; added to its input if it fits."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        unit: UnitShapes,
        stride: int,
        *,
        size: int,
        swish: bool,
        shuffle: bool,
        bn_mom: float,
    ) -> None:
        super().__init__()
        hidden = inputs * unit.expansion

        def conv(source: int, target: int, count: int, stride: int = 1, *, depthwise: bool = False) -> nn.Module:
            if count > 1:
                return MixConv(source, target, count, stride, depthwise=depthwise)
            return convolution(source, target, 3 if depthwise else 1, stride, groups=source if depthwise else 1)

        layers: dict[str, nn.Module] = {}
        if unit.expansion > 1:
            expand = conv(inputs, hidden, unit.expand_parts)
            layers["expand"] = _block(expand, hidden, act=_swish_or_prelu(swish, hidden), bn_mom=bn_mom)
        depthwise = conv(hidden, hidden, unit.kernels, stride, depthwise=True)
        layers["depthwise"] = _block(depthwise, hidden, act=_swish_or_prelu(swish, hidden), bn_mom=bn_mom)
        if unit.squeeze:
            squeezed = inputs // unit.squeeze
            layers["se"] = ChannelGate(hidden, squeezed, _swish_or_prelu(swish, squeezed), nn.Sigmoid())
        project = conv(hidden, outputs, unit.project_parts)
        layers["project"] = _block(project, outputs, act=None, bn_mom=bn_mom)
        self.layers = named(**layers)
        self.residual = inputs == outputs and stride == 1
        self.shuffle = Shuffle(outputs, size) if shuffle else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, size * stride, size * stride) to (N, outputs, size, size)."""
        out = self.layers(x)
        if self.residual:
            out = out + x
        return out if self.shuffle is None else self.shuffle(out)


@NETWORKS.register
def mixfacenet(
    *,
    emb_size: EmbeddingSize = 512,
    net_output: Head = "GDC",
    net_size: Annotated[str, Setting("which of the authors' sizes", choices=tuple(SIZES))] = "m",
    net_multiplier: Multiplier = 1.0,
    net_shuffle: Annotated[int, Setting("1: channels are shuffled behind every unit", choices=(0, 1))] = 0,
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """MixFaceNet of ``net_size`` ``s`` or ``m`` whose channel counts are multiplied by ``net_multiplier``.

    The authors' XS is size ``s`` of width 0.5. ``net_shuffle`` 1 makes it a ShuffleMixFaceNet. The first units' PReLU
    and the others' swish are part of the design.
    """
    if net_size not in SIZES:
        raise unknown_name("net_size", net_size, SIZES)
    require(net_shuffle in (0, 1), "net_shuffle", net_shuffle, "0 (no shuffling) or 1 (behind every unit)")
    first, stages = SIZES[net_size]
    channels, size = rounded(first * net_multiplier, DIVISOR), IMAGE_SIZE // 2
    layers: dict[str, nn.Module] = {
        "stem": _block(convolution(3, channels, 3, 2), channels, act=activation("prelu", channels), bn_mom=bn_mom)
    }

    def add(name: str, unit: UnitShapes, stride: int, *, swish: bool, shuffle: bool) -> None:
        nonlocal channels, size
        outputs = rounded(unit.outputs * net_multiplier, DIVISOR)
        size //= stride
        layers[name] = MixUnit(channels, outputs, unit, stride, size=size, swish=swish, shuffle=shuffle, bn_mom=bn_mom)
        channels = outputs

    add("stem_unit", UnitShapes(first, 1, 1, 1, 1, 0), 1, swish=False, shuffle=True)  # always, in the authors' program
    for stage, (units, first_stride) in enumerate(zip(stages, STRIDES, strict=True)):
        for number, unit in enumerate(units):
            stride = first_stride if number == 0 else 1
            add(f"stage{stage + 1}_unit{number + 1}", unit, stride, swish=stage > 0, shuffle=bool(net_shuffle))
    top = TOP_WIDTH if net_multiplier >= 1 else NARROW_TOP_WIDTH
    layers["tail"] = _block(convolution(channels, top), top, act=activation("prelu", top), bn_mom=bn_mom)  # 7 pixels
    head = make_head(net_output, channels=top, size=7, emb_size=emb_size, act="prelu", bn_mom=bn_mom, gdc_channels=top)
    network = FaceNetwork(named(**layers), head, emb_size)
    _initialise(network)
    return network


def _initialise(network: nn.Module) -> None:
    """He et al.'s uniform start for convolutions and linear layers, biases 0: the authors' program's."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and not module.weight.is_meta:
            nn.init.kaiming_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
