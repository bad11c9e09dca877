"""Time and memory of the classifier's step at many identities, against the plain full softmax in the same run.

    python benchmarks/classifier.py --classes 1000000
    python benchmarks/classifier.py --arithmetic

A step is all that the classifier does of one of training: loss, gradient of the embeddings and of the weight, and the
update by SGD with momentum and weight decay. ``plain`` makes all logits at once and leaves the rest to autograd and
``torch.optim.SGD``; its logits are those of ``Classifier.logits``. Each way is a process of its own. Memory is that
process's peak of resident memory (as the kernel counts it, or CUDA's own count), less what the process had before it
made the weight; so weight and momentum are in it. "beside" is what comes on top of these two, which no step can do
without. Time is the median of the steps after the first; the processor's is what counts on a busy machine, of all
threads together.

``--arithmetic`` measures nothing: it adds up what a GPU holds of the classifier (docs/scale.md).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from lwface.base.commands import HelpFormatter, run_command

WAYS = ("plain", "chunked", "chunked medium", "sampled 0.1", "sampled 0.1 medium")
SCALE, MARGIN, RATE, MOMENTUM, DECAY = 64.0, 0.5, 0.1, 0.9, 5e-4


# Of --arithmetic: identities, images a step in each process, processes, share of the identities, optimiser.
PLACES = (
    (1_000_000, 128, 1, 1.0, "sgd"),
    (2_000_000, 128, 1, 1.0, "sgd"),
    (2_000_000, 128, 1, 0.1, "sgd"),
    (2_000_000, 128, 2, 1.0, "sgd"),
    (2_000_000, 128, 1, 1.0, "adamw"),
    (10_000_000, 256, 1, 1.0, "sgd"),
    (10_000_000, 256, 1, 0.1, "sgd"),
    (10_000_000, 256, 8, 0.1, "sgd"),
    (10_000_000, 256, 8, 1.0, "adamw"),
)
SCORE_BLOCKS, WEIGHT_BLOCKS, BATCHES = 4, 8, 8  # as many of each at once, at most


def arithmetic(classes: int, batch: int, processes: int, share: float, optimizer: str, width: int) -> list[float]:
    """Bytes in each process: weight, the optimiser's state, what a step needs beside these, and their sum."""
    from lwface.losses.classes import BLOCK_BYTES

    held = -(-classes // processes)
    weight = 4.0 * held * width
    state = weight if optimizer == "sgd" else 2 * weight + 4 * held
    rows = min(held, BLOCK_BYTES["cuda"] // (4 * max(batch * processes, width)))  # classes a block
    block = 4 * rows * (SCORE_BLOCKS * batch * processes + WEIGHT_BLOCKS * width)
    drawn = 8 * share * held if share < 1 else 0
    beside = block + drawn + 4 * BATCHES * batch * processes * width
    return [weight, state, beside, weight + state + beside]


def print_arithmetic(width: int) -> None:
    """The table of docs/scale.md."""
    print("| identities | images a GPU | GPUs | share | optimiser | weight | state | beside | together |")
    print("|---|---|---|---|---|---|---|---|---|")
    for place in PLACES:
        classes, batch, processes, share, optimizer = place
        cells = [f"{classes:,}", batch, processes, f"{share:g}", optimizer]
        cells += [f"{value / 1e9:.1f} GB" for value in arithmetic(*place, width)]
        print("| " + " | ".join(map(str, cells)) + " |")


def peak(device: str) -> int:
    """Bytes of memory this process has had at most, of its device."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    import torch

    return torch.cuda.max_memory_allocated()


def measure(way: str, args: argparse.Namespace) -> dict[str, Any]:
    """Steps of one way, in this process."""
    import torch
    from torch.nn import functional

    from lwface.losses import Classifier
    from lwface.losses.margin_softmax import MarginSoftmax
    from lwface.training.row_updates import update_rows

    kind, _, rest = way.partition(" ")
    if args.threads:
        torch.set_num_threads(args.threads)
    if kind == "plain" and rest:
        torch.set_float32_matmul_precision(rest)
    share = float(rest.split()[0]) if kind == "sampled" else 1.0
    torch.manual_seed(0)
    before = peak(args.device)
    with torch.device(args.device):
        margin = MarginSoftmax(loss_s=SCALE, loss_m2=MARGIN)
        products = "medium" if way.endswith("medium") else "highest"
        classifier = Classifier(margin, args.classes, args.width, chunk=args.chunk, products=products)
        embeddings = torch.randn(args.batch, args.width)
        labels = torch.randint(args.classes, (args.batch,))
    optimizer = torch.optim.SGD(classifier.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    classifier.deferred = kind != "plain"
    times, busy, losses = [], [], []
    for step in range(args.steps + 1):
        inputs = embeddings.clone().requires_grad_()
        start, start_busy = time.perf_counter(), time.process_time()
        optimizer.zero_grad(set_to_none=True)
        if kind == "plain":
            logits = classifier.logits(inputs, labels, inputs.detach().norm(dim=1))
            loss = functional.cross_entropy(logits, labels)
            del logits
        else:
            classifier.begin(labels, share, torch.Generator().manual_seed(step))
            loss = classifier(inputs, labels).loss
        loss.backward()
        if kind == "plain":
            optimizer.step()
        else:
            update_rows(optimizer, classifier)
        losses.append(loss.item())
        times.append(time.perf_counter() - start)
        busy.append(time.process_time() - start_busy)
    needed = 2 * args.classes * args.width * 4  # weight and momentum
    most = peak(args.device) - before
    seconds = {"seconds": statistics.median(times[1:]), "processor": statistics.median(busy[1:])}
    return {**seconds, "memory": most, "beside": most - needed, "losses": losses}


def main() -> None:
    """Run the ways one after the other and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--classes", type=int, default=200_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--chunk", type=int, default=0, help="classes a block; 0: by the device")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--arithmetic", action="store_true", help="only add up what a GPU holds")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.arithmetic:
        print_arithmetic(args.width)
        return
    if args.one:
        print(json.dumps(measure(args.one, args)))
        return
    print(
        f"{args.classes} identities x {args.width}, batch {args.batch}, {args.device}; in brackets: over the first way"
    )
    print("| way | seconds | processor's seconds | memory, GB | beside weight and momentum, GB | first losses |")
    print("|---|---|---|---|---|---|")
    first: dict[str, Any] = {}
    for way in args.ways:
        done = subprocess.run([sys.executable, *sys.argv, "--one", way], stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout)
        first = first or found
        cells = [way, *(f"{found[key]:.2f} ({found[key] / first[key]:.2f})" for key in ("seconds", "processor"))]
        cells += [f"{found[key] / 1e9:.2f} ({found[key] / first[key]:.2f})" for key in ("memory", "beside")]
        print("| " + " | ".join([*cells, " ".join(f"{loss:.5f}" for loss in found["losses"][:2])]) + " |", flush=True)


if __name__ == "__main__":
    run_command(main)
