"""Generated data of a landmark track: procedural faces with their 68 points."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lwface.base.files import replacing, write_text
from lwface.base.progress import progress
from lwface.formats.image import encode_jpeg
from lwface.formats.point_annotations import ANNOTATIONS, write_annotations
from lwface.formats.point_solution import write_solution
from lwface.synthetic.render import sample_image

TRAIN, TEST, SAMPLE = "train", "test", "sample_submission.txt"
PICTURES_A_PERSON = 2
TRAIN_SHARE = 0.5  # training pictures, over those of the test
DIFFICULTY = 0.4  # of make_synthetic.py's
README = """# 68 points

* `train/`: pictures and `annot.pkl`, a pickle of (names, points): 68 (x, y) of each, in pixels, iBUG 300-W's order.
* `test/`: the pictures to predict.
* `sample_submission.txt`: what is handed in, here the mean of the training points for every picture. A line is a
  picture's name and 136 numbers, x before y, with one space between; the lines may come in any order. It may be zipped,
  as `solution.txt` and without a folder.
"""


def make(reference: Path, kit: Path, samples: int, seed: int) -> None:
    """Write the truth of ``samples`` pictures into ``reference``, and what participants get into ``kit``."""
    train = max(2, round(TRAIN_SHARE * samples))
    points: dict[str, dict[str, NDArray[np.float64]]] = {TRAIN: {}, TEST: {}}
    people: dict[str, str] = {}
    for number in progress(range(train + samples), label="faces", unit="face"):
        part = TRAIN if number < train else TEST
        # Nobody is in training and test both.
        own = number // PICTURES_A_PERSON if number < train else (number - train) // PICTURES_A_PERSON + train
        picture = sample_image(seed, own, number % PICTURES_A_PERSON, difficulty=DIFFICULTY)
        name = f"image{number:05}.jpg"
        with replacing(kit / part / name) as file:
            file.write(encode_jpeg(picture.frame))
        points[part][name] = picture.landmarks68.astype(np.float64)
        people[name] = f"person{own:05}"
    write_annotations(kit / TRAIN / ANNOTATIONS, points[TRAIN])
    mean: NDArray[np.float64] = np.stack(list(points[TRAIN].values())).mean(axis=0)
    write_solution(kit / SAMPLE, dict.fromkeys(points[TEST], mean))
    write_text(kit / "README.md", README)
    write_solution(reference / "truth.txt", points[TEST])
    with replacing(reference / "people.csv", "w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("image", "person"))
        writer.writerows((name, people[name]) for name in points[TEST])
