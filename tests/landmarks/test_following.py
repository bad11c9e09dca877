"""A face followed over procedural videos whose points are known: through motion, cuts, and where there is none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lwface.detection.base import BoxFit, Detection, Detector, overlap
from lwface.detection.selection import FaceFinder
from lwface.formats.video import TimedFrame
from lwface.landmarks.cropping import box_of
from lwface.landmarks.drawing import FOUND, draw_points, draw_text
from lwface.landmarks.following import CHECK_EVERY, FaceFollower
from lwface.landmarks.one_euro import OneEuroFilter
from lwface.synthetic.render import Picture
from lwface.synthetic.video import video

FRAMES = 24


@pytest.fixture(scope="module")
def clips() -> list[list[Picture]]:
    return [list(video(5, who, 0, frames=FRAMES, frame_size=96)) for who in (1, 2)]


class Truth:
    """Detector and predictor that know the truth: boxes of the 68 points, and points where the box lies right."""

    count = 68

    def __init__(self, pictures: Sequence[Picture | None]) -> None:
        self.pictures, self.asked, self.searched = list(pictures), 0, 0
        self.now: Picture | None = None
        truth = self

        class Knowing(Detector):
            min_score = 0.5
            tight = BoxFit((0, 0, 0, 0), 0, "")

            def find(self, image: np.ndarray) -> list[Detection]:
                truth.searched += 1
                if truth.now is None:
                    return []
                return [Detection(box_of(truth.now.landmarks68), 0.9, truth.now.landmarks5)]

        self.detector = Knowing()

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """The truth for a box near it; elsewhere, as models do, a face's points laid into the box."""
        self.asked += 1
        face = self.pictures[0] if self.now is None else self.now
        assert face is not None
        own = box_of(face.landmarks68)
        if self.now is not None and overlap(boxes, own[None])[0, 0] > 0.4:
            return face.landmarks68[None]
        shares = (face.landmarks68 - own[:2]) / (own[2:] - own[:2])
        return (boxes[:, None, :2] + shares * (boxes[:, None, 2:] - boxes[:, None, :2])).astype(np.float32)

    def followed(self, points: bool = True, smoothing: OneEuroFilter | None = None) -> list:
        follower = FaceFollower(
            FaceFinder(self.detector, self if points else None), smoothing or OneEuroFilter(1e9, 0.0)
        )
        found = []
        for number, picture in enumerate(self.pictures):
            self.now = picture
            empty = np.zeros((96, 96, 3), np.uint8)
            found.append(follower(TimedFrame(number / 25, empty if picture is None else picture.frame)))
        assert follower.searches == self.searched
        return found


def test_a_moving_face_is_followed_without_the_detector(clips: list[list[Picture]]) -> None:
    truth = Truth(clips[0])
    found = truth.followed()
    for face, picture in zip(found, clips[0], strict=True):
        np.testing.assert_allclose(face.points, picture.landmarks68, atol=1e-3)
        np.testing.assert_array_equal(face.unsmoothed, picture.landmarks68)
    assert [face.found_anew for face in found] == [True] + [False] * (FRAMES - 1)
    assert truth.searched == 1 + (FRAMES - 1) // CHECK_EVERY


def test_the_filter_lags_behind_by_what_it_says(clips: list[list[Picture]]) -> None:
    smoothing = OneEuroFilter()
    found = Truth(clips[0]).followed(smoothing=smoothing)
    other = OneEuroFilter()
    for number, (face, picture) in enumerate(zip(found, clips[0], strict=True)):
        box = box_of(picture.landmarks68)
        size = float(np.sqrt((box[2:] - box[:2]).prod()))
        np.testing.assert_allclose(face.points, other(number / 25, picture.landmarks68, size), rtol=1e-5)
        assert np.linalg.norm(face.points - picture.landmarks68, axis=1).mean() < 0.03 * size


def test_after_a_cut_the_detector_looks_again(clips: list[list[Picture]]) -> None:
    """The other person stands elsewhere; nothing of the first one's points is left in the smoothed ones."""
    pictures = [*clips[0][:8], *clips[1][:8]]
    found = Truth(pictures).followed(smoothing=OneEuroFilter())
    assert [number for number, face in enumerate(found) if face.found_anew] == [0, 8]
    np.testing.assert_array_equal(found[8].points, clips[1][0].landmarks68)


