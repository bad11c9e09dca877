"""Translations into an MXNet graph: layers with weights, matrix products and attention, pooling and resizing.

They are written so that the official FLOPs counter, which knows only convolutions and fully connected layers of 4-d
inputs, counts each as :mod:`common.flops` does: a linear layer of tokens becomes the 1x1 convolution it equals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from common.mxnet_writing.elementwise import combine, unary, with_number
from common.mxnet_writing.tracing import BATCH, Call, Constant, Tracer, Translations, Value

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
def _convolution(t: Tracer, call: Call) -> Value:
    weight, bias = call["weight"], call["bias"]
    if weight.ndim != 4 or call.arguments.get("transposed") or isinstance(call["padding"], str):
        raise t.unsupported(f"a convolution that is transposed, not of a map, or padded by {call['padding']!r}")
    attrs = {
        "kernel": tuple(weight.shape[2:]),
        "stride": _two(t, call["stride"], "a stride"),
        "pad": _two(t, call["padding"], "padding"),
        "dilate": _two(t, call["dilation"], "dilation"),
        "num_filter": weight.shape[0],
        "num_group": call["groups"],
        "no_bias": bias is None,
    }
    inputs = [t.full(call["input"]).entry, t.value(weight).entry, *([] if bias is None else [t.value(bias).entry])]
    return t.add("Convolution", inputs, attrs, call.shape)


@TRANSLATIONS("conv_transpose2d")
def _deconvolution(t: Tracer, call: Call) -> Value:
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
    inputs = [t.full(call["input"]).entry, t.value(weight).entry, *([] if bias is None else [t.value(bias).entry])]
    return t.add("Deconvolution", inputs, attrs, call.shape)


@TRANSLATIONS("batch_norm")
def _batch_norm(t: Tracer, call: Call) -> Value:
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
def _layer_norm(t: Tracer, call: Call) -> Value:
    x, sizes = t.full(call["input"]), call["normalized_shape"]
    if len(sizes) != 1:
        raise t.unsupported("a layer norm over several axes")
    scale, shift = _default(t, call["weight"], sizes[0], 1), _default(t, call["bias"], sizes[0], 0)
    return t.add("LayerNorm", [x.entry, scale.entry, shift.entry], {"axis": -1, "eps": call["eps"]}, x.shape)


@TRANSLATIONS("group_norm")
def _group_norm(t: Tracer, call: Call) -> Value:
    x = t.full(call["input"])
    scale, shift = _default(t, call["weight"], x.shape[1], 1), _default(t, call["bias"], x.shape[1], 0)
    attrs = {"num_groups": call["num_groups"], "eps": call["eps"]}
    return t.add("GroupNorm", [x.entry, scale.entry, shift.entry], attrs, x.shape)


@TRANSLATIONS("prelu", "_prelu_kernel")
def _prelu(t: Tracer, call: Call) -> Value:
    x, slope = t.value(call["self"]), t.value(call["weight"])
    return t.add("LeakyReLU", [x.entry, slope.entry], {"act_type": "prelu"}, x.shape)


@TRANSLATIONS("linear")
def _linear(t: Tracer, call: Call) -> Value:
    weight, bias = call["weight"], call["bias"]
    if t.constant(weight) is None:
        raise t.unsupported("a linear layer whose weight depends on the image")
    return linear(t, t.full(call["input"]), weight, bias)


def linear(t: Tracer, x: Value, weight: Tensor, bias: Tensor | None, *, transposed: bool = False) -> Value:
    """``x`` (..., inputs) times the constant ``weight`` (outputs, inputs), plus ``bias``.

    One row an image is MXNet's FullyConnected, of a 4-d input, for which alone the official counter has a formula.
    Several rows an image are a 1x1 convolution.
    """
    kernel = t.value(weight)
    if transposed:
        kernel = t.permute(kernel, (1, 0))
    outputs, inputs = kernel.shape
    extra = [] if bias is None else [t.value(bias).entry]
    shape = (*x.shape[:-1], outputs)
    if x.shape == (BATCH, inputs):
        source = x.reshaped
        flat = source if source and len(source.shape) == 4 and source.shape[0] == BATCH else None
        flat = flat or t.reshape(x, (BATCH, inputs, 1, 1))
        options = {"num_hidden": outputs, "no_bias": bias is None}
        return t.add("FullyConnected", [flat.entry, kernel.entry, *extra], options, shape)
    if len(x.shape) == 4 and x.shape[0] == BATCH:
        rows = t.permute(x, (0, 3, 1, 2))  # (N, inputs, H, W)
    else:
        count = math.prod(x.shape[:-1])
        if count % BATCH:
            raise t.unsupported("a linear layer of rows that are not an image's")
        tokens = t.reshape(x, (BATCH, count // BATCH, inputs))
        rows = t.permute(tokens, (0, 2, 1))
        rows = t.reshape(rows, (BATCH, inputs, count // BATCH, 1))
    kernel = t.reshape(kernel, (outputs, inputs, 1, 1))
    attrs = {"kernel": (1, 1), "num_filter": outputs, "num_group": 1, "no_bias": bias is None}
    made = t.add("Convolution", [rows.entry, kernel.entry, *extra], attrs, (BATCH, outputs, *rows.shape[2:]))
    if len(x.shape) == 4 and x.shape[0] == BATCH:
        return t.permute(made, (0, 2, 3, 1))
    return t.reshape(t.permute(t.reshape(made, made.shape[:3]), (0, 2, 1)), shape)


@TRANSLATIONS("matmul", "mm", "bmm")
def _matmul(t: Tracer, call: Call) -> Value:
    left, right = call["self"], next(tensor for key, tensor in call.arguments.items() if key in ("other", "mat2"))
    if t.constant(right) is not None and right.ndim == 2:
        return linear(t, t.full(left), right, None, transposed=True)
    return product(t, t.full(left), t.full(right))


@TRANSLATIONS("addmm")
def _matmul_and_add(t: Tracer, call: Call) -> Value:
    bias, left, right = call["self"], call["mat1"], call["mat2"]
    if (
        t.constant(right) is None
        or t.constant(bias) is None
        or bias.ndim != 1
        or call["alpha"] != 1
        or call["beta"] != 1
    ):
        raise t.unsupported("a sum with a matrix product that is no linear layer")
    return linear(t, t.full(left), right, bias, transposed=True)


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
def _attention(t: Tracer, call: Call) -> Value:
    query, key, value = (t.full(call[name]) for name in ("query", "key", "value"))
    mask = call["attn_mask"]
    if call["dropout_p"] or call["is_causal"] or call["enable_gqa"] or (mask is not None and mask.dtype == torch.bool):
        raise t.unsupported("attention that is masked, dropped out or shares heads")
    scale = query.shape[-1] ** -0.5 if call["scale"] is None else call["scale"]
    weights = product(t, with_number(t, "mul", query, scale), key, transposed=True)
    if mask is not None:
        weights = combine(t, "add", weights, t.value(mask))
    return product(t, unary(t, "softmax", weights, axis=len(weights.shape) - 1), value)


def _pool(t: Tracer, call: Call, kind: str, **more: object) -> Value:
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
def _max_pool(t: Tracer, call: Call) -> Value:
    return _pool(t, call, "max")


@TRANSLATIONS("avg_pool2d")
def _average_pool(t: Tracer, call: Call) -> Value:
    if call["divisor_override"] is not None:
        raise t.unsupported("a mean with a divisor of its own")
    return _pool(t, call, "avg", count_include_pad=call["count_include_pad"])


@TRANSLATIONS("adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive_pool(t: Tracer, call: Call) -> Value | list[Value]:
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
def _nearest(t: Tracer, call: Call) -> Value:
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
def _bilinear(t: Tracer, call: Call) -> Value:
    x = t.full(next(iter(call.arguments.values())))
    height, width = call.shape[2:]
    attrs = {"height": height, "width": width, "mode": "size", "align_corners": call["align_corners"]}
    return t.add("_contrib_BilinearResize2D", [x.entry], attrs, call.shape)
