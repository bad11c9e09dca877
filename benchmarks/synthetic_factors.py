"""What of a rendered set counts for real people? One factor at a time from one baseline, judged on people never seen.

    python datasets/convert_ytf.py --input ytf-keypoints --output datasets/ytf --train-people 220
    python benchmarks/synthetic_factors.py --judge datasets/ytf --output build/factors --seeds 0,1,2
    python benchmarks/synthetic_factors.py --judge datasets/ytf --output build/factors --table

Each row renders its set, trains the same small network for the same steps from the same seed, and writes features of
the held-out images of ``--judge``. Nothing real is in the training. A seed is of both the people and the training. The
table has the TAR of each row, mean over its seeds, and the difference from the baseline of the same seed with the
widest of the seeds' 95 % intervals: a bootstrap over the judged people, the same ones drawn for both. How much chance
there is in a training shows only between seeds.

What is there is not made again: interrupted, or with more rows or seeds, the command goes on when typed again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from lwface.base.commands import HelpFormatter, existing, run_command
from lwface.base.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
NETWORK, LOSS, FARS = "m025", "arcface_small", "1e-2,1e-3"
BASELINE = "baseline"
NEW = {"form": "1", "looks": "1", "skin": "1", "lights": "1", "background": "0.6", "video": "0.5"}
ROWS: dict[str, dict[str, str]] = {
    BASELINE: {},
    "coarse faces, half": {"coarse": "0.5"},
    "people x 4, images / 4": {},
    "camera x 2.5": {"camera": "2.5"},
    "heads x 1.4": {"shape": "1.4"},
    "people x 3": {},
    "people / 4, images x 4": {},
    "pose x 2": {"pose": "2"},
    "light x 2.5": {"light": "2.5"},
    "expression x 2.5": {"expression": "2.5"},
    "covering x 4": {"covering": "4"},
    "covering none": {"covering": "0"},
    "heads x 0.7": {"shape": "0.7"},
    "background, half cluttered": {"background": "0.5"},
    "old video, half": {"video": "0.5"},
    "form 1": {"form": "1"},
    "form 2": {"form": "2"},
    "looks 1": {"looks": "1"},
    "looks 2": {"looks": "2"},
    "restyle, a third": {"restyle": "0.33"},
    "lights 1": {"lights": "1"},
    "lights 2": {"lights": "2"},
    "skin 1": {"skin": "1"},
    "skin 2": {"skin": "2"},
    "all new": NEW,
    "all new, restyle": {**NEW, "restyle": "0.33"},
    **{f"all new but {name}": {key: value for key, value in NEW.items() if key != name} for name in NEW},
    "difficulty 1": {"difficulty": "1"},
    "difficulty 1, coarse": {"difficulty": "1", "coarse": "0.5"},
}
SHARES = {  # people and images of each, beside the baseline's
    "people x 4, images / 4": (4.0, 0.25),
    "people x 3": (3.0, 1.0),
    "people / 4, images x 4": (0.25, 4.0),
}


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    parser.add_argument("--judge", type=Path, metavar="DIR", required=True, help="what convert_ytf.py made")
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder for features and the table")
    parser.add_argument("--rows", metavar="NAME,...", help=f"only these, of: {'; '.join(ROWS)} (separated by ';')")
    parser.add_argument("--seeds", metavar="N,...", default="0", help="seeds of people and training")
    parser.add_argument("--people", type=int, metavar="N", default=300, help="people of the baseline")
    parser.add_argument("--images", type=int, metavar="N", default=12, help="images of each, a multiple of 4")
    parser.add_argument("--steps", type=int, metavar="N", default=600, help="steps of 64 images")
    parser.add_argument("--num-workers", type=int, metavar="N", default=1, help="processes that render")
    parser.add_argument("--table", action="store_true", help="print the table of what is there, make nothing")
    return parser.parse_args()


def chosen(names: str | None) -> list[str]:
    """The rows asked for, the baseline first."""
    asked = list(ROWS) if names is None else [name.strip() for name in names.split(";")]
    unknown = [name for name in asked if name not in ROWS]
    if unknown:
        raise UserError(f"--rows {unknown[0]}: expected some of {'; '.join(ROWS)}")
    return [BASELINE, *(name for name in asked if name != BASELINE)]


def run(command: str, *flags: str) -> None:
    """Run a door of this checkout; its words go to where ours go."""
    subprocess.run(
        [sys.executable, str(ROOT / command), *flags], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def features_of(row: str, seed: int, arguments: argparse.Namespace) -> Path:
    """The feature file of a row and a seed, made if it is not there."""
    folder = arguments.output / f"{re.sub('[^a-z0-9]+', '-', row)}-{seed}"
    features = folder / "image.bin"
    if features.exists() or arguments.table:
        return features
    people, images = SHARES.get(row, (1.0, 1.0))
    counts = round(arguments.people * people), round(arguments.images * images)
    options = {
        "train-people": str(counts[0]),
        "images-per-person": str(counts[1]),
        **ROWS[row],
        "seed": str(seed),
        "heldout-people": "2",
        "video-people": "0",
    }
    options |= {"pack-pairs": "20", "pack-people": "4", "num-workers": str(arguments.num_workers)}
    data, models = folder / "data", folder / "models"
    run("datasets/make_synthetic.py", "--output", str(data), *(f"--{name}={value}" for name, value in options.items()))
    names = ["--network", NETWORK, "--loss", LOSS, "--dataset", str(data), "--models-root", str(models), "--resume"]
    pace = [
        "--per-batch-size",
        "64",
        "--max-steps",
        str(arguments.steps),
        "--lr-policy",
        "cosine",
        "--warmup-steps",
        "20",
    ]
    run("recognition/train.py", *names, *pace, "--verbose", "100000", "--seed", str(seed))
    model = models / f"{NETWORK}-{LOSS}-data" / "model,1"
    judged = str(arguments.judge / "images")
    run("gen_image_feature.py", "--model", str(model), "--input", judged, "--output", str(features))
    shutil.rmtree(data)
    return features


class Compared(NamedTuple):
    """A row beside the baseline of the same seed, at each false accept rate."""

    tars: list[float]
    baseline: list[float]
    intervals: list[tuple[float, float]]  # of the differences, 95 %


def compared(row: str, seed: int, arguments: argparse.Namespace) -> Compared | None:
    """A row and the baseline on the same people; None where one of them is not there yet."""
    base, ours = features_of(BASELINE, seed, arguments), features_of(row, seed, arguments)
    if row == BASELINE or not base.exists() or not ours.exists():
        return None
    file = ours.parent / "compared.json"
    if not file.exists():
        labels = str(arguments.judge / "images" / "labels.txt")
        asked = [
            "--features",
            str(base),
            "--compare",
            str(ours),
            "--labels",
            labels,
            "--far",
            FARS,
            "--json",
            str(file),
        ]
        run("eval/tar_far.py", *asked)
    found = json.loads(file.read_text())
    first, second = (model["results"] for model in found["models"].values())
    apart = [tuple(difference["interval"]) for difference in found["differences"]]
    return Compared([point["tar"] for point in second], [point["tar"] for point in first], apart)


def line(row: str, runs: list[Compared]) -> str:
    """A line of the table: means over the seeds, the widest interval, and the range of the differences."""
    text = f"| {row} | {len(runs)} |"
    for at in range(len(FARS.split(","))):
        apart = [run.tars[at] - run.baseline[at] for run in runs]
        low, high = (min(run.intervals[at][0] for run in runs), max(run.intervals[at][1] for run in runs))
        text += f" {mean(run.tars[at] for run in runs):.3f} | {mean(apart):+.3f} ({low:+.3f} to {high:+.3f}) |"
    return text


def print_table(rows: list[str], seeds: list[int], arguments: argparse.Namespace) -> None:
    """The table of all rows that are there, in Markdown."""
    lines = ["| row | seeds | TAR at 1e-2 | difference | TAR at 1e-3 | difference |", "|---|---|---|---|---|---|"]
    for row in rows:
        runs = [run for seed in seeds if (run := compared(row, seed, arguments))]
        if runs and len(lines) == 2:
            base = "".join(f" {mean(tars):.3f} | |" for tars in zip(*(run.baseline for run in runs), strict=True))
            lines.append(f"| {BASELINE} | {len(runs)} |{base}")
        lines += [line(row, runs)] if runs else []
    print("\n".join(lines))


def main() -> None:
    """Make what is missing and print the table."""
    arguments = parse_arguments()
    existing(arguments.judge / "images" / "labels.txt")
    seeds, rows = [int(seed) for seed in arguments.seeds.split(",")], chosen(arguments.rows)
    for seed in seeds:
        for row in rows:
            features_of(row, seed, arguments)
    print_table(rows, seeds, arguments)


if __name__ == "__main__":
    run_command(main)
