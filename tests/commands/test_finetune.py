"""The road of finetuning: which commands are typed, with what, and what is said of the scores."""

from __future__ import annotations

import pytest

from lwface.base.errors import UserError
from lwface.commands import finetune, train
from lwface.commands.finetune import RECIPE, judging, making, parse_arguments, training, verdict
from lwface.settings.resolve import resolve


@pytest.fixture
def start(tmp_path):
    """A model, people, and a made data set with images to judge on."""
    for name in ("model-0000.params", "model-symbol.json", "data/train.rec"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("people", "judge"):
        (tmp_path / name).mkdir()
    return ["--network", "y1", "--model", str(tmp_path / "model,0"), "--output", str(tmp_path / "out")]


def test_the_recipe_is_what_training_is_told(start, tmp_path):
    asked = ["--dataset", str(tmp_path / "data"), "--judge", str(tmp_path / "judge"), "--freeze", "..res_4"]
    arguments = parse_arguments([*start, *asked, "--lr", "0.25", "--no-freeze-bn", "--track", "iqiyi-light"])
    wish = train.parse_arguments(training(arguments, str(tmp_path / "data")).arguments)
    run = resolve(**wish.names, places=wish.places, **wish.overrides)
    expected = {**RECIPE, "lr": 0.25, "freeze": "..res_4", "freeze_bn": False}
    assert {key: getattr(run, key) for key in RECIPE} == expected
    assert (run.pretrained, run.ckpt, run.verbose) == (str(tmp_path / "model,0"), 2, RECIPE["max_steps"])
    assert (wish.resume, wish.track) == (True, "iqiyi-light")


def test_people_are_kept_apart_before_anything_is_learnt(start, tmp_path):
    arguments = parse_arguments([*start, "--input", str(tmp_path / "people"), "--photographs"])
    steps, dataset, judge = making(arguments)
    assert [step.name for step in steps] == ["align-faces", "split-people", "build-rec", "build-pack"]
    out = tmp_path / "out"
    assert (dataset, judge) == (str(out / "data"), out / "split" / "verify")
    assert str(out / "split" / "train") in steps[2].arguments
    assert str(out / "split" / "verify") in steps[3].arguments
    assert making(parse_arguments([*start, "--input", str(tmp_path / "people")]))[0][0].name == "split-people"


def test_both_networks_are_scored_on_the_same_people(start, tmp_path):
    judge = tmp_path / "judge"
    arguments = parse_arguments([*start, "--dataset", str(tmp_path / "data"), "--judge", str(judge)])
    (tmp_path / "new-0001.safetensors").touch()
    before, after, scores = judging(arguments, str(tmp_path / "new,1"), judge)
    for step, model in ((before, "model,0"), (after, "new,1")):
        assert step.name == "gen-image-feature"
        assert step.arguments[:4] == ["--model", str(tmp_path / model), "--input", str(judge)]
    assert scores.name == "tar-far"
    assert scores.arguments[:4] == ["--features", before.arguments[5], "--compare", after.arguments[5]]
    assert str(judge) in scores.arguments
    (judge / "labels.txt").touch()
    assert str(judge / "labels.txt") in judging(arguments, str(tmp_path / "new,1"), judge)[2].arguments


def test_the_verdict_is_in_words():
    rows = [(0.01, 0.02, [0.01, 0.03]), (0.001, -0.02, [-0.03, -0.01]), (1e-4, 0.01, [-0.01, 0.03]), (1e-5, None, None)]
    found = verdict({"differences": [{"far": far, "difference": by, "interval": of} for far, by, of in rows]})
    assert [line.rpartition(", ")[2] for line in found[:3]] == ["better", "worse", "not to be told apart"]
    assert found[0].startswith("at FAR 0.01: TAR +0.0200 (+0.0100 to +0.0300)")
    assert "not resolvable" in found[3]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "give --input FOLDER of people, or --dataset NAME and --judge FOLDER"),
        (["--dataset", "data"], "who is judged on must not be trained on"),
        (["--dataset", "data", "--judge", "judge", "--photographs"], "--photographs says what --input holds"),
        (["--input", "nobody"], "nobody: no such folder"),
        (["--input", "people", "--start-share", "2"], "--start-share 2.0: expected at most 1"),
        (["--input", "people", "--loss", "arcfase"], "did you mean 'arcface'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(start, tmp_path, monkeypatch, typed, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        finetune.main([*start, *typed])
    assert not (tmp_path / "out").exists()
