"""Seconds of the exact evaluator, of FAISS and of scikit-learn on the same features, in the same run.

    python benchmarks/scoring.py
    python benchmarks/scoring.py --rows 40000 --a-person 5 --against ../other-checkout

What users wait for is the command as it is typed: from a feature file and a text of labels to the table, the start of
Python and the import of PyTorch included. It is run with and without intervals; with ``--against`` that of another
checkout, with its own environment, takes turns with it. Beside it stand its parts: the start alone, and the whole after
the start (without intervals), as a share of the rate at which this machine multiplies int8.

The peers start from features in memory, as ``lwface.tar_at_far`` does. scikit-learn's time is that of all scores by a
matrix product, the labels of all pairs, and ``roc_curve``. FAISS's ``range_search`` of an ``IndexFlatIP``, the only
other library call that finds the pairs above a threshold without keeping all, is given the threshold that the evaluator
found at the lowest FAR, so it need not look for one, and answers in float32. It visits every ordered pair; the
unordered ones that are wanted are counted, as for the others. Each has the same number of threads.

The table shows the best of ``--repeats`` runs of each, and the ceilings: matrix products of all unordered pairs in the
arithmetic that screens (int8) and in float32.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lwface.base.commands import load, run_command
from lwface.formats.feature_file import FeatureWriter
from lwface.scoring import tar_at_far
from lwface.scoring.exact.screening import coded_width, extra_numbers
from lwface.scoring.operating_points import OperatingPoint
from lwface.scoring.parameters import parse_fars

BLOCK = 1024  # of a matrix product
QUERIES = 1024  # of FAISS at a time: its results are kept until they are counted


ROOT = Path(__file__).resolve().parents[1]
START = ["-c", "import torch"]


def make_features(
    rows: int, width: int, seed: int, a_person: int = 10
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features (rows, width) of people with some 10 rows each, about as hard to tell as a light network finds them."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, max(1, rows // a_person), rows)
    centres = generator.normal(size=(labels.max() + 1, width))
    return (0.42 * centres[labels] + generator.normal(size=(rows, width))).astype(np.float32), labels


def with_evaluator(
    features: NDArray[np.float32], labels: NDArray[np.int64], fars: list[Fraction]
) -> list[OperatingPoint]:
    """The operating points by the exact evaluator."""
    return list(tar_at_far(features, labels, fars).points)


def with_scikit_learn(features: NDArray[np.float32], labels: NDArray[np.int64], fars: list[Fraction]) -> list[float]:
    """TAR at each FAR by scikit-learn, from float32 scores."""
    from sklearn.metrics import roc_curve

    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    first, second = np.triu_indices(len(units), 1)
    scores = (units @ units.T)[first, second]
    false_rates, true_rates, _ = roc_curve(labels[first] == labels[second], scores)
    return [float(true_rates[np.searchsorted(false_rates, float(far), "right") - 1]) for far in fars]


def with_faiss(features: NDArray[np.float32], labels: NDArray[np.int64], threshold: float) -> int:
    """Impostor pairs above a threshold by FAISS, in float32."""
    import faiss

    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(units.shape[1])
    index.add(units)
    ordered = 0
    for start in range(0, len(units), QUERIES):
        limits, _, found = index.range_search(units[start : start + QUERIES], threshold)
        queries = np.repeat(labels[start : start + QUERIES], np.diff(limits.astype(np.int64)))
        ordered += int(np.count_nonzero(labels[found] != queries))
    return ordered // 2


def int8_product(rows: int, width: int) -> Callable[[], None]:
    """The least that is computed: the product of every pair of codes, once."""
    coded = coded_width(width) or width
    codes = torch.randint(-127, 128, (rows, coded + extra_numbers(coded)), dtype=torch.int8)
    space = torch.empty(BLOCK * BLOCK, dtype=torch.int32)

    def product() -> None:
        for start in range(0, rows, BLOCK):
            for second in range(start, rows, BLOCK):
                left, right = codes[start : start + BLOCK], codes[second : second + BLOCK]
                torch._int_mm(left, right.t(), out=space[: len(left) * len(right)].view(len(left), len(right)))

    return product


def float32_product(features: NDArray[np.float32]) -> Callable[[], None]:
    """Every pair's float32 dot product, once."""
    space = np.empty(BLOCK * BLOCK, dtype=np.float32)

    def product() -> None:
        for start in range(0, len(features), BLOCK):
            for second in range(start, len(features), BLOCK):
                left, right = features[start : start + BLOCK], features[second : second + BLOCK]
                np.matmul(left, right.T, out=space[: len(left) * len(right)].reshape(len(left), len(right)))

    return product


