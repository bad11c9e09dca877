"""Boxes, crops and the way back, against a picture whose every pixel says where it is."""

import numpy as np
import pytest

from lwface.landmarks.cropping import box_of, crop, moved, out_of_crop, square_of, to_crop


def ramp(height, width):
    """A picture whose red is x and whose green is y."""
    y, x = np.mgrid[:height, :width]
    return np.stack((x, y, np.zeros_like(x)), axis=2).astype(np.uint8)


def test_a_pixel_of_the_crop_is_where_the_matrix_says():
    picture, square = ramp(200, 220), np.array((110.0, 95.0, 90.0))
    matrix = to_crop(square)
    found = crop(picture, matrix)
    for place in ((0, 0), (56, 30), (111, 111)):
        x, y = out_of_crop(np.array(place, float), square)
        assert found[place[1], place[0], 0] == pytest.approx(x, abs=1)
        assert found[place[1], place[0], 1] == pytest.approx(y, abs=1)


def test_the_square_fills_the_crop():
    square = np.array((50.0, 60.0, 112.0))
    edges = out_of_crop(np.array([[-0.5, -0.5], [111.5, 111.5]]), square)
    np.testing.assert_allclose(edges, [[50 - 56, 60 - 56], [50 + 56, 60 + 56]])


def test_out_of_the_crop_is_the_inverse():
    draw = np.random.default_rng(0)
    points, square = draw.uniform(-50, 400, (68, 2)), np.array((130.2, 77.7, 311.0))
    np.testing.assert_allclose(out_of_crop(moved(points, to_crop(square)), square), points, atol=1e-9)


def test_a_large_face_is_not_sampled_with_holes():
    """Stripes of a pixel each come out grey, wherever they fall."""
    picture = np.zeros((1120, 1120, 3), np.uint8)
    picture[:, ::2] = 255
    found = crop(picture, to_crop(np.array((559.5, 559.5, 1120.0))))
    assert np.abs(found.astype(int) - 127).max() < 12


def test_shrinking_first_does_not_move_anything():
    y, x = np.mgrid[:900, :900]
    disc = (np.hypot(x - 500, y - 300) < 60)[..., None] * np.full(3, 255, np.uint8)
    square = np.array((450.0, 450.0, 850.0))
    found = crop(disc.astype(np.uint8), to_crop(square))[..., 0].astype(float)
    rows, columns = np.mgrid[:112, :112]
    middle = np.array([(found * columns).sum(), (found * rows).sum()]) / found.sum()
    np.testing.assert_allclose(middle, moved(np.array([500.0, 300.0]), to_crop(square)), atol=0.05)


def test_boxes_and_squares():
    points = np.array([[10.0, 20.0], [40.0, 30.0], [25.0, 90.0]])
    np.testing.assert_allclose(box_of(points), (10, 20, 40, 90))
    np.testing.assert_allclose(box_of(np.stack((points, points + 1)))[1], (11, 21, 41, 91))
    np.testing.assert_allclose(square_of(box_of(points)[None], 1.5), [(25, 55, 105)])
