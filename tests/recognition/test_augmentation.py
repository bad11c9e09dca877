"""An aligned face is moved about its middle by as much as is said, and pixels are changed as one photograph."""

import dataclasses

import cv2
import numpy as np
import pytest

from lwface.recognition.augmentation import FaceStrength, augmented
from lwface.training.photographs import PROBABILITIES, times

NONE = times(FaceStrength(), 0.0)


def test_nothing_is_nothing():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    np.testing.assert_array_equal(augmented(image, NONE, np.random.default_rng(1)), image)


@pytest.mark.parametrize("seed", range(6))
def test_points_move_as_little_as_is_said(seed):
    """A disc near an eye: its middle moves within what three standard deviations of each can do together."""
    image = np.zeros((112, 112, 3), np.uint8)
    cv2.circle(image, (38, 52), 6, (255, 255, 255), -1)
    only = dataclasses.replace(NONE, rotation=4.0, scale=0.05, shift=0.02, shear=0.03)
    grey = augmented(image, only, np.random.default_rng(seed))[..., 0].astype(float)
    y, x = np.mgrid[:112, :112]
    middle = np.array([(grey * x).sum(), (grey * y).sum()]) / grey.sum()
    far = np.hypot(38 - 55.5, 52 - 55.5)
    most = 3 * 112 * 0.02 * 2**0.5 + far * (np.deg2rad(12) + 0.15 + 0.09 * 2**0.5) * 1.3
    assert 0.05 < np.linalg.norm(middle - (38, 52)) < most


def test_a_factor_of_strength():
    half, much = times(FaceStrength(), 0.5), times(FaceStrength(), 40.0)
    assert (half.rotation, half.jpeg, half.colour) == (2.0, 0.125, 0.15)
    assert all(getattr(much, name) == 1.0 for name in PROBABILITIES)
    assert much.rotation == 160.0
