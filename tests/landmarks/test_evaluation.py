"""Errors of points against definitions written naively."""

import math

import numpy as np
import pytest

from lwface.landmarks.evaluation import (
    FoundPoints,
    area_under_curve,
    failure_rate,
    jitter,
    summary,
)
from lwface.landmarks.figures import as_text
from lwface.landmarks.head_pose import mean_head, yaws
from lwface.landmarks.report import curve
from lwface.scoring.drawn_groups import halves, interval


@pytest.fixture
def faces():
    draw = np.random.default_rng(0)
    head = mean_head()[:, :2] * (1, -1)
    true = np.stack([head * scale + draw.uniform(100, 200, 2) for scale in draw.uniform(0.5, 2, 30)])
    found = true + draw.normal(0, 2, true.shape)
    people = [f"p{i // 3}" for i in range(30)]
    tracks = {f"t{i}": [3 * i, 3 * i + 1, 3 * i + 2] for i in range(10)}
    return FoundPoints([f"{i}.jpg" for i in range(30)], found, true, people, tracks)


def naive_nme(found, true, length):
    return sum(math.hypot(*(f - t)) for f, t in zip(found, true, strict=True)) / len(true) / length


def test_the_three_norms(faces):
    for i in range(30):
        true = faces.true[i]
        (left, top), (right, bottom) = true.min(axis=0), true.max(axis=0)
        lengths = {
            "challenge": 384,
            "inter-ocular": math.dist(true[36], true[45]),
            "box": math.sqrt((right - left) * (bottom - top)),
        }
        for norm, length in lengths.items():
            assert faces.nme(norm)[i] == pytest.approx(naive_nme(faces.found[i], true, length), rel=1e-12)


def test_the_challenges_own_program(faces):
    """As the slides compute it: the mean distance over 384."""
    distances = np.sqrt(np.sum(np.power(faces.found[4] - faces.true[4], 2), 1))
    assert faces.nme("challenge")[4] == pytest.approx(np.mean(distances) / 384, rel=1e-12)


def test_area_is_that_of_a_fine_curve(faces):
    nme = faces.nme("box")
    x = np.linspace(0, 0.08, 200_001)
    curve = (nme[None] <= x[:, None][::100]).mean(axis=1)
    assert area_under_curve(nme) == pytest.approx(np.trapezoid(curve, x[::100]) / 0.08, abs=1e-3)
    assert area_under_curve(np.zeros(3)) == 1
    assert area_under_curve(np.full(3, 0.2)) == 0
    assert failure_rate(np.array((0.01, 0.08, 0.081, 0.5))) == 0.5


def test_an_interval_is_that_of_a_plain_bootstrap_over_people(faces):
    values, people = faces.nme("box"), np.asarray(faces.people)
    found = interval(values, faces.people)
    draw = np.random.default_rng(1)
    owners = np.unique(people)
    means = []
    for _ in range(4000):
        chosen = draw.choice(owners, len(owners))
        means.append(np.concatenate([values[people == owner] for owner in chosen]).mean())
    low, high = np.quantile(means, (0.025, 0.975))
    assert found.value == values.mean()
    width = high - low
    assert abs(found.low - low) < 0.12 * width
    assert abs(found.high - high) < 0.12 * width


def test_one_person_has_no_interval():
    assert interval(np.arange(5.0), ["a"] * 5).low is None


def test_halves_are_a_share_whatever_the_order():
    names = [f"{i}.jpg" for i in range(1790)]
    side = halves(names, 0.6, 3)
    assert side.sum() == 1074
    order = np.random.default_rng(0).permutation(1790)
    np.testing.assert_array_equal(halves([names[i] for i in order], 0.6, 3), side[order])
    assert (halves(names, 0.6, 4) != side).any()


def test_the_curve_goes_on_to_the_end_of_the_plot():
    for nme in (np.array([0.03, 0.01]), np.array([0.03, 0.2])):
        edges, shares = curve(nme)
        assert edges[-1] == max(0.08, nme.max())
        for x in (0.0, 0.005, 0.01, 0.02, 0.079):
            assert shares[np.searchsorted(edges, x, side="right") - 1] == (nme <= x).mean()


def test_whom_nobody_knows_is_not_counted_as_people(faces):
    alone = FoundPoints(faces.names, faces.found, faces.true, faces.names)
    assert as_text(summary(alone)).startswith("30 faces\n")


def test_a_face_turned_beyond_the_last_bin_is_in_it(faces):
    """A mirrored scheme points backwards."""
    back = FoundPoints(faces.names, faces.found, faces.true * (-1, 1), faces.people)
    assert np.abs(yaws(back.true)).min() > 90
    assert summary(back)["yaw"]["45-90"]["faces"] == 30


def test_jitter_is_the_second_difference():
    path = np.zeros((5, 2, 2))
    path[:, 0, 0] = (0, 1, 2, 3, 4)  # even movement
    path[:, 1, 1] = (0, 3, 0, 3, 0)  # to and fro: second differences 6
    value, frames = jitter(path, np.full(5, 10.0), {"a": [0, 1, 2, 3, 4]})
    assert frames == 3
    assert value == pytest.approx((0 + 6) / 2 / 10)
    assert jitter(path, np.full(5, 10.0), {"a": [0, 1]})[1] == 0


def test_summary_adds_up(faces):
    found = summary(faces, public=0.6, seed=1)
    sides = found["sides"]
    whole = sum(sides[name]["nme"] * sides[name]["faces"] for name in ("public", "private")) / 30
    assert whole == pytest.approx(sides["total"]["nme"], rel=1e-12) == found["nme"]["challenge"]["value"]
    assert sum(part["faces"] for part in found["yaw"].values()) == 30
    counts = {"jaw": 17, "brows": 10, "nose": 9, "eyes": 12, "mouth": 20}
    regions = sum(found["regions"][name] * count for name, count in counts.items()) / 68
    assert regions == pytest.approx(found["nme"]["box"]["value"], rel=1e-12)
    assert found["jitter"]["frames"] == 10
    shaken = [
        np.linalg.norm((d := faces.found - faces.true)[i + 2] - 2 * d[i + 1] + d[i], axis=1).mean()
        for i in range(0, 30, 3)
    ]
    assert found["jitter"]["error"] == pytest.approx(np.mean(shaken / faces.lengths("box")[1::3]), rel=1e-12)
    text = as_text(found)
    assert "30 faces of 10 people" in text
    assert f"{100 * found['nme']['box']['value']:.3f} %" in text
