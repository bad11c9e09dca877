#!/usr/bin/env bash
# OpenCV 5.0.0's FaceRecognizerSF.alignCrop reads points of float64 or integers bit by bit as float32: no crop is right.
#
# It looks at no type: of an array of float64 each half of a number is taken for a number. The crop is mostly of one
# colour, with int32 or int64 always black, and features of such crops tell nobody from anybody. No error, no warning.
# One comes to float64 without asking for it: NumPy 2 makes it of the detector's own row times np.float64 (NumPy 1 left
# float32), as when a face that was found in a smaller picture is carried over; and to integers by rounding, as the
# samples do to draw. 4.14.0 misreads them too. Remedy: alignCrop(image, row.astype(numpy.float32)).
#
# Seen on Linux x86-64 with Python 3.11, 300 faces; a crop is right where it differs by less than 2 levels in the mean:
#   float32: 300 right, 0 of one colour
#   float32 * np.float64(1), so float64: 0 right, 226 of one colour
#   int32, int64: 0 right, 300 black each
#
# Exit status 0: as described; 1: something of it has changed; others: something could not be installed or run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3.11 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    opencv-python-headless==5.0.0.93 onnx==1.23.2 numpy==2.4.6
cat > check.py << 'PYTHON'
import sys

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TEMPLATE = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])
KINDS = {
    "float32": lambda row: row,
    "float32 * np.float64(1)": lambda row: row * np.float64(1),
    "int32": lambda row: row.round().astype(np.int32),
    "int64": lambda row: row.round().astype(np.int64),
}


def write():
    """A recogniser: means of 16 patches of each colour, plus one."""
    nodes = [
        helper.make_node("AveragePool", ["data"], ["map"], kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Add", ["map", "one"], ["more"]),
        helper.make_node("Flatten", ["more"], ["fc1"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [1, 48])],
        [numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "patches.onnx")


def picture(generator):
    return cv2.resize(generator.integers(0, 256, (20, 20, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)


def row_of(generator):
    """A face as FaceDetectorYN tells it: box, five points, score; float32."""
    points = (TEMPLATE + generator.normal(0, 2, (5, 2))) * generator.uniform(0.5, 3) + generator.uniform(0, 150, 2)
    return np.concatenate((points.min(0), np.ptp(points, 0), points.ravel(), [0.9])).astype(np.float32)


write()
recognizer = cv2.FaceRecognizerSF.create("patches.onnx", "")
generator = np.random.default_rng(0)
image, rows = picture(generator), [row_of(generator) for _ in range(300)]
counts = {}
for kind, convert in KINDS.items():
    right = flat = black = 0
    for row in rows:
        expected, crop = recognizer.alignCrop(image, row), recognizer.alignCrop(image, convert(row))
        right += np.abs(crop.astype(int) - expected).mean() < 2
        flat += not np.ptp(crop, (0, 1)).any()
        black += not crop.any()
    counts[kind] = int(right), int(flat)
    print(f"{kind}: {right} right, {flat} of one colour ({black} black)")
whole = counts["float32"] == (300, 0) and all(right == 0 and flat > 150 for right, flat in list(counts.values())[1:])
sys.exit(None if whole else "CHANGED")
PYTHON
venv/bin/python check.py 2> said.txt || { grep -v WARN said.txt; exit 1; }
echo "as described"
