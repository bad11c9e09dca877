"""The comparison of approaches on a tiny set: every approach is scored, what is done is kept, and the page gets it."""

from __future__ import annotations

import sys

import keypoints as benchmark
import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.formats.keypoint_images import AskedFaces, KeypointFaces, write_test, write_training
from lwface.formats.keypoint_lookup import Lookup, write_lookup
from lwface.formats.keypoint_tables import FOUR, POINTS


@pytest.fixture
def data(tmp_path):
    """40 rows, half of them complete; the points of all 4 test images are known, and of the last two four are asked."""
    folder, random = tmp_path / "tiny", np.random.default_rng(0)
    others = [number for number, point in enumerate(POINTS) if point not in FOUR]
    points = random.uniform(30, 60, (40, 15, 2))
    points[20:, others] = np.nan
    write_training(
        folder / "training.csv", KeypointFaces(random.integers(0, 256, (40, 96, 96)).astype(np.uint8), points)
    )
    write_test(folder / "test.csv", AskedFaces(np.arange(4), random.integers(0, 256, (4, 96, 96)).astype(np.uint8)))
    images, features = (part.ravel() for part in np.meshgrid(np.arange(4), np.arange(30), indexing="ij"))
    everything = Lookup(np.arange(120), images, features, random.uniform(30, 60, 120).round(3))
    write_lookup(folder / "truth-all.csv", everything)
    asked = (images < 2) | ~np.isin(features // 2, others)
    write_lookup(folder / "truth.csv", Lookup(*(part[asked] for part in everything)))
    (folder / "test-people.csv").write_text("ImageId,Person\n0,a\n1,a\n2,b\n3,b\n")
    return folder


def test_the_page_gets_every_approach(data, tmp_path, monkeypatch, capsys):
    page, work = tmp_path / "page.md", tmp_path / "work"
    marks = [
        f"<!-- benchmarks/keypoints.py {name}: {what} -->" for name in ("tiny", "networks") for what in ("begin", "end")
    ]
    page.write_text("above\n{}\nold\n{}\nbetween\n{}\n{}\nbelow\n".format(*marks))
    flags = [
        "--data",
        str(data),
        "--work",
        str(work),
        "--networks",
        "lenet5",
        "--seeds",
        "1",
        "--steps",
        "1",
        "--lr",
        "0.01",
    ]
    monkeypatch.setattr(sys, "argv", ["keypoints.py", *flags, "--per-batch-size", "8", "--page", str(page)])
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    benchmark.main()
    torch.set_num_threads(before)
    text = page.read_text()
    for name in ("mean face", "drop", "ffill", "ffill-shuffled", "two-models", "masked"):
        assert f"| {name} |" in text
    assert "| lenet5 | 12725040 | 862126 | 3448504 |" in text
    assert "old" not in text
    mine = ["above", "between", "below"]
    assert [line for line in text.splitlines() if line in mine] == mine
    assert len(list(work.glob("lenet5-0/*/model-0001.safetensors"))) == 5  # two-models' first one is drop's
    told = capsys.readouterr().out
    monkeypatch.setattr(benchmark, "prepare_keypoints", None)
    benchmark.main()  # what is there is taken
    assert capsys.readouterr().out == told
    (row,) = [line.split(" | ") for line in told.splitlines() if line.startswith("| lenet5 | two-models |")]
    assert float(row[2]) > 5
    assert row[5].startswith(("+", "-"))


def test_the_four_and_the_eleven():
    points = {name: {"rmse": 3.0 if name in FOUR else 5.0, "known": 2} for name in POINTS}
    points["nose_tip"] = {"rmse": 0.0, "known": 6}
    assert benchmark._rmse_of({"points": points}, four=True) == pytest.approx(np.sqrt(9 * 6 / 12))
    assert benchmark._rmse_of({"points": points}, four=False) == pytest.approx(5)


def test_a_page_without_marks(tmp_path):
    (tmp_path / "p.md").write_text("nothing")
    with pytest.raises(UserError, match=r"p\.md: has no lines <!-- benchmarks/keypoints\.py x: begin -->"):
        benchmark.into_page(tmp_path / "p.md", "x", "table")
