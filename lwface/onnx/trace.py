"""Following the image through a graph, as far as every value still is one pixel's, moved, converted, scaled or shifted.

Each operator that does no more has a rule here; the first that has none (a convolution, as a rule) ends the way.
Operators that only choose places, such as ``Pad`` or ``Resize``, count as leaving values alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lwface.base.extras import require
from lwface.onnx.graph import LARGE, attribute, fixed_batch, image_input, inferred_shapes

MOVING = (  # every value that comes out is one that went in (or lies between such)
    *("Identity", "Cast", "CastLike", "Pad", "Dropout", "Resize", "Upsample", "Contiguous"),
    *("MaxPool", "AveragePool", "DepthToSpace", "SpaceToDepth"),
)
LOOKING = ("Shape", "Size")  # operators that read no values
LAYERS = ("Conv", "ConvInteger", "QLinearConv", "Gemm", "MatMul", "Einsum", "ConvTranspose")
GROWING = ("ConstantOfShape", "Expand", "Tile", "Range", "Resize", "Pad")  # constants that may be large when computed
OWN_STATISTICS = ("InstanceNormalization", "LayerNormalization", "GroupNormalization", "MeanVarianceNormalization")
INTEGER_LIMITS = {np.dtype(np.uint8): (0, 255), np.dtype(np.int8): (-128, 127)}


@dataclass(frozen=True)
class Trace:
    """What a value of the graph is in terms of the image: ``scale * x + shift``.

    Attributes:
        axis: of the channels; None where they do not lie along an axis any more.
        rank: how many axes the value has.
        order: which channel of the input each channel is.
        scale, shift: (C,) a channel.
        limits: of x, that the graph keeps to.
        arithmetic: something was scaled or shifted; batch_norm: by a batch norm.
        own_statistics: the image is normalised by what is in it, so that its range does not matter.
    """

    axis: int | None
    order: tuple[int, ...]
    scale: np.ndarray
    shift: np.ndarray
    limits: tuple[tuple[float, float], ...] = ()
    arithmetic: bool = False
    batch_norm: bool = False
    own_statistics: bool = False
    rank: int = 4

    def line(self, scale: np.ndarray | float, shift: np.ndarray | float, **changes: Any) -> Trace:
        """``scale * value + shift``."""
        return replace(self, scale=self.scale * scale, shift=self.shift * scale + shift, arithmetic=True, **changes)

    def channels(self, chosen: Any) -> Trace:
        """Some of the channels, in this order."""
        places = [int(place) for place in np.asarray(chosen).reshape(-1)]
        order = tuple(self.order[place] for place in places)
        return replace(self, order=order, scale=self.scale[places], shift=self.shift[places])

    def limited(self, low: float, high: float) -> Trace:
        """Values kept to ``low..high``."""
        ends = sorted(float(((end - self.shift) / self.scale).mean()) for end in (low, high))
        return replace(self, limits=(*self.limits, (ends[0], ends[1])))


@dataclass
class Way:
    """What the rules look at: the values followed, the constants, and the shapes."""

    traces: dict[str, Trace]
    constants: dict[str, np.ndarray]
    shapes: Mapping[str, tuple[int, ...]]
    opset: int

    def number(self, node: Any, place: int) -> np.ndarray | None:
        """The constant that is input ``place`` of ``node``."""
        return self.constants.get(node.input[place]) if len(node.input) > place else None

    def setting(self, node: Any, name: str, place: int, default: Any = None) -> Any:
        """What older operator sets have as an attribute, and newer ones as input ``place``."""
        found = self.number(node, place)
        return attribute(node, name, default) if found is None else found


def axis_of(node: Any, trace: Trace, default: int) -> int:
    """The axis that ``node`` works along, counted from the front."""
    axis = int(attribute(node, "axis", default))
    return axis + trace.rank if axis < 0 else axis


Rule = Callable[[Any, Trace, Way], "list[Trace] | None"]  # what each output is; None: the way ends here


def trace_image(model: Any, name: str) -> Trace | None:
    """How the first layer of ``model`` finds the image; None where nothing reads it.

    Raises:
        UserError: as :func:`lwface.onnx.graph.inferred_shapes`.
    """
    onnx = require("onnx", extra="onnx")
    if model.functions:
        import onnx.inliner

        model = onnx.inliner.inline_local_functions(model)
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    image = Trace(1, (0, 1, 2), np.ones(3), np.zeros(3))
    shapes = inferred_shapes(model, fixed_batch(model, name) or 1, name)
    way = Way({image_input(model, name).name: image}, _initializers(model), shapes, opset)
    ends: list[tuple[str, Trace]] = []
    for node in model.graph.node:
        _fold(node, way)
        source = next((value for value in node.input if value in way.traces), None)
        if source is None or node.op_type in LOOKING:
            continue
        found = _step(node, way.traces[source], way)
        if found is None:
            if node.op_type in OWN_STATISTICS:
                ends.append((node.op_type, replace(way.traces[source], own_statistics=True)))
            else:
                ends.append((node.op_type, way.traces[source]))
        else:
            way.traces.update(zip(node.output, found, strict=False))
    return next((trace for op, trace in ends if op in LAYERS), ends[0][1] if ends else None)


def _step(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    rule = RULES.get(node.op_type)
    if rule is None or node.domain not in ("", "ai.onnx"):
        return None
    try:
        return rule(node, trace, way)
    except (KeyError, IndexError, ValueError, TypeError):  # a graph that the rule was not made for
        return None


def _initializers(model: Any) -> dict[str, np.ndarray]:
    from onnx import numpy_helper

    small = (tensor for tensor in model.graph.initializer if math.prod(tensor.dims) <= LARGE)
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in small}


def _fold(node: Any, way: Way) -> None:
    """Compute what ``node`` makes of small constants, so that means behind a reshape or a division are known."""
    from onnx.reference import ReferenceEvaluator

    if node.op_type == "Shape" and node.input[0] in way.shapes:
        shape = way.shapes[node.input[0]][attribute(node, "start", 0) : attribute(node, "end", None)]
        way.constants[node.output[0]] = np.array(shape, np.int64)
        return
    if node.domain or not all(value in way.constants for value in node.input if value):
        return
    if any(kept.HasField("g") for kept in node.attribute) or node.op_type.startswith(("Random", "Bernoulli")):
        return
    if node.op_type in GROWING or any(math.prod(way.shapes.get(value, ())) > LARGE for value in node.output):
        return
    try:
        found = ReferenceEvaluator(node).run(None, {value: way.constants[value] for value in node.input if value})
    except Exception:  # an operator that the reference does not have is one that this does not know
        return
    way.constants.update(zip(node.output, map(np.asarray, found), strict=True))


def _per_channel(constant: np.ndarray, trace: Trace) -> np.ndarray | None:
    """``constant`` as (C,) or one number; None where it differs from place to place."""
    constant = np.asarray(constant, np.float64)
    if constant.size == 1 or np.ptp(constant) == 0:
        return np.full(len(trace.order), constant.reshape(-1)[0])
    shape = (1,) * (trace.rank - constant.ndim) + constant.shape
    if trace.axis is None or len(shape) != trace.rank or shape[trace.axis] != len(trace.order):
        return None
    return constant.reshape(-1) if constant.size == len(trace.order) else None


def _arithmetic(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    image = next(place for place, value in enumerate(node.input) if value in way.traces)
    constant = way.number(node, 1 - image)
    if len(node.input) != 2 or constant is None:
        return None
    value = _per_channel(constant, trace)
    if value is None or (node.op_type == "Div" and (image or not value.all())):
        return None
    lines: dict[str, tuple[Any, Any]] = {
        "Add": (1.0, value),
        "Sub": (-1.0, value) if image else (1.0, -value),
        "Mul": (value, 0.0),
        "Div": (1 / value if node.op_type == "Div" else 1.0, 0.0),
    }
    return [trace.line(*lines[node.op_type])]


def _batch_norm(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    """By the mean and variance it has seen; gamma and beta are learned, and say nothing of the pixels."""
    mean, variance = way.number(node, 3), way.number(node, 4)
    if trace.axis != 1 or mean is None or variance is None:
        return None
    scale = 1 / np.sqrt(np.asarray(variance, np.float64) + attribute(node, "epsilon", 1e-5))
    return [trace.line(scale, -np.asarray(mean, np.float64) * scale, batch_norm=True)]


def _quantise(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    """``QuantizeLinear``: x / scale + zero; rounding aside it is a line, and its ends are those of the values."""
    scale = way.number(node, 1)
    zero = way.number(node, 2)
    zero = np.zeros((), np.uint8) if zero is None else zero
    if scale is None or scale.size != 1 or zero.dtype not in INTEGER_LIMITS:
        return None
    step, origin = float(scale.reshape(-1)[0]), float(zero.reshape(-1)[0])
    low, high = ((end - origin) * step for end in INTEGER_LIMITS[zero.dtype])
    return [replace(trace.limited(low, high).line(1 / step, origin), arithmetic=trace.arithmetic)]


def _dequantise(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    scale, zero = way.number(node, 1), way.number(node, 2)
    if scale is None:
        return None

    def along(constant: np.ndarray) -> np.ndarray | None:
        if constant.size > 1:
            constant = constant.reshape([-1 if place == axis_of(node, trace, 1) else 1 for place in range(trace.rank)])
        return _per_channel(constant, trace)

    step, origin = along(scale), along(np.zeros(1) if zero is None else zero)
    if step is None or origin is None:
        return None
    after = trace.line(step, -origin * step)
    plain = np.allclose(after.scale, 1) and np.allclose(after.shift, 0)  # a pair of quantising and back
    return [replace(after, arithmetic=trace.arithmetic or not plain)]


def _clip(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    low, high = (way.setting(node, name, place) for name, place in (("min", 1), ("max", 2)))
    if low is None or high is None:
        return [trace] if low is None and high is None else None
    return [trace.limited(float(np.asarray(low).reshape(-1)[0]), float(np.asarray(high).reshape(-1)[0]))]


def _gather(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    axis, chosen = axis_of(node, trace, 0), way.number(node, 1)
    if chosen is None or trace.axis is None or chosen.ndim > 1:
        return None
    if axis != trace.axis:
        gone = chosen.ndim == 0
        return [replace(trace, axis=trace.axis - (gone and axis < trace.axis), rank=trace.rank - gone)]
    found = trace.channels(chosen)
    return [replace(found, axis=None, rank=trace.rank - 1)] if chosen.ndim == 0 else [found]


def _slice(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    starts, ends = way.setting(node, "starts", 1), way.setting(node, "ends", 2)
    axes = way.setting(node, "axes", 3, list(range(len(starts))))
    steps = way.number(node, 4)
    for start, end, axis, step in zip(
        starts, ends, axes, np.ones(len(starts)) if steps is None else steps, strict=True
    ):
        if int(axis) % trace.rank == trace.axis:
            count = len(trace.order)
            last = None if int(step) < 0 and int(end) < -count else int(end)
            trace = trace.channels(np.arange(count)[int(start) : last : int(step)])
    return [trace]


def _split(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    if axis_of(node, trace, 0) != trace.axis:
        return [trace] * len(node.output)
    sizes = way.setting(node, "split", 1)
    count = len(trace.order)
    if sizes is None:
        parts = np.array_split(np.arange(count), len(node.output))
    else:
        parts = np.split(np.arange(count), np.cumsum(np.asarray(sizes).reshape(-1))[:-1])
    return [trace.channels(part) for part in parts]


def _concat(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    parts = [way.traces[value] for value in node.input]  # KeyError: something else comes in
    axis = axis_of(node, trace, 0)
    if parts[0].axis not in (axis, None):
        return [trace] if all(part.order == trace.order for part in parts) else None
    order = tuple(channel for part in parts for channel in part.order)
    scale, shift = (np.concatenate(numbers) for numbers in zip(*((p.scale, p.shift) for p in parts), strict=True))
    first = max(parts, key=lambda part: part.arithmetic)
    return [replace(first, axis=axis, order=order, scale=scale, shift=shift)]


def _transpose(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    order = attribute(node, "perm", list(range(trace.rank))[::-1])
    return [trace if trace.axis is None else replace(trace, axis=list(order).index(trace.axis))]


def _reshape(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    """Where the channels lie after a change of shape: as many, with as much behind each."""
    before, after = way.shapes[node.input[0]], way.shapes[node.output[0]]
    count = len(trace.order)
    behind = math.prod(before[trace.axis + 1 :]) if trace.axis is not None else math.prod(before)
    places = [axis for axis in range(len(after)) if after[axis] == count and math.prod(after[axis + 1 :]) == behind]
    return [replace(trace, axis=places[-1] if places else None, rank=len(after))]


def _layer(node: Any, trace: Trace, way: Way) -> list[Trace] | None:
    """A 1x1 convolution that does no more than scale, shift or exchange the three channels."""
    weight, bias = way.number(node, 1), way.number(node, 2)
    if trace.axis != 1 or weight is None or len(weight) != 3 or weight.shape[2:] != (1, 1):
        return None
    if (len(node.input) > 2 and bias is None) or any(stride != 1 for stride in attribute(node, "strides", [1])):
        return None
    matrix = np.asarray(weight, np.float64)[:, :, 0, 0]
    if attribute(node, "group", 1) == 3:
        matrix = np.diag(matrix[:, 0])
    used = matrix != 0
    if matrix.shape != (3, 3) or not (used.sum(0) == 1).all() or not (used.sum(1) == 1).all():
        return None
    chosen = used.argmax(1)
    moved = trace.channels(chosen)
    return [moved.line(matrix[np.arange(3), chosen], 0.0 if bias is None else bias)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVING, lambda node, trace, way: [trace]),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _arithmetic),
    **dict.fromkeys(("Reshape", "Unsqueeze", "Squeeze", "Flatten", "Expand"), _reshape),
    "Neg": lambda node, trace, way: [trace.line(-1.0, 0.0)],
    "BatchNormalization": _batch_norm,
    "QuantizeLinear": _quantise,
    "DequantizeLinear": _dequantise,
    "Clip": _clip,
    "Gather": _gather,
    "Slice": _slice,
    "Split": _split,
    "Concat": _concat,
    "Transpose": _transpose,
    "Conv": _layer,
}
