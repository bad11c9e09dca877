"""Frames moved onto a face: where the landmarks are said to be, their pixels are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lwface.montage.moving import colour_match, draw, moved_points, placed_frame, similarity
from lwface.montage.places import RESIZED, Move, drawn_plainly, is_drawn
from tests.montage.conftest import face, picture

SOURCE, OUTPUT = (120, 150), (160, 140)


def dotted(point):
    """A black picture with one soft dot, whose centre can be measured to a fraction of a pixel."""
    y, x = np.mgrid[: SOURCE[0], : SOURCE[1]]
    return (
        np.repeat(255 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / 8), 3)
        .reshape(*SOURCE, 3)
        .astype(np.uint8)
    )


def centre(image):
    """Centre of mass of the brightest place and its surroundings."""
    grey = image[..., 0].astype(float)
    y, x = np.unravel_index(grey.argmax(), grey.shape)
    top, left = max(y - 6, 0), max(x - 6, 0)
    part = grey[top : y + 7, left : x + 7]
    rows, columns = np.mgrid[: part.shape[0], : part.shape[1]]
    return np.array([left + (columns * part).sum() / part.sum(), top + (rows * part).sum() / part.sum()])


@pytest.mark.parametrize("kind", ["none", "similarity", "points"])
def test_pixels_are_where_landmarks_are_said_to_be(kind):
    source, target = face(1, SOURCE), face(2, OUTPUT)
    matrix = None if kind == "none" else similarity(source, target)
    move = Move(matrix, target if kind == "points" else None)
    said = moved_points(source, move, SOURCE, OUTPUT)
    for number in (0, 8, 16, 30, 36, 45, 57):
        seen = centre(draw(dotted(source[number]), source, move, OUTPUT))
        assert np.abs(seen - said[number]).max() < 0.6


def test_bending_brings_landmarks_nearer_and_a_similarity_is_the_best_of_its_kind():
    source, target = face(3, SOURCE), face(4, OUTPUT)
    matrix = similarity(source, target)

    def missed(move):
        return ((moved_points(source, move, SOURCE, OUTPUT) - target) ** 2).sum()

    best = missed(Move(matrix))
    for other in np.random.default_rng(0).normal(0, 1e-3, (20, 2)):
        factor = np.array([[1 + other[0], -other[1]], [other[1], 1 + other[0]]])
        turned = np.column_stack([matrix[:, :2] @ factor, matrix[:, 2]])
        assert missed(Move(turned)) >= best - 1e-9
    assert missed(Move(matrix, target)) < 0.2 * best
    assert missed(Move()) > 2 * best


def test_a_similarity_that_was_applied_is_found():
    source = face(5, SOURCE)
    known = np.array([[0.8, -0.3, 5.0], [0.3, 0.8, -7.0]])
    np.testing.assert_allclose(similarity(source, source @ known[:, :2].T + known[:, 2]), known, atol=1e-9)


def test_landmarks_on_one_place_do_not_tear_the_picture():
    source, target = face(6, SOURCE), face(7, OUTPUT)
    source[60] = source[61] = source[62]
    target[60:64] = target[60]
    frame, there = placed_frame(picture(1, SOURCE), source, Move(similarity(source, target), target), OUTPUT)
    assert frame.shape == (*OUTPUT, 3)
    assert np.isfinite(there).all()
    assert np.abs(there - target).mean() < 2
    assert np.isfinite(similarity(np.zeros((68, 2)), target)).all()


def test_colours_get_the_mean_and_the_contrast_of_the_face_they_are_matched_to():
    dice = np.random.default_rng(0)
    own, other = face(8, OUTPUT), face(9, OUTPUT)
    image = dice.normal((90, 120, 100), 20, (*OUTPUT, 3)).clip(0, 255).astype(np.uint8)
    like = dice.normal((140, 110, 120), 25, (*OUTPUT, 3)).clip(0, 255).astype(np.uint8)
    colour = colour_match(image, own, like, other)
    drawn = draw(image, own, Move(colour=colour), OUTPUT)

    def part(picture, points):
        left, top = points.min(axis=0).astype(int)
        right, bottom = points.max(axis=0).astype(int)
        return picture[top:bottom, left:right].reshape(-1, 3)

    np.testing.assert_allclose(part(drawn, own).mean(axis=0), part(like, other).mean(axis=0), atol=1.5)
    np.testing.assert_allclose(part(drawn, own).std(axis=0), part(like, other).std(axis=0), atol=1.5)
    outside = face(8, OUTPUT) + 1000  # a face that lies beside the picture
    assert np.isfinite(colour_match(image, outside, like, other)).all()


def test_what_was_drawn_is_told_from_another_picture():
    source = face(1, SOURCE)
    move = Move(similarity(source, face(2, OUTPUT)))
    shown = draw(picture(1, SOURCE), source, move, OUTPUT)
    smooth = cv2.warpAffine(picture(1, SOURCE), move.matrix, OUTPUT[::-1], flags=cv2.INTER_CUBIC, borderMode=1)
    assert is_drawn(smooth, shown)
    assert not is_drawn(draw(picture(2, SOURCE), source, move, OUTPUT), shown)
    assert not is_drawn(np.roll(shown, 12, axis=1), shown)
    assert not is_drawn(shown[1:], shown)


@pytest.mark.parametrize("size", [(40, 60), (64, 64), (97, 33)])
def test_drawn_plainly_is_what_opencv_draws(size):
    """Of smooth pictures: OpenCV's places are rounded to a 32nd of a pixel."""
    draw_of = np.random.default_rng(0)
    coarse = draw_of.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = np.asarray(cv2.resize(coarse, (48, 56), interpolation=cv2.INTER_CUBIC), np.uint8)
    points = draw_of.uniform(10, 40, (68, 2))
    turned = similarity(points, points @ [[0.9, 0.3], [-0.3, 0.9]] + (3.5, -2.25))
    for move in (RESIZED, Move(turned)):
        again = drawn_plainly(image, move, size).astype(int)
        assert np.abs(again - draw(image, points, move, size)).max() <= 2
