"""The table of factors: what each row renders and trains, that nothing is made twice, and the differences it prints."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
import rendered_training
import synthetic_factors
from held_out import told

from lwface.base.errors import UserError


@pytest.fixture
def made(monkeypatch, features):
    """What is rendered and trained, in order; a training makes features of its seed and the row's name."""
    calls = []

    def run(command, *flags):
        folder = flags[flags.index("--output") + 1]
        calls.append(("render", folder, {flag for flag in flags if "=" in flag}))

    def train(data, models, **kwargs):
        calls.append(("train", str(data), kwargs))
        return models / "model-0001.safetensors"

    def kept(path, judge, model):
        if not path.exists():
            spread = 0.3 if "form" in path.parent.name else 0.6
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, features(int(path.parent.name[-1]), spread))
        return np.load(path)

    for name, function in (("run", run), ("train", train), ("kept", kept)):
        monkeypatch.setattr(synthetic_factors, name, function)
    monkeypatch.setattr(synthetic_factors.shutil, "rmtree", lambda path, **kwargs: calls.append(("delete", str(path))))
    return calls


def asked(tmp_path, rows, **changes):
    usual = {"people": 80, "images": 8, "steps": 9, "num_workers": 1, "table": False, "seeds": [0, 1]}
    return argparse.Namespace(output=tmp_path / "out", rows=synthetic_factors.chosen(rows), **{**usual, **changes})


def features_of_all(arguments, judge):
    for seed in arguments.seeds:
        for name in arguments.rows:
            synthetic_factors.features_of(name, seed, judge, arguments)


def test_a_row_renders_its_own_set_and_trains_as_the_baseline(tmp_path, made, held_out):
    arguments = asked(tmp_path, "form 2;people x 4, images / 4", seeds=[1])
    features_of_all(arguments, held_out)
    kinds = [call[0] for call in made]
    assert kinds == ["render", "train", "render", "train", "delete", "render", "train", "delete"]
    plain, form, many = (call[2] for call in made if call[0] == "render")
    assert form - plain == {"--form=2"}
    assert plain - form == {"--form=1.0"}
    assert many - plain == {"--train-people=320", "--images-per-person=2"}
    assert {"--seed=1", "--difficulty=1.0", "--video=0.4"} <= plain
    assert [call[2] for call in made if call[0] == "train"] == [{"steps": 9, "seed": 1}] * 3


def test_rows_of_training_alone_use_the_baselines_set(tmp_path, made, held_out):
    features_of_all(asked(tmp_path, "no teacher;four times the steps", seeds=[0]), held_out)
    assert {call[1] for call in made if call[0] == "train"} == {str(tmp_path / "out" / "baseline-0" / "faces")}
    trained = [call[2] for call in made if call[0] == "train"]
    usual = {"steps": 9, "seed": 0}
    assert trained == [usual, {**usual, "taught": False}, {**usual, "steps": 36}]


def test_nothing_is_made_twice_nor_for_a_table(tmp_path, made, held_out):
    features_of_all(asked(tmp_path, "form 2", seeds=[0]), held_out)
    made.clear()
    features_of_all(asked(tmp_path, "form 2", seeds=[0]), held_out)
    table = asked(tmp_path, "form 2;form 3", table=True)
    assert synthetic_factors.features_of("form 3", 0, held_out, table) is None
    assert made == []


def test_differences_are_of_the_seeds_that_both_have(tmp_path, made, held_out):
    features_of_all(asked(tmp_path, "form 2", seeds=[0, 1]), held_out)
    features_of_all(asked(tmp_path, "no teacher", seeds=[0]), held_out)
    arguments = asked(tmp_path, "form 2;form 3;no teacher", table=True)
    lines = synthetic_factors.lines(held_out, arguments)
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| baseline", "| form 2", "| no teacher"]
    assert [line.split(" | ")[1] for line in lines[2:]] == ["2", "2", "1"]
    ours, base = (
        synthetic_factors.pooled(synthetic_factors.scores_of(row, seed, held_out, arguments) for seed in (0, 1))
        for row in ("form 2", "baseline")
    )
    assert ours.tars.shape == (2, 2)
    assert f"{ours.tars[:, 0].mean():.3f} | {told(ours, base, 0)}" in lines[3]


def test_unknown_rows_are_named():
    with pytest.raises(UserError, match="form 9: expected some of baseline"):
        synthetic_factors.chosen("form 2; form 9")


def test_a_command_that_fails_ends_it():
    with pytest.raises(UserError, match=r"common/flops_counter.py ended with status 2"):
        rendered_training.run("common/flops_counter.py", "--network", "none")
