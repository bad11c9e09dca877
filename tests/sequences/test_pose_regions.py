"""What is read off a pose: moves with the person, grows with them, and does not mind what is missing."""

import numpy as np
import pytest
import torch

from lwface.sequences.pose_regions import (
    LIMBS,
    MIRRORED,
    POSE_FEATURES,
    cover_faces,
    cut,
    heights,
    mirrored_points,
    person_mask,
    pose_features,
    regions,
)


def moved(points, factor=1.0, by=(0.0, 0.0)):
    return torch.cat([points[..., :2] * factor + torch.tensor(by, dtype=points.dtype), points[..., 2:]], dim=-1)


def test_the_height_is_found(poses):
    for scale in (0.4, 0.8):
        assert heights(poses(scale=scale)) == pytest.approx(scale, rel=0.12)
    unknown = poses()
    unknown[..., 2] = -1
    assert (heights(unknown) == 1).all()
    one = unknown.clone()
    one[..., 11:14:2, 2] = 1  # a thigh alone
    thigh = (one[..., 11, :2] - one[..., 13, :2]).norm(dim=-1)
    assert torch.allclose(heights(one), (thigh / 0.245).clamp(0.3, 4))
    ears = unknown.clone()
    ears[..., 3:5, 2] = 1  # a head alone
    wide = (ears[..., 3, :2] - ears[..., 4, :2]).norm(dim=-1)
    assert torch.allclose(heights(ears), (wide / 0.108).clamp(0.3, 4))


def test_regions_move_and_grow_with_the_person(poses):
    points = poses()
    first, second = regions(points), regions(moved(points, 1.3, (0.1, -0.2)))
    assert torch.allclose(second.centres, first.centres * 1.3 + torch.tensor((0.1, -0.2)).double())
    assert torch.allclose(second.sides, 1.3 * first.sides)
    assert first.there.all()
    head, trunk, legs = first.centres[0, 0]
    assert head[1] < trunk[1] < legs[1]
    for place, joint in ((0, 0), (1, 5), (1, 11), (2, 13)):
        inside = (points[0, 0, joint, :2] - first.centres[0, 0, place]).abs() < first.sides[0, 0, place] / 2
        assert inside.all()


def test_what_is_missing_is_placed_where_it_would_be(poses):
    points = poses(1)
    whole = regions(points)
    points[..., :5, 2] = 0  # a score of 0 is missing, too
    points[..., 13:, 2] = -1
    points[..., 13:, :2] = 77.0
    found = regions(points)
    assert (found.centres - whole.centres).abs().max() < 0.1 * float(whole.heights)
    assert found.there.tolist() == [[[True, True, False]]]
    points[..., 2] = -1
    nothing = regions(points)
    assert not nothing.there.any()
    assert (nothing.centres == 0.5).all()
    assert (person_mask(points[0], regions(points[0]), 8) == 1).all()


def test_the_mask_is_where_the_person_is(poses):
    points = poses(1)[0]
    mask = person_mask(points, regions(points), 32)[0]
    columns, rows = (32 * points[0, 5:, :2]).long().clamp(0, 31).T
    assert (mask[rows, columns] > 0.8).all()
    assert mask[:, 0].max() < 0.01
    assert 0.05 < float(mask.mean()) < 0.5
    x, y = 0.37, 0.61  # one cell by the definition: the nearest line, or the disc of the head
    far = min(distance_to_line(points[0, a, :2], points[0, b, :2], x, y) for a, b in LINES)
    head = regions(points).centres[0, 0].numpy()
    height = float(heights(points)[0])
    far = min(far, max(0, np.hypot(head[0] - x, head[1] - y) - 0.05 * height))
    fine = person_mask(points, regions(points), 100)[0, 60, 36]  # the cell's middle is (0.365, 0.605)
    assert float(fine) == pytest.approx(np.exp(-((far / (0.075 * height)) ** 2)), abs=0.15)


LINES = ((5, 6), (11, 12), (5, 11), (6, 12), (5, 7), (6, 8), (7, 9), (8, 10), (11, 13), (12, 14), (13, 15), (14, 16))


def distance_to_line(start, end, x, y):
    start, end, point = (np.asarray(one, float) for one in (start, end, (x, y)))
    share = np.clip((point - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
    return np.linalg.norm(start + share * (end - start) - point)


def test_a_square_is_cut_where_it_is():
    image = torch.arange(64.0)[None, None, None].expand(1, 3, 64, 64).clone()  # the column's number
    found = cut(image, torch.tensor([[[0.5, 0.5], [1.0, 0.5]]]), torch.tensor([[0.5, 0.5]]), 32)
    assert found.shape == (1, 2, 3, 32, 32)
    assert torch.allclose(found[0, 0, 0, 7], torch.arange(16.0, 48.0))  # every pixel of it
    assert torch.allclose(found[0, 1, 0, 7, :15], torch.arange(48.0, 63.0))
    assert torch.allclose(found[0, 1, 0, 7, 17:], torch.tensor(127.5))  # beyond the edge


def test_a_face_is_covered_where_it_is_seen(poses):
    points = poses(2)[0]
    points[1, :3, 2] = -1  # from behind: ears alone
    images = torch.full((2, 3, 64, 64), 200.0)
    found = cover_faces(images, points)
    column, row = (64 * points[0, 0, :2]).long()
    assert float(found[0, 0, row, column]) == 127.5
    assert 0.001 < float((found[0] != 200).double().mean()) < 0.05
    assert (found[1] == 200).all()


def test_pose_features_do_not_know_where_and_how_large(poses):
    points = poses(4)
    found = pose_features(points)
    assert found.shape == (1, 4, POSE_FEATURES)
    assert torch.allclose(pose_features(moved(points, 0.8, (0.1, 0.15))), found, atol=1e-9)
    logs = found[0, 0, 85 : 85 + len(LIMBS)]
    first, second, usual = LIMBS[6]
    height = heights(points).median()
    length = (points[0, 0, first, :2] - points[0, 0, second, :2]).norm() / height
    assert float(logs[6]) == pytest.approx(np.log(float(length) / usual), rel=1e-6)
    points[..., 9, 2] = 0
    gone = points.clone()
    gone[..., 9, :2] = -5.0
    assert torch.equal(pose_features(points), pose_features(gone))


def test_mirroring_twice_is_nothing(poses):
    points = poses()
    assert torch.allclose(mirrored_points(mirrored_points(points)), points)
    assert sorted(MIRRORED) == list(range(17))
    turned = regions(mirrored_points(points)).centres
    assert torch.allclose(turned[..., 0], 1 - regions(points).centres[..., 0])
