"""What the ONNX modules share: reading a model as data, the tensors it keeps, and the shapes inside it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from lwface.base.errors import UserError
from lwface.base.extras import require
from lwface.onnx.runtime import onnx_runtime

IMAGE_SIZE = 112
LARGE = 1024  # numbers from which a weight is left out where shapes are inferred: only shape arithmetic reads values
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum")  # whose shapes are asked for
LARGEST_TENSOR = 2**31  # bytes; what one value inside a model may take for one image


def parse(data: bytes, name: str) -> Any:
    """The ``onnx.ModelProto`` in ``data``; :class:`UserError`, calling it ``name``, when it is none."""
    onnx = require("onnx", extra="onnx")
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise UserError(f"{name}: truncated, damaged or not an ONNX model; export or copy it again") from None
    if not (model.ir_version and model.opset_import and model.graph.node and model.graph.output):
        raise UserError(f"{name}: holds no ONNX graph; export or copy it again")
    return model


def image_input(model: Any, name: str) -> Any:
    """The one input of ``model``, for images (N, 3, 112, 112); N may be any number or free.

    Raises:
        UserError: there are several inputs, or it takes something else.
    """
    kept = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in kept]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise UserError(f"{name}: has {len(inputs)} inputs ({names}); expected one, for images (N, 3, 112, 112)")
    sizes = [dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim]  # 0: free
    if len(sizes) != 4 or any(size not in (0, wanted) for size, wanted in zip(sizes[1:], (3, 112, 112), strict=True)):
        found = " x ".join(str(size or "free") for size in sizes)
        raise UserError(f"{name}: its input {inputs[0].name!r} is {found}; expected images N x 3 x 112 x 112")
    return inputs[0]


def fixed_batch(model: Any, name: str) -> int | None:
    """The number of images that ``model`` insists on; None when it takes any."""
    return image_input(model, name).type.tensor_type.shape.dim[0].dim_value or None


def all_tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Every tensor kept anywhere in ``model``: initialisers, constants, in branches and in local functions too.

    With each comes the name of the value it gives, empty where it gives none by itself.
    """
    yield from _tensors_of_graph(model.graph)
    for function in model.functions:
        yield from _tensors_of_nodes(function.node)


def _tensors_of_graph(graph: Any) -> Iterator[tuple[str, Any]]:
    yield from ((tensor.name, tensor) for tensor in graph.initializer)
    for sparse in graph.sparse_initializer:
        yield from ((sparse.values.name, sparse.values), ("", sparse.indices))
    yield from _tensors_of_nodes(graph.node)


def _tensors_of_nodes(nodes: Any) -> Iterator[tuple[str, Any]]:
    for node in nodes:
        name = node.output[0] if node.op_type == "Constant" and node.output else ""
        for kept in node.attribute:
            if kept.HasField("t"):
                yield name, kept.t
            single = [kept.sparse_tensor] if kept.HasField("sparse_tensor") else []
            for sparse in (*single, *kept.sparse_tensors):
                yield from ((name, sparse.values), ("", sparse.indices))
            yield from (("", tensor) for tensor in kept.tensors)
            for graph in (kept.g, *kept.graphs):
                yield from _tensors_of_graph(graph)


