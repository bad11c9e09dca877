"""Pairs a second of the exact evaluator and of scikit-learn's ``roc_curve`` on the same features, in the same run.

    python benchmarks/scoring.py

Both start from features in memory and end with TAR at the FARs: scikit-learn's time is that of all scores by a matrix
product, the labels of all pairs, and ``roc_curve``; ours is that of all that ``eval/tar_far.py`` does after opening the
files. The table shows the best of ``--repeats`` runs of each, and the ceiling: the float32 matrix product of all pairs.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: the project's root comes first, not this file's folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import os
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from common.commands import run_command
from eval.feature_set import FeatureSet
from eval.grid import Grid
from eval.operating_points import operating_points, parse_fars


def make_features(rows: int, width: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features (rows, width) of people with 10 rows each, about as hard to tell as a light network finds them."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, max(1, rows // 10), rows)
    centres = generator.normal(size=(labels.max() + 1, width))
    return (0.42 * centres[labels] + generator.normal(size=(rows, width))).astype(np.float32), labels


def with_evaluator(
    features: NDArray[np.float32], labels: NDArray[np.int64], fars: list[Fraction]
) -> list[float | None]:
    """TAR at each FAR by the exact evaluator."""
    return [point.tar for point in operating_points(Grid(FeatureSet(features, labels, "features"), None), fars)]


def with_scikit_learn(features: NDArray[np.float32], labels: NDArray[np.int64], fars: list[Fraction]) -> list[float]:
    """TAR at each FAR by scikit-learn, from float32 scores."""
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    first, second = np.triu_indices(len(units), 1)
    scores = (units @ units.T)[first, second]
    false_rates, true_rates, _ = roc_curve(labels[first] == labels[second], scores)
    return [float(true_rates[np.searchsorted(false_rates, float(far), "right") - 1]) for far in fars]


def matrix_product(features: NDArray[np.float32]) -> None:
    """The least that must be computed: every pair's float32 dot product, once."""
    for start in range(0, len(features), 512):
        np.matmul(features[: start + 512], features[start : start + 512].T)


def best_times(works: list[Callable[[], object]], repeats: int) -> list[float]:
    """The shortest of ``repeats`` runs of each, in seconds; they take turns, so that a busy moment hits none alone."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, taken in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8000, help="features (default: 8000)")
    parser.add_argument("--width", type=int, default=512, help="numbers a feature has (default: 512)")
    parser.add_argument("--far", default="1e-3,1e-4", help="false accept rates (default: 1e-3,1e-4)")
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs of each, in turns, of which the best counts (default: 3)"
    )
    args = parser.parse_args()
    fars = parse_fars(args.far)
    features, labels = make_features(args.rows, args.width, seed=0)
    ours, theirs, product = best_times(
        [
            lambda: with_evaluator(features, labels, fars),
            lambda: with_scikit_learn(features, labels, fars),
            lambda: matrix_product(features),
        ],
        args.repeats,
    )
    pairs = args.rows * (args.rows - 1) // 2
    print(f"{args.rows} features of width {args.width}, {pairs} pairs, FAR {args.far}, {os.cpu_count()} cores")
    print(f"{'':24}{'seconds':>9}{'Mpairs/s':>10}{'ratio':>8}")
    for name, seconds in (
        ("scikit-learn roc_curve", theirs),
        ("eval/tar_far.py", ours),
        ("matrix product alone", product),
    ):
        print(f"{name:24}{seconds:9.3f}{pairs / seconds / 1e6:10.2f}{theirs / seconds:8.1f}")
    print(f"TAR, exact:        {with_evaluator(features, labels, fars)}")
    print(f"TAR, scikit-learn: {with_scikit_learn(features, labels, fars)}")


if __name__ == "__main__":
    run_command(main)
