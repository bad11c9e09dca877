"""GhostFaceNets (Alansari et al. 2023, IEEE Access 11): GhostNet with PReLU and MobileFaceNet's head.

Half of a ghost module's channels come from a 1x1 convolution, the other half from a depthwise one over the first half
(GhostNet, Han et al. 2020, arXiv 1911.11907). Version 2 multiplies a block's first ghost module by an attention along
rows and columns (GhostNetV2, Tang et al. 2022, arXiv 2211.12905). GhostFaceNetV1-1.3-1 means version 1, width 1.3,
first layer of stride 1. Widths and order are those of the authors' program (HamadYA/GhostFaceNets); with its weights,
and both paddings alike, embeddings are the same. The FLOPs they report are their framework's, halved: multiply-adds
and element-wise work. Their parameters include running statistics:

==================== ========= ============= ========== ======== ======== ===========
.                    here                                        reported
-------------------- ------------------------------------------- --------------------
network              FLOPs     multiply-adds parameters running  FLOPs    all numbers
==================== ========= ============= ========== ======== ======== ===========
GhostFaceNetV1-1.3-1 421498892 211909644     4060260    28552    215.7 M  4.09 M
GhostFaceNetV1-1.3-2 118038818 59316222      4038348    28552    60.3 M   4.07 M
GhostFaceNetV2-1.3-1 546690808 274763456     6796232    84568    272.1 M  6880288
GhostFaceNetV2-1-1   337087380 169647648     4196608    65328    .        .
==================== ========= ============= ========== ======== ======== ===========

Version 2 of width 1.3 has 27.5 MB, too many for the light tracks. Chosen here: strided convolutions pad both sides
alike; the head is MobileFaceNet's, with its epsilon and a bias in front of the last batch norm (512 numbers, which the
authors have at stride 1 only); a 7x7 map's attention is computed on 4x4 positions, not 3x3, and repeated rather than
interpolated to full size.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lwface.base.setting import Setting
from lwface.networks.attention import ChannelGate
from lwface.networks.base import NETWORKS, FaceNetwork, require, rounded
from lwface.networks.heads import make_head
from lwface.networks.layers import (
    GLUON_EPS,
    BatchNorm,
    activation,
    convolution,
    initialise_gaussian_out,
    named,
)
from lwface.networks.settings import Activation, EmbeddingSize, Head, Momentum, Multiplier, Stem

# Kernel, hidden channels, channels, squeeze-and-excitation, stride of each bottleneck, at width 1.
BOTTLENECKS = (
    (3, 16, 16, False, 1),
    (3, 48, 24, False, 2),
    (3, 72, 24, False, 1),
    (5, 72, 40, True, 2),
    (5, 120, 40, True, 1),
    (3, 240, 80, False, 2),
    (3, 200, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 480, 112, True, 1),
    (3, 672, 112, True, 1),
    (5, 672, 160, True, 2),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
    (5, 960, 160, False, 1),
)
LAST_KERNEL, LAST_OUTPUTS = 5, 160  # of the sixteenth bottleneck, which has squeeze-and-excitation
LAST_HIDDEN = {1: 512, 2: 960}  # its hidden channels, and the width before the head, of version 1 and 2
FIRST_WIDTH = 16
PLAIN_BOTTLENECKS = 2  # of version 2: the first ones do without attention
DIVISOR = 4  # all widths are multiples of it
GATE_SHARE = 0.25  # hidden channels of squeeze-and-excitation


def _conv_norm(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, act: str | None, bn_mom: float
) -> nn.Sequential:
    return named(
        conv=convolution(inputs, outputs, kernel, stride, groups=groups),
        bn=BatchNorm(outputs, eps=GLUON_EPS, bn_mom=bn_mom),
        relu=None if act is None else activation(act, outputs),
    )


class GhostModule(nn.Module):
    """1x1 convolution to half of the outputs; a 3x3 depthwise convolution of these is the other half."""

    def __init__(self, inputs: int, outputs: int, *, act: str | None, bn_mom: float) -> None:
        super().__init__()
        half = outputs // 2
        self.primary = _conv_norm(inputs, half, act=act, bn_mom=bn_mom)
        self.cheap = _conv_norm(half, half, 3, groups=half, act=act, bn_mom=bn_mom)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        first = self.primary(x)
        return torch.cat((first, self.cheap(first)), 1)


class LongRangeGate(nn.Module):
    """A gate of each position and channel from its row and column, at half resolution (GhostNetV2, equation 3).

    A map of odd ``size`` is halved rounding up and the doubled gate cropped, so that gate and map stay aligned; the
    authors round down and stretch the gate.
    """

    def __init__(self, inputs: int, outputs: int, size: int, *, bn_mom: float) -> None:
        super().__init__()
        self.size = size
        self.mix = _conv_norm(inputs, outputs, act=None, bn_mom=bn_mom)
        self.rows = self._line(outputs, (1, 5), bn_mom)
        self.columns = self._line(outputs, (5, 1), bn_mom)

    @staticmethod
    def _line(channels: int, kernel: tuple[int, int], bn_mom: float) -> nn.Sequential:
        padding = (kernel[0] // 2, kernel[1] // 2)
        return named(
            conv=nn.Conv2d(channels, channels, kernel, padding=padding, groups=channels, bias=False),
            bn=BatchNorm(channels, eps=GLUON_EPS, bn_mom=bn_mom),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, size, size) to (N, outputs, size, size), between 0 and 1."""
        if self.size % 2:  # the last row and column once more, which leaves the means as they are
            x = torch.cat((x, x[:, :, -1:]), 2)
            x = torch.cat((x, x[:, :, :, -1:]), 3)
        gate = torch.sigmoid(self.columns(self.rows(self.mix(F.avg_pool2d(x, 2)))))
        doubled = F.interpolate(gate, scale_factor=2.0)
        return doubled[:, :, : self.size, : self.size] if self.size % 2 else doubled


