#!/usr/bin/env bash
# torchrun of PyTorch 2.13.0 starts gloo processes again that then look for the dead ones, and the restart fails.
#
# It keeps one TCPStore for all its restarts, and a process group by env:// adds no name of the attempt: the comment in
# torch/distributed/rendezvous.py says that there is a new store for every retry. Where a process reads another's
# address before that has written its new one, and it is the one of the two that connects, it tries the old one until
# it gives up: the restart is lost. A store with a prefix of TORCHELASTIC_RESTART_COUNT, given to init_process_group,
# mends it.
#
# Seen on Linux x86-64 with Python 3.11 (all but the first process are slow to begin; which of two connects is by
# their addresses, so env:// is tried several times):
#   env://:            a restart fails: Connection refused
#   store with prefix: restarts work
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
cat > worker.py <<'PYTHON'
import os
import signal
import sys
import time

import torch
import torch.distributed as dist

rank, attempt = int(os.environ["RANK"]), os.environ["TORCHELASTIC_RESTART_COUNT"]
if attempt != "0" and rank:
    time.sleep(5)
if sys.argv[1] == "prefix":
    store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), 4, is_master=False)
    dist.init_process_group("gloo", store=dist.PrefixStore(attempt, store), rank=rank, world_size=4)
else:
    dist.init_process_group("gloo")
dist.all_reduce(torch.ones(1))
if attempt == "0" and rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
dist.all_reduce(torch.ones(1))
PYTHON
restart() {
    OMP_NUM_THREADS=1 "$python" -m torch.distributed.run --standalone --nproc-per-node 4 --max-restarts 1 worker.py "$1" \
        > "$1.log" 2>&1
}
found=no
for try in 1 2 3 4 5 6; do
    if restart prefix; then echo "store with prefix, $try: works"; else tail -5 prefix.log; echo CHANGED; exit 1; fi
    if restart env; then
        echo "env://, $try: works"
    elif grep -q "Connection refused" env.log; then
        echo "env://, $try: fails: Connection refused"
        found=yes
        break
    else
        tail -5 env.log
        exit 3
    fi
done
[ "$found" = yes ] || { echo CHANGED; exit 1; }
echo "as described"
