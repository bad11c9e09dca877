"""Yaw from 68 points, against faces that were rendered at a known one."""

import numpy as np
import pytest

from lwface.landmarks.head_pose import mean_head, yaws
from lwface.synthetic.render import rotation, sample_image


def test_rendered_faces():
    pictures = [sample_image(0, identity, index, frame_size=96) for identity in range(6) for index in range(3)]
    found = yaws(np.array([picture.landmarks68 for picture in pictures], np.float64))
    true = np.array([picture.pose[0] for picture in pictures])
    assert np.corrcoef(found, true)[0, 1] > 0.98
    assert np.abs(found - true).mean() < 4


@pytest.mark.parametrize("yaw", [-50.0, -10.0, 0.0, 35.0])
def test_a_turned_head_without_perspective_is_exact(yaw):
    turned = mean_head() @ rotation(yaw, 0, 0).astype(np.float64).T
    points = turned[None, :, :2] * (2.5, -2.5) + (100, 80)
    assert yaws(points)[0] == pytest.approx(yaw, abs=1e-3)


def test_roll_and_size_do_not_matter():
    turned = mean_head() @ rotation(25, 0, 0).astype(np.float64).T
    points = turned[:, :2] * (1, -1)
    angle = np.radians(20)
    lean = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert yaws((points @ lean.T * 7)[None])[0] == pytest.approx(25, abs=3)
