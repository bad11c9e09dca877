"""The command that writes the embedded data set: layout, the same bytes however it was run, refusals."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.base.journal import fingerprint, open_job
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import read_rgb
from lwface.formats.verification_pack import read_pack
from lwface.synthetic import generate
from lwface.synthetic.options import Options
from lwface.synthetic.render import sample_image

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = Options(
    difficulty=1.0,
    seed=5,
    train_people=3,
    images_per_person=2,
    heldout_people=2,
    heldout_images=2,
    videos_per_person=2,
    video_people=1,
    video_frames=2,
    pack_pairs=6,
    pack_people=2,
    frames=True,
)
FLAGS = [
    *("--seed", "5", "--train-people", "3", "--images-per-person", "2", "--heldout-people", "2"),
    *("--heldout-images", "2", "--videos-per-person", "2", "--video-people", "1", "--video-frames", "2"),
    *("--pack-pairs", "6", "--pack-people", "2", "--frames", "--difficulty", "1"),
]


@pytest.fixture(autouse=True)
def fewer_pack_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "PACK_IMAGES_PER_PERSON", 2)


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "datasets" / "make_synthetic.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def make(output: Path, options: Options = OPTIONS, workers: int = 1) -> None:
    journal = open_job(output, fingerprint({"options": str(options)}, []), generate.PRODUCTS)
    assert journal is not None
    with journal:
        generate.generate(options, output, journal, workers)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("made") / "set"
    before, generate.PACK_IMAGES_PER_PERSON = generate.PACK_IMAGES_PER_PERSON, 2
    make(output)
    generate.PACK_IMAGES_PER_PERSON = before
    return output


def test_layout(made: Path) -> None:
    names = {path.name for path in made.iterdir()}
    assert names == {
        *("train.rec", "train.idx", "train.lst", "property", "heldout.bin"),
        *("images", "videos", "frames", "annotations.csv", "manifest.json"),
    }
    assert (made / "property").read_text() == "3,112,112\n"
    assert len((made / "train.lst").read_text().splitlines()) == 6
    records = FaceRecords(made)
    assert len(records) == 6
    assert records.num_classes == 3
    assert records.identities == {7: (1, 3), 8: (3, 5), 9: (5, 7)}
    assert records.labels().tolist() == [0, 0, 1, 1, 2, 2]
    pack = read_pack(made / "heldout.bin")
    assert pack.issame.tolist() == [True, False] * 3
    assert pack.decode((112, 112)).shape == (12, 112, 112, 3)
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["train_images"] == 6
    assert manifest["options"]["seed"] == 5


def test_pictures_are_those_of_the_sampler(made: Path) -> None:
    _, jpeg = FaceRecords(made).read(3)  # the second person's second image
    stored = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
    assert np.abs(stored - sample_image(5, 1, 1).crop).mean() < 4
    assert np.abs(stored - sample_image(5, 0, 1).crop).mean() > 12


def test_lists_name_what_is_there(made: Path) -> None:
    images = (made / "images" / "filelist.txt").read_text().splitlines()
    assert (made / "images" / "labels.txt").read_text().split() == ["3", "3", "4", "4"]
    assert all(read_rgb(made / "images" / name).shape == (112, 112, 3) for name in images)
    videos = (made / "videos" / "filelist.txt").read_text().splitlines()
    assert (made / "videos" / "labels.txt").read_text().split() == ["3", "3"]
    assert [len(list((made / "videos" / name).glob("*.jpg"))) for name in videos] == [2, 2]


def test_annotations_fit_the_frames(made: Path) -> None:
    with open(made / "annotations.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 + 4 + 4 + 4
    for row in rows:
        assert read_rgb(made / "frames" / row["image"]).shape == (192, 192, 3)
        assert abs(float(row["yaw"])) <= 60
    sample = sample_image(5, 3, 1)
    row = next(r for r in rows if r["image"] == "image/00003/0001.jpg")
    found = [float(row[f"{axis}{i}"]) for i in range(68) for axis in "xy"]
    np.testing.assert_allclose(found, sample.landmarks68.ravel(), atol=0.006)
    assert (row["split"], row["identity"]) == ("image", "3")
    assert [float(row[f"five_{axis}4"]) for axis in "xy"] == pytest.approx(sample.landmarks5[4].tolist(), abs=0.006)


def test_interrupted_and_with_two_processes_the_bytes_are_the_same(made: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    journal = open_job(output, fingerprint({"options": str(OPTIONS)}, []), generate.PRODUCTS)
    assert journal is not None
    with journal:  # killed after some pieces, one of them half written and not in the journal
        wanted = generate.pieces(OPTIONS)
        generate.make_pieces(wanted[2:4], OPTIONS, output, journal, 1)
        (output / generate.WORK / f"{wanted[0].name}.npz").write_bytes(b"half")
    before = (output / generate.WORK / f"{wanted[2].name}.npz").stat().st_mtime_ns
    journal = open_job(output, fingerprint({"options": str(OPTIONS)}, []), generate.PRODUCTS)
    assert journal is not None
    with journal:
        # Workers are fresh processes with the module's own pack size: the pack's pieces carry their count.
        generate.make_pieces(wanted, OPTIONS, output, journal, 2)
        assert (output / generate.WORK / f"{wanted[2].name}.npz").stat().st_mtime_ns == before
        generate.generate(OPTIONS, output, journal, 2)
    assert contents(output) == contents(made)


def test_killed_while_putting_together(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "set"
    job = fingerprint({"options": str(OPTIONS)}, [])
    with monkeypatch.context() as patch:
        patch.setattr(generate, "_write_pack", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make(output)
    assert not (output / "manifest.json").exists()
    journal = open_job(output, job, generate.PRODUCTS)
    assert journal is not None
    with journal:
        generate.generate(OPTIONS, output, journal, 1)
    assert contents(output) == contents(made)


def test_command_is_done_once_and_refuses_other_options(made: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    flags = [*FLAGS, "--workers", "1", "--output", str(output)]
    first = run(*flags)
    assert first.returncode == 0, first.stderr
    assert "6 training images of 3 people" in first.stdout
    second = run(*flags)
    assert second.returncode == 0
    assert "already complete" in second.stdout
    other = run(*flags, "--difficulty", "0.5")
    assert other.returncode == 2
    assert len(other.stderr.strip().splitlines()) == 1
    assert str(output) in other.stderr
    ours, theirs = contents(made), contents(output)
    assert theirs["train.rec"] == ours["train.rec"]
    shutil.rmtree(output)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"train_people": 1}, "--train-people"),
        ({"video_people": 9}, "--video-people"),
        ({"difficulty": 0.0}, "--difficulty"),
        ({"video_fps": 0.0}, "--video-fps"),
        ({"video_fps": float("inf")}, "--video-fps"),
        ({"pack_pairs": 1}, "--pack-pairs"),
    ],
)
def test_options_that_cannot_be_made(change: dict[str, float], word: str) -> None:
    with pytest.raises(UserError, match=word):
        Options(**{**OPTIONS.__dict__, **change}).check()
