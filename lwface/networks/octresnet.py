"""ArcFace's residual network with octave convolution (Chen et al. 2019, arXiv 1904.05049): the family of oct_r50.

Built as the authors build their ResNets: the stem is plain, all maps of the first three stages are octave maps, and the
last stage is plain. A quarter of the channels is low: of their ablation's shares the most accurate for ResNet-26 and
beside 1/8 for ResNet-50. They publish no face network:

======================================= =========== ==========
.                                       FLOPs       parameters
======================================= =========== ==========
r50, official count                     12612791296 43590848
oct_r50, official count                 9177961856  43590848
oct_r50, multiply-adds                  4592107520  .
their ResNet-50, reported, 224 pixels   4.1 G       25.6 M
their Oct-ResNet-50, the same share     3.1 G       25.6 M
======================================= =========== ==========
"""

from __future__ import annotations

from torch import nn

from lwface.base.errors import UserError
from lwface.networks.base import NETWORKS, FaceNetwork, require_numbers
from lwface.networks.fresnet import UNITS
from lwface.networks.heads import make_head
from lwface.networks.layers import BatchNorm, activation, convolution, initialise_gaussian_out, named
from lwface.networks.octave import Channels, FromOctave, Octave, OctaveConv, PerOctave, ToOctave, add, split
from lwface.networks.settings import Activation, Depth, EmbeddingSize, Head, Momentum, OctaveShare, Widths


class OctaveUnit(nn.Module):
    """ArcFace's unit on octave maps: norm, convolution, norm, activation, convolution of the stride, norm."""

    def __init__(self, inputs: Channels, outputs: Channels, stride: int, *, act: str, bn_mom: float) -> None:
        super().__init__()

        def norm(channels: int) -> BatchNorm:
            return BatchNorm(channels, bn_mom=bn_mom)

        self.bn1 = PerOctave(norm, inputs)
        self.conv1 = OctaveConv(inputs, outputs, 3)
        self.bn2 = PerOctave(norm, outputs)
        self.relu1 = PerOctave(lambda channels: activation(act, channels), outputs)
        self.conv2 = OctaveConv(outputs, outputs, 3, stride)
        self.bn3 = PerOctave(norm, outputs)
        self.conv1sc = OctaveConv(inputs, outputs, 1, stride) if stride > 1 else None
        self.sc = PerOctave(norm, outputs) if stride > 1 else None

    def forward(self, x: Octave) -> Octave:
        """Octave map of ``inputs`` channels to one of ``outputs`` channels, both sides divided by the stride."""
        out = self.bn3(self.conv2(self.relu1(self.bn2(self.conv1(self.bn1(x))))))
        return add(out, x if self.conv1sc is None or self.sc is None else self.sc(self.conv1sc(x)))


@NETWORKS.register
def octresnet(
    *,
    num_layers: Depth = 50,
    emb_size: EmbeddingSize = 512,
    net_output: Head = "E",
    net_act: Activation = "prelu",
    net_widths: Widths = (64, 64, 128, 256, 512),
    net_alpha: OctaveShare = 0.25,
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """A residual network of ``num_layers`` that keeps a share ``net_alpha`` of its channels at half resolution.

    ``num_layers`` and ``net_widths`` as in the family ``fresnet``.
    """
    if num_layers not in UNITS:
        known = ", ".join(str(number) for number in UNITS)
        raise UserError(f"num_layers is {num_layers!r}: choose from {known}")
    require_numbers("net_widths", net_widths, 5, "the channels of the first convolution and of the four stages")
    first, last = net_widths[0], len(UNITS[num_layers])
    layers: dict[str, nn.Module] = {
        "conv0": convolution(3, first, 3),  # (N, 64, 112, 112)
        "bn0": BatchNorm(first, bn_mom=bn_mom),
        "relu0": activation(net_act, first),
        "begin": ToOctave(),
    }
    channels: Channels = (first, 0)
    for stage, (units, width) in enumerate(zip(UNITS[num_layers], net_widths[1:], strict=True), start=1):
        outputs = split(width, 0 if stage == last else net_alpha)
        for number in range(1, units + 1):
            stride = 2 if number == 1 else 1
            layers[f"stage{stage}_unit{number}"] = OctaveUnit(channels, outputs, stride, act=net_act, bn_mom=bn_mom)
            channels = outputs
    layers["end"] = FromOctave()  # (N, 512, 7, 7)
    width = net_widths[-1]
    head = make_head(
        net_output, channels=width, size=7, emb_size=emb_size, act=net_act, bn_mom=bn_mom, gdc_channels=width
    )
    network = FaceNetwork(named(**layers), head, emb_size)
    initialise_gaussian_out(network)
    return network
