"""What each process of test_processes.py does: stretches of runs of a tiny network, in float64."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.networks import NETWORKS, FaceNetwork
from lwface.networks.layers import BatchNorm
from lwface.recognition.task import FaceTask
from lwface.recognition.train import prepare, run_folder
from lwface.settings.resolve import resolve
from lwface.training.loop import Loop
from lwface.training.processes import joined, processes

PEOPLE, IMAGES, PARTS, PART, STEPS = 7, 50, 4, 3, 4
BAD = IMAGES  # the key of an image that does not decode

# Settings of each run. Margins that see the whole step, draw, or keep a state are among them.
RUNS = {
    "sampled": {"loss": "arcface_small", "sample_rate": 0.4, "ema": 0.5, "optimizer": "adamw", "lr": 0.001},
    "adaface": {"loss": "adaface", "loss_t_alpha": 0.5},
    "elastic": {"loss": "elastic_plus"},
    "triplet": {"loss": "triplet", "triplet_bag_size": 24, "lr": 0.001},
}


def tiny(emb_size: int = 5) -> FaceNetwork:
    """Batch norm has state that parts change, dropout draws."""
    body = nn.Sequential(nn.Conv2d(3, 4, 28, stride=28), BatchNorm(4, bn_mom=0.8), nn.PReLU(4), nn.Dropout(0.3))
    return FaceNetwork(body, nn.Sequential(nn.Flatten(), nn.Linear(4 * 4 * 4, emb_size)), emb_size)


def make_data(folder: Path) -> None:
    """A record file of noisy faces, one of them broken."""
    random = np.random.default_rng(0)
    base = random.integers(40, 215, (PEOPLE, 7, 7, 3))
    folder.mkdir(parents=True)
    with RecordWriter(folder / "train.rec") as writer:
        for key in range(IMAGES):
            noisy = np.clip(base[key % PEOPLE] + random.integers(-25, 26, (7, 7, 3)), 0, 255).astype(np.uint8)
            image = encode_jpeg(np.kron(noisy, np.ones((16, 16, 1), np.uint8)))
            writer.write(key, pack(Header(0, float(key % PEOPLE), key, 0), image))
        writer.write(BAD, pack(Header(0, 0.0, BAD, 0), b"no image"))
    (folder / "property").write_text(f"{PEOPLE},112,112")


def settings_of(name: str, data: Path, root: Path, **changes):
    """The run called ``name``."""
    NETWORKS._entries["tiny"] = tiny
    settings = {"per_batch_size": PART, "lr": 0.01, "mom": 0.9, "wd": 0.01, "warmup_steps": 2, "lr_policy": "step"}
    settings |= {"dataset_path": str(data), "models_root": str(root), "num_workers": 0, "frequent": 1, "verbose": 100}
    settings |= {"accumulate": PARTS // processes().count, "val_targets": [], "count_flops": False, "skip_bad": True}
    settings |= RUNS[name] | changes
    return resolve("tiny", "synthetic", settings.pop("loss"), **settings)


def stretch(name: str, data: Path, root: Path, stop: int, **changes) -> dict:
    """Train until step ``stop``, from wherever the folder's checkpoint is; what was seen and learnt there."""
    seen: list = []
    original = Loop.training_step

    def recorded(self, batch, rate):
        made = original(self, batch, rate)
        seen.append([self.step, batch.first, self.task.keys(batch.own(batch.positions)), made.loss])
        return made

    Loop.training_step = recorded
    try:
        said = io.StringIO()
        with contextlib.ExitStack() as stack:
            if processes().leads:  # the others say nothing by themselves
                stack.enter_context(contextlib.redirect_stdout(said))
                stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            torch.manual_seed(99)  # what is left from before must not matter
            run = settings_of(name, data, root, max_steps=stop, **changes)
            status = prepare(run, device="cpu", folder=run_folder(run)).start(resume=True)
    finally:
        Loop.training_step = original
    return {"seen": seen, "status": status, "said": said.getvalue()}


def join(rank: int, count: int, port: int) -> None:
    """The environment that torchrun makes."""
    given = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in given.items()}, MASTER_ADDR="127.0.0.1")


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def work(rank: int, folder: Path, port: int) -> None:
    """The stretches in two processes: those that one process goes on from, and those that go on from its."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    join(rank, 2, port)
    data, results = folder / "data", {}
    with joined("cpu"):
        for name in RUNS:
            results["2 first", name] = stretch(name, data, folder / f"{name}-21", STEPS // 2)
            results["2 last", name] = stretch(name, data, folder / f"{name}-12", STEPS)
        results["stopped"] = stopped(rank, data, folder / "stopped")
        results["not finite"] = not_finite(rank, data, folder / "infinite")
        (folder / f"{rank}.json").write_text(json.dumps(list(results.items())))
        sys.stderr.flush()
        os.dup2(os.open(folder / f"{rank}.err", os.O_WRONLY | os.O_CREAT), 2)
        wrong = settings_of("elastic", data, folder / "bad", accumulate=2, skip_bad=False, max_steps=50)
        prepare(wrong, device="cpu", folder=run_folder(wrong)).start(resume=False)


def stopped(rank: int, data: Path, root: Path) -> dict:
    """A signal reaches the second process only, in the middle of its second step."""
    original = Loop.training_step

    def signalled(self, batch, rate):
        if rank == 1 and self.step == 1:
            signal.raise_signal(signal.SIGTERM)
        return original(self, batch, rate)

    Loop.training_step = signalled
    try:
        return stretch("elastic", data, root, STEPS)
    finally:
        Loop.training_step = original


def not_finite(rank: int, data: Path, root: Path) -> dict:
    """In the second process the embeddings, then only a gradient is not finite; all leave both steps out and go on."""
    originals = FaceTask.output, Loop.training_step
    weights: list = []

    def poisoned(self, inputs):
        embeddings = originals[0](self, inputs)
        if rank == 1 and self.now == 1:
            return embeddings * torch.inf
        if rank == 1 and self.now == 2 and embeddings.requires_grad:
            embeddings.register_hook(lambda gradient: gradient * torch.inf)
        return embeddings

    def watched(self, batch, rate):
        self.task.now = self.step
        made = originals[1](self, batch, rate)
        tensors = {name: tensor for name, tensor in self.state.tensors().items() if not name.startswith("average")}
        local = [getattr(tensor, "_local_tensor", tensor).double() for tensor in tensors.values()]
        weights.append([float(tensor.norm()) for tensor in local])
        return made

    FaceTask.output, Loop.training_step = poisoned, watched
    try:
        found = stretch("adaface", data, root, 4, ema=0.5)
    finally:
        FaceTask.output, Loop.training_step = originals
    return {**found, "weights": weights}
