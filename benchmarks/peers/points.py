"""Landmark networks of other packages, made ready for ``benchmarks/landmarks.py``.

npm's ``@vladmandic/face-api`` 1.7.15 (MIT) ships its 68 points as a TF.js manifest and a file of bytes, each tensor
with a scale and a minimum; here it becomes ONNX in float32, by the layers of its source (``src/faceLandmarkNet``).
dlib's shape predictor comes in PyPI's ``face-recognition-models`` 0.3.0 and runs in PyPI's ``dlib-bin``. ``make peers``
brings both; nothing of them is shipped.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MANIFEST = "face_landmark_68_model-weights_manifest.json"
DLIB_MODEL = "dlib/lib/python*/site-packages/face_recognition_models/models/shape_predictor_68_face_landmarks.dat"
DLIB_SHARE = 0.75
MEAN = (122.782, 117.001, 104.298)  # of RGB, 0..255


def read_tfjs(manifest: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors of a TF.js manifest whose bytes are in one file beside it."""
    (group,) = json.loads(manifest.read_text(encoding="utf-8"))
    data = b"".join((manifest.parent / name).read_bytes() for name in group["paths"])
    tensors, offset = {}, 0
    for weight in group["weights"]:
        stored = weight.get("quantization", {"dtype": weight["dtype"], "scale": 1.0, "min": 0.0})
        kind = np.dtype(stored["dtype"])
        count = int(np.prod(weight["shape"]))
        values = np.frombuffer(data, kind, count, offset).astype(np.float64) * stored["scale"] + stored["min"]
        tensors[weight["name"]] = values.reshape(weight["shape"]).astype(np.float32)
        offset += count * kind.itemsize
    if offset != len(data):
        raise ValueError(f"{manifest}: its tensors have {offset} bytes, the file {len(data)}")
    return tensors


def face_api_onnx(manifest: Path) -> bytes:
    """The network of 68 points as ONNX: RGB (1, 3, 112, 112), 0..255, to (1, 136), places 0..1 of the image's side.

    Four blocks of four convolutions, each but the first separable; a block adds up what it has so far before each ReLU,
    the first convolution halves the map.
    """
    from onnx import TensorProto, helper, numpy_helper

    weights = read_tfjs(manifest)
    nodes, constants = [], []

    def constant(name: str, value: NDArray[np.float32]) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def convolution(place: str, name: str, stride: int) -> str:
        shape = {"strides": [stride, stride], "auto_pad": "SAME_UPPER"}
        bias = constant(f"{name}/bias", weights[f"{name}/bias"])
        if f"{name}/filters" in weights:  # (height, width, inputs, outputs)
            kernel = constant(f"{name}/filters", weights[f"{name}/filters"].transpose(3, 2, 0, 1))
            return add("Conv", [place, kernel, bias], f"{name}/out", **shape)
        depth = weights[f"{name}/depthwise_filter"].transpose(2, 3, 0, 1)  # from (height, width, channels, 1)
        depth_name = constant(f"{name}/depth", depth)
        place = add("Conv", [place, depth_name], f"{name}/depth/out", group=len(depth), **shape)
        point = constant(f"{name}/point", weights[f"{name}/pointwise_filter"].transpose(3, 2, 0, 1))
        return add("Conv", [place, point, bias], f"{name}/out")

    place = add("Sub", ["image", constant("mean", np.array(MEAN, np.float32)[:, None, None])], "centred")
    place = add("Div", [place, constant("range", np.float32(255))], "scaled")
    for block in range(4):
        total = convolution(place, f"dense{block}/conv0", 2)
        place = add("Relu", [total], f"dense{block}/relu0")
        total = place
        for number in range(1, 4):
            found = convolution(place, f"dense{block}/conv{number}", 1)
            total = add("Add", [total, found], f"dense{block}/sum{number}")
            place = add("Relu", [total], f"dense{block}/relu{number}")
    place = add("AveragePool", [place], "mean_map", kernel_shape=[7, 7], strides=[2, 2])
    place = add("Flatten", [place], "flat")
    add("Gemm", [place, constant("fc", weights["fc/weights"]), constant("fc_bias", weights["fc/bias"])], "points")
    graph = helper.make_graph(
        nodes,
        "face_landmark_68",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("points", TensorProto.FLOAT, [1, 136])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def dlib_points(model: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    """dlib's 68 points of the face in the middle of a crop (S, S, 3): places (68, 2) in its pixels, whole ones.

    dlib is given a rectangle that is :data:`DLIB_SHARE` of the crop's side, as it looks beyond it.

    Args:
        model: the file in ``site-packages/face_recognition_models/models``. dlib, one compiled module without
            dependencies, is taken from the same environment into this process.
    """
    packages = str(model.parents[2])
    sys.path.append(packages)
    try:
        dlib = importlib.import_module("dlib")
    finally:
        sys.path.remove(packages)
    predict = dlib.shape_predictor(str(model))

    def places(image: NDArray[np.uint8]) -> NDArray[np.float64]:
        height, width = image.shape[:2]
        side = round(DLIB_SHARE * min(height, width))
        left, top = (width - side) // 2, (height - side) // 2
        found = predict(image, dlib.rectangle(left, top, left + side - 1, top + side - 1))
        return np.array([(point.x, point.y) for point in found.parts()], np.float64)

    return places
