"""Every loss on the same network, data, steps, rate and seeds: TAR on people held out; and arcface_torch's own loop.

    git clone --depth 1 https://github.com/deepinsight/insightface ../insightface
    python benchmarks/loss_table.py --dataset ytf --held-out datasets/ytf/images --output build/losses/ytf \\
        --peer ../insightface/recognition/arcface_torch

Each loss with the settings of its entry in the configuration; ``--loss-s`` gives another scale to all that have one.
Every run's features of the held-out images are kept in ``--output``: what is there is not trained again, so the command
goes on when typed again, with more losses or seeds too.

The peer's row is the lines of its ``train_v2.py`` between two batches, with its ``CombinedMarginLoss``,
``PartialFC_V2`` and rule of the rate, around our network with its first weights drawn as ours are: in one process, in
float32, without its loader (which wants MXNet or torchvision) and without its scheduler's class (which hands
``verbose`` to a PyTorch that no longer takes it, 2.13.0).

TARs are means over the seeds. A difference is of these means, from ``arcface``; its 95 % interval is a bootstrap over
the held-out people, the same people drawn for all (docs/scoring.md). Bold: the interval leaves out 0. The runs' own
chance is not in it: beside it stands the range of the difference over the seeds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from held_out import FARS, HeldOut, Scores, kept, told

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.errors import UserError
from lwface.formats.face_records import FaceRecords
from lwface.networks import create_network
from lwface.recognition.train import run_folder, train
from lwface.settings.places import require_dataset
from lwface.settings.resolve import resolve
from lwface.settings.run import Run
from lwface.settings.sections import load_sections
from lwface.training.preparation import seed_everything

BASE, PEER = "arcface", "arcface_torch's loop"
BATCH, WARMUP = 64, 10  # images a step; the part of the steps over which the rate rises is 1 / WARMUP


def run_of(loss: str, seed: int, arguments: argparse.Namespace) -> Run:
    """The settings of one training."""
    settings = {
        "models_root": str(arguments.output / "run"),  # of this run alone: a model is not kept
        "seed": seed,
        "lr": arguments.lr,
        "lr_policy": "poly",
        "poly_power": 1.0,
        "warmup_steps": arguments.steps // WARMUP,
        "max_steps": arguments.steps,
        "precision": arguments.precision,
        "margin_warmup_steps": arguments.margin_warmup_steps,
        "clip_norm": arguments.clip_norm,
        "per_batch_size": BATCH - BATCH % load_sections().entry("loss", loss).get("images_per_identity", 1),
        "verbose": arguments.steps,
        "frequent": 100,
        "ckpt": 2,
        "val_targets": [],
        "num_workers": 0,
    }
    if arguments.loss_s and "loss_s" in resolve(arguments.network, arguments.dataset, loss).as_dict():
        settings["loss_s"] = arguments.loss_s
    return resolve(arguments.network, arguments.dataset, loss, **settings)


def features_of(loss: str, seed: int, arguments: argparse.Namespace, held_out: HeldOut) -> np.ndarray:
    """Train with ``loss``, unless that was done, and give the features (N, D) of the held-out images."""
    path = arguments.output / "features" / f"{'peer' if loss == PEER else loss}-{seed}.npy"
    if path.is_file():
        return np.load(path)
    print(f"\n=== {loss}, seed {seed}", flush=True)
    if loss == PEER:
        words = [sys.executable, __file__, *sys.argv[1:], "--one-of-the-peer", str(seed)]
        environment = {**os.environ, "PYTHONPATH": str(arguments.peer.resolve())}  # it is no package
        subprocess.run(words, env=environment, check=True)
        return np.load(path)
    run = run_of(loss, seed, arguments)
    shutil.rmtree(arguments.output / "run", ignore_errors=True)
    if status := train(run, device="cpu"):
        raise SystemExit(status)
    return kept(path, held_out, f"{run_folder(run) / 'model'},1")


def batches(run: Run) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """As the peer's loader gives them: in a new order each epoch, the rest left out, half of the images mirrored."""
    folder = Path(run.dataset_path)
    require_dataset(folder, run.dataset)
    faces, random = FaceRecords(folder), np.random.default_rng(run.seed)
    while True:
        order = random.permutation(len(faces))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            images, labels = zip(*(faces[int(row)] for row in order[start : start + BATCH]), strict=True)
            pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
            mirrored = torch.from_numpy(random.random(BATCH) < 0.5)
            pixels[mirrored] = pixels[mirrored].flip(3)
            yield pixels, torch.tensor(labels)


