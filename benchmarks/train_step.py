"""A training step, images a second and memory, beside arcface_torch's on the same network in the same run.

    git clone --depth 1 https://github.com/deepinsight/insightface ../insightface
    python benchmarks/train_step.py --peer ../insightface/recognition/arcface_torch
    python benchmarks/train_step.py --network r50 --classes 1000000 --precision float32 --steps 1 --peer ...
    python benchmarks/train_step.py --network r50 --profile

``ours`` is the step of ``recognition/train.py`` itself (``Loop.training_step``) on a batch of noise that is decoded
already: layout, mirroring, network, classifier, update, and the check that the loss is finite. ``arcface_torch`` is its
``train_v2.py``: its network, ``PartialFC_V2`` with ``CombinedMarginLoss``, clipped gradients, SGD, from floats. r50 is
its ``iresnet50``, of the same layers. Its MobileFaceNet has 12 % more multiplications than y2, and it has no MobileNet,
so for y2 and m025 its step runs around our network, with PyTorch's own PReLU and in the memory layout that it uses. Its
code moves tensors with ``.cuda()``: on a processor that does nothing here.

Each contender is a process of its own, and they take turns, step by step. Time on a processor is processor time, of all
threads together (the machine may be busy); on a GPU time by the clock, between synchronisations. Memory is the peak of
the process, less what it had before it made network and classifier; on a GPU PyTorch's own count.

With bf16 on a processor the peer has nothing of its own: ``arcface_torch, autocast`` is its network under
``torch.autocast`` added here, and ``arcface_torch`` is as it comes, in float32.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.errors import UserError

OURS, PEER, CAST = "ours", "arcface_torch", "arcface_torch, autocast"
NETWORKS = {"y2": 64, "m025": 64, "r50": 16}  # and the usual batch
IDENTITIES = (400, 93_431, 1_000_000)
SCALE, MARGIN, MOMENTUM, DECAY, RATE = 64.0, 0.5, 0.9, 5e-4, 1e-3
# Operators by what they are for; the first that fits.
KINDS = {
    "convolution": ("convolution",),
    "batch norm": ("batch_norm",),
    "activation": ("prelu", "threshold", "clamp_min", "hardtanh", "addcmul", "relu"),
    "products": ("mm", "linear", "matmul"),
    "update": ("fused_sgd", "fused_adamw"),
    "copies and casts": ("copy_", "_to_copy", "contiguous"),
}
Step = Callable[[], float]


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--classes", nargs="+", type=int, default=[IDENTITIES[0]], metavar="N", help="identities")
    parser.add_argument("--precision", nargs="+", choices=("float32", "bf16"), default=["float32", "bf16"])
    parser.add_argument("--batch", type=int, default=0, metavar="N", help=f"images a step; 0: {NETWORKS}")
    parser.add_argument("--steps", type=int, default=3, metavar="N", help="steps that count, after one that does not")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of a processor")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--compile", action="store_true", help="ours: torch.compile of the network, in the first step")
    parser.add_argument("--peer", type=Path, metavar="DIR", help="a checkout's recognition/arcface_torch")
    parser.add_argument("--profile", action="store_true", help="where the time of our step goes; no peer")
    parser.add_argument("--one", choices=(OURS, PEER, CAST), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer and not (arguments.peer / "partial_fc_v2.py").is_file():
        raise UserError(
            f"--peer {arguments.peer}: has no partial_fc_v2.py; give insightface's recognition/arcface_torch"
        )
    return arguments


def ours(arguments: argparse.Namespace, folder: Path) -> Step:
    """Our step, as ``prepare`` makes it for a record file of noise."""
    from lwface.formats.image import encode_jpeg
    from lwface.formats.recordio import Header, RecordWriter, pack
    from lwface.recognition.train import prepare
    from lwface.settings.resolve import resolve

    (network,), (classes,), (precision,), batch = _case(arguments)
    random = np.random.default_rng(0)
    with RecordWriter(folder / "train.rec") as writer:
        for key in range(batch):
            image = encode_jpeg(random.integers(0, 256, (112, 112, 3), dtype=np.uint8))
            writer.write(key, pack(Header(0, float(random.integers(classes)), key, 0), image))
    (folder / "property").write_text(f"{classes},112,112", encoding="ascii")
    settings: dict[str, Any] = {"dataset_path": str(folder), "per_batch_size": batch, "precision": precision}
    settings |= {"num_workers": 0, "val_targets": [], "num_classes": 0, "count_flops": False, "max_steps": 100}
    settings |= {"loss_s": SCALE, "loss_m2": MARGIN}
    with contextlib.redirect_stdout(io.StringIO()):
        loop = prepare(
            resolve(network, "synthetic", "arcface", **settings), device=arguments.device, folder=folder / "models"
        )
    if arguments.compile:
        loop.task.modules["network"].compile()
    faces = loop.task.data.batch(np.arange(batch), 0)
    if loop.device.type == "cuda":
        faces = faces._replace(images=faces.images.pin_memory(), targets=faces.targets.pin_memory())
    return lambda: loop.training_step(faces, RATE).loss


def theirs(arguments: argparse.Namespace, folder: Path, *, cast: bool) -> Step:
    """The peer's step: the lines of its ``train_v2.py`` between two batches."""
    import torch

    device = torch.device(arguments.device)
    if device.type == "cpu":
        torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    backend = "gloo" if device.type == "cpu" else "nccl"
    torch.distributed.init_process_group(backend, init_method=f"file://{folder}/group", rank=0, world_size=1)
    from losses import CombinedMarginLoss  # type: ignore[import-not-found]
    from partial_fc_v2 import PartialFC_V2  # type: ignore[import-not-found]

    (network,), (classes,), _, batch = _case(arguments)
    backbone, width = _their_network(network)
    backbone = backbone.to(device).train()
    head = PartialFC_V2(CombinedMarginLoss(SCALE, 1.0, MARGIN, 0.0, 0), width, classes, 1.0, False).train().to(device)
    groups = [{"params": backbone.parameters()}, {"params": head.parameters()}]
    optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    images, labels = torch.randn(batch, 3, 112, 112).to(device), torch.randint(classes, (batch,)).to(device)

    def step() -> float:
        with torch.autocast(device.type, torch.bfloat16, enabled=cast):
            embeddings = backbone(images)
        loss = head(embeddings.float(), labels.clone())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(backbone.parameters(), 5)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.item())

    return step


