"""Is an exported model as fast in the program it was made for as the network is in this toolbox's own engine?

    python benchmarks/exported.py --networks y2,r100fc --batches 1,8

The network is exported as ``recognition/export.py --for onnxruntime`` and ``--for openvino`` do, opened as
``docs/deployment.md`` shows, and given bytes of faces in batches; beside it the engine that the feature writers use, on
the backend that it chooses. All run on all cores over the same faces, must give the same features, and take turns; of
each the fastest sample counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from embedding import lively_network
from numpy.typing import NDArray

from lwface.base.commands import load, run_command
from lwface.base.device import select_device
from lwface.base.errors import UserError
from lwface.features.choices import AUTO
from lwface.features.embedder import Embedder
from lwface.onnx.export import export_onnx
from lwface.onnx.runtime import onnx_runtime

IMAGES = 64
TOLERANCE = 1e-5  # 1 - cosine
LINE = "{:10} {:>5} {:14} {:>10} {:>12}"

Program = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # (B, 3, H, W) -> (B, D)


def onnxruntime_program(file: str, _batch: int) -> Program:
    """ONNX Runtime as it comes."""
    session = onnx_runtime().InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda planes: session.run(None, {session.get_inputs()[0].name: planes})[0]


def openvino_program(file: str, batch: int) -> Program:
    """OpenVINO in float32, told the size of the batches."""
    import openvino

    core = openvino.Core()
    model = core.read_model(file)
    model.reshape([batch, 3, 112, 112])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda planes: np.array(compiled(planes)[0])


PROGRAMS: dict[str, Callable[[str, int], Program]] = {"onnxruntime": onnxruntime_program, "openvino": openvino_program}


def in_batches(program: Program, images: NDArray[np.uint8], batch: int) -> NDArray[np.float32]:
    """Features (N, D) of images (N, H, W, 3), bytes to features as the engine makes them."""
    found = []
    for start in range(0, len(images), batch):
        planes = np.ascontiguousarray(images[start : start + batch].transpose(0, 3, 1, 2), dtype=np.float32)
        found.append(program(planes))
    return np.concatenate(found)


def worst(features: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest 1 - cosine of two features of one image."""
    units, others = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (features, expected))
    return float(1 - (units * others).sum(axis=1).min())


def measure(name: str, batches: list[int], repeats: int, images: int) -> None:
    """Print the rows of one network."""
    faces = np.random.default_rng(0).integers(0, 256, (images, 112, 112, 3), dtype=np.uint8)
    network = lively_network(name)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "model.onnx"))
        Path(file).write_bytes(export_onnx(network))
        opened = {batch: {program: start(file, batch) for program, start in PROGRAMS.items()} for batch in batches}
    for batch, programs in opened.items():
        engine = Embedder(network, device=select_device("cpu"), batch_size=batch)
        engine.use_backend(AUTO, images=10**6)
        works: dict[str, Callable[[], NDArray[np.float32]]] = {"engine": lambda e=engine: e.embed(faces, flip=False)}  # type: ignore[misc]
        for program, run in programs.items():
            works[program] = lambda run=run, batch=batch: in_batches(run, faces, batch)  # type: ignore[misc]
        expected, seconds = works["engine"](), dict.fromkeys(works, float("inf"))
        for program, work in works.items():
            if worst(work(), expected) > TOLERANCE:
                raise UserError(f"{name}: {program} gives other features than the engine")
        for _ in range(repeats):
            for program, work in works.items():
                start = time.perf_counter()
                work()
                seconds[program] = min(seconds[program], time.perf_counter() - start)
        for program, best in seconds.items():
            print(
                LINE.format(name, batch, program, f"{images / best:.1f}", f"{seconds['engine'] / best:.2f}"), flush=True
            )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="y2,r100fc", help="by their names in the configuration")
    parser.add_argument("--batches", default="1,8", help="images a call (default: 1,8)")
    parser.add_argument("--repeats", type=int, default=5, help="samples of each, of which the best counts (default: 5)")
    parser.add_argument("--images", type=int, default=IMAGES, help=f"of a sample (default: {IMAGES})")
    args = parser.parse_args()
    load("torch")
    print(f"images a second, {torch.get_num_threads()} threads")
    print(LINE.format("network", "batch", "program", "images/s", "x engine"))
    for name in args.networks.split(","):
        measure(name, [int(batch) for batch in args.batches.split(",")], args.repeats, args.images)


if __name__ == "__main__":
    run_command(main)