def type_name(tensor: Any) -> str:
    """The number type of ``tensor`` as PyTorch and NumPy call it: ``float32`` and the like."""
    import onnx

    name = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def tensor_bytes(tensor: Any) -> int:
    """Bytes that the numbers of ``tensor`` take; those of less than 8 bits lie several in a byte."""
    import onnx

    count, name = math.prod(tensor.dims), type_name(tensor)
    bits = next((size for size in (2, 4) if name.endswith(f"int{size}") or name.startswith(f"float{size}e")), None)
    if bits:
        return -(-count * bits // 8)
    return count * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize


def shapes(model: Any, batch: int, name: str) -> dict[str, tuple[int, ...]]:
    """The shapes of the main graph's outputs, of what its layers read and put out, and of more, for ``batch`` images.

    What cannot be told from the graph is measured by running it.

    Raises:
        UserError: as :func:`inferred_shapes`; or the model does not run.
    """
    known = inferred_shapes(model, batch, name)
    layers = [node for node in model.graph.node if node.op_type in PRODUCTS]
    wanted = {value for node in layers for value in (*node.input, *node.output) if value}
    unknown = wanted.union(output.name for output in model.graph.output) - known.keys()
    return {**known, **_measured(model, sorted(unknown), batch, name)} if unknown else known


def inferred_shapes(model: Any, batch: int, name: str) -> dict[str, tuple[int, ...]]:
    """The shape of every value of the main graph that can be told for ``batch`` images, weights included.

    Raises:
        UserError: the graph contradicts itself at this size of the batch, or a value would be absurdly large.
    """
    onnx = require("onnx", extra="onnx")
    skeleton = _without_large_weights(model)
    image = next(value for value in skeleton.graph.input if value.name == image_input(model, name).name)
    for dim, size in zip(image.type.tensor_type.shape.dim, (batch, 3, IMAGE_SIZE, IMAGE_SIZE), strict=True):
        dim.dim_value = size
    for output in skeleton.graph.output:  # a model may promise less or other than it gives
        output.type.tensor_type.ClearField("shape")
    try:
        found = onnx.shape_inference.infer_shapes(skeleton, check_type=True, strict_mode=True, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, ValueError) as error:
        raise UserError(
            f"{name}: its shapes do not fit each other for a batch of {batch} ({one_line(error)})"
        ) from None
    known = {tensor.name: tuple(tensor.dims) for tensor in found.initializer}
    for value in (*found.input, *found.value_info, *found.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            known[value.name] = tuple(dim.dim_value for dim in dims)
    for value, sizes in known.items():
        if 4 * math.prod(sizes) > LARGEST_TENSOR:
            raise UserError(f"{name}: {value!r} inside would be of shape {sizes}: refused")
    return known


def _measured(model: Any, values: list[str], batch: int, name: str) -> dict[str, tuple[int, ...]]:
    """The shapes of ``values``, which cannot be told from the graph, as running it on black images gives them."""
    runtime = onnx_runtime()
    import onnx

    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    exposed.graph.output.extend(onnx.ValueInfoProto(name=value) for value in values)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    image = image_input(model, name)
    number_type = onnx.helper.tensor_dtype_to_np_dtype(image.type.tensor_type.elem_type)
    try:
        session = runtime.InferenceSession(exposed.SerializeToString(), options, providers=["CPUExecutionProvider"])
        black = np.zeros((batch, 3, IMAGE_SIZE, IMAGE_SIZE), number_type)
        found = session.run(values, {image.name: black})
    except Exception as error:  # ONNX Runtime's errors have no common class of their own
        raise UserError(f"{name}: does not run with a batch of {batch} ({one_line(error)})") from None
    return {value: tuple(array.shape) for value, array in zip(values, found, strict=True)}


def one_line(error: Exception) -> str:
    """The beginning of a library's long error."""
    return " ".join(str(error).split())[:300]


def element_types(model: Any) -> dict[str, int]:
    """The element type (``onnx.TensorProto.DataType``) of every value of the main graph; 0 where it cannot be told."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(_without_large_weights(model)).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    types.update((v.name, v.type.tensor_type.elem_type) for v in (*graph.input, *graph.value_info, *graph.output))
    return defaultdict(int, types)


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """The attribute ``name`` of ``node`` as a Python value."""
    import onnx

    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _without_large_weights(model: Any) -> Any:
    """``model`` with large weights turned into inputs of the same type and shape, and no shapes stated inside."""
    import onnx

    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    graph, old = light.graph, model.graph
    graph.name = old.name or "graph"
    graph.node.extend(old.node)
    graph.output.extend(old.output)
    kept = {tensor.name for tensor in old.initializer}
    graph.input.extend(value for value in old.input if value.name not in kept)
    graph.sparse_initializer.extend(old.sparse_initializer)
    for tensor in old.initializer:
        if math.prod(tensor.dims) > LARGE:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        else:
            graph.initializer.append(tensor)
    return light
