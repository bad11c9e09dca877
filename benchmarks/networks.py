"""What every network costs and how fast it is, as docs/networks.md.

    python benchmarks/networks.py --output docs/networks.md
    python benchmarks/networks.py --output docs/networks.md --only r10_s,r12_pxs

Counts come from the code. Speeds are measured on one core of the CPU and, where there is one, on the first CUDA
device, each network in turn with the reference. On the CPU the time is that which the core spent on the network, so
other work of the machine hardly disturbs it. With --output, what was measured is kept in network_speeds.json beside
this file; a device that is absent keeps its last figures, and with --only so does every network that is not named: what
counts is the time over the reference's, which is measured with each.
"""

from __future__ import annotations

import argparse
import difflib
import json
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from network_table import REFERENCE, Speed, cost_of, render
from torch import nn

from lwface.base.commands import EXIT_OK, HelpFormatter, run_command
from lwface.base.errors import UserError
from lwface.base.files import write_json, write_text
from lwface.base.progress import progress
from lwface.networks import create_network
from lwface.settings import sample_config

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "networks.md"
SPEEDS = Path(__file__).with_name("network_speeds.json")
BATCH = {"cpu": 4, "cuda": 64}  # images at once, for images a second
LIMIT_S = 1.0  # after so long a network is measured no more times
EXIT_DIFFERENT = 1


def parse_arguments() -> argparse.Namespace:
    """Command-line flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--output", metavar="FILE", help="write the document to this file instead of printing it")
    parser.add_argument(
        "--check",
        metavar="FILE",
        nargs="?",
        const=str(DOCUMENT),
        help="measure nothing, compare with this file (docs/networks.md); exit status 1 if it is out of date",
    )
    parser.add_argument("--keep-speeds", action="store_true", help="measure nothing, use the speeds measured last")
    parser.add_argument("--only", metavar="NAME,...", help="measure these, keep the figures of the others")
    parser.add_argument("--repeats", type=int, default=9, help="times that each network runs, fewer if slow")
    arguments = parser.parse_args()
    arguments.only = chosen(arguments.only)
    return arguments


def chosen(names: str | None) -> list[str]:
    """The networks to measure, all where none is named."""
    asked = list(sample_config.network) if names is None else [name.strip() for name in names.split(",")]
    unknown = [name for name in asked if name not in sample_config.network]
    if unknown:
        raise UserError(f"--only {unknown[0]}: expected some of {', '.join(sample_config.network)}")
    return asked


def measure(names: Sequence[str], device: str, repeats: int, kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """Speeds of networks on ``device``, as :func:`benchmarks.network_table.render` takes them.

    Args:
        kept: what was measured before, for the networks that are not named.

    Raises:
        UserError: that was another machine.
    """
    machine = _machine(device)
    others = {} if kept is None else {n: s for n, s in kept["speeds"].items() if n in sample_config.network}
    if kept is not None and kept["machine"] != machine and not set(others) <= set(names):
        raise UserError(f"--only: the other figures are of {kept['machine']}, this is {machine}: measure all")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        reference = _ready(REFERENCE, device)
        speeds = others
        for name in progress(names, label=f"networks on {device}", unit="network"):
            speeds[name] = asdict(_speed(_ready(name, device), reference, device, repeats))
    finally:
        torch.set_num_threads(threads)
    return {"machine": machine, "batch": BATCH[device], "speeds": speeds}


def _ready(name: str, device: str) -> nn.Module:
    """Network ``name`` with random weights, which do not change its speed."""
    network = create_network({**sample_config.config, **sample_config.network[name]})
    return network.eval().to(device)


def _speed(network: nn.Module, reference: nn.Module, device: str, repeats: int) -> Speed:
    one, many = _images(1, device), _images(BATCH[device], device)
    times: list[float] = []
    ratios: list[float] = []
    at_once: list[float] = []
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)  # float32 that is float32
    with torch.inference_mode(), exact:
        _seconds(reference, one, device)
        first = _seconds(network, one, device)  # the first call is slower
        while len(times) < repeats and sum(times) < LIMIT_S:
            before = _seconds(reference, one, device)
            times.append(_seconds(network, one, device))
            ratios.append(times[-1] / before)
        if first * BATCH[device] < LIMIT_S:
            _seconds(network, many, device)
        while len(at_once) < repeats and sum(at_once) < LIMIT_S:
            at_once.append(_seconds(network, many, device))
    return Speed(
        milliseconds=round(statistics.median(times) * 1000, 2),
        relative=round(statistics.median(ratios), 3),
        images_per_second=round(BATCH[device] / statistics.median(at_once), 2),
    )


def _images(count: int, device: str) -> torch.Tensor:
    """``count`` random images, in the order of memory that the feature writers use."""
    return torch.randint(0, 256, (count, 112, 112, 3), dtype=torch.uint8, device=device).permute(0, 3, 1, 2)


def _seconds(network: nn.Module, images: torch.Tensor, device: str) -> float:
    """Time on the clock of a GPU's user; on the CPU the core's own time, which on an idle machine is the same."""
    if device == "cpu":
        start = time.process_time()
        network(images)
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    network(images)
    torch.cuda.synchronize()
    return time.perf_counter() - start


def _machine(device: str) -> str:
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}"
    source = Path("/proc/cpuinfo")  # of Linux
    lines = source.read_text().splitlines() if source.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return f"one core of {name}, PyTorch {torch.__version__}"


def out_of_date(path: Path, text: str) -> list[str]:
    """How the file at ``path`` differs from ``text``, as lines of a diff without context; empty if it does not."""
    return list(difflib.unified_diff(path.read_text().splitlines(), text.splitlines(), str(path), "now", "", "", 0, ""))


def main() -> int:
    """Count, measure, and write or compare."""
    arguments = parse_arguments()
    if arguments.repeats < 1:
        raise UserError(f"--repeats {arguments.repeats}: at least 1 is needed")
    if arguments.check and not Path(arguments.check).exists():
        raise UserError(f"{arguments.check}: no such file: make it with --output {arguments.check}")
    latencies = json.loads(SPEEDS.read_text()) if SPEEDS.exists() else {}
    counted = [(name, cost_of(name)) for name in progress(sample_config.network, label="counting", unit="network")]
    costs = dict(sorted(counted, key=lambda entry: entry[1].flops))
    if arguments.check:
        changes = out_of_date(Path(arguments.check), render(costs, latencies))
        print("\n".join(changes) or f"{arguments.check} agrees with the code")
        return EXIT_DIFFERENT if changes else EXIT_OK
    if not arguments.keep_speeds:
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            latencies[device] = measure(arguments.only, device, arguments.repeats, latencies.get(device))
    text = render(costs, latencies)
    if arguments.output:
        write_json(SPEEDS, latencies)
        write_text(arguments.output, text)
    else:
        print(text, end="")
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
