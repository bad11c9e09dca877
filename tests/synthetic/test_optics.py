"""A lens and a sensor with faults: points move as pixels do, and what has no fault changes nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lwface.synthetic import optics

GOOD_LENS = optics.Lens((0.3, 0.7), 0.0, 0.0, 0.0, 0.0, (0.5, 0.5), 0.0, (1.0, 1.0, 1.0), 0.0)
GOOD_SENSOR = optics.Sensor(0.0, 0.0, (1.0, 0.0), 0.0, (1.0, 0.0), 0.0, 0.0, 3.0)


def test_a_lens_and_a_sensor_without_faults_change_nothing() -> None:
    image = np.random.default_rng(0).random((48, 48, 3), dtype=np.float32)
    np.testing.assert_allclose(optics.seen(image, GOOD_LENS, GOOD_SENSOR), image, atol=0.002)
    points = np.random.default_rng(1).uniform(0, 47, (9, 2))
    np.testing.assert_allclose(optics.placed(points, GOOD_LENS, GOOD_SENSOR, 48), points, atol=1e-9)


@pytest.mark.parametrize("bend", [-0.16, 0.36])
def test_points_go_where_their_pixels_go(bend: float) -> None:
    """Soft dots in a frame, seen through lens and sensor, have their middles where the points are said to be."""
    lens, sensor = (
        dataclasses.replace(GOOD_LENS, bend=bend, axis=(1.2, 0.3)),
        dataclasses.replace(GOOD_SENSOR, lean=20.0, wave=2.0, waves=(2.0, 0.1)),
    )
    rows, columns = np.mgrid[0:192, 0:192].astype(np.float64)
    for point in np.random.default_rng(2).uniform(60, 130, (6, 2)):
        dot = np.exp(-((columns - point[0]) ** 2 + (rows - point[1]) ** 2) / 8)
        shown = optics.seen(np.repeat(dot[..., None], 3, axis=2).astype(np.float32), lens, sensor)[..., 1]
        middle = np.array([(shown * columns).sum(), (shown * rows).sum()]) / shown.sum()
        np.testing.assert_allclose(optics.placed(point[None], lens, sensor, 192)[0], middle, atol=0.15)


def test_a_lens_breaks_colours_apart_and_darkens_towards_its_borders() -> None:
    lens = dataclasses.replace(GOOD_LENS, axis=(0.5, 0.5), colours=0.06, dark=0.5)
    image = np.zeros((96, 96, 3), np.float32)
    image[:, 80:] = 1
    shown = optics.seen(image, lens, None)
    begins = [int(np.argmax(shown[48, :, colour] > 0.3)) for colour in range(3)]
    assert begins[0] > begins[1] > begins[2]  # red's picture is the larger one
    assert 0.45 < shown[0, 95, 1] < 0.55 < 0.7 < shown[48, 90, 1] < 0.85


def test_a_sensors_noise_is_a_lines_and_of_spots() -> None:
    lined, spotted = (dataclasses.replace(GOOD_SENSOR, **{name: 3.0}) for name in ("lines", "spots"))
    lines, spots = (optics.noise(sensor, np.random.default_rng(0), 96) for sensor in (lined, spotted))
    assert np.ptp(lines, axis=(1, 2)).max() == 0
    assert 2 < lines[:, 0, 0].std() < 4
    assert 1 < spots.std() < 5
    assert np.corrcoef(spots[:, :-1].ravel(), spots[:, 1:].ravel())[0, 1] > 0.6  # of more than a pixel