class GhostBottleneck(nn.Module):
    """Ghost module, strided depthwise convolution, squeeze-and-excitation, linear ghost module; and a shortcut."""

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        kernel: int,
        stride: int,
        *,
        size: int,
        se: bool,
        attentive: bool,
        act: str,
        bn_mom: float,
    ) -> None:
        super().__init__()
        self.ghost1 = GhostModule(inputs, hidden, act=act, bn_mom=bn_mom)
        self.gate = LongRangeGate(inputs, hidden, size, bn_mom=bn_mom) if attentive else None
        self.down: nn.Module | None = None
        if stride > 1:
            self.down = _conv_norm(hidden, hidden, kernel, stride, groups=hidden, act=None, bn_mom=bn_mom)
        squeezed = rounded(hidden * GATE_SHARE, DIVISOR)
        self.se = ChannelGate(hidden, squeezed, activation(act, squeezed), nn.Hardsigmoid()) if se else None
        self.ghost2 = GhostModule(hidden, outputs, act=None, bn_mom=bn_mom)
        self.shortcut: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            self.shortcut = named(
                depthwise=_conv_norm(inputs, inputs, kernel, stride, groups=inputs, act=None, bn_mom=bn_mom),
                pointwise=_conv_norm(inputs, outputs, act=None, bn_mom=bn_mom),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, size, size) to (N, outputs, size / stride, size / stride), rounded up."""
        out = self.ghost1(x)
        if self.gate is not None:
            out = out * self.gate(x)
        if self.down is not None:
            out = self.down(out)
        if self.se is not None:
            out = self.se(out)
        return self.ghost2(out) + (x if self.shortcut is None else self.shortcut(x))


@NETWORKS.register
def ghostfacenet(
    *,
    emb_size: EmbeddingSize = 512,
    net_output: Head = "GDC",
    net_act: Activation = "prelu",
    net_multiplier: Multiplier = 1.3,
    net_unit: Annotated[int, Setting("kind of unit", minimum=1)] = 1,
    net_input: Stem = 1,
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """GhostFaceNet of width ``net_multiplier``.

    Args:
        net_unit: 1 GhostFaceNetV1; 2 GhostFaceNetV2, with attention.
        net_input: 1 first layer of stride 1, the authors' "-1" (their more accurate one); 0 of stride 2, their "-2".
    """
    require(net_unit in LAST_HIDDEN, "net_unit", net_unit, "1 (GhostFaceNetV1) or 2 (GhostFaceNetV2)")
    require(net_input in (0, 1), "net_input", net_input, "0 (first layer of stride 2) or 1 (of stride 1)")

    def width(channels: int) -> int:
        return rounded(channels * net_multiplier, DIVISOR)

    first_stride = 2 if net_input == 0 else 1
    size = 112 // first_stride
    channels = width(FIRST_WIDTH)
    layers: dict[str, nn.Module] = {
        "stem": _conv_norm(3, channels, 3, first_stride, act=net_act, bn_mom=bn_mom)  # (N, 20, 112, 112)
    }
    last = (LAST_KERNEL, LAST_HIDDEN[net_unit], LAST_OUTPUTS, True, 1)
    for number, (kernel, hidden, outputs, se, stride) in enumerate((*BOTTLENECKS, last), start=1):
        layers[f"stack{number}"] = GhostBottleneck(
            channels,
            width(hidden),
            width(outputs),
            kernel,
            stride,
            size=size,
            se=se,
            attentive=net_unit == 2 and number > PLAIN_BOTTLENECKS,
            act=net_act,
            bn_mom=bn_mom,
        )
        channels = width(outputs)
        size = (size + stride - 1) // stride
    top = width(LAST_HIDDEN[net_unit])
    layers["last"] = _conv_norm(channels, top, act=net_act, bn_mom=bn_mom)  # (N, 664, 7, 7)
    head = make_head(
        net_output,
        channels=top,
        size=size,
        emb_size=emb_size,
        act=net_act,
        bn_mom=bn_mom,
        gdc_channels=top,
        gdc_kernel=size,
    )
    network = FaceNetwork(named(**layers), head, emb_size)
    initialise_gaussian_out(network)
    return network
