"""Translations into an MXNet graph: arithmetic, activations, reductions, and what only moves numbers around."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lwface.mxnet.writing.graph import Entry
from lwface.mxnet.writing.tracing import BATCH, Shape, TracedCall, Tracer, Translations, Value

TRANSLATIONS = Translations()

# PyTorch's name: MXNet's for arrays of one shape, for arrays that broadcast, with a number on the right, on the left.
BINARY = {
    "add": ("elemwise_add", "broadcast_add", "_plus_scalar", "_plus_scalar"),
    "sub": ("elemwise_sub", "broadcast_sub", "_minus_scalar", "_rminus_scalar"),
    "mul": ("elemwise_mul", "broadcast_mul", "_mul_scalar", "_mul_scalar"),
    "div": ("elemwise_div", "broadcast_div", "_div_scalar", "_rdiv_scalar"),
    "pow": ("_power", "broadcast_power", "_power_scalar", "_rpower_scalar"),
    "maximum": ("_maximum", "broadcast_maximum", "_maximum_scalar", "_maximum_scalar"),
    "minimum": ("_minimum", "broadcast_minimum", "_minimum_scalar", "_minimum_scalar"),
}
UNARY = ("abs", "exp", "log", "sqrt", "rsqrt", "square", "erf", "reciprocal", "sin", "cos")
ACTIVATIONS = {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh"}
REDUCTIONS = {"mean": "mean", "sum": "sum", "amax": "max", "amin": "min"}


def unary(t: Tracer, op: str, value: Value, **attrs: object) -> Value:
    """An operator of one array that keeps its shape."""
    return t.add(op, [value.entry], attrs, value.shape)


def activation(t: Tracer, value: Value, kind: str) -> Value:
    """MXNet's Activation of that kind."""
    return unary(t, "Activation", value, act_type=kind)


def combine(t: Tracer, kind: str, left: Value, right: Value) -> Value:
    """One of ``BINARY`` on two arrays."""
    rank = max(len(left.shape), len(right.shape))
    left, right = (t.reshape(value, (1,) * (rank - len(value.shape)) + value.shape) for value in (left, right))
    same, broadcast, _, _ = BINARY[kind]
    shape = torch.broadcast_shapes(left.shape, right.shape)
    return t.add(same if left.shape == right.shape else broadcast, [left.entry, right.entry], {}, shape)


def with_number(t: Tracer, kind: str, value: Value, number: float, *, number_first: bool = False) -> Value:
    """One of ``BINARY`` on an array and a number."""
    if number and number % BATCH == 0:
        raise t.unsupported("arithmetic with the number of images")
    return unary(t, BINARY[kind][3 if number_first else 2], value, scalar=float(number))


def _operand(t: Tracer, operand: Any) -> Value | float:
    """A number, also one in a tensor that is no weight, or an array."""
    constant = t.constant(operand) if isinstance(operand, Tensor) else None
    if constant and constant.name is None and constant.tensor.ndim == 0:
        return float(constant.tensor)
    return t.value(operand) if isinstance(operand, Tensor) else float(operand)


def _binary(t: Tracer, kind: str, left: Value | float, right: Value | float) -> Value:
    if isinstance(left, Value) and isinstance(right, Value):
        return combine(t, kind, left, right)
    if isinstance(left, Value):
        assert not isinstance(right, Value)
        return with_number(t, kind, left, right)
    assert isinstance(right, Value)
    return with_number(t, kind, right, left, number_first=True)


@TRANSLATIONS("add", "sub", "rsub", "mul", "maximum", "minimum")
def _arithmetic(t: Tracer, call: TracedCall) -> Value:
    left, right = _operand(t, call["self"]), _operand(t, call["other"])
    kind = call.name.rstrip("_")
    alpha = call.arguments.get("alpha", 1)
    if alpha != 1:
        right = with_number(t, "mul", right, alpha) if isinstance(right, Value) else right * alpha
    if kind == "rsub":
        left, right, kind = right, left, "sub"
    return _binary(t, kind, left, right)


@TRANSLATIONS("div")
def _division(t: Tracer, call: TracedCall) -> Value:
    if call.arguments.get("rounding_mode") is not None:
        raise t.unsupported("division that rounds")
    if isinstance(call.module, nn.Softsign):  # x / (1 + |x|), for which MXNet has one operator
        return activation(t, t.value(call["self"]), "softsign")
    return _binary(t, "div", _operand(t, call["self"]), _operand(t, call["other"]))


