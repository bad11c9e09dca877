"""solution.txt and its zip: golden bytes, and the row that is wrong."""

import zipfile

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.point_solution import read_solution, write_solution, zip_solution


@pytest.fixture
def points():
    draw = np.random.default_rng(0)
    return {f"image{i:05}.jpg": draw.uniform(-5, 384, (68, 2)) for i in (3227, 1708, 809)}


def test_the_challenges_own_row(tmp_path):
    places = np.zeros((68, 2))
    places[:2] = [[66.4271, 129.7086], [72.0486, 171.3629]]
    write_solution(tmp_path / "solution.txt", {"image03227.jpg": places})
    line = (tmp_path / "solution.txt").read_bytes()
    assert line.startswith(b"image03227.jpg 66.4271 129.7086 72.0486 171.3629 0.0000 ")
    assert line.endswith(b" 0.0000\n")
    assert len(line.split(b" ")) == 137


def test_what_is_written_is_read(tmp_path, points):
    write_solution(tmp_path / "solution.txt", points)
    zip_solution(tmp_path / "s.zip", tmp_path / "solution.txt")
    for path in (tmp_path / "solution.txt", tmp_path / "s.zip"):
        found = read_solution(path, list(points))
        assert list(found) == list(points)
        for name, places in points.items():
            np.testing.assert_allclose(found[name], places, atol=5.1e-5)


def test_the_zip_holds_no_folder_and_is_the_same_each_time(tmp_path, points):
    write_solution(tmp_path / "solution.txt", points)
    for name in ("a.zip", "b.zip"):
        zip_solution(tmp_path / name, tmp_path / "solution.txt")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["solution.txt"]
        assert archive.read("solution.txt") == (tmp_path / "solution.txt").read_bytes()
        assert archive.testzip() is None


ROW = " ".join(["a.jpg", *["1.5"] * 136])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{ROW}\n{ROW} 2.0\n", r"row 2 has 138 fields, expected 137"),
        (f"{ROW[:-4]}\n", r"row 1 has 136 fields, expected 137"),
        (ROW.replace(" ", "  ", 1), "fields are separated by one space each"),
        (ROW.replace(" ", "\t"), "fields are separated by one space each"),
        (ROW.replace("1.5", "x", 1), "row 1: field 2 is 'x', not a finite number"),
        (ROW.replace("1.5", "1_5", 1), "row 1: field 2 is '1_5', not a finite number"),
        (ROW.replace("1.5", "1e308", 1), "row 1: field 2 is '1e308', farther than"),
        (ROW[:-3] + "nan", "row 1: field 137 is 'nan', not a finite number"),
        (f"{ROW}\n{ROW}\n", "row 2: a.jpg has a row already"),
        (ROW.replace("a.jpg", "b.jpg"), "row 1: b.jpg is no image of the test set"),
        ("\n\n", "it has no row"),
        (ROW, "no row for 1 of the 2 images: c.jpg"),
    ],
)
def test_the_first_wrong_row_is_named(tmp_path, text, message):
    (tmp_path / "solution.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_solution(tmp_path / "solution.txt", ["a.jpg", "c.jpg"])


@pytest.mark.parametrize("text", [f"\ufeff{ROW}\n", f"{ROW} \n", f"{ROW}\r\n\r\n", f"\n{ROW}\r"])
def test_a_zip_is_read_as_the_file_in_it(tmp_path, text):
    (tmp_path / "solution.txt").write_bytes(text.encode())
    zip_solution(tmp_path / "s.zip", tmp_path / "solution.txt")
    for path in (tmp_path / "solution.txt", tmp_path / "s.zip"):
        assert list(read_solution(path, ["a.jpg"])) == ["a.jpg"]


def test_zips_that_are_none(tmp_path):
    path = tmp_path / "s.zip"
    path.write_bytes(b"PK nothing")
    with pytest.raises(UserError, match="no zip, or a damaged one"):
        read_solution(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("answer/solution.txt", ROW)
    with pytest.raises(UserError, match=r"holds answer/solution.txt; expected solution.txt, without a folder"):
        read_solution(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("solution.txt", b"\xff\xff")
    with pytest.raises(UserError, match=r"s.zip: solution.txt: is not a text file"):
        read_solution(path)


def test_a_name_with_a_space_cannot_be_written(tmp_path, points):
    with pytest.raises(UserError, match="image's name holds one: rename it"):
        write_solution(tmp_path / "solution.txt", {"my face.jpg": np.zeros((68, 2))})
    assert not (tmp_path / "solution.txt").exists()
