"""What every track shares. Every command imports this first, and so before PyTorch."""

import os

# PyTorch's threads (GNU OpenMP's) spin some 300 000 turns before they sleep. Beside busy processes they then hold the
# cores that the threads they wait for need, and a training step can lose most of its speed. Some thousand turns keep
# the speed of an idle machine, which OMP_WAIT_POLICY=PASSIVE does not: measured, PASSIVE cost a fifth to a quarter.
SPIN_TURNS = "5000"

if "OMP_WAIT_POLICY" not in os.environ:  # the user's own settings win
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_TURNS)
