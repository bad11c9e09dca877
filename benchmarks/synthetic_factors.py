"""What of a rendered set, and of training on it, counts for real people? One factor at a time from one baseline.

    python datasets/convert_ytf.py --input ytf-keypoints --output datasets/ytf --train-people 220
    python benchmarks/synthetic_factors.py --judge datasets/ytf --output build/factors --seeds 0,1,2
    python benchmarks/synthetic_factors.py --judge datasets/ytf --output build/factors --table

The baseline is the recipe of the face network inside the package (``make models``) in small. Each row renders its set,
trains the same network for as many steps from the same seed, and is judged on real people of whom nothing is in the
training: those of ``train.rec`` in ``--judge``, so that the others, in ``images``, remain for the network that comes of
it. A seed is of both the people and the training. The table has the TAR of each row, mean over its seeds, and the
difference from the baseline of the same seeds with its 95 % interval, a bootstrap over the judging people, the same
ones drawn for both; how much chance there is in a training shows between the seeds.

What is there is not made again: interrupted, or with more rows or seeds, the command goes on when typed again.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from held_out import FARS, HeldOut, Scores, kept, told
from rendered_training import NOTHING, run, train

from lwface.base.commands import HelpFormatter, existing, run_command
from lwface.base.errors import UserError
from lwface.base.files import replacing
from lwface.commands.make_models import FACE_RANGES

BASELINE = "baseline"
PLAIN = {
    name: 0.0 for name in FACE_RANGES if name != "difficulty"
}  # the renderer without the ranges of its second form


class Row(NamedTuple):
    """What a row has other than the baseline."""

    ranges: Mapping[str, float] = NOTHING  # of the renderer, flags of make_synthetic.py
    people: float = 1.0  # as many people as the baseline has
    images: float = 1.0  # as many images of each
    training: Mapping[str, Any] = NOTHING  # arguments of rendered_training.train


ROWS = {
    BASELINE: Row(),
    "none of the ranges below": Row(PLAIN),
    **{f"without {name}": Row({name: 0.0}) for name in PLAIN},
    "form 2": Row({"form": 2}),
    "form 3": Row({"form": 3}),
    "looks 2": Row({"looks": 2}),
    "form 2, looks 2": Row({"form": 2, "looks": 2}),
    "skin 2": Row({"skin": 2}),
    "lights 1": Row({"lights": 1}),
    "background 1": Row({"background": 1}),
    "video 0.8": Row({"video": 0.8}),
    "restyle 0.5": Row({"restyle": 0.5}),
    "lens 0.4": Row({"lens": 0.4}),
    "sensor 0.4": Row({"sensor": 0.4}),
    "makeup 0.4": Row({"makeup": 0.4}),
    "teeth 1": Row({"teeth": 1}),
    "heads x 1.4": Row({"shape": 1.4}),
    "heads x 0.7": Row({"shape": 0.7}),
    "pose x 1.5": Row({"pose": 1.5}),
    "pose x 0.6": Row({"pose": 0.6}),
    "expression x 2": Row({"expression": 2}),
    "light x 2": Row({"light": 2}),
    "covering x 3": Row({"covering": 3}),
    "covering none": Row({"covering": 0}),
    "camera x 2": Row({"camera": 2}),
    "coarse faces, half": Row({"coarse": 0.5}),
    "difficulty 0.4": Row({"difficulty": 0.4}),
    "people x 4": Row(people=4),
    "people x 4, images / 4": Row(people=4, images=0.25),
    "people / 4, images x 4": Row(people=0.25, images=4),
    "images x 4": Row(images=4),
    "no norms a picture": Row(training={"settings": {"net_ibn": "none"}}),
    "norms a picture in the stem alone": Row(training={"settings": {"net_ibn": "stem"}}),
    "no augmentation": Row(training={"augment": 0.0}),
    "augmentation x 2": Row(training={"augment": 2.0}),
    "no teacher": Row(training={"taught": False}),
    "arcface_small for supcon": Row(training={"loss": "arcface_small"}),
    "four times the steps": Row(training={"more_steps": 4}),
}


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    parser.add_argument("--judge", type=Path, metavar="DIR", required=True, help="what convert_ytf.py made")
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder for features and the table")
    parser.add_argument("--rows", metavar="NAME;...", help=f"only these, separated by ';', of: {'; '.join(ROWS)}")
    parser.add_argument("--seeds", metavar="N,...", default="0", help="seeds of people and training")
    parser.add_argument("--people", type=int, metavar="N", default=800, help="people of the baseline")
    parser.add_argument("--images", type=int, metavar="N", default=8, help="images of each, a multiple of 4")
    parser.add_argument("--steps", type=int, metavar="N", default=400, help="steps of 128 images")
    parser.add_argument("--num-workers", type=int, metavar="N", default=1, help="processes that render")
    parser.add_argument("--table", action="store_true", help="print the table of what is there, make nothing")
    arguments = parser.parse_args()
    arguments.seeds = [int(seed) for seed in arguments.seeds.split(",")]
    arguments.rows = chosen(arguments.rows)
    return arguments


def chosen(names: str | None) -> list[str]:
    """The rows asked for, the baseline first."""
    asked = list(ROWS) if names is None else [name.strip() for name in names.split(";")]
    unknown = [name for name in asked if name not in ROWS]
    if unknown:
        raise UserError(f"--rows {unknown[0]}: expected some of {'; '.join(ROWS)}")
    return [BASELINE, *(name for name in asked if name != BASELINE)]


def rendered(row: Row, seed: int, folder: Path, arguments: argparse.Namespace) -> Path:
    """The set of a row and a seed, made if it is not there."""
    options = {
        **FACE_RANGES,
        **row.ranges,
        "seed": seed,
        "train-people": round(arguments.people * row.people),
        "images-per-person": round(arguments.images * row.images),
        "heldout-people": 2,
        "video-people": 0,
        "pack-pairs": 20,
        "pack-people": 4,
        "num-workers": arguments.num_workers,
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    run("datasets/make_synthetic.py", "--output", str(folder), "--teacher", *flags)
    return folder


def folder_of(name: str, seed: int, arguments: argparse.Namespace) -> Path:
    """Where all of a row and a seed lies."""
    folder: Path = arguments.output / f"{re.sub('[^a-z0-9]+', '-', name)}-{seed}"
    return folder


def features_of(name: str, seed: int, judge: HeldOut, arguments: argparse.Namespace) -> np.ndarray | None:
    """Features of the judging images by the network of a row and a seed, made if they are not there.

    None where they are not and only the table is asked for.
    """
    row = ROWS[name]
    folder = folder_of(name, seed, arguments)
    file = folder / "judged.npy"
    if not file.exists():
        if arguments.table:
            return None
        own = bool(row.ranges) or (row.people, row.images) != (1.0, 1.0)
        data = rendered(row, seed, (folder if own else folder_of(BASELINE, seed, arguments)) / "faces", arguments)
        training = dict(row.training)
        steps = arguments.steps * training.pop("more_steps", 1)
        model = train(data, folder, steps=steps, seed=seed, **training)
        kept(file, judge, str(model))
        if own:
            shutil.rmtree(data)
    return kept(file, judge, "")


def scores_of(name: str, seed: int, judge: HeldOut, arguments: argparse.Namespace) -> Scores | None:
    """How the network of a row and a seed did: kept beside its features, as the bootstrap takes its time."""
    features = features_of(name, seed, judge, arguments)
    if features is None:
        return None
    file = folder_of(name, seed, arguments) / "scores.npz"
    if not file.exists():
        with replacing(file) as stream:
            np.savez(stream, **judge.scores([features])._asdict())
    with np.load(file) as found:
        return Scores(found["tars"], found["replicates"])


def pooled(each: Iterable[Scores]) -> Scores:
    """Several seeds' scores in one."""
    tars, replicates = zip(*each, strict=True)
    return Scores(np.concatenate(tars), np.concatenate(replicates))


