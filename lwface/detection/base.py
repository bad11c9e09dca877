"""What a detector is: pixels in, boxes with scores and, where it has them, five points out.

Boxes and points are in pixels of the picture given, x to the right and y down, the centre of the first pixel at (0, 0),
as landmarks are everywhere here. A box is left, top, right, bottom, and may reach beyond the picture. What a detector
calls a face differs: one boxes the forehead too, another from brow to chin. :class:`BoxFit` carries each one's boxes to
one meaning, the least box that holds the 68 points.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.registry import Registry

SIDE = 640  # pixels of the longer side that a detector is given at most
FINE_SIDE = 1920  # the same, where small faces of a large picture are looked for


class PointFinder(Protocol):
    """What puts ``count`` points on faces, as ``lwface.landmarks.predictor.PointPredictor`` does."""

    count: int

    def __call__(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points (N, K, 2) float32 of the faces of ``image`` (H, W, 3) uint8 RGB in the tight ``boxes`` (N, 4)."""


@dataclass(frozen=True, eq=False)
class Detection:
    """A face.

    Attributes:
        box: (4,) float32, left, top, right, bottom, in the detector's own meaning.
        score: of the detector, 0 to 1; what is likely differs from one to another.
        points: (5, 2) float32 in the order of :data:`lwface.formats.alignment.ARCFACE_TEMPLATE`, if it has them.
    """

    box: NDArray[np.float32]
    score: float
    points: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class BoxFit:
    """The tight box of the 68 points from a detector's box: each edge moves by a share of the box's own size.

    ``left' = left + shares[0] * width``, ``top' = top + shares[1] * height``, and so on for right and bottom. Fitted by
    ``benchmarks/detectors.py`` as the medians over faces whose points are known.

    Attributes:
        shares: of left, top, right and bottom.
        residual: root mean square error of an edge that is left, over the square root of the tight box's area.
        source: what it was fitted on.
    """

    shares: tuple[float, float, float, float]
    residual: float
    source: str

    def __call__(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Tight boxes (N, 4) of a detector's boxes (N, 4)."""
        size = boxes[:, 2:] - boxes[:, :2]
        return (boxes + np.array(self.shares, np.float32) * np.concatenate((size, size), axis=1)).astype(np.float32)


class Detector(ABC):
    """Finds faces. A subclass says how a picture of at most :data:`SIDE` pixels is searched.

    Attributes:
        min_score: below it a detection is none, unless the caller says otherwise.
        tight: from its boxes to those of the 68 points.
    """

    min_score: ClassVar[float]
    tight: ClassVar[BoxFit]

    @abstractmethod
    def find(self, image: NDArray[np.uint8]) -> Sequence[Detection]:
        """The faces of ``image`` (H, W, 3) uint8 RGB, in its pixels, in any order."""

    def __call__(self, image: NDArray[np.uint8], min_score: float | None = None, side: int = SIDE) -> list[Detection]:
        """The faces of ``image`` (H, W, 3) uint8 RGB, the surest first.

        A picture whose longer side is more than ``side`` is shrunk to that for the search: detectors are trained on
        faces of ten to some hundred pixels, and miss larger ones.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(f"an RGB uint8 image (H, W, 3) was expected, not {image.dtype} {image.shape}")
        height, width = image.shape[:2]
        scale = min(1.0, side / max(height, width))
        if scale < 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        shrunk = np.array((image.shape[1] / width, image.shape[0] / height), np.float32)
        least = self.min_score if min_score is None else min_score
        found = [_enlarged(face, shrunk) for face in self.find(image) if face.score >= least]
        return sorted(found, key=lambda face: (-face.score, *face.box.tolist()))


DETECTORS: Registry[Callable[[str | None], Detector]] = Registry("detector")
"""By name, what makes a detector of the path of its weights, where it needs one."""


def _enlarged(face: Detection, scale: NDArray[np.float32]) -> Detection:
    """A detection in a picture that was shrunk by ``scale`` (2,), in the pixels it had before."""
    if (scale == 1).all():
        return face
    corners = ((face.box.reshape(2, 2) + 0.5) / scale - 0.5).astype(np.float32)
    points = None if face.points is None else ((face.points + 0.5) / scale - 0.5).astype(np.float32)
    return Detection(corners.ravel(), face.score, points)


def overlap(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4)."""
    one, other = np.asarray(one, np.float64)[:, None], np.asarray(other, np.float64)[None]
    inner = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = inner.clip(min=0).prod(axis=2)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(axis=2) for boxes in (one, other)]
    return shared / np.maximum(areas[0] + areas[1] - shared, np.finfo(np.float64).tiny)


def surest(
    boxes: NDArray[np.floating], scores: NDArray[np.floating], limit: float, *, of_smaller: bool = False
) -> NDArray[np.int64]:
    """Which boxes (N, 4) remain, the surest first, when each removes the less sure ones that overlap it too much.

    Greedy non-maximum suppression. ``limit`` is of intersection over union, or with ``of_smaller`` over the area of the
    smaller of the two.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    waiting, kept = np.argsort(-scores, kind="stable"), list[int]()
    while len(waiting):
        first, waiting = waiting[0], waiting[1:]
        kept.append(int(first))
        rest = boxes[waiting]
        inner = np.minimum(rest[:, 2:], boxes[first, 2:]) - np.maximum(rest[:, :2], boxes[first, :2])
        shared = inner.clip(min=0).prod(axis=1)
        whole = np.minimum(areas[waiting], areas[first]) if of_smaller else areas[waiting] + areas[first] - shared
        waiting = waiting[shared <= limit * whole]
    return np.array(kept, np.int64)