def _their_network(name: str) -> tuple[Any, int]:
    """The network that the peer trains, and the width of its embedding."""
    if name == "r50":
        import backbones  # type: ignore[import-not-found]

        return backbones.get_model("r50", dropout=0.0, fp16=False, num_features=512), 512
    from torch import nn

    from lwface.networks import create_network
    from lwface.networks.prelu import ChannelPReLU
    from lwface.settings.resolve import network_settings

    network = create_network(network_settings(name))
    for module in list(network.modules()):
        for child, layer in module.named_children():
            if isinstance(layer, ChannelPReLU):
                setattr(module, child, nn.PReLU(layer.num_parameters))
    return network, network.embedding_size


def _case(arguments: argparse.Namespace) -> tuple[list[str], list[int], list[str], int]:
    return (
        arguments.network,
        arguments.classes,
        arguments.precision,
        arguments.batch or NETWORKS[arguments.network[0]],
    )


def serve(arguments: argparse.Namespace) -> None:
    """A contender: makes a step for each line of stdin, and answers with its seconds, its loss and the peak."""
    import torch

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    cuda = arguments.device != "cpu"
    importlib.import_module("lwface.recognition.train")  # what is loaded is not what a step needs
    before = _peak(cuda)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.one == OURS:
            step = ours(arguments, Path(folder))
        else:
            step = theirs(arguments, Path(folder), cast=arguments.one == CAST)
        if arguments.profile:
            print(json.dumps(profiled(step)), flush=True)
            return
        print("ready", flush=True)
        for _ in sys.stdin:
            start = time.perf_counter() if cuda else time.process_time()
            loss = step()
            if cuda:
                torch.cuda.synchronize()
            seconds = (time.perf_counter() if cuda else time.process_time()) - start
            print(json.dumps({"seconds": seconds, "loss": loss, "memory": _peak(cuda) - before}), flush=True)


