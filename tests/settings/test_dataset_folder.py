"""``--dataset FOLDER``: the settings that are found in it, without a line of configuration."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

import lwface.base.notes as notes
import lwface.settings.places as places
from lwface.base.errors import UserError
from lwface.commands.train import parse_arguments
from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.formats.verification_pack import write_pack
from lwface.recognition.preparation import open_dataset
from lwface.recognition.train import run_folder
from lwface.settings.dataset_folder import folder_entry, short_name
from lwface.settings.resolve import resolve

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    monkeypatch.setattr(notes, "_told", set())


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Six images of three people, three packs and what is none."""
    folder = tmp_path / "data" / "mine"
    folder.mkdir(parents=True)
    face = encode_jpeg(np.zeros((112, 112, 3), np.uint8))
    with RecordWriter(folder / "train.rec") as writer:
        for key in range(6):
            writer.write(key, pack(Header(0, key // 2, key, 0), face))
    (folder / "property").write_text("3,112,112\n")
    for name in ("verify", "agedb_30", "lfw"):
        write_pack(folder / f"{name}.bin", [face, face], [True])
    features = struct.pack("<4i", 128, 1, 4, 5) + bytes(512)  # begins with the byte that a pickle begins with
    (folder / "features.bin").write_bytes(features)
    (folder / "notes.bin").write_bytes(b"hello")
    return folder


def test_what_is_found(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert folder_entry(str(mine)) == {
        "dataset": "mine",
        "dataset_path": str(mine),
        "num_classes": 0,
        "image_shape": (112, 112, 3),
        "val_targets": ["lfw", "agedb_30", "verify"],  # the last decides: one's own
    }
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in told] == [str(mine / "features.bin"), str(mine / "notes.bin")]


@pytest.mark.parametrize("typed", ["data/mine", "data/mine/", "./data/../data/mine", "../{}/data/mine"])
def test_a_run_is_called_by_the_folder(mine: Path, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.chdir(mine.parents[1])
    typed = typed.format(mine.parents[1].name)
    run = resolve("m025", typed, "arcface_small")
    assert run.dataset == "mine"
    assert Path(run.dataset_path).resolve() == mine
    assert (run.num_classes, list(run.val_targets)) == (0, ["lfw", "agedb_30", "verify"])
    assert run_folder(run).name == "m025-arcface_small-mine"
    asked = parse_arguments(["--network", "m025", "--loss", "arcface_small", "--dataset", typed])
    assert resolve(**asked.names, places=asked.places).dataset_path == run.dataset_path
    data, (classes,) = open_dataset(run)
    assert (len(data), classes) == (6, 3)


def test_the_current_folder(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine)
    assert short_name(".") == "mine"
    assert resolve("m025", ".", "softmax").dataset_path == str(mine)
    monkeypatch.chdir(mine.parent)
    assert resolve("m025", "mine", "softmax").dataset == "mine"  # no slash, but there


def test_a_name_of_the_configuration_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "retina").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("y2", "retina", "arcface").num_classes == 93431


def test_what_is_missing_is_named(mine: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(mine.parent)
    given = ["--network", "m025", "--loss", "arcface_small", "--dataset"]
    with pytest.raises(UserError, match=r"--dataset \./none: no such folder; expected one with train\.rec"):
        parse_arguments([*given, "./none"])
    with pytest.raises(UserError, match=r"unknown dataset 'non': .*; or give the folder of one, such as datasets/non"):
        parse_arguments([*given, "non"])
    for path in mine.glob("*.bin"):
        path.unlink()
    run = resolve("m025", "mine", "softmax")
    assert list(run.val_targets) == []
    assert "no verification pack in it, so nothing is verified; datasets/build_pack.py" in capsys.readouterr().err
    (mine / "property").write_text("3,96,96\n")
    with pytest.raises(UserError, match="images of 96x96 by its property file, expected 112x112"):
        open_dataset(run)
    (mine / "property").unlink()
    with pytest.raises(UserError, match="property: missing; write one line"):
        open_dataset(run)
    (mine / "train.rec").unlink()
    with pytest.raises(
        UserError, match=r"no train\.rec in it: .*build_rec\.py --input PEOPLE --output .*mine makes it"
    ):
        parse_arguments([*given, "mine"])


def test_the_set_that_is_made_says_what_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make = rf"yet: python {ROOT}/datasets/make_synthetic\.py --output "
    with pytest.raises(UserError, match=rf"there is no data set 'synthetic' {make}datasets/synthetic makes it"):
        parse_arguments(["--dataset", "synthetic", "--root", "."])
    with pytest.raises(UserError, match=rf"--dataset sets/synthetic: no such folder {make}sets/synthetic makes it"):
        folder_entry("sets/synthetic")
    monkeypatch.setattr(places, "checkout", lambda: None)
    assert places.how_to_make(tmp_path / "a b" / "synthetic") == (
        "lwface make-synthetic --output 'a b/synthetic' makes it"
    )


def test_a_teachers_file_is_no_pack_and_no_matter(tmp_path, capsys):
    for name in ("teacher.bin", "other.bin"):
        (tmp_path / name).write_bytes(b"\x00" * 64)
    assert folder_entry(str(tmp_path))["val_targets"] == []
    told = capsys.readouterr().err
    assert "other.bin: no verification pack" in told
    assert "teacher.bin" not in told
