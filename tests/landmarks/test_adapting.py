"""The linear map between conventions, against scikit-learn and against maps that are known."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from lwface.landmarks.adapting import STRENGTHS, _ridge, fit_map


@pytest.fixture
def sets():
    draw = np.random.default_rng(0)
    shapes = draw.normal(0, 1, (6, 136))
    found = (draw.normal(0, 3, (400, 6)) @ shapes + 56 + draw.normal(0, 0.5, (400, 136))).reshape(400, 68, 2)
    return found, [f"p{i // 4}" for i in range(400)]


def test_a_linear_change_is_found(sets):
    found, people = sets
    draw = np.random.default_rng(1)
    weight, bias = np.eye(136) + draw.normal(0, 0.02, (136, 136)), draw.normal(0, 2, 136)
    true = (found.reshape(400, -1) @ weight.T + bias).reshape(found.shape)
    fitted = fit_map(found[:300], true[:300], people[:300])
    before = np.linalg.norm(found[300:] - true[300:], axis=2).mean()
    after = np.linalg.norm(fitted(found[300:]) - true[300:], axis=2).mean()
    assert after < 0.05 * before


def test_noise_alone_is_left_as_it_is(sets):
    found, people = sets
    true = found + np.random.default_rng(2).normal(0, 2, found.shape)
    fitted = fit_map(found, true, people)
    assert fitted.strength >= 100
    moved = np.linalg.norm(fitted(found) - found, axis=2).mean()
    assert moved < 0.4


def test_one_person_is_believed_least(sets):
    """Nobody can be left out to choose a strength."""
    found, _ = sets
    true = found[:4] + np.random.default_rng(2).normal(0, 2, found[:4].shape)
    fitted = fit_map(found[:4], true, ["p"] * 4)
    assert fitted.strength == STRENGTHS[-1]


@pytest.mark.parametrize("strength", [0.1, 10.0])
def test_the_ridge_is_scikit_learns(sets, strength):
    found, _ = sets
    draw = np.random.default_rng(3)
    x = found.reshape(400, -1)
    y = x + draw.normal(0, 1, x.shape) + 3
    weight, bias = _ridge(x, y, strength)
    oracle = Ridge(alpha=strength * 4, solver="svd").fit(x, y - x)
    np.testing.assert_allclose(x @ weight.T + bias, x + oracle.predict(x), atol=1e-6)
