"""How much do more rendered people and more images of each bring for real people, and what would very many bring?

    python datasets/convert_ytf.py --input ytf-keypoints --output datasets/ytf --train-people 220
    python datasets/make_synthetic.py --output datasets/faces --train-people 8000 --images-per-person 8 --teacher ...
    python benchmarks/synthetic_curve.py --data datasets/faces --judge datasets/ytf --output build/curve

Each point trains the same network for the same steps on the first people, and the first images of each, of one rendered
set with its teacher's file: one set is enough for all, as training leaves out the rest by a list. Judged on the people
of ``train.rec`` in ``--judge``, of whom nothing is in the training; those in ``images`` remain for the network that
comes of it. The table has TAR with its 95 % interval over these people, the difference from the first point with its
own (bold: 0 is outside), and what was spent. Below it is a fit, the logit of TAR linear in the logarithms of people and
of images a person, and what it gives for a million images: a line drawn far beyond its points, which is said with it.

What is there is not trained again: interrupted, or with more points, the command goes on when typed again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from held_out import FARS, HeldOut, Scores, kept
from held_out import told as difference
from numpy.typing import NDArray
from rendered_training import LOSS, NETWORK, PRECISION, train

from lwface.base.commands import HelpFormatter, existing, run_command
from lwface.base.errors import UserError
from lwface.base.files import write_text
from lwface.formats.cleaning_list import LEAVE_OUT, CleaningLine, write_cleaning
from lwface.formats.face_records import FaceRecords
from lwface.scoring.intervals import percentiles
from lwface.settings.dataset_folder import TEACHER

FAR_OFF = ((10_000, 100), (100_000, 10))  # people and images of each: a million images


class Point(NamedTuple):
    """A part of the set, and how its network did."""

    people: int
    images: int  # of each
    minutes: float
    scores: Scores


def parse_arguments() -> argparse.Namespace:
    """The command line; ``points`` are pairs of people and images of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    parser.add_argument("--data", type=Path, metavar="DIR", required=True, help="what make_synthetic.py --teacher made")
    parser.add_argument("--judge", type=Path, metavar="DIR", required=True, help="what convert_ytf.py made")
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder for models and features")
    usual = "400x8,1600x8,8000x8,1600x2,8000x2"
    parser.add_argument("--points", metavar="PxI,...", default=usual, help="people x images of each")
    parser.add_argument("--network", metavar="NAME", default=NETWORK, help="network that is trained")
    parser.add_argument("--steps", type=int, metavar="N", default=600, help="steps of 128 images, the same for all")
    parser.add_argument("--precision", metavar="NAME", default=PRECISION, help="of training")
    parser.add_argument("--seed", type=int, metavar="N", default=0, help="of training")
    arguments = parser.parse_args()
    arguments.points = [_pair(text) for text in arguments.points.split(",")]
    return arguments


def _pair(text: str) -> tuple[int, int]:
    people, _, images = text.partition("x")
    if not (people.isdecimal() and images.isdecimal()):
        raise UserError(f"--points {text}: expected people x images of each, such as 400x8")
    return int(people), int(images)


def leave_out(records: FaceRecords, people: int, images: int, path: Path) -> None:
    """The list of all but the first ``images`` images of the first ``people`` people.

    Raises:
        UserError: there are not so many.
    """
    labels = records.labels()
    order = np.argsort(labels, kind="stable")
    ranked = labels[order]
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels)) - np.searchsorted(ranked, ranked)
    used = (labels < people) & (rank < images)
    if used.sum() != people * images:
        raise UserError(f"{records.path}: {used.sum()} images for {people} people x {images}: render more of them")
    named = zip(records.keys[~used].tolist(), labels[~used].tolist(), strict=True)
    write_cleaning(path, (CleaningLine(str(key), str(label), LEAVE_OUT) for key, label in named), keys=True)


