"""From an MXNet graph to a list of calls, tried out without numbers: names, shapes, types, memory and time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lwface.base.errors import UserError
from lwface.mxnet.operators import OPERATORS, Operation
from lwface.mxnet.options import NodeOptions, node_error
from lwface.mxnet.symbol import VARIABLE, Symbol

INPUT = "data"  # what MXNet's examples and InsightFace call the images
MAX_LIVE_BYTES = 256 * 2**20  # of the tensors that one image needs at a time; r100 needs 9 MiB
MAX_PRODUCTS = 2**40  # multiplications for one image; r100 needs 2**34
MAX_DIMENSIONS = 32  # of a tensor; PyTorch's operators know up to 64, some fewer
BATCHES = (1, 2, 4099)  # numbers of images that are tried out
TOO_LARGE = f"up to here the network needs more than {MAX_LIVE_BYTES >> 20} MiB or {MAX_PRODUCTS:.1e} products an image"
MAX_LISTED = 5
REDUCED = (torch.float16, torch.bfloat16)
NUMBER_TYPE_OPERATORS = ("Cast", "cast", "amp_cast", "identity", "_copy", "BlockGrad", "stop_gradient")
# What PyTorch raises for tensors that do not fit an operator.
UNFIT = (RuntimeError, IndexError, ValueError, TypeError, OverflowError, ZeroDivisionError)


class Array(NamedTuple):
    """An array of the parameter file and its name there."""

    name: str
    values: np.ndarray


class Call(NamedTuple):
    """One operator of the graph; a slot holds one tensor that operators hand on."""

    node: int
    inputs: tuple[int | None, ...]  # a slot for each input, None where an array of the layer's own goes in
    outputs: tuple[int, ...]
    releases: tuple[int, ...]  # slots that nobody reads afterwards


@dataclass(frozen=True)
class Plan:
    """What to call in which order, with which arrays; slot 0 holds the images."""

    symbol: Symbol
    operations: dict[int, Operation]
    arrays: dict[int, Array]  # by their node
    calls: tuple[Call, ...]
    slots: int
    result: int


def make_plan(symbol: Symbol, arrays: Mapping[str, np.ndarray]) -> Plan:
    """The order of execution of a graph that has one output.

    Raises:
        UserError: an unknown operator or option, a missing array.
    """
    operations = {i: _operation(symbol, i) for i, node in enumerate(symbol.nodes) if node.op != VARIABLE}
    found = _find_arrays(symbol, arrays)
    images = next(i for i, node in enumerate(symbol.nodes) if node.op == VARIABLE and i not in found)
    slots: dict[tuple[int, int], int] = {(images, 0): 0}
    last_use: dict[int, int] = {}
    unfinished: list[tuple[int, tuple[int | None, ...], tuple[int, ...]]] = []
    for i, operation in operations.items():
        for source, output in symbol.nodes[i].inputs:
            if source not in found and (source, output) not in slots:
                raise node_error(symbol.nodes[i], f"output {output} of {symbol.nodes[source].name!r} cannot be used")
        inputs = tuple(None if entry[0] in found else slots[entry] for entry in symbol.nodes[i].inputs)
        outputs = tuple(slots.setdefault((i, output), len(slots)) for output in range(operation.outputs))
        last_use.update({slot: i for slot in (*inputs, *outputs) if slot is not None})
        unfinished.append((i, inputs, outputs))
    if symbol.heads[0] not in slots:
        raise UserError(f"output {symbol.heads[0][1]} of {symbol.nodes[symbol.heads[0][0]].name!r} cannot be used")
    result = slots[symbol.heads[0]]
    released: dict[int, list[int]] = {}
    for slot, last in last_use.items():
        if slot != result:
            released.setdefault(last, []).append(slot)
    calls = [Call(i, inputs, outputs, tuple(released.get(i, ()))) for i, inputs, outputs in unfinished]
    return Plan(symbol, operations, found, tuple(calls), len(slots), result)


def _operation(symbol: Symbol, i: int) -> Operation:
    """What node ``i`` does."""
    node = symbol.nodes[i]
    if node.op not in OPERATORS:
        raise node_error(node, "this operator of MXNet is not known here, so the network cannot be run")
    options = NodeOptions(node)
    operation = OPERATORS[node.op](options)
    options.finish()
    if len(node.inputs) != len(operation.inputs):
        expected = f"{len(operation.inputs)} ({', '.join(operation.inputs)})"
        raise node_error(node, f"it has {len(node.inputs)} inputs, expected {expected}")
    return operation


def _find_arrays(symbol: Symbol, arrays: Mapping[str, np.ndarray]) -> dict[int, Array]:
    """The array of each variable; the one without is the image, unless one is called ``data``."""
    found: dict[int, Array] = {}
    missing: list[int] = []
    named_input = any(node.op == VARIABLE and node.name == INPUT for node in symbol.nodes)
    for i, node in enumerate(symbol.nodes):
        if node.op != VARIABLE or node.name == INPUT:
            continue
        name = next((n for n in (f"arg:{node.name}", f"aux:{node.name}", node.name) if n in arrays), None)
        if name is None:
            missing.append(i)
        else:
            found[i] = Array(name, arrays[name])
    if len(missing) != (0 if named_input else 1):
        names = ", ".join(repr(symbol.nodes[i].name) for i in missing[:MAX_LISTED])
        if not missing:
            raise UserError("the output does not depend on an image")
        raise UserError(f"arrays that the graph needs are not among the parameters: {names} ({len(missing)} missing)")
    return found


class _TooLargeError(Exception):
    """A tensor inside an operator is larger than it may be."""


class _Limit(TorchDispatchMode):
    """Stops at a tensor of more than ``limit`` bytes, also inside an operator that returns a small one."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor) and _bytes(tensor) > self.limit:
                raise _TooLargeError
        return result


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class Trial:
    """Runs a plan with tensors that have shapes and types, but no numbers.

    Attributes:
        dtypes: the type of each array by node and position of the input: that of the data it meets, as MXNet does it.
        casts: whether there are tensors of another type than float32.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.dtypes: dict[tuple[int, int], torch.dtype] = {}
        self.casts = False

    def embedding_size(self, image_shape: tuple[int, ...]) -> int:
        """D of the embeddings (N, D).

        Raises:
            UserError: a layer whose inputs or arrays do not fit, an output that is not one row an image, limits.
        """
        shapes = {batch: self._output_shape((batch, *image_shape)) for batch in BATCHES}
        row = shapes[1][1:]
        if not row or math.prod(row[1:]) != 1 or any(shapes[batch] != (batch, *row) for batch in BATCHES):
            node, output = self.plan.symbol.heads[0]
            found = f"{shapes[1]} for 1 image and {shapes[BATCHES[-1]]} for {BATCHES[-1]}"
            name = self.plan.symbol.nodes[node].name
            raise UserError(f"output {output} of {name!r} has shape {found}: expected (N, D), one row an image")
        return row[0]

    def _output_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        values: dict[int, Tensor] = {0: torch.empty(image_shape, device="meta")}
        products = 0
        for call in self.plan.calls:
            given = [None if slot is None else values[slot] for slot in call.inputs]
            outputs, cost = self._try(call, given, image_shape[0])
            values.update(zip(call.outputs, outputs, strict=True))
            products += cost
            live = sum(map(_bytes, values.values()))
            if live > MAX_LIVE_BYTES * image_shape[0] or products > MAX_PRODUCTS * image_shape[0]:
                raise node_error(self.plan.symbol.nodes[call.node], TOO_LARGE)
            for slot in call.releases:
                del values[slot]
        return tuple(values[self.plan.result].shape)

    def _try(self, call: Call, given: list[Tensor | None], batch: int) -> tuple[tuple[Tensor, ...], int]:
        """The outputs of a call for a ``batch`` of images, and how many products it computes."""
        node, operation = self.plan.symbol.nodes[call.node], self.plan.operations[call.node]
        special = [x.dtype for x in given if x is not None and x.is_floating_point() and x.dtype != torch.float32]
        dtype = special[0] if special else torch.float32
        if operation.statistics and dtype in REDUCED:  # a batch norm keeps float32
            dtype = torch.float32
        inputs = []
        for position, ((source, _), x) in enumerate(zip(node.inputs, given, strict=True)):
            if x is None:
                self.dtypes[call.node, position] = dtype
                x = torch.empty(self.plan.arrays[source].values.shape, dtype=dtype, device="meta")
            inputs.append(x)
        if node.op not in NUMBER_TYPE_OPERATORS and not all(x.is_floating_point() for x in inputs):
            raise node_error(node, "computing with whole numbers is not supported; a Cast to float32 belongs before it")
        try:
            self._check_shapes(call, inputs)
            with _Limit(MAX_LIVE_BYTES * batch):
                found = operation.compute(*inputs, training=False) if operation.has_mode else operation.compute(*inputs)
            outputs = found if isinstance(found, tuple) else (found,)
            terms = operation.terms(inputs) if operation.terms else 1
            laid_out = operation.laid_out(inputs, outputs[0]) if operation.laid_out else 0
        except UserError:
            raise
        except _TooLargeError:
            raise node_error(node, TOO_LARGE) from None
        except UNFIT as error:
            shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
            reason = " ".join(str(error).split())[:200]
            raise node_error(node, f"cannot be computed for inputs of shape {shapes[:200]}: {reason}") from None
        if len(outputs) != operation.outputs or any(x.numel() == 0 for x in outputs):
            raise node_error(node, f"gives outputs of shape {[tuple(x.shape) for x in outputs[:MAX_LISTED]]}")
        if max(x.ndim for x in outputs) > MAX_DIMENSIONS:
            raise node_error(node, f"gives tensors of more than {MAX_DIMENSIONS} dimensions")
        if laid_out * outputs[0].element_size() > MAX_LIVE_BYTES:
            raise node_error(node, TOO_LARGE)
        self.casts |= any(x.dtype != torch.float32 for x in outputs)
        return outputs, terms * sum(x.numel() for x in outputs)

    def _check_shapes(self, call: Call, inputs: list[Tensor]) -> None:
        node, operation = self.plan.symbol.nodes[call.node], self.plan.operations[call.node]
        if operation.expected is None:
            return
        shapes = [tuple(x.shape) for x in inputs]
        for position, (shape, expected) in enumerate(zip(shapes, operation.expected(shapes), strict=False)):
            if expected is not None and shape != expected:
                source = node.inputs[position][0]
                own = source in self.plan.arrays
                what = (
                    f"array {self.plan.symbol.nodes[source].name!r}" if own else f"input {operation.inputs[position]}"
                )
                raise node_error(node, f"{what} has shape {shape}, expected {expected}")
