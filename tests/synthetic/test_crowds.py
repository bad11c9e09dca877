"""Pictures of several people: points and boxes are where they are drawn, and nothing but the seed decides."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import pytest

from lwface.formats.alignment import five_from_68
from lwface.synthetic.backdrops import PAINTERS, backdrop
from lwface.synthetic.crowds import LEAST, ShownFace, _Layer, _put, crowd, headless, scrambled
from lwface.synthetic.head_bank import SIDE, Head, HeadBank

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))


def face() -> np.ndarray:
    """Points (68, 2) that are in the right places roughly: eyes, nose and mouth by iBUG's numbers."""
    points = np.zeros((68, 2), np.float32)
    turn = np.linspace(0, np.pi, 17)
    points[:17] = np.stack((128 - 45 * np.cos(turn), 110 + 50 * np.sin(turn)), axis=1)
    points[17:27] = np.stack((np.linspace(90, 166, 10), np.full(10, 88)), axis=1)
    points[27:36] = (128, 122)
    points[36:42], points[42:48] = (108, 102), (148, 102)
    points[48:68] = (128, 145)
    points[[48, 60]], points[[54, 64]] = (112, 145), (144, 145)
    return points


class Dots:
    """A bank whose heads are black ovals with a dot of another colour at each of the five points."""

    def __init__(self) -> None:
        pixels, self.points = np.zeros((SIDE, SIDE, 4), np.uint8), face()
        cv2.ellipse(pixels, (128, 120), (60, 75), 0, 0, 360, (0, 0, 0, 255), -1)
        for (x, y), colour in zip(five_from_68(self.points), COLOURS, strict=True):
            cv2.circle(pixels, (round(x), round(y)), 5, (*colour, 255), -1)
        self.one = Head(pixels, self.points)

    def head(self, number: int) -> Head:
        """The same each time."""
        return self.one


@pytest.fixture(scope="module")
def dots() -> HeadBank:
    return cast(HeadBank, Dots())


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grey behind, no camera, no other light, nothing that is no face."""
    module = "lwface.synthetic.crowds"
    monkeypatch.setattr(f"{module}.backdrop", lambda rng, side: np.full((side, side, 3), 90, np.float32))
    monkeypatch.setattr(f"{module}.camera", lambda rng, image: (np.clip(image, 0, 255).astype(np.uint8), 1.0))
    monkeypatch.setattr(f"{module}.writing", lambda rng, image: None)
    monkeypatch.setattr(
        f"{module}._spoilt", lambda rng, patch: (patch[..., :3].copy(), np.repeat(patch[..., 3:] / 255, 3, axis=2))
    )


def middle_of(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """The centre of what has nearly ``colour``; a mirrored head's left eye is the other dot."""
    near = np.abs(image.astype(int) - colour).sum(axis=2) < 120
    return np.argwhere(near).mean(axis=0)[::-1]


def test_points_are_where_they_are_drawn(dots: HeadBank, plain: None) -> None:
    mirrored = seen = 0
    for number in range(40):
        rng, shown = np.random.default_rng((1, number)), list[ShownFace]()
        image = np.full((256, 256, 3), 90, np.float32)
        _put(rng, image, _Layer(float(rng.uniform(40, 150)), dots.head(0), True), shown)
        whole = [one for one in shown if one.box.min() > 2 and one.box.max() < 253]
        if not whole:
            continue
        points = whole[0].points
        found = np.stack([middle_of(image, colour) for colour in COLOURS])
        if np.linalg.norm(found[0] - points[0]) > np.linalg.norm(found[1] - points[0]):
            found, mirrored = found[[1, 0, 2, 4, 3]], mirrored + 1
        np.testing.assert_allclose(found, points, atol=0.03 * whole[0].size)
        assert whole[0].clear
        seen += 1
    assert seen > 5
    assert 0 < mirrored < seen


def test_a_picture_is_a_function_of_its_seed(dots: HeadBank) -> None:
    """And of nothing that was drawn before it."""
    pictures = [crowd(np.random.default_rng(number), dots, [0, 1], [2], 128) for number in range(8)]
    for number in reversed(range(8)):
        image, faces = crowd(np.random.default_rng(number), dots, [0, 1], [2], 128)
        np.testing.assert_array_equal(image, pictures[number][0])
        assert [one.box.tolist() for one in faces] == [one.box.tolist() for one in pictures[number][1]]
    assert len({image.tobytes() for image, _ in pictures}) == 8
    counts = [len(faces) for _, faces in pictures]
    assert min(counts) >= 0
    assert all(one.size >= LEAST * 0.99 for _, faces in pictures for one in faces)


def test_what_covers_a_face_makes_it_unclear_or_takes_it_away(dots: HeadBank, plain: None) -> None:
    """A face that is clear shows its two eyes and its mouth where they are said to be."""
    states = {True: 0, False: 0}
    for number in range(40):
        _, faces = crowd(np.random.default_rng((2, number)), dots, [0] * 8, [], 128)
        for one in faces:
            states[one.clear] += 1
            inside = (np.minimum(one.box[2:], 127.5) - np.maximum(one.box[:2], -0.5)).clip(min=0).prod()
            assert not one.clear or inside / (one.box[2:] - one.box[:2]).prod() > 0.5
    assert min(states.values()) > 3


def test_what_is_no_face_has_none(dots: HeadBank) -> None:
    head = dots.head(0)
    body = headless(head)
    assert body.points is None
    assert not body.pixels[: int(head.points[:, 1].max())].any()  # type: ignore[index]
    mixed = scrambled(np.random.default_rng(0), head)
    assert mixed.points is None
    assert (mixed.pixels != head.pixels).any()
    outside = head.pixels.copy()
    outside[80:170, 75:180] = mixed.pixels[80:170, 75:180]
    np.testing.assert_array_equal(outside, mixed.pixels)


def test_backdrops_of_all_kinds_are_pictures() -> None:
    for painter in PAINTERS:
        for seed in range(3):
            image = np.full((64, 64, 3), 100, np.float32)
            painter(np.random.default_rng(seed), image)
            assert np.isfinite(image).all()
    image = backdrop(np.random.default_rng(0), 96)
    assert image.shape == (96, 96, 3)
    assert 0 <= image.min() < image.max() <= 255
