#!/usr/bin/env bash
# NumPy 2.4.6 and opencv-python-headless 5.0.0.93 give other bits on processors with other vector instructions.
#
# np.exp, log, tanh (float64 too), sin and cos of float32, and cv2.GaussianBlur, filter2D, remap and transform of
# float32 and warpAffine of bytes have a way of their own for AVX2 or AVX-512, with fused multiply-adds. A rendered data
# set, or faces aligned by warpAffine, therefore differ by a grey level here and there between two machines, and every
# hash of them. Both libraries can be told to leave instructions out, which shows it on one machine. cv2.resize (area,
# linear, cubic), blur, dilate, JPEG both ways, and sums, products, quotients and square roots do not differ.
#
# Seen on Linux x86-64 (AMD EPYC with AVX-512) with Python 3.11:
#   numpy:  exp log tanh sin32 cos32 differ; sqrt sum divide do not
#   opencv: GaussianBlur filter2D remap transform warpAffine differ; resize blur jpeg do not
#
# Exit status 0: as described; 1: something is otherwise; others: something could not be installed or run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3.11 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 opencv-python-headless==5.0.0.93
grep -q avx512f /proc/cpuinfo || { echo "this processor has no AVX-512: nothing to compare"; exit 2; }
cat > show.py << 'PYTHON'
import hashlib
import sys

import cv2
import numpy as np

cv2.setNumThreads(1)
rng = np.random.default_rng(0)
image, small = rng.random((288, 288, 3), dtype=np.float32), rng.random((64, 64, 3), dtype=np.float32)
frames = rng.integers(0, 255, (40, 192, 192, 3), dtype=np.uint8)
x = np.abs(rng.standard_normal(100_000))
x32 = x.astype(np.float32)
at = rng.random((100, 512), dtype=np.float32) * 280
turns = np.array([[0.7, 0.1, 3], [-0.1, 0.7, 5]]) + rng.random((40, 2, 3)) * 0.1
points, matrix = rng.random((5000, 1, 3), dtype=np.float32), rng.random((3, 3)).astype(np.float32)
jpeg = cv2.imencode(".jpg", frames[0])[1]
values = {
    "exp": np.exp(x), "log": np.log(x), "tanh": np.tanh(x), "sin32": np.sin(x32), "cos32": np.cos(x32),
    "sqrt": np.sqrt(x32), "sum": x32.sum(), "divide": x32 / (x32[::-1] + 1),
    "GaussianBlur": cv2.GaussianBlur(image, (0, 0), 1.3), "filter2D": cv2.filter2D(image, -1, matrix),
    "remap": cv2.remap(image, at, at[::-1].copy(), cv2.INTER_LINEAR), "transform": cv2.transform(points, matrix),
    "warpAffine": np.stack([cv2.warpAffine(f, t, (112, 112), flags=cv2.INTER_LINEAR) for f, t in zip(frames, turns)]),
    "resize": np.concatenate([cv2.resize(small, (288, 288), interpolation=i).ravel() for i in (1, 2, 3)]),
    "blur": cv2.blur(image, (3, 3)), "jpeg": np.concatenate((jpeg.ravel(), cv2.imdecode(jpeg, 1).ravel())),
}
for name in sys.argv[1:]:
    print(name, hashlib.sha256(np.ascontiguousarray(values[name]).tobytes()).hexdigest())
PYTHON
names="exp log tanh sin32 cos32 sqrt sum divide GaussianBlur filter2D remap transform warpAffine resize blur jpeg"
venv/bin/python show.py $names > as_is.txt
NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4 AVX512_ICL" OPENCV_CPU_DISABLE="AVX512-SKX,AVX512-ICL,AVX2,FMA3,AVX" \
    venv/bin/python show.py $names > without.txt 2> warnings.txt
found=$({ diff as_is.txt without.txt || true; } | sed -n 's/^< \([^ ]*\) .*/\1/p' | tr '\n' ' ')
echo "differ: $found"
if [ "$found" != "exp log tanh sin32 cos32 GaussianBlur filter2D remap transform warpAffine " ]; then
    echo "CHANGED: other functions depend on the processor"
    exit 1
fi
echo "as described: those do, the others do not"
