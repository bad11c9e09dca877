"""Which of several faces a photograph is of, and what is measured of each."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.detection.base import BoxFit, Detection, Detector
from lwface.detection.selection import (
    ALWAYS,
    IF_NONE,
    NEVER,
    NO_FACE,
    OTHER_FACE,
    UNCLEAR,
    FaceFinder,
    FoundFace,
    prominence,
    verdicts,
)
from lwface.formats.alignment import align
from lwface.synthetic.render import sample_image

SIZE = (400, 600)


def face(x: float, y: float, side: float) -> FoundFace:
    box = np.array((x - side / 2, y - side / 2, x + side / 2, y + side / 2), np.float32)
    return FoundFace(box, 0.9, np.zeros((5, 2), np.float32), 1.0, 100.0)


def test_the_largest_and_most_central_face_is_meant() -> None:
    large, central, corner = face(150, 200, 100), face(300, 200, 60), face(590, 390, 100)
    assert verdicts([central, large], SIZE, "largest", 20) == [OTHER_FACE, ""]
    assert verdicts([large], SIZE, "largest", 20) == [""]
    assert verdicts([face(300, 200, 100), corner], SIZE, "largest", 20) == ["", OTHER_FACE]
    assert verdicts([face(200, 200, 100), face(400, 200, 95)], SIZE, "largest", 20) == [UNCLEAR, UNCLEAR]
    assert verdicts([], SIZE, "largest", 20) == []
    assert NO_FACE not in (OTHER_FACE, UNCLEAR)


def test_faces_that_are_too_small_do_not_count() -> None:
    found = [face(300, 200, 30), face(200, 200, 29)]
    small = "the face is too small: less than 29.5 pixels (--min-face)"
    assert verdicts(found, SIZE, "largest", 29.5) == ["", small]
    assert verdicts(found, SIZE, "largest", 20) == [UNCLEAR, UNCLEAR]
    assert verdicts(found, SIZE, "all", 20) == ["", ""]
    assert verdicts(found, SIZE, "all", 29.5) == ["", small]
    assert verdicts(found[1:], SIZE, "largest", 29.5) == [small]


def test_prominence_by_its_formula() -> None:
    assert prominence(face(299.5, 199.5, 50), SIZE) == pytest.approx(2500)
    assert prominence(face(0, 0, 50), SIZE) == pytest.approx(1250, rel=0.01)
    assert prominence(face(-900, 0, 50), SIZE) == pytest.approx(1250)


class Two(Detector):
    """Gives the same two detections for every picture."""

    min_score = 0.5
    tight = BoxFit((0.1, 0.2, -0.1, 0.0), 0, "")

    def __init__(self, *found: Detection) -> None:
        self.found = found

    def find(self, image: np.ndarray) -> list[Detection]:
        return list(self.found)


class Points:
    """Puts 68 points into a box, the same everywhere."""

    count = 68

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.places = rng.uniform(0, 1, (68, 2))

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return (boxes[:, None, :2] + self.places * (boxes[:, None, 2:] - boxes[:, None, :2])).astype(np.float32)


def test_points_are_put_into_the_box_ofes() -> None:
    boxes = np.array([[10, 20, 60, 90], [100, 20, 160, 80]], np.float32)
    finder = FaceFinder(Two(*(Detection(box, 0.9 - 0.1 * i) for i, box in enumerate(boxes))), Points())
    found = finder(np.zeros((200, 200, 3), np.uint8))
    assert finder.count == 68
    np.testing.assert_allclose(found[0].box, [15, 34, 55, 90])
    np.testing.assert_allclose(found[1].box, [106, 32, 154, 80])
    assert found[1].size == pytest.approx(48)
    assert finder.points is not None
    for one in found:
        np.testing.assert_array_equal(one.points, finder.points(np.zeros((1, 1, 3), np.uint8), one.box[None])[0])


def test_quality_is_measured_in_the_crop() -> None:
    picture = sample_image(2, 3, 0)
    detection = Detection(np.array([40, 40, 150, 150], np.float32), 0.9, picture.landmarks5)
    (found,) = FaceFinder(Two(detection), None)(picture.frame)
    np.testing.assert_array_equal(found.points, picture.landmarks5)
    crop = align(picture.frame, picture.landmarks5)
    grey = np.pad(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(float), 1, mode="reflect")
    inner = -4 * grey[1:-1, 1:-1] + grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    assert found.sharpness == pytest.approx(inner.var(), rel=1e-6)
    blurred = np.asarray(cv2.GaussianBlur(picture.frame, (0, 0), 2), np.uint8)
    assert FaceFinder(Two(detection), None)(blurred)[0].sharpness < found.sharpness / 2
    assert found.residual < 8
    heap = Detection(detection.box, 0.9, np.full((5, 2), 7, np.float32))
    (found,) = FaceFinder(Two(heap), None)(picture.frame)
    assert (found.residual, found.sharpness) == (float("inf"), 0.0)


def test_a_detector_without_points_needs_a_model() -> None:
    with pytest.raises(UserError, match="--points-model"):
        FaceFinder(Two(Detection(np.array([1, 2, 3, 4], np.float32), 0.9)), None)(np.zeros((9, 9, 3), np.uint8))


class ByScale(Detector):
    """Sees a large face at first sight, and small ones, and a part of the large one, only from near."""

    min_score = 0.5
    tight = BoxFit((0, 0, 0, 0), 0, "")
    large, part, small = (100, 100, 900, 1000), (300, 300, 500, 500), (1500, 200, 1600, 320)

    def __init__(self, sees_large: bool = True) -> None:
        self.sees_large, self.searches = sees_large, 0

    def find(self, image: np.ndarray) -> list[Detection]:
        self.searches += 1
        scale = image.shape[1] / 2000
        seen = [(self.large, 0.8)] if self.sees_large else []
        if image.shape[1] > 700:
            seen += [(self.part, 0.99), (self.small, 0.9), (tuple(v + 8 for v in self.large), 0.95)]
        points = np.zeros((5, 2), np.float32)
        return [Detection(np.array(box, np.float32) * scale, score, points) for box, score in seen]


def test_small_faces_of_a_large_picture_are_looked_for_from_near() -> None:
    image = np.zeros((1200, 2000, 3), np.uint8)
    for closer, sees_large, searches, boxes in (
        (NEVER, True, 1, [ByScale.large]),
        (IF_NONE, True, 1, [ByScale.large]),
        (ALWAYS, True, 2, [ByScale.small, ByScale.large]),
        (NEVER, False, 1, []),
        (IF_NONE, False, 2, [ByScale.part, ByScale.small]),
    ):
        detector = ByScale(sees_large)
        found = FaceFinder(detector, None, closer)(image)
        assert detector.searches == searches
        assert len(found) == len(boxes)
        for face, box in zip(found, boxes, strict=True):
            np.testing.assert_allclose(face.box, box, atol=3)
    detector = ByScale()
    FaceFinder(detector, None, ALWAYS)(image[:300, :600])
    assert detector.searches == 1
