"""Orders of landmarks are told from each other on procedural faces, whose points are known."""

from __future__ import annotations

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.alignment import ARCFACE_TEMPLATE, EYES_AND_NOSE_BASE, five_from_68, similarity_transform
from lwface.formats.landmark_fit import best_upright_order, face_points, fit
from lwface.formats.landmark_order import DLIB5, MAX_RESIDUAL, NAMED, LandmarkOrder, landmark_order, order_for
from lwface.synthetic.render import sample_image

DLIB_CORNERS = [45, 42, 36, 39, 33]  # of 68


@pytest.fixture(scope="module")
def faces68() -> np.ndarray:
    """The 68 points (8, 68, 2) of eight people."""
    return np.stack([sample_image(3, person, 0).landmarks68.astype(np.float64) for person in range(8)])


def listed(faces68: np.ndarray, order: LandmarkOrder) -> np.ndarray:
    """Rows (N, 5, 2) as a tool of this order writes them."""
    if order.columns == DLIB5:
        rows = faces68[:, DLIB_CORNERS]
    else:
        five = np.stack([five_from_68(face) for face in faces68])
        rows = np.empty_like(five)
        rows[:, [int(c) for c in order.columns]] = five
    return rows[:, :, ::-1] if order.y_first else rows


@pytest.mark.parametrize("y_first", [False, True])
@pytest.mark.parametrize("name", NAMED)
def test_every_named_order_is_recognised_and_converted(faces68: np.ndarray, name: str, y_first: bool) -> None:
    order = LandmarkOrder(NAMED[name], y_first)
    rows = listed(faces68, order)
    best = best_upright_order(rows)
    assert best is not None
    assert best[0] == order
    found = face_points(rows, order)
    five = np.stack([five_from_68(face) for face in faces68])
    if name == DLIB5:
        corners = [faces68[:, [36, 39]].mean(axis=1), faces68[:, [42, 45]].mean(axis=1), faces68[:, 33]]
        np.testing.assert_allclose(found, np.stack(corners, axis=1))
    else:
        np.testing.assert_array_equal(found, five)
    assert fit(found).medians()[0] < 7


def test_a_subject_s_68_points_are_recognised(faces68: np.ndarray) -> None:
    mirror = np.arange(68)
    mirror[36:48] = [*range(42, 48), *range(36, 42)]
    mirror[[48, 54]] = 54, 48
    best = best_upright_order(faces68[:, mirror])
    assert best is not None
    assert str(best[0]) == "subject"
    np.testing.assert_allclose(face_points(faces68[:, mirror], best[0])[0], five_from_68(faces68[0]))


@pytest.mark.parametrize(("count", "template"), [(5, ARCFACE_TEMPLATE), (3, EYES_AND_NOSE_BASE)])
def test_fit_against_the_transform(count: int, template: np.ndarray) -> None:
    dice = np.random.default_rng(count)
    points = template.astype(float) * 2.5 + dice.normal(0, 6, (20, count, 2)) + 40
    points[10:] = points[10:] @ [[0, 1], [-1, 0]]  # turned by a right angle
    for face, residual, turn in zip(points, *fit(points), strict=True):
        matrix = similarity_transform(face, template)
        left = face @ matrix[:, :2].T + matrix[:, 2] - template
        freedom = (2 * count - 4) / (2 * count)  # residuals of three points count as those of five
        wanted = np.sqrt((left**2).sum(axis=1).mean() / freedom * (6 / 10))
        assert residual == pytest.approx(wanted)
        assert turn == pytest.approx(abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))))
    assert np.isinf(fit(np.ones((1, count, 2))).residual[0])


def test_wrong_orders_are_beyond_the_limit_or_turned(faces68: np.ndarray) -> None:
    for name, columns in NAMED.items():
        if name != "arcface":
            residual, turn = fit(listed(faces68, LandmarkOrder(columns))).medians()
            assert residual > MAX_RESIDUAL or turn > 120, name


def test_names() -> None:
    assert str(landmark_order("10243")) == "subject"
    assert str(landmark_order("01234,yx")) == "arcface,yx"
    assert landmark_order("02134").columns == "02134"
    assert landmark_order("dlib5,yx") == LandmarkOrder(DLIB5, True)
    for text in ("subjects", "01233", "012345", "", "yx"):
        with pytest.raises(UserError, match="unknown order of landmarks"):
            landmark_order(text)
    with pytest.raises(UserError, match="the csv has 68"):
        order_for(landmark_order("dlib5"), 68)