def _peak(cuda: bool) -> int:
    """Bytes this process has had at most, of its device."""
    if not cuda:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    import torch

    return torch.cuda.max_memory_allocated()


def profiled(step: Step) -> dict[str, float]:
    """Shares of the time of operators, by what they are for, of the second step."""
    from torch.profiler import profile

    step()
    with profile() as found:
        step()
    sums = dict.fromkeys([*KINDS, "all else"], 0.0)
    for event in found.key_averages():
        kind = next((kind for kind, words in KINDS.items() if any(word in event.key for word in words)), "all else")
        sums[kind] += event.self_cpu_time_total
    whole = sum(sums.values())
    return {kind: value / whole for kind, value in sums.items()}


class Contender:
    """A process that makes steps when told to."""

    def __init__(self, arguments: argparse.Namespace, name: str, network: str, classes: int, precision: str) -> None:
        words = ["--network", network, "--classes", str(classes), "--precision", precision, "--one", name]
        words += ["--batch", str(arguments.batch), "--threads", str(arguments.threads), "--device", arguments.device]
        words += ["--peer", str(arguments.peer)] if arguments.peer else []
        words += ["--compile"] if arguments.compile else []
        words += ["--profile"] if arguments.profile else []
        environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "PYTHONWARNINGS": "ignore"}
        if arguments.peer and name != "ours":  # its modules are found by themselves: it is no package
            environment["PYTHONPATH"] = str(arguments.peer.resolve())
        self.process = subprocess.Popen(
            [sys.executable, __file__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.found: list[dict[str, float]] = []

    def hear(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise UserError(f"a contender ended with status {self.process.wait()}: its own words are above")
        return line

    def step(self) -> None:
        """One more."""
        assert self.process.stdin is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        self.found.append(json.loads(self.hear()))

    def end(self) -> None:
        """Let it go."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(arguments: argparse.Namespace, network: str, classes: int, precision: str) -> None:
    """Take turns, and print a row for each contender."""
    names = [OURS]
    if arguments.peer:
        names += [PEER, *([CAST] if precision == "bf16" else [])]
    contenders = [Contender(arguments, name, network, classes, precision) for name in names]
    try:
        for contender in contenders:
            contender.hear()
        for _ in range(arguments.steps + 1):
            for contender in contenders:
                contender.step()
    finally:
        for contender in contenders:
            contender.end()
    batch = arguments.batch or NETWORKS[network]
    seconds = [[found["seconds"] for found in contender.found[1:]] for contender in contenders]
    for name, contender, taken in zip(names, contenders, seconds, strict=True):
        speed = batch / statistics.median(taken)
        ratios = ["", ""]
        if name != OURS:
            times = statistics.median(taken) / statistics.median(seconds[0]), min(taken) / min(seconds[0])
            ratios = [f"{times[0]:.2f} ({times[1]:.2f})", f"{_memory(contender) / _memory(contenders[0]):.2f}"]
        cells = [network, f"{classes:,}", precision if name != PEER else "float32", batch, name, f"{speed:.2f}"]
        cells += [ratios[0], f"{_memory(contender) / 1e9:.2f}", ratios[1], f"{contender.found[0]['loss']:.2f}"]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def _memory(contender: Contender) -> float:
    return contender.found[-1]["memory"]


def main() -> None:
    """Every case in turn."""
    arguments = parse_arguments()
    if arguments.one:
        serve(arguments)
        return
    cases = [(n, c, p) for n in arguments.network for c in arguments.classes for p in arguments.precision]
    if arguments.profile:
        for case in cases:
            found = json.loads(Contender(arguments, OURS, *case).hear())
            shares = ", ".join(f"{kind} {share:.1%}" for kind, share in found.items())
            print(f"{case[0]}, {case[1]:,} identities, {case[2]}: {shares}", flush=True)
        return
    if not arguments.peer:
        print("without --peer: ours alone, which compares nothing (--help)")
    print(
        "| network | identities | precision | batch | who | images/s | ours is as fast, median (best) | memory, GB | "
        "over ours | first loss |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case in cases:
        compare(arguments, *case)


if __name__ == "__main__":
    run_command(main)
