"""High-resolution networks (HRNet: Wang et al. 2019, arXiv 1908.07919): hrnet_w18 hrnet_w44.

Branches of 56, 28, 14 and 7 pixels run side by side and exchange what they found after every four units, so that fine
detail is never given up to be restored later; a head adds all branches up, from the finest to the coarsest. The body
is the authors' (HRNet-Image-Classification) layer by layer, and with its weights puts out the same.

Their stem halves the image twice, which leaves a face of 112 pixels maps of 28, 14, 7 and 3.5 pixels that do not line
up. Here the second convolution of the stem has stride 1, so that the branches have the sizes, and the body the cost, of
theirs at 224 pixels. The classifier gives way to the head of the residual networks. FaceX-Zoo (arXiv 2101.04407) chose
the same, with a head that has no bias:

============================== =========== ============= ========== =============== ==========
.                              here                                 reported
------------------------------ ------------------------------------ --------------------------
network                        FLOPs       multiply-adds parameters multiply-adds   parameters
============================== =========== ============= ========== =============== ==========
HRNet-W18-C, 224 pixels        8551219606  4283537072    21299004   3.99 * 1024**3  21.3 M
body of hrnet_w18              8515211670  4265232048    19250004   .               .
hrnet_w18                      8617972118  4316612272    70635860   4.35 G          70.63 M
hrnet_w44                      29806491652 14916180160   116401840  .               .
============================== =========== ============= ========== =============== ==========

With stride 1 in the first convolution too, W18 and its classifier would count 34064942680 FLOPs, over the large budget.
hrnet_w44 spends that budget on width instead; the authors' next, W48, would be over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from lwface.networks.base import NETWORKS, FaceNetwork, require_numbers, scaled
from lwface.networks.heads import make_head
from lwface.networks.layers import BatchNorm, activation, convolution, initialise_gaussian_out, named
from lwface.networks.settings import Activation, EmbeddingSize, Head, Momentum, Multiplier, Units, Widths

STEM = 64
UNITS = 4  # in a branch between two exchanges, and in the first stage
EXPANSION = 4  # of a bottleneck's inner channels
HEAD_WIDTHS = (128, 256, 512, 1024)  # what the head widens the four branches to
TOP = 2048  # channels of the head's last convolution
SIZE = 7  # pixels of the coarsest branch


def _conv_norm(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    *,
    act: str | None,
    bn_mom: float,
    bias: bool = False,
) -> nn.Sequential:
    """Convolution, batch norm and, unless ``act`` is None, activation."""
    return named(
        conv=nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias),
        bn=BatchNorm(outputs, bn_mom=bn_mom),
        relu=None if act is None else activation(act, outputs),
    )


class Basic(nn.Module):
    """Two 3x3 convolutions around which the input is added: the unit of the branches."""

    def __init__(self, channels: int, *, act: str, bn_mom: float) -> None:
        super().__init__()
        self.conv1 = convolution(channels, channels, 3)
        self.bn1 = BatchNorm(channels, bn_mom=bn_mom)
        self.relu1 = activation(act, channels)
        self.conv2 = convolution(channels, channels, 3)
        self.bn2 = BatchNorm(channels, bn_mom=bn_mom)
        self.relu2 = activation(act, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W), same shape."""
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))) + x)


class WideBottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, added to the input: the unit of the first stage and of the head."""

    def __init__(self, inputs: int, outputs: int, *, act: str, bn_mom: float) -> None:
        super().__init__()
        middle = outputs // EXPANSION
        self.conv1 = convolution(inputs, middle)
        self.bn1 = BatchNorm(middle, bn_mom=bn_mom)
        self.relu1 = activation(act, middle)
        self.conv2 = convolution(middle, middle, 3)
        self.bn2 = BatchNorm(middle, bn_mom=bn_mom)
        self.relu2 = activation(act, middle)
        self.conv3 = convolution(middle, outputs)
        self.bn3 = BatchNorm(outputs, bn_mom=bn_mom)
        self.sc = None if inputs == outputs else _conv_norm(inputs, outputs, 1, act=None, bn_mom=bn_mom)
        self.relu3 = activation(act, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(out)))))
        return self.relu3(out + (x if self.sc is None else self.sc(x)))


class Exchange(nn.Module):
    """Each branch becomes the sum of all, brought to its resolution and width (section 3.2 of the paper).

    From a coarser branch: 1x1 convolution, then each position repeated; from a finer one: a 3x3 convolution of
    stride 2 for each halving, of which the last changes the width.
    """

    def __init__(self, widths: Sequence[int], *, act: str, bn_mom: float) -> None:
        super().__init__()
        self.branches = len(widths)
        for target, outputs in enumerate(widths):
            for source, inputs in enumerate(widths):
                if source > target:
                    path = _conv_norm(inputs, outputs, 1, act=None, bn_mom=bn_mom)
                    path.append(nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"))
                    self.add_module(f"from{source}_to{target}", path)
                elif source < target:
                    path = nn.Sequential()
                    for _ in range(target - source - 1):
                        path.append(_conv_norm(inputs, inputs, 3, 2, act=act, bn_mom=bn_mom))
                    path.append(_conv_norm(inputs, outputs, 3, 2, act=None, bn_mom=bn_mom))
                    self.add_module(f"from{source}_to{target}", path)
            self.add_module(f"relu{target}", activation(act, outputs))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps (N, widths[i], 56 / 2**i, 56 / 2**i) of all branches, to maps of the same shapes."""
        fused = []
        for target, total in enumerate(maps):
            for source, given in enumerate(maps):
                if source != target:
                    total = total + self.get_submodule(f"from{source}_to{target}")(given)
            fused.append(self.get_submodule(f"relu{target}")(total))
        return fused