def trained(people: int, images: int, arguments: argparse.Namespace) -> tuple[str, float]:
    """The model of a point and the minutes it took, trained if it is not there."""
    name = f"{people}x{images}-{arguments.network}-{arguments.steps}-{arguments.seed}"
    folder = arguments.output / name
    model = folder / f"{arguments.network}-{LOSS}-{arguments.data.name}" / "model-0001.safetensors"
    took = folder / "minutes.txt"
    if not took.exists():
        folder.mkdir(parents=True, exist_ok=True)
        leave_out(FaceRecords(arguments.data), people, images, folder / "left_out.csv")
        start = time.monotonic()
        train(
            arguments.data,
            folder,
            "--leave-out",
            str(folder / "left_out.csv"),
            network=arguments.network,
            steps=arguments.steps,
            seed=arguments.seed,
            precision=arguments.precision,
        )
        write_text(took, f"{(time.monotonic() - start) / 60:.1f}\n")
    return str(model), float(took.read_text())


def fitted(points: list[Point], tars: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logit of TAR as ``c[0] + c[1] log10(people) + c[2] log10(images)``, least squares over the points.

    Args:
        tars: (P, B), of each point in B draws.

    Returns:
        (3, B).
    """
    tar = np.clip(tars, 1e-4, 1 - 1e-4)
    rows = [(1.0, np.log10(point.people), np.log10(point.images)) for point in points]
    found: NDArray[np.float64] = np.linalg.lstsq(np.array(rows), np.log(tar / (1 - tar)), rcond=None)[0]
    return found


def at(coefficients: NDArray[np.float64], people: int, images: int) -> NDArray[np.float64]:
    """The fit's TAR (B,), of coefficients (3, B)."""
    logit = np.array((1.0, np.log10(people), np.log10(images))) @ coefficients
    return np.asarray(1 / (1 + np.exp(-logit)))


def drawn_on(points: list[Point], far: int) -> str:
    """The fit at one of ``FARS``, and where it goes; 95 % over the people who judge, the same people for all points."""
    replicates = np.array([point.scores.replicates[0, far] for point in points])
    whole = fitted(points, np.array([[point.scores.tars[0, far]] for point in points]))
    drawn = fitted(points, replicates[:, ~np.isnan(replicates).any(axis=0)])

    def slope(row: int) -> str:
        return f"{whole[row, 0]:+.3f}{within(drawn[row], '+')}"

    def tar(people: int, images: int) -> str:
        return f"{people} x {images}: {at(whole, people, images)[0]:.3f}{within(at(drawn, people, images))}"

    return (
        f"at {float(FARS[far]):g}: logit {slope(1)} for ten times the people, {slope(2)} for ten times the images; "
        f"drawn on, far beyond the points and the steps: {', '.join(tar(*pair) for pair in FAR_OFF)}"
    )


def within(replicates: NDArray[np.float64], sign: str = "") -> str:
    """The middle 95 % of replicates (B,), in brackets; nothing where too many are unknown."""
    around = percentiles(replicates)
    return "" if around is None else f" ({around.low:{sign}.3f} to {around.high:{sign}.3f})"


def told(point: Point, first: Point) -> str:
    """A line of the table."""
    text = f"| {point.people} | {point.images} | {point.people * point.images} | {point.minutes:.0f} |"
    for far in range(len(FARS)):
        less = "" if point is first else f" {difference(point.scores, first.scores, far)}"
        text += f" {point.scores.tars[0, far]:.3f}{within(point.scores.replicates[0, far])} |{less} |"
    return text


def main() -> None:
    """Train what is missing, print the table and the fit."""
    arguments = parse_arguments()
    existing(arguments.judge / "train.rec", arguments.data / TEACHER)
    judge, points = HeldOut(arguments.judge), []
    for people, images in arguments.points:
        model, minutes = trained(people, images, arguments)
        features = kept(Path(model).with_name("judged.npy"), judge, model)
        points.append(Point(people, images, minutes, judge.scores([features])))
    print(f"\n{arguments.network}, {arguments.steps} steps of 128 images\n")
    heads = "".join(f" TAR at {float(far):g} | less the first |" for far in FARS)
    print(f"| people | images of each | images | minutes |{heads}\n|--:|--:|--:|--:|--:|--:|--:|--:|")
    print("\n".join(told(point, points[0]) for point in points))
    varied = len({point.people for point in points}) > 1 and len({point.images for point in points}) > 1
    if not varied or len(points) < 4:
        print("\nno fit: it needs four points, with other people and with other images of each")
        return
    for far in range(len(FARS)):
        print(f"\n{drawn_on(points, far)}")


if __name__ == "__main__":
    run_command(main)
