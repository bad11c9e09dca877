"""A short training is the project's own, scored when it should be, and says when it diverged."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from lwface.gate.budgets import BudgetError
from lwface.recognition.train import prepare
from lwface.search.held_out import HeldOut
from lwface.search.proxy import Proxy, Try, recipe, report_steps
from lwface.search.space import on_meta, tensor_digest
from lwface.settings.places import Places
from lwface.settings.resolve import resolve

SETTINGS = {
    "net_name": "fmobilefacenet",
    "net_blocks": [0, 1, 1, 1],
    "net_widths": [8, 8, 12, 16, 24],
    "emb_size": 32,
    "net_act": "relu",
}
FAR = Fraction("1e-1")


@pytest.fixture
def attempt(configured, face_folder, tmp_path):
    def make(lr=0.05, loss="softmax", settings=SETTINGS, track="deepglint-light"):
        proxy = Proxy(
            "synthetic",
            loss,
            recipe(steps=4, images_per_step=8, seed=3, lr=lr),
            report_steps(4, 2),
            FAR,
            "cpu",
            Places.of(),
        )
        held_out = HeldOut(face_folder, ["heldout"], (112, 112))
        return Try(proxy, settings, held_out, track=track, folder=tmp_path, label="network 1")

    return make


def test_it_is_the_trainers_training(attempt, configured, face_folder, capsys):
    tried = attempt()
    scores = list(tried.scores())
    assert [score.step for score in scores] == [2, 4]
    assert not tried.diverged
    config = resolve(
        "fmobilefacenet",
        "synthetic",
        "softmax",
        **{**SETTINGS, "max_steps": 4, "per_batch_size": 8, "lr": 0.05, "warmup_steps": 1, "seed": 3, "accumulate": 1},
        lr_policy="cosine",
    )
    loop = prepare(config, device="cpu", folder=Path("unused"))
    for _ in loop.updates():
        pass
    network = loop.task.modules["network"]
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, tried._loop.task.modules["network"].state_dict()[name]), name
    assert tried.digest == tensor_digest(network)
    held_out = HeldOut(face_folder, ["heldout"], (112, 112))
    assert scores[-1].tar == held_out.tar(network, FAR, device=torch.device("cpu"), batch_size=8)


def test_settings_are_all_that_the_network_was_made_of(attempt):
    tried = attempt()
    assert SETTINGS.items() <= tried.settings.items()
    assert tried.settings["net_expansions"] == [1, 2, 2, 4, 2, 4, 2]
    assert tensor_digest(on_meta(tried.settings)) == tried.digest


def test_a_diverged_training_scores_nothing(attempt):
    tried = attempt(lr=1e30)
    assert list(tried.scores())[-1] == (4, 0.0)
    assert tried.diverged


def test_the_trainer_holds_it_against_the_budget_once_more(attempt):
    with pytest.raises(BudgetError, match="exceed"):
        attempt(settings={**SETTINGS, "net_widths": [256, 256, 512, 512, 512]})


@pytest.mark.parametrize(
    ("steps", "reports", "expected"), [(60, 3, (20, 40, 60)), (7, 2, (3, 7)), (5, 1, (5,)), (2, 2, (1, 2))]
)
def test_reports_are_even_and_end_with_the_last_step(steps, reports, expected):
    assert report_steps(steps, reports) == expected