class Module(nn.Module):
    """Units in every branch, then an exchange."""

    def __init__(self, widths: Sequence[int], *, act: str, bn_mom: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(Basic(width, act=act, bn_mom=bn_mom) for _ in range(UNITS))) for width in widths
        )
        self.exchange = Exchange(widths, act=act, bn_mom=bn_mom)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps of all branches, to maps of the same shapes."""
        return self.exchange([branch(x) for branch, x in zip(self.branches, maps, strict=True)])


class HighResolution(nn.Module):
    """The body: stem, first stage, stages of two, three and four branches, and the sum of the branches."""

    def __init__(
        self, widths: Sequence[int], modules: Sequence[int], multiplier: float, *, act: str, bn_mom: float
    ) -> None:
        super().__init__()
        stem, first = scaled(STEM, multiplier), scaled(EXPANSION * STEM, multiplier)
        self.conv1 = _conv_norm(3, stem, 3, 2, act=act, bn_mom=bn_mom)  # (N, 64, 56, 56)
        self.conv2 = _conv_norm(stem, stem, 3, act=act, bn_mom=bn_mom)
        units = [WideBottleneck(stem if i == 0 else first, first, act=act, bn_mom=bn_mom) for i in range(UNITS)]
        self.stage1 = nn.Sequential(*units)  # (N, 256, 56, 56)
        self.split1 = _conv_norm(first, widths[0], 3, act=act, bn_mom=bn_mom)
        self.split2 = _conv_norm(first, widths[1], 3, 2, act=act, bn_mom=bn_mom)
        self.split3 = _conv_norm(widths[1], widths[2], 3, 2, act=act, bn_mom=bn_mom)
        self.split4 = _conv_norm(widths[2], widths[3], 3, 2, act=act, bn_mom=bn_mom)

        def stage(branches: int) -> nn.Sequential:
            count = modules[branches - 2]
            return nn.Sequential(*(Module(widths[:branches], act=act, bn_mom=bn_mom) for _ in range(count)))

        self.stage2, self.stage3, self.stage4 = stage(2), stage(3), stage(4)
        wide = [scaled(width, multiplier) for width in HEAD_WIDTHS]
        self.widen = nn.ModuleList(
            WideBottleneck(inputs, outputs, act=act, bn_mom=bn_mom)
            for inputs, outputs in zip(widths, wide, strict=True)
        )
        # The biases before the batch norms have no effect; the authors' program has them, and so their counts.
        self.reduce = nn.ModuleList(
            _conv_norm(inputs, outputs, 3, 2, act=act, bn_mom=bn_mom, bias=True) for inputs, outputs in pairwise(wide)
        )
        self.top = _conv_norm(wide[-1], scaled(TOP, multiplier), 1, act=act, bn_mom=bn_mom, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 112, 112) to (N, 2048, 7, 7)."""
        x = self.stage1(self.conv2(self.conv1(x)))
        maps = self.stage2([self.split1(x), self.split2(x)])
        maps = self.stage3([*maps, self.split3(maps[-1])])
        maps = self.stage4([*maps, self.split4(maps[-1])])
        total = self.widen[0](maps[0])
        for reduce, widen, finer in zip(self.reduce, self.widen[1:], maps[1:], strict=True):
            total = widen(finer) + reduce(total)
        return self.top(total)


@NETWORKS.register
def hrnet(
    *,
    emb_size: EmbeddingSize = 512,
    net_output: Head = "E",
    net_act: Activation = "relu",
    net_widths: Widths = (18, 36, 72, 144),
    net_units: Units = (1, 4, 3),
    net_multiplier: Multiplier = 1.0,
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """A high-resolution network; the authors name it by the width of its finest branch.

    Args:
        net_widths: channels of the branches at 56, 28, 14 and 7 pixels.
        net_units: exchanges in the stages of two, three and four branches.
        net_multiplier: factor on all channels, also those of the stem and of the head.
    """
    require_numbers("net_widths", net_widths, 4, "the channels of the branches at 56, 28, 14 and 7 pixels")
    require_numbers("net_units", net_units, 3, "the exchanges in the stages of two, three and four branches")
    widths = [scaled(width, net_multiplier) for width in net_widths]
    body = HighResolution(widths, net_units, net_multiplier, act=net_act, bn_mom=bn_mom)
    channels = scaled(TOP, net_multiplier)
    head = make_head(
        net_output, channels=channels, size=SIZE, emb_size=emb_size, act=net_act, bn_mom=bn_mom, gdc_channels=channels
    )
    network = FaceNetwork(body, head, emb_size)
    initialise_gaussian_out(network)  # "He et al.": the authors' too
    return network
