"""MobileFaceNet (Chen et al. 2018, arXiv 1804.07573): the family of y1 and y2."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from common.errors import UserError
from recognition.networks.base import NETWORKS, FaceNetwork, require_count
from recognition.networks.heads import make_head
from recognition.networks.layers import conv_block, initialise_gaussian_out, named


class Bottleneck(nn.Sequential):
    """1x1 expansion, 3x3 depthwise convolution, 1x1 linear projection; added to its input when ``residual``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: int,
        *,
        stride: int = 1,
        residual: bool = False,
        act: str,
        bn_mom: float,
    ) -> None:
        super().__init__(
            OrderedDict(
                conv_sep=conv_block(inputs, hidden, act=act, bn_mom=bn_mom),
                conv_dw=conv_block(hidden, hidden, 3, stride, groups=hidden, act=act, bn_mom=bn_mom),
                conv_proj=conv_block(hidden, outputs, act=None, bn_mom=bn_mom),
            )
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = super().forward(x)
        return x + out if self.residual else out


@NETWORKS.register
def fmobilefacenet(
    *,
    emb_size: int = 512,
    net_output: str = "GDC",
    net_act: str = "prelu",
    net_blocks: Sequence[int] = (1, 4, 6, 2),
    bn_mom: float = 0.9,
) -> FaceNetwork:
    """MobileFaceNet with ``net_blocks`` residual bottlenecks at 56, 28, 14 and 7 pixels.

    A first number of 1 stands for one plain depthwise convolution, as in the paper.
    """
    blocks = list(net_blocks)
    if len(blocks) != 4:
        raise UserError(f"net_blocks is {net_blocks!r}: expected 4 numbers, the bottlenecks at 56, 28, 14 and 7 pixels")
    for count in blocks:
        require_count("a number of net_blocks", count, least=0)

    def residuals(count: int, channels: int, hidden: int) -> nn.Sequential:
        units = {
            f"block{i}": Bottleneck(channels, channels, hidden, residual=True, act=net_act, bn_mom=bn_mom)
            for i in range(count)
        }
        return named(**units)

    def reduction(inputs: int, outputs: int, hidden: int) -> Bottleneck:
        return Bottleneck(inputs, outputs, hidden, stride=2, act=net_act, bn_mom=bn_mom)

    plain = blocks[0] == 1
    body = named(
        conv_1=conv_block(3, 64, 3, 2, act=net_act, bn_mom=bn_mom),  # (N, 64, 56, 56)
        conv_2_dw=conv_block(64, 64, 3, groups=64, act=net_act, bn_mom=bn_mom) if plain else None,
        res_2=None if plain else residuals(blocks[0], 64, 64),
        dconv_23=reduction(64, 64, 128),  # (N, 64, 28, 28)
        res_3=residuals(blocks[1], 64, 128),
        dconv_34=reduction(64, 128, 256),  # (N, 128, 14, 14)
        res_4=residuals(blocks[2], 128, 256),
        dconv_45=reduction(128, 128, 512),  # (N, 128, 7, 7)
        res_5=residuals(blocks[3], 128, 256),
        conv_6sep=conv_block(128, 512, act=net_act, bn_mom=bn_mom),  # (N, 512, 7, 7)
    )
    head = make_head(net_output, channels=512, size=7, emb_size=emb_size, act=net_act, bn_mom=bn_mom)
    network = FaceNetwork(body, head, emb_size)
    initialise_gaussian_out(network)
    return network
