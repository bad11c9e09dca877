"""MobileFaceNet with octave convolution (Chen et al. 2019, arXiv 1904.05049): the family of oct_y2.

Built as the authors build their MobileNetV2 of inverted residuals: inside a bottleneck the expanded map, and so the
depthwise convolution, is split over two resolutions; between bottlenecks the map is plain; at 7 pixels all is plain.
Their MobileNetV2 of width 1 keeps 3/8 of the channels low, which is the default here. They publish no face network:

======================================= =========== ==========
.                                       FLOPs       parameters
======================================= =========== ==========
y2 (MobileFaceNet), official count      933336950   1996288
oct_y2, official count                  691613041   1996288
oct_y2, multiply-adds                   347758240   .
MobileNetV2, reported, 224 pixels       300 M       3.5 M
their Oct-MobileNetV2, the same share   256 M       3.5 M
======================================= =========== ==========
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from lwface.networks.base import NETWORKS, FaceNetwork, require_numbers
from lwface.networks.fmobilefacenet import Bottleneck
from lwface.networks.heads import make_head
from lwface.networks.layers import MXNET_EPS, BatchNorm, activation, conv_block, initialise_gaussian_out, named
from lwface.networks.octave import Channels, FromOctave, OctaveConv, PerOctave, ToOctave, split
from lwface.networks.settings import Activation, Blocks, EmbeddingSize, Head, Momentum, OctaveShare


def _octave_block(
    inputs: Channels,
    outputs: Channels,
    kernel: int = 1,
    stride: int = 1,
    *,
    depthwise: bool = False,
    act: str | None,
    bn_mom: float,
) -> nn.Sequential:
    """Octave convolution, batch norm and activation, named as the family's plain blocks are."""

    def norm(channels: int) -> BatchNorm:
        return BatchNorm(channels, eps=MXNET_EPS, bn_mom=bn_mom)

    return named(
        conv2d=OctaveConv(inputs, outputs, kernel, stride, depthwise=depthwise),
        batchnorm=PerOctave(norm, outputs),
        relu=None if act is None else PerOctave(lambda channels: activation(act, channels), outputs),
    )


class OctaveBottleneck(nn.Sequential):
    """A bottleneck whose expanded map is an octave map; a plain map goes in and comes out."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Channels,
        *,
        stride: int = 1,
        residual: bool = False,
        act: str,
        bn_mom: float,
    ) -> None:
        super().__init__(
            OrderedDict(
                begin=ToOctave(),
                conv_sep=_octave_block((inputs, 0), hidden, act=act, bn_mom=bn_mom),
                conv_dw=_octave_block(hidden, hidden, 3, stride, depthwise=True, act=act, bn_mom=bn_mom),
                conv_proj=_octave_block(hidden, (outputs, 0), act=None, bn_mom=bn_mom),
                end=FromOctave(),
            )
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = super().forward(x)
        return x + out if self.residual else out


@NETWORKS.register
def octmobilefacenet(
    *,
    emb_size: EmbeddingSize = 512,
    net_output: Head = "GDC",
    net_act: Activation = "prelu",
    net_blocks: Blocks = (1, 4, 6, 2),
    net_alpha: OctaveShare = 0.375,
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """MobileFaceNet that computes a share ``net_alpha`` of what bottlenecks above 7 pixels expand at half resolution.

    ``net_blocks`` as in the family ``fmobilefacenet``.
    """
    require_numbers("net_blocks", net_blocks, 4, "the bottlenecks at 56, 28, 14 and 7 pixels", least=0)

    def octave(inputs: int, outputs: int, hidden: int, *, stride: int = 1) -> OctaveBottleneck:
        channels = split(hidden, net_alpha)
        residual = stride == 1
        return OctaveBottleneck(inputs, outputs, channels, stride=stride, residual=residual, act=net_act, bn_mom=bn_mom)

    def residuals(count: int, channels: int, hidden: int) -> nn.Sequential:
        return named(**{f"block{i}": octave(channels, channels, hidden) for i in range(count)})

    def plain(count: int) -> nn.Sequential:
        blocks = (Bottleneck(128, 128, 256, residual=True, act=net_act, bn_mom=bn_mom) for _ in range(count))
        return named(**{f"block{i}": block for i, block in enumerate(blocks)})

    single = net_blocks[0] == 1
    body = named(
        conv_1=conv_block(3, 64, 3, 2, act=net_act, bn_mom=bn_mom),  # (N, 64, 56, 56)
        conv_2_dw=conv_block(64, 64, 3, groups=64, act=net_act, bn_mom=bn_mom) if single else None,
        res_2=None if single else residuals(net_blocks[0], 64, 64),
        dconv_23=octave(64, 64, 128, stride=2),  # (N, 64, 28, 28)
        res_3=residuals(net_blocks[1], 64, 128),
        dconv_34=octave(64, 128, 256, stride=2),  # (N, 128, 14, 14)
        res_4=residuals(net_blocks[2], 128, 256),
        dconv_45=Bottleneck(128, 128, 512, stride=2, act=net_act, bn_mom=bn_mom),  # (N, 128, 7, 7)
        res_5=plain(net_blocks[3]),
        conv_6sep=conv_block(128, 512, act=net_act, bn_mom=bn_mom),  # (N, 512, 7, 7)
    )
    head = make_head(net_output, channels=512, size=7, emb_size=emb_size, act=net_act, bn_mom=bn_mom)
    network = FaceNetwork(body, head, emb_size)
    initialise_gaussian_out(network)
    return network
