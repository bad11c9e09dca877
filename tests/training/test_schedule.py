"""The learning rate as a function of the step."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import pytest

from lwface.base.errors import UserError
from lwface.training.schedule import last_step, learning_rate, margin_share, sample_rate, schedule_length

BASE = {  # of a run
    "lr": 0.1,
    "lr_policy": "step",
    "lr_steps": "100,160,220",
    "warmup_steps": 0,
    "total_steps": 0,
    "poly_power": 2.0,
    "end_epoch": 3,
    "max_steps": 0,
    "sample_policy": "constant",
    "sample_rate": 0.1,
    "sample_full": 0.5,
}


def run(**changes):
    return SimpleNamespace(**{**BASE, **changes})


def rates(steps, **changes):
    return [learning_rate(run(**changes), step) for step in steps]


def test_step_policy_is_the_originals_counter():
    """The original's callback, replayed: it multiplies when the number of finished batches equals one of the steps."""
    lr, expected = 0.1, []
    for finished in range(1, 301):
        expected.append(lr)
        for change in (100, 160, 220):
            if finished == change:
                lr *= 0.1
                break
    assert rates(range(300)) == expected
    assert repr(learning_rate(run(), 100)) == "0.010000000000000002"  # what the original prints


def test_warm_up_is_linear_and_reaches_the_rate():
    found = rates(range(12), warmup_steps=10)
    assert found == pytest.approx([0.01 * i for i in range(1, 11)] + [0.1, 0.1])
    assert rates([105], warmup_steps=110) == pytest.approx([0.1 * 106 / 110])  # steps before its end do not count yet


@pytest.mark.parametrize("policy", ["cosine", "poly"])
def test_smooth_policies(policy):
    changes = {"lr_policy": policy, "total_steps": 110, "warmup_steps": 10}
    found = rates(range(10, 130), **changes)
    assert found[0] == pytest.approx(0.1)
    assert all(a > b for a, b in itertools.pairwise(found[:101]))
    assert found[100:] == pytest.approx([0.0] * 20, abs=1e-12)
    middle = {"cosine": 0.05, "poly": 0.1 * 0.25}[policy]
    assert found[50] == pytest.approx(middle)
    quarter = {"cosine": 0.1 * (1 + math.cos(math.pi / 4)) / 2, "poly": 0.1 * 0.75**2}[policy]
    assert found[25] == pytest.approx(quarter)
    assert rates([60], **changes, poly_power=1.0) == pytest.approx([0.05])


def test_the_share_of_classes_grows():
    def shares(**changes):
        return [sample_rate(run(total_steps=100, **changes), step) for step in (0, 20, 39, 40, 99)]

    assert shares() == [0.1] * 5
    assert shares(sample_policy="linear", sample_full=0.4) == pytest.approx([0.1, 0.55, 0.9775, 1.0, 1.0])
    assert shares(sample_policy="step", sample_full=0.4) == [0.1, 0.1, 0.1, 1.0, 1.0]
    assert schedule_length(run(sample_policy="step"), 50) == 150
    assert schedule_length(run(sample_policy="step", warmup_steps=200), 50) == 150


def test_lengths():
    assert last_step(run(), 50) == 150
    assert last_step(run(max_steps=120), 50) == 120
    assert last_step(run(max_steps=500), 50) == 150
    assert schedule_length(run(), 50) == 0
    assert schedule_length(run(lr_policy="cosine"), 50) == 150
    assert schedule_length(run(lr_policy="poly", max_steps=70), 50) == 70
    assert schedule_length(run(lr_policy="poly", max_steps=70, total_steps=90), 50) == 90
    with pytest.raises(UserError, match="warmup_steps = 150"):
        schedule_length(run(lr_policy="cosine", warmup_steps=150), 50)


def test_the_margin_rises_to_its_own():
    shares = [margin_share(SimpleNamespace(margin_warmup_steps=4), step) for step in range(6)]
    assert shares == [0, 0.25, 0.5, 0.75, 1, 1]
    assert margin_share(SimpleNamespace(margin_warmup_steps=0), 0) == 1
