"""Makes a data set in the format of Kaggle's "Facial Keypoints Detection" of faces with 68 points.

The original joins two sources: of its 7049 training rows the first 2284 have mostly all fifteen points, those after
them mostly four (https://www.kaggle.com/c/facial-keypoints-detection/forums/t/5059); 2140 rows are complete. So does
what is made here: two groups of people, one after the other in ``training.csv``, the second cut out less evenly.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.account import Account
from lwface.base.dice import below, shuffled
from lwface.base.errors import UserError
from lwface.base.files import replacing, replacing_folder, write_json
from lwface.base.journal import MANIFEST
from lwface.base.progress import progress
from lwface.formats.image import read_rgb
from lwface.formats.keypoint_images import AskedFaces, KeypointFaces, write_test, write_training
from lwface.formats.keypoint_lookup import Lookup, write_lookup
from lwface.formats.keypoint_tables import FOUR, LOOKUP, POINTS, SIDE, TEST, TRAINING
from lwface.landmarks.keypoint_sources import ANNOTATIONS, check_output, is_procedural
from lwface.landmarks.point_sets import read_rendered
from lwface.making.youtube_faces import read_youtube_faces

TRUTH, TRUTH_ALL, PEOPLE = "truth.csv", "truth-all.csv", "test-people.csv"

# Which of the usual 68 points (iBUG 300-W, from 0, the picture's left first) each keypoint is the mean of.
FROM_68: dict[str, tuple[int, ...]] = {
    "left_eye_center": (42, 43, 44, 45, 46, 47),
    "right_eye_center": (36, 37, 38, 39, 40, 41),
    "left_eye_inner_corner": (42,),
    "left_eye_outer_corner": (45,),
    "right_eye_inner_corner": (39,),
    "right_eye_outer_corner": (36,),
    "left_eyebrow_inner_end": (22,),
    "left_eyebrow_outer_end": (26,),
    "right_eyebrow_inner_end": (21,),
    "right_eyebrow_outer_end": (17,),
    "nose_tip": (30,),
    "mouth_left_corner": (54,),
    "mouth_right_corner": (48,),
    "mouth_center_top_lip": (51, 62),  # the outer and the inner edge of the lip
    "mouth_center_bottom_lip": (57, 66),
}
# Users of the original report that its rows with four points mark nose tip and lower lip in other places than the rows
# with fifteen (the thread above): here at the base of the nose, and in the middle of the mouth.
OTHER_LABELS: dict[str, tuple[int, ...]] = {"nose_tip": (33,), "mouth_center_bottom_lip": (62, 66)}
# Shares of the original's rows: of the first source those that lack some of the eleven points, (2284 - 2140) / 2284; of
# all those that lack one of the four (10, 13, 0 and 33 of 7049).
SOME_MISSING, ONE_OF_FOUR_MISSING = 0.063, 0.008


# The square that is cut out, in sides of the square around the 68 points, and how far up its middle lies: the eyes and
# the lower lip are then, on average, within 3 pixels of the original's (66.4, 37.7), (30.3, 38.0) and (48.6, 79.0). How
# much either varies, either way, in the two sources.
SQUARE, UP = 1.18, 0.13
SPREADS = ((0.04, 0.02), (0.12, 0.05))


class Face(NamedTuple):
    """A picture with the 68 points (68, 2) of a person's face."""

    path: Path
    person: str
    landmarks: NDArray[np.float64]


@dataclass(frozen=True)
class Making:
    """What a set is made of.

    Attributes:
        test_share: of the people, whom nothing is learnt from.
        complete_share: of the rows, in training and test alike, those of the source that has all fifteen points.
        seed: of the split, of the cuts and of the gaps.
        other_labels: the source that has four points marks two of them elsewhere.
    """

    source: Path
    output: Path
    test_share: float
    complete_share: float
    seed: int
    other_labels: bool = False


