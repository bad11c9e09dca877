"""Output heads (``net_output``): from the last feature map (N, C, S, S) to the embedding (N, D).

The letters are the original's. All end in a batch norm whose scale is fixed, except F, G and H. Layers are called as
there; a 0 ends the names that MXNet gave to what the original left unnamed.

==== ==========================================================================================================
E    batch norm, dropout 0.4, linear, batch norm
FC   batch norm, linear, batch norm; I is the same
GAP  batch norm, activation, mean over the map, linear, batch norm
GDC  7x7 depthwise convolution over the whole map, batch norm, linear, batch norm (MobileFaceNet, arXiv 1804.07573)
GNAP batch norm, positions weighted by the norm of their features, mean over the map, batch norm and linear where the
     width shrinks, batch norm; an embedding wider than 512 has 1x1 convolution, batch norm and activation before that
J    linear, batch norm
SFC  batch norm, 3x3 depthwise convolution of stride 2, 1x1 convolution, linear, batch norm
F    batch norm, dropout 0.4, linear
G    batch norm, linear
H    linear
==== ==========================================================================================================

The original's letter Z is not here, because nothing of the original can use it: it ends in the feature map itself,
under another name than the output ``fc1`` that its trainer, its counter and its feature writers ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lwface.base.errors import UserError, unknown_name
from lwface.networks.base import require_count
from lwface.networks.layers import BatchNorm, activation, conv_block, convolution, named

DROPOUT = 0.4
GDC_CHANNELS = 512  # width of the depthwise convolution where a family asks for no other
GDC_KERNEL = 7  # and its kernel: the whole map, in all of the original's families
GNAP_CHANNELS = 512  # the original takes every map to be as wide as MobileFaceNet's


@dataclass(frozen=True)
class HeadSettings:
    """What a head needs to know."""

    channels: int  # C of the feature map
    size: int  # S of the feature map
    emb_size: int  # D
    act: str
    bn_mom: float
    gdc_channels: int
    gdc_kernel: int

    def batch_norm(self, channels: int, *, fix_gamma: bool = False) -> BatchNorm:
        """A batch norm as all heads use it."""
        return BatchNorm(channels, bn_mom=self.bn_mom, fix_gamma=fix_gamma)

    def last_norm(self) -> BatchNorm:
        """The batch norm of the embedding."""
        return self.batch_norm(self.emb_size, fix_gamma=True)


def make_head(
    net_output: str,
    *,
    channels: int,
    size: int,
    emb_size: int,
    act: str,
    bn_mom: float,
    gdc_channels: int = GDC_CHANNELS,
    gdc_kernel: int = GDC_KERNEL,
) -> nn.Module:
    """The head called ``net_output`` for a feature map (N, channels, size, size)."""
    require_count("emb_size", emb_size)
    if net_output not in HEADS:
        raise unknown_name("output head (net_output)", net_output, HEADS)
    return HEADS[net_output](HeadSettings(channels, size, emb_size, act, bn_mom, gdc_channels, gdc_kernel))


def _flat(*, norm: bool = True, dropout: bool = False, last_norm: bool = True) -> Callable[[HeadSettings], nn.Module]:
    """Heads that read the flattened map by one linear layer."""

    def build(s: HeadSettings) -> nn.Module:
        linear = nn.Linear(s.channels * s.size**2, s.emb_size)
        return named(
            bn1=s.batch_norm(s.channels) if norm else None,
            dropout0=nn.Dropout(DROPOUT) if dropout else None,
            flatten=nn.Flatten(),
            pre_fc1=linear if last_norm else None,
            fc1=s.last_norm() if last_norm else linear,
        )

    return build


def _gap(s: HeadSettings) -> nn.Module:
    return named(
        bn1=s.batch_norm(s.channels),
        relu1=activation(s.act, s.channels),
        pool1=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        pre_fc1=nn.Linear(s.channels, s.emb_size),
        fc1=s.last_norm(),
    )


def _gdc(s: HeadSettings) -> nn.Module:
    kernel, width = s.gdc_kernel, s.gdc_channels
    if s.size < kernel or s.channels % width:
        raise UserError(
            f"net_output 'GDC' needs a map of at least {kernel}x{kernel} whose channels are a multiple of {width}, "
            f"not {s.channels} channels of {s.size}x{s.size}: choose another net_output, or another "
            "width or stride (net_multiplier, net_input, where the family has them)"
        )
    depthwise = conv_block(s.channels, width, kernel, padding=0, groups=width, act=None, bn_mom=s.bn_mom)
    return named(
        conv_6dw7_7=depthwise,
        flatten=nn.Flatten(),
        pre_fc1=nn.Linear(width * (s.size - kernel + 1) ** 2, s.emb_size),
        fc1=s.last_norm(),
    )


class NormWeighting(nn.Module):
    """Scale each position so that all have the mean norm, so that none dominates the mean over the map that follows.

    In training the mean norm is the batch's, as in the original. The original takes the batch's in evaluation, too,
    where an embedding would depend on the images beside it; here it is then each image's own, which is what the
    original computes for a batch of one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, C, H, W) weighted; same shape."""
        norms = torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_min(1e-12)  # (N, 1, H, W)
        mean = norms.mean() if self.training else norms.mean((2, 3), keepdim=True)
        return x * (mean / norms)


def _gnap(s: HeadSettings) -> nn.Module:
    wider = s.emb_size > min(s.channels, GNAP_CHANNELS)
    width = s.emb_size if wider else s.channels
    narrower = s.emb_size < width
    return named(
        convx=convolution(s.channels, width) if wider else None,
        convx_bn=s.batch_norm(width) if wider else None,
        convx_relu=activation(s.act, width) if wider else None,
        bn6f=s.batch_norm(width, fix_gamma=True),
        weighting=NormWeighting(),
        pooling0=nn.AdaptiveAvgPool2d(1),
        bn6w=s.batch_norm(width, fix_gamma=True) if narrower else None,
        flatten0=nn.Flatten(),
        pre_fc1=nn.Linear(width, s.emb_size) if narrower else None,
        fc1=s.last_norm(),
    )


def _sfc(s: HeadSettings) -> nn.Module:
    width, size = s.gdc_channels, (s.size + 1) // 2
    if s.channels % width:
        raise UserError(f"net_output 'SFC' needs a map whose channels are a multiple of {width}, not {s.channels}")
    return named(
        bn1=s.batch_norm(s.channels),
        convf=convolution(s.channels, width, 3, 2, groups=width),
        bnf=s.batch_norm(width),
        reluf=activation(s.act, width),
        convf2=nn.Conv2d(width, width, 1),
        bnf2=s.batch_norm(width),
        reluf2=activation(s.act, width),
        flatten=nn.Flatten(),
        pre_fc1=nn.Linear(width * size**2, s.emb_size),
        fc1=s.last_norm(),
    )


HEADS: dict[str, Callable[[HeadSettings], nn.Module]] = {
    "E": _flat(dropout=True),
    "F": _flat(dropout=True, last_norm=False),
    "FC": _flat(),
    "G": _flat(last_norm=False),
    "GAP": _gap,
    "GDC": _gdc,
    "GNAP": _gnap,
    "H": _flat(norm=False, last_norm=False),
    "I": _flat(),
    "J": _flat(norm=False),
    "SFC": _sfc,
}