def best_times(works: list[tuple[Callable[[], object], int]]) -> list[float]:
    """The shortest of so many runs of each, in seconds; they take turns, so that a busy moment hits none alone."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(max(repeats for _, repeats in works)):
        for (work, repeats), taken in zip(works, times, strict=True):
            if turn < repeats:
                start = time.perf_counter()
                work()
                taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


def as_typed(checkout: Path, folder: Path, far: str, *flags: str) -> Callable[[], None]:
    """The command of a checkout in its environment, on the files in ``folder``."""
    python = checkout / ".venv" / "bin" / "python"
    command = [str(python if python.exists() else sys.executable), str(checkout / "eval" / "tar_far.py")]
    command += [
        "--features",
        str(folder / "features.bin"),
        "--labels",
        str(folder / "labels.txt"),
        "--far",
        far,
        *flags,
    ]

    def run() -> None:
        subprocess.run(command, check=True, capture_output=True)

    return run


def write_files(folder: Path, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """The features and labels as files."""
    with FeatureWriter(folder / "features.bin", *features.shape, unit_rows=False) as writer:
        writer.write(features)
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels.tolist()))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20000, help="features (default: 20000)")
    parser.add_argument("--a-person", type=int, default=10, help="rows of a person, on average (default: 10)")
    parser.add_argument("--width", type=int, default=512, help="numbers a feature has (default: 512)")
    parser.add_argument("--far", default="1e-4,1e-6", help="false accept rates (default: 1e-4,1e-6)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each, of which the best counts (default: 5)")
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout whose command takes turns")
    parser.add_argument(
        "--slow-repeats", type=int, default=1, help="runs of scikit-learn, which takes minutes; 0: none (default: 1)"
    )
    args = parser.parse_args()
    load("faiss", "sklearn.metrics")  # before anything is timed
    fars = parse_fars(args.far)
    features, labels = make_features(args.rows, args.width, 0, args.a_person)
    pairs = args.rows * (args.rows - 1) // 2
    print(f"{args.rows} features of width {args.width}, {pairs} pairs, FAR {args.far}, {os.cpu_count()} cores")
    int8 = show_command(args, features, labels)
    points = with_evaluator(features, labels, fars)
    strictest = max(points, key=lambda point: point.threshold or 0)
    threshold = strictest.threshold or 0.0
    ours, in_faiss, float32 = best_times(
        [
            (lambda: with_evaluator(features, labels, fars), args.repeats),
            (lambda: with_faiss(features, labels, threshold), args.repeats),
            (float32_product(features), args.repeats),
        ]
    )
    rows = [("lwface.tar_at_far", ours), ("FAISS range_search", in_faiss)]
    if args.slow_repeats:
        (slow,) = best_times([(lambda: with_scikit_learn(features, labels, fars), args.slow_repeats)])
        rows.append(("scikit-learn roc_curve", slow))
    rows += [("int8 products alone", int8), ("float32 products alone", float32)]
    print(f"{'from arrays':28}{'seconds':>9}{'Mpairs/s':>10}{'ours is':>10}")
    for name, seconds in rows:
        print(f"{name:28}{seconds:9.3f}{pairs / seconds / 1e6:10.1f}{seconds / ours:9.2f}x")
    print(f"TAR, exact:              {[point.tar for point in points]}")
    if args.slow_repeats:
        print(f"TAR, scikit-learn:       {with_scikit_learn(features, labels, fars)}")
    print(
        f"impostors at {float(strictest.far):g}: exact {strictest.false_accepts}, FAISS in float32 "
        f"{with_faiss(features, labels, threshold)}"
    )


def show_command(args: argparse.Namespace, features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Time the command as typed and print its table; the seconds of int8 products alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, features, labels)
        kinds = {"no intervals": ("--bootstrap", "0"), "intervals": ()}
        checkouts = [ROOT, *([args.against] if args.against else [])]
        works: list[Callable[[], object]]
        works = [as_typed(checkout, folder, args.far, *flags) for flags in kinds.values() for checkout in checkouts]
        works.append(lambda: subprocess.run([sys.executable, *START], check=True))
        works.append(int8_product(args.rows, args.width))
        *typed, start, int8 = best_times([(work, args.repeats) for work in works])
    print(f"{'as typed':28}{'seconds':>9}{'the other':>11}{'ratio':>8}")
    for index, kind in enumerate(kinds):
        mine, *other = typed[index * len(checkouts) : (index + 1) * len(checkouts)]
        compared = "".join(f"{seconds:11.3f}{mine / seconds:8.2f}" for seconds in other)
        print(f"{'eval/tar_far.py, ' + kind:28}{mine:9.3f}{compared}")
    rest = typed[0] - start
    print(f"{'python -c import torch':28}{start:9.3f}")
    print(f"{'the first less that':28}{rest:9.3f}   {int8 / rest:.0%} of the rate of int8 products alone")
    return int8


if __name__ == "__main__":
    run_command(main)
