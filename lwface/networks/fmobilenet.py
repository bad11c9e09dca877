"""MobileNet (Howard et al. 2017, arXiv 1704.04861) for 112x112 faces: the family of m1 and m05."""

from __future__ import annotations

from torch import nn

from lwface.networks.base import IMAGE_SIZE, NETWORKS, FaceNetwork, require, scaled
from lwface.networks.heads import make_head
from lwface.networks.layers import conv_block, initialise_uniform_in, named
from lwface.networks.settings import Activation, EmbeddingSize, Head, Momentum, Multiplier, Stem

FIRST_WIDTH = 32
# Width (in units of the first layer's) and stride of the separable convolutions conv_2 to conv_14.
SEPARABLE = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1))


@NETWORKS.register
def fmobilenet(
    *,
    emb_size: EmbeddingSize = 512,
    net_output: Head = "GDC",
    net_act: Activation = "prelu",
    net_multiplier: Multiplier = 1.0,
    net_input: Stem = 1,
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """MobileNet whose channel counts are multiplied by ``net_multiplier``; every batch norm's scale is fixed.

    The first layer keeps all 112 pixels; with ``net_input`` 0 it halves them (2 is the same as 1, as in the original).
    """
    require(net_input in (0, 1, 2), "net_input", net_input, "0 (first layer of stride 2), 1 or 2 (of stride 1)")
    base = scaled(FIRST_WIDTH, net_multiplier)
    first_stride = 2 if net_input == 0 else 1

    def block(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
        return conv_block(inputs, outputs, kernel, stride, groups=groups, act=net_act, bn_mom=bn_mom, fix_gamma=True)

    layers = {"conv_1": block(3, base, 3, first_stride)}
    size = IMAGE_SIZE // first_stride
    channels = base
    for number, (width, stride) in enumerate(SEPARABLE, start=2):
        layers[f"conv_{number}_dw"] = block(channels, channels, 3, stride, groups=channels)
        layers[f"conv_{number}"] = block(channels, base * width, 1)
        channels = base * width
        size = (size + stride - 1) // stride
    head = make_head(net_output, channels=channels, size=size, emb_size=emb_size, act=net_act, bn_mom=bn_mom)
    network = FaceNetwork(named(**layers), head, emb_size)
    initialise_uniform_in(network)
    return network
