"""What each approach learns from, against naive loops, and how images and points change together."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.formats.keypoint_images import KeypointFaces
from lwface.formats.keypoint_tables import FOUR, POINTS
from lwface.landmarks.keypoint_augment import augment, mirror_order
from lwface.landmarks.keypoint_choices import APPROACHES, NO_AUGMENTATION, Augmentation
from lwface.landmarks.keypoint_data import forward_filled, part_names, parts_of

ELEVEN = [number for number, point in enumerate(POINTS) if point not in FOUR]


def faces(rows=60, seed=0):
    """Faces numbered by their first pixel, a third of the rows whole, the last three without a point."""
    random = np.random.default_rng(seed)
    points = random.uniform(10, 80, (rows, 15, 2))
    points[rows // 3 :, ELEVEN] = np.nan
    points[5, 3] = points[2, 0] = np.nan
    points[-3:] = np.nan
    images = np.zeros((rows, 96, 96), np.uint8)
    images[:, 0, 0] = np.arange(rows)
    return KeypointFaces(images, points)


def numbers(found):
    return found.images[:, 0, 0].tolist()


def test_forward_filling_is_the_naive_loop():
    points = np.random.default_rng(1).uniform(0, 96, (200, 15, 2))
    points[np.random.default_rng(2).random((200, 15)) < 0.8] = np.nan
    expected = points.copy()
    for row in range(1, 200):
        for point in range(15):
            if np.isnan(expected[row, point]).any():
                expected[row, point] = expected[row - 1, point]
    np.testing.assert_array_equal(forward_filled(points), expected)
    assert np.isnan(expected).any()  # above the first known one


def test_what_each_approach_learns():
    all_faces = faces()
    parts = {approach: parts_of(approach, all_faces, held_out=0.1, seed=0) for approach in APPROACHES}
    assert {approach: len(found) for approach, found in parts.items()} == {
        approach: len(part_names(approach)) for approach in APPROACHES
    }
    judges = numbers(parts["masked"][0].held_out)
    assert len(judges) == 6  # a tenth of the 57 rows with a point
    complete = set(range(20)) - {5, 2} - set(judges)
    assert set(numbers(parts["drop"][0].train)) == complete == set(numbers(parts["two-models"][0].train))
    assert set(numbers(parts["masked"][0].train)) == set(range(57)) - set(judges)
    four = parts["two-models"][1]
    assert four.points == FOUR
    assert set(numbers(four.train)) == set(range(57)) - {2} - set(judges)
    filled = parts["ffill"][0].train
    assert filled.known.all()
    for found in parts.values():
        for part in found:
            assert numbers(part.held_out) == judges
            assert part.account.seen == 60
            assert part.account.reasons["held out"][0] == 6
    last = max(complete)  # the source of all later rows' eleven
    row = numbers(filled).index(56 if 56 not in judges else 55)
    np.testing.assert_array_equal(filled.points[row, ELEVEN], all_faces.points[last, ELEVEN])
    np.testing.assert_array_equal(four.train.points[0], all_faces.points[numbers(four.train)[0], [0, 1, 10, 14]])


def test_the_seed_decides_who_judges():
    held = [numbers(parts_of("masked", faces(), held_out=0.2, seed=seed)[0].held_out) for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


def test_nothing_to_learn_from():
    bare = faces()
    bare.points[:, 3] = np.nan
    with pytest.raises(UserError, match=r"approach drop: no row is left to learn from, of 60: .*6 held out"):
        parts_of("drop", bare, held_out=0.1, seed=0)
    with pytest.raises(UserError, match="approach ffill: no row is left to learn from"):
        parts_of("ffill", bare, held_out=0.1, seed=0)
    with pytest.raises(UserError, match="approach masked: left_eye_outer_corner is known in no row"):
        parts_of("masked", bare, held_out=0.1, seed=0)
    parts_of("two-models", faces(), held_out=0.1, seed=0)
    with pytest.raises(UserError, match="1 rows: expected two or more"):
        parts_of("masked", faces().rows(np.array([0])), held_out=0.1, seed=0)


def test_a_mirror_image_has_left_and_right_changed():
    order = mirror_order(POINTS)
    names = [POINTS[place] for place in order]
    for name, other in zip(POINTS, names, strict=True):
        if "left" in name:
            assert other == name.replace("left", "right")
        elif "right" not in name:
            assert other == name
    assert [order[place] for place in order] == list(range(15))
    assert mirror_order(FOUR) == [1, 0, 2, 3]
    with pytest.raises(UserError, match="without right_eye_center no mirror image"):
        mirror_order(["left_eye_center", "nose_tip"])


def spots(points):
    """Images (N, 1, 96, 96) with a bright spot of width 1.5 pixels at each point (N, 1, 2)."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    squares = (x - points[:, :, 0, None, None]) ** 2 + (y - points[:, :, 1, None, None]) ** 2
    return 200 * torch.exp(-squares / (2 * 1.5**2))