@TRANSLATIONS("pow")
def _power(t: Tracer, call: TracedCall) -> Value:
    base, exponent = _operand(t, call["self"]), _operand(t, call["exponent"])
    if isinstance(base, Value) and exponent == 2:
        return unary(t, "square", base)
    return _binary(t, "pow", base, exponent)


@TRANSLATIONS("neg")
def _negative(t: Tracer, call: TracedCall) -> Value:
    return with_number(t, "mul", t.value(call["self"]), -1)


@TRANSLATIONS(*UNARY)
def _unary(t: Tracer, call: TracedCall) -> Value:
    return unary(t, call.name.rstrip("_"), t.value(call["self"]))


@TRANSLATIONS(*ACTIVATIONS)
def _activation(t: Tracer, call: TracedCall) -> Value:
    return activation(t, t.value(call["self"]), ACTIVATIONS[call.name.rstrip("_")])


@TRANSLATIONS("softplus")
def _softplus(t: Tracer, call: TracedCall) -> Value:
    if call["beta"] != 1:
        raise t.unsupported("softplus with a beta other than 1")
    return activation(t, t.value(call["self"]), "softrelu")


@TRANSLATIONS("silu")
def _silu(t: Tracer, call: TracedCall) -> Value:
    x = t.value(call["self"])
    return combine(t, "mul", x, activation(t, x, "sigmoid"))


@TRANSLATIONS("mish")
def _mish(t: Tracer, call: TracedCall) -> Value:
    x = t.value(call["self"])
    return combine(t, "mul", x, activation(t, activation(t, x, "softrelu"), "tanh"))


@TRANSLATIONS("hardsigmoid", "hardswish")
def _hard(t: Tracer, call: TracedCall) -> Value:
    x = t.value(call["self"])
    gate = unary(t, "clip", with_number(t, "add", x, 3), a_min=0.0, a_max=6.0)
    gate = with_number(t, "mul", gate, 1 / 6)
    return gate if call.name.startswith("hardsigmoid") else combine(t, "mul", x, gate)


@TRANSLATIONS("gelu")
def _gelu(t: Tracer, call: TracedCall) -> Value:
    x = t.value(call["self"])
    if call["approximate"] == "none":
        return unary(t, "LeakyReLU", x, act_type="gelu")
    cubic = with_number(t, "add", with_number(t, "mul", unary(t, "square", x), 0.044715), 1)
    inner = with_number(t, "mul", combine(t, "mul", x, cubic), math.sqrt(2 / math.pi))
    gate = with_number(t, "add", activation(t, inner, "tanh"), 1)
    return with_number(t, "mul", combine(t, "mul", x, gate), 0.5)


@TRANSLATIONS("leaky_relu")
def _leaky_relu(t: Tracer, call: TracedCall) -> Value:
    return unary(t, "LeakyReLU", t.value(call["self"]), act_type="leaky", slope=float(call["negative_slope"]))


@TRANSLATIONS("elu")
def _elu(t: Tracer, call: TracedCall) -> Value:
    if call["scale"] != 1 or call["input_scale"] != 1:
        raise t.unsupported("a scaled elu")
    return unary(t, "LeakyReLU", t.value(call["self"]), act_type="elu", slope=float(call["alpha"]))


@TRANSLATIONS("relu6", "hardtanh", "clamp", "clamp_min", "clamp_max")
def _clip(t: Tracer, call: TracedCall) -> Value:
    x = t.value(call["self"])
    limits: dict[str, Any] = {"min": 0, "max": 6} if call.name.startswith("relu6") else call.arguments
    given: dict[str, Any] = {key: limits.get(key, limits.get(f"{key}_val")) for key in ("min", "max")}
    if any(isinstance(limit, Tensor) for limit in given.values()):
        raise t.unsupported("limits that are tensors")
    if given["min"] is None:
        return with_number(t, "minimum", x, given["max"])
    if given["max"] is None:
        return with_number(t, "maximum", x, given["min"])
    return unary(t, "clip", x, a_min=float(given["min"]), a_max=float(given["max"]))


@TRANSLATIONS("softmax", "_softmax", "log_softmax", "_log_softmax")
def _softmax(t: Tracer, call: TracedCall) -> Value:
    op = "log_softmax" if "log" in call.name else "softmax"
    return unary(t, op, t.full(call["self"]), axis=call["dim"] % call["self"].ndim)


@TRANSLATIONS("dropout")
def _dropout(t: Tracer, call: TracedCall) -> Value:
    x = t.value(call["input"])
    return unary(t, "Dropout", x, p=call["p"]) if call["p"] else x


