"""People and attributes from text, csv and file lists, and what is refused."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwface.base.errors import UserError
from lwface.formats.person_labels import (
    Codes,
    People,
    in_bands,
    people_of_pairs,
    read_columns,
    read_labels,
    read_people,
    united,
)

ROWS = [
    ("b.jpg", "Ann, the first", "left", "23"),
    ("a.jpg", "Bo", "", "61"),
    ("c.jpg", "-1", "right", "-4"),
    ("d.jpg", "", "left", "30"),
    ("e.jpg", " Bo ", "right", "29.5"),
    ("f.jpg", 'Zoë "Z"\nTwo', "left", ""),
]


def write_csv(path, rows=ROWS, header=("file", "person", "camera", "age"), prefix="", **dialect):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(prefix)
        csv.writer(file, **dialect).writerows([header, *rows])
    return path


@pytest.mark.parametrize("prefix", ["", "\ufeff"])
@pytest.mark.parametrize("dialect", [{}, {"lineterminator": "\n"}, {"quoting": csv.QUOTE_ALL}])
def test_a_csv_names_people_and_attributes(tmp_path, prefix, dialect):
    path = write_csv(tmp_path / "f.csv", prefix=prefix, **dialect)
    people = read_people(path, 6, column="person", attributes=["camera", "file"])
    assert [people.names[label] if label >= 0 else None for label in people.labels] == [
        "Ann, the first",
        "Bo",
        None,
        None,
        "Bo",
        'Zoë "Z"\nTwo',
    ]
    assert people.labels[0] == 0  # in the order in which they first occur
    assert list(people.attributes) == ["camera", "file"]
    assert people.attributes["camera"].values == ["left", "right"]
    assert people.attributes["camera"].codes.tolist() == [0, -1, 1, 0, 1, 0]
    assert people.attributes["file"].values == ["b.jpg", "a.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]


def test_columns_without_people(tmp_path):
    columns = read_columns(write_csv(tmp_path / "f.csv"), 6, ["camera"])
    assert columns["camera"].codes.tolist() == [0, -1, 1, 0, 1, 0]


def test_a_text_file_keeps_its_numbers(tmp_path):
    (tmp_path / "l.txt").write_bytes(b"\xef\xbb\xbf7\r\n-1\r\n3\r\n7\r\n\r\n")
    people = read_people(tmp_path / "l.txt", 4)
    assert (people.labels.tolist(), people.names, people.attributes) == ([7, -1, 3, 7], None, {})


@pytest.mark.parametrize(
    ("depth", "lines", "expected"),
    [
        (1, ["ann/1.jpg", "./bo lee/2.jpg", "ann//3.jpg", "", "x/ann/4.jpg"], ["ann", "bo lee", "ann", "ann"]),
        (1, ["ann/video 7", "bo/0 12"], ["ann", "bo"]),  # videos: a second token is not part of the path
        (2, ["ann/v/1.jpg", "y/bo/v/1.jpg", "ann/w/1.jpg"], ["ann", "bo", "ann"]),
    ],
)
def test_folders_of_a_file_list(tmp_path, depth, lines, expected):
    (tmp_path / "filelist.txt").write_text("\n".join(lines) + "\n")
    for path in (tmp_path, tmp_path / "filelist.txt"):
        people = read_people(path, len(expected), depth=depth)
        assert [people.names[label] for label in people.labels] == expected


def test_the_folder_of_a_file_list_is_an_attribute(tmp_path):
    (tmp_path / "filelist.txt").write_text("ann/v/1.jpg\nann/w/1.jpg\nbo/v/1.jpg\nann/v/2.jpg\n")
    people = read_people(tmp_path, 4, depth=2, attributes=["folder"])
    assert people.labels.tolist() == [0, 0, 1, 0]
    assert people.attributes["folder"].codes.tolist() == [0, 1, 2, 0]
    assert people.attributes["folder"].values == ["ann/v", "ann/w", "bo/v"]


def test_folder_names_are_bytes(tmp_path):
    (tmp_path / "filelist.txt").write_bytes(b"\xff/1.jpg\n\xfe/2.jpg\n\xff/3.jpg\n")
    assert read_people(tmp_path, 3, depth=1).labels.tolist() == [0, 1, 0]


def texts(people):
    return [people.names[label] if label >= 0 else None for label in people.labels]


def test_one_text_is_one_person_in_probe_and_gallery():
    cameras = Codes(np.array([0, 1, -1]), ["l", "r"]), Codes(np.array([1, 0]), ["t", "r"])
    first = People(np.array([0, 1, -1]), ["ann", "bo"], {"camera": cameras[0]})
    second = People(np.array([1, 0]), ["cy", "bo"], {"camera": cameras[1]})
    probe, gallery = united(first, second)
    assert (texts(probe), texts(gallery)) == (["ann", "bo", None], ["bo", "cy"])
    assert probe.labels[1] == gallery.labels[0]
    assert probe.names == gallery.names
    left, right = probe.attributes["camera"], gallery.attributes["camera"]
    assert left.values == right.values
    assert [right.values[code] for code in right.codes] == ["r", "t"]
    assert left.codes.tolist() == [0, 1, -1]
    assert left.codes[1] == right.codes[0]


def test_numbers_and_texts_are_united():
    numbers, named = People(np.array([7, -1, 3])), People(np.array([0, 1]), ["3", "x"])
    probe, gallery = united(numbers, named)
    assert (texts(probe), texts(gallery)) == (["7", None, "3"], ["3", "x"])
    assert probe.labels[2] == gallery.labels[0]
    both = united(numbers, People(np.array([3, 9])))
    assert [people.labels.tolist() for people in both] == [[7, -1, 3], [3, 9]]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=20))
def test_people_of_pairs(pairs):
    expected = [{row} for row in range(15)]
    for a, b in pairs:
        union = expected[a] | expected[b]
        for row in union:
            expected[row] = union
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    assert people_of_pairs(15, first, second).tolist() == [min(people) for people in expected]


def test_a_long_chain_of_pairs_is_one_person():
    order = np.random.default_rng(1).permutation(20000)
    assert not people_of_pairs(20000, order[:-1], order[1:]).any()


def test_bands_of_numbers(tmp_path):
    ages = read_columns(write_csv(tmp_path / "f.csv"), 6, ["age"])["age"]
    banded = in_bands(ages, 10, "age")
    assert banded.values == ["-10 to below 0", "20 to below 30", "30 to below 40", "60 to below 70"]
    assert banded.codes.tolist() == [1, 3, 0, 2, 1, -1]
    for value in ("old", "nan", "inf"):
        with pytest.raises(UserError, match=f"column 'age': '{value}' is not a number"):
            in_bands(Codes(np.array([0]), [value]), 10, "age")


NAMES = ["Jos\u00e9", "Jose\u0301", "Mia_Wu", "mia-wu", "Mia Wu", "Bo", "1_23", "12_3", "-1"]


def test_spellings_of_a_name_in_a_csv(tmp_path, capsys):
    """Letters that look the same are one person; case, blanks and separators are told, and people of their own."""
    (tmp_path / "f.csv").write_text("who\n" + "".join(f"{name}\n" for name in NAMES), encoding="utf-8")
    people = read_people(tmp_path / "f.csv", len(NAMES), column="who")
    assert people.labels.tolist() == [0, 0, 1, 2, 3, 4, 5, 6, -1]
    told = capsys.readouterr().err
    assert "column 'who': 3 names equal others but for case, blanks, _ or -" in told
    assert "('Mia_Wu' and 'mia-wu')" in told
    assert told.count("\n") == 1


def test_spellings_of_a_folder(tmp_path, capsys):
    (tmp_path / "list.txt").write_text("".join(f"{name}/1.jpg\n" for name in NAMES[:6]), encoding="utf-8")
    people = read_people(tmp_path / "list.txt", 6, depth=1)
    assert people.labels.tolist() == [0, 0, 1, 2, 3, 4]
    assert "list.txt: folders: 3 names equal others" in capsys.readouterr().err


def test_spellings_across_probe_and_gallery(capsys):
    probe, gallery = People(np.array([0]), ["Ida B"]), People(np.array([0, 1]), ["ida b", "Jo"])
    assert [side.labels.tolist() for side in united(probe, gallery)] == [[0], [1, 2]]
    assert "probe and gallery: 2 names equal others" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "keys", "message"),
    [
        ("a,b\n1,2\n", {"column": "persn"}, "f.csv: unknown column 'persn'.* choose from a, b"),
        ("a,a\n1,2\n", {"column": "a"}, "f.csv: has 2 columns 'a'"),
        ("a,b\n1,2\n1\n", {"column": "a"}, "f.csv, line 3: 1 fields, the header has 2"),
        ("a,b\n1,2\n\n1,2\n", {"column": "a"}, "f.csv, line 3: is blank"),
        ("a,b\n1,2\n", {"column": "a"}, "f.csv: 1 lines for 2 feature rows"),
        ('a,b\n1,"2"x\n', {"column": "a"}, "f.csv, line 2: is not csv"),
        ("a,b\n1,2\n1,2\n", {"column": "a", "attributes": ["c"]}, "f.csv: unknown column 'c'"),
        ("", {"column": "a"}, "f.csv: unknown column 'a'"),
        (
            "a,b\n1,2\n1,2\n",
            {},
            "f.csv: which column of the csv names the people. It has a, b: add --label-column NAME",
        ),
        ("p/1.jpg\n2.jpg\n", {"depth": 1}, "f.csv, line 2: '2.jpg' has no folder"),
        ("p/1.jpg\n../2.jpg\n", {"depth": 1}, "f.csv, line 2: '../2.jpg' has no folder"),
        ("p/1.jpg\n", {"depth": 1}, "f.csv: 1 lines for 2 feature rows"),
        ("p/1.jpg\n", {"depth": 1, "attributes": ["camera"]}, "f.csv: unknown column 'camera': choose from folder"),
    ],
)
def test_errors_name_the_place(tmp_path, content, keys, message):
    (tmp_path / "f.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        read_people(tmp_path / "f.csv", 2, **keys)


def test_a_csv_that_is_not_text(tmp_path):
    (tmp_path / "f.csv").write_bytes(b"a,b\n\0,2\n")
    with pytest.raises(UserError, match="is not a text file"):
        read_people(tmp_path / "f.csv", 1, column="a")


def test_labels_with_a_byte_order_mark_and_crlf(tmp_path):
    (tmp_path / "l").write_bytes(b"\xef\xbb\xbf1\r\n-1\r\n")
    assert read_labels(tmp_path / "l", 2).tolist() == [1, -1]


@pytest.fixture
def people_folder(tmp_path):
    for name in ("bo/1.jpg", "ann/x/1.JPG", "ann/x/2.png", "ann/y/1.jpg", "ann/notes.txt", "@eaDir/bo/1.jpg"):
        (tmp_path / "people" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "people" / name).touch()
    return tmp_path / "people"


def test_a_folder_of_people_says_who_is_on_its_images(people_folder):
    found = read_people(people_folder, 4, attributes=["folder"])
    assert (found.labels.tolist(), found.names) == ([0, 0, 0, 1], ["ann", "bo"])
    assert found.attributes["folder"].values == ["ann/x", "ann/y", "bo"]
    assert found.attributes["folder"].codes.tolist() == [0, 0, 1, 2]


def test_and_on_its_videos(people_folder):
    found = read_people(people_folder, 3)
    assert (found.labels.tolist(), found.names) == ([0, 0, 1], ["ann", "bo"])


def test_a_depth_names_another_folder(people_folder):
    (people_folder / "bo" / "1.jpg").unlink()
    assert read_people(people_folder, 3, depth=1).names == ["x", "y"]
    assert read_people(people_folder, 3, depth=2).names == ["ann"]
    with pytest.raises(UserError, match="has no folder 3 above it"):
        read_people(people_folder, 3, depth=3)


def test_folders_that_name_nobody(people_folder):
    with pytest.raises(UserError, match="4 images and 3 folders with images for 5 feature rows"):
        read_people(people_folder, 5)
    (people_folder / "stray.jpg").touch()
    with pytest.raises(UserError, match=r"stray\.jpg: lies beside the folders of people"):
        read_people(people_folder, 5)
    (people_folder / "filelist.txt").write_text("ann/x/1.JPG\nbo/1.jpg\n")
    with pytest.raises(UserError, match="--label-folders says"):
        read_people(people_folder, 2)
    assert read_people(people_folder, 2, depth=1).names == ["x", "bo"]
