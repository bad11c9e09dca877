"""Residual networks for faces (ArcFace: Deng et al. 2019, arXiv 1801.07698): r50 r50v1 r100 r100fc r18 r34 r200 r10_s.

The units of He et al. 2016 (arXiv 1603.05027) in three versions, over four stages of 56 to 7 pixels. r18, r34 and r200
are those of arcface_torch, with whose weights embeddings are the same. It reports multiply-adds, and counts batch norms
and activations besides:

======= =========== ============= ========== ======
.       here                                 theirs
------- ------------------------------------ ------
network FLOPs       multiply-adds parameters GFLOPs
======= =========== ============= ========== ======
r18     5216096256  2609954816    24025600   2.6
r34     8914217984  4459642880    34139328   .
r50     12612791296 6309330944    43590848   6.3
r100    24169929728 12089606144   65156160   12.1
r200    46821634048 23418945536   118833920  23.5
======= =========== ============= ========== ======

The number 200 has other units in the original's list than in arcface_torch, so r200 sets net_units. It is over every
budget of the challenge: a network to learn from.

r10_xs and r10_s are this project's, for two CPU cores; r10_s normalises pictures one by one (``net_ibn``), for faces
unlike those it learns from. r12_p, r12_ps and r12_pxs are bodies for points.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from lwface.base.errors import UserError
from lwface.base.setting import Setting
from lwface.networks.attention import make_attention
from lwface.networks.base import IMAGE_SIZE, NETWORKS, FaceNetwork, require, require_kernels, require_numbers
from lwface.networks.heads import make_head
from lwface.networks.layers import (
    BatchNorm,
    InstanceBatchNorm,
    InstanceNorm,
    activation,
    convolution,
    initialise_gaussian_out,
    named,
)
from lwface.networks.settings import (
    Activation,
    Attention,
    Depth,
    EmbeddingSize,
    Expansions,
    Head,
    Kernels,
    Momentum,
    SqueezeExcitation,
    Units,
    Widths,
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

IBN = ("none", "stem", "stages")


class UnitShape(NamedTuple):
    """What a unit is made of."""

    inputs: int
    middle: int  # channels between its two convolutions
    outputs: int
    kernel: int  # of its second convolution; the first is 3x3
    stride: int
    attention: str
    act: str
    bn_mom: float
    ibn: bool = False  # the norm between its convolutions is an InstanceBatchNorm

    def middle_norm(self) -> BatchNorm | InstanceBatchNorm:
        """The norm between the two convolutions."""
        return InstanceBatchNorm(self.middle, bn_mom=self.bn_mom) if self.ibn else self.batch_norm(self.middle)

    def batch_norm(self, channels: int) -> BatchNorm:
        """A batch norm as all units use it."""
        return BatchNorm(channels, bn_mom=self.bn_mom)


class ResidualUnit(nn.Module):
    """What the three kinds of unit share: the attention on what they add, and the shortcut of a changed shape."""

    def add_attention(self, s: UnitShape) -> None:
        """Make the attention, under the name that its tensors carry."""
        self.attention = s.attention
        for name, block in make_attention(s.attention, s.outputs, act=s.act, bn_mom=s.bn_mom).items():
            self.add_module(name, block)

    def attend(self, x: Tensor) -> Tensor:
        """``x`` (N, C, H, W) behind the attention; same shape."""
        return x if self.attention == "none" else self.get_submodule(self.attention)(x)


class UnitV1(ResidualUnit):
    """Convolution, norm, activation, convolution, norm; added, then activation.

    ``late_stride`` moves the stride to the second convolution.
    """

    def __init__(self, s: UnitShape, *, late_stride: bool) -> None:
        super().__init__()
        first, second = (1, s.stride) if late_stride else (s.stride, 1)
        self.conv1 = convolution(s.inputs, s.middle, 3, first)
        self.bn1 = s.middle_norm()
        self.relu1 = activation(s.act, s.middle)
        self.conv2 = convolution(s.middle, s.outputs, s.kernel, second)
        self.bn2 = s.batch_norm(s.outputs)
        self.add_attention(s)
        self.conv1sc = convolution(s.inputs, s.outputs, 1, s.stride) if s.stride > 1 else None
        self.sc = s.batch_norm(s.outputs) if s.stride > 1 else None
        self.relu3 = activation(s.act, s.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = self.attend(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))
        shortcut = x if self.conv1sc is None or self.sc is None else self.sc(self.conv1sc(x))
        return self.relu3(out + shortcut)


class UnitV2(ResidualUnit):
    """Pre-activation: norm, activation, convolution, twice; a changed shape's shortcut starts at the activation."""

    def __init__(self, s: UnitShape) -> None:
        super().__init__()
        self.bn1 = s.batch_norm(s.inputs)
        self.relu1 = activation(s.act, s.inputs)
        self.conv1 = convolution(s.inputs, s.middle, 3, s.stride)
        self.bn2 = s.middle_norm()
        self.relu2 = activation(s.act, s.middle)
        self.conv2 = convolution(s.middle, s.outputs, s.kernel)
        self.add_attention(s)
        self.sc = convolution(s.inputs, s.outputs, 1, s.stride) if s.stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        active = self.relu1(self.bn1(x))
        out = self.attend(self.conv2(self.relu2(self.bn2(self.conv1(active)))))
        return out + (x if self.sc is None else self.sc(active))


