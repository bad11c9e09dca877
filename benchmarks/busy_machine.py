"""Training and feature writing beside other work: images a second, idle and beside one busy process a core.

    python benchmarks/busy_machine.py
    python benchmarks/busy_machine.py --against ../other-checkout

Threads that wait for each other lose much where other processes want their cores too, and people's machines are seldom
idle. The commands of this checkout, and with ``--against`` those of another one with its own environment, take turns,
on an idle machine and then beside as many endless loops as it has cores. Training's figure is the median of its log's
``images_per_s`` after the first; that of the feature writer is images over the seconds of the whole command as typed.
The best of ``--repeats`` counts, of each checkout alike.

Both checkouts need the embedded data set: ``python datasets/make_synthetic.py`` in each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lwface.base.commands import load, run_command
from lwface.base.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
NETWORK, LOSS, DATASET = "m025", "arcface_small", "synthetic"
LINES = 5  # steps between two figures of the training log


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many endless loops beside the block."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def python_of(checkout: Path) -> str:
    """The interpreter of a checkout's own environment; this one where it has none."""
    own = checkout / ".venv" / "bin" / "python"
    return str(own if own.exists() else sys.executable)


def training_speed(checkout: Path, steps: int) -> float:
    """Images a second while the checkout's command trains from the beginning."""
    with tempfile.TemporaryDirectory() as models:
        names = ["--network", NETWORK, "--loss", LOSS, "--dataset", DATASET, "--models-root", models]
        lengths = ["--max-steps", str(steps), "--frequent", str(LINES), "--warmup-steps", "5", "--ckpt", "0"]
        command = [python_of(checkout), "recognition/train.py", *names, *lengths, "--verbose", "100000"]
        subprocess.run(command, cwd=checkout, check=True, capture_output=True)
        (log,) = Path(models).glob("*/log.jsonl")
        found = [json.loads(line) for line in log.read_text().splitlines()]
    return statistics.median([line["images_per_s"] for line in found if "images_per_s" in line][1:])


def writer_speed(checkout: Path, model: str) -> float:
    """Images a second of the checkout's feature writer, start included."""
    images = checkout / "datasets" / DATASET / "images"
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder, "image.bin"))
        command = [python_of(checkout), "gen_image_feature.py", "--model", model, "--input", str(images)]
        start = time.perf_counter()
        subprocess.run([*command, "--output", output], cwd=checkout, check=True, capture_output=True)
        seconds = time.perf_counter() - start
    return len((images / "filelist.txt").read_text().splitlines()) / seconds


def measured(checkouts: list[Path], model: str, steps: int, repeats: int) -> dict[str, list[float]]:
    """By work, the best figure of each checkout."""
    found: dict[str, list[list[float]]] = {
        "training": [[] for _ in checkouts],
        "feature writer": [[] for _ in checkouts],
    }
    for _ in range(repeats):
        for index, checkout in enumerate(checkouts):
            found["training"][index].append(training_speed(checkout, steps))
            found["feature writer"][index].append(writer_speed(checkout, model))
    return {work: [max(figures) for figures in each] for work, each in found.items()}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout, which takes turns with this one")
    parser.add_argument("--model", default="y1", help="untrained network that writes features (default: y1)")
    parser.add_argument("--steps", type=int, default=25, help="training steps of a run (default: 25)")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each, of which the best counts (default: 2)")
    args = parser.parse_args()
    load("torch")
    checkouts = [ROOT, *([args.against.resolve()] if args.against else [])]
    for checkout in checkouts:
        if not (checkout / "datasets" / DATASET / "train.rec").exists():
            raise UserError(f"{checkout}: no embedded data set: python datasets/make_synthetic.py there makes it")
    with tempfile.TemporaryDirectory() as folder:
        model = untrained(args.model, Path(folder))
        print(f"{os.cpu_count()} cores; images a second{', this checkout and the other' if args.against else ''}")
        for name, loops in (("idle", 0), ("one busy process a core", os.cpu_count() or 1)):
            with busy(loops):
                for work, figures in measured(checkouts, model, args.steps, args.repeats).items():
                    ratio = f"{figures[0] / figures[1]:9.2f}x" if args.against else ""
                    print(f"{name + ', ' + work:44}" + "".join(f"{one:9.1f}" for one in figures) + ratio, flush=True)


def untrained(network: str, folder: Path) -> str:
    """A model of random weights, as both checkouts read it."""
    from lwface.models.store import save_model
    from lwface.networks import create_network
    from lwface.settings.resolve import network_settings

    settings = network_settings(network)
    save_model(str(folder / "model"), 1, create_network(settings), settings)
    return f"{folder / 'model'},1"


if __name__ == "__main__":
    run_command(main)