def middles(images):
    """The centre of gravity (N, 2) of images (N, 1, 96, 96)."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    weights = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
    return torch.stack(((weights * x).sum((1, 2)), (weights * y).sum((1, 2))), dim=1)


@pytest.mark.parametrize("what", ["mirror", "shift", "scale", "rotation", "all"])
def test_points_follow_the_image(what):
    one = {"mirror": True, "shift": 9.0, "scale": 0.3, "rotation": 40.0}
    chosen = one if what == "all" else {what: one[what]}
    none = {"mirror": False, "shift": 0, "scale": 0, "rotation": 0, "brightness": 0}
    points = 48 + 14 * torch.randn(64, 1, 2, generator=torch.Generator().manual_seed(0)).clamp(-1.5, 1.5)
    images, found = augment(
        spots(points), points, [0], Augmentation(**{**none, **chosen}), torch.Generator().manual_seed(1)
    )
    moved = (found - points).norm(dim=2) > 0.5
    assert moved.float().mean() > 0.3
    torch.testing.assert_close(found[:, 0], middles(images), atol=0.05, rtol=0)


def test_no_augmentation_changes_nothing():
    points = torch.rand(5, 15, 2) * 90
    points[2, 3] = math.nan
    images = torch.randint(0, 256, (5, 1, 96, 96)).float()
    same, places = augment(images, points, mirror_order(POINTS), NO_AUGMENTATION, torch.Generator())
    torch.testing.assert_close(same, images, atol=1e-2, rtol=0)
    torch.testing.assert_close(places, points, equal_nan=True, atol=1e-4, rtol=0)


def test_mirrored_points_have_each_others_names():
    points = torch.arange(30.0).reshape(1, 15, 2).expand(40, 15, 2).clone()
    points[:, 2] = math.nan
    strength = Augmentation(mirror=True, shift=0, scale=0, rotation=0, brightness=0)
    _, found = augment(torch.zeros(40, 1, 96, 96), points, mirror_order(POINTS), strength, torch.Generator())
    mirrored = found[:, 10, 0] != points[:, 10, 0]
    assert 8 < int(mirrored.sum()) < 32
    left, right = POINTS.index("mouth_left_corner"), POINTS.index("mouth_right_corner")
    torch.testing.assert_close(found[mirrored, left, 0], 95 - points[mirrored, right, 0])
    torch.testing.assert_close(found[mirrored, left, 1], points[mirrored, right, 1])
    known = ~found.isnan().any(dim=2)
    assert known.sum(dim=1).tolist() == [14] * 40
    assert (~known[mirrored, 4]).all()  # the missing left inner corner is now the right one
    assert (~known[~mirrored, 2]).all()


def test_what_leaves_the_image_is_not_known_any_more():
    points = torch.tensor([[[1.0, 48.0], [48.0, 48.0]]]).expand(200, 2, 2)
    strength = Augmentation(mirror=False, shift=10, scale=0, rotation=0, brightness=0)
    _, found = augment(torch.zeros(200, 1, 96, 96), points, [0, 1], strength, torch.Generator())
    gone = found[:, 0].isnan().any(dim=1)
    assert 60 < int(gone.sum()) < 140
    assert (found[~gone, 0, 0] >= -0.5).all()
    assert not found[:, 1].isnan().any()


def test_limits_of_the_augmentation():
    Augmentation().check()
    with pytest.raises(UserError, match="--shift 60: expected 0 to 48"):
        Augmentation(shift=60).check()
    with pytest.raises(UserError, match="--scale nan"):
        Augmentation(scale=math.nan).check()
