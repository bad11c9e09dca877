"""The cheapest way against all ways, on cases small enough to try them all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwface.base.errors import UserError
from lwface.montage.paths import PathSearch, cheapest_path


def cost_of(path, own, change):
    return sum(own[t, c] for t, c in enumerate(path)) + sum(change[a, b] for a, b in itertools.pairwise(path))


def all_paths(own, change, people, most):
    """The least cost of all ways, by trying each."""
    frames, count = own.shape
    ways = itertools.product(range(count), repeat=frames)
    if most is not None:
        ways = (way for way in ways if max(np.bincount(people[list(way)])) <= most)
    return min(cost_of(way, own, change) for way in ways)


def drawn(seed, frames, count):
    dice = np.random.default_rng(seed)
    return dice.uniform(0, 1, (frames, count)), dice.uniform(0, 1, (count, count)), dice.integers(0, 3, count)


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 5))
def test_no_way_is_cheaper(seed, frames, count):
    own, change, people = drawn(seed, frames, count)
    path = cheapest_path(own, change, people)
    assert len(path) == frames
    assert cost_of(path, own, change) == pytest.approx(all_paths(own, change, people, None))


@given(st.integers(0, 10_000), st.integers(1, 3))
def test_no_way_within_the_limit_is_cheaper_where_all_beginnings_are_kept(seed, most):
    own, change, people = drawn(seed, 4, 5)
    if most * len(set(people.tolist())) < 4:
        with pytest.raises(UserError, match=f"at most {most} frames a person"):
            cheapest_path(own, change, people, most)
        return
    search = PathSearch(most, width=5**4)
    for number, row in enumerate(own):
        search.push(row, change if number else None, people)
    path = search.finish()
    assert max(np.bincount(people[path])) <= most
    assert cost_of(path, own, change) == pytest.approx(all_paths(own, change, people, most))


@pytest.mark.parametrize("look_ahead", [0, 1, 3, 20, None])
@pytest.mark.parametrize("most", [None, 3])
def test_looking_further_ahead_is_never_dearer_than_the_whole_and_keeps_the_limit(look_ahead, most):
    dice = np.random.default_rng(5)
    own, change, people = dice.uniform(0, 1, (12, 9)), dice.uniform(0, 2, (9, 9)), np.arange(9) % 5
    search = PathSearch(most, look_ahead)
    decided = [search.push(row, change if number else None, people) for number, row in enumerate(own)]
    waiting = 12 if look_ahead is None else min(look_ahead, 12)
    assert decided[:waiting] == [None] * waiting
    assert None not in decided[waiting:]
    path = [way for way in decided if way is not None] + search.finish()
    assert len(path) == 12
    whole = cheapest_path(own, change, people, most)
    if most is None:
        assert cost_of(path, own, change) >= cost_of(whole, own, change) - 1e-12
        if look_ahead in (20, None):
            assert path == whole
    else:
        assert max(np.bincount(people[path])) <= most


def test_looking_at_no_frame_ahead_takes_the_cheapest_next_one():
    own, change, people = drawn(7, 6, 5)
    search = PathSearch(look_ahead=0)
    path = []
    for number, row in enumerate(own):
        expected = int((row + (change[path[-1]] if path else 0)).argmin())
        path.append(search.push(row, change if number else None, people))
        assert path[-1] == expected
    assert search.finish() == []


def test_candidates_may_differ_from_frame_to_frame():
    search = PathSearch(look_ahead=None)
    search.push(np.array([0.0, 0.5]), None, np.array([0, 1]))
    search.push(np.array([0.0, 0.0, 9.0]), np.array([[5.0, 5.0, 0.0], [0.0, 1.0, 0.0]]), np.array([0, 1, 2]))
    assert search.finish() == [1, 0]
