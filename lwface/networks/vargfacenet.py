"""VarGFaceNet (Yan et al. 2019, arXiv 1910.04985), which won the challenge's light track."""

from __future__ import annotations

from torch import Tensor, nn

from lwface.networks.base import NETWORKS, FaceNetwork, require, scaled
from lwface.networks.heads import make_head
from lwface.networks.layers import (
    BatchNorm,
    SqueezeExcite,
    activation,
    convolution,
    initialise_uniform_in,
    named,
)
from lwface.networks.settings import Activation, EmbeddingSize, Head, Momentum, Multiplier, SqueezeExcitation

GROUP_WIDTH = 8  # channels a group of the spatial convolutions has: its number of groups is what varies
STAGES = ((2, 64, 3), (3, 128, 7), (4, 256, 4))  # name, channels and units; each begins by halving the map
FIRST_WIDTH = 32
EXPANSION = 2  # of the spatial convolutions inside the stages
LAST_WIDTH = 1024
SE_REDUCTION = 4


class VargLayers:
    """Builds this family's blocks with one activation and one batch-norm momentum."""

    def __init__(self, act: str, bn_mom: float, se: bool) -> None:
        self.act = act
        self.bn_mom = bn_mom
        self.se = se

    def norm(self, channels: int) -> BatchNorm:
        """A batch norm."""
        return BatchNorm(channels, bn_mom=self.bn_mom)

    def slope(self, channels: int) -> nn.Module:
        """An activation."""
        return activation(self.act, channels)

    def gate(self, channels: int) -> SqueezeExcite | None:
        """Squeeze-and-excitation, if asked for."""
        return SqueezeExcite(channels, self.act, SE_REDUCTION, act_name="act1") if self.se else None

    def separable(
        self, inputs: int, outputs: int, expansion: int, stride: int = 1, *, linear: bool = False
    ) -> nn.Sequential:
        """3x3 convolution in groups of ``GROUP_WIDTH`` channels, then 1x1 convolution, without activation if linear."""
        hidden = inputs * expansion
        return named(
            conv2d_depthwise=convolution(inputs, hidden, 3, stride, groups=inputs // GROUP_WIDTH),
            conv2d_depthwise_bn=self.norm(hidden),
            conv2d_depthwise_act=self.slope(hidden),
            conv2d_pointwise=convolution(hidden, outputs),
            conv2d_pointwise_bn=self.norm(outputs),
            conv2d_pointwise_act=None if linear else self.slope(outputs),
        )


class VargUnit(nn.Module):
    """Two separable convolutions, added to the input; a unit that halves the map has a third one as its shortcut."""

    def __init__(self, layers: VargLayers, channels: int, expansion: int, stride: int = 1) -> None:
        super().__init__()
        self.shortcut = None if stride == 1 else layers.separable(channels, channels, expansion, stride, linear=True)
        self.sep1_data = layers.separable(channels, channels, expansion, stride)
        self.sep2_data = layers.separable(channels, channels, expansion, linear=True)
        self.se = layers.gate(channels)
        self.out_data_act = layers.slope(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, channels, H / stride, W / stride)."""
        out = self.sep2_data(self.sep1_data(x))
        if self.se is not None:
            out = self.se(out)
        return self.out_data_act(out + (x if self.shortcut is None else self.shortcut(x)))


class DownUnit(nn.Module):
    """Begins a stage: two branches halve the map and are added, a separable convolution follows, then the shortcut."""

    def __init__(self, layers: VargLayers, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = layers.separable(inputs, outputs, EXPANSION, 2, linear=True)
        self.sep1_data_branch = layers.separable(inputs, outputs, EXPANSION, 2, linear=True)
        self.sep2_data_branch = layers.separable(inputs, outputs, EXPANSION, 2, linear=True)
        self.sep1_data_act = layers.slope(outputs)
        self.sep2_data = layers.separable(outputs, outputs, EXPANSION, linear=True)
        self.out_data_act = layers.slope(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / 2, W / 2)."""
        merged = self.sep1_data_act(self.sep1_data_branch(x) + self.sep2_data_branch(x))
        return self.out_data_act(self.sep2_data(merged) + self.shortcut(x))


def _embedding_block(layers: VargLayers, inputs: int) -> nn.Sequential:
    """(N, inputs, 7, 7) to (N, LAST_WIDTH / 2, 1, 1): widen, one convolution over the whole map, narrow."""
    return named(
        convx=convolution(inputs, LAST_WIDTH),
        convx_bn=layers.norm(LAST_WIDTH),
        convx_act=layers.slope(LAST_WIDTH),
        convx_depthwise=convolution(LAST_WIDTH, LAST_WIDTH, 7, padding=0, groups=LAST_WIDTH // GROUP_WIDTH),
        convx_depthwise_bn=layers.norm(LAST_WIDTH),
        convx_pointwise=convolution(LAST_WIDTH, LAST_WIDTH // 2),
        convx_pointwise_bn=layers.norm(LAST_WIDTH // 2),
        convx_pointwise_act=layers.slope(LAST_WIDTH // 2),
    )


@NETWORKS.register
def vargfacenet(
    *,
    emb_size: EmbeddingSize = 512,
    net_output: Head = "J",
    net_act: Activation = "prelu",
    net_multiplier: Multiplier = 1.25,
    net_se: SqueezeExcitation = 0,
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """VarGFaceNet whose stages' channels are multiplied by ``net_multiplier``; the last layers keep theirs.

    Args:
        net_multiplier: every stage's width must stay a multiple of 8, as multiples of 0.25 guarantee.
        net_se: 1 adds squeeze-and-excitation to every unit but the first of a stage.
    """
    require(net_se in (0, 1), "net_se", net_se, "0 (none) or 1 (squeeze-and-excitation)")
    layers = VargLayers(net_act, bn_mom, bool(net_se))
    width, *widths = (scaled(channels, net_multiplier) for channels in (FIRST_WIDTH, *(s[1] for s in STAGES)))
    whole = not any(channels % GROUP_WIDTH for channels in (width, *widths))
    require(whole, "net_multiplier", net_multiplier, f"widths that are multiples of {GROUP_WIDTH}, such as 0.25 gives")
    body: dict[str, nn.Module] = {
        "vargface_head": named(
            conv1=convolution(3, width, 3),
            conv1_bn=layers.norm(width),
            conv1_act=layers.slope(width),
            head_pooling=VargUnit(layers, width, 1, 2),  # (N, width, 56, 56)
        )
    }
    for (stage, _, units), outputs in zip(STAGES, widths, strict=True):
        body[f"vargface_stage_{stage}_unit_1"] = DownUnit(layers, width, outputs)
        for unit in range(2, units + 1):
            body[f"vargface_stage_{stage}_unit_{unit}"] = VargUnit(layers, outputs, EXPANSION)
        width = outputs
    body["embed"] = _embedding_block(layers, width)
    head = make_head(net_output, channels=LAST_WIDTH // 2, size=1, emb_size=emb_size, act=net_act, bn_mom=bn_mom)
    network = FaceNetwork(named(**body), head, emb_size)
    initialise_uniform_in(network)
    return network
