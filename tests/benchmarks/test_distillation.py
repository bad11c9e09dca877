"""The benchmark's table: which runs it asks for, what is not trained again, and the difference that it tells."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
from held_out import told

from benchmarks import distillation as benchmark
from lwface.base.errors import UserError


def test_a_row_for_each(held_out, features):
    good, bad = (held_out.scores([features(seed, spread) for seed in range(3)]) for spread in (0.1, 1.0))
    lines = benchmark.table({"none": bad, "A cosine": good}).splitlines()
    assert len(lines) == 4
    assert all(line.count("|") == 6 for line in lines)
    assert lines[2].endswith(f"{told(bad, good, -1)} |")


def arguments(**changes):
    usual = {"teacher": ["a", "b"], "ways": ["cosine", "ekd-alone"], "others": ["l2"]}
    return argparse.Namespace(**{**usual, **changes})


def test_one_line_each():
    names = [variant.name for variant in benchmark.variants(arguments())]
    assert names == ["none", "A cosine", "A ekd-alone", "B l2", "A+B l2"]
    assert len(benchmark.variants(arguments(teacher=["a"]))) == 3
    with pytest.raises(UserError, match=r"unknown way to distil 'cosin'"):
        benchmark.variants(arguments(ways=["cosin"]))


def test_what_is_there_is_not_trained_again(held_out, features, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "train", None)
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / "A_cosine-1.npy", features(0, 0.1))
    asked = arguments(output=tmp_path)
    found = benchmark.features_of(benchmark.Variant((0,), "cosine"), 1, asked, held_out)
    np.testing.assert_array_equal(found, features(0, 0.1))