def their_rate(run: Run, step: int) -> float:
    """Of the update after ``step`` finished ones by its ``PolynomialLRWarmup``, power 1: the first is not warmed up."""
    if step <= run.warmup_steps:
        return run.lr * (step / run.warmup_steps if step else 1.0)
    return run.lr * (run.max_steps - step) / (run.max_steps - run.warmup_steps)


def train_theirs(run: Run, folder: str) -> Any:
    """The network after the peer's loop."""
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/group", rank=0, world_size=1)
    from losses import CombinedMarginLoss  # type: ignore[import-not-found]
    from partial_fc_v2 import PartialFC_V2  # type: ignore[import-not-found]

    seed_everything(run.seed)
    network = create_network(run.as_dict()).train()
    classes = FaceRecords(Path(run.dataset_path)).num_classes
    settings = run.as_dict()
    margin = CombinedMarginLoss(settings["loss_s"], settings["loss_m1"], settings["loss_m2"], settings["loss_m3"], 0)
    head = PartialFC_V2(margin, network.embedding_size, classes, 1.0, False).train()
    groups = [{"params": network.parameters()}, {"params": head.parameters()}]
    optimizer = torch.optim.SGD(groups, lr=run.lr, momentum=0.9, weight_decay=run.wd)
    feed = batches(run)
    for step in range(run.max_steps):
        for group in optimizer.param_groups:
            group["lr"] = their_rate(run, step)
        pixels, labels = next(feed)
        loss = head(network(pixels), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {float(loss):.3f}", flush=True)
    return network.eval()


def table(found: dict[str, Scores]) -> str:
    """In markdown: TARs, and the differences from ``arcface``."""
    names = [f"{float(far):g}" for far in FARS]
    heads = [f"TAR at {name}" for name in names] + [f"at {name}, less {BASE}" for name in names]
    lines = [f"| loss | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for name, scores in found.items():
        cells = [f"{tar:.3f}" for tar in scores.tars.mean(axis=0)]
        cells += [told(scores, found[BASE], far) if name != BASE else "" for far in range(len(FARS))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    add = parser.add_argument
    add("--dataset", required=True, help="data set to train on, as recognition/train.py takes it")
    add("--held-out", type=Path, required=True, help="folder with filelist.txt and labels.txt")
    add("--output", type=Path, required=True, help="folder of the features")
    add("--network", default="m025")
    add("--losses", nargs="*", help="names in the configuration; not given: all that are there")
    add("--steps", type=int, default=300, help=f"of {BATCH} images each")
    add("--lr", type=float, default=0.1, help="learning rate")
    add("--loss-s", type=float, default=0.0, help="scale of all losses that have one; 0: each its own")
    add("--margin-warmup-steps", type=int, default=0, help="steps over which the margin rises; not the peer's")
    add("--clip-norm", type=float, default=0.0, help="as recognition/train.py takes it; the peer's is 5 in any case")
    add("--precision", default="float32", choices=("float32", "bf16"), help="ours; the peer's is float32")
    add("--seeds", type=int, default=3, help="runs of each")
    add("--peer", type=Path, metavar="DIR", help="a checkout's recognition/arcface_torch")
    add("--one-of-the-peer", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer and not (arguments.peer / "partial_fc_v2.py").is_file():
        raise UserError(
            f"--peer {arguments.peer}: has no partial_fc_v2.py; give insightface's recognition/arcface_torch"
        )
    entries = load_sections()
    names = [BASE, *(arguments.losses or entries.loss)]
    arguments.losses = list(dict.fromkeys(names))
    for name in arguments.losses:
        entries.entry("loss", name)
    return arguments


def main() -> None:
    """Train what is missing, then print the table."""
    arguments = parse_arguments()
    held_out, path = HeldOut(arguments.held_out), arguments.output / "features"
    if arguments.one_of_the_peer is not None:
        seed = arguments.one_of_the_peer
        with tempfile.TemporaryDirectory() as folder:
            network = train_theirs(run_of(BASE, seed, arguments), folder)
        kept(path / f"peer-{seed}.npy", held_out, network)
        return
    names = [*arguments.losses, *([PEER] if arguments.peer else [])]
    features: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for seed in range(arguments.seeds):  # a whole table of one seed first
        for name in names:
            features[name].append(features_of(name, seed, arguments, held_out))
    print(f"\n{arguments.network}, {arguments.steps} steps of {BATCH}, {arguments.seeds} seeds")
    print(table({name: held_out.scores(each) for name, each in features.items()}))


if __name__ == "__main__":
    run_command(main)
