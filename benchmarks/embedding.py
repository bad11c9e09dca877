"""How fast is the embedding engine? Images a second of each backend, and of MXNet 1.9.1 on the same CPU.

    python benchmarks/embedding.py --networks y2,r100fc --batches 1,8,64

All run the same network with the same weights over the same images, and must give the same features. They take turns,
so that what else the machine does falls on all; of each the fastest of ``--repeats`` samples counts. MXNet runs in an
environment of its own, which ``make parity`` makes, from a checkpoint in its own format; its images are floats in its
own memory already, while the engine converts bytes. It is measured twice: as it comes, when it takes half of the
processors for hyper-threads and leaves them idle, and told to use as many threads as PyTorch.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.device import select_device
from lwface.base.errors import UserError
from lwface.features.backends import choose
from lwface.features.choices import AUTO, BACKENDS
from lwface.features.runners import Original, Workload
from lwface.mxnet.export import save_mxnet
from lwface.networks import create_network
from lwface.networks.layers import BatchNorm
from lwface.settings.resolve import network_settings

ROOT = Path(__file__).resolve().parents[1]
PEER = ROOT / "benchmarks" / "peers" / "mxnet_embedding.py"
MXNET, MXNET_ALL = "mxnet", "mxnet-all"  # as it comes, and on all threads
SAMPLE_SECONDS = 0.5
TOLERANCE = 1e-4  # norm of the difference between MXNet's feature and eager's, over the norm of eager's

Seconds = dict[str, float]


def lively_network(name: str) -> nn.Module:
    """The network ``name``, untrained, with running statistics that do something, as training leaves them."""
    torch.manual_seed(0)
    network = create_network(network_settings(name)).eval()
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network


class Mxnet:
    """MXNet in a process of its own, with one network and the images (N, 3, 112, 112) uint8."""

    def __init__(self, python: Path, network: nn.Module, images: np.ndarray, folder: Path, threads: int | None) -> None:
        self._prefix = folder / "model"
        save_mxnet(self._prefix, 0, network)
        np.save(folder / "images.npy", images)
        self._errors = folder / "errors.txt"
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        if threads:
            environment["OMP_NUM_THREADS"] = str(threads)
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                [python, PEER, "--model", f"{self._prefix},0", "--images", folder / "images.npy"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            )

    def seconds(self, batch: int, repeats: int) -> float:
        """What ``repeats`` forward passes over ``batch`` images take."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            print(batch, repeats, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise UserError(f"MXNet failed: {self._errors.read_text().strip()[-500:]}")
        return float(answer)

    def features(self, batch: int) -> np.ndarray:
        """Its embeddings (batch, D); it has to have run so many images before."""
        return np.load(f"{self._prefix}-{batch}.npy")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def mxnet_running(
    python: Path, peers: Mapping[str, int | None], network: nn.Module, images: np.ndarray
) -> Iterator[dict[str, Mxnet]]:
    """MXNet on the ``network`` for a while, once for each of ``peers`` with its number of threads (None: its own)."""
    with contextlib.ExitStack() as stack:
        running = {}
        for name, threads in peers.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            running[name] = Mxnet(python, network, images, folder, threads)
            stack.callback(running[name].close)
        yield running


def measure(original: Original, peers: dict[str, Mxnet], repeats: int) -> tuple[Seconds, str]:
    """Seconds a batch of each peer and of each backend that runs here, and the backend that ``auto`` chooses."""
    batch = original.workload.batch_size
    samples: dict[str, Callable[[int], float]] = {}
    for name, peer in peers.items():
        samples[name] = functools.partial(peer.seconds, batch)
        samples[name](1)
        difference = np.linalg.norm(peer.features(batch) - original.expected.numpy(), axis=1)
        worst = float((difference / np.linalg.norm(original.expected.numpy(), axis=1)).max())
        if not worst <= TOLERANCE:
            raise UserError(f"MXNet gives other features than eager: they differ by {worst:.1e}")
    for name in BACKENDS:
        if name != AUTO and (sample := _sampler(original, name)):
            samples[name] = sample
    choice = choose(original).backend
    counts = {name: math.ceil(SAMPLE_SECONDS / sample(1)) for name, sample in samples.items()}
    least = dict.fromkeys(samples, math.inf)
    for _ in range(repeats):
        for name, sample in samples.items():
            least[name] = min(least[name], sample(counts[name]) / counts[name])
    return least, choice


def _sampler(original: Original, backend: str) -> Callable[[int], float] | None:
    """Seconds of so many batches; None where the backend does not run here."""
    try:
        runner = original.runner(backend)
    except UserError as error:
        print(f"left out: {error}", file=sys.stderr)
        return None

    def sample(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            original.features(runner)
        return time.perf_counter() - start

    return sample


def row(network: str, batch: int, columns: list[str], least: Seconds, choice: str) -> str:
    """A line of the table."""
    peers = [name for name in columns if name not in BACKENDS]
    rates = "".join(f"{batch / least[name]:12.1f}" if name in least else f"{'-':>12}" for name in columns)
    of_best = min(seconds for name, seconds in least.items() if name not in peers) / least[choice]
    ratios = "".join(f"{least[peer] / least[choice]:12.2f}" for peer in peers)
    return f"{network:10}{batch:6}{rates}  {choice:12}{of_best:8.2f}{ratios}"


def parse_arguments() -> argparse.Namespace:
    """Command-line flags."""
    parser = argparse.ArgumentParser(
        description="Compare the backends of the embedding engine with each other and with MXNet 1.9.1.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--networks", default="y2,r100fc", help="names of networks, untrained")
    parser.add_argument("--batches", default="1,8,64", help="numbers of images at once")
    parser.add_argument("--repeats", type=int, default=5, help="samples of each, of which the fastest counts")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N; MXNet runs on a CPU in any case")
    parser.add_argument(
        "--mxnet-python", type=Path, default=ROOT / ".venv-mxnet/bin/python", help="Python with MXNet; absent: left out"
    )
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = parse_arguments()
    device, threads = select_device(args.device), torch.get_num_threads()
    batches = [int(batch) for batch in args.batches.split(",")]
    peers: dict[str, int | None] = {MXNET: None, MXNET_ALL: threads}
    if not args.mxnet_python.exists():
        print(f"{args.mxnet_python}: not there; make parity sets it up. MXNet is left out", file=sys.stderr)
        peers = {}
    columns = [*peers, *(name for name in BACKENDS if name != AUTO)]
    print(f"images a second; {device}, {threads} threads, PyTorch {torch.__version__}")
    names = "".join(f"{name:>12}" for name in columns)
    ratios = "".join(f"{'x ' + name:>12}" for name in peers)
    print(f"{'network':10}{'batch':>6}{names}  {'auto':12}{'of best':>8}{ratios}", flush=True)
    for name in args.networks.split(","):
        network = lively_network(name).to(device)
        images = Original(network, Workload(torch.device("cpu"), max(batches))).images.numpy()
        with mxnet_running(args.mxnet_python, peers, network, images) as running:
            for batch in batches:
                least, choice = measure(Original(network, Workload(device, batch)), running, args.repeats)
                print(row(name, batch, columns, least, choice), flush=True)
                torch.compiler.reset()  # it keeps only so many programs of one network


if __name__ == "__main__":
    run_command(main)
