"""From a photograph to its faces with points, and which of them is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.detection.base import FINE_SIDE, SIDE, Detection, Detector, PointFinder, surest
from lwface.detection.choices import ALL
from lwface.formats.alignment import align, five_from_68
from lwface.formats.landmark_fit import fit

# Of two faces the less prominent one may come this near to the other, and it is still clear which is meant.
CLEARLY_LESS = 0.7
SAME_FACE = 0.6  # of the smaller of two boxes that lies in the other: they are of one face
NEVER, IF_NONE, ALWAYS = "never", "if none", "always"
NO_FACE = "no face found"
UNCLEAR = "several faces of similar size: say which in the table, or --faces all"
OTHER_FACE = "another face is larger or nearer to the middle"


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face in a picture.

    Attributes:
        box: (4,) float32, the least box of its 68 points by the detector's box and its ``tight``.
        score: of the detector.
        points: (5 or 68, 2) float32, pixels of the picture.
        residual: of the fit to the template, root mean square, in pixels of the 112x112 crop.
        sharpness: variance of the Laplacian of the grey crop: little where a face is blurred or was enlarged.
    """

    box: NDArray[np.float32]
    score: float
    points: NDArray[np.float32]
    residual: float
    sharpness: float

    @property
    def size(self) -> float:
        """The square root of the box's area, in pixels."""
        return float(np.sqrt((self.box[2:] - self.box[:2]).clip(min=0).prod()))


class FaceFinder:
    """Finds the faces of pictures, with points.

    Args:
        detector: of boxes.
        points: puts 68 points into them; None: the detector's own five.
        closer: when a large picture is searched a second time with more pixels, for small faces: :data:`NEVER`,
            :data:`IF_NONE` was found, or :data:`ALWAYS`.
    """

    def __init__(self, detector: Detector, points: PointFinder | None, closer: str = NEVER) -> None:
        self.detector, self.points, self.closer = detector, points, closer

    @property
    def count(self) -> int:
        """How many points a face has."""
        return 5 if self.points is None else self.points.count

    def __call__(self, image: NDArray[np.uint8]) -> list[FoundFace]:
        """The faces of ``image`` (H, W, 3) uint8 RGB, the surest first.

        Raises:
            UserError: there are no points, neither by a model nor by the detector.
        """
        found = self._detected(image)
        if not found:
            return []
        boxes = self.detector.tight(np.stack([face.box for face in found]))
        points = self._points(image, found, boxes)
        return [
            FoundFace(box, face.score, own, *_quality(image, own))
            for box, face, own in zip(boxes, found, points, strict=True)
        ]

    def _detected(self, image: NDArray[np.uint8]) -> list[Detection]:
        """What the detector finds, at first sight and looking closer, each face once."""
        found = self.detector(image)
        if max(image.shape[:2]) <= SIDE or self.closer == NEVER or (self.closer == IF_NONE and found):
            return found
        both = [*found, *self.detector(image, side=FINE_SIDE)]
        if not both:
            return []
        boxes = np.stack([face.box for face in both])
        first_sight = np.arange(len(both)) < len(found)  # a part of a large face may look like one from near
        scores = np.array([face.score for face in both]) + first_sight
        kept = surest(boxes, scores, SAME_FACE, of_smaller=True)
        return sorted((both[i] for i in kept), key=lambda face: -face.score)

    def _points(
        self, image: NDArray[np.uint8], found: Sequence[Detection], boxes: NDArray[np.float32]
    ) -> Sequence[NDArray[np.float32]]:
        if self.points is not None:
            return list(self.points(image, boxes))
        own = [face.points for face in found if face.points is not None]
        if len(own) < len(found):
            raise UserError("this detector gives no points: name a model that does, --points-model")
        return own


def _quality(image: NDArray[np.uint8], points: NDArray[np.float32]) -> tuple[float, float]:
    """Residual and sharpness; infinite and 0 for points that are no face at all."""
    five = five_from_68(points) if len(points) == 68 else points.astype(np.float64)
    try:
        crop = align(image, five)
    except UserError:  # all at one place
        return float("inf"), 0.0
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float(fit(five[None]).residual[0]), float(cv2.Laplacian(grey, cv2.CV_64F).var())


def prominence(face: FoundFace, size: tuple[int, int]) -> float:
    """How much a face is what the picture of ``size`` (height, width) is of.

    Its area, of which one in a corner counts half: ``area * (1 - distance / 2)``, the distance of its centre from the
    picture's, over half the picture's diagonal.
    """
    middle = np.array(size[::-1], np.float64) / 2 - 0.5
    distance = np.linalg.norm((face.box[:2] + face.box[2:]) / 2 - middle) / (np.hypot(*size) / 2)
    return face.size**2 * (1 - min(float(distance), 1.0) / 2)


def verdicts(faces: Sequence[FoundFace], size: tuple[int, int], which: str, least: float) -> list[str]:
    """Why each of ``faces`` in a picture of ``size`` is left out; empty for those that are used.

    Args:
        which: ``largest`` or ``all``.
        least: pixels, the size from which on a face is used.
    """
    too_small = f"the face is too small: less than {least:g} pixels (--min-face)"
    reasons = [too_small if face.size < least else "" for face in faces]
    if which == ALL:
        return reasons
    rank = sorted((-prominence(faces[i], size), i) for i, reason in enumerate(reasons) if not reason)
    if len(rank) > 1 and rank[1][0] < CLEARLY_LESS * rank[0][0]:
        return [reason or UNCLEAR for reason in reasons]
    for _, i in rank[1:]:
        reasons[i] = OTHER_FACE
    return reasons
