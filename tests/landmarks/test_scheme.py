"""The 68 points: their mirror image, lines and regions."""

import numpy as np

from lwface.landmarks.head_pose import mean_head
from lwface.landmarks.scheme import LINES, MIRROR, POINTS, REGIONS
from lwface.synthetic.landmarks import landmark_points
from lwface.synthetic.person import Person


def test_the_mirror_of_a_symmetric_head_is_the_head():
    who = Person(0, 3)
    head = landmark_points(who.vertices, who.look, np.ones(2, np.float32))
    mirrored = (head * (-1, 1, 1))[MIRROR]
    assert np.linalg.norm(mirrored - head, axis=1).max() < 3.0  # mm: faces are not quite even
    assert np.linalg.norm((head * (-1, 1, 1)) - head, axis=1).max() > 50  # without the permutation


def test_mirroring_twice_is_nothing():
    assert sorted(MIRROR) == list(range(POINTS))
    np.testing.assert_array_equal(MIRROR[MIRROR], np.arange(POINTS))


def test_regions_and_lines_cover_every_point_once():
    assert sorted(np.concatenate([np.arange(POINTS)[part] for part in REGIONS.values()])) == list(range(POINTS))
    assert sorted(point for first, last, _ in LINES for point in range(first, last + 1)) == list(range(POINTS))


def test_the_mean_head_looks_at_the_viewer():
    head = mean_head()
    assert abs(head[30, 0]) < 1
    assert head[30, 2] > head[[36, 45], 2].max()  # the nose is in front of the eyes
    assert head[36, 0] < head[45, 0]
    assert head[8, 1] < head[27, 1]  # y grows upwards
