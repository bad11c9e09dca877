"""Folds of one kind are found, whatever their number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwface.base.errors import UserError
from lwface.formats.pack_folds import folds_for, one_kind, require_both_kinds, usable_folds


def naive_one_kind(same, folds):
    return any(len(set(part.tolist())) == 1 for part in np.array_split(np.array(same), folds))


@given(st.lists(st.booleans(), min_size=2, max_size=40), st.integers(2, 10))
def test_folds_of_one_kind_are_those_of_numpys_split(same, folds):
    if len(same) >= folds:
        assert (one_kind(same, folds) is not None) == naive_one_kind(same, folds)
    usable = [number for number in range(2, min(folds, len(same)) + 1) if not naive_one_kind(same, number)]
    assert usable_folds(same, folds) == max(usable, default=None)


def test_the_words():
    assert one_kind([True] * 12, 10) == "all 12 pairs are of one person"
    assert one_kind([False] * 12, 10) == "all 12 pairs are of two persons"
    same = np.arange(40) % 2 == 0
    assert one_kind(same, 10) is None
    same[8:12] = False
    assert one_kind(same, 10) == "fold 3 of 10 (pairs 9 to 12) has only pairs of two persons"
    assert folds_for(same, "p", 10) == 9
    for wrong, message in (
        (np.arange(40) < 20, "p: fold 1 of 10 .* mix the pairs"),
        ([True] * 12, "p: all 12 .* add pairs of two persons"),
        ([True, False] * 3, "p: 6 pairs cannot be cut into 10 folds"),
    ):
        with pytest.raises(UserError, match=message):
            folds_for(wrong, "p", 10)
    require_both_kinds(np.arange(40) < 20, "p")
    with pytest.raises(UserError, match=r"p: all 4 pairs are of two persons, so .*; add pairs of one person"):
        require_both_kinds([False] * 4, "p")
