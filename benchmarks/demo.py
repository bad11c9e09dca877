"""How far do the figures of ``make demo`` depend on chance, and how long does it take beside another checkout's?

    python benchmarks/demo.py
    python benchmarks/demo.py --seeds "" --against ../other-checkout --repeats 3

First the demo's own steps after the data set is made, once for each seed of training and each number of threads:
another seed draws other weights and another order of images, another number of threads adds in another order, as other
processors do. It prints each run, then mean, lowest and highest. Interrupted, it goes on when typed again.

With ``--against`` whole demos of both checkouts take turns, each on a copy that has neither data nor models, with the
environment of its checkout. Seconds are those of a clock and those of the processor (of all processes; they depend less
on what else the machine does).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from busy_machine import python_of

from lwface.base.commands import load, run_command
from lwface.commands.demo import DATASET, FARS, LOSS, MAKING, NETWORK, Road, judging, training

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("benchmarks", "common", "datasets", "eval", "lwface", "recognition", "*.py")  # what a demo runs on
LINE = "{:34} {:>9} {:>9} {:>9}"

Figures = dict[str, float]


def figures(seed: int, threads: int, output: Path, network: str, loss: str) -> Figures:
    """The figures of a run of the demo's steps with this ``seed`` of training on so many ``threads``."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    folder, road = output / f"seed{seed}-threads{threads}", Road()
    road.run(training(network, loss, "--seed", str(seed), "--models-root", str(folder)))
    road.run_together(*judging(str(folder / f"{network}-{loss}-{DATASET}" / "model,1"), folder))
    found = {}
    for kind in FARS:
        for point in json.loads((folder / f"{kind}.json").read_text())["results"]:
            found[f"TAR, {kind}s, at FAR {point['far']:g}"] = point["tar"]
    return found


def print_spread(runs: dict[tuple[int, int], Figures]) -> None:
    """Each run in a line, then mean, lowest and highest of each figure."""
    names = list(next(iter(runs.values())))
    print("\nseed threads  " + "  ".join(names))
    for (seed, threads), found in runs.items():
        print(f"{seed:4} {threads:7}  " + "  ".join(f"{found[name]:{len(name)}.4f}" for name in names))
    print(f"\n{LINE.format(f'{len(runs)} runs', 'mean', 'lowest', 'highest')}")
    for name in names:
        values = [found[name] for found in runs.values()]
        row = (f"{value:.4f}" for value in (statistics.mean(values), min(values), max(values)))
        print(LINE.format(name, *row), flush=True)


def timed_demo(checkout: Path) -> tuple[float, float]:
    """Seconds of a whole demo of ``checkout`` by the clock, and of the processor."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "checkout")
        copy.mkdir()
        for pattern in COPIED:
            for path in checkout.glob(pattern):
                if path.is_dir():
                    shutil.copytree(
                        path, copy / path.name, ignore=_folders_of_data if path.name == "datasets" else None
                    )
                else:
                    shutil.copy(path, copy)
        environment = {**os.environ, "PYTHONPATH": str(copy)}  # before the installed package, which is the checkout's
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [python_of(checkout), "recognition/demo.py"]
        subprocess.run(command, cwd=copy, env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _folders_of_data(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_dir()]


def compare(against: Path, repeats: int) -> None:
    """Print the seconds of demos that take turns, and the ratios."""
    print(
        f"{'demo':>4} {'this, s':>9} {'CPU s':>9} {'other, s':>9} {'CPU s':>9} {'ratio':>7} {'of CPU':>7}", flush=True
    )
    for number in range(1, repeats + 1):
        (mine, my_cpu), (theirs, their_cpu) = timed_demo(ROOT), timed_demo(against)
        ratios = f"{mine / theirs:7.2f} {my_cpu / their_cpu:7.2f}"
        print(f"{number:4} {mine:9.1f} {my_cpu:9.1f} {theirs:9.1f} {their_cpu:9.1f} {ratios}", flush=True)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2,3,4", help="of training; empty: none (default: 0,1,2,3,4)")
    parser.add_argument("--threads", default="1,2", help="values of OMP_NUM_THREADS (default: 1,2)")
    parser.add_argument("--network", default=NETWORK, help=f"by its name in the configuration (default: {NETWORK})")
    parser.add_argument("--loss", default=LOSS, help=f"by its name in the configuration (default: {LOSS})")
    output = ROOT / "build" / "demo-spread"
    parser.add_argument("--output", type=Path, default=output, help="folder of the runs (default: build/demo-spread)")
    parser.add_argument(
        "--against", type=Path, metavar="DIR", help="another checkout, whose demo takes turns with ours"
    )
    parser.add_argument("--repeats", type=int, default=1, help="demos of each checkout with --against (default: 1)")
    args = parser.parse_args()
    load()
    if args.seeds:
        Road().run(MAKING)
        seeds, threads = ([int(word) for word in text.split(",")] for text in (args.seeds, args.threads))
        pairs = [(seed, count) for seed in seeds for count in threads]
        print_spread({pair: figures(*pair, args.output.resolve(), args.network, args.loss) for pair in pairs})
    if args.against:
        compare(args.against.resolve(), args.repeats)


if __name__ == "__main__":
    run_command(main)
