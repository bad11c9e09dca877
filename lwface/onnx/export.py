"""A network as an ONNX model: the bytes of a file that other programs run.

The exporter is PyTorch's tracing one, not the newer ``torch.export`` one: for these networks it writes one ONNX node
for one layer (the newer one surrounds each batch norm with shape arithmetic), takes any opset, and needs a tenth of the
time, which counts where a network is exported at the start of a run. What a trace can get wrong, a batch size that is
baked in, is looked for in the finished graph.

Batch norms stay nodes of their own: folded into a convolution they would give it a bias, and the official count of
FLOPs would change. Whoever runs the model folds them while loading.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.base.evaluating import evaluating
from lwface.base.extras import require
from lwface.onnx.choices import OPSET, OPSETS
from lwface.onnx.graph import attribute, element_types, shapes
from lwface.onnx.raw_pixels import say_raw_pixels

INPUT, OUTPUT, BATCH = "data", "fc1", "N"  # names in the model; MXNet's for the first two
IMAGE_SHAPE = (3, 112, 112)
PIXEL_MEAN, PIXEL_SCALE = 127.5, 0.0078125  # (x - mean) * scale is what a network with its pre-processing outside takes


def export_onnx(
    network: nn.Module,
    *,
    normalise_inside: bool = True,
    opset: int = OPSET,
    config: Mapping[str, Any] | None = None,
) -> bytes:
    """The ONNX model of ``network``, float32, with input ``data`` (N, 3, 112, 112) and output ``fc1`` (N, D).

    N is free. Initialisers are called as in ``network.state_dict()``. The same network gives the same bytes. The
    metadata says what :mod:`lwface.onnx.model` reads: see :func:`describe`; the names of the first nodes say what
    insightface reads: see :mod:`lwface.onnx.raw_pixels`.

    Args:
        network: takes (N, 3, 112, 112) RGB 0..255; it is left as it was.
        normalise_inside: False: the model takes pixels that are already ``(x - 127.5) / 128``.
        config: the settings that rebuild the network, kept as metadata.

    Raises:
        UserError: the exporter knows no ONNX operator for something the network does, the network's computation depends
            on the size of the batch it was traced with, or its pre-processing cannot be left out.
    """
    onnx = require("onnx", extra="onnx")
    network = _plain_copy(network if normalise_inside else _without_normalisation(network))
    model = traced_model(network, opset)
    _require_free_batch(model)
    if normalise_inside:
        say_raw_pixels(model.graph, INPUT)
    model.producer_name, model.producer_version = "lightweight-face-recognition", ""
    onnx.helper.set_model_props(model, describe(network, normalise_inside, opset, config))
    return model.SerializeToString(deterministic=True)


def traced_model(network: nn.Module, opset: int, image_shape: tuple[int, int, int] = IMAGE_SHAPE) -> Any:
    """The ``onnx.ModelProto`` of a float32 network on the CPU: one node a layer, no metadata yet.

    Whether it takes any size of the batch is not looked at.

    Raises:
        UserError: as :func:`export_onnx`.
    """
    if opset not in OPSETS:
        raise UserError(f"opset {opset}: expected {OPSETS[0]} to {OPSETS[-1]}")
    model = require("onnx", extra="onnx").load_from_string(_trace(network, opset, image_shape))
    _tidy(model)
    return model


def describe(
    network: nn.Module, normalise_inside: bool, opset: int, config: Mapping[str, Any] | None
) -> dict[str, str]:
    """The metadata of an exported model.

    ``config``: JSON of the settings; ``input_mean`` and ``input_scale``: what is to be done to pixels 0..255 before
    they are given to the model, ``(x - mean) * scale`` (0 and 1: nothing); ``color_order``, ``number_type``, ``opset``;
    ``weights_sha256``: of names, shapes and values of all tensors, whatever the pre-processing.
    """
    mean, scale = (0.0, 1.0) if normalise_inside else (PIXEL_MEAN, PIXEL_SCALE)
    return {
        "config": json.dumps(dict(config or {}), sort_keys=True, default=str),
        "normalisation": "inside" if normalise_inside else "outside",
        "input_mean": repr(mean),
        "input_scale": repr(scale),
        "color_order": "RGB",
        "number_type": "float32",
        "opset": str(opset),
        "weights_sha256": weights_sha256(network),
    }


def weights_sha256(network: nn.Module) -> str:
    """SHA-256 over name, number type, shape and bytes of every tensor of ``network``, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _without_normalisation(network: nn.Module) -> nn.Module:
    """``network``, sharing its weights, taking normalised pixels."""
    normalise = getattr(network, "normalise", None)
    if normalise is None:
        raise UserError(
            f"a {type(network).__name__} has its pre-processing among its layers: it cannot be left outside; "
            "export it with the normalisation inside"
        )
    if not normalise:
        raise UserError("this network takes pixels 0..255 as they are: export it with the normalisation inside")
    outside = copy.copy(network)
    outside.normalise = False  # type: ignore[assignment]
    return outside


