"""The InsightFace layout from a list of images, and the same bytes however often the job is interrupted."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.base.journal import open_job
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import encode_jpeg
from lwface.making.face_crops import CropRecipe, Skip
from lwface.making.image_folder import walk_people
from lwface.making.record_set import PRODUCTS, write_record_set


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Ann has 3 images, of which the first is damaged; Bo none that can be used; Cy 2; Di 1."""
    root = tmp_path / "people"
    dice = np.random.default_rng(0)
    for name in ("Ann/0", "Ann/1", "Ann/2", "Bo/0", "Cy/0", "Cy/1", "Di/0"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        data = encode_jpeg(cv2.resize(dice.integers(0, 256, (7, 7, 3), np.uint8), (112, 112)))
        (root / f"{name}.jpg").write_bytes(data[:-9] if name in ("Ann/0", "Bo/0") else data)
    return root


class Interrupted(CropRecipe):
    """A recipe at whose n-th image the user presses Ctrl-C."""

    left = 10**9

    def attempt(self, name: str) -> bytes | Skip:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().attempt(name)


def build(people: Path, output: Path, images_before_interrupt: int = 10**9) -> None:
    samples, _ = walk_people(people)
    recipe = Interrupted(people)
    recipe.left = images_before_interrupt
    journal = open_job(output, "job", PRODUCTS)
    assert journal is not None
    with journal:
        classes = write_record_set(output, samples, recipe, journal, workers=1)
        journal.finish({"num_classes": classes})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_layout(people: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    build(people, output)
    expected = ["manifest.json", "people.txt", "property", "train.idx", "train.lst", "train.rec"]
    assert sorted(contents(output)) == expected
    assert (output / "people.txt").read_text() == "Ann\nCy\nDi\n"
    assert (output / "property").read_text() == "3,112,112\n"
    names = ["Ann/1.jpg", "Ann/2.jpg", "Cy/0.jpg", "Cy/1.jpg", "Di/0.jpg"]
    labels = [0, 0, 1, 1, 2]
    assert (output / "train.lst").read_text() == "".join(
        f"1\t{name}\t{label}\n" for name, label in zip(names, labels, strict=True)
    )
    records = FaceRecords(output)
    assert records.insightface
    assert [records.read(i) for i in range(len(records))] == [
        (label, (people / name).read_bytes()) for name, label in zip(names, labels, strict=True)
    ]
    assert records.identities == {6: (1, 3), 7: (3, 5), 8: (5, 6)}
    header, edges, data = records.reader.unpack(0)
    assert (header.flag, header.id, header.id2, edges.tolist(), data) == (2, 0, 1, [6.0, 9.0], b"")
    assert [records.reader.unpack(k)[0].id for k in range(9)] == list(range(9))
    assert (output / "train.idx").read_text().splitlines()[-1].startswith("0\t")  # record 0 is written last


@pytest.mark.parametrize("step", [0, 1, 2, 3, 6])
def test_interrupted_again_and_again_gives_the_same_bytes(people: Path, tmp_path: Path, step: int) -> None:
    build(people, tmp_path / "whole")
    output = tmp_path / "out"
    left = [0, *[step] * 9] if step else [0, 1, 0, 2, 0, 3]
    while left and not (output / "manifest.json").exists():
        with contextlib.suppress(KeyboardInterrupt):
            build(people, output, left.pop(0))
            left = []
        assert (output / "train.rec").exists() == (output / "manifest.json").exists()
    if not (output / "manifest.json").exists():
        build(people, output)
    assert contents(output) == contents(tmp_path / "whole")


def test_part_files_cut_anywhere_give_the_same_bytes(people: Path, tmp_path: Path) -> None:
    """As a kill leaves them: the journal is never behind the records, the buffers of both data files may be."""
    build(people, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        build(people, stopped, 6)
    sizes = {name: (stopped / name).stat().st_size for name in ("train.rec.part", "train.idx.part", "journal.part")}
    cuts = [(r, sizes["train.idx.part"], 10**9) for r in range(0, sizes["train.rec.part"], 997)]
    cuts += [(10**9, i, 10**9) for i in range(0, sizes["train.idx.part"], 3)]
    cuts += [(0, 0, j) for j in range(0, sizes["journal.part"], 7)]
    for cut in cuts:
        output = tmp_path / "out"
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(stopped, output)
        for name, size in zip(sizes, cut, strict=True):
            (output / name).write_bytes((stopped / name).read_bytes()[:size])
        build(people, output)
        assert contents(output) == contents(tmp_path / "whole"), cut


def test_journal_behind_its_records_is_an_error(people: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        build(people, output, 6)
    journal = output / "journal.part"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(UserError, match="delete both"):
        build(people, output)


def test_nothing_usable_is_an_error_that_leaves_no_journal(people: Path, tmp_path: Path) -> None:
    for path in people.glob("*/*.jpg"):
        path.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"no image could be used; Ann/0\.jpg: not a JPEG"):
        build(people, tmp_path / "out")
    assert not (tmp_path / "out" / "journal.part").exists()