def read_faces(source: Path) -> tuple[list[Face], Account]:
    """The faces of the set in ``source`` and what was left out."""
    if is_procedural(source):
        faces = list(_procedural(source))
        if not faces:
            raise UserError(f"{source / ANNOTATIONS}: has no rows")
        if not faces[0].path.is_file():
            raise UserError(f"{faces[0].path}: no such frame: make the set with --frames")
        return faces, Account(taken=len(faces))
    found = read_youtube_faces(source)
    return [Face(source / s.name, s.person, found.landmarks[s.name]) for s in found.samples], found.account


def make(job: Making) -> dict[str, Any]:
    """Write the set; the counts that its manifest has.

    The folder appears complete or not at all.

    Raises:
        UserError: an image cannot be read, or there are too few people.
    """
    check_output(job.output)
    faces, account = read_faces(job.source)
    dice = random.Random(job.seed)
    people = shuffled(sorted({face.person for face in faces}), dice)
    number = round(job.test_share * len(people))
    if not 2 <= number <= len(people) - 2:
        raise UserError(f"--test-share {job.test_share:g} of {len(people)} people: training and test need two or more")
    groups = {"test": people[:number], "training": people[number:]}
    with replacing_folder(job.output) as folder:
        sources = {name: _two_sources(faces, chosen, job.complete_share) for name, chosen in groups.items()}
        total = sum(len(rows) for pair in sources.values() for rows in pair)
        with progress(total=total, label="cutting out", unit="face") as bar:
            whole = {
                name: _cut(pair, dice, bar.update, other_labels=job.other_labels) for name, pair in sources.items()
            }
        gaps = {name: _with_gaps(whole[name], len(pair[0]), dice) for name, pair in sources.items()}
        write_training(folder / TRAINING, gaps["training"])
        test = AskedFaces(np.arange(1, len(whole["test"].images) + 1), whole["test"].images)
        write_test(folder / TEST, test)
        truth, everything = (_lookup(test.ids, kind["test"].points) for kind in (gaps, whole))
        write_lookup(folder / TRUTH, truth)
        write_lookup(folder / LOOKUP, truth._replace(locations=np.full(len(truth.rows), np.nan)))
        write_lookup(folder / TRUTH_ALL, everything)
        _write_people(folder / PEOPLE, test.ids, [face.person for rows in sources["test"] for face in rows])
        facts = {
            "training_rows": len(gaps["training"].images),
            "complete_rows": int(gaps["training"].known.all(axis=1).sum()),
            "training_people": len(groups["training"]),
            "test_images": len(test.images),
            "test_people": len(groups["test"]),
            "coordinates_asked_for": len(truth.rows),
            "seed": job.seed,
            "other_labels": job.other_labels,
            **account.as_json(),
        }
        write_json(folder / MANIFEST, facts)
    return facts


def _procedural(source: Path) -> Iterator[Face]:
    """The faces of ``datasets/make_synthetic.py --frames``."""
    for image, _, identity, points in read_rendered(source / ANNOTATIONS):
        yield Face(source / "frames" / image, identity, points)


def _two_sources(faces: Sequence[Face], people: Sequence[str], share: float) -> tuple[list[Face], list[Face]]:
    """The faces of ``people``, person after person: about ``share`` of them, and those of the other people."""
    of_person: dict[str, list[Face]] = {person: [] for person in people}
    for face in faces:
        if face.person in of_person:
            of_person[face.person].append(face)
    wanted = share * sum(map(len, of_person.values()))
    first: list[Face] = []
    second: list[Face] = []
    for own in of_person.values():
        (first if len(first) < wanted else second).extend(own)
    return first, second


def fifteen_from_68(landmarks: NDArray[np.float64], *, other_labels: bool = False) -> NDArray[np.float64]:
    """The keypoints (15, 2) of the usual 68 points (68, 2), by :data:`FROM_68`, two of them by ``OTHER_LABELS``."""
    places = {**FROM_68, **OTHER_LABELS} if other_labels else FROM_68
    return np.stack([landmarks[list(places[point])].mean(axis=0) for point in POINTS])


