#!/usr/bin/env bash
# onnx2tf 1.29.24 writes over the ONNX file that it is asked to convert.
#
# `onnx2tf -i model.onnx -o out` hands model.onnx to onnxsim with the same name for the result, so afterwards model.onnx
# is another file: constants folded, shapes stated for what lies inside. Whoever hashes, signs or ships model.onnx after
# converting it has another model; one that states a free batch as "N" inside can no longer be given a fixed one in
# tract 0.23.9 ("Impossible to unify Sym(N) with Val(1)"). Convert a copy; `-nuo` (without onnxsim) was not tried.
#
# Seen on Linux x86-64 with Python 3.11:
#   before: nodes ['Constant', 'Mul', 'Conv', 'Relu'], 0 shapes stated inside
#   after:  nodes ['Mul', 'Conv', 'Relu'], 2 shapes stated inside
#
# Exit status 0: as described; 1: the file is left as it was; others: something could not be installed or run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3.11 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check onnx2tf==1.29.24 tensorflow==2.19.0 onnx==1.19.1
cat > make.py << 'PYTHON'
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

scale = helper.make_node("Constant", [], ["scale"], value=numpy_helper.from_array(np.float32(0.5)))
nodes = [
    scale,
    helper.make_node("Mul", ["x", "scale"], ["scaled"]),
    helper.make_node("Conv", ["scaled", "weight"], ["map"]),
    helper.make_node("Relu", ["map"], ["y"]),
]
graph = helper.make_graph(
    nodes,
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4, 6, 6])],
    [numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "weight")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "model.onnx")
PYTHON
cat > show.py << 'PYTHON'
import onnx

graph = onnx.load("model.onnx").graph
print(f"nodes {[node.op_type for node in graph.node]}, {len(graph.value_info)} shapes stated inside")
PYTHON
venv/bin/python make.py
cp model.onnx original.onnx
echo "before: $(venv/bin/python show.py)"
PATH="$work/venv/bin:$PATH" venv/bin/onnx2tf -i model.onnx -o out -n > log.txt 2>&1 || { tail -5 log.txt; exit 2; }
echo "after:  $(venv/bin/python show.py)"
if cmp --silent original.onnx model.onnx; then
    echo "CHANGED: onnx2tf leaves its input as it was"
    exit 1
fi
echo "as described: model.onnx is no longer the file that was given"
