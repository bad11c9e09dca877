"""What is asked of a page, and what is refused before anything is loaded."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.deploy.web.wish import MeasuredThresholds, Threshold, check_folder, read_thresholds, shown_name
from lwface.scoring.from_arrays import tar_at_far
from lwface.scoring.intervals import Interval
from lwface.scoring.operating_points import OperatingPoint
from lwface.scoring.tar_far_result import TarFarResult, as_json

POINTS = [
    OperatingPoint(Fraction("1e-2"), 1000, 50, 0.31, 10, 40, Interval(0.7, 0.9)),
    OperatingPoint(Fraction("1e-3"), 1000, 50, 0.42, 1, 30, None),
    OperatingPoint(Fraction("1e-8"), 1000, 50),
]


@pytest.fixture
def report():
    """What tar_far.py writes."""
    return as_json(TarFarResult("y2", 90, 16, 50, 1000, "all pairs", POINTS))


def written(tmp_path, value):
    path = tmp_path / "scores.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_thresholds_are_those_that_tar_far_writes(report, tmp_path):
    found = read_thresholds(written(tmp_path, report))
    assert found == MeasuredThresholds("scores.json", 16, 90, 50, 1000, found.thresholds)
    first, second, third = found.thresholds
    assert first == Threshold(0.01, 0.31, 0.8, (0.7, 0.9))
    assert (second.threshold, second.interval) == (0.42, None)
    assert (third.threshold, third.reason) == (None, "needs at least 100000000 impostor pairs, the set has 1000")


def test_of_a_comparison_the_first_counts(report, tmp_path):
    other = as_json(TarFarResult("y1", 90, 8, 50, 1000, "all pairs", POINTS[1:]))
    found = read_thresholds(written(tmp_path, {**report, "models": {"y2": report, "y1": other}, "differences": []}))
    assert len(found.thresholds) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"results": []}, "no FAR in it"),
        ({"results": [{"far": 0.1}]}, "no 'threshold'"),
        ({"results": [{"far": 0.1, "threshold": 7.0, "tar": 0.5, "tar_interval": None}]}, "threshold 7"),
        ({"results": [{"far": 0.1, "threshold": float("nan"), "tar": 0.5, "tar_interval": None}]}, "threshold nan"),
        ({"results": 3}, "not iterable"),
        ({"dim": None}, "int"),
    ],
)
def test_what_tar_far_does_not_write_is_refused(change, message, report, tmp_path):
    with pytest.raises(UserError, match=r"is not what eval/tar_far.py --json writes \(.*" + message):
        read_thresholds(written(tmp_path, {**report, **change}))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"rank": 1}'])
def test_any_other_file_is_one_line(text, tmp_path):
    with pytest.raises(UserError, match=r"is not what eval/tar_far.py"):
        read_thresholds(written(tmp_path, text))
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"is not what eval/tar_far.py"):
        read_thresholds(tmp_path / "bytes.json")


def test_the_library_and_the_report_agree(tmp_path):
    """The oracle of a threshold: what the library finds for the same rows."""
    features = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    labels = np.arange(40) // 2
    result = tar_at_far(features, labels, [0.1])
    point = OperatingPoint(Fraction("0.1"), 1, 1, float(result.threshold[0]), 0, 1)
    value = as_json(TarFarResult("x", 40, 16, 20, 760, "all pairs", [point]))
    assert read_thresholds(written(tmp_path, value)).thresholds[0].threshold == result.threshold[0]


def test_only_an_earlier_page_is_replaced(tmp_path):
    check_folder(tmp_path / "new" / "deep")
    folder = tmp_path / "page"
    folder.mkdir()
    check_folder(folder)
    for name in ("index.html", "model.onnx"):
        (folder / name).touch()
        check_folder(folder)
    (folder / "photo.jpg").touch()
    with pytest.raises(UserError, match=r"page: holds other files, such as photo.jpg; give the name of a new folder"):
        check_folder(folder)
    with pytest.raises(UserError, match=r"photo.jpg is a file; --for web writes a folder"):
        check_folder(folder / "photo.jpg")
    with pytest.raises(UserError, match=r"y2.onnx: --for web writes a folder, with index.html"):
        check_folder(tmp_path / "y2.onnx")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("/home/anna/models/y2-arcface-retina/model,1", "y2-arcface-retina/model,1"),
        ("model,0", "model,0"),
        ("/home/anna/y2.onnx", "y2.onnx"),
        ("C/backbone.pth", "backbone.pth"),
        ("models/mine/last,3", "last,3"),
    ],
)
def test_a_page_does_not_tell_where_the_model_lay(typed, shown):
    assert shown_name(typed) == shown
