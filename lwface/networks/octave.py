"""Octave convolution (Chen et al. 2019, arXiv 1904.05049): part of a map's channels are kept at half the resolution.

An octave map is a pair ``(high, low)``: (N, H, h, w) and (N, L, h/2, w/2), or None where L is 0. Its two numbers of
channels ``(H, L)`` come from :func:`split`. What the authors' program does and the paper leaves open: a stride of 2
averages 2x2 pixels before the convolution, so that the two resolutions stay aligned; a depthwise convolution has no
path from one resolution to the other; the network's last, smallest maps are plain, as their half would be 3.5 pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from lwface.networks.base import require
from lwface.networks.layers import convolution

Octave = tuple[Tensor, Tensor | None]
Channels = tuple[int, int]


def split(channels: int, alpha: float) -> Channels:
    """How many of ``channels`` are high and how many low when a share ``alpha`` is low, rounded down."""
    good = isinstance(alpha, (int, float)) and 0 <= alpha < 1
    require(good, "net_alpha", alpha, "the share of channels at half resolution, at least 0 and below 1")
    low = int(alpha * channels)
    return channels - low, low


def _halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2)


class OctaveConv(nn.Module):
    """A convolution without bias from one octave map to another: the sum of up to four plain ones.

    With * for the convolution at stride 1 (equations 4 and 5 of the paper)::

        high' = high * h2h + doubled(low * l2h)
        low'  = low * l2l  + halved(high) * h2l

    At stride 2 both inputs are halved first, and ``low * l2h`` has the size of ``high'`` as it is.
    """

    def __init__(
        self, inputs: Channels, outputs: Channels, kernel: int = 1, stride: int = 1, *, depthwise: bool = False
    ) -> None:
        super().__init__()
        require(stride in (1, 2), "stride", stride, "1 or 2")
        require(not depthwise or inputs == outputs, "outputs", outputs, f"as many as inputs, {inputs}")
        self.stride = stride

        def path(source: int, target: int, *, across: bool = False) -> nn.Conv2d | None:
            if not source or not target or (depthwise and across):
                return None
            return convolution(source, target, kernel, groups=source if depthwise else 1)

        self.h2h = convolution(inputs[0], outputs[0], kernel, groups=inputs[0] if depthwise else 1)
        self.h2l = path(inputs[0], outputs[1], across=True)
        self.l2h = path(inputs[1], outputs[0], across=True)
        self.l2l = path(inputs[1], outputs[1])

    def forward(self, maps: Octave) -> Octave:
        """Octave map of ``inputs`` channels to one of ``outputs`` channels, both sides divided by ``stride``."""
        high, low = maps
        if self.stride == 2:
            high = _halved(high)
        out_high = self.h2h(high)
        if self.l2h is not None:
            risen = self.l2h(low)
            out_high = out_high + (risen if self.stride == 2 else F.interpolate(risen, scale_factor=2.0))
        out_low = None if self.h2l is None else self.h2l(_halved(high))
        if self.l2l is not None and low is not None:
            stayed = self.l2l(low if self.stride == 1 else _halved(low))
            out_low = stayed if out_low is None else out_low + stayed
        return out_high, out_low


class PerOctave(nn.Module):
    """A layer of its own for each resolution, such as a batch norm or an activation."""

    def __init__(self, make: Callable[[int], nn.Module], channels: Channels) -> None:
        super().__init__()
        self.high = make(channels[0])
        self.low = make(channels[1]) if channels[1] else None

    def forward(self, maps: Octave) -> Octave:
        """Octave map to octave map."""
        high, low = maps
        return self.high(high), low if self.low is None else self.low(low)


class ToOctave(nn.Module):
    """A plain map (N, C, H, W) as an octave map without low part."""

    def forward(self, x: Tensor) -> Octave:
        """``(x, None)``."""
        return x, None


class FromOctave(nn.Module):
    """The high part of an octave map, where that is all of it."""

    def forward(self, maps: Octave) -> Tensor:
        """The map (N, C, H, W)."""
        return maps[0]


def add(first: Octave, second: Octave) -> Octave:
    """The sum of two octave maps of equal channels and size."""
    high, low = first[0] + second[0], first[1]
    return high, low if low is None or second[1] is None else low + second[1]
