"""Poolings of MXNet, whose rounding and padding are not always PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lwface.mxnet.operators.layers import channels_last, moved
from lwface.mxnet.operators.operation import Operation, operator
from lwface.mxnet.options import MAX_SIZE, NodeOptions

MAX_POOLS: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE_POOLS: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
KINDS = ("max", "avg", "sum", "lp")
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Windows:
    """Where the windows of a pooling lie: one number a spatial dimension in each of the sizes."""

    options: NodeOptions
    kernel: Sizes
    stride: Sizes
    pad: Sizes
    convention: str  # valid: windows that do not fit are left out; full: they are cut off; same: one every stride

    def counts(self, sizes: Sizes) -> Sizes:
        """How many windows there are for an input of ``sizes``."""
        if len(sizes) != len(self.kernel):
            raise self.options.error(f"a kernel of {len(self.kernel)} dimensions for an input of {len(sizes)}")
        found = []
        for size, kernel, stride, pad in zip(sizes, self.kernel, self.stride, self.pad, strict=True):
            room = size + 2 * pad - kernel
            if room < 0:
                raise self.options.error(f"the kernel of {kernel} exceeds the input of {size}, padded by {pad}")
            if self.convention == "same":
                found.append(-(-size // stride))
            else:
                found.append(1 + (room // stride if self.convention == "valid" else -(-room // stride)))
        return tuple(found)

    def are_pytorchs(self, sizes: Sizes) -> bool:
        """Whether PyTorch's poolings, which round down and pad by half a kernel at most, have the same windows."""
        halves = all(2 * pad <= kernel for pad, kernel in zip(self.pad, self.kernel, strict=True))
        return halves and self.counts(sizes) == Windows(
            self.options, self.kernel, self.stride, self.pad, "valid"
        ).counts(sizes)

    def padded(self, x: Tensor, value: float) -> Tensor:
        """``x`` with ``value`` around it, or cut off, such that the windows cover it exactly."""
        sizes = tuple(x.shape[2:])
        margins: list[int] = []
        for axis in reversed(range(len(sizes))):
            length = (self.counts(sizes)[axis] - 1) * self.stride[axis] + self.kernel[axis]
            margins += [self.pad[axis], length - self.pad[axis] - sizes[axis]]
        return F.pad(x, margins, value=value)

    def numbers(self, x: Tensor, include_pad: bool) -> Tensor:
        """How many numbers each window has, with or without the padding, 1 where none; shape (1, 1, windows...)."""
        sizes = tuple(x.shape[2:])
        total = x.new_ones([1] * x.ndim)
        for axis, count in enumerate(self.counts(sizes)):
            low, high = (-self.pad[axis], sizes[axis] + self.pad[axis]) if include_pad else (0, sizes[axis])
            starts = torch.arange(count, device=x.device) * self.stride[axis] - self.pad[axis]
            along = ((starts + self.kernel[axis]).clamp(max=high) - starts.clamp(min=low)).clamp(min=1)
            total = total * along.reshape([-1 if i == axis + 2 else 1 for i in range(x.ndim)])
        return total


def _maximum(x: Tensor, windows: Windows) -> Tensor:
    pool = MAX_POOLS[len(windows.kernel)]
    if windows.are_pytorchs(tuple(x.shape[2:])):
        return pool(x, windows.kernel, windows.stride, windows.pad)
    return pool(windows.padded(x, torch.finfo(x.dtype).min), windows.kernel, windows.stride)


def _sum(x: Tensor, windows: Windows) -> Tensor:
    pool = AVERAGE_POOLS[len(windows.kernel)]
    return pool(windows.padded(x, 0), windows.kernel, windows.stride) * math.prod(windows.kernel)


def _average(x: Tensor, windows: Windows, include_pad: bool) -> Tensor:
    if windows.are_pytorchs(tuple(x.shape[2:])):
        pool = AVERAGE_POOLS[len(windows.kernel)]
        return pool(x, windows.kernel, windows.stride, windows.pad, count_include_pad=include_pad)
    return _sum(x, windows) / windows.numbers(x, include_pad)


def _root(x: Tensor, power: int) -> Tensor:
    """The inverse of the power, also of a negative number."""
    return x if power == 1 else x.sqrt() if power == 2 else torch.sign(x) * x.abs().pow(1 / power)


def _power_mean(x: Tensor, windows: Windows, power: int) -> Tensor:
    return _root(_sum(x.pow(power), windows), power)


def _over_everything(x: Tensor, kind: str, power: int) -> Tensor:
    axes = tuple(range(2, x.ndim))
    if kind == "max":
        return x.amax(axes, keepdim=True)
    if kind == "avg":
        return x.mean(axes, keepdim=True)
    return _root(x.pow(power).sum(axes, keepdim=True), power)


@operator("Pooling")
def pooling(options: NodeOptions) -> Operation:
    """max, avg, sum or lp over windows or, with ``global_pool``, over everything."""
    kind = options.choice("pool_type", KINDS, "max")
    power = (options.optional_integer("p_value") if kind == "lp" else 1) or 0
    if power not in (1, 2, 3):
        raise options.error(f"p_value is {power}, expected 1, 2 or 3")
    include_pad = options.choice("count_include_pad", ("None", "True", "False", "1", "0"), "None") not in ("False", "0")
    options.ignore("p_value")
    compute: Callable[..., Tensor]
    windows = _windows(options, ("valid", "full", "same"))
    if windows is None:
        compute = partial(_over_everything, kind=kind, power=power)
    elif kind == "avg":
        compute = partial(_average, windows=windows, include_pad=include_pad)
    elif kind == "lp":
        compute = partial(_power_mean, windows=windows, power=power)
    else:
        compute = partial(_maximum if kind == "max" else _sum, windows=windows)
    area = math.prod(windows.kernel) if windows else 1
    return Operation(moved(compute, 1) if channels_last(options) else compute, terms=lambda _: area)


@operator("Pooling_v1")
def pooling_v1(options: NodeOptions) -> Operation:
    """MXNet's first pooling: pads with zeros also for max, and an average divides by the whole kernel."""
    kind = options.choice("pool_type", ("max", "avg", "sum"), "max")
    windows = _windows(options, ("valid", "full"))
    if windows is None:
        return Operation(partial(_over_everything, kind=kind, power=1))
    area = math.prod(windows.kernel)

    def compute(x: Tensor) -> Tensor:
        if kind != "max":
            return _sum(x, windows) / (area if kind == "avg" else 1)
        around = F.pad(x, [pad for pad in reversed(windows.pad) for _ in range(2)])
        return _maximum(
            around, Windows(options, windows.kernel, windows.stride, (0,) * len(windows.pad), windows.convention)
        )

    return Operation(compute, terms=lambda _: area)


def _windows(options: NodeOptions, conventions: tuple[str, ...]) -> Windows | None:
    """The windows that the options describe; None for one over everything."""
    whole = options.flag("global_pool", False)
    kernel = options.integers("kernel", (), low=0 if whole else 1, high=MAX_SIZE)
    convention = options.choice("pooling_convention", conventions, "valid")
    if whole:  # MXNet takes any kernel, stride and padding here and uses none
        options.ignore("stride", "pad")
        return None
    rank = len(kernel)
    if rank not in MAX_POOLS:
        raise options.error(f"kernel has {rank} dimensions, expected 1 to 3")
    stride, pad = options.sizes("stride", rank, 1, low=1), options.sizes("pad", rank, 0, low=0)
    if convention == "same" and (rank > 1 or any(pad)):
        raise options.error("pooling_convention same is for one dimension, without pad")
    return Windows(options, kernel, stride, pad, convention)
