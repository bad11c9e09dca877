"""Procedural faces a second of processor time, beside another checkout's: an older renderer.

    git worktree add ../older COMMIT
    python benchmarks/rendering.py --against ../older
    python benchmarks/rendering.py --against . --ranges form=1,looks=1      # what these ranges cost

Both render the same pictures of the same people as ``make_synthetic.py`` does, aligned crops encoded as JPEG, each in a
process of its own on one thread, by turns. A round counts the seconds of the processor after the first people, while
what is computed once (the template, compiled loops) is made. The best round of each counts, and the last line is what
one round after the other had as ratios. Beside it: how far the pixels of both are apart, before the crop's own JPEG.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from busy_machine import python_of

from lwface.base.commands import HelpFormatter, run_command

ROOT = Path(__file__).resolve().parents[1]
WARM = 12  # people before the clock starts: by then every loop was needed once
WORK = """
import sys, time
import cv2, numpy as np
from lwface.formats.image import encode_jpeg
from lwface.synthetic.generate import Piece, samples
from lwface.synthetic.options import Options
cv2.setNumThreads(1)
warm, people, images, output = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
options = Options(**{name: float(value) for name, value in (pair.split("=") for pair in sys.argv[5:])})
crops = []
for identity in range(warm + people):
    if identity == warm:
        start = time.process_time()
    for sample in samples(Piece("train", identity, images), options):
        encode_jpeg(sample.crop)
        crops.append(sample.crop)
print(time.process_time() - start)
np.save(output, np.stack(crops))
"""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout, with or without its own .venv")
    parser.add_argument(
        "--ranges", metavar="NAME=VALUE,...", default="", help="options of this checkout's pictures alone"
    )
    parser.add_argument("--people", type=int, default=15, metavar="N", help="people a round")
    parser.add_argument("--images", type=int, default=9, metavar="N", help="pictures of each")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each checkout")
    return parser.parse_args()


def once(checkout: Path, people: int, images: int, output: Path, ranges: list[str]) -> float:
    """Seconds of the processor that ``checkout`` takes for the pictures, which go into ``output``."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": str(checkout)}
    command = [str(python_of(checkout)), "-c", WORK, str(WARM), str(people), str(images), str(output), *ranges]
    run = subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(run.stdout)


def main() -> None:
    """Let the checkouts take turns and print what they had."""
    arguments = parse_arguments()
    checkouts = [ROOT] + ([arguments.against.resolve()] if arguments.against else [])
    count = arguments.people * arguments.images
    ranges = [[pair for pair in arguments.ranges.split(",") if pair], []]
    speeds: list[list[float]] = [[] for _ in checkouts]
    with tempfile.TemporaryDirectory() as folder:
        pictures = [Path(folder) / f"{number}.npy" for number in range(len(checkouts))]
        for number in range(arguments.rounds):
            for speed, checkout, output, more in zip(speeds, checkouts, pictures, ranges, strict=False):
                speed.append(count / once(checkout, arguments.people, arguments.images, output, more))
            print(f"round {number + 1}: " + ", ".join(f"{speed[-1]:.1f}" for speed in speeds) + " images/s", flush=True)
        for checkout, speed in zip(checkouts, speeds, strict=True):
            print(f"{checkout}: {max(speed):.1f} images/s at best, median {median(speed):.1f}")
        if arguments.against:
            ratios = [ours / theirs for ours, theirs in zip(*speeds, strict=True)]
            print("times as fast: " + ", ".join(f"{ratio:.2f}" for ratio in ratios))
            ours, theirs = (np.load(path).astype(np.float64) for path in pictures)
            away = np.abs(ours - theirs)
            print(f"pixels apart by {away.mean():.3f} grey levels, {(away > 8).mean():.2%} of them by more than 8")


if __name__ == "__main__":
    run_command(main)
