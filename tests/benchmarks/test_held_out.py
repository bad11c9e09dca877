"""People held out as judges: TARs are the library's, differences those of the means over seeds."""

from __future__ import annotations

import numpy as np
import pytest
from held_out import FARS, kept, told

from lwface.base.errors import UserError
from lwface.scoring.from_arrays import tar_at_far


def test_tars_are_the_librarys(held_out, features):
    each = [features(seed, 0.5) for seed in range(2)]
    found = held_out.scores(each)
    expected = [tar_at_far(rows, held_out.people, FARS).tar for rows in each]
    np.testing.assert_allclose(found.tars, expected)


def test_the_difference_is_that_of_the_means_over_seeds(held_out, features):
    good, bad = (held_out.scores([features(seed, spread) for seed in range(3)]) for spread in (0.1, 1.0))
    changes = good.tars[:, 0] - bad.tars[:, 0]
    line = told(good, bad, 0)
    assert line.startswith(f"**+{changes.mean():.3f}** (+")
    assert f"seeds {changes.min():+.3f} to {changes.max():+.3f}" in line
    assert told(bad, good, 0).startswith(f"**{-changes.mean():.3f}** (-")
    assert told(good, good, 0) == "+0.000 (+0.000 to +0.000; seeds +0.000 to +0.000)"
    one = held_out.scores([features(0, 0.1)])
    assert told(one, one, 0) == "+0.000 (+0.000 to +0.000)"


def test_features_are_made_once(held_out, features, tmp_path, monkeypatch):
    monkeypatch.setattr(held_out, "features", lambda model: features(model, 0.1))
    made = kept(tmp_path / "new" / "a.npy", held_out, 3)
    np.testing.assert_array_equal(made, features(3, 0.1))
    np.testing.assert_array_equal(kept(tmp_path / "new" / "a.npy", held_out, 4), made)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npy"]


def test_features_of_other_images_are_refused(held_out, features, tmp_path):
    np.save(tmp_path / "a.npy", features(0, 0.1)[1:])
    with pytest.raises(UserError, match=r"a\.npy: of \d+ images, not the \d+ that judge"):
        kept(tmp_path / "a.npy", held_out, "")
