"""Translations into an MXNet graph: layers with weights, matrix products and attention, pooling and resizing.

They are written so that the official FLOPs counter, which knows only convolutions and fully connected layers of 4-d
inputs, counts each as :mod:`lwface.gate.flops` does: a linear layer of tokens becomes the 1x1 convolution it equals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lwface.mxnet.writing.elementwise import combine, unary, with_number
from lwface.mxnet.writing.tracing import BATCH, INPUT_ENTRY, Constant, TracedCall, Tracer, Translations, Value

TRANSLATIONS = Translations()


def _two(t: Tracer, value: int | Sequence[int], what: str) -> tuple[int, int]:
    """Height and width."""
    values = (value,) if isinstance(value, int) else tuple(value)
    if len(values) > 2:
        raise t.unsupported(f"{what} in {len(values)} dimensions")
    return (values[0], values[-1])


def _default(t: Tracer, tensor: Tensor | None, channels: int, value: float) -> Value:
    """A layer's scale or shift, which MXNet wants where PyTorch can go without."""
    return t.variable(Constant(torch.full((channels,), value))) if tensor is None else t.value(tensor)


@TRANSLATIONS("conv2d", "convolution", "_convolution")
def _convolution(t: Tracer, call: TracedCall) -> Value:
    weight, stride, dilation = call["weight"], call["stride"], call["dilation"]
    if weight.ndim != 4 or call.arguments.get("transposed"):
        raise t.unsupported("a convolution that is transposed or not of a map")
    attrs = {
        "kernel": tuple(weight.shape[2:]),
        "stride": _two(t, stride, "a stride"),
        "pad": _two(t, _padding(t, call["padding"], weight, dilation), "padding"),
        "dilate": _two(t, dilation, "dilation"),
        "num_filter": weight.shape[0],
        "num_group": call["groups"],
        "no_bias": call["bias"] is None,
    }
    return _weighted(t, "Convolution", t.full(call["input"]), t.value(weight), call["bias"], attrs, call.shape)


@TRANSLATIONS("conv1d")
def _convolution_of_a_row(t: Tracer, call: TracedCall) -> Value:
    x, kernel = t.full(call["input"]), t.value(call["weight"])
    size, dilation = kernel.shape[2], call["dilation"]
    attrs = {
        "kernel": (1, size),
        "stride": (1, call["stride"][0]),
        "pad": (0, _padding(t, call["padding"], call["weight"], dilation)[0]),
        "dilate": (1, dilation[0]),
        "num_filter": kernel.shape[0],
        "num_group": call["groups"],
        "no_bias": call["bias"] is None,
    }
    x = t.reshape(x, (*x.shape[:2], 1, x.shape[2]))
    kernel = t.reshape(kernel, (*kernel.shape[:2], 1, size))
    shape = (*call.shape[:2], 1, call.shape[2])
    return t.reshape(_weighted(t, "Convolution", x, kernel, call["bias"], attrs, shape), call.shape)


