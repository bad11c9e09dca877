"""Boxes, their suppression, and the pictures that a detector is given."""

from __future__ import annotations

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.detection.base import DETECTORS, SIDE, BoxFit, Detection, Detector, overlap, surest
from lwface.detection.choices import DETECTOR_NAMES, OWN
from lwface.detection.loading import open_detector


def boxes_of(seed: int, count: int) -> np.ndarray:
    corners = np.random.default_rng(seed).uniform(0, 60, (count, 2, 2))
    return np.concatenate((corners.min(axis=1), corners.max(axis=1) + 5), axis=1)


def naive_overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Counted on a fine grid of points."""
    ticks = np.arange(0, 66, 0.05) + 0.025
    inside = [
        ((ticks >= box[0]) & (ticks < box[2]))[:, None] & ((ticks >= box[1]) & (ticks < box[3])) for box in (one, other)
    ]
    return float((inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum())


def test_overlap_is_the_share_of_common_area() -> None:
    ours, others = boxes_of(0, 5), boxes_of(1, 4)
    expected = [[naive_overlap(one, other) for other in others] for one in ours]
    np.testing.assert_allclose(overlap(ours, others), expected, atol=5e-3)
    assert overlap(ours, ours).diagonal() == pytest.approx(1)


@pytest.mark.parametrize("of_smaller", [False, True])
def test_suppression_against_the_definition(of_smaller: bool) -> None:
    boxes = boxes_of(2, 60)
    scores = np.random.default_rng(3).permutation(60) / 60
    kept: list[int] = []
    for i in np.argsort(-scores):
        area = (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
        shares = []
        for j in kept:
            width = max(0, min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0]))
            height = max(0, min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1]))
            other = (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1])
            shared = width * height
            shares.append(shared / (min(area, other) if of_smaller else area + other - shared))
        if all(share <= 0.4 for share in shares):
            kept.append(int(i))
    assert 5 < len(kept) < 60
    assert surest(boxes, scores, 0.4, of_smaller=of_smaller).tolist() == kept
    assert surest(boxes[:0], scores[:0], 0.4).tolist() == []


class Bright(Detector):
    """Finds the one bright rectangle."""

    min_score = 0.5
    tight = BoxFit((0, 0, 0, 0), 0, "")
    seen: tuple[int, ...] = ()

    def find(self, image: np.ndarray) -> list[Detection]:
        self.seen = image.shape
        y, x = np.nonzero(image[..., 0] > 127)
        box = np.array((x.min(), y.min(), x.max(), y.max()), np.float32)
        return [
            Detection(box, score, np.array([box[:2], box[2:]] * 2 + [box[:2]], np.float32)) for score in (0.4, 0.6, 0.9)
        ]


@pytest.mark.parametrize("size", [(300, 400), (1500, 2000), (4000, 900)])
def test_large_pictures_are_shrunk_and_places_are_those_of_the_picture(size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.uint8)
    top, bottom, left, right = size[0] // 5, size[0] // 2, size[1] // 4, size[1] // 3
    image[top : bottom + 1, left : right + 1] = 255
    detector = Bright()
    found = detector(image)
    assert max(detector.seen[:2]) == min(SIDE, max(size))
    assert [face.score for face in found] == [0.9, 0.6]
    assert len(detector(image, min_score=0.1)) == 3
    pixel = max(1, max(size) / SIDE)  # of the shrunk picture
    for face in found:
        np.testing.assert_allclose(face.box, (left, top, right, bottom), atol=0 if pixel == 1 else pixel)
        assert face.points is not None
        np.testing.assert_allclose(face.points[0], face.box[:2], atol=1e-3)


def test_only_pictures_are_taken() -> None:
    for image in (np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)):
        with pytest.raises(ValueError, match="RGB uint8 image"):
            Bright()(image)


def test_every_name_has_a_detector_with_a_fit() -> None:
    assert set(DETECTORS) == set(DETECTOR_NAMES)
    for name in DETECTORS:
        kind = DETECTORS[name]
        assert isinstance(kind, type)
        assert issubclass(kind, Detector)
        assert 0 < kind.min_score < 1
        assert kind.tight.source
        # Others' box the forehead, the points begin at the brows; ours boxes the points.
        assert kind.tight.shares == (0, 0, 0, 0) if name == OWN else 0.1 < kind.tight.shares[1] < 0.4
    with pytest.raises(UserError, match="did you mean 'yunet'"):
        open_detector("yunett")
