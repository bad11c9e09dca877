"""MXNet's side of benchmarks/embedding.py: runs in an environment of its own and knows nothing of the project.

Each line of its input, ``BATCH REPEATS``, is answered by a line: the seconds that so many forward passes over the first
BATCH images took. The embeddings of the first one are in ``PREFIX-BATCH.npy``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any


def bind(mx: Any, prefix: str, epoch: int, batch: int) -> Any:
    """The checkpoint for so many images, as the original's own programs run it."""
    symbol, arguments, statistics = mx.model.load_checkpoint(prefix, epoch)
    module = mx.mod.Module(symbol, label_names=None, context=mx.cpu())
    module.bind(data_shapes=[("data", (batch, 3, 112, 112))], for_training=False)
    module.set_params(arguments, statistics)
    return module


def main() -> None:
    """Answer until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="MXNet checkpoint")
    parser.add_argument("--images", required=True, metavar="FILE", help="images (N, 3, 112, 112), NumPy's format")
    args = parser.parse_args()
    os.environ["MXNET_SUBGRAPH_BACKEND"] = "NONE"  # with the default, 1.9.1 fails in its second forward pass
    import mxnet as mx  # type: ignore[import-not-found]
    import numpy as np

    prefix, epoch = args.model.rsplit(",", 1)
    images = np.load(args.images).astype(np.float32)
    modules: dict[int, Any] = {}
    batches: dict[int, Any] = {}
    for line in sys.stdin:
        batch, repeats = map(int, line.split())
        if batch not in modules:
            modules[batch] = bind(mx, prefix, int(epoch), batch)
            batches[batch] = mx.io.DataBatch(data=[mx.nd.array(images[:batch])])
            modules[batch].forward(batches[batch], is_train=False)
            np.save(f"{prefix}-{batch}.npy", modules[batch].get_outputs()[0].asnumpy())
        start = time.perf_counter()
        for _ in range(repeats):
            modules[batch].forward(batches[batch], is_train=False)
            modules[batch].get_outputs()[0].asnumpy()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
