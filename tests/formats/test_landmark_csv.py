"""The csv of landmarks: both numbers of points, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.landmark_csv import read_landmarks

HEADER = "image," + ",".join(f"x{i},y{i}" for i in range(5)) + "\n"
ROW = "1,2,3,4,5,6,7,8,9,10"


def table(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "points.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_five_points(tmp_path: Path) -> None:
    found = read_landmarks(table(tmp_path, f'\ufeff{HEADER}a/b.jpg,{ROW}\r\n\n"x, y.jpg",{ROW[:-2]}-1.5e1\n'))
    assert list(found) == ["a/b.jpg", "x, y.jpg"]
    np.testing.assert_array_equal(found["a/b.jpg"], np.arange(1.0, 11).reshape(5, 2))
    assert found["x, y.jpg"][4, 1] == -15


def test_68_points(tmp_path: Path) -> None:
    header = "image," + ",".join(f"x{i},y{i}" for i in range(68))
    found = read_landmarks(table(tmp_path, f"{header}\na.jpg,{','.join(map(str, range(136)))}\n"))
    np.testing.assert_array_equal(found["a.jpg"], np.arange(136.0).reshape(68, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 must be"),
        ("image,x0,y0\n", "line 1 must be"),
        (HEADER.replace("x1", "y1"), "line 1 must be .* for 5 points; column 4 is 'y1', not 'x1'"),
        (HEADER.replace("image", "file"), "column 1 is 'file', not 'image'"),
        (HEADER.replace("y4", "Y4").replace("x3", "left"), "column 8 is 'left', not 'x3'"),
        (f"{HEADER}a.jpg,{ROW},11\n", "line 2 has 12 columns, not 11"),
        (f"{HEADER}a.jpg,{ROW}\nb.jpg,1,2\n", "line 3 has 3 columns"),
        (f"{HEADER}a.jpg,{ROW[:-2]}ten\n", "line 2, column y4: 'ten' is not a finite number"),
        (f"{HEADER}a.jpg,{ROW.replace('5', '5 px')}\n", "line 2, column x2: '5 px' is not a finite number"),
        (f"{HEADER}a.jpg,{ROW[:-2]}\n", "line 2, column y4: '' is not a finite number"),
        (f"{HEADER}a.jpg,{ROW[:-2]}nan\n", "line 2, column y4: 'nan' is not a finite number"),
        (f"{HEADER}a.jpg,{ROW}\na.jpg,{ROW}\n", r"line 3: a\.jpg is there twice"),
        (b"\xff\xd8\xff\xe0 a picture", "line 1 must be"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "is not a text file"),
        (f'{HEADER}"a.jpg,{ROW}\n', "is not csv"),
    ],
)
def test_mistakes_name_the_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=rf"points\.csv.*{message}"):
        read_landmarks(table(tmp_path, text))