def _plain_copy(network: nn.Module) -> nn.Module:
    """``network`` itself when it is float32 on the CPU, else a copy that is."""
    tensors = [*network.parameters(), *network.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise UserError("a network without values (on the meta device) cannot be exported")
    if all(t.device.type == "cpu" and t.dtype in (torch.float32, torch.int64) for t in tensors):
        return network
    return copy.deepcopy(network).cpu().float()


class _Whole(nn.Module):
    """The module given to the exporter.

    It merges weights whose *values* are equal, as those of fresh batch norms are, unless the outermost module is in
    training; so the outermost module is this one, which has no layers of its own that would notice.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, data: Tensor) -> Tensor:
        return self.network(data)


def _trace(network: nn.Module, opset: int, image_shape: tuple[int, int, int]) -> bytes:
    """The exporter's own model."""
    file = io.BytesIO()
    images = torch.zeros((2, *image_shape))  # a batch of 1 could be taken for a constant
    with evaluating(network), _quiet(), torch.no_grad():
        whole = _Whole(network)
        whole.training = True
        try:
            torch.onnx.export(
                whole,
                (images,),
                file,  # type: ignore[arg-type]  # it takes files, too
                dynamo=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: {0: BATCH}, OUTPUT: {0: BATCH}},
                opset_version=opset,
                training=torch.onnx.TrainingMode.PRESERVE,
                do_constant_folding=False,  # with it, layers are folded into each other
            )
        except (torch.onnx.OnnxExporterError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"cannot be exported with opset {opset}: {reason}") from None
    return file.getvalue()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of the tracer's, and no fused transformer layers, for which there is no ONNX operator."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _tidy(model: Any) -> None:
    """Name weights as the network does, drop nodes that do nothing, and reshape weights here instead of in each run."""
    graph = model.graph
    names = {tensor.name: tensor.name.removeprefix("network.") for tensor in graph.initializer}
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    _rename_inputs(graph, names)
    types, results = element_types(model), {value.name for value in graph.output}
    idle: dict[str, str] = {}
    for node in graph.node:
        same = node.op_type == "Identity" or (node.op_type == "Cast" and attribute(node, "to") == types[node.input[0]])
        if same and node.output[0] not in results:
            idle[node.output[0]] = idle.get(node.input[0], node.input[0])
    _keep(graph, lambda node: node.output[0] not in idle)
    _rename_inputs(graph, idle)
    shaped = _reshape_weights(graph)
    _keep(graph, lambda node: node.output[0] not in shaped)
    _rename_inputs(graph, shaped)
    _fold_constants(graph)
    read = {name for node in graph.node for name in node.input} | results
    _keep(graph, lambda node: node.op_type != "Constant" or node.output[0] in read)
    del graph.value_info[:]  # a program that fixes the size of the batch would find it called N inside


def _rename_inputs(graph: Any, names: Mapping[str, str]) -> None:
    """Let every node read ``names[x]`` where it read ``x``."""
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name in names:
                node.input[position] = names[name]


def _keep(graph: Any, wanted: Callable[[Any], bool]) -> None:
    kept = [node for node in graph.node if wanted(node)]
    del graph.node[:]
    graph.node.extend(kept)


def _reshape_weights(graph: Any) -> dict[str, str]:
    """Transpose and reshape, in place, weights that are read once and by a node that does no more than that.

    Returns:
        What such a node puts out, and the weight that is now the same.
    """
    import onnx

    weights = {tensor.name: tensor for tensor in graph.initializer}
    constants = {n.output[0]: attribute(n, "value") for n in graph.node if n.op_type == "Constant"}
    readers = Counter(name for node in graph.node for name in node.input)
    done = {}
    for node in graph.node:
        name = (node.input or [""])[0]
        if name not in weights or readers[name] != 1:
            continue
        values = onnx.numpy_helper.to_array(weights[name])
        if node.op_type == "Transpose":
            values = values.transpose(attribute(node, "perm"))
        elif node.op_type == "Unsqueeze" and node.input[1] in constants:
            axes = onnx.numpy_helper.to_array(constants[node.input[1]])
            values = np.expand_dims(values, tuple(axes.tolist()))
        else:
            continue
        weights[name].CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        done[node.output[0]] = name
    return done


def _fold_constants(graph: Any) -> None:
    """Compute what only reshapes or joins constants, as the bounds of a slice: shapes cannot be told from nodes."""
    import onnx

    def array(name: str) -> np.ndarray:
        return onnx.numpy_helper.to_array(constants[name])

    constants = {n.output[0]: attribute(n, "value") for n in graph.node if n.op_type == "Constant"}
    for node in graph.node:
        if node.op_type not in ("Concat", "Unsqueeze") or any(constants.get(name) is None for name in node.input):
            continue
        if node.op_type == "Concat":
            values = np.concatenate([array(name) for name in node.input], attribute(node, "axis"))
        else:
            values = np.expand_dims(array(node.input[0]), tuple(array(node.input[1]).tolist()))
        value = constants[node.output[0]] = onnx.numpy_helper.from_array(values)
        node.CopyFrom(onnx.helper.make_node("Constant", [], list(node.output), node.name, value=value))


def _require_free_batch(model: Any) -> None:
    """Raise unless the shapes inside follow the size of the batch: one that is baked in contradicts one of two."""
    for batch in (1, 7):
        try:
            found = shapes(model, batch, "the model")[OUTPUT]
        except UserError as error:
            raise UserError(f"the network cannot be exported for any size of the batch: {error}") from None
        if len(found) != 2 or found[0] != batch:
            raise UserError(f"the network gives {found} for a batch of {batch}: expected ({batch}, D)")