def _cut(
    sources: tuple[list[Face], list[Face]], dice: random.Random, done: Callable[[], object], *, other_labels: bool
) -> KeypointFaces:
    """Every face as 96x96 greys with all its keypoints that are inside."""
    images, points = [], []
    for number, (faces, (size_spread, place_spread)) in enumerate(zip(sources, SPREADS, strict=True)):
        for face in faces:
            even = [2 * dice.random() - 1 for _ in range(3)]
            image, places = cut_face(
                read_rgb(face.path),
                face.landmarks,
                SQUARE * (1 + size_spread * even[0]),
                (place_spread * even[1], place_spread * even[2] - UP),
            )
            images.append(image)
            fifteen = fifteen_from_68(places, other_labels=other_labels and number == 1)
            outside = ((fifteen < 0) | (fifteen > SIDE - 1)).any(axis=1, keepdims=True)
            points.append(np.where(outside, np.nan, fifteen))
            done()
    return KeypointFaces(np.stack(images), np.stack(points))


def cut_face(
    frame: NDArray[np.uint8], landmarks: NDArray[np.float64], size: float, move: tuple[float, float]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A square of the frame (H, W, 3) RGB as 96x96 greys, and the landmarks (68, 2) in pixels of it.

    Args:
        size: the square's side over the larger side of the box around the landmarks.
        move: right and down, of the square's middle from the box's, in sides of the square. Behind the frame's edge,
            its pixels are repeated.
    """
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    side = max(round(size * float((high - low).max())), 2)
    corner = np.floor((low + high) / 2 + side * (np.array(move) - 0.5)).astype(int)  # of its first pixel
    over = np.maximum(-corner, 0)  # left and above the frame
    beyond = np.maximum(corner + side - frame.shape[1::-1], 0)
    grown = cv2.copyMakeBorder(frame, over[1], beyond[1], over[0], beyond[0], cv2.BORDER_REPLICATE)
    left, top = corner + over
    square = cv2.cvtColor(grown[top : top + side, left : left + side], cv2.COLOR_RGB2GRAY)
    method = cv2.INTER_AREA if side >= SIDE else cv2.INTER_LINEAR
    image = cv2.resize(square, (SIDE, SIDE), interpolation=method)
    return np.asarray(image, np.uint8), (landmarks - corner + 0.5) * (
        SIDE / side
    ) - 0.5  # a pixel's place is its centre's


def _with_gaps(faces: KeypointFaces, complete: int, dice: random.Random) -> KeypointFaces:
    """Take points away as in the original; the first ``complete`` rows are of the source with fifteen."""
    points = faces.points.copy()
    four = [POINTS.index(point) for point in FOUR]
    eleven = [number for number in range(len(POINTS)) if number not in four]
    points[complete:, eleven] = np.nan
    for row in range(len(points)):
        if row < complete and dice.random() < SOME_MISSING:
            points[row, shuffled(eleven, dice)[: 1 + below(3, dice)]] = np.nan
        if dice.random() < ONE_OF_FOUR_MISSING:
            points[row, four[below(len(four), dice)]] = np.nan
    return faces._replace(points=points)


def _lookup(ids: NDArray[np.int64], points: NDArray[np.float64]) -> Lookup:
    """What is known of the points (N, 15, 2) of the images ``ids``, image by image."""
    flat = points.reshape(len(points), -1)
    image, feature = np.nonzero(~np.isnan(flat))
    return Lookup(np.arange(1, len(image) + 1), ids[image], feature, flat[image, feature])


def _write_people(path: Path, ids: NDArray[np.int64], people: Sequence[str]) -> None:
    """Who is on each test image, for intervals that respect it."""
    with replacing(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ImageId", "Person"))
        writer.writerows(zip(ids.tolist(), people, strict=True))
