"""Are generated people strangers to real ones? Their scores with real people, beside those of real strangers.

    python datasets/make_synthetic.py --output datasets/faces --heldout-people 150 --heldout-images 4 --video-people 0
    python benchmarks/synthetic_strangers.py --model models/mxnet-y1/model,0 --real datasets/ytf/images \\
        --generated datasets/faces/images

A network that was trained on real faces makes a feature of each image. Of all pairs of images the table has the scores
(cosines) at some quantiles, and of each person, whose feature is the mean of the images', the score with the nearest
real person that is not the same one. The status is 1 if a generated person is nearer to a real one than any two real
people are to each other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from held_out import HeldOut

from lwface.base.commands import HelpFormatter, existing, run_command

QUANTILES = (0.5, 0.99, 0.999, 1.0)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    parser.add_argument("--model", metavar="MODEL", required=True, help="a network trained on real faces")
    parser.add_argument("--real", type=Path, metavar="DIR", required=True, help="images, filelist.txt and labels.txt")
    parser.add_argument("--generated", type=Path, metavar="DIR", nargs="+", required=True, help="the same, one or more")
    return parser.parse_args()


def centres(features: np.ndarray, people: np.ndarray) -> np.ndarray:
    """The unit mean (P, D) of each person's ``features (N, D)``."""
    means = np.stack([features[people == who].mean(axis=0) for who in np.unique(people)])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))


def pairs(features: np.ndarray, people: np.ndarray, *, same: bool) -> np.ndarray:
    """Scores of all pairs of two images of the same person, or of two people."""
    above = np.triu(np.ones((len(people),) * 2, bool), 1)
    return np.asarray((features @ features.T)[above & ((people[:, None] == people) == same)])


def line(name: str, scores: np.ndarray) -> str:
    """A row of the table: how many scores, and their quantiles."""
    return f"| {name} | {len(scores)} | " + " | ".join(f"{np.quantile(scores, q):.3f}" for q in QUANTILES) + " |"


def table(first: str, rows: list[tuple[str, np.ndarray]]) -> str:
    """A table in Markdown."""
    heads = [first, "scores", "median", "99 %", "99.9 %", "largest"]
    rule = "|" + "---|" * len(heads)
    return "\n".join([f"| {' | '.join(heads)} |", rule, *(line(name, scores) for name, scores in rows)])


def nearest(centre: np.ndarray, real: np.ndarray, *, oneself: bool) -> np.ndarray:
    """The score (P,) of each of ``centre (P, D)`` with the nearest of ``real``, less oneself where that is one."""
    scores = centre @ real.T
    if oneself:
        np.fill_diagonal(scores, -1)
    return np.asarray(scores.max(axis=1))


def main() -> None:
    """Print both tables; status 1 where a generated person is nearer to a real one than real strangers are."""
    arguments = parse_arguments()
    for folder in (arguments.real, *arguments.generated):
        existing(folder / "labels.txt")
    real = HeldOut(arguments.real)
    features, people = real.features(arguments.model), real.people
    images = [
        ("real, same person", pairs(features, people, same=True)),
        ("real, strangers", pairs(features, people, same=False)),
    ]
    real_centres = centres(features, people)
    closest = nearest(real_centres, real_centres, oneself=True)
    persons = [("real people", closest)]
    for folder in arguments.generated:
        made = HeldOut(folder)
        found = made.features(arguments.model)
        images.append((f"{folder}: with real ones", (found @ features.T).ravel()))
        images.append((f"{folder}: strangers", pairs(found, made.people, same=False)))
        images.append((f"{folder}: same person", pairs(found, made.people, same=True)))
        persons.append((str(folder), nearest(centres(found, made.people), real_centres, oneself=False)))
    print(table("pairs of images", images) + "\n\n" + table("nearest real person", persons))
    nearer = {name: int((scores > closest.max()).sum()) for name, scores in persons[1:]}
    print(f"\nnearer to a real person than any two real people are to each other: {nearer}")
    if any(nearer.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    run_command(main)
