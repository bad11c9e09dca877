"""Costs against a naive reading of their definitions, and cases worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lwface.montage.costs import FREE, KINDS, MAXIMUM, ShownFrame, image_cost, points_cost, score_frames, summary

GREY = np.full((30, 40, 3), 100, np.uint8)


def naive_share(before, shown, *, wraps):
    """The definition, value by value."""
    before = cv2.resize(before, shown.shape[1::-1])
    changed = 0
    for a, b in zip(before.ravel().tolist(), shown.ravel().tolist(), strict=True):
        changed += ((a - b) % 256 if wraps else abs(a - b)) > 25
    return changed / shown.size


def naive_points(asked, given, asked_shape, given_shape):
    """The definition, point by point: x by the height, y by the width."""
    total = 0.0
    for (ax, ay), (bx, by) in zip(asked.tolist(), given.tolist(), strict=True):
        total += abs(ax / asked_shape[0] - bx / given_shape[0]) + abs(ay / asked_shape[1] - by / given_shape[1])
    return 0.9 * 10 * total / (2 * len(asked))


@pytest.mark.parametrize(
    ("change", "public", "signed"), [(1, 1.0, 0.0), (-20, 0.0, 0.0), (26, 1.0, 1.0), (-26, 1.0, 1.0), (-25, 0.0, 0.0)]
)
def test_one_level_brighter_costs_all_and_twenty_darker_nothing(change, public, signed):
    shown = (GREY.astype(int) + change).astype(np.uint8)
    assert image_cost(GREY, shown, signed=False) == 0.1 * public
    assert image_cost(GREY, shown, signed=True) == 0.1 * signed


@pytest.mark.parametrize("signed", [False, True])
def test_the_picture_s_part_is_its_definition(signed):
    dice = np.random.default_rng(0)
    before = dice.integers(0, 256, (9, 7, 3), np.uint8)
    shown = dice.integers(0, 256, (12, 10, 3), np.uint8)
    assert image_cost(before, shown, signed=signed) == pytest.approx(
        0.1 * naive_share(before, shown, wraps=not signed), abs=1e-15
    )


def test_noise_of_three_levels_costs_what_was_measured_of_the_published_program():
    noise = np.random.default_rng(0).integers(-3, 4, (300, 300, 3))
    shown = (np.full((300, 300, 3), 128) + noise).astype(np.uint8)
    share = image_cost(np.full((300, 300, 3), 128, np.uint8), shown, signed=False) / 0.1
    assert share == pytest.approx(3 / 7, abs=0.01)


def test_the_landmarks_part_is_its_definition():
    dice = np.random.default_rng(1)
    asked, given = dice.uniform(0, 100, (2, 68, 2))
    found = points_cost(asked, given, (90, 120), (200, 100))
    assert found == pytest.approx(naive_points(asked, given, (90, 120), (200, 100)), rel=1e-13)
    off = points_cost(asked, asked + np.array([9, 0]), (90, 120), (90, 120))
    assert off == pytest.approx(9 * 0.1 / 2)  # x by the height: 9 of 90, and half of the numbers


def test_a_video_by_three_definitions():
    points = np.random.default_rng(2).uniform(0, 30, (3, 68, 2))
    brighter = GREY + np.uint8(1)
    shown = [
        ShownFrame(brighter, points[0], points[0] + np.array([3, 0])),
        None,
        ShownFrame(GREY, points[2], None),  # not what it is said to be
    ]
    first, second, third = score_frames(GREY, points, shown)
    assert first.public == (0.1, 0.0)
    assert first.signed == (0.0, 0.0)
    assert first.honest == pytest.approx((0.0, 9 * 0.1 / 2))
    assert second == (FREE, FREE, MAXIMUM)
    assert third.public == (0.0, 0.0)  # one level darker than the last one shown
    assert third.honest == MAXIMUM
    sums = summary([first, second, third])
    assert list(sums) == list(KINDS)
    assert sums["honest"].total == pytest.approx(0.45 + 2 * 9.1)
    assert sums["honest"].mean == pytest.approx(sums["honest"].total / 3)
    assert sums["public"].total == pytest.approx(0.1)


def test_repeating_the_first_frame_with_the_query_s_landmarks_is_free_in_public_and_not_in_honest():
    points = np.random.default_rng(3).uniform(0, 30, (4, 68, 2))
    costs = score_frames(GREY, points, [ShownFrame(GREY, asked, points[0]) for asked in points])
    assert summary(costs)["public"].total == 0
    assert summary(costs)["honest"].total > 1


def test_no_frame_costs_more_than_the_maximum():
    points = np.zeros((1, 68, 2))
    far = ShownFrame(255 - GREY, points[0], points[0] + 1e6)
    assert score_frames(GREY, points, [far])[0].honest == MAXIMUM


def test_as_many_are_shown_as_asked_for():
    with pytest.raises(ValueError, match="1 frames shown for 2 asked for"):
        score_frames(GREY, np.zeros((2, 68, 2)), [None])
