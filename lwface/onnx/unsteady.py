"""What in an ONNX graph makes a feature depend on more than its image, as far as the graph tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from lwface.onnx.graph import all_tensors, attribute

RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
EXPORT_AGAIN = "export it again in evaluation mode (network.eval())"


class Unsteady(NamedTuple):
    """Why a feature may change, what to do, and whether the model is wrong even where no change is seen."""

    reason: str
    remedy: str
    always_wrong: bool


def unsteady_parts(model: Any) -> list[Unsteady]:
    """What ``model`` holds of batch statistics, dropout that is on, ranges found while it runs, and chance."""
    nodes = [*_nodes(model.graph.node), *(node for function in model.functions for node in _nodes(function.node))]
    on = {name for name, tensor in all_tensors(model) if name and _is_true(tensor)}
    found = []
    if any(node.op_type == "BatchNormalization" and attribute(node, "training_mode", 0) for node in nodes):
        found.append(Unsteady("a batch norm is in training mode", EXPORT_AGAIN, True))
    if any(node.op_type == "Dropout" and len(node.input) > 2 and node.input[2] in on for node in nodes):
        found.append(Unsteady("dropout is left on", EXPORT_AGAIN, True))
    if any(node.op_type == "DynamicQuantizeLinear" for node in nodes):
        remedy = "make static int8 of the float model: recognition/export.py --precision int8"
        found.append(Unsteady("it is dynamic int8: its ranges are those of each batch", remedy, False))
    if any(node.op_type in RANDOM for node in nodes):
        found.append(Unsteady("it draws random numbers", EXPORT_AGAIN, False))
    return found


def _nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    """``nodes`` and those of their branches."""
    for node in nodes:
        yield node
        for kept in node.attribute:
            for graph in (kept.g, *kept.graphs):
                yield from _nodes(graph.node)


def _is_true(tensor: Any) -> bool:
    """Whether ``tensor`` is one boolean, and true."""
    from onnx import TensorProto, numpy_helper

    if tensor.data_type != TensorProto.BOOL or any(size != 1 for size in tensor.dims):
        return False
    return bool(np.asarray(numpy_helper.to_array(tensor)).all())
