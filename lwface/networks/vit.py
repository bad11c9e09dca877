"""Vision transformers for faces (An et al. 2022, arXiv 2203.15565, after Dosovitskiy et al. 2021): vit_t vit_s vit_b.

The image is cut into 144 patches of 9 pixels, each a token; in every block each token looks at all others. There is
no class token: the tokens together make the embedding. Built as the authors' program (arcface_torch): width 256, 512
and 512, depth 12, 12 and 24, 8 heads, no bias in query, key and value, ReLU6, learned places, a tenth of the patches
hidden and up to a tenth of the branches left out in training; with its weights, embeddings are the same. The
attention's products are nothing to the official counter: "uncounted", in multiply-adds. The reported GFLOPs are
multiply-adds, attention included:

======= =========== ============= ========= ========== ======
.       here                                           theirs
------- ---------------------------------------------- ------
network FLOPs       multiply-adds uncounted parameters GFLOPs
======= =========== ============= ========= ========== ======
vit_t   2753633536  1504882688    127401984 19137792   1.5
vit_s   10980834304 5746548736    254803968 76023296   5.7
vit_b   21849816064 11437170688   509607936 113833472  11.4
======= =========== ============= ========= ========== ======

The batch norm of the embedding learns its scale, as theirs does, where the other families fix it at 1. The last 4 rows
and columns of pixels belong to no patch. vit_b fits the large track; their vit_l, with 49138801408 FLOPs, would not.
The authors train with AdamW.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lwface.base.setting import Setting
from lwface.networks.base import IMAGE_SIZE, NETWORKS, FaceNetwork, require, require_count
from lwface.networks.layers import BatchNorm, StochasticDepth, named
from lwface.networks.settings import Depth, DropPath, EmbeddingSize, Momentum

PATCH = 9  # pixels; 12 x 12 patches cover 108 of the 112 pixels, the last 4 rows and columns are not seen
PATCHES = (IMAGE_SIZE // PATCH) ** 2  # 144
HIDDEN = 4  # numbers inside the two layers behind the attention, over those outside
START = 0.02  # standard deviation of the initial weights


class Attention(nn.Module):
    """Self-attention of several heads (Vaswani et al. 2017, arXiv 1706.03762, equation 1)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, width), same shape."""
        images, length, width = tokens.shape
        split = self.qkv(tokens).reshape(images, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)  # each (N, heads, T, width / heads)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(images, length, width))


class Block(nn.Module):
    """Layer norm and attention, layer norm and two linear layers, each added to its input."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = named(fc1=nn.Linear(width, HIDDEN * width), act=nn.ReLU6(), fc2=nn.Linear(HIDDEN * width, width))
        self.drop_path = StochasticDepth(drop_path)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, width), same shape."""
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens)))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens)))


class Tokens(nn.Module):
    """Numbers that are learned as such: the patches' places, or what stands for a hidden patch."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(1, count, width))


class Transformer(nn.Module):
    """The body: patches become tokens, tokens look at each other; in training a share ``mask`` of them is hidden.

    Hidden patches are left out of all blocks; behind them one learned token takes the place of each (An et al.).
    """

    def __init__(self, width: int, depth: int, heads: int, drop_path: float, mask: float) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, PATCH, PATCH)
        self.position = Tokens(PATCHES, width)
        rates = [drop_path * i / max(depth - 1, 1) for i in range(depth)]  # the deeper, the more often left out
        self.blocks = nn.ModuleList(Block(width, heads, rate) for rate in rates)
        self.norm = nn.LayerNorm(width)
        self.mask = Tokens(1, width) if mask > 0 else None
        self.seen = int(PATCHES * (1 - mask))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 112, 112) to (N, 144, width)."""
        tokens = self.patch_embed(x).flatten(2).transpose(1, 2) + self.position.embedding
        if self.mask is None or not self.training:
            return self._blocks(tokens)
        images, _, width = tokens.shape
        order = torch.rand(images, PATCHES, device=x.device).argsort(1)
        places = order[:, : self.seen, None].expand(-1, -1, width)  # (N, seen, width)
        found = self._blocks(tokens.gather(1, places))
        hidden = self.mask.embedding.to(found.dtype).expand(images, PATCHES, width)
        return hidden.scatter(1, places, found)

    def _blocks(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


@NETWORKS.register
def vit(
    *,
    emb_size: EmbeddingSize = 512,
    num_layers: Depth = 12,
    net_width: Annotated[int, Setting("numbers that stand for a patch", minimum=1)] = 256,
    net_heads: Annotated[int, Setting("attention heads", minimum=1)] = 8,
    net_drop_path: DropPath = 0.1,
    net_mask: Annotated[float, Setting("share of patches hidden in training", minimum=0)] = 0.1,
    bn_mom: Momentum = 0.9,
) -> FaceNetwork:
    """A vision transformer; all its tokens together make the embedding.

    Args:
        num_layers: blocks.
        net_width: numbers of a token.
        net_heads: attention heads, a divisor of ``net_width``.
        net_drop_path: probability with which training leaves the last block's branches out, for each image on its own;
            it rises linearly from 0 at the first block.
        net_mask: share of an image's patches hidden in training.
    """
    for setting, value in (("emb_size", emb_size), ("num_layers", num_layers), ("net_width", net_width)):
        require_count(setting, value)
    require_count("net_heads", net_heads)
    require(net_width % net_heads == 0, "net_heads", net_heads, f"a divisor of net_width = {net_width}")
    possible = 0 <= net_mask <= 1 - 1 / PATCHES
    require(possible, "net_mask", net_mask, f"a share from 0 on that leaves one of {PATCHES} patches")
    head = named(
        flatten=nn.Flatten(),
        feature1=nn.Linear(PATCHES * net_width, net_width, bias=False),
        bn1=BatchNorm(net_width, bn_mom=bn_mom),
        pre_fc1=nn.Linear(net_width, emb_size, bias=False),
        fc1=BatchNorm(emb_size, bn_mom=bn_mom),
    )
    network = FaceNetwork(Transformer(net_width, num_layers, net_heads, net_drop_path, net_mask), head, emb_size)
    _initialise(network)
    return network


def _initialise(network: nn.Module) -> None:
    """Linear layers and tokens from N(0, 0.02**2), biases 0; the convolution as PyTorch starts it: the authors' start.

    Their cut at +-2 is a hundred deviations away.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=START)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, Tokens):
            nn.init.normal_(module.embedding, std=START)
