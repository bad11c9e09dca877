"""The models of the package made again: steps that their commands take, and what is said of the files."""

import importlib
import json
from itertools import pairwise

import pytest
import torch
from safetensors import safe_open

from lwface.base.errors import UserError
from lwface.commands import make_models
from lwface.models.card import read_card
from lwface.models.shipped import digests, shipped_path
from lwface.models.store import save_model
from lwface.networks import create_network
from tests.documented_programs import SETTINGS

POINT = {"far": 0.1, "threshold": 0.3, "tar": 0.7, "tar_interval": [0.65, 0.75], "achieved_far": 0.1}
NOTES = {"use": {"quality": "q", "not_for": "n", "better": "b", "licence": "l"}, "data": []}


def refused(command, arguments):
    """What the command says against its arguments; unknown flags end the process."""
    try:
        command.parse_arguments([*arguments])
    except (UserError, OSError) as error:
        return str(error)
    return ""


def large(work):
    return make_models.face_recipe(work, make_models.LARGE)


@pytest.mark.parametrize("recipe_of", [*make_models.RECIPES.values(), large])
def test_each_step_is_a_command_with_arguments_that_it_takes(recipe_of, tmp_path):
    recipe = recipe_of(tmp_path)
    assert recipe.model.is_relative_to(tmp_path)
    assert recipe.model.name == "model-0001.safetensors"
    for step in recipe.steps:
        command = importlib.import_module(f"lwface.commands.{step.name.replace('-', '_')}")
        told = refused(command, step.arguments)
        assert not told or str(tmp_path) in told  # what the step before it makes is not there


def test_every_model_of_the_package_has_a_recipe():
    assert set(digests()) <= set(make_models.RECIPES)


@pytest.mark.parametrize("name", sorted(digests()))
def test_a_recipe_asks_for_what_the_file_of_the_package_was_trained_with(name, tmp_path):
    """A file holds the settings of its run: one that differs would make other bytes of the same weights."""
    with safe_open(shipped_path(name), "pt") as file:
        config = json.loads(file.metadata()["config"])
    asked = make_models.RECIPES[name](tmp_path).steps[-1].arguments
    values = {flag[2:].replace("-", "_"): value for flag, value in pairwise(asked) if flag.startswith("--")}
    told = {key: value for key, value in values.items() if key in config and str(tmp_path) not in value}
    assert {"frequent", "max_steps", "precision", "lr" if name != "landmarks" else "seed"} <= set(told)
    assert told == {key: value if value == str(config[key]) else f"{config[key]:g}" for key, value in told.items()}


@pytest.fixture
def made(monkeypatch):
    """Steps that leave a small model in no time."""
    torch.manual_seed(0)
    network = create_network(SETTINGS)

    def run(self, step):
        if step.name.startswith("train"):
            root = step.arguments[step.arguments.index("--models-root") + 1]
            save_model(f"{root}/r12_ps-integral-points/model", 1, network, {**SETTINGS, "max_steps": 4000, "data": []})

    monkeypatch.setattr(make_models.Road, "run", run)


def test_what_was_made_is_written_as_the_package_has_it(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scored = {"dim": 2, "genuine_pairs": 3, "impostor_pairs": 4, "results": [POINT], "roc": [], "rows": 9}
    (tmp_path / "scores.json").write_text(json.dumps(scored))
    scores = {"scores": {"file": "scores.json", "set": "nobody"}}
    (tmp_path / "notes.json").write_text(json.dumps({"landmarks": {**NOTES, **scores}}))
    make_models.main(["--only", "landmarks", "--work", "work", "--notes", "notes.json"])
    told = capsys.readouterr().out
    assert "work/weights/landmarks-0001.safetensors" in told
    assert "not the package's weights" in told
    card = read_card(str(tmp_path / "work" / "weights" / "landmarks-0001.safetensors"))
    assert (card["use"], card["step"]) == (NOTES["use"], 4000)
    assert card["scores"] == {"set": "nobody", **{key: value for key, value in scored.items() if key != "rows"}}


def test_a_million_images_are_the_same_recipe_and_no_model_of_the_package(tmp_path, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(make_models.Road, "run", lambda self, step: ran.append(step.arguments))
    make_models.main(["--large", "--work", str(tmp_path)])
    assert "r50_ibn-arcface_small-faces/model-0001.safetensors" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    small = [step.arguments for step in make_models.face_recipe(tmp_path).steps]
    changed = {new[at - 1] for old, new in zip(small, ran, strict=True) for at in range(len(old)) if old[at] != new[at]}
    scale = {"--train-people", "--images-per-person", "--network", "--per-batch-size", "--num-workers", "--max-steps"}
    assert changed == {*scale, "--pretrained"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--large", "--only", "landmarks"], "--large is of the face network"),
        (["--large", "--trained", "list.json"], "--large is of the face network"),
        (["--only", "landmarks,fase"], "unknown model of the package 'fase'"),
        (["--only", "landmarks,landmarks", "--trained", "list.json"], r"--trained list\.json: is one model"),
        (["--notes", "text.txt"], r"--notes text\.txt: not JSON"),
        (["--notes", "list.json"], r'--notes list\.json: expected \{"MODEL"'),
    ],
)
def test_what_is_wrong_is_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("text")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(UserError, match=message):
        make_models.parse_arguments(arguments)
