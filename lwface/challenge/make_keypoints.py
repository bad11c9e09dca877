"""Generated data of a keypoint track: procedural faces, cut out as Kaggle's are."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lwface.base.files import replacing, write_text
from lwface.base.progress import progress
from lwface.formats.keypoint_images import AskedFaces, KeypointFaces, write_test, write_training
from lwface.formats.keypoint_lookup import Lookup, write_lookup
from lwface.formats.keypoint_submission import write_submission
from lwface.formats.keypoint_tables import LOOKUP, TEST, TRAINING
from lwface.landmarks.keypoint_making import SQUARE, UP, cut_face, fifteen_from_68
from lwface.synthetic.render import sample_image

PICTURES_A_PERSON = 2
DIFFICULTY = 0.4  # of make_synthetic.py's
SAMPLE = "sample_submission.csv"
README = """# 15 keypoints

* `training.csv`: 30 coordinates in pixels and the column `Image`, 96 * 96 greys.
* `test.csv`: ImageId and Image.
* `IdLookupTable.csv`: what is asked for, RowId,ImageId,FeatureName.
* `sample_submission.csv`: what is handed in, RowId,Location; here the mean of the training rows.
"""


def make(reference: Path, kit: Path, samples: int, seed: int) -> None:
    """Write the truth of ``samples`` pictures into ``reference``, and what participants get into ``kit``."""
    train = max(2, samples // 2)
    images, points, people = [], [], []
    for number in progress(range(train + samples), label="faces", unit="face"):
        own = number // PICTURES_A_PERSON if number < train else (number - train) // PICTURES_A_PERSON + train
        picture = sample_image(seed, own, number % PICTURES_A_PERSON, difficulty=DIFFICULTY)
        image, places = cut_face(picture.frame, picture.landmarks68.astype(np.float64), SQUARE, (0.0, -UP))
        images.append(image)
        points.append(np.clip(fifteen_from_68(places), 0, 95))
        people.append(f"person{own:05}")
    truth = np.stack(points)
    write_training(kit / TRAINING, KeypointFaces(np.stack(images[:train]), truth[:train]))
    ids = np.arange(1, samples + 1)
    write_test(kit / TEST, AskedFaces(ids, np.stack(images[train:])))
    asked = _lookup(ids, truth[train:])
    write_lookup(kit / LOOKUP, asked._replace(locations=np.full(len(asked.rows), np.nan)))
    write_lookup(reference / "truth.csv", asked)
    write_submission(kit / SAMPLE, asked, truth[:train].mean(axis=0).ravel()[asked.features])
    write_text(kit / "README.md", README)
    with replacing(reference / "people.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ImageId", "Person"))
        writer.writerows(zip(ids.tolist(), people[train:], strict=True))


def _lookup(ids: NDArray[np.int64], points: NDArray[np.float64]) -> Lookup:
    """All coordinates of points (N, 15, 2)."""
    features = points.shape[1] * 2
    rows = np.arange(1, len(ids) * features + 1)
    return Lookup(rows, np.repeat(ids, features), np.tile(np.arange(features), len(ids)), points.ravel())
