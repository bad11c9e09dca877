"""Two networks of npm's ``@vladmandic/face-api`` 1.7.15 (MIT) as ONNX in float32, for benchmarks.

The package ships each as a TF.js manifest and a file of bytes, most tensors with a scale and a minimum. The layers are
those of its source (``src/faceLandmarkNet``, ``src/faceRecognitionNet``). ``make peers`` brings it; nothing of it is
shipped.

    python benchmarks/peers/face_api.py build/descriptor.onnx

writes the network of faces, which ``--teacher`` and ``--model`` take as they take any ONNX file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.errors import UserError
from lwface.base.files import replacing

MODELS = Path(__file__).resolve().parents[2] / "build/peers/web/node_modules/@vladmandic/face-api/model"
POINTS = MODELS / "face_landmark_68_model-weights_manifest.json"
DESCRIPTOR = MODELS / "face_recognition_model-weights_manifest.json"
MEAN = (122.782, 117.001, 104.298)  # of RGB, 0..255

# Where dlib's square around eyes and mouth lies in an aligned crop of 112x112: their middle is at (0.5, 0.43) of it and
# the eyes are 0.45 of its side from the mouth (``alignDlib`` in ``src/classes/FaceLandmarks.ts``), which for ArcFace's
# five places is a side of 98 from (7, 23), 9 rows below the crop's end.
CROP_LEFT, CROP_TOP, CROP_SIDE, BELOW = 7, 23, 98, 9
SIDE = 150  # what the network of faces takes


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


class Graph:
    """An ONNX graph that is written node by node; the input is ``image``, RGB (N, 3, 112, 112), 0..255."""

    def __init__(self) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._from_array = helper, numpy_helper.from_array
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """A tensor of the file; its name."""
        self._constants.append(self._from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """A node with one output; its name."""
        self._nodes.append(self._helper.make_node(kind, inputs, [output], **attributes))
        return output

    def normalised(self, place: str) -> str:
        """Less the mean of the colours, over 255."""
        place = self.add("Sub", [place, self.constant("mean", np.array(MEAN, np.float32)[:, None, None])], "centred")
        return self.add("Div", [place, self.constant("range", np.float32(255))], "scaled")

    def written(self, name: str, output: str, width: int, images: int | str = 1, **metadata: str) -> bytes:
        """The file; ``output`` is (``images``, ``width``)."""
        from onnx import TensorProto

        info = self._helper.make_tensor_value_info
        graph = self._helper.make_graph(
            self._nodes,
            name,
            [info("image", TensorProto.FLOAT, [images, 3, 112, 112])],
            [info(output, TensorProto.FLOAT, [images, width])],
            self._constants,
        )
        opset = [self._helper.make_opsetid("", 17)]
        model = self._helper.make_model(graph, opset_imports=opset, ir_version=8)
        self._helper.set_model_props(model, metadata)
        return bytes(model.SerializeToString())


def points_onnx(manifest: Path) -> bytes:
    """The network of 68 points: RGB (1, 3, 112, 112), 0..255, to (1, 136), places 0..1 of the image's side.

    Four blocks of four convolutions, each but the first separable; a block adds up what it has so far before each ReLU,
    the first convolution halves the map.
    """
    weights, graph = read_tfjs(manifest), Graph()

    def convolution(place: str, name: str, stride: int) -> str:
        shape = {"strides": [stride, stride], "auto_pad": "SAME_UPPER"}
        bias = graph.constant(f"{name}/bias", weights[f"{name}/bias"])
        if f"{name}/filters" in weights:  # (height, width, inputs, outputs)
            kernel = graph.constant(f"{name}/filters", weights[f"{name}/filters"].transpose(3, 2, 0, 1))
            return graph.add("Conv", [place, kernel, bias], f"{name}/out", **shape)
        depth = weights[f"{name}/depthwise_filter"].transpose(2, 3, 0, 1)  # from (height, width, channels, 1)
        depth_name = graph.constant(f"{name}/depth", depth)
        place = graph.add("Conv", [place, depth_name], f"{name}/depth/out", group=len(depth), **shape)
        point = graph.constant(f"{name}/point", weights[f"{name}/pointwise_filter"].transpose(3, 2, 0, 1))
        return graph.add("Conv", [place, point, bias], f"{name}/out")

    place = graph.normalised("image")
    for block in range(4):
        total = convolution(place, f"dense{block}/conv0", 2)
        place = graph.add("Relu", [total], f"dense{block}/relu0")
        total = place
        for number in range(1, 4):
            found = convolution(place, f"dense{block}/conv{number}", 1)
            total = graph.add("Add", [total, found], f"dense{block}/sum{number}")
            place = graph.add("Relu", [total], f"dense{block}/relu{number}")
    place = graph.add("AveragePool", [place], "mean_map", kernel_shape=[7, 7], strides=[2, 2])
    place = graph.add("Flatten", [place], "flat")
    fc = [graph.constant("fc", weights["fc/weights"]), graph.constant("fc_bias", weights["fc/bias"])]
    return graph.written("face_landmark_68", graph.add("Gemm", [place, *fc], "points"), 136)


def descriptor_onnx(manifest: Path) -> bytes:
    """The network of faces, dlib's residual one: aligned faces RGB (N, 3, 112, 112), 0..255, to features (N, 128).

    What dlib's alignment would show of the face is cut out of the crop, its last row repeated below, and enlarged to
    150x150. Then a 7x7 convolution of stride 2, and units of two 3x3 ones; a unit that halves the map adds its input's
    mean of 2x2, with zeros for channels that this lacks, and zeros for a row and a column that its own convolutions
    lack.
    """
    weights, graph = read_tfjs(manifest), Graph()

    def convolution(place: str, name: str, stride: int, padded: bool) -> str:
        kernel = weights[f"{name}/conv/filters"].transpose(3, 2, 0, 1)
        factor = weights[f"{name}/scale/weights"]
        bias = weights[f"{name}/conv/bias"] * factor + weights[f"{name}/scale/biases"]
        named = [
            graph.constant(f"{name}/filters", kernel * factor[:, None, None, None]),
            graph.constant(f"{name}/bias", bias),
        ]
        pads = [1, 1, 1, 1] if padded else [0, 0, 0, 0]
        return graph.add("Conv", [place, *named], f"{name}/out", strides=[stride, stride], pads=pads)

    def relu(place: str) -> str:
        return graph.add("Relu", [place], f"{place}/relu")

    place = _dlib_square(graph)
    place = relu(convolution(graph.normalised(place), "conv32_down", 2, padded=False))  # 72x72
    place = graph.add("MaxPool", [place], "pooled", kernel_shape=[3, 3], strides=[2, 2])
    side, channels = 35, len(weights["conv32_down/conv/bias"])
    for unit in _units(weights):
        halves = unit.partition("_")[2].startswith("down")
        found = relu(convolution(place, f"{unit}/conv1", 2 if halves else 1, padded=not halves))
        found = convolution(found, f"{unit}/conv2", 1, padded=True)
        if halves:
            out = len(weights[f"{unit}/conv2/conv/bias"])
            place = graph.add("AveragePool", [place], f"{unit}/mean", kernel_shape=[2, 2], strides=[2, 2])
            place = _zeros_behind(graph, place, f"{unit}/wide", channels=out - channels)
            lacking = side // 2 - (side - 3) // 2 - 1  # of the rows that the mean has
            found = _zeros_behind(graph, found, f"{unit}/whole", rows=lacking)
            side, channels = side // 2, out
        place = relu(graph.add("Add", [found, place], f"{unit}/sum"))
    place = graph.add("GlobalAveragePool", [place], "mean_map")
    place = graph.add("Flatten", [place], "flat")
    feature = graph.add("MatMul", [place, graph.constant("fc", weights["fc"])], "feature")
    told = {"input_mean": "0.0", "input_scale": "1.0", "color_order": "RGB"}
    return graph.written("face_recognition", feature, 128, images="images", **told)


def _units(weights: dict[str, NDArray[np.float32]]) -> list[str]:
    """The names of the residual units, in the order of the file, which is that of the network."""
    return list(dict.fromkeys(name.split("/")[0] for name in weights if "/conv2/" in name))


def _dlib_square(graph: Graph) -> str:
    """The part of ``image`` that the network of faces is to see, (N, 3, 150, 150)."""
    below = graph.constant("below", np.array([0, 0, 0, 0, 0, 0, BELOW, 0], np.int64))
    place = graph.add("Pad", ["image", below], "longer", mode="edge")
    start = graph.constant("start", np.array([CROP_TOP, CROP_LEFT], np.int64))
    end = graph.constant("end", np.array([CROP_TOP + CROP_SIDE, CROP_LEFT + CROP_SIDE], np.int64))
    place = graph.add("Slice", [place, start, end, graph.constant("axes", np.array([2, 3], np.int64))], "square")
    scales = graph.constant("scales", np.array([1, 1, SIDE / CROP_SIDE, SIDE / CROP_SIDE], np.float32))
    return graph.add("Resize", [place, "", scales], "enlarged", mode="linear")


def _zeros_behind(graph: Graph, place: str, name: str, channels: int = 0, rows: int = 0) -> str:
    """``place`` with so many channels of zeros, or rows and columns, behind."""
    if not channels and not rows:
        return place
    behind = graph.constant(f"{name}/zeros", np.array([0, 0, 0, 0, 0, channels, rows, rows], np.int64))
    return graph.add("Pad", [place, behind], name)


def main() -> None:
    """Write the network of faces."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("output", type=Path, help="FILE.onnx")
    output = parser.parse_args().output
    if not DESCRIPTOR.is_file():
        raise UserError(f"{DESCRIPTOR}: not there; make peers brings it")
    with replacing(output) as file:
        file.write(descriptor_onnx(DESCRIPTOR))
    print(f"{output}: {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    run_command(main)
