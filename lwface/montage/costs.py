"""What a frame of a montage costs: the published definition, its two repairs, and why there are three.

A frame costs 0.1 times the share of values that differ by more than 25 from the output frame before, plus 0.9 * 10
times the mean absolute difference of the landmarks, each set divided by the first two entries of its own image's shape:
x by the height and y by the width. The "frame before" the first is the query's own first frame. Source: ``base.py`` of
Veriff/face_alignment_challenge at fe96dd6, read; docs/montage.md says how each cost is gamed.

``public``  that, as it runs: bytes are subtracted as bytes, so that a level brighter counts as 255, the landmarks are
            those that the processor reports, and a frame that is not there costs nothing.
``signed``  the same with the difference of the levels.
``honest``  ``signed`` with the landmarks of the frame really shown, moved as the frame was; a frame that is not there,
            or is not what it is said to be, costs :data:`MAXIMUM`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IMAGE_WEIGHT, POINTS_WEIGHT, POINTS_SCALE = 0.1, 0.9, 10
LEVELS = 25  # a value that differs by more has changed
KINDS = ("public", "signed", "honest")


class FrameCost(NamedTuple):
    """The two weighted parts of what a frame costs."""

    image: float
    points: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.image + self.points


FREE = FrameCost(0.0, 0.0)
# All values changed, and landmarks off by the whole side of the image.
MAXIMUM = FrameCost(IMAGE_WEIGHT, POINTS_WEIGHT * POINTS_SCALE)


def image_cost(before: NDArray[np.uint8], shown: NDArray[np.uint8], *, signed: bool) -> float:
    """The part of the pictures, (H, W, 3) each; ``before`` is resized to the other's size."""
    resized = before
    if before.shape != shown.shape:
        import cv2  # here: a challenge's server has NumPy alone, and its frames are of one size

        resized = np.asarray(cv2.resize(before, shown.shape[1::-1]), np.uint8)
    difference = resized.astype(np.int16) - shown if signed else resized - shown
    return float(np.mean(np.abs(difference) > LEVELS)) * IMAGE_WEIGHT


def points_cost(
    asked: NDArray[np.floating], given: NDArray[np.floating], asked_size: tuple[int, int], given_size: tuple[int, int]
) -> float:
    """The part of the landmarks (68, 2), in pixels of images of those sizes (height, width)."""
    difference = np.abs(asked / np.array(asked_size) - given / np.array(given_size))  # x by the height, as published
    return float(np.mean(difference) * POINTS_SCALE) * POINTS_WEIGHT


class ShownFrame(NamedTuple):
    """What is judged of an output frame.

    Attributes:
        image: (H, W, 3) uint8, of the query's size.
        reported: (68, 2) landmarks that the processor says the frame has.
        true: (68, 2) those of the frame really shown, moved as it was; None where it is not what it was said to be.
    """

    image: NDArray[np.uint8]
    reported: NDArray[np.floating]
    true: NDArray[np.floating] | None


class FrameCosts(NamedTuple):
    """A frame by the three definitions."""

    public: FrameCost
    signed: FrameCost
    honest: FrameCost


def score_frames(
    first: NDArray[np.uint8], asked: NDArray[np.floating], shown: Sequence[ShownFrame | None]
) -> list[FrameCosts]:
    """What each frame costs.

    Args:
        first: (H, W, 3), the query's first frame.
        asked: (T, 68, 2), the query's landmarks.
        shown: the frame that answers each of them; None for one that was dropped.

    Raises:
        ValueError: these are not equally many.
    """
    if len(asked) != len(shown):
        raise ValueError(f"{len(shown)} frames shown for {len(asked)} asked for")
    before, size, costs = first, first.shape[:2], []
    for points, frame in zip(asked, shown, strict=True):
        if frame is None:  # the picture before stays for the next comparison, as published
            costs.append(FrameCosts(FREE, FREE, MAXIMUM))
            continue
        own_size = frame.image.shape[:2]
        reported = points_cost(points, frame.reported, size, own_size)
        signed = FrameCost(image_cost(before, frame.image, signed=True), reported)
        honest = MAXIMUM
        if frame.true is not None:
            true = points_cost(points, frame.true, size, own_size)
            honest = FrameCost(signed.image, min(true, MAXIMUM.points))
        costs.append(FrameCosts(FrameCost(image_cost(before, frame.image, signed=False), reported), signed, honest))
        before = frame.image
    return costs


class CostSummary(NamedTuple):
    """One definition over a video: sums of the two parts, and of both; a mean is over all frames of the query."""

    image: float
    points: float
    total: float
    mean: float


def summary(costs: Sequence[FrameCosts]) -> dict[str, CostSummary]:
    """The sums of each definition, by its name."""
    found = {}
    for number, kind in enumerate(KINDS):
        image, points = (float(sum(frame[number][part] for frame in costs)) for part in (0, 1))
        found[kind] = CostSummary(image, points, image + points, (image + points) / max(len(costs), 1))
    return found
