"""The README's road for one's own people, as it is typed there: only the sizes are smaller."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from lwface.formats.alignment import ARCFACE_TEMPLATE
from lwface.formats.face_records import FaceRecords
from lwface.formats.feature_file import read_features
from lwface.formats.image import encode_jpeg
from lwface.formats.verification_pack import read_pack

ROOT = Path(__file__).resolve().parents[2]
SMALLER = {"600": "40", "1500": "2", "250": "2", "64": "16"}  # pairs, steps, steps between verifications, images a step
PEOPLE, IMAGES = 100, 2


def commands() -> list[tuple[str, list[str]]]:
    """Name and arguments of each command of the section."""
    text = (ROOT / "README.md").read_text().split("**Your own data**")[1]
    block = re.match(r"\n\n((?:    .*\n)+)", text)
    assert block
    lines = block[1].replace("\\\n", " ").splitlines()
    typed = [shlex.split(line) for line in lines]
    assert all(words[0] == "python" for words in typed)
    return [(Path(words[1]).stem, [SMALLER.get(word, word) for word in words[2:]]) for words in typed]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs of people, with five points each; beside them what programs leave."""
    dice = np.random.default_rng(0)
    rows = ["image," + ",".join(f"x{i},y{i}" for i in range(5))]
    points = ",".join(f"{value:.2f}" for value in (ARCFACE_TEMPLATE + 20).ravel())
    for person in range(PEOPLE):
        for image in range(IMAGES):
            name = f"p{person:03d}/{image}.{'JPG' if image else 'jpeg'}"
            (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            noise = dice.integers(0, 256, (7, 7, 3), np.uint8)
            (tmp_path / "photos" / name).write_bytes(encode_jpeg(cv2.resize(noise, (150, 150))))
            rows.append(f"{name},{points}")
    (tmp_path / "photos" / "p000" / "Thumbs.db").touch()
    (tmp_path / "points.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_the_road_as_it_is_typed(photos: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(photos)
    done = []
    more = {
        "train": ["--models-root", "models"],  # a checkout's models are not for tests
        "align_faces": ["--landmarks", "points.csv"],  # noise has no faces; test_align_photographs.py looks for some
    }
    for name, arguments in commands():
        assert not importlib.import_module(f"lwface.commands.{name}").main([*arguments, *more.get(name, [])])
        done.append(name)
    assert done[:2] == ["align_faces", "split_people"]
    assert done[-1] == "identification"
    told = capsys.readouterr().out
    assert "skipped 1: no image that is read here, by its ending .db (p000/Thumbs.db)" in told
    assert "ver verify" in told
    split = json.loads(Path("split/manifest.json").read_text())
    assert (len(split["train"]), len(split["verify"])) == (80, 20)
    person = {path.read_bytes(): path.parent.name for path in Path("people").rglob("*.jpg")}
    records = FaceRecords("datasets/mine")
    assert {person[records.read(i)[1]] for i in range(len(records))} == set(split["train"])
    assert {person[image] for image in read_pack("datasets/mine/verify.bin").images} <= set(split["verify"])
    assert read_features("image.bin").shape == (20 * IMAGES, 128)
    assert Path("report/report.html").is_file()