def test_where_the_face_is_gone_there_are_no_points(clips: list[list[Picture]]) -> None:
    truth = Truth([*clips[0][:5], *[None] * (2 * CHECK_EVERY), *clips[0][:5]])
    found = truth.followed()
    there = [face is not None for face in found]
    assert there[:5] == there[-5:] == [True] * 5
    assert not any(there[5 + CHECK_EVERY : -5])


def test_a_model_whose_boxes_shrink_is_set_right(clips: list[list[Picture]]) -> None:
    """Points a tenth too close together make the next box too small, and so on, until the detector is asked."""

    class Shrinking(Truth):
        def __call__(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
            assert self.now is not None
            own = box_of(self.now.landmarks68)
            shares = (self.now.landmarks68 - own[:2]) / (own[2:] - own[:2])
            points = boxes[:, None, :2] + shares * (boxes[:, None, 2:] - boxes[:, None, :2])
            middle = points.mean(axis=1, keepdims=True)
            return (middle + 0.9 * (points - middle)).astype(np.float32)

    truth = Shrinking([*clips[0], *clips[0]])
    for face, picture in zip(truth.followed(), truth.pictures, strict=True):
        assert picture is not None
        assert face is not None
        size = np.ptp(picture.landmarks68, axis=0).mean()
        assert 0.6 < np.ptp(face.unsmoothed, axis=0).mean() / size < 1.01
        assert np.linalg.norm(face.unsmoothed - picture.landmarks68, axis=1).mean() < 0.15 * size


def test_when_the_picture_changes_the_detector_is_asked(clips: list[list[Picture]]) -> None:
    """An edge of the picture is inverted and stays so: a change, but no cut, and the face is the same."""
    pictures = [clips[0][0]] * 6
    frames = [picture.frame.copy() for picture in pictures]
    for frame in frames[3:]:
        frame[:, :8] = 255 - frame[:, :8]
    truth = Truth(pictures)
    follower = FaceFollower(FaceFinder(truth.detector, truth), OneEuroFilter())
    truth.now = pictures[0]
    found = [follower(TimedFrame(number / 25, frame)) for number, frame in enumerate(frames)]
    assert [face is not None and face.found_anew for face in found] == [True] + [False] * 5
    assert truth.searched == 2


def test_without_a_model_the_five_points_of_the_detector_are_followed(clips: list[list[Picture]]) -> None:
    truth = Truth(clips[0])
    found = truth.followed(points=False)
    assert truth.searched == FRAMES
    assert [face.found_anew for face in found] == [True] + [False] * (FRAMES - 1)
    for face, picture in zip(found, clips[0], strict=True):
        np.testing.assert_allclose(face.points, picture.landmarks5, atol=1e-3)


def test_points_are_drawn_where_they_are() -> None:
    image = np.full((120, 160, 3), 100, np.uint8)
    points = np.array([[20.0, 30], [140, 30], [80, 60], [30, 100], [130.5, 100]])
    drawn = draw_points(image, points)
    assert (image == 100).all()
    changed = np.argwhere((drawn != image).any(axis=2))[:, ::-1]
    nearest = np.linalg.norm(changed[:, None] - points[None], axis=2)
    assert nearest.min(axis=1).max() < 4
    for point in range(5):
        own = changed[nearest.argmin(axis=1) == point]
        weights = np.abs(drawn.astype(int) - image)[own[:, 1], own[:, 0]].sum(axis=1)
        np.testing.assert_allclose(np.average(own, axis=0, weights=weights), points[point], atol=0.1)
    np.testing.assert_array_equal(drawn[30, 20], FOUND)
    assert draw_points(image, np.random.default_rng(0).uniform(0, 100, (68, 2))).shape == image.shape
    draw_text(drawn, "25 frames/s")
    assert (drawn[:10, :10] != 100).any()
    assert (drawn[60:, 100:] == draw_points(image, points)[60:, 100:]).all()
