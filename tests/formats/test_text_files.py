"""Lists and tables as other programs write them are the same lists and tables."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats import text_files
from lwface.formats.file_list import read_image_list
from lwface.formats.ijb_meta import read_faces, read_template_pairs
from lwface.formats.landmark_csv import read_landmarks
from lwface.formats.number_lists import line_chunks, whole_numbers
from lwface.formats.pair_lists import read_ignored, read_issame, read_pairs
from lwface.formats.person_labels import read_labels, read_people
from lwface.formats.text_files import numbered_lines, table_rows

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]
LINE_ENDS = ["\n", "\r\n", "\r"]


def written(path: Path, lines: list[str], encoding: str, end: str) -> Path:
    path.write_bytes("".join(line + end for line in lines).encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", LINE_ENDS)
def test_every_list_is_read_in_every_encoding_and_with_every_line_end(tmp_path, encoding, end):
    def text(name: str, *lines: str) -> Path:
        return written(tmp_path / name, list(lines), encoding, end)

    text("filelist.txt", "Zoë/1.jpg", "b c.jpg", "")
    assert read_image_list(tmp_path) == ["Zoë/1.jpg", "b c.jpg"]
    assert read_labels(text("labels.txt", "7", "-1", "7"), 3).tolist() == [7, -1, 7]
    pairs = read_pairs(text("pairs.txt", "0 1 1", "2;0;0", "1\t2\t0"), 3)
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0, 2, 1], [1, 0, 2])
    assert pairs.same is not None
    assert pairs.same.tolist() == [True, False, False]
    assert read_ignored(text("ignored.txt", "0;1", "", "2 1 # twins"), 3).tolist() == [[0, 1], [1, 2]]
    assert read_issame(text("issame.txt", "1", "0", "1")).tolist() == [True, False, True]
    header = "image," + ",".join(f"x{i},y{i}" for i in range(5))
    points = read_landmarks(text("points.csv", header, "Zoë.jpg" + ",1,2" * 5))
    assert points["Zoë.jpg"].tolist() == [[1, 2]] * 5
    people = read_people(text("people.csv", "file,id", "1.jpg,Zoë", "2.jpg,"), 2, column="id")
    assert (people.labels.tolist(), people.names) == ([0, -1], ["Zoë"])
    text("ijbc_name_5pts_score.txt", *(f"img {i}.jpg {'1 ' * 10}0.5" for i in range(3)))
    text("ijbc_face_tid_mid.txt", *(f"img {i}.jpg {i} {i}" for i in range(3)))
    faces = read_faces(tmp_path, "ijbc")
    assert faces.templates.tolist() == [0, 1, 2]
    text("ijbc_template_pair_label.txt", "0,1,1", "2,1,0")
    assert read_template_pairs(tmp_path, "ijbc", faces.templates).second.tolist() == [1, 1]


TABLE = [["file", "age", "id"], ["a, b.jpg", "29.5", "x;y"], ["c\td.jpg", "-3", 'q"r'], ["", "", ""]]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_the_same_with_any_separator(tmp_path, separator, end):
    path = tmp_path / "t.csv"
    for told in ("", f"sep={separator}{end}"):
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(told)
            csv.writer(file, delimiter=separator, lineterminator=end).writerows(TABLE)
        rows = list(table_rows(path))
        assert [fields for _, fields in rows] == TABLE
        assert [number for number, _ in rows] == [1 + bool(told), 2 + bool(told), 3 + bool(told), 4 + bool(told)]


def test_a_header_with_quoted_separators(tmp_path):
    (tmp_path / "t").write_text('"a;b;c;d",e\n1,2\n')
    assert [fields for _, fields in table_rows(tmp_path / "t")] == [["a;b;c;d", "e"], ["1", "2"]]


def test_a_decimal_comma_where_the_separator_is_none(tmp_path):
    (tmp_path / "t").write_text("file;x0;note\na,b;12,5;1,2,3\n")
    assert [fields for _, fields in table_rows(tmp_path / "t")][1] == ["a,b", "12.5", "1,2,3"]
    (tmp_path / "t").write_text('file,x0\n"1,5",2\n')  # here it was quoted: text
    assert [fields for _, fields in table_rows(tmp_path / "t")][1] == ["1,5", "2"]


def test_blank_lines_of_a_table(tmp_path):
    (tmp_path / "t").write_text("a,b\n\n1,2\n\n\n")
    assert list(table_rows(tmp_path / "t")) == [(1, ["a", "b"]), (2, []), (3, ["1", "2"])]
    (tmp_path / "t").write_text("a\n\n1\n\n")  # one column: a blank line is an empty field
    assert list(table_rows(tmp_path / "t")) == [(1, ["a"]), (2, [""]), (3, ["1"])]
    (tmp_path / "t").write_text("")
    assert list(table_rows(tmp_path / "t")) == []


@pytest.mark.parametrize("page", ["cp1252", "cp1250", "shift_jis", "gbk", "big5", "cp1251"])
def test_names_of_another_code_page_differ_where_they_differ(tmp_path, page, capsys):
    names = {"cp1252": "Jörg Jürg Jörg", "cp1250": "Łoś Łoż Łoś", "cp1251": "Юля Оля Юля"}.get(
        page, "表示 表 表示"
    ).split()
    (tmp_path / "t.csv").write_bytes("".join(f"{i}.jpg,{n}\n" for i, n in enumerate(["id", *names])).encode(page))
    people = read_people(tmp_path / "t.csv", 3, column="id")
    assert people.labels.tolist() == [0, 1, 0]
    assert "line 2 is not UTF-8: read as Windows-1252" in capsys.readouterr().err


def test_what_is_no_text_is_refused(tmp_path):
    for content in (b"a,b\n\x001,2\n", "a,b\n1,2\n".encode("utf-16-le")):  # the second has no byte order mark
        (tmp_path / "t").write_bytes(content)
        with pytest.raises(UserError, match="t: is not a text file"):
            list(table_rows(tmp_path / "t"))
    (tmp_path / "t").write_bytes(b"\xff\xfea\0\0\xd8b\0")
    with pytest.raises(UserError, match="t: is not a text file"):
        list(numbered_lines(tmp_path / "t"))


def test_lines_have_their_numbers_and_no_blanks_at_the_end(tmp_path):
    (tmp_path / "t").write_bytes(b"\n a \n\n\nb\rc\n\n  \n")
    assert list(numbered_lines(tmp_path / "t")) == [(1, ""), (2, "a"), (3, ""), (4, ""), (5, "b"), (6, "c")]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_chunks_are_the_file(tmp_path, size):
    text = b"\n1 2\n\n\n3 4\r\n5 6\n\n \n"
    (tmp_path / "t").write_bytes(b"\xef\xbb\xbf" + text)
    chunks = list(line_chunks(tmp_path / "t", size))
    assert b"".join(chunk for _, chunk in chunks) == text.rstrip() + b"\n"
    assert all(text[offset:].startswith(chunk.rstrip()) for offset, chunk in chunks)
    (tmp_path / "t").write_bytes(b"\n \n")
    assert list(line_chunks(tmp_path / "t", size)) == []


def test_whole_numbers_of_a_chunk():
    table = np.random.default_rng(0).integers(0, 10**12, (200, 3))
    for separator in (" ", ",", ";", "\t", " , "):
        text = "".join(separator.join(map(str, row)) + "\n" for row in table.tolist())
        assert (whole_numbers(text.encode()) == table).all()
    for wrong in (b"1 2\n3\n", b"1 -2\n", b"1 2.0\n", b"\n", b"1 2\n\n3 4\n", b"1 x\n", b"1\r2\n"):
        assert whole_numbers(wrong) is None


def test_a_list_written_on_windows_has_slashes(tmp_path):
    (tmp_path / "filelist.txt").write_text("a\\1.jpg\nb/2.jpg\n.\\c\\3.jpg\nodd\\name.jpg\n")
    (tmp_path / "odd\\name.jpg").touch()
    assert read_image_list(tmp_path) == ["a/1.jpg", "b/2.jpg", "./c/3.jpg", "odd\\name.jpg"]
    for outside in ("..\\x.jpg", "C:\\x.jpg", "\\\\server\\x.jpg"):
        (tmp_path / "filelist.txt").write_text(outside + "\n")
        with pytest.raises(UserError, match="is not a path inside"):
            read_image_list(tmp_path)


def test_nothing_else_opens_a_text():
    room = Path(text_files.__file__).parent
    for path in room.glob("*.py"):
        code = path.read_text()
        if path.name != "text_files.py":
            assert "csv.reader" not in code, path
            assert "utf-8-sig" not in code, path
            assert "BOM" not in code, path
