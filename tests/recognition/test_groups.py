"""Groups of a person's images: by seed and step alone, everybody by turns, and nobody who is alone."""

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.recognition.groups import GroupedBatches

LABELS = np.array([3, 0, 1, 1, 3, 2, 0, 1, 3, 1, 4, 4, 0])  # 2 has one image, 4 two


def batches(images=6, size=3, start=0, stop=8, seed=5):
    return GroupedBatches(LABELS, images, size, seed=seed, start=start, stop=stop)


def test_a_step_is_groups_of_different_people():
    for step in batches():
        groups = LABELS[step].reshape(2, 3)
        assert (groups == groups[:, :1]).all()
        assert groups[0, 0] != groups[1, 0]
        assert 2 not in groups
        for group in step.reshape(2, 3):
            assert len(set(group)) == min(3, list(LABELS).count(LABELS[group[0]]))


def test_all_people_come_before_one_comes_again():
    people = [LABELS[step].reshape(2, 3)[:, 0] for step in batches()]
    for turn in range(4):
        assert set(np.concatenate(people[2 * turn : 2 * turn + 2])) == {0, 1, 3, 4}


def test_a_run_that_goes_on_sees_the_same():
    whole, rest = batches(), batches(start=5)
    assert len(rest) == 3
    for later, same in zip(whole[5:], rest, strict=True):
        np.testing.assert_array_equal(later, same)
    assert any((a != b).any() for a, b in zip(whole, batches(seed=6), strict=True))


def test_a_last_group_may_be_cut():
    assert [len(step) for step in batches(images=7)] == [7] * 8


def test_too_few_people():
    with pytest.raises(UserError, match="4 of 5 people have two images or more, fewer than the 5 of a step"):
        batches(images=15)
