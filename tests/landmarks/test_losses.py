"""Losses of points against the papers' formulas, written naively, one number at a time in float64."""

import math

import numpy as np
import pytest
import torch

from lwface.landmarks.losses import POINT_LOSSES


def naive_wing(found, true):
    d, w, e = abs(found - true), 10.0, 2.0
    return w * math.log(1 + d / e) if d < w else d - (w - w * math.log(1 + w / e))


def naive_adaptive_wing(found, true):
    omega, theta, epsilon, alpha = 14.0, 0.5, 1.0, 2.1
    d, power = abs(found - true), alpha - true
    if d < theta:
        return omega * math.log(1 + (d / epsilon) ** power)
    a = omega / (1 + (theta / epsilon) ** power) * power * (theta / epsilon) ** (power - 1) / epsilon
    return a * d - (theta * a - omega * math.log(1 + (theta / epsilon) ** power))


NAIVE = {
    "l1": lambda found, true: abs(found - true),
    "nll": lambda found, true: abs(found - true),
    "l2": lambda found, true: (found - true) ** 2,
    "smooth_l1": lambda f, t: 0.5 * (f - t) ** 2 if abs(f - t) < 1 else abs(f - t) - 0.5,
    "wing": naive_wing,
}


@pytest.mark.parametrize("name", NAIVE)
def test_distances_are_the_formula(name):
    draw = np.random.default_rng(0)
    found, true = draw.normal(0, 20, (50, 2)), draw.normal(0, 5, (50, 2))
    ours = POINT_LOSSES[name](torch.from_numpy(found), torch.from_numpy(true)).numpy()
    naive = np.vectorize(NAIVE[name])(found, true)
    np.testing.assert_allclose(ours, naive, rtol=1e-12)


def test_adaptive_wing_is_the_formula_and_weighs_where_the_map_is_high():
    draw = np.random.default_rng(1)
    true = np.zeros((1, 1, 12, 12))
    true[0, 0, 4:7, 4:7] = [[0.1, 0.5, 0.1], [0.5, 1.0, 0.5], [0.1, 0.5, 0.1]]
    found = draw.uniform(-0.2, 1.2, true.shape)
    ours = POINT_LOSSES["adaptive_wing"](torch.from_numpy(found), torch.from_numpy(true)).numpy()
    high = np.zeros(true.shape, bool)
    for row in range(12):
        for column in range(12):
            around = true[0, 0, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
            high[0, 0, row, column] = around.max() >= 0.2
    naive = np.vectorize(naive_adaptive_wing)(found, true) * np.where(high, 11.0, 1.0)
    np.testing.assert_allclose(ours, naive, rtol=1e-9)


def test_adaptive_wing_has_a_gradient_at_the_truth():
    maps = torch.rand(1, 2, 8, 8, requires_grad=True)
    POINT_LOSSES["adaptive_wing"](maps, maps.detach().clone()).sum().backward()
    assert torch.isfinite(maps.grad).all()


def test_cross_entropy_is_between_distributions():
    draw = np.random.default_rng(2)
    found, true = draw.normal(size=(3, 4, 9)), draw.normal(size=(3, 4, 9))
    ours = POINT_LOSSES["cross_entropy"](torch.from_numpy(found), torch.from_numpy(true)).numpy()
    p, q = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True) for logits in (true, found))
    np.testing.assert_allclose(ours, -(p * np.log(q)).sum(-1), rtol=1e-12)
