"""What models are called on a command line."""

import pytest

from lwface.base.errors import UserError
from lwface.models import names
from lwface.models.names import model_file, with_epoch
from lwface.models.sources import read_source


@pytest.mark.parametrize(
    ("model", "typed"),
    [
        ("m/model", "m/model,7"),
        ("m/model,2", "m/model,2"),
        ("m,1/model", "m,1/model,7"),
        ("backbone.pth", "backbone.pth"),
        ("m/model-0002.params", "m/model-0002.params"),
        ("m/model-0002.safetensors", "m/model-0002.safetensors"),
        ("M.ONNX", "M.ONNX"),
    ],
)
def test_the_epoch_stands_behind_a_prefix_alone(model, typed):
    assert with_epoch(model, 7) == typed


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("models/y2/model,1", "models/y2/model-0001.safetensors"),
        ("y2/model,1", "models/y2/model-0001.safetensors"),
        ("models/y1/model,0", "models/y1/model-0000.params"),
        ("models/y2.onnx", "models/y2.onnx"),
        ("models/y2/model-0001.safetensors", "models/y2/model-0001.safetensors"),
    ],
)
def test_a_model_below_the_checkout_is_pointed_at_from_elsewhere(tmp_path, monkeypatch, text, file):
    root, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    (root / file).parent.mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.setattr(names, "checkout", lambda: root)
    monkeypatch.chdir(elsewhere)
    with pytest.raises(UserError, match=r"no such model(, and no [^ ]+ either)?$"):
        model_file(text)
    (root / file).touch()
    found = root / (text if text.startswith("models/") else f"models/{text}")
    with pytest.raises(UserError, match=f"; it is below the checkout: type {found}$"):
        model_file(text)
    monkeypatch.setattr(names, "checkout", lambda: None)  # installed: there is none
    with pytest.raises(UserError, match=r"no such model(, and no [^ ]+ either)?$"):
        model_file(text)


def test_so_is_a_model_to_start_from(tmp_path, monkeypatch):
    file = tmp_path / "checkout" / "models" / "y2" / "model-0001.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(names, "checkout", lambda: tmp_path / "checkout")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"below the checkout: type {file.parent}/model,1$"):
        read_source("models/y2/model,1", 1)
