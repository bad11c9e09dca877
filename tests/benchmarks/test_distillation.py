"""The benchmark's table: which runs it asks for, what is not trained again, and the difference that it tells."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from benchmarks import distillation as benchmark
from lwface.base.errors import UserError
from lwface.formats.image import encode_jpeg
from lwface.scoring.from_arrays import tar_at_far


@pytest.fixture
def held_out(tmp_path):
    folder, random = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    for number in range(36):
        (folder / f"{number:02}.jpg").write_bytes(encode_jpeg(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)))
    (folder / "filelist.txt").write_text("".join(f"{number:02}.jpg\n" for number in range(36)))
    (folder / "labels.txt").write_text("".join(f"{number // 3}\n" for number in range(36)))
    return benchmark.HeldOut(folder)


def features(seed, spread):
    random = np.random.default_rng(seed)
    people = np.random.default_rng(9).normal(size=(12, 6))
    rows = np.repeat(people, 3, axis=0) + spread * random.normal(size=(36, 6))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_tars_are_the_librarys(held_out):
    each = [features(seed, 0.5) for seed in range(2)]
    found = held_out.scores(each)
    expected = [tar_at_far(rows, held_out.people, benchmark.FARS).tar for rows in each]
    np.testing.assert_allclose(found.tars, expected)


def test_the_difference_is_that_of_the_means_over_seeds(held_out):
    good, bad = (held_out.scores([features(seed, spread) for seed in range(3)]) for spread in (0.1, 1.0))
    told = benchmark.told(good, bad, 0)
    changes = good.tars[:, 0] - bad.tars[:, 0]
    assert told.startswith(f"**+{changes.mean():.3f}** (+")
    assert f"seeds {changes.min():+.3f} to {changes.max():+.3f}" in told
    assert benchmark.told(good, good, 0) == "+0.000 (+0.000 to +0.000; seeds +0.000 to +0.000)"
    lines = benchmark.table({"none": bad, "A cosine": good}).splitlines()
    assert len(lines) == 4
    assert all(line.count("|") == 6 for line in lines)
    assert lines[2].endswith(f"{benchmark.told(bad, good, -1)} |")


def arguments(**changes):
    usual = {"teacher": ["a", "b"], "ways": ["cosine", "ekd-alone"], "others": ["l2"]}
    return argparse.Namespace(**{**usual, **changes})


def test_one_line_each(held_out):
    names = [variant.name for variant in benchmark.variants(arguments())]
    assert names == ["none", "A cosine", "A ekd-alone", "B l2", "A+B l2"]
    assert len(benchmark.variants(arguments(teacher=["a"]))) == 3
    with pytest.raises(UserError, match=r"unknown way to distil 'cosin'"):
        benchmark.variants(arguments(ways=["cosin"]))


def test_what_is_there_is_not_trained_again(held_out, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "train", None)
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / "A_cosine-1.npy", features(0, 0.1))
    asked = arguments(output=tmp_path)
    found = benchmark.features_of(benchmark.Variant((0,), "cosine"), 1, asked, held_out)
    np.testing.assert_array_equal(found, features(0, 0.1))
