#!/usr/bin/env bash
# PyTorch 2.13.0's fused SGD keeps momentum that nobody has written when its very first update is skipped.
#
# GradScaler tells a fused optimiser through ``found_inf`` that a gradient is not finite, and the update is skipped on
# the device. SGD makes room for its first momentum with empty_like before that; the skipped update leaves it as it is,
# and the second update takes it for the momentum of the first: whatever lay in that memory goes into the weights. In
# half precision the first step is the likeliest one to overflow. The state also goes into checkpoints. Remedy: zeros in
# state["momentum_buffer"] before the first update (lwface/training/optimizer.py).
#
# Seen on Linux x86-64 with Python 3.11; memory is filled with sevens first to show it:
#   momentum after a first update that was skipped: not 0 in some of 5000 numbers
#
# Exit status 0: as described; 1: something of that changed; others: something could not be installed or run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python=${PYTHON_WITH_TORCH:-}
if [ -z "$python" ]; then
    python3.11 -m venv venv
    venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
    python=venv/bin/python
fi
cat > check.py <<'PYTHON'
import sys

import torch

weight = torch.nn.Parameter(torch.ones(5000))
weight.grad = torch.full((5000,), torch.nan)
optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9, fused=True)
optimizer.found_inf = torch.ones(())
used = [torch.full((5000,), 7.0) for _ in range(50)]
del used  # its memory is given out again
optimizer.step()
assert torch.equal(weight, torch.ones(5000)), "the update was not skipped"
momentum = optimizer.state[weight]["momentum_buffer"]
strange = int((momentum != 0).sum())
print(f"momentum after a first update that was skipped: not 0 in {strange} of {len(momentum)} numbers")
if not strange:
    sys.exit("CHANGED: it is 0 or there is none")
PYTHON
"$python" check.py