@TRANSLATIONS("contiguous", "clone", "detach", "alias", "to", "_to_copy", "type_as", "feature_dropout", "alpha_dropout")
def _unchanged(t: Tracer, call: TracedCall) -> Value:
    return t.value(next(iter(call.arguments.values())))


def reduce(t: Tracer, op: str, value: Value, axes: Sequence[int], keepdim: bool, **attrs: object) -> Value:
    """A reduction over ``axes``."""
    axes = tuple(sorted(axis % len(value.shape) for axis in axes))
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(value.shape))
    shape = kept if keepdim else tuple(size for axis, size in enumerate(value.shape) if axis not in axes)
    return t.add(op, [value.entry], {**attrs, "axis": axes, "keepdims": keepdim}, shape)


def _axes(t: Tracer, call: TracedCall, key: str = "dim") -> Shape:
    """The axes that ``call`` reduces, never the batch's."""
    rank = call["self"].ndim
    dim = call.arguments.get(key)
    axes = tuple(range(rank)) if dim is None or dim == [] else (dim,) if isinstance(dim, int) else tuple(dim)
    axes = tuple(axis % rank for axis in axes)
    for axis in axes:
        t.batch_of(call["self"].shape[axis], "a reduction")
    return axes


@TRANSLATIONS("mean")
def _mean(t: Tracer, call: TracedCall) -> Value:
    axes = _axes(t, call)
    x = t.full(call["self"])
    if len(x.shape) == 4 and sorted(axes) == [2, 3]:
        attrs = {"kernel": x.shape[2:], "pool_type": "avg", "global_pool": True}
        return t.reshape(t.add("Pooling", [x.entry], attrs, (*x.shape[:2], 1, 1)), call.shape)
    return reduce(t, "mean", x, axes, call["keepdim"])


@TRANSLATIONS("sum", "amax", "amin")
def _reduction(t: Tracer, call: TracedCall) -> Value:
    return reduce(t, REDUCTIONS[call.name], t.full(call["self"]), _axes(t, call), call["keepdim"])


@TRANSLATIONS("max", "min")
def _extreme(t: Tracer, call: TracedCall) -> Value | list[Value]:
    if "other" in call.arguments:
        kind = "maximum" if call.name == "max" else "minimum"
        return combine(t, kind, t.value(call["self"]), t.value(call["other"]))
    return [reduce(t, call.name, t.full(call["self"]), _axes(t, call), call.arguments.get("keepdim", False))]


@TRANSLATIONS("linalg_vector_norm", "norm")
def _norm(t: Tracer, call: TracedCall) -> Value:
    order = call.arguments.get("ord", call.arguments.get("p"))
    x, axes, keepdim = t.full(call["self"]), _axes(t, call), call["keepdim"]
    if order == 1:
        return reduce(t, "sum", unary(t, "abs", x), axes, keepdim)
    if order not in (2, None):
        raise t.unsupported(f"a norm of order {order}")
    return unary(t, "sqrt", reduce(t, "sum", unary(t, "square", x), axes, keepdim))


@TRANSLATIONS("var", "std")
def _spread(t: Tracer, call: TracedCall) -> Value:
    x, axes = t.full(call["self"]), _axes(t, call)
    count = math.prod(x.shape[axis] for axis in axes)
    correction = call.arguments.get("correction", call.arguments.get("unbiased", 1))
    squares = unary(t, "square", combine(t, "sub", x, reduce(t, "mean", x, axes, keepdim=True)))
    variance = reduce(t, "sum", squares, axes, call.arguments.get("keepdim", False))
    variance = with_number(t, "mul", variance, 1 / (count - (1 if correction is None else int(correction))))
    return variance if call.name == "var" else unary(t, "sqrt", variance)


