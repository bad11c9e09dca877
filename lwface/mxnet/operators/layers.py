"""Operators with arrays: convolutions, fully connected, the norms; and the activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lwface.mxnet.operators.operation import Operation, Shape, operator
from lwface.mxnet.options import MAX_SIZE, NodeOptions

CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
DECONVOLUTIONS: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}
CHANNELS_FIRST = ("None", "NCW", "NCHW", "NCDHW")
CHANNELS_LAST = ("NWC", "NHWC", "NDHWC")
EPS_GLUON = 1e-5
MAX_POSITIONS = 2**22  # 2048 x 2048
MAX_ENLARGEMENT = 64  # stride of a deconvolution; PyTorch's time grows with its square, and then it crashes
SMALL_IMAGE = 2**15  # numbers; PyTorch lays out the windows of one image of up to 20480 also in float32


def channels_last(options: NodeOptions) -> bool:
    """Whether the option ``layout`` puts the channels last."""
    return options.choice("layout", (*CHANNELS_FIRST, *CHANNELS_LAST), "None") in CHANNELS_LAST


def moved(compute: Callable[..., Tensor], arguments: int) -> Callable[..., Tensor]:
    """``compute``, which wants channels first, for tensors that have them last; so the first ``arguments`` inputs."""

    def wrapped(*inputs: Tensor) -> Tensor:
        first = [x.movedim(-1, 1) for x in inputs[:arguments]]
        return compute(*first, *inputs[arguments:]).movedim(1, -1)

    return wrapped


def _with_bias(options: NodeOptions, default: bool) -> tuple[str, ...]:
    return ("data", "weight") if options.flag("no_bias", default) else ("data", "weight", "bias")


def _kernel(options: NodeOptions) -> tuple[int, ...]:
    kernel = options.integers("kernel", low=1, high=MAX_SIZE)
    if len(kernel) not in CONVOLUTIONS:
        raise options.error(f"kernel has {len(kernel)} dimensions, expected 1 to 3")
    return kernel


@operator("Convolution", "Convolution_v1")
def convolution(options: NodeOptions) -> Operation:
    """A convolution over 1 to 3 dimensions, with groups and dilation."""
    kernel = _kernel(options)
    rank, last = len(kernel), channels_last(options)
    filters, groups = options.integer("num_filter", low=1), options.integer("num_group", 1, low=1)
    names = _with_bias(options, False)
    _check_groups(options, filters, groups)
    pad = options.sizes("pad", rank, 0, low=0)
    compute = partial(
        CONVOLUTIONS[rank],
        stride=options.sizes("stride", rank, 1, low=1),
        padding=pad,
        dilation=options.sizes("dilate", rank, 1, low=1),
        groups=groups,
    )

    def expected(shapes: Sequence[Shape]) -> list[Shape | None]:
        channels = _channels(options, shapes[0], rank, last, groups)
        sizes = shapes[0][1:-1] if last else shapes[0][2:]
        _check_positions(options, [size + 2 * margin for size, margin in zip(sizes, pad, strict=True)])
        inner = (*kernel, channels // groups) if last else (channels // groups, *kernel)
        return [None, (filters, *inner), (filters,)]

    return Operation(
        moved(compute, 2) if last else compute,
        names,
        expected=expected,
        terms=lambda inputs: inputs[1].numel() // filters,
        laid_out=lambda inputs, output: _windows(inputs, kernel, output, filters),
    )


def _windows(inputs: Sequence[Tensor], kernel: tuple[int, ...], at: Tensor, channels: int) -> int:
    """Numbers that a kernel meets at all positions of one image of ``at``; 0 where PyTorch does not lay them out."""
    x, weight = inputs[:2]
    if x.dtype == torch.float32 and x[0].numel() > SMALL_IMAGE and math.prod(kernel) > 1:
        return 0
    return weight.numel() // channels * (at[0].numel() // channels)


def _check_groups(options: NodeOptions, filters: int, groups: int) -> None:
    if filters % groups:  # PyTorch notices for a convolution, but not in a pass without numbers
        raise options.error(f"{filters} filters do not divide into {groups} groups")


def _check_positions(options: NodeOptions, sizes: Sequence[int]) -> None:
    """Stop at sizes that an operator goes through inside, however small its output is."""
    if math.prod(sizes) > MAX_POSITIONS:
        raise options.error(f"works on {' x '.join(map(str, sizes))} positions, more than {MAX_POSITIONS}")


def _channels(options: NodeOptions, shape: Shape, rank: int, last: bool, groups: int) -> int:
    """The channels of an input of ``rank`` spatial dimensions."""
    if len(shape) != rank + 2:
        raise options.error(f"the input has shape {shape}, expected {rank + 2} dimensions")
    channels = shape[-1] if last else shape[1]
    if channels % groups:
        raise options.error(f"{channels} channels do not divide into {groups} groups")
    return channels


@operator("Deconvolution")
def deconvolution(options: NodeOptions) -> Operation:
    """A transposed convolution; with ``target_shape`` the padding that gives an output of that size."""
    kernel = _kernel(options)
    rank, last = len(kernel), channels_last(options)
    filters, groups = options.integer("num_filter", low=1), options.integer("num_group", 1, low=1)
    stride = options.sizes("stride", rank, 1, low=1, high=MAX_ENLARGEMENT)
    dilate = options.sizes("dilate", rank, 1, low=1)
    pad, adjust = options.sizes("pad", rank, 0, low=0), options.sizes("adj", rank, 0, low=0)
    target = options.sizes("target_shape", rank, 0, low=0)
    names = _with_bias(options, True)
    _check_groups(options, filters, groups)
    if any(extra >= step for extra, step in zip(adjust, stride, strict=True)):
        raise options.error(f"adj {adjust} is not below stride {stride}")

    def compute(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        padding, extra = list(pad), list(adjust)
        if any(target):
            for i, size in enumerate(x.shape[2:]):
                surplus = stride[i] * (size - 1) + dilate[i] * (kernel[i] - 1) + 1 - target[i]
                padding[i], extra[i] = (surplus + 1) // 2, surplus % 2
                if surplus < 0:
                    raise options.error(f"target_shape {target} is larger than what the input of {size} can give")
        natural = all(p <= d * (k - 1) for p, d, k in zip(padding, dilate, kernel, strict=True))
        if natural and all(e < step for e, step in zip(extra, stride, strict=True)):
            return DECONVOLUTIONS[rank](x, weight, bias, stride, padding, extra, groups, dilate)
        y = DECONVOLUTIONS[rank](x, weight, bias, stride, 0, 0, groups, dilate)  # more padding crashes PyTorch
        for axis, (margin, more) in enumerate(zip(padding, extra, strict=True), 2):
            y = y.narrow(axis, margin, y.shape[axis] - 2 * margin + more)
        return y

    def expected(shapes: Sequence[Shape]) -> list[Shape | None]:
        channels = _channels(options, shapes[0], rank, last, groups)
        sizes = shapes[0][1:-1] if last else shapes[0][2:]
        reach = [step * (size - 1) for step, size in zip(stride, sizes, strict=True)]
        _check_positions(options, [r + d * (k - 1) + 1 for r, d, k in zip(reach, dilate, kernel, strict=True)])
        inner = (*kernel, filters // groups) if last else (filters // groups, *kernel)
        return [None, (channels, *inner), (filters,)]

    return Operation(
        moved(compute, 2) if last else compute,
        names,
        expected=expected,
        terms=lambda inputs: inputs[1].numel() * groups // filters,
        laid_out=lambda inputs, _: _windows(inputs, kernel, inputs[0], inputs[1].shape[0]),
    )


@operator("FullyConnected")
def fully_connected(options: NodeOptions) -> Operation:
    """``x W' + b`` of everything an image has, or with ``flatten`` False of the last axis."""
    outputs, flatten = options.integer("num_hidden", low=1), options.flag("flatten", True)

    def compute(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.linear(x.flatten(1) if flatten else x, weight, bias)

    def expected(shapes: Sequence[Shape]) -> list[Shape | None]:
        if len(shapes[0]) < 2:
            raise options.error(f"the input has shape {shapes[0]}, expected 2 dimensions or more")
        return [None, (outputs, math.prod(shapes[0][1:]) if flatten else shapes[0][-1]), (outputs,)]

    return Operation(compute, _with_bias(options, False), expected=expected, terms=lambda inputs: inputs[1].shape[-1])


@operator("BatchNorm", "BatchNorm_v1", "CuDNNBatchNorm", "_contrib_SyncBatchNorm")
def batch_norm(options: NodeOptions) -> Operation:
    """Batch norm; in training by the batch, unless ``use_global_stats``. PyTorch's momentum is 1 minus MXNet's."""
    eps, momentum = options.number("eps", 1e-3), 1 - options.number("momentum", 0.9)
    fixed, use_global = options.flag("fix_gamma", True), options.flag("use_global_stats", False)
    axis = options.integer("axis", 1)
    options.flag("output_mean_var", False)  # outputs for training: to use one is an error
    options.ignore("min_calib_range", "max_calib_range", "ndev", "key")

    def compute(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, *, training: bool) -> Tensor:
        if axis != 1:
            x = x.movedim(axis, 1)
        y = F.batch_norm(x, mean, var, weight, bias, training and not use_global, momentum, eps)
        return y if axis == 1 else y.movedim(1, axis)

    return Operation(
        compute,
        ("data", "weight", "bias", "running_mean", "running_var"),
        expected=_one_a_channel(options, axis),
        statistics=("running_mean", "running_var"),
        constants={"weight": 1.0} if fixed else {},
        has_mode=True,
    )


def _one_a_channel(options: NodeOptions, axis: int = 1) -> Callable[[Sequence[Shape]], Sequence[Shape | None]]:
    """All arrays have one number for each position along ``axis`` of the data."""

    def expected(shapes: Sequence[Shape]) -> Sequence[Shape | None]:
        if not -len(shapes[0]) <= axis < len(shapes[0]) or len(shapes[0]) < 2:
            raise options.error(f"axis {axis} does not fit an input of shape {shapes[0]}")
        return [None, *[(shapes[0][axis],)] * (len(shapes) - 1)]

    return expected


@operator("InstanceNorm")
def instance_norm(options: NodeOptions) -> Operation:
    """Each channel of each image by its own mean and variance."""
    eps = options.number("eps", 1e-3)
    return Operation(
        lambda x, gamma, beta: F.instance_norm(x, weight=gamma, bias=beta, eps=eps),
        ("data", "gamma", "beta"),
        expected=_one_a_channel(options),
    )


@operator("LayerNorm")
def layer_norm(options: NodeOptions) -> Operation:
    """One axis by its mean and variance."""
    axis, eps = options.integer("axis", -1), options.number("eps", EPS_GLUON)
    options.flag("output_mean_var", False)

    def compute(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        return F.layer_norm(x.movedim(axis, -1), gamma.shape, gamma, beta, eps).movedim(-1, axis)

    return Operation(compute, ("data", "gamma", "beta"), expected=_one_a_channel(options, axis))


@operator("GroupNorm")
def group_norm(options: NodeOptions) -> Operation:
    """The channels of a group together; MXNet 1 scales and shifts a group, not a channel."""
    groups, eps = options.integer("num_groups", 1, low=1), options.number("eps", EPS_GLUON)
    options.flag("output_mean_var", False)

    def compute(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        each = x.shape[1] // groups
        return F.group_norm(x, groups, gamma.repeat_interleave(each), beta.repeat_interleave(each), eps)

    def expected(shapes: Sequence[Shape]) -> list[Shape | None]:
        if len(shapes[0]) < 3 or shapes[0][1] % groups:
            raise options.error(f"an input of shape {shapes[0]} does not divide into {groups} groups")
        return [None, (groups,), (groups,)]

    return Operation(compute, ("data", "gamma", "beta"), expected=expected)


@operator("LRN")
def local_response_norm(options: NodeOptions) -> Operation:
    """Divides by a power of the mean square of the channels around."""
    size, alpha = options.integer("nsize", low=1), options.number("alpha", 1e-4)
    beta, k = options.number("beta", 0.75), options.number("knorm", 2.0)
    return Operation(partial(F.local_response_norm, size=size, alpha=alpha, beta=beta, k=k))


@operator("L2Normalization")
def l2_normalization(options: NodeOptions) -> Operation:
    """Divides by the 2-norm over an image (``instance``), its channels (``channel``) or its positions (``spatial``)."""
    eps = options.number("eps", 1e-10)
    mode = options.choice("mode", ("instance", "channel", "spatial"), "instance")

    def compute(x: Tensor) -> Tensor:
        axes = {"instance": tuple(range(1, x.ndim)), "channel": (1,), "spatial": tuple(range(2, x.ndim))}[mode]
        if not axes:
            raise options.error(f"mode {mode} does not fit an input of {x.ndim} dimensions")
        return x / (x.square().sum(axes, keepdim=True) + eps).sqrt()

    return Operation(compute)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softrelu": F.softplus,
    "softsign": F.softsign,
}


@operator("Activation")
def activation(options: NodeOptions) -> Operation:
    """relu, sigmoid, tanh, softrelu or softsign."""
    return Operation(ACTIVATIONS[options.choice("act_type", tuple(ACTIVATIONS))])


@operator("LeakyReLU")
def leaky_relu(options: NodeOptions) -> Operation:
    """leaky, prelu (which has an array), elu, selu, gelu or rrelu (in evaluation: the mean of its slopes)."""
    kind = options.choice("act_type", ("leaky", "prelu", "elu", "selu", "gelu", "rrelu"), "leaky")
    slope = options.number("slope", 0.25)
    low, high = options.number("lower_bound", 0.125), options.number("upper_bound", 0.334)
    if kind == "prelu":
        return Operation(F.prelu, ("data", "gamma"), expected=_slopes)
    if kind == "rrelu":
        if not low <= high:
            raise options.error(f"lower_bound {low} is above upper_bound {high}")
        return Operation(partial(F.rrelu, lower=low, upper=high), has_mode=True)
    simple: dict[str, Callable[..., Any]] = {
        "leaky": partial(F.leaky_relu, negative_slope=slope),
        "elu": partial(F.elu, alpha=slope),
        "selu": F.selu,
        "gelu": F.gelu,
    }
    return Operation(simple[kind])


def _slopes(shapes: Sequence[Shape]) -> list[Shape | None]:
    """One slope for all channels, or one a channel."""
    data, gamma = shapes
    return [None, (1,) if gamma == (1,) or len(data) < 2 else (data[1],)]


@operator("Dropout")
def dropout(options: NodeOptions) -> Operation:
    """Nothing, but in training zeros at random."""
    p, axes = options.number("p", 0.5), options.integers("axes", (), low=0)
    options.choice("mode", ("training",), "training")
    if not 0 <= p < 1:
        raise options.error(f"p is {p}, expected a share of at least 0 and below 1")

    def compute(x: Tensor, *, training: bool) -> Tensor:
        if not training or not axes:
            return F.dropout(x, p, training)
        shared = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        return x * F.dropout(x.new_ones(shared), p, training)

    return Operation(compute, has_mode=True)