def _padding(t: Tracer, padding: Any, weight: Tensor, dilation: Sequence[int]) -> Sequence[int]:
    """Padding in numbers, where it is given by name."""
    if not isinstance(padding, str):
        return padding
    if padding == "valid":
        return [0] * (weight.ndim - 2)
    total = [step * (size - 1) for step, size in zip(dilation, weight.shape[2:], strict=False)]
    if any(amount % 2 for amount in total):
        raise t.unsupported("padding that differs by side")
    return [amount // 2 for amount in total]


def _weighted(
    t: Tracer,
    op: str,
    x: Value,
    kernel: Value,
    bias: Tensor | None,
    attrs: Mapping[str, object],
    shape: tuple[int, ...],
) -> Value:
    """A layer with a kernel and perhaps a bias."""
    if x.entry == INPUT_ENTRY:  # the official counter knows the shapes of operators only, not of variables
        x = t.add("_copy", [x.entry], {}, x.shape)
    inputs = [x.entry, kernel.entry, *([] if bias is None else [t.value(bias).entry])]
    return t.add(op, inputs, attrs, shape)


@TRANSLATIONS("conv_transpose2d")
def _deconvolution(t: Tracer, call: TracedCall) -> Value:
    weight, bias = call["weight"], call["bias"]
    attrs = {
        "kernel": tuple(weight.shape[2:]),
        "stride": _two(t, call["stride"], "a stride"),
        "pad": _two(t, call["padding"], "padding"),
        "adj": _two(t, call["output_padding"], "output padding"),
        "dilate": _two(t, call["dilation"], "dilation"),
        "num_filter": weight.shape[1] * call["groups"],
        "num_group": call["groups"],
        "no_bias": bias is None,
    }
    return _weighted(t, "Deconvolution", t.full(call["input"]), t.value(weight), bias, attrs, call.shape)


@TRANSLATIONS("batch_norm")
def _batch_norm(t: Tracer, call: TracedCall) -> Value:
    x = t.full(call["input"])
    channels = x.shape[1]
    if call["running_mean"] is None or call["training"]:
        raise t.unsupported("a batch norm without running statistics")
    fixed = call["weight"] is None or bool(getattr(call.module, "fix_gamma", False))
    momentum = 1 - call["momentum"]  # MXNet's is the share that stays
    attrs = {"eps": call["eps"], "momentum": round(momentum, 12), "fix_gamma": fixed, "use_global_stats": False}
    inputs = [
        x,
        _default(t, call["weight"], channels, 1),
        _default(t, call["bias"], channels, 0),
        t.value(call["running_mean"]),
        t.value(call["running_var"]),
    ]
    return t.add("BatchNorm", [value.entry for value in inputs], attrs, x.shape)


@TRANSLATIONS("layer_norm")
def _layer_norm(t: Tracer, call: TracedCall) -> Value:
    x, sizes = t.full(call["input"]), call["normalized_shape"]
    if len(sizes) != 1:
        raise t.unsupported("a layer norm over several axes")
    scale, shift = _default(t, call["weight"], sizes[0], 1), _default(t, call["bias"], sizes[0], 0)
    return t.add("LayerNorm", [x.entry, scale.entry, shift.entry], {"axis": -1, "eps": call["eps"]}, x.shape)


@TRANSLATIONS("group_norm")
def _group_norm(t: Tracer, call: TracedCall) -> Value:
    x, groups = t.full(call["input"]), call["num_groups"]
    channels = x.shape[1]
    ones, zeros = _default(t, None, groups, 1), _default(t, None, groups, 0)  # MXNet's are a group's, not a channel's
    attrs = {"num_groups": groups, "eps": call["eps"]}
    normal = t.add("GroupNorm", [x.entry, ones.entry, zeros.entry], attrs, x.shape)
    sizes = (1, channels, *[1] * (len(x.shape) - 2))
    if call["weight"] is not None:
        normal = combine(t, "mul", normal, t.reshape(t.value(call["weight"]), sizes))
    return normal if call["bias"] is None else combine(t, "add", normal, t.reshape(t.value(call["bias"]), sizes))


@TRANSLATIONS("prelu", "_prelu_kernel")
def _prelu(t: Tracer, call: TracedCall) -> Value:
    x, slope = t.value(call["self"]), t.value(call["weight"])
    return t.add("LeakyReLU", [x.entry, slope.entry], {"act_type": "prelu"}, x.shape)


@TRANSLATIONS("linear")
def _linear(t: Tracer, call: TracedCall) -> Value:
    if t.constant(call["weight"]) is None:
        raise t.unsupported("a linear layer whose weight depends on the image")
    return linear(t, t.full(call["input"]), t.value(call["weight"]), call["bias"])


def linear(t: Tracer, x: Value, kernel: Value, bias: Tensor | None = None) -> Value:
    """``x`` (..., inputs) times the constant ``kernel`` (outputs, inputs), plus ``bias``.

    One row an image is MXNet's FullyConnected, of a 4-d input, for which alone the official counter has a formula.
    Several rows an image are a 1x1 convolution.
    """
    outputs, inputs = kernel.shape
    if x.shape == (BATCH, inputs):
        source = x.reshaped
        flat = source if source and len(source.shape) == 4 and source.shape[0] == BATCH else None
        flat = flat or t.reshape(x, (BATCH, inputs, 1, 1))
        options = {"num_hidden": outputs, "no_bias": bias is None}
        return _weighted(t, "FullyConnected", flat, kernel, bias, options, (BATCH, outputs))
    of_map = len(x.shape) == 4 and x.shape[0] == BATCH  # (N, H, W, inputs)
    if of_map:
        rows = t.permute(x, (0, 3, 1, 2))
    else:
        count, rest = divmod(math.prod(x.shape[:-1]), BATCH)
        if rest:
            raise t.unsupported("a linear layer of rows that are not an image's")
        rows = t.permute(t.reshape(x, (BATCH, count, inputs)), (0, 2, 1))
        rows = t.reshape(rows, (BATCH, inputs, count, 1))
    attrs = {"kernel": (1, 1), "num_filter": outputs, "num_group": 1, "no_bias": bias is None}
    shape = (BATCH, outputs, *rows.shape[2:])
    made = _weighted(t, "Convolution", rows, t.reshape(kernel, (outputs, inputs, 1, 1)), bias, attrs, shape)
    if of_map:
        return t.permute(made, (0, 2, 3, 1))
    return t.reshape(t.permute(t.reshape(made, shape[:3]), (0, 2, 1)), (*x.shape[:-1], outputs))


@TRANSLATIONS("matmul", "mm", "bmm")
def _matmul(t: Tracer, call: TracedCall) -> Value:
    left, right = list(call.arguments.values())[:2]
    if _is_matrix(t, right):
        kernel = t.value(right)
        made = linear(t, t.full(left), t.permute(t.reshape(kernel, kernel.shape[-2:]), (1, 0)))
    elif _is_matrix(t, left) and right.ndim > 2:
        kernel, x = t.value(left), t.full(right)
        columns = (*range(right.ndim - 2), right.ndim - 1, right.ndim - 2)
        made = t.permute(linear(t, t.permute(x, columns), t.reshape(kernel, kernel.shape[-2:])), columns)
    else:
        made = product(t, t.full(left), t.full(right))
    return t.reshape(made, call.shape)


def _is_matrix(t: Tracer, tensor: Tensor) -> bool:
    """Whether ``tensor`` is one constant matrix."""
    return t.constant(tensor) is not None and tensor.ndim > 1 and tensor.numel() == math.prod(tensor.shape[-2:])


@TRANSLATIONS("addmm")
def _matmul_and_add(t: Tracer, call: TracedCall) -> Value:
    bias, left, right = call["self"], call["mat1"], call["mat2"]
    plain = call["alpha"] == 1 and call["beta"] == 1 and bias.ndim == 1
    if not (plain and _is_matrix(t, right) and t.constant(bias)):
        raise t.unsupported("a sum with a matrix product that is no linear layer")
    return linear(t, t.full(left), t.permute(t.value(right), (1, 0)), bias)


def product(t: Tracer, left: Value, right: Value, *, transposed: bool = False) -> Value:
    """The matrix products of ``left`` (..., R, K) and ``right`` (..., K, C), or (..., C, K) if ``transposed``."""
    if min(len(left.shape), len(right.shape)) < 3:
        raise t.unsupported("a product of a matrix that belongs to no image")
    batch = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    sides = []
    for side in (left, right):
        if side.shape[:-2] != batch:
            raise t.unsupported("a product of matrices that one side has fewer of")
        sides.append(t.reshape(side, (math.prod(batch), *side.shape[-2:])))
    columns = right.shape[-2 if transposed else -1]
    shape = (math.prod(batch), left.shape[-2], columns)
    made = t.add("batch_dot", [side.entry for side in sides], {"transpose_b": transposed}, shape)
    return t.reshape(made, (*batch, *shape[1:]))


@TRANSLATIONS("scaled_dot_product_attention")
def _attention(t: Tracer, call: TracedCall) -> Value:
    query, key, value = (t.full(call[name]) for name in ("query", "key", "value"))
    mask = call["attn_mask"]
    if call["dropout_p"] or call["is_causal"] or call["enable_gqa"] or (mask is not None and mask.dtype == torch.bool):
        raise t.unsupported("attention that is masked, dropped out or shares heads")
    scale = query.shape[-1] ** -0.5 if call["scale"] is None else call["scale"]
    weights = product(t, with_number(t, "mul", query, scale), key, transposed=True)
    if mask is not None:
        weights = combine(t, "add", weights, t.value(mask))
    return product(t, unary(t, "softmax", weights, axis=len(weights.shape) - 1), value)


def _pool(t: Tracer, call: TracedCall, kind: str, **more: object) -> Value:
    x = t.full(call["self"])
    kernel, padding = _two(t, call["kernel_size"], "a pooling"), _two(t, call["padding"], "padding")
    stride = _two(t, call["stride"] or call["kernel_size"], "a stride")
    if kind == "max" and _two(t, call["dilation"], "dilation") != (1, 1):
        raise t.unsupported("a dilated pooling")
    convention = "valid"
    if call["ceil_mode"]:
        sizes = [
            (math.floor((n + 2 * p - k) / s), math.ceil((n + 2 * p - k) / s), out - 1)
            for n, k, p, s, out in zip(x.shape[2:], kernel, padding, stride, call.shape[2:], strict=True)
        ]
        if any(down != out for down, _, out in sizes):
            convention = "full"
        if any(up != out for _, up, out in sizes) or (kind == "avg" and convention == "full"):
            raise t.unsupported("pooling that rounds up")
    attrs = {"kernel": kernel, "stride": stride, "pad": padding, "pool_type": kind, "pooling_convention": convention}
    return t.add("Pooling", [x.entry], {**attrs, **more}, call.shape)


@TRANSLATIONS("max_pool2d")
def _max_pool(t: Tracer, call: TracedCall) -> Value:
    return _pool(t, call, "max")


@TRANSLATIONS("avg_pool2d")
def _average_pool(t: Tracer, call: TracedCall) -> Value:
    if call["divisor_override"] is not None:
        raise t.unsupported("a mean with a divisor of its own")
    return _pool(t, call, "avg", count_include_pad=call["count_include_pad"])


@TRANSLATIONS("adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive_pool(t: Tracer, call: TracedCall) -> Value | list[Value]:
    x, several = t.full(call["self"]), not isinstance(call.result, Tensor)
    shape = tuple(call.result[0].shape) if several else call.shape
    size, sizes = x.shape[2:], shape[2:]
    attrs: dict[str, object] = {"pool_type": "max" if "max" in call.name else "avg"}
    if sizes == (1, 1):
        attrs |= {"kernel": size, "global_pool": True}
    elif any(whole % part for whole, part in zip(size, sizes, strict=True)):
        raise t.unsupported(f"pooling a map of {size[0]}x{size[1]} to {sizes[0]}x{sizes[1]}")
    else:
        kernel = (size[0] // sizes[0], size[1] // sizes[1])
        attrs |= {"kernel": kernel, "stride": kernel}
    value = t.add("Pooling", [x.entry], attrs, shape)
    return [value] if several else value


@TRANSLATIONS("upsample_nearest2d")
def _nearest(t: Tracer, call: TracedCall) -> Value:
    x = t.full(next(iter(call.arguments.values())))
    factors = {out / size for size, out in zip(x.shape[2:], call.shape[2:], strict=True)}
    factor = factors.pop()
    if factors or factor != int(factor):
        raise t.unsupported("nearest-neighbour resizing by anything but one whole number")
    if factor == 1:
        return x
    attrs = {"scale": int(factor), "sample_type": "nearest", "num_args": 1}
    return t.add("UpSampling", [x.entry], attrs, call.shape)


@TRANSLATIONS("upsample_bilinear2d")
def _bilinear(t: Tracer, call: TracedCall) -> Value:
    x = t.full(next(iter(call.arguments.values())))
    height, width = call.shape[2:]
    attrs = {"height": height, "width": width, "mode": "size", "align_corners": call["align_corners"]}
    return t.add("_contrib_BilinearResize2D", [x.entry], attrs, call.shape)


@TRANSLATIONS("channel_shuffle")
def _channel_shuffle(t: Tracer, call: TracedCall) -> Value:
    x, groups = t.full(call["self"]), call["groups"]
    batch, channels, *sizes = x.shape
    parts = t.reshape(x, (batch, groups, channels // groups, *sizes))
    return t.reshape(t.permute(parts, (0, 2, 1, *range(3, len(parts.shape)))), x.shape)


@TRANSLATIONS("pixel_shuffle")
def _pixel_shuffle(t: Tracer, call: TracedCall) -> Value:
    x, factor = t.full(call["self"]), call["upscale_factor"]
    batch, channels, height, width = x.shape
    parts = t.reshape(x, (batch, channels // factor**2, factor, factor, height, width))
    return t.reshape(t.permute(parts, (0, 1, 4, 2, 5, 3)), call.shape)


@TRANSLATIONS("pixel_unshuffle")
def _pixel_unshuffle(t: Tracer, call: TracedCall) -> Value:
    x, factor = t.full(call["self"]), call["downscale_factor"]
    batch, channels, height, width = x.shape
    parts = t.reshape(x, (batch, channels, height // factor, factor, width // factor, factor))
    return t.reshape(t.permute(parts, (0, 1, 3, 5, 2, 4)), call.shape)
