"""Numbers of pairs against listing every pair."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwface.formats.person_labels import LABEL_LIMIT
from lwface.scoring.exact.pair_counts import pair_counts


def make_set(generator, rows, side):
    persons = generator.integers(0, 5, rows)
    distractors = generator.random(rows) < 0.3
    persons[distractors] = LABEL_LIMIT + side * 1000 + np.flatnonzero(distractors)
    return persons, generator.integers(-1, 3, rows)


def listed(pairs, grouped, include):
    """Genuine and impostor pairs of ((person, group), (person, group)), one by one."""
    counts = [0, 0]
    for (person, group), (other, other_group) in pairs:
        if grouped and group == other_group != -1:
            continue
        if not include and person >= LABEL_LIMIT and other >= LABEL_LIMIT:
            continue
        counts[person != other] += 1
    return tuple(counts)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.booleans(), st.booleans())
def test_all_pairs(seed, rows, grouped, include):
    persons, groups = make_set(np.random.default_rng(seed), rows, 0)
    pairs = itertools.combinations(zip(persons.tolist(), groups.tolist(), strict=True), 2)
    found = pair_counts(persons, groups=groups if grouped else None, distractor_pairs=include)
    assert found == listed(pairs, grouped, include)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 20), st.integers(0, 20), st.booleans(), st.booleans())
def test_probe_and_gallery(seed, rows, columns, grouped, include):
    generator = np.random.default_rng(seed)
    persons, groups = make_set(generator, rows, 0)
    others, other_groups = make_set(generator, columns, 1)
    sides = ((persons, groups), (others, other_groups))
    pairs = itertools.product(*(zip(codes.tolist(), group.tolist(), strict=True) for codes, group in sides))
    keys = {"groups": groups, "other_groups": other_groups} if grouped else {}
    found = pair_counts(persons, others, **keys, distractor_pairs=include)
    assert found == listed(pairs, grouped, include)


def test_groups_of_one_set_only():
    with pytest.raises(ValueError, match="both sets"):
        pair_counts(np.arange(3), np.arange(3), groups=np.zeros(3, dtype=np.int64))
