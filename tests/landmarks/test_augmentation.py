"""Points go with the picture: marks are painted on it, and found again where the points say."""

import dataclasses

import cv2
import numpy as np
import pytest

from lwface.landmarks.augmentation import NONE, Strength, augment
from lwface.landmarks.cropping import ROOM, box_of, moved, square_of, to_crop
from lwface.landmarks.scheme import MIRROR

GEOMETRY = Strength(rotation=20, scale=0.15, shift=0.05, perspective=0.08, mirror=0.5,
                    colour=0, grey=0, blur=0, noise=0, jpeg=0, coarse=0, occlusion=0, cut=0)  # fmt: skip
SQUARE = np.array((200.0, 190.0, 220.0))


@pytest.fixture
def marked():
    """A picture with one white disc, and 68 points of which the first is in its middle."""
    picture = np.zeros((400, 400, 3), np.uint8)
    cv2.circle(picture, (220, 170), 7, (255, 255, 255), -1)
    points = np.random.default_rng(0).uniform(120, 280, (68, 2))
    points[0] = (220, 170)
    return picture, points


@pytest.mark.parametrize("seed", range(12))
def test_points_stay_on_what_they_mark(marked, seed):
    picture, points = marked
    image, places = augment(picture, points, SQUARE, MIRROR, GEOMETRY, np.random.default_rng(seed))
    grey = image[..., 0].astype(float)
    y, x = np.mgrid[:112, :112]
    middle = np.array([(grey * x).sum(), (grey * y).sum()]) / grey.sum()
    # A mirrored face has its first point at the other end of the jaw.
    nearest = min(np.linalg.norm(places[0] - middle), np.linalg.norm(places[MIRROR[0]] - middle))
    assert nearest < 0.6


def test_without_strength_it_is_the_crop(marked):
    picture, points = marked
    image, places = augment(picture, points, SQUARE, MIRROR, NONE, np.random.default_rng(0), tight=False)
    np.testing.assert_allclose(places, moved(points, to_crop(SQUARE)), atol=1e-4)
    again, _ = augment(picture, points, SQUARE, MIRROR, NONE, np.random.default_rng(7), tight=False)
    np.testing.assert_array_equal(image, again)


@pytest.mark.parametrize("seed", range(4))
def test_a_turned_face_is_in_the_middle_of_its_new_box(marked, seed):
    """Where boxes are exact, the crop of a turned head is that of a head which was found so."""
    picture, points = marked
    exact = dataclasses.replace(GEOMETRY, scale=0.0, shift=0.0)
    _, places = augment(picture, points, square_of(box_of(points)[None])[0], MIRROR, exact, np.random.default_rng(seed))
    left, top, right, bottom = box_of(places)
    np.testing.assert_allclose(((left + right) / 2, (top + bottom) / 2), 55.5, atol=1e-3)
    assert max(right - left, bottom - top) == pytest.approx(112 / ROOM, abs=1e-3)


def test_a_mirrored_face_has_its_points_renamed(marked):
    picture, points = marked
    mirrored = dataclasses.replace(NONE, mirror=1.0)
    image, places = augment(picture, points, SQUARE, MIRROR, mirrored, np.random.default_rng(0))
    plain, before = augment(picture, points, SQUARE, MIRROR, NONE, np.random.default_rng(0))
    np.testing.assert_array_equal(image, plain[:, ::-1])
    for point in range(68):
        np.testing.assert_allclose(places[point], (111 - before[MIRROR[point]][0], before[MIRROR[point]][1]), atol=1e-4)


@pytest.mark.parametrize("name", ["colour", "grey", "blur", "noise", "jpeg", "coarse", "occlusion", "cut"])
def test_what_changes_pixels_moves_no_point(name):
    draw = np.random.default_rng(3)
    picture = cv2.GaussianBlur(draw.integers(0, 256, (400, 400, 3), np.uint8), (0, 0), 6)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    points = draw.uniform(120, 280, (68, 2))
    only = dataclasses.replace(NONE, **{name: 1.0})
    plain, before = augment(picture, points, SQUARE, MIRROR, NONE, np.random.default_rng(0))
    image, places = augment(picture, points, SQUARE, MIRROR, only, np.random.default_rng(0))
    np.testing.assert_array_equal(places, before)
    assert image.dtype == np.uint8
    assert image.shape == (112, 112, 3)
    assert (image != plain).any()


def test_the_same_draw_gives_the_same_bytes(marked):
    picture, points = marked
    first, second = (augment(picture, points, SQUARE, MIRROR, Strength(), np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
