"""datasets/clean.py: from features of a folder or a record file to the list and its sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.commands import clean
from lwface.formats.cleaning_list import read_cleaning
from lwface.formats.feature_file import FeatureWriter
from lwface.formats.image import decode_rgb, encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack

PEOPLE, IMAGES, WIDTH = 50, 4, 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """50 people of 4 images; one image of person 0 lies with person 7, and one of person 9 is there twice."""
    root = tmp_path_factory.mktemp("clean")
    dice = np.random.default_rng(0)
    rows = dice.normal(size=(PEOPLE, 1, WIDTH)) + 0.4 * dice.normal(size=(PEOPLE, IMAGES, WIDTH))
    jpeg = encode_jpeg(np.full((112, 112, 3), 90, np.uint8))
    features, labels = [], []
    for person in range(PEOPLE):
        of = [*rows[person], *([rows[0, 0]] if person == 7 else []), *([rows[9, 1]] if person == 9 else [])]
        of = of[1:] if person == 0 else of
        (root / "people" / f"p{person:02d}").mkdir(parents=True)
        for number, row in enumerate(of):
            (root / "people" / f"p{person:02d}" / f"{number}.jpg").write_bytes(jpeg)
            features.append(row / np.linalg.norm(row))
            labels.append(person)
    with FeatureWriter(root / "f.bin", len(features), WIDTH) as writer:
        writer.write(np.array(features, np.float32))
    with RecordWriter(root / "train.rec") as writer:
        for key, label in enumerate(labels, start=1):
            writer.write(key, pack(Header(0, label, key, 0), jpeg))
    (root / "property").write_text(f"{PEOPLE},112,112\n")
    return root


def test_a_folder(folder, tmp_path, capsys):
    clean.main([f"--input={folder / 'people'}", f"--features={folder / 'f.bin'}", f"--output={tmp_path / 'c.csv'}"])
    found = read_cleaning(tmp_path / "c.csv")
    assert not found.keys
    assert [(line.image, line.person, line.proposal, line.other) for line in found.lines] == [
        ("p07/4.jpg", "p07", "leave out", "p00"),
        ("p09/4.jpg", "p09", "leave out", "p09"),
    ]
    said = capsys.readouterr().out
    assert "2 proposals for 201 images" in said
    assert "duplicates: from 0.970" in said
    assert "--leave-out" in said
    sheet = decode_rgb((tmp_path / "c.mislabelled.jpg").read_bytes())
    assert sheet is not None
    assert sheet.shape[1] > 2 * 112
    assert (tmp_path / "c.duplicate.jpg").is_file()


def test_a_record_file(folder, tmp_path):
    clean.main([f"--input={folder}", f"--features={folder / 'f.bin'}", f"--output={tmp_path / 'c.csv'}"])
    found = read_cleaning(tmp_path / "c.csv")
    assert found.keys
    assert [(line.image, line.person, line.other) for line in found.lines] == [("32", "7", "0"), ("41", "9", "9")]


def test_thresholds_are_followed_and_much_is_told(folder, tmp_path, capsys):
    flags = ["--duplicate-score=0.7", "--stranger-score=-1", "--same-score=1"]
    clean.main([f"--input={folder}", f"--features={folder / 'f.bin'}", f"--output={tmp_path / 'c.csv'}", *flags])
    assert {line.proposal for line in read_cleaning(tmp_path / "c.csv").lines} == {"leave out"}
    told = capsys.readouterr()
    assert "duplicates: from 0.700" in told.out
    assert "which is much" in told.err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--output=c.csv"], "give --features FILE of the input, or --model MODEL"),
        (["--output=c.csv", "--features=f", "--model=m,1"], "one of both"),
        (["--output=c.csv", "--features=f", "--same-score=90"], "--same-score 90: expected a cosine"),
    ],
)
def test_what_cannot_be_is_said(folder, flags, says):
    with pytest.raises(UserError, match=says):
        clean.parse_arguments([f"--input={folder}", *flags])


def test_features_of_another_set_are_refused(folder, tmp_path):
    with FeatureWriter(tmp_path / "f.bin", 3, 2) as writer:
        writer.write(np.eye(2, dtype=np.float32)[[0, 1, 0]])
    with pytest.raises(UserError, match="201 images for 3 feature rows"):
        clean.main([f"--input={folder}", f"--features={tmp_path / 'f.bin'}", f"--output={tmp_path / 'c.csv'}"])
