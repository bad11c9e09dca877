"""The table of faces: written, read, corrected by hand, and every mistake with its line."""

from __future__ import annotations

import contextlib
import csv
import random
from pathlib import Path

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.face_csv import COLUMNS, FaceRow, is_face_table, read_faces, write_faces
from tests.fuzz_targets import damage_bytes

FIGURES = dict(zip(COLUMNS[3:-1], (1.5, 2.25, 30, 40, 0.9876, 33.125, 2.5, 120.0), strict=True))
POINTS = np.random.default_rng(0).uniform(0, 300, (68, 2))


def rows() -> list[FaceRow]:
    return [
        FaceRow("a/b, c.jpg", 1, True, FIGURES, "", POINTS),
        FaceRow("a/b, c.jpg", 2, False, FIGURES, "too small", POINTS + 1),
        FaceRow("none.jpg", 0, False, {}, "no face found", None),
    ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "faces.csv"
    write_faces(path, rows(), 68)
    assert is_face_table(path)
    for read, written in zip(read_faces(path), rows(), strict=True):
        assert (read.image, read.face, read.use, read.reason) == (
            written.image,
            written.face,
            written.use,
            written.reason,
        )
        assert read.figures == pytest.approx(written.figures, abs=5e-4)
        assert (read.points is None) == (written.points is None)
        if written.points is not None:
            np.testing.assert_allclose(read.points, written.points, atol=5e-4)


def test_a_table_that_a_spreadsheet_saved_again(tmp_path: Path) -> None:
    """Semicolons and decimal commas, columns of figures deleted, points written in for an image without a face."""
    path = tmp_path / "faces.csv"
    write_faces(path, rows(), 68)
    with open(path, newline="") as file:
        table = [[cell for i, cell in enumerate(row) if i not in (3, 8)] for row in csv.reader(file)]
    at = table[0].index("x0")
    table[3][2] = "1"
    table[3][at:] = [f"{value:.1f}" for value in POINTS.ravel()]
    text = "\n".join(
        ";".join(cell.replace(".", ",") if i >= 3 else cell for i, cell in enumerate(row)) for row in table
    )
    path.write_text("\ufeff" + text, encoding="utf-8")
    found = read_faces(path)
    assert (found[2].face, found[2].use) == (1, True)
    np.testing.assert_allclose(found[2].points, POINTS, atol=0.051)
    assert set(found[0].figures) == set(FIGURES) - {"left", COLUMNS[8]}


def test_other_tables_are_none(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("image," + ",".join(f"x{i},y{i}" for i in range(5)) + "\n")
    assert not is_face_table(path)


HEADER = "image,face,use," + ",".join(f"x{i},y{i}" for i in range(5)) + "\n"
ROW = "1,2,3,4,5,6,7,8,9,10"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER.replace("face,", ""), "line 1 has no column 'face'"),
        (HEADER.replace("y4", "z4"), "line 1 has no column 'y4'"),
        ("image,face,use,x0,y0\n", "line 1 has 5 columns, of 1 points"),
        (HEADER + "a.jpg,1,1,1,2\n", "line 2 has 5 columns, not 13"),
        (f"{HEADER}a.jpg,1,yes,{ROW}\n", "line 2: use is 'yes'"),
        (f"{HEADER}a.jpg,one,1,{ROW}\n", "line 2: face is 'one'"),
        (f"{HEADER}a.jpg,1,1,{ROW[:-2]}x\n", "line 2, column y4: 'x' is not"),
        (f"{HEADER}a.jpg,1,1,{ROW[:-2]}\n", "line 2, column y4: '' is not"),
        (f"{HEADER}a.jpg,1,1,,,,,,,,,,\n", "a.jpg is to be used and has no points"),
        (f"{HEADER}a.jpg,1,1,{ROW}\na.jpg,1,0,{ROW}\n", "line 3: face 1 of a.jpg is there twice"),
    ],
)
def test_mistakes_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "faces.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"faces\.csv: .*{message}"):
        read_faces(path)


def test_damage_is_told_or_read(tmp_path: Path) -> None:
    path = tmp_path / "faces.csv"
    write_faces(path, rows(), 68)
    data = path.read_bytes()
    told = 0
    for seed in range(300):
        path.write_bytes(damage_bytes(random.Random(seed), data, [data]))
        told += 1
        with contextlib.suppress(UserError):
            if is_face_table(path):
                read_faces(path)
                told -= 1
    assert 50 < told < 300