@TRANSLATIONS("view", "reshape", "_reshape_copy", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze")
def _reshape(t: Tracer, call: TracedCall) -> Value:
    return t.reshape(t.full(call["self"]), call.shape)


@TRANSLATIONS("permute")
def _permute(t: Tracer, call: TracedCall) -> Value:
    return t.permute(t.full(call["self"]), call["dims"])


@TRANSLATIONS("transpose", "t", "swapaxes", "swapdims")
def _transpose(t: Tracer, call: TracedCall) -> Value:
    axes = list(range(call["self"].ndim))
    first, second = list(call.arguments.values())[1:3] if len(call.arguments) > 1 else (0, 1)
    if axes:
        axes[first], axes[second] = axes[second], axes[first]
    return t.permute(t.full(call["self"]), axes) if len(axes) > 1 else t.full(call["self"])


@TRANSLATIONS("expand", "expand_as", "broadcast_to")
def _expand(t: Tracer, call: TracedCall) -> Value:
    return t.value(call["self"])  # whatever uses it broadcasts, or asks for it in full


@TRANSLATIONS("repeat", "tile")
def _repeat(t: Tracer, call: TracedCall) -> Value:
    x, given = t.full(call["self"]), tuple(list(call.arguments.values())[1])
    repeats = (1,) * (len(call.shape) - len(given)) + given
    for count in repeats:
        t.batch_of(count, "a repetition")
    x = t.reshape(x, (1,) * (len(call.shape) - len(x.shape)) + x.shape)
    return t.add("tile", [x.entry], {"reps": repeats}, call.shape)


@TRANSLATIONS("cat", "concat", "concatenate")
def _concatenate(t: Tracer, call: TracedCall) -> Value:
    parts = [t.full(tensor) for tensor in call["tensors"] if tensor.numel()]
    if len(parts) == 1:
        return parts[0]
    axis = call["dim"] % len(call.shape)
    return t.add("Concat", [part.entry for part in parts], {"dim": axis, "num_args": len(parts)}, call.shape)


@TRANSLATIONS("stack")
def _stack(t: Tracer, call: TracedCall) -> Value:
    axis = call["dim"] % len(call.shape)
    shape = (*call.shape[:axis], 1, *call.shape[axis + 1 :])
    parts: list[Entry] = [t.reshape(t.full(tensor), shape).entry for tensor in call["tensors"]]
    return t.add("Concat", parts, {"dim": axis, "num_args": len(parts)}, call.shape)


def cut(t: Tracer, value: Value, axis: int, begin: int, size: int) -> Value:
    """``size`` entries of ``value`` along ``axis`` from ``begin`` on."""
    if size == value.shape[axis]:
        return value
    t.batch_of(value.shape[axis], "a slice")
    shape = (*value.shape[:axis], size, *value.shape[axis + 1 :])
    return t.add("slice_axis", [value.entry], {"axis": axis, "begin": begin, "end": begin + size}, shape)


@TRANSLATIONS("slice", "narrow")
def _slice(t: Tracer, call: TracedCall) -> Value:
    if call.arguments.get("step", 1) != 1:
        raise t.unsupported("a slice with a step")
    x, axis = t.full(call["self"]), call["dim"] % len(call.shape)
    begin = call["start"] or 0
    begin = min(begin if begin >= 0 else begin + x.shape[axis], x.shape[axis])
    return cut(t, x, axis, begin, call.shape[axis])


@TRANSLATIONS("select")
def _select(t: Tracer, call: TracedCall) -> Value:
    x = t.full(call["self"])
    axis = call["dim"] % len(x.shape)
    return t.reshape(cut(t, x, axis, call["index"] % x.shape[axis], 1), call.shape)


@TRANSLATIONS("unbind")
def _unbind(t: Tracer, call: TracedCall) -> list[Value]:
    x = t.full(call["self"])
    axis = call["dim"] % len(x.shape)
    return [t.reshape(cut(t, x, axis, i, 1), part.shape) for i, part in enumerate(call.result)]


@TRANSLATIONS("split", "split_with_sizes", "chunk", "tensor_split")
def _split(t: Tracer, call: TracedCall) -> list[Value]:
    x, begin, parts = t.full(call["self"]), 0, []
    axis = call["dim"] % len(x.shape)
    for part in call.result:
        parts.append(cut(t, x, axis, begin, part.shape[axis]))
        begin += part.shape[axis]
    return parts


@TRANSLATIONS("constant_pad_nd", "reflection_pad2d", "replication_pad2d")
def _pad(t: Tracer, call: TracedCall) -> Value:
    x, amounts = t.full(call["self"]), list(call.arguments.values())[1]
    if len(x.shape) != 4 or any(amounts[4:]) or min(amounts) < 0:
        raise t.unsupported("padding of anything but the height and width of a map")
    left, right, top, bottom = (*amounts[:4], 0, 0)[:4]
    mode = {"constant_pad_nd": "constant", "reflection_pad2d": "reflect", "replication_pad2d": "edge"}[call.name]
    value = float(call.arguments.get("value", 0))
    attrs = {"mode": mode, "pad_width": (0, 0, 0, 0, top, bottom, left, right), "constant_value": value}
    return t.add("Pad", [x.entry], attrs, call.shape)
