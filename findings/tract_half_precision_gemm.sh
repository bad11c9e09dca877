#!/usr/bin/env bash
# tract 0.23.9 refuses a Gemm with a bias in half precision, which ONNX has had since opset 7.
#
# Without the bias, or in float32, the same model runs. It is refused while it is prepared (into_model), with a message
# about tract's own rewriting: the bias is added in float32 to what is float16.
#
# Seen on Linux x86-64 with Python 3.11:
#   float32 with bias:    runs
#   float16 without bias: runs
#   float16 with bias:    refused: Output mismatch after rewiring expansion for output #0: expected 1,4,F16 got 1,4,F32
#
# Exit status 0: as described; 1: something of that changed; others: something could not be installed or run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3.11 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check tract==0.23.9 onnx==1.23.2 numpy==2.4.6
cat > check.py << 'PYTHON'
import sys

import numpy as np
import onnx
import tract
from onnx import TensorProto, helper, numpy_helper


def runs(kind, number, bias):
    """Whether tract runs a Gemm of 8 to 4 numbers; the reason where it does not."""
    kept = {"weight": np.ones((4, 8), number)} | ({"bias": np.ones(4, number)} if bias else {})
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", *kept], ["y"], transB=1)],
        "graph",
        [helper.make_tensor_value_info("x", kind, [1, 8])],
        [helper.make_tensor_value_info("y", kind, [1, 4])],
        [numpy_helper.from_array(values, name) for name, values in kept.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    try:
        (found,) = tract.onnx().load("model.onnx").into_model().into_runnable().run([np.ones((1, 8), number)])
    except tract.TractError as error:
        message = next(line for line in str(error).splitlines() if "mismatch" in line or "rror" in line)
        return f"refused: {message.strip()}"
    assert np.array_equal(found.to_numpy(), np.full((1, 4), 9 if bias else 8))
    return "runs"


cases = {
    "float32 with bias": runs(TensorProto.FLOAT, np.float32, True),
    "float16 without bias": runs(TensorProto.FLOAT16, np.float16, False),
    "float16 with bias": runs(TensorProto.FLOAT16, np.float16, True),
}
for name, outcome in cases.items():
    print(f"{name + ':':21} {outcome}")
if [outcome == "runs" for outcome in cases.values()] != [True, True, False]:
    sys.exit("CHANGED")
print("as described")
PYTHON
RUST_BACKTRACE=0 venv/bin/python check.py
