#!/usr/bin/env bash
# insightface 2.1 decides by the NAMES of an ONNX model's first eight nodes what is done to the pixels it feeds.
#
# get_model("model.onnx") gives pixels 0..255 to a model that has a node named Sub* or _minus* and one named Mul* or
# _mul* among its first eight, and (x - 127.5) / 127.5 to every other. ONNX gives names no meaning: exporters choose
# them freely (PyTorch's calls these nodes "/Sub" and "/Mul"), so of two models that compute the same, one is given
# normalised pixels, normalises them again and sees all faces as nearly the same grey. No error, no warning.
#
# Seen on Linux x86-64 with Python 3.11; the models differ in the names of two nodes only, and give equal outputs in
# ONNX Runtime:
#   nodes '_minus' and '_mul': input_mean 0.0, cosine of the features of two different images -0.0725
#   nodes '/Sub' and '/Mul': input_mean 127.5, cosine of the features of two different images 1.0000
#
# Exit status 0: as described; 1: both are fed alike; others: something could not be installed or run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3.11 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    insightface==2.1 onnx==1.23.2 onnxruntime==1.31.1 opencv-python==5.0.0.93 numpy==2.4.6
cat > check.py << 'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from insightface.model_zoo import get_model
from onnx import TensorProto, helper, numpy_helper


def write(path, minus, mul):
    """A model that normalises pixels 0..255 itself and puts out means of patches; two nodes bear the names given."""
    nodes = [
        helper.make_node("Sub", ["data", "mean"], ["centred"], minus),
        helper.make_node("Mul", ["centred", "scale"], ["normalised"], mul),
        helper.make_node("AveragePool", ["normalised"], ["map"], "/Pool", kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Flatten", ["map"], ["fc1"], "/Flatten"),
    ]
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, 112, 112])
    fc1 = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, ["N", 48])
    kept = [numpy_helper.from_array(np.float32(value), name) for name, value in (("mean", 127.5), ("scale", 1 / 128))]
    graph = helper.make_graph(nodes, "graph", [data], [fc1], kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


generator = np.random.default_rng(0)
images = [np.kron(generator.integers(0, 256, (4, 4, 3)), np.ones((28, 28, 1))).astype(np.uint8) for _ in range(2)]
planes = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32)
means, outputs = [], []
for path, minus, mul in (("mxnet.onnx", "_minus", "_mul"), ("pytorch.onnx", "/Sub", "/Mul")):
    write(path, minus, mul)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs.append(session.run(None, {"data": planes})[0])
    model = get_model(path, providers=["CPUExecutionProvider"])
    one, other = model.get_feat(images)
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    means.append(model.input_mean)
    print(f"nodes {minus!r} and {mul!r}: input_mean {model.input_mean}, "
          f"cosine of the features of two different images {cosine:.4f}")
assert np.array_equal(*outputs)
if means[0] == means[1]:
    sys.exit("CHANGED: insightface feeds both alike")
print("as described: two models that compute the same are fed differently")
PYTHON
HOME="$work" venv/bin/python check.py