class UnitV3(ResidualUnit):
    """Norm, convolution, norm, activation, convolution of the stride, norm: ArcFace's "improved" unit."""

    def __init__(self, s: UnitShape) -> None:
        super().__init__()
        self.bn1 = s.batch_norm(s.inputs)
        self.conv1 = convolution(s.inputs, s.middle, 3)
        self.bn2 = s.middle_norm()
        self.relu1 = activation(s.act, s.middle)
        self.conv2 = convolution(s.middle, s.outputs, s.kernel, s.stride)
        self.bn3 = s.batch_norm(s.outputs)
        self.add_attention(s)
        self.conv1sc = convolution(s.inputs, s.outputs, 1, s.stride) if s.stride > 1 else None
        self.sc = s.batch_norm(s.outputs) if s.stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = self.attend(self.bn3(self.conv2(self.relu1(self.bn2(self.conv1(self.bn1(x)))))))
        return out + (x if self.conv1sc is None or self.sc is None else self.sc(self.conv1sc(x)))


class Fusion(nn.Module):
    """Maps of two stages in one, at the finer one's size: it has the detail, the coarser one knows the whole face.

    A step of a feature pyramid (Lin et al., CVPR 2017, arXiv 1612.03144, figure 3), with a unit in place of its last
    convolution. For points, whose heads read places off the map.

    Args:
        fine: images (N, 3, 112, 112) to the finer map (N, fine_channels, S, S).
        coarse: that to (N, coarse_channels, S / 2, S / 2).
        unit: of (N, channels, S, S).
    """

    def __init__(
        self,
        fine: nn.Module,
        coarse: nn.Module,
        unit: nn.Module,
        *,
        fine_channels: int,
        coarse_channels: int,
        channels: int,
    ) -> None:
        super().__init__()
        self.fine, self.coarse = fine, coarse
        self.from_fine = nn.Conv2d(fine_channels, channels, 1)
        self.from_coarse = nn.Conv2d(coarse_channels, channels, 1)
        self.unit = unit

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112) to (N, channels, S, S)."""
        fine = self.fine(x)
        coarse = F.interpolate(self.from_coarse(self.coarse(fine)), scale_factor=2.0, mode="nearest")
        return self.unit(self.from_fine(fine) + coarse)


def _units_used(num_layers: int, net_units: Sequence[int]) -> tuple[int, ...]:
    """The units of the stages that there are, two to four of them.

    Raises:
        UserError: an unknown depth; other than four numbers; a stage without units before one with.
    """
    if num_layers not in UNITS:
        known = ", ".join(str(number) for number in UNITS)
        raise UserError(f"num_layers is {num_layers!r}: choose from {known}")
    stages = tuple(net_units) or UNITS[num_layers]
    require_numbers("net_units", stages, 4, "the units of the four stages", least=0)
    used = tuple(units for units in stages if units)
    require(stages[: len(used)] == used and len(used) > 1, "net_units", net_units, "units in the first stages")
    return used


def _stem(net_input: int, net_ibn: str, width: int, net_act: str, bn_mom: float) -> dict[str, nn.Module]:
    """What comes before the stages, by the names that its tensors carry."""
    stems = "0 (7x7, stride 2), 1 (3x3), 2 (batch norm, 3x3) or 3 (3x3, stride 2)"
    require(net_input in (0, 1, 2, 3), "net_input", net_input, stems)
    require(net_ibn in IBN, "net_ibn", net_ibn, f"one of {', '.join(IBN)}")
    layers: dict[str, nn.Module] = {}
    if net_input == 2:
        layers["bn_data"] = BatchNorm(3, bn_mom=bn_mom, fix_gamma=True)
    layers["conv0"] = convolution(3, width, 7 if net_input == 0 else 3, 2 if net_input in (0, 3) else 1)
    layers["bn0"] = BatchNorm(width, bn_mom=bn_mom) if net_ibn == "none" else InstanceNorm(width)
    layers["relu0"] = activation(net_act, width)
    return layers


@NETWORKS.register
def fresnet(
    *,
    num_layers: Depth = 50,
    emb_size: EmbeddingSize = 512,
    net_output: Head = "E",
    net_act: Activation = "prelu",
    net_unit: Annotated[int, Setting("kind of unit", minimum=1)] = 3,
    net_input: Annotated[int, Setting("kind of input stem", choices=(0, 1, 2, 3))] = 1,
    net_se: SqueezeExcitation = 0,
    net_units: Units = (),
    net_widths: Widths = WIDTHS,
    net_expansions: Expansions = (1, 1, 1, 1),
    net_kernels: Kernels = (3, 3, 3, 3),
    net_attention: Attention = "none",
    net_fusion: Annotated[
        int, Setting("channels of a map that joins the last two stages', for points; 0: none", minimum=0)
    ] = 0,
    net_ibn: Annotated[str, Setting("where pictures are normalised one by one", choices=IBN)] = "none",
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """A residual network of ``num_layers``.

    Args:
        net_unit: 1 classic, 2 pre-activation, 3 ArcFace's unit. (The original lists a 4, whose code it does not have.)
        net_input: 0 first convolution 7x7 of stride 2; 1 3x3 of stride 1; 2 the same behind a batch norm of the raw
            pixels; 3 3x3 of stride 2, which the original lacks: a fifth of the products of 0. Units of version 1 have
            the stride in their first convolution for 0 and 3, else in their second.
        net_se: 1 adds squeeze-and-excitation to every unit, as ``net_attention = "se"`` does.
        net_units: units of the four stages; empty: those that ``num_layers`` names. The last ones may have none.
        net_widths: channels of the first convolution and of the four stages.
        net_expansions: channels between a unit's two convolutions over those it puts out, a stage.
        net_kernels: of a unit's second convolution, a stage.
        net_attention: ``none``, ``se``, ``cbam`` or ``cbam_tanh`` at the end of every unit, before it is added.
        net_fusion: the map that the head reads is that of the last stage but one, joined by the last one's.
        net_ibn: ``stem`` normalises what the first convolution gives a picture, not by the batch; ``stages`` also half
            of the channels between a unit's convolutions, in all stages but the last (IBN-a of IBN-Net: Pan et al.,
            ECCV 2018). The original has no such layers.
    """
    require(net_unit in (1, 2, 3), "net_unit", net_unit, "1 (classic), 2 (pre-activation) or 3 (ArcFace's)")
    require(net_se in (0, 1), "net_se", net_se, "0 (none) or 1 (squeeze-and-excitation)")
    clash = bool(net_se) and net_attention not in ("none", "se")
    require(not clash, "net_attention", net_attention, "'se', which net_se = 1 asks for, or net_se = 0")
    require_numbers("net_widths", net_widths, 5, "the channels of the first convolution and of the four stages")
    require_numbers("net_expansions", net_expansions, 4, "one a stage", least=0.1)
    require_kernels(net_kernels, "of the units' second convolutions, one a stage")
    used = _units_used(num_layers, net_units)
    width = net_widths[0]
    # What comes before the last stage and, with fusion, that one apart.
    parts = [_stem(net_input, net_ibn, width, net_act, bn_mom)]
    halving = net_input in (0, 3)  # a stem that makes 56x56 of the image
    version: Any = {1: partial(UnitV1, late_stride=not halving), 2: UnitV2, 3: UnitV3}[net_unit]

    def unit(inputs: int, middle: int, outputs: int, kernel: int, stride: int, *, ibn: bool = False) -> nn.Module:
        attention = "se" if net_se else net_attention
        made: nn.Module = version(UnitShape(inputs, middle, outputs, kernel, stride, attention, net_act, bn_mom, ibn))
        return made

    for stage, units in enumerate(used):
        outputs, middle = net_widths[stage + 1], max(int(net_widths[stage + 1] * net_expansions[stage]), 1)
        if net_fusion and stage == len(used) - 1:
            parts.append({})
        for number in range(units):
            name = f"stage{stage + 1}_unit{number + 1}"
            ibn = net_ibn == "stages" and stage < len(used) - 1
            parts[-1][name] = unit(width, middle, outputs, net_kernels[stage], 2 if number == 0 else 1, ibn=ibn)
            width = outputs
    size = IMAGE_SIZE // 2 if halving else IMAGE_SIZE
    for _ in used:
        size = -(-size // 2)
    body: nn.Module = named(**parts[0])
    if net_fusion:
        halves = IMAGE_SIZE % (2 ** (len(used) + halving)) == 0  # 112 is halved four times, then rounded up
        require(halves, "net_fusion", net_fusion, "0 where the last map is not half as wide as the one before it")
        fine, coarse = net_widths[len(used) - 1], width
        joining = unit(net_fusion, net_fusion, net_fusion, 3, 1)
        body = Fusion(body, named(**parts[1]), joining, fine_channels=fine, coarse_channels=coarse, channels=net_fusion)
        width, size = net_fusion, 2 * size
    head = make_head(
        net_output, channels=width, size=size, emb_size=emb_size, act=net_act, bn_mom=bn_mom, gdc_channels=width
    )
    network = FaceNetwork(body, head, emb_size, normalise=net_input != 2)
    initialise_gaussian_out(network)
    return network
