"""MXNet's side of tests/parity.py: runs in an environment of its own, knows nothing of the project, exchanges files.

    .venv-mxnet/bin/python tests/parity_mxnet.py FOLDER

``FOLDER/job.json`` lists what to run, each entry with a ``leg``; each puts out ``FOLDER/<leg>.json`` and, where it has
embeddings, ``FOLDER/<leg>.npy``:

* ``{"leg": NAME, "model": [PREFIX, EPOCH]}``: a checkpoint, on the images ``FOLDER/images.npy``;
* ``{"leg": NAME, "network": NAME, "original": DIR}``: the original's own definition with the weights of
  ``FOLDER/tensors.npz``, on the same images;
* ``{"leg": NAME, "script": [ARGUMENTS], "rows": N, "original": DIR}``: the original's gen_image_feature.py.

``original`` is a checkout of deepinsight/insightface; a checkpoint that names one is counted by its counter, too.
"""

import contextlib
import importlib
import importlib.util
import io
import json
import math
import os
import sys
from pathlib import Path

os.environ["MXNET_SUBGRAPH_BACKEND"] = "NONE"  # with the default, 1.9.1 fails in its second forward pass

import mxnet as mx
import numpy as np

IMAGE = (3, 112, 112)
BATCH = 32
RECOGNITION = "recognition/arcface_mxnet"
FEATURE_SCRIPT = "challenges/iccv19-lfr/gen_image_feature.py"


def count_flops(symbol):
    """The official rule, written anew over the symbol's JSON and the shapes that MXNet infers."""
    internals = symbol.get_internals()
    shapes = dict(zip(internals.list_outputs(), internals.infer_shape(data=(1, *IMAGE))[1], strict=True))
    nodes = json.loads(symbol.tojson())["nodes"]
    total = 0
    for node in nodes:
        if node["op"] not in ("Convolution", "FullyConnected"):
            continue
        attributes, source = node["attrs"], nodes[node["inputs"][0][0]]["name"]
        read = shapes[source if source in shapes else f"{source}_output"]
        put = shapes[f"{node['name']}_output"]
        unbiased = attributes.get("no_bias") == "True"
        if node["op"] == "Convolution":
            kernel = math.prod(int(side) for side in attributes["kernel"].strip("()").split(","))
            total += int((2 * read[1] * kernel - unbiased) * math.prod(put) / int(attributes.get("num_group", 1)))
        else:
            total += 2 * math.prod(read) * put[1] - unbiased * put[1]
    return total


def tensors_of(symbol):
    """Name and shape of every learned argument and of every running statistic."""
    arguments, _, statistics = symbol.infer_shape(data=(1, *IMAGE))
    learned = dict(zip(symbol.list_arguments(), map(list, arguments), strict=True))
    del learned["data"]
    return learned, dict(zip(symbol.list_auxiliary_states(), map(list, statistics), strict=True))


def embeddings_of(symbol, arguments, statistics, images):
    """Embeddings (N, D) of ``images`` (N, 3, 112, 112)."""
    module = mx.mod.Module(symbol, label_names=None, context=mx.cpu())
    module.bind(data_shapes=[("data", images[:BATCH].shape)], for_training=False)
    module.set_params(arguments, statistics)  # an error when one is missing
    rows = []
    for first in range(0, len(images), BATCH):
        batch = mx.nd.array(images[first : first + BATCH].astype(np.float32))
        module.forward(mx.io.DataBatch(data=[batch]), is_train=False)
        rows.append(module.get_outputs()[0].asnumpy())
    return np.concatenate(rows)


def compared(folder, job, symbol, arguments, statistics):
    """Run ``symbol`` on the images; what else is compared of it."""
    np.save(folder / f"{job['leg']}.npy", embeddings_of(symbol, arguments, statistics, np.load(folder / "images.npy")))
    learned, running = tensors_of(symbol)
    result = {"learned": learned, "statistics": running, "flops": [count_flops(symbol)]}
    if "original" in job:
        sys.path.insert(0, str(Path(job["original"]) / RECOGNITION / "common"))
        with contextlib.suppress(IndexError):  # where it stops, at a flat input of a fully connected layer
            result["flops"].append(importlib.import_module("flops_counter").count_flops(symbol, data=(1, *IMAGE)))
    return result


def run_model(folder, job):
    """A checkpoint as MXNet loads it."""
    symbol, arguments, statistics = mx.model.load_checkpoint(*job["model"])
    return compared(folder, job, symbol.get_internals()["fc1_output"], arguments, statistics)


def run_network(folder, job):
    """The original's own definition of a network, under its own settings."""
    root = Path(job["original"]) / RECOGNITION
    sys.path[:0] = [str(root / "symbol"), str(root)]
    sample = importlib.import_module("sample_config")
    sys.modules["config"] = sample  # the copy of it that the original asks its user to make
    sample.generate_config(job["network"], "emore", "arcface")
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its settings
        symbol = importlib.import_module(sample.config.net_name).get_symbol().get_internals()["fc1_output"]
    given = {name: mx.nd.array(value) for name, value in np.load(folder / "tensors.npz").items()}
    learned, running = ({name: given[name] for name in names if name in given} for names in tensors_of(symbol))
    return compared(folder, job, symbol, learned, running)


def run_script(_, job):
    """The original's feature writer, for ``rows`` images instead of the challenge's 1 862 120."""
    spec = importlib.util.spec_from_file_location("original_script", Path(job["original"]) / FEATURE_SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.data_size = job["rows"]
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    script.main(script.parse_arguments(job["script"]))
    return {}


def main():
    """Run the jobs of the folder; one that fails puts out its error instead of a result."""
    folder = Path(sys.argv[1])
    for job in json.loads((folder / "job.json").read_text()):
        run = run_model if "model" in job else run_network if "network" in job else run_script
        try:
            result = run(folder, job)
        except Exception as error:  # whatever MXNet or the original raises is a finding, not the end
            lines = [line for line in str(error).splitlines() if line.strip()]
            result = {"error": f"{type(error).__name__}: {lines[-1] if lines else ''}"}
        (folder / f"{job['leg']}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
