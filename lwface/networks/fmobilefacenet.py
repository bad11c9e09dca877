"""MobileFaceNet (Chen et al. 2018, arXiv 1804.07573): the family of y1 and y2, and one that a search can vary."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.networks.attention import make_attention
from lwface.networks.base import NETWORKS, FaceNetwork, require_count, require_kernels, require_numbers
from lwface.networks.heads import make_head
from lwface.networks.layers import conv_block, initialise_gaussian_out, named
from lwface.networks.settings import (
    Activation,
    Attention,
    Blocks,
    EmbeddingSize,
    Expansions,
    Head,
    Kernels,
    Momentum,
    Widths,
)


class Bottleneck(nn.Sequential):
    """1x1 expansion, depthwise convolution, 1x1 linear projection, attention; added to its input when ``residual``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        residual: bool = False,
        attention: str = "none",
        act: str,
        bn_mom: float,
    ) -> None:
        super().__init__(
            OrderedDict(
                conv_sep=conv_block(inputs, hidden, act=act, bn_mom=bn_mom),
                conv_dw=conv_block(hidden, hidden, kernel, stride, groups=hidden, act=act, bn_mom=bn_mom),
                conv_proj=conv_block(hidden, outputs, act=None, bn_mom=bn_mom),
                **make_attention(attention, outputs, act=act, bn_mom=bn_mom),
            )
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = super().forward(x)
        return out + x if self.residual else out


@NETWORKS.register
def fmobilefacenet(
    *,
    emb_size: EmbeddingSize = 512,
    net_output: Head = "GDC",
    net_act: Activation = "prelu",
    net_blocks: Blocks = (1, 4, 6, 2),
    net_widths: Widths = (64, 64, 128, 128, 512),
    net_expansions: Expansions = (1, 2, 2, 4, 2, 4, 2),
    net_kernels: Kernels = (3, 3, 3, 3),
    net_attention: Attention = "none",
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """MobileFaceNet with ``net_blocks`` residual bottlenecks at 56, 28, 14 and 7 pixels.

    Args:
        net_blocks: a first number of 1 stands for one plain depthwise convolution, as in the paper.
        net_widths: channels at 56, 28, 14 and 7 pixels, and of the 1x1 convolution before the head.
        net_expansions: hidden channels over input channels, in the network's order: residual bottlenecks at 56 pixels,
            reduction to 28, residual ones there, reduction to 14, ... (7 numbers).
        net_kernels: of the depthwise convolutions at 56, 28, 14 and 7 pixels; a reduction has its target's.
        net_attention: ``none``, ``se``, ``cbam`` or ``cbam_tanh`` at the end of every bottleneck.
    """
    blocks = list(net_blocks)
    if len(blocks) != 4:
        raise UserError(f"net_blocks is {net_blocks!r}: expected 4 numbers, the bottlenecks at 56, 28, 14 and 7 pixels")
    for count in blocks:
        require_count("a number of net_blocks", count, least=0)
    require_numbers("net_widths", net_widths, 5, "the channels at 56, 28, 14 and 7 pixels and before the head")
    require_numbers("net_expansions", net_expansions, 7, "one a stage and one a reduction, in turn", least=0.1)
    require_kernels(net_kernels, "of the depthwise convolutions at 56, 28, 14 and 7 pixels")

    def residuals(stage: int) -> nn.Sequential:
        width = net_widths[stage]
        return named(**{f"block{i}": bottleneck(stage, width, 2 * stage, residual=True) for i in range(blocks[stage])})

    def reduction(stage: int) -> Bottleneck:
        return bottleneck(stage, net_widths[stage - 1], 2 * stage - 1, stride=2)

    def bottleneck(stage: int, inputs: int, expansion: int, *, stride: int = 1, residual: bool = False) -> Bottleneck:
        return Bottleneck(
            inputs,
            net_widths[stage],
            max(int(inputs * net_expansions[expansion]), 1),
            kernel=net_kernels[stage],
            stride=stride,
            residual=residual,
            attention=net_attention,
            act=net_act,
            bn_mom=bn_mom,
        )

    first, last, top = net_widths[0], net_widths[3], net_widths[4]
    plain = blocks[0] == 1
    depthwise = conv_block(first, first, net_kernels[0], groups=first, act=net_act, bn_mom=bn_mom) if plain else None
    body = named(
        conv_1=conv_block(3, first, 3, 2, act=net_act, bn_mom=bn_mom),  # (N, 64, 56, 56) with the original's widths
        conv_2_dw=depthwise,
        res_2=None if plain else residuals(0),
        dconv_23=reduction(1),  # (N, 64, 28, 28)
        res_3=residuals(1),
        dconv_34=reduction(2),  # (N, 128, 14, 14)
        res_4=residuals(2),
        dconv_45=reduction(3),  # (N, 128, 7, 7)
        res_5=residuals(3),
        conv_6sep=conv_block(last, top, act=net_act, bn_mom=bn_mom),  # (N, 512, 7, 7)
    )
    head = make_head(net_output, channels=top, size=7, emb_size=emb_size, act=net_act, bn_mom=bn_mom, gdc_channels=top)
    network = FaceNetwork(body, head, emb_size)
    initialise_gaussian_out(network)
    return network
