"""Scores of keypoint submissions, against scikit-learn, PyTorch and the delta method."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import root_mean_squared_error
from torch.nn import functional

from lwface.base.errors import UserError
from lwface.formats.keypoint_lookup import Lookup
from lwface.formats.keypoint_tables import FEATURES
from lwface.landmarks.keypoint_scoring import difference, read_people, report, score


def submission(images=200, seed=0):
    """A truth of which a fifth is not known, and locations that are off by more on some images than on others."""
    random = np.random.default_rng(seed)
    image, feature = (part.ravel() for part in np.meshgrid(np.arange(images), np.arange(30), indexing="ij"))
    truth = random.uniform(0, 96, len(image))
    locations = truth + random.normal(size=len(image)) * random.uniform(0.5, 4, images)[image]
    truth[random.random(len(truth)) < 0.2] = np.nan
    return Lookup(np.arange(len(image)), image, feature, truth), locations


def test_figures_are_those_of_others():
    truth, locations = submission()
    found = score(truth, locations, replicates=0)
    known = ~np.isnan(truth.locations)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(truth.locations[known], locations[known]), rel=1e-12)
    pair = (torch.from_numpy(locations[known]), torch.from_numpy(truth.locations[known]))
    assert found["smooth_l1"] == pytest.approx(functional.smooth_l1_loss(*pair).item(), rel=1e-12)
    nose = known & np.isin(truth.features, [FEATURES.index("nose_tip_x"), FEATURES.index("nose_tip_y")])
    one = found["points"]["nose_tip"]
    assert one["known"] == nose.sum()
    assert one["rmse"] == pytest.approx(root_mean_squared_error(truth.locations[nose], locations[nose]), rel=1e-12)
    assert (found["known"], found["unknown"], found["images"]) == (known.sum(), (~known).sum(), 200)
    worst = np.nanargmax(np.abs(locations - truth.locations))
    assert found["worst"]["image"] == truth.images[worst]
    assert found["worst"]["feature"] == FEATURES[truth.features[worst]]
    assert "rmse_interval" not in found


def test_the_order_of_rows_does_not_count():
    truth, locations = submission()
    order = np.random.default_rng(3).permutation(len(locations))
    shuffled = Lookup(*(part[order] for part in truth))
    first, second = score(truth, locations), score(shuffled, locations[order])
    assert second["rmse"] == pytest.approx(first["rmse"], rel=1e-12)
    assert second["rmse_interval"] == pytest.approx(first["rmse_interval"], rel=1e-12)


def delta_interval(truth, locations, groups):
    """The interval of RMSE by the delta method of a ratio of sums over ``groups``."""
    known = ~np.isnan(truth.locations)
    squares = np.bincount(groups[known], (locations - truth.locations)[known] ** 2)
    counts = np.bincount(groups[known])
    mean = squares.sum() / counts.sum()
    residuals = squares - mean * counts
    error = math.sqrt((residuals**2).sum()) / counts.sum() / (2 * math.sqrt(mean))
    return math.sqrt(mean) - 1.96 * error, math.sqrt(mean) + 1.96 * error


def test_intervals_are_those_of_the_delta_method():
    truth, locations = submission()
    by_image = score(truth, locations, replicates=4000)["rmse_interval"]
    assert by_image == pytest.approx(delta_interval(truth, locations, truth.images), abs=0.02)
    people = {image: f"p{image % 20}" for image in range(200)}
    found = score(truth, locations, people=people, replicates=4000)
    assert found["people"] == 20
    assert found["rmse_interval"] == pytest.approx(delta_interval(truth, locations, truth.images % 20), abs=0.04)
    low, high = found["smooth_l1_interval"]
    assert low < found["smooth_l1"] < high


def test_a_difference_is_of_the_same_images():
    truth, locations = submission()
    others = locations + np.random.default_rng(5).normal(size=len(locations)) * 0.7
    found = difference(truth, locations, others, replicates=2000)
    first, second = (score(truth, each, replicates=0)["rmse"] for each in (locations, others))
    assert found["rmse_difference"] == pytest.approx(first - second, rel=1e-9)
    low, high = found["rmse_difference_interval"]
    alone = score(truth, locations, replicates=2000)["rmse_interval"]
    assert low < first - second < high < 0  # sure, while the score alone is not known that well
    assert high - low < 0.3 * (alone[1] - alone[0])
    same = difference(truth, locations, locations, replicates=10)
    assert (same["rmse_difference"], same["rmse_difference_interval"]) == (0, [0, 0])
    assert "rmse_difference_interval" not in difference(truth, locations, others, replicates=0)


def test_the_report_has_every_figure():
    truth, locations = submission(images=5)
    found = score(truth, locations, people={image: "p" + "ab"[image % 2] for image in range(5)}, replicates=50)
    found |= difference(truth, locations, locations + 1, replicates=0)
    text = report("s.csv", found)
    assert f"RMSE, minus the other     {found['rmse_difference']:+9.4f}" in text
    assert f"RMSE{found['rmse']:31.4f}" in text
    assert "95 % over people" in text
    assert f"{found['known']} known coordinates of 5 images, 2 people; {found['unknown']} are not known" in text
    assert "right_eyebrow_outer_end" in text
    json.dumps(found, allow_nan=False)


def test_what_cannot_be_scored(tmp_path):
    truth, locations = submission(images=3)
    with pytest.raises(UserError, match="the truth knows no location"):
        score(truth._replace(locations=np.full(90, np.nan)), locations)
    with pytest.raises(UserError, match="image 2 has no person in the table of people"):
        score(truth, locations, people={0: "a", 1: "b"})
    path = tmp_path / "people.csv"
    path.write_text("Person,ImageId\nana,1\nbo,2\n")
    assert read_people(path) == {1: "ana", 2: "bo"}
    path.write_text("ImageId,Person\n1,Bjo\u0308rk\n2,Bj\u00f6rk\n", encoding="utf-8")
    assert len(set(read_people(path).values())) == 1
    path.write_text("Person,ImageId\nana,1\nbo,1\n")
    with pytest.raises(UserError, match="line 3, column ImageId: 1 is there twice"):
        read_people(path)