def lines(judge: HeldOut, arguments: argparse.Namespace) -> list[str]:
    """The table of all rows that are there, in Markdown."""
    heads = " | ".join(f"TAR at {float(far):g} | difference" for far in FARS)
    table = [f"| row | seeds | {heads} |", "|---|---|" + "---|---|" * len(FARS)]
    found = {
        (name, seed): scores
        for name in arguments.rows
        for seed in arguments.seeds
        if (scores := scores_of(name, seed, judge, arguments)) is not None
    }
    for name in arguments.rows:
        seeds = [seed for seed in arguments.seeds if (name, seed) in found and (BASELINE, seed) in found]
        if not seeds:
            continue
        ours, base = (pooled(found[row, seed] for seed in seeds) for row in (name, BASELINE))
        cells = [
            f"{ours.tars[:, far].mean():.3f} | {'' if name == BASELINE else told(ours, base, far)}"
            for far in range(len(FARS))
        ]
        table.append(f"| {name} | {len(seeds)} | {' | '.join(cells)} |")
    return table


def main() -> None:
    """Make what is missing, a seed of all rows after the other, and print the table."""
    arguments = parse_arguments()
    existing(arguments.judge / "train.rec")
    judge = HeldOut(arguments.judge)
    if not arguments.table:
        for seed in arguments.seeds:
            for name in arguments.rows:
                features_of(name, seed, judge, arguments)
            shutil.rmtree(folder_of(BASELINE, seed, arguments) / "faces", ignore_errors=True)
    print("\n".join(lines(judge, arguments)))


if __name__ == "__main__":
    run_command(main)
