"""EdgeFace (George et al. 2023, arXiv 2307.01838): EdgeNeXt with factorised linear layers, for embeddings.

EdgeNeXt (Maaz et al. 2022, arXiv 2206.10589) is a ConvNeXt whose stages from 14 pixels on end in an attention between
channels, whose cost grows only linearly with the positions. EdgeFace writes a linear layer as a product of two, whose
rank is a share gamma of its smaller side. Sizes are those of the authors' program (otroshi/edgeface) and of EdgeNeXt in
PyTorch Image Models, on which it rests; with its weights, embeddings are the same. The attention's products of two
activations are nothing to the official counter: "uncounted", in multiply-adds. The authors' MFLOPs are two a
multiply-add, like the official count, attention included:

======== ===== ========== ============= ========= ========== ======== ==========
.              here                                          reported
-------------- --------------------------------------------- -------------------
net_size gamma FLOPs      multiply-adds uncounted parameters MFLOPs   parameters
======== ===== ========== ============= ========= ========== ======== ==========
xxs      none  92306676   46695866      542528    1244744    94.72    1.24 M
xs       0.6   150340045  76090396      812296    1770492    154.00   1.77 M
s        0.5   301163272  151693584     973120    3652520    306.12   3.65 M
base     none  1388164428 697120054     3037840   18225812   1398.83  18.23 M
======== ===== ========== ============= ========= ========== ======== ==========

The difference is the projection of positions, which does not depend on the image, and what the authors count besides
products. They train with AdamW.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from lwface.base.errors import unknown_name
from lwface.base.setting import Setting
from lwface.networks.base import IMAGE_SIZE, NETWORKS, FaceNetwork, require
from lwface.networks.layers import named
from lwface.networks.settings import EmbeddingSize


class Size(NamedTuple):
    """A member of the family: units and channels of the four stages, heads of the attention."""

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    heads: int


SIZES = {
    "xxs": Size((2, 2, 6, 2), (24, 48, 88, 168), 4),
    "xs": Size((3, 3, 9, 3), (32, 64, 100, 192), 4),
    "s": Size((3, 3, 9, 3), (48, 96, 160, 304), 8),
    "base": Size((3, 3, 9, 3), (80, 160, 288, 584), 8),
}
KERNELS = (3, 5, 7, 9)  # of the depthwise convolutions of the four stages
SPLITS = (0, 2, 3, 4)  # parts of the channels in the attention block that ends a stage; 0: the stage has none
POSITION_STAGE = 1  # the stage whose attention is told the positions
EXPANSION = 4
LAYER_NORM_EPS = 1e-6
FIRST_SCALE = 1e-6  # what every block's branch is multiplied by at the start
START_DEVIATION = 0.02
PATCH = 4  # pixels a side of the first layer's patches
FREQUENCIES = 32  # numbers of the position table for each axis
WAVELENGTHS = 10000.0  # longest over shortest


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each position of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, C, H, W) normalised; same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def rank_of(inputs: int, outputs: int, rank_share: float) -> int:
    """The rank of a factorised linear layer."""
    return max(2, int(min(inputs, outputs) * rank_share))


def linear(inputs: int, outputs: int, rank_share: float) -> nn.Module:
    """A linear layer, as the product of two when ``rank_share`` is not 0."""
    if not rank_share:
        return nn.Linear(inputs, outputs)
    rank = rank_of(inputs, outputs, rank_share)
    return named(down=nn.Linear(inputs, rank, bias=False), up=nn.Linear(rank, outputs))


def _inverted(channels: int, rank_share: float) -> nn.Sequential:
    """Two linear layers with a wide middle."""
    hidden = EXPANSION * channels
    return named(fc1=linear(channels, hidden, rank_share), act=nn.GELU(), fc2=linear(hidden, channels, rank_share))


class ConvBlock(nn.Module):
    """Depthwise convolution, then for each position layer norm and inverted bottleneck; added to the input."""

    def __init__(self, channels: int, kernel: int, rank_share: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=LAYER_NORM_EPS)
        self.mlp = _inverted(channels, rank_share)
        self.scale = nn.Parameter(torch.full((channels,), FIRST_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        positions = self.conv(x).permute(0, 2, 3, 1)  # (N, H, W, C)
        out = self.scale * self.mlp(self.norm(positions))
        return x + out.permute(0, 3, 1, 2)


def _unit_rows(x: Tensor) -> Tensor:
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(1e-12)


class CrossCovarianceAttention(nn.Module):
    """Attention between channels: an output channel is a mixture of the channels of its head (arXiv 2106.09681)."""

    def __init__(self, channels: int, positions: int, heads: int, rank_share: float) -> None:
        super().__init__()
        self.channels, self.positions, self.heads = channels, positions, heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = linear(channels, 3 * channels, rank_share)
        self.proj = linear(channels, channels, rank_share)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, C) to the same shape."""
        rows = self.qkv(tokens).transpose(1, 2)  # (N, 3 C, T)
        shape = (-1, self.heads, self.channels // self.heads, self.positions)
        query, key, value = (part.reshape(shape) for part in torch.split(rows, self.channels, 1))  # (N, h, C / h, T)
        likeness = _unit_rows(query) @ _unit_rows(key).transpose(2, 3)  # (N, h, C / h, C / h)
        mixed = torch.softmax(likeness * self.temperature, -1) @ value
        return self.proj(mixed.reshape(-1, self.channels, self.positions).transpose(1, 2))


def waves(size: int, device: torch.device) -> Tensor:
    """Sines (even rows) and cosines (odd rows) of each coordinate: (FREQUENCIES, size)."""
    places = torch.arange(1, size + 1, dtype=torch.float32, device=device) * (2 * math.pi / (size + 1e-6))
    lengths = WAVELENGTHS ** torch.arange(0, 1, 2 / FREQUENCIES, dtype=torch.float32, device=device)
    phases = places / lengths[:, None]  # (FREQUENCIES / 2, size)
    return torch.stack((phases.sin(), phases.cos()), 1).reshape(FREQUENCIES, size)


class PositionEncoding(nn.Module):
    """What the attention is told of each position: a learnt projection of its row's and its column's :func:`waves`.

    The authors' program does it with a 1x1 convolution. Written as sums, a row's and a column's are computed once each,
    and no counter of FLOPs takes what does not depend on the image for a layer.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.zeros(channels, 2 * FREQUENCIES))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self) -> Tensor:
        """(1, C, size, size)."""
        table = waves(self.size, self.weight.device).to(self.weight.dtype)
        of_row, of_column = torch.split(self.weight[:, :, None], FREQUENCIES, 1)  # (C, FREQUENCIES, 1)
        rows, columns = (of_row * table).sum(1), (of_column * table).sum(1)  # (C, size)
        return (rows[:, :, None] + columns[:, None, :] + self.bias[:, None, None])[None]


class SplitAttentionBlock(nn.Module):
    """Channels in parts, each filtered and added to the next; attention between channels; inverted bottleneck."""

    def __init__(self, channels: int, size: int, heads: int, parts: int, rank_share: float, *, positions: bool) -> None:
        super().__init__()
        self.flat, self.square = (-1, channels, size**2), (-1, channels, size, size)
        width = math.ceil(channels / parts)
        self.widths = [width] * (parts - 1) + [channels - width * (parts - 1)]
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, groups=width) for _ in range(parts - 1))
        self.positions = PositionEncoding(channels, size) if positions else None
        self.norm_attention = nn.LayerNorm(channels, eps=LAYER_NORM_EPS)
        self.scale_attention = nn.Parameter(torch.full((channels,), FIRST_SCALE))
        self.attention = CrossCovarianceAttention(channels, size**2, heads, rank_share)
        self.norm = nn.LayerNorm(channels, eps=LAYER_NORM_EPS)
        self.mlp = _inverted(channels, rank_share)
        self.scale = nn.Parameter(torch.full((channels,), FIRST_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        *filtered, last = torch.split(x, self.widths, 1)
        out: list[Tensor] = []
        for conv, piece in zip(self.convs, filtered, strict=True):
            out.append(conv(piece + out[-1] if out else piece))
        mixed = torch.cat((*out, last), 1)
        if self.positions is not None:
            mixed = mixed + self.positions()
        tokens = mixed.reshape(self.flat).transpose(1, 2)  # (N, H W, C)
        tokens = tokens + self.scale_attention * self.attention(self.norm_attention(tokens))
        tokens = self.scale * self.mlp(self.norm(tokens))
        return x + tokens.transpose(1, 2).reshape(self.square)


@NETWORKS.register
def edgeface(
    *,
    emb_size: EmbeddingSize = 512,
    net_size: Annotated[str, Setting("which of the authors' sizes", choices=tuple(SIZES))] = "s",
    net_rank: Annotated[float, Setting("share of the full rank that linear layers keep; 0: all", minimum=0)] = 0.5,
) -> FaceNetwork:
    """EdgeFace of ``net_size`` ``xxs``, ``xs``, ``s`` or ``base``.

    ``net_rank`` is gamma: the share of the full rank that linear layers keep; 0: they are not factorised.
    """
    if net_size not in SIZES:
        raise unknown_name("net_size", net_size, SIZES)
    good = isinstance(net_rank, (int, float)) and 0 <= net_rank <= 1
    require(good, "net_rank", net_rank, "the share of the full rank, from 0 (not factorised) to 1")
    depths, widths, heads = SIZES[net_size]
    size = IMAGE_SIZE // PATCH
    layers: dict[str, nn.Module] = {
        "stem": nn.Conv2d(3, widths[0], PATCH, PATCH),  # (N, 48, 28, 28)
        "stem_norm": ChannelNorm(widths[0]),
    }
    for stage, (depth, width, kernel, parts) in enumerate(zip(depths, widths, KERNELS, SPLITS, strict=True)):
        if stage > 0:
            size //= 2  # 28, 14, 7, 3: the last halving leaves out a row and a column
            layers[f"down{stage}_norm"] = ChannelNorm(widths[stage - 1])
            layers[f"down{stage}"] = nn.Conv2d(widths[stage - 1], width, 2, 2)
        for number in range(depth):
            name = f"stage{stage}_block{number}"
            if parts and number == depth - 1:
                layers[name] = SplitAttentionBlock(
                    width, size, heads, parts, net_rank, positions=stage == POSITION_STAGE
                )
            else:
                layers[name] = ConvBlock(width, kernel, net_rank)
    rank = rank_of(widths[-1], emb_size, net_rank) if net_rank else 0
    head = named(
        pool=nn.AdaptiveAvgPool2d(1),
        norm=ChannelNorm(widths[-1]),
        flatten=nn.Flatten(),
        pre_fc1=nn.Linear(widths[-1], rank, bias=False) if rank else None,
        fc1=nn.Linear(rank or widths[-1], emb_size),
    )
    network = FaceNetwork(named(**layers), head, emb_size)
    _initialise(network)
    return network


def _initialise(network: nn.Module) -> None:
    """Weights from a normal distribution of deviation 0.02, cut off at 2, biases 0: EdgeNeXt's start."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, PositionEncoding)) and not module.weight.is_meta:
            nn.init.trunc_normal_(module.weight, std=START_DEVIATION)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
