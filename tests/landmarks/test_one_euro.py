"""The One-Euro filter against the paper's algorithm, number by number, and its lag."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.landmarks.one_euro import OneEuroFilter, ramp_lag, step_delay


def by_the_paper(
    times: list[float], values: list[float], least: float, slope: float, speed_cutoff: float
) -> list[float]:
    """Algorithm 1 and the low-pass filter of the appendix, for one signal."""

    def alpha(rate: float, cutoff: float) -> float:
        tau = 1 / (2 * math.pi * cutoff)
        te = 1 / rate
        return 1 / (1 + tau / te)

    hat_x = hat_dx = 0.0
    first = True
    put = []
    for i, x in enumerate(values):
        if first:
            hat_x, hat_dx, first = x, 0.0, False
        else:
            rate = 1 / (times[i] - times[i - 1])
            dx = (x - hat_x) * rate
            a = alpha(rate, speed_cutoff)
            hat_dx = a * dx + (1 - a) * hat_dx
            a = alpha(rate, least + slope * abs(hat_dx))
            hat_x = a * x + (1 - a) * hat_x
        put.append(hat_x)
    return put


@pytest.mark.parametrize(("least", "slope", "speed_cutoff"), [(1.0, 0.0, 1.0), (2.0, 20.0, 1.0), (0.3, 0.007, 3.0)])
def test_against_the_paper(least: float, slope: float, speed_cutoff: float) -> None:
    generator = np.random.default_rng(0)
    times = generator.uniform(0.01, 0.06, 80).cumsum().tolist()
    points = generator.normal(0, 1, (80, 4, 2)).cumsum(axis=0)
    smoothing = OneEuroFilter(least, slope, speed_cutoff)
    found = np.array([smoothing(time, frame) for time, frame in zip(times, points, strict=True)])
    for point in range(4):
        for axis in range(2):
            expected = by_the_paper(times, points[:, point, axis].tolist(), least, slope, speed_cutoff)
            np.testing.assert_allclose(found[:, point, axis], expected, rtol=1e-12)


def test_the_unit_is_of_speeds_alone() -> None:
    """A face twice as large moves twice as many pixels and is smoothed alike."""
    generator = np.random.default_rng(1)
    times, walk = np.arange(30) / 25, generator.normal(0, 1, (30, 68, 2)).cumsum(axis=0)
    small, large = OneEuroFilter(), OneEuroFilter()
    for time, points in zip(times, walk, strict=True):
        np.testing.assert_allclose(2 * small(time, points, 50.0), large(time, 2 * points, 100.0), rtol=1e-10, atol=1e-9)


def test_reset_and_what_cannot_be() -> None:
    smoothing = OneEuroFilter()
    smoothing(0.0, np.zeros(2))
    with pytest.raises(ValueError, match="does not follow"):
        smoothing(0.0, np.ones(2))
    smoothing.reset()
    np.testing.assert_array_equal(smoothing(0.0, np.ones(2)), np.ones(2))
    for cutoff, slope in ((0.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (float("nan"), 1.0)):
        with pytest.raises(UserError, match="expected above 0"):
            OneEuroFilter(cutoff, slope)


@pytest.mark.parametrize("rate", [10.0, 25.0, 60.0])
def test_the_lag_of_a_ramp_is_what_the_formula_says(rate: float) -> None:
    """In the steady state a first-order filter of time constant tau is tau behind, and its speed is the ramp's."""
    assert ramp_lag(OneEuroFilter(2.0, 0.0), rate, 0.5) == pytest.approx(1 / (2 * math.pi * 2.0), rel=1e-6)
    smoothing = OneEuroFilter(2.0, 20.0)
    # Algorithm 1 takes the speed from the filtered value before: (lag + one period) * speed / period, low-passed.
    for speed in (0.1, 1.0):
        lag = ramp_lag(smoothing, rate, speed)
        cutoff = 2.0 + 20.0 * (lag + 1 / rate) * speed * rate
        assert lag == pytest.approx(1 / (2 * math.pi * cutoff), rel=1e-6)
    assert ramp_lag(smoothing, rate, 2.0) < ramp_lag(smoothing, rate, 0.1)


def test_the_delay_of_a_step() -> None:
    smoothing = OneEuroFilter(1.0, 0.0)
    share = 1 / (1 + 25 / (2 * math.pi))
    expected = math.ceil(math.log(0.1) / math.log(1 - share)) - 1
    assert step_delay(smoothing, 25.0, 3.0) == expected
    assert step_delay(OneEuroFilter(1000.0, 0.0), 25.0, 3.0) == 0
    assert step_delay(OneEuroFilter(1.0, 50.0), 25.0, 3.0) < expected


def test_it_trembles_less_and_is_nearer_to_the_truth() -> None:
    generator = np.random.default_rng(2)
    times = np.arange(200) / 25
    truth = 40 * np.sin(times)[:, None] + np.array((100.0, 300.0))
    seen = truth + generator.normal(0, 1, truth.shape)
    smoothing = OneEuroFilter()
    found = np.array([smoothing(time, points, 100.0) for time, points in zip(times, seen, strict=True)])
    error, raw = found - truth, seen - truth
    assert np.diff(error, axis=0).std() < 0.7 * np.diff(raw, axis=0).std()
    assert error.std() < 0.9 * raw.std()
