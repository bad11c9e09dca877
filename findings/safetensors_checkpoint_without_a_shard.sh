#!/usr/bin/env bash
# torch.distributed.checkpoint of PyTorch 2.13.0 reads a safetensors checkpoint of which a file is gone, and says nothing.
#
# HuggingFaceStorageWriter(save_distributed=True) writes no list of what there is, and HuggingFaceStorageReader takes
# what it finds for all: the rows of the lost file keep what was in the tensor before. Whoever reads must know what
# there should be: here last.ckpt lists files and lengths, and the rows of each tensor are counted.
#
# Seen on Linux x86-64 with Python 3.11, two processes that hold 3 rows of 6 each:
#   first file lost:  [-1, -1, -1, 3, 4, 5], no error
#
# Exit status 0: as described; 1: something of that changed; others: something could not be installed or run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python=${PYTHON_WITH_TORCH:-}
if [ -z "$python" ]; then
    python3.11 -m venv venv
    venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 safetensors==0.8.0
    python=venv/bin/python
fi
cat > check.py <<'PYTHON'
import os
import sys

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed import checkpoint
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard


def write(rank):
    dist.init_process_group("gloo", store=dist.FileStore("store", 2), rank=rank, world_size=2)
    rows = torch.arange(6.0)[3 * rank : 3 * rank + 3]
    tensor = DTensor.from_local(rows, init_device_mesh("cpu", (2,)), [Shard(0)])
    checkpoint.save({"w": tensor}, storage_writer=HuggingFaceStorageWriter("saved", save_distributed=True))
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(write, nprocs=2)
    os.unlink(os.path.join("saved", min(os.listdir("saved"))))
    state = {"w": torch.full((6,), -1.0)}
    try:
        checkpoint.load(state, storage_reader=HuggingFaceStorageReader("saved"), no_dist=True)
    except BaseException as error:  # PyTorch's is no Exception
        sys.exit(f"CHANGED: {error}")
    print("first file lost: ", state["w"].tolist(), "no error")
    if state["w"].tolist() != [-1, -1, -1, 3, 4, 5]:
        sys.exit("CHANGED")
    print("as described")
PYTHON
"$python" -W ignore check.py
