"""Whether a model put the points of a submission: it is run on some of the pictures again.

In each the coordinates may differ by :func:`tolerance` on average: what rounding to a tenth of a pixel changes at most,
and a thousandth of the picture's longer side for other arithmetic. Rounding the factors of all convolutions as TF32
does moved the package's own 68 points by 0.07 % of the side in the worst of 60 pictures, and 15 points by 0.01 %
(``docs/hosting.md``); who bends every coordinate as far as that gains no more.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.challenge.results import Malformed, judging
from lwface.formats.image import read_rgb
from lwface.formats.image_walk import walk_images
from lwface.formats.keypoint_images import read_test
from lwface.formats.keypoint_lookup import Lookup, read_lookup
from lwface.formats.keypoint_submission import read_submission
from lwface.formats.keypoint_tables import HIGHEST, LOOKUP, LOWEST, SIDE, challenge_file
from lwface.formats.keypoint_tables import TEST as TEST_TABLE
from lwface.formats.point_solution import read_solution
from lwface.hosting.trial import TEST, ModelTrial
from lwface.landmarks.keypoint_models import locations_of, predict_all
from lwface.landmarks.keypoint_networks import KeypointNetwork
from lwface.landmarks.options import BOX, IMAGE
from lwface.landmarks.prediction import read_boxes
from lwface.landmarks.predictor import PointPredictor

BOXES = "boxes.csv"  # of a kit, where the faces' boxes are given to everyone
ROUNDED = 0.05  # pixels
SHARE = 1e-3  # of the longer side


def tolerance(side: int) -> float:
    """Pixels that the coordinates of a picture may differ by on average; ``side``: its longer one."""
    return ROUNDED + SHARE * side


def try_landmarks(trial: ModelTrial) -> dict[str, Any]:
    """``pictures_tried`` and ``worst_difference``.

    Raises:
        Malformed: the points of a picture are not what the model puts there.
        UserError: the kit lacks the pictures.
    """
    with judging(trial.submission):
        given = read_solution(trial.submission)
    folder = trial.kit / TEST
    names = [name for name in walk_images(folder).names if name in given]
    if not names:
        raise Malformed(trial.submission.name, "has a row for no picture of the starting kit")
    with judging(trial.model):
        predictor = PointPredictor.load(str(trial.model))
    boxes = read_boxes(trial.kit / BOXES) if (trial.kit / BOXES).is_file() else {}
    drawn, worst = trial.drawn(len(names)).tolist(), (-1.0, 1.0)
    for name in (names[row] for row in drawn):
        image = read_rgb(folder / name)
        most = tolerance(max(image.shape[:2]))
        with judging(trial.model):
            found = _nearest(_ways(predictor, image, boxes.get(name)), given[name], most)
        _check(trial, name, found, most)
        worst = max(worst, (found, most), key=lambda pair: pair[0] / pair[1])
    return _told(len(drawn), *worst)


def try_keypoints(trial: ModelTrial) -> dict[str, Any]:
    """The same for 15 keypoints."""
    lookup = read_lookup(challenge_file(trial.kit, LOOKUP))
    test = read_test(challenge_file(trial.kit, TEST_TABLE))
    with judging(trial.submission):
        given = read_submission(trial.submission, lookup)
    known = np.flatnonzero(np.isin(test.ids, lookup.images))
    if len(known) < len(np.unique(lookup.images)):
        raise UserError(f"{trial.kit / LOOKUP}: asks for images that {TEST_TABLE} beside it lacks")
    chosen = known[trial.drawn(len(known))]
    asked = np.isin(lookup.images, test.ids[chosen])
    part = Lookup(lookup.rows[asked], lookup.images[asked], lookup.features[asked], lookup.locations[asked])
    assert isinstance(trial.network, KeypointNetwork)
    with judging(trial.model):
        points = predict_all([trial.network], test.images[chosen], torch.device("cpu"))
        found = np.clip(locations_of(part, test.ids[chosen], points), LOWEST, HIGHEST)
    images, places, counts = np.unique(part.images, return_inverse=True, return_counts=True)
    differences = np.bincount(places, np.abs(found - given[asked])) / counts
    worst = int(np.argmax(differences))
    _check(trial, f"image {images[worst]}", float(differences[worst]), tolerance(SIDE))
    return _told(len(chosen), float(differences[worst]), tolerance(SIDE))


def _ways(
    predictor: PointPredictor, image: NDArray[np.uint8], box: NDArray[np.float64] | None
) -> Iterator[NDArray[np.floating[Any]]]:
    """The points (68, 2) that ``landmarks/predict.py`` may have put on a picture; the likeliest first."""
    if predictor.view == BOX and box is None:
        raise UserError("sees faces in boxes, and this track gives none: train with --view both or --view image")
    mirrored = copy.copy(predictor)
    mirrored.mirror = True
    for one in (predictor, mirrored):
        if predictor.view != BOX:
            yield one.whole(image)
        if predictor.view != IMAGE and box is not None:
            yield one(image, box[None])[0]


def _nearest(ways: Iterator[NDArray[np.floating[Any]]], given: NDArray[np.float64], enough: float) -> float:
    """The least mean difference of the coordinates, until it is ``enough``."""
    least = np.inf
    for found in ways:
        least = min(least, float(np.abs(found - given).mean()))
        if least <= enough:
            break
    return least


def _check(trial: ModelTrial, name: str, difference: float, most: float) -> None:
    if not difference <= most:
        says = f"the points of {name} in {trial.submission.name} are not what it puts there"
        apart = f"coordinates differ by {difference:.2f} pixels on average, at most {most:.2f} expected"
        raise Malformed(trial.model.name, f"{says}: {apart}")


def _told(count: int, difference: float, most: float) -> dict[str, Any]:
    return {"pictures_tried": count, "worst_difference": f"{difference:.4f} pixels, at most {most:.2f} allowed"}
