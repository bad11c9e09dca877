"""Cards of models: written beside them, believed of them alone, with what they were started from."""

from __future__ import annotations

import json

import pytest
import torch

from lwface.base.errors import UserError
from lwface.commands import card as command
from lwface.models.card import card_path, card_text, data_entry, model_card, read_card, start_entry, write_card
from lwface.models.names import model_path
from lwface.models.saved import save_model

SETTINGS = {"network": "y2", "loss": "arcface", "dataset": "mine", "lr": 0.1}


@pytest.fixture
def index(tmp_path):
    (tmp_path / "train.idx").write_text("0\t0\n")
    return tmp_path / "train.idx"


def carded(folder, index, *, licence="", start=None, value=0.0):
    save_model(str(folder / "model"), 1, torch.nn.Linear(2, 2).requires_grad_(False), {"value": value})
    data = [data_entry("mine", people=3, images=1200, index=index, licence=licence)]
    found = [{"pack": "lfw", "accuracy": 0.5, "folds": 10}]
    card = model_card(SETTINGS, step=1500, data=data, verification=found, start=start)
    write_card(model_path(str(folder / "model"), 1), card)
    return f"{folder / 'model'},1"


def test_it_says_what_it_was_given_and_is_the_same_twice(tmp_path, index):
    model = carded(tmp_path, index, licence="CC BY | 4.0")
    first = card_path(model_path(str(tmp_path / "model"), 1)).read_bytes()
    card = read_card(model)
    assert (card["step"], card["data"][0]["people"], card["data"][0]["licence"]) == (1500, 3, "CC BY | 4.0")
    text = card_text(card)
    assert "| mine | 3 | 1,200 | CC BY \\| 4.0 |" in text
    assert "| lfw | 0.5 | 10 |" in text
    assert "from random weights" in text
    write_card(model_path(str(tmp_path / "model"), 1), {k: v for k, v in card.items() if k not in ("file", "sha256")})
    assert card_path(model_path(str(tmp_path / "model"), 1)).read_bytes() == first
    assert str(tmp_path) not in first.decode()


def test_the_chain_of_starts_is_kept(tmp_path, index):
    oldest = carded(tmp_path / "a", index, licence="research only")
    middle = carded(tmp_path / "b", index, start=start_entry(oldest))
    newest = carded(tmp_path / "c", index, start=start_entry(middle))
    text = card_text(read_card(newest))
    assert [line for line in text.splitlines() if line.startswith("## Started")] == [
        "## Started from model-0001.safetensors",
        "## Started from model-0001.safetensors, 2 models back",
    ]
    assert text.count("not stated") == 2
    assert text.count("research only") == 1


def test_a_start_without_card_or_gone_is_said(tmp_path, index):
    start = start_entry(carded(tmp_path / "a", index))
    (tmp_path / "a" / "model-0001.card.json").unlink()
    bare = start_entry(f"{tmp_path / 'a' / 'model'},1")
    assert bare == {**start, "card": None}
    gone = start_entry(f"{tmp_path / 'none' / 'model'},1")
    for entry, digest in ((bare, start["sha256"]), (gone, "not known")):
        text = card_text(read_card(carded(tmp_path / "b", index, start=entry)))
        assert f"SHA-256 {digest}\n\nIt has no card" in text


def test_what_is_no_card_of_this_model_is_refused(tmp_path, index):
    model = carded(tmp_path, index)
    path = tmp_path / "model-0001.card.json"
    card = json.loads(path.read_text())
    for content, message in [
        ("{", "not the card of a model"),
        ("[]", "not the card of a model"),
        (json.dumps({**card, "format": 9}), "of format 9, expected 1"),
        (json.dumps({**card, "sha256": "0"}), "is the card of another file"),
    ]:
        path.write_text(content)
        with pytest.raises(UserError, match=message):
            read_card(model)
    path.unlink()
    with pytest.raises(UserError, match=r"model-0001\.safetensors has no card"):
        read_card(model)


def test_the_command_prints_text_or_json(tmp_path, index, capsys):
    model = carded(tmp_path, index)
    command.main(["--model", model])
    assert capsys.readouterr().out.startswith("# y2-arcface-mine\n")
    command.main(["--model", model, "--json", "-"])
    assert json.loads(capsys.readouterr().out) == read_card(model)
    command.main(["--model", model, "--json", str(tmp_path / "c.json")])
    assert json.loads((tmp_path / "c.json").read_text()) == read_card(model)
