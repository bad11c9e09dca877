"""ONNX models in half precision and in 8-bit integers, made from float32 ones.

Both keep float32 inputs and outputs, so that a program which runs them need not know. What a conversion costs in
recognition is measured by :mod:`lwface.deploy.conversion_cost`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lwface.base.progress import progress
from lwface.onnx.graph import image_input, parse
from lwface.onnx.raw_pixels import say_raw_pixels, says_raw_pixels
from lwface.onnx.runtime import onnx_runtime

NAME = "the ONNX model"
PERCENTILE = 99.99
CALIBRATION_BATCH = 4  # images whose activations, all of them, are in memory at a time
SAMPLE = 16  # calibration images on which harm is measured
TARGET = 0.01  # mean of 1 - cosine with the float model's embeddings
LAYERS = ("Conv", "Gemm", "MatMul")


def to_float16(model: bytes) -> bytes:
    """``model`` with half-precision weights and arithmetic; numbers too small for it become its smallest."""
    onnx_runtime()
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _quiet():
        converted = convert_float_to_float16(parse(model, NAME), keep_io_types=True)
    _sort_nodes(converted.graph)  # it puts the cast of the input last
    return _described(converted, model, number_type="float16")


def to_int8(model: bytes, images: np.ndarray) -> tuple[bytes, list[str]]:
    """``model`` with 8-bit weights, a scale a channel, and 8-bit activations with the ranges that ``images`` give.

    Batch norms are folded into the convolutions before them first, else their outputs would be rounded twice. A range
    leaves out the outermost 1 in 10 000 values at either end: without that, the few huge values of a PReLU network
    leave no steps for the others. Where the result is still further than :data:`TARGET` from the float model, the
    layers that harm it most, each quantised alone, stay in float32 until it is not.

    Args:
        images: (N, 3, 112, 112) as the model takes them.

    Returns:
        The model, and the names of the nodes that stay in float32.
    """
    onnx_runtime()
    sample = images[:SAMPLE]
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / "folded.onnx"
        _fold(model, folded)
        expected = _run(model, sample)

        def harm(**choice: list[str]) -> float:
            return 1 - _mean_cosine(_run(_quantise(folded, images, **choice), sample), expected)

        layers = [node.name for node in parse(folded.read_bytes(), NAME).graph.node if node.op_type in LAYERS]
        kept: list[str] = []
        if harm() > TARGET:
            alone = {name: harm(only=[name]) for name in progress(layers, label="harm of each layer", unit="layer")}
            worst = sorted(layers, key=lambda name: -alone[name])
            count = 1
            while harm(without=(kept := worst[:count])) > TARGET and count < len(layers):
                count *= 2
        converted = parse(_quantise(folded, images, without=kept), NAME)
    calibration = f"{len(images)} images, percentile {PERCENTILE}"
    float_layers = ", ".join(kept) or "none"
    return _described(converted, model, number_type="int8", calibration=calibration, float_layers=float_layers), kept


def _quantise(
    folded: Path, images: np.ndarray, only: list[str] | None = None, without: list[str] | None = None
) -> bytes:
    """The model in the file ``folded`` in 8 bits: all nodes, ``only`` some, or all ``without`` some.

    The ranges, the slow part, are kept in a file beside it.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    output = folded.with_name("int8.onnx")
    quantize_static(
        folded,
        output,
        _batches_of(images, image_input(parse(folded.read_bytes(), NAME), NAME).name),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_quantize=only,
        nodes_to_exclude=without,
        calibrate_method=CalibrationMethod.Percentile,
        # The stride, despite its name, is how many batches are run before their values are gathered and let go of.
        extra_options={"CalibPercentile": PERCENTILE, "CalibStridedMinMax": 1},
        calibration_cache_path=folded.with_name("ranges.json"),
    )
    return output.read_bytes()


def _batches_of(images: np.ndarray, name: str) -> Any:
    """What the quantiser reads ``images`` from, as input ``name``."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """Hands out batches of a range that the quantiser sets."""

        def __len__(self) -> int:
            return -(-len(images) // CALIBRATION_BATCH)

        def set_range(self, start_index: int, end_index: int) -> None:
            self._waiting = iter(range(start_index, end_index))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._waiting, None)
            if batch is None:
                return None
            return {name: images[batch * CALIBRATION_BATCH : (batch + 1) * CALIBRATION_BATCH]}

    return Reader()


def _run(model: bytes, images: np.ndarray) -> np.ndarray:
    """The embeddings (N, D) of ``images`` as the model takes them."""
    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0], np.float64)


def _mean_cosine(found: np.ndarray, expected: np.ndarray) -> float:
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(np.mean(np.sum(found * expected, axis=1) / np.maximum(norms, np.finfo(float).tiny)))


def _fold(model: bytes, target: Path) -> None:
    """Write ``model`` as ONNX Runtime has it when constants and batch norms are folded."""
    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 4
    runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _sort_nodes(graph: Any) -> None:
    """Put every node behind those whose results it reads, as ONNX demands."""
    known = {"", *(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)}
    waiting, ready = list(graph.node), []
    while waiting:
        runnable = [node for node in waiting if known.issuperset(node.input)]
        assert runnable, "the graph has a cycle"
        for node in runnable:
            known.update(node.output)
        ready += runnable
        waiting = [node for node in waiting if not known.issuperset(node.output)]
    del graph.node[:]
    graph.node.extend(ready)


def _described(converted: Any, original: bytes, **changes: str) -> bytes:
    """``converted`` with the metadata of ``original`` and ``changes``, and no operator sets that it does not use.

    It says of its pixels what ``original`` does, and nothing of shapes inside: a program that fixes the size of the
    batch would find it called N there.
    """
    import onnx

    used = {node.domain for node in converted.graph.node}
    opsets = [opset for opset in converted.opset_import if opset.domain in used or opset.domain in ("", "ai.onnx")]
    del converted.opset_import[:]
    converted.opset_import.extend(opsets)
    source = parse(original, NAME)
    del converted.graph.value_info[:]
    if says_raw_pixels(source.graph.node):
        say_raw_pixels(converted.graph, image_input(converted, NAME).name)
    converted.producer_name, converted.producer_version = source.producer_name, source.producer_version
    kept = {entry.key: entry.value for entry in source.metadata_props}
    onnx.helper.set_model_props(converted, {**kept, **changes})
    return bytes(converted.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """None of the converters' advice and reports."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
