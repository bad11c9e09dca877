"""Attention blocks: a factor on each channel or position of a map, computed from the map itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lwface.base.errors import unknown_name
from lwface.networks.base import require, require_count
from lwface.networks.layers import BatchNorm, SqueezeExcite, activation, named

ATTENTIONS = ("none", "se", "cbam", "cbam_tanh")  # what net_attention may ask for

Gate = Callable[[Tensor], Tensor]  # from any number to a factor


def tanh_gate(x: Tensor) -> Tensor:
    """Factors between 0 and 2: unlike a sigmoid's, they start around 1, so deep stacks of blocks do not fade."""
    return 1 + torch.tanh(x)


class ChannelGate(nn.Module):
    """Gate each channel by all channels' means: squeeze-and-excitation (arXiv 1709.01507) with any two activations."""

    def __init__(self, channels: int, hidden: int, act: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, hidden, 1)
        self.act1 = act
        self.conv2 = nn.Conv2d(hidden, channels, 1)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, C, H, W) gated; same shape."""
        means = F.adaptive_avg_pool2d(x, 1)  # (N, C, 1, 1)
        return x * self.gate(self.conv2(self.act1(self.conv1(means))))


class ChannelAttention(nn.Module):
    """Gate each channel by its mean and its maximum (Woo et al. 2018, arXiv 1807.06521, equation 2).

    Both summaries go through the same two layers, of which the first keeps ``channels / reduction`` numbers.
    """

    def __init__(self, channels: int, reduction: int = 16, act: str = "relu", gate: Gate = torch.sigmoid) -> None:
        super().__init__()
        require_count("reduction", reduction)
        self.gate = gate
        hidden = max(channels // reduction, 1)
        self.mlp = named(
            conv1=nn.Conv2d(channels, hidden, 1), relu1=activation(act, hidden), conv2=nn.Conv2d(hidden, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, C, H, W) gated; same shape."""
        means, peaks = F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)  # (N, C, 1, 1)
        return x * self.gate(self.mlp(means) + self.mlp(peaks))


class SpatialAttention(nn.Module):
    """Gate each position by the mean and the maximum over channels around it (arXiv 1807.06521, equation 3).

    The batch norm behind the convolution is the authors' program's; the paper does not draw it.
    """

    def __init__(self, kernel: int = 7, bn_mom: float = 0.9, gate: Gate = torch.sigmoid) -> None:
        super().__init__()
        require_count("kernel", kernel)
        self.gate = gate
        require(kernel % 2 == 1, "kernel", kernel, "an odd number, so that the map keeps its size")
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)
        self.bn = BatchNorm(1, bn_mom=bn_mom)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, C, H, W) gated; same shape."""
        summaries = torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), 1)  # (N, 2, H, W)
        return x * self.gate(self.bn(self.conv(summaries)))


class CBAM(nn.Sequential):
    """Convolutional block attention module: channel attention, then spatial (Woo et al. 2018, arXiv 1807.06521)."""

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        kernel: int = 7,
        act: str = "relu",
        gate: Gate = torch.sigmoid,
        bn_mom: float = 0.9,
    ) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction, act, gate)
        self.spatial = SpatialAttention(kernel, bn_mom, gate)


def make_attention(name: str, channels: int, *, act: str, bn_mom: float) -> dict[str, nn.Module]:
    """The block that ``net_attention`` asks for under the name its tensors get; nothing for ``none``."""
    if name not in ATTENTIONS:
        raise unknown_name("attention (net_attention)", name, ATTENTIONS)
    if name == "none":
        return {}
    if name == "se":
        return {name: SqueezeExcite(channels, act)}
    gate = tanh_gate if name == "cbam_tanh" else torch.sigmoid
    return {"cbam": CBAM(channels, gate=gate, bn_mom=bn_mom)}
