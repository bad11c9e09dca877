"""Our adapter on insightface's own ``FaceAnalysis``: runs in .venv-insightface, for tests/insightface_check.py.

insightface downloads its models, so a model is made here that has the outputs of its detector (SCRFD: a score, four
distances and five points for two anchors at each place of three strides) and always answers with one known face. It
lies where the package looks for its default models.

Exit status 0: the face comes out of the adapter as it was put in; the last line of stderr says what does not.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lwface.detection.choices import INSIGHTFACE, chosen_detector
from lwface.detection.loading import open_detector

SIDE, STRIDES, ANCHORS = 640, (8, 16, 32), 2
STRIDE, COLUMN, ROW, SCORE = 16, 20, 10, 0.87  # where the face is, on the grid of one stride
DISTANCES = (4, 5, 6, 7)  # left, top, right, bottom, in strides
POINTS = (-2, -2, 2, -2, 0, 0, -1.5, 2, 1.5, 2)


def detector_model() -> onnx.ModelProto:
    """All scores, then all distances, then all points, stride by stride."""
    nodes = [
        helper.make_node("ReduceMean", ["input.1"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    kept, outputs = [numpy_helper.from_array(np.float32(0), "zero")], []
    face = (ROW * (SIDE // STRIDE) + COLUMN) * ANCHORS
    for width, values in ((1, SCORE), (4, DISTANCES), (10, POINTS)):
        for stride in STRIDES:
            answer = np.zeros(((SIDE // stride) ** 2 * ANCHORS, width), np.float32)
            if stride == STRIDE:
                answer[face] = values
            name = f"{width}-{stride}"
            kept.append(numpy_helper.from_array(answer, f"kept-{name}"))
            nodes.append(helper.make_node("Add", [f"kept-{name}", "nothing"], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, answer.shape))
    data = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, "H", "W"])
    graph = helper.make_graph(nodes, "graph", [data], outputs, kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def main() -> None:
    """Make the model, open the adapter, compare."""
    folder = Path(os.environ["HOME"], ".insightface", "models", "buffalo_l")
    folder.mkdir(parents=True)
    onnx.save(detector_model(), folder / "det_10g.onnx")
    detector = open_detector(chosen_detector(INSIGHTFACE, None))
    x, y = COLUMN * STRIDE, ROW * STRIDE
    left, top, right, bottom = (STRIDE * distance for distance in DISTANCES)
    box = np.array((x - left, y - top, x + right, y + bottom))
    points = np.array(POINTS).reshape(5, 2) * STRIDE + (x, y)
    for scale in (1, 0.5):  # a smaller picture is enlarged by insightface to the side of 640
        (face,) = detector(np.zeros((round(480 * scale), round(640 * scale), 3), np.uint8))
        np.testing.assert_allclose(face.box, scale * box, atol=0.01)
        np.testing.assert_allclose(face.points, scale * points, atol=0.01)
        np.testing.assert_allclose(face.score, SCORE, atol=1e-6)


if __name__ == "__main__":
    main()
