"""What each way to learn from a teacher gives a small student: TAR on people held out, beside learning without one.

    python benchmarks/distillation.py --dataset ytf --held-out datasets/ytf/images \\
        --teacher models/mxnet-y1/model,0 models/r10_xs-arcface_small-ytf/model,1 --output build/distillation/ytf

The same student, data, steps, rate and seeds for all; only the teacher's loss differs. Of the first teacher each way of
``--ways``, of the second, and of both together, those of ``--others``; a way with ``-alone`` behind it has no loss of
identities beside it. Every run's features of the held-out images are kept in ``--output``: what is there is not
trained again, so the command goes on when typed again, with more ways or seeds too.

TARs are means over the seeds. A difference is of these means; its 95 % interval is a bootstrap over the held-out
people, the same people drawn for all seeds and ways (docs/scoring.md). The runs' own chance is not in it: beside it
stands the range of the difference over the seeds.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from held_out import FARS, HeldOut, Scores, kept, told

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.errors import UserError
from lwface.losses.distillation import DISTILLATIONS
from lwface.recognition.train import run_folder, train
from lwface.settings.resolve import resolve

NONE, ALONE, BATCH = "none", "-alone", 64


class Variant(NamedTuple):
    """A line of the table: who teaches (numbers of the teachers), and how."""

    teachers: tuple[int, ...]
    way: str

    @property
    def name(self) -> str:
        """As the table and the folders call it."""
        return NONE if not self.teachers else f"{'+'.join('AB'[one] for one in self.teachers)} {self.way}"


def features_of(variant: Variant, seed: int, arguments: argparse.Namespace, held_out: HeldOut) -> np.ndarray:
    """Train the student, unless that was done, and give its features (N, D) of the held-out images."""
    path = arguments.output / "features" / f"{variant.name.replace(' ', '_')}-{seed}.npy"
    if path.is_file():
        return np.load(path)
    root = arguments.output / "run"  # of this run alone: a model is not kept
    settings = {
        "teacher": [arguments.teacher[one] for one in variant.teachers],
        "teacher_cache": str(arguments.output / "teachers"),
        "distill": variant.way.removesuffix(ALONE) if variant.teachers else "",
        "identity_weight": 0.0 if variant.way.endswith(ALONE) else 1.0,
        "models_root": str(root),
        "seed": seed,
        "lr": arguments.lr,
        "lr_policy": "cosine",
        "warmup_steps": arguments.steps // 10,
        "max_steps": arguments.steps,
        "per_batch_size": BATCH,
        "verbose": arguments.steps,
        "frequent": 100,
        "ckpt": 2,
        "val_targets": [],
        "num_workers": 0,
    }
    print(f"\n=== {variant.name}, seed {seed}", flush=True)
    shutil.rmtree(root, ignore_errors=True)
    run = resolve(arguments.network, arguments.dataset, arguments.loss, **settings)
    status = train(run, device="cpu")
    if status:
        raise SystemExit(status)
    return kept(path, held_out, f"{run_folder(run) / 'model'},1")


def table(found: dict[str, Scores]) -> str:
    """In markdown: TARs, and at the last FAR the differences from no teacher and from plain cosine."""
    heads = " | ".join(f"TAR at {float(far):g}" for far in FARS)
    last = f"{float(FARS[-1]):g}"
    lines = [f"| student | {heads} | at {last}, less none | at {last}, less A cosine |", "|---|" + "---|" * 4]
    for name, scores in found.items():
        tars = " | ".join(f"{tar:.3f}" for tar in scores.tars.mean(axis=0))
        cells = [told(scores, found[base], -1) if base in found and base != name else "" for base in (NONE, "A cosine")]
        lines.append(f"| {name} | {tars} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def variants(arguments: argparse.Namespace) -> list[Variant]:
    """The lines of the table.

    Raises:
        UserError: unknown way.
    """
    for way in (*arguments.ways, *arguments.others):
        _ = DISTILLATIONS[way.removesuffix(ALONE)]
    found = [Variant((), NONE), *(Variant((0,), way) for way in arguments.ways)]
    if len(arguments.teacher) > 1:
        found += [Variant(who, way) for way in arguments.others for who in ((1,), (0, 1))]
    return found


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--dataset", required=True, help="data set to train on, as recognition/train.py takes it")
    parser.add_argument("--held-out", type=Path, required=True, help="folder with filelist.txt and labels.txt")
    parser.add_argument("--teacher", nargs="+", required=True, metavar="MODEL", help="A, or A and B")
    parser.add_argument("--output", type=Path, required=True, help="folder of the features")
    parser.add_argument("--network", default="m025", help="the student")
    parser.add_argument("--loss", default="arcface_small", help="of the identities")
    parser.add_argument("--steps", type=int, default=300, help="of 64 images each")
    parser.add_argument("--lr", type=float, default=0.1, help="learning rate")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each")
    ways = ["cosine", "l2", "relational", "logit", "adadistill", "ekd", "cosine-alone", "adadistill-alone"]
    parser.add_argument("--ways", nargs="*", default=ways, help="of the first teacher")
    parser.add_argument("--others", nargs="*", default=["cosine", "relational"], help="of the second, and of both")
    arguments = parser.parse_args()
    if len(arguments.teacher) > 2:
        raise UserError("one teacher or two")
    held_out, chosen = HeldOut(arguments.held_out), variants(arguments)
    features: dict[Variant, list[np.ndarray]] = {variant: [] for variant in chosen}
    for seed in range(arguments.seeds):  # a whole table of one seed first
        for variant in chosen:
            features[variant].append(features_of(variant, seed, arguments, held_out))
    print(f"\n{arguments.network}, {arguments.steps} steps of {BATCH}, {arguments.seeds} seeds")
    for letter, model in zip("AB", arguments.teacher, strict=False):
        scores = held_out.scores([kept(arguments.output / "features" / f"teacher-{letter}.npy", held_out, model)])
        print(f"teacher {letter}, {model}: TAR " + ", ".join(f"{tar:.3f}" for tar in scores.tars[0]))
    print(table({variant.name: held_out.scores(each) for variant, each in features.items()}))


if __name__ == "__main__":
    run_command(main)
