"""Are generated people strangers to real ones? Their scores with real people, beside those of real strangers.

    python datasets/make_synthetic.py --output datasets/faces --heldout-people 200 --heldout-images 4 --video-people 0
    python benchmarks/synthetic_strangers.py --model models/mxnet-y1/model,0 --real datasets/ytf/images \\
        --strangers datasets/others/images --generated datasets/faces/images

A network that was trained on real faces makes a feature of each image. Of all pairs of images the table has the scores
(cosines) at some quantiles. Of each person, whose feature is the mean of the images', it has the score with the nearest
of the people of --real: real people that are not among these, of --strangers, beside generated ones. The status is 1 if
a generated person is nearer than every one of those strangers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from held_out import HeldOut

from lwface.base.commands import HelpFormatter, existing, run_command

QUANTILES = (0.5, 0.99, 0.999, 1.0)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    parser.add_argument("--model", metavar="MODEL", required=True, help="a network trained on real faces")
    parser.add_argument("--real", type=Path, metavar="DIR", required=True, help="images, filelist.txt and labels.txt")
    parser.add_argument("--strangers", type=Path, metavar="DIR", required=True, help="the same of other real people")
    parser.add_argument("--images", type=int, default=4, metavar="N", help="images of each person, the first ones")
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


class Faces(NamedTuple):
    """Unit features (N, D) of images, and whose each is (N,)."""

    features: np.ndarray
    people: np.ndarray


def faces(folder: Path, model: str, images: int) -> Faces:
    """The first ``images`` of each person of ``folder``."""
    found = HeldOut(folder)
    first = np.sort(np.concatenate([np.flatnonzero(found.people == who)[:images] for who in np.unique(found.people)]))
    found.people, found.images = found.people[first], found.images[first]
    return Faces(found.features(model), found.people)


def main() -> None:
    """Print both tables; status 1 where a generated person is nearer to a real one than all real strangers are."""
    arguments = parse_arguments()
    folders = [arguments.real, arguments.strangers, *arguments.generated]
    for folder in folders:
        existing(folder / "labels.txt")
    real, *others = (faces(folder, arguments.model, arguments.images) for folder in folders)
    images, persons = (
        [("real: same person", pairs(*real, same=True)), ("real: two people", pairs(*real, same=False))],
        [],
    )
    names = ["real strangers", *(str(folder) for folder in arguments.generated)]
    for name, made in zip(names, others, strict=True):
        images.append((f"{name}: with real ones", (made.features @ real.features.T).ravel()))
        images.append((f"{name}: two people", pairs(*made, same=False)))
        images.append((f"{name}: same person", pairs(*made, same=True)))
        persons.append((name, (centres(*made) @ centres(*real).T).max(axis=1)))
    print(table("pairs of images", images) + "\n\n" + table("nearest real person", persons))
    most = persons[0][1].max()
    nearer = {name: int((scores > most).sum()) for name, scores in persons[1:]}
    print(f"\nnearer to a real person than the nearest real stranger: {nearer}")
    if any(nearer.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    run_command(main)
