"""Reading ``training.csv`` of the facial keypoints challenge: rows/s, ours against what people type with pandas.

    python benchmarks/keypoint_reading.py --rows 7049

Both read the same file, written here, into the same arrays: greys (N, 96, 96) and coordinates (N, 30). pandas is no
part of the project's environment; where it is not installed, only our own figure is printed.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.extras import available
from lwface.formats.keypoint_images import KeypointFaces, read_training, write_training
from lwface.formats.keypoint_tables import FEATURES, POINTS, SIDE

Read = tuple[np.ndarray, np.ndarray]


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    parser.add_argument("--rows", type=int, default=2000, metavar="N", help="rows; the challenge's file has 7049")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds; the fastest counts")
    return parser.parse_args()


def write(path: Path, rows: int) -> None:
    """A file of ``rows`` faces of noise, of which two thirds know four points."""
    random = np.random.default_rng(0)
    points = random.uniform(0, 96, (rows, len(POINTS), 2))
    points[rows // 3 :, 2:10] = np.nan
    images = random.integers(0, 256, (rows, SIDE, SIDE)).astype(np.uint8)
    write_training(path, KeypointFaces(images, points))


def ours(path: Path) -> Read:
    """What the training command reads."""
    faces = read_training(path)
    return faces.images, faces.points.reshape(len(faces.points), -1)


def with_pandas(path: Path) -> Read:
    """What notebooks of the challenge type: read the table, and split each image's text."""
    pandas = importlib.import_module("pandas")
    table = pandas.read_csv(path)
    images = np.stack([np.array(text.split(" "), np.uint8).reshape(SIDE, SIDE) for text in table["Image"]])
    return images, table[list(FEATURES)].to_numpy()


def seconds(read: Callable[[Path], Read], path: Path) -> tuple[float, Read]:
    """How long it takes, and what it gives."""
    start = time.perf_counter()
    found = read(path)
    return time.perf_counter() - start, found


def main() -> None:
    """Write, read both ways in turn, check that they agree, print."""
    arguments = parse_arguments()
    readers = {"ours": ours, "pandas": with_pandas} if available("pandas") else {"ours": ours}
    best = dict.fromkeys(readers, float("inf"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.csv"
        write(path, arguments.rows)
        megabytes = path.stat().st_size / 1e6
        for _ in range(arguments.rounds):
            found = {}
            for name, read in readers.items():
                took, found[name] = seconds(read, path)
                best[name] = min(best[name], took)
            for images, points in found.values():
                np.testing.assert_array_equal(images, found["ours"][0])
                np.testing.assert_allclose(points, found["ours"][1])
    print(f"{arguments.rows} rows, {megabytes:.0f} MB")
    for name, took in best.items():
        print(f"{name:8}{took:8.2f} s{arguments.rows / took:10.0f} rows/s")
    if "pandas" in best:
        print(f"ours is {best['pandas'] / best['ours']:.1f} times as fast as pandas")


if __name__ == "__main__":
    run_command(main)
