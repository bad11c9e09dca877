"""Residual networks for faces (He et al. 2016, arXiv 1603.05027; ArcFace, arXiv 1801.07698): r50 r50v1 r100 r100fc."""

from __future__ import annotations

from torch import Tensor, nn

from common.errors import UserError
from recognition.networks.base import NETWORKS, FaceNetwork, require
from recognition.networks.heads import make_head
from recognition.networks.layers import (
    BatchNorm,
    SqueezeExcite,
    activation,
    convolution,
    initialise_gaussian_out,
    named,
)

# Units a stage for each num_layers; the numbers are names, some count the layers and some do not.
UNITS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    49: (3, 4, 14, 3),
    50: (3, 4, 14, 3),
    74: (3, 6, 24, 3),
    90: (3, 8, 30, 3),
    98: (3, 4, 38, 3),
    99: (3, 8, 35, 3),
    100: (3, 13, 30, 3),
    101: (3, 4, 23, 3),
    124: (3, 13, 40, 5),
    134: (3, 10, 50, 3),
    136: (3, 13, 48, 3),
    140: (3, 15, 48, 3),
    152: (3, 8, 36, 3),
    160: (3, 24, 49, 3),
    200: (3, 24, 36, 3),
    269: (3, 30, 48, 8),
}
WIDTHS = (64, 64, 128, 256, 512)  # of the first layer and of the four stages


class UnitV1(nn.Module):
    """Convolution, norm, activation, convolution, norm; added, then activation.

    ``late_stride`` moves the stride to the second convolution.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, *, late_stride: bool, act: str, se: bool, bn_mom: float
    ) -> None:
        super().__init__()
        first, second = (1, stride) if late_stride else (stride, 1)
        self.conv1 = convolution(inputs, outputs, 3, first)
        self.bn1 = BatchNorm(outputs, bn_mom=bn_mom)
        self.relu1 = activation(act, outputs)
        self.conv2 = convolution(outputs, outputs, 3, second)
        self.bn2 = BatchNorm(outputs, bn_mom=bn_mom)
        self.se = SqueezeExcite(outputs, act) if se else None
        self.conv1sc = convolution(inputs, outputs, 1, stride) if stride > 1 else None
        self.sc = BatchNorm(outputs, bn_mom=bn_mom) if stride > 1 else None
        self.relu3 = activation(act, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        if self.se is not None:
            out = self.se(out)
        shortcut = x if self.conv1sc is None or self.sc is None else self.sc(self.conv1sc(x))
        return self.relu3(out + shortcut)


class UnitV2(nn.Module):
    """Pre-activation: norm, activation, convolution, twice; a changed shape's shortcut starts at the activation."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, act: str, se: bool, bn_mom: float) -> None:
        super().__init__()
        self.bn1 = BatchNorm(inputs, bn_mom=bn_mom)
        self.relu1 = activation(act, inputs)
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.bn2 = BatchNorm(outputs, bn_mom=bn_mom)
        self.relu2 = activation(act, outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        self.se = SqueezeExcite(outputs, act) if se else None
        self.sc = convolution(inputs, outputs, 1, stride) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        active = self.relu1(self.bn1(x))
        out = self.conv2(self.relu2(self.bn2(self.conv1(active))))
        if self.se is not None:
            out = self.se(out)
        return out + (x if self.sc is None else self.sc(active))


class UnitV3(nn.Module):
    """Norm, convolution, norm, activation, convolution of the stride, norm: ArcFace's "improved" unit."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, act: str, se: bool, bn_mom: float) -> None:
        super().__init__()
        self.bn1 = BatchNorm(inputs, bn_mom=bn_mom)
        self.conv1 = convolution(inputs, outputs, 3)
        self.bn2 = BatchNorm(outputs, bn_mom=bn_mom)
        self.relu1 = activation(act, outputs)
        self.conv2 = convolution(outputs, outputs, 3, stride)
        self.bn3 = BatchNorm(outputs, bn_mom=bn_mom)
        self.se = SqueezeExcite(outputs, act) if se else None
        self.conv1sc = convolution(inputs, outputs, 1, stride) if stride > 1 else None
        self.sc = BatchNorm(outputs, bn_mom=bn_mom) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = self.bn3(self.conv2(self.relu1(self.bn2(self.conv1(self.bn1(x))))))
        if self.se is not None:
            out = self.se(out)
        return out + (x if self.conv1sc is None or self.sc is None else self.sc(self.conv1sc(x)))


@NETWORKS.register
def fresnet(
    *,
    num_layers: int = 50,
    emb_size: int = 512,
    net_output: str = "E",
    net_act: str = "prelu",
    net_unit: int = 3,
    net_input: int = 1,
    net_se: int = 0,
    bn_mom: float = 0.9,
) -> FaceNetwork:
    """A residual network of ``num_layers``.

    Args:
        net_unit: 1 classic, 2 pre-activation, 3 ArcFace's unit.
        net_input: 0 first convolution 7x7 of stride 2; 1 3x3 of stride 1; 2 the same behind a batch norm of the raw
            pixels. Units of version 1 have the stride in their first convolution for 0, else in their second.
        net_se: 1 adds squeeze-and-excitation to every unit.
    """
    if num_layers not in UNITS:
        known = ", ".join(str(number) for number in UNITS)
        raise UserError(f"num_layers is {num_layers!r}: choose from {known}")
    require(net_unit in (1, 2, 3), "net_unit", net_unit, "1 (classic), 2 (pre-activation) or 3 (ArcFace's)")
    require(net_input in (0, 1, 2), "net_input", net_input, "0 (7x7, stride 2), 1 (3x3) or 2 (batch norm, 3x3)")
    require(net_se in (0, 1), "net_se", net_se, "0 (none) or 1 (squeeze-and-excitation)")

    def unit(inputs: int, outputs: int, stride: int) -> nn.Module:
        if net_unit == 1:
            late = net_input != 0
            return UnitV1(inputs, outputs, stride, late_stride=late, act=net_act, se=bool(net_se), bn_mom=bn_mom)
        version = UnitV2 if net_unit == 2 else UnitV3
        return version(inputs, outputs, stride, act=net_act, se=bool(net_se), bn_mom=bn_mom)

    width = WIDTHS[0]
    layers: dict[str, nn.Module] = {}
    if net_input == 2:
        layers["bn_data"] = BatchNorm(3, bn_mom=bn_mom, fix_gamma=True)
    layers["conv0"] = convolution(3, width, 7, 2) if net_input == 0 else convolution(3, width, 3)
    layers["bn0"] = BatchNorm(width, bn_mom=bn_mom)
    layers["relu0"] = activation(net_act, width)
    for stage, (units, outputs) in enumerate(zip(UNITS[num_layers], WIDTHS[1:], strict=True), start=1):
        for number in range(1, units + 1):
            layers[f"stage{stage}_unit{number}"] = unit(width, outputs, 2 if number == 1 else 1)
            width = outputs
    size = 4 if net_input == 0 else 7  # 112 pixels halved, rounding up, five times or four
    head = make_head(net_output, channels=width, size=size, emb_size=emb_size, act=net_act, bn_mom=bn_mom)
    network = FaceNetwork(named(**layers), head, emb_size, normalise=net_input != 2)
    initialise_gaussian_out(network)
    return network
