"""``export.py --for web``: the folder, what is printed, and what an error leaves behind."""

from __future__ import annotations

import sys

import pytest

from lwface.base.errors import UserError
from lwface.commands import export as command
from lwface.gate.budgets import BudgetError
from lwface.models.store import save_model
from lwface.networks import create_network
from lwface.onnx.model import load_onnx
from tests.deploy.web.conftest import FAKE, write_package

SETTINGS = {"net_name": "fmobilenet", "net_multiplier": 0.25, "emb_size": 16, "net_output": "E", "net_input": 0}


@pytest.fixture
def typed(tmp_path, package):
    """The command line of an export."""
    save_model(str(tmp_path / "model"), 1, create_network(SETTINGS), SETTINGS)
    given = ["--model", f"{tmp_path}/model,1", "--for", "web", "--output", str(tmp_path / "page")]
    return [*given, "--onnxruntime-web", str(package)]


def test_it_writes_a_folder_and_says_so(typed, tmp_path, capsys):
    command.main(typed)
    out = capsys.readouterr().out.splitlines()
    folder = tmp_path / "page"
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "model.onnx"]
    assert out[-4] == "onnxruntime-web 9.9.9: the page was tested with 1.30.0"
    assert out[-3].startswith(f"{folder}/index.html: written, {(folder / 'index.html').stat().st_size} bytes")
    assert out[-2].startswith("for web: float32 planes")
    assert out[-1] == f"  open {folder}/index.html: from disk with a double click, or from any static server"
    assert load_onnx(folder / "model.onnx").embedding_size == 16
    first = (folder / "index.html").read_bytes()
    command.main(typed)  # an earlier page is replaced
    assert (folder / "index.html").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_an_error_leaves_an_earlier_page(typed, tmp_path, package):
    command.main(typed)
    before = {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()}
    write_package(package, {**FAKE, "ort.wasm.min.js": b"/*! ONNX Runtime Web v8 */ '</script>'"})
    with pytest.raises(UserError, match=r"cannot stand inside a page"):
        command.main(typed)
    assert {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()} == before
    with pytest.raises(BudgetError):
        command.main([*typed, "--precision", "fp16", "--pack", str(package), "--track", "iqiyi-light"])
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == sorted(before)


def test_a_folder_with_other_files_stays(typed, tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "diary.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds other files, such as diary.txt"):
        command.main(typed)
    assert (tmp_path / "page" / "diary.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--for", "openvino", "--output", "f.onnx"], "--onnxruntime-web is for the page of --for web"),
        (["--report", "none.json"], "none.json"),
        (["--onnxruntime-web", "none.tgz"], "none.tgz: there is no such folder or file"),
        (["--output", "f.onnx"], "--for web writes a folder"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(change, message, typed, monkeypatch):
    monkeypatch.setattr(sys.modules["lwface.commands.export"], "load", lambda *_: pytest.fail("loaded"))
    with pytest.raises((UserError, OSError), match=message):
        command.main([*typed, *change])


def test_a_report_alone_is_for_a_page_too(typed):
    with pytest.raises(UserError, match=r"--report is for the page of --for web"):
        command.parse_arguments([*typed[:2], "--output", "f.onnx", "--report", "r.json"])
