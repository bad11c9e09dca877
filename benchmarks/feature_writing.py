"""Does decoding hide behind the network? Images a second of the whole feature writer and of the network alone.

    python benchmarks/feature_writing.py --network y2 --images 512

Writes a feature file of random JPEGs, and runs the same network over the same number of images that are decoded
already; both take turns, the medians are printed. A ratio near 1 says that files, decoding and writing cost nothing
beside the network. ``peak memory`` is the process's, to be compared between different ``--images``.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.device import select_device
from lwface.features.embedder import Embedder
from lwface.features.writing import Work, decode, look_through, write_features
from lwface.formats.image import encode_jpeg
from lwface.networks import create_network
from lwface.settings.resolve import network_settings

SIZE = 112
DIFFERENT = 256  # JPEGs on the disk; a longer list names them again


def make_images(folder: Path, count: int) -> None:
    """Write JPEGs of about the size that aligned faces have (9 kB), and a list of ``count`` lines."""
    generator = np.random.default_rng(0)
    for number in range(min(count, DIFFERENT)):
        smooth = np.kron(generator.integers(0, 256, (14, 14, 3)), np.ones((8, 8, 1)))
        noisy = np.clip(smooth + generator.integers(-10, 11, (SIZE, SIZE, 3)), 0, 255)
        (folder / f"{number}.jpg").write_bytes(encode_jpeg(noisy.astype(np.uint8)))
    (folder / "filelist.txt").write_text("".join(f"{number % DIFFERENT}.jpg\n" for number in range(count)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="Compare the feature writer's images/s with the bare network's.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--network", default="y2", help="network, untrained: its speed does not depend on the weights")
    parser.add_argument("--images", type=int, default=512, help="rows of the feature file")
    parser.add_argument("--batch-size", type=int, default=32, help="images that the network sees at once")
    parser.add_argument("--num-workers", type=int, default=2, help="threads that decode")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", default="float32", help="float32, or bf16 on a CUDA device")
    parser.add_argument("--repeats", type=int, default=3, help="times that each is measured")
    args = parser.parse_args()
    network = create_network(network_settings(args.network))
    device = select_device(args.device)
    embedder = Embedder(network, device=device, batch_size=args.batch_size, precision=args.precision)
    work = Work(flip=True, height=SIZE, width=SIZE, workers=args.num_workers)
    seconds: dict[str, list[float]] = {"decoding alone, one thread": [], "network alone": [], "whole writer": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_images(folder, args.images)
        listing = look_through(folder, videos=False)
        paths = list(listing.paths(0))
        batch = decode(paths[: args.batch_size], SIZE, SIZE).images
        embedder.embed(batch, flip=True)  # the first call is slower
        for _ in range(args.repeats):
            start = time.perf_counter()
            for first in range(0, len(paths), args.batch_size):
                decode(paths[first : first + args.batch_size], SIZE, SIZE)
            decoded = time.perf_counter()
            for _ in range(0, len(paths), args.batch_size):
                embedder.embed(batch, flip=True)
            embedded = time.perf_counter()
            write_features(listing, folder / "features.bin", embedder, work, model_sha256="", resume=False)
            ends = [start, decoded, embedded, time.perf_counter()]
            for times, begin, end in zip(seconds.values(), ends, ends[1:], strict=False):
                times.append(end - begin)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name:28} {args.images / median:10.1f} images/s")
    print(f"{'whole writer / network alone':28} {medians['network alone'] / medians['whole writer']:10.3f}")
    print(f"{'peak memory':28} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:10.0f} MiB")


if __name__ == "__main__":
    run_command(main)
