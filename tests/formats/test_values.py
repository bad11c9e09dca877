"""Cells are compared by what they mean: spellings of every program that writes tables."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwface.base.errors import UserError
from lwface.formats.pair_lists import read_issame, read_pairs
from lwface.formats.person_labels import read_columns, read_labels, read_people
from lwface.formats.values import lost_digits, value_of, whole_number


@pytest.mark.parametrize(
    ("texts", "value"),
    [
        (["3", "3.0", "3.", " 3 ", "+3", "003", "3.000000000000000000e+00", "30e-1", "0.3E+1"], "3"),
        (["-1", "-1.0", "-1.000000000000000000e+00", "-01"], "-1"),
        (["0", "-0.0", "0.0", ".0"], "0"),
        (["29.5", "29.50", "+29.5", "2.95e+01"], "29.5"),
        (["", " ", "NaN", "nan", "NA", "<NA>", "#N/A", "NULL", "None", r"\N", '""'], ""),
        (["Ann"], "Ann"),
        (["12e4"], "12e4"),  # a name: programs write e+04
        (["1_000"], "1_000"),
        (["inf"], "inf"),
        (["Nan"], "Nan"),  # a person
        (["٣"], "٣"),
        (["1" * 500], "1" * 500),
    ],
)
def test_spellings_of_one_value(texts, value):
    assert {value_of(text) for text in texts} == {value}


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_every_float_keeps_its_value(number):
    for text in (repr(number), f"{number:.18e}", f"{number:.30f}"[:390]):
        assert float(value_of(text)) == pytest.approx(float(text), rel=1e-15, abs=0)


@given(st.integers(-(2**53), 2**53), st.integers(-(2**53), 2**53))
def test_whole_numbers_are_equal_when_they_are(a, b):
    assert whole_number(f"{float(a)!r}") == a
    assert (value_of(str(a)) == value_of(f"{float(b):.18e}")) == (a == b)


def test_labels_of_numpys_savetxt_are_whole_numbers(tmp_path):
    expected = np.array([4, -1, 0, 70000])
    np.savetxt(tmp_path / "l.txt", expected.astype(float))
    assert read_labels(tmp_path / "l.txt", 4).tolist() == expected.tolist()
    (tmp_path / "l.txt").write_text("3.0\nnan\n-1.0\n")
    assert read_labels(tmp_path / "l.txt", 3).tolist() == [3, -1, -1]
    (tmp_path / "l.txt").write_text("3.5\n")
    with pytest.raises(UserError, match=r"line 1: '3.5' is not a label"):
        read_labels(tmp_path / "l.txt", 1)


def test_a_column_that_pandas_made_floats(tmp_path, capsys):
    (tmp_path / "f.csv").write_text("id,camera\n3.0,1.0\n,NaN\n-1.0,2.0\n3.0,1\nNA,2\n")
    people = read_people(tmp_path / "f.csv", 5, column="id", attributes=["camera"])
    assert (people.labels.tolist(), people.names[0]) == ([0, -1, -1, 0, -1], "3")
    assert people.attributes["camera"].codes.tolist() == [0, -1, 1, 0, 1]
    assert "column 'id': 'NA' is taken for no name" in capsys.readouterr().err


def test_spellings_that_differ_between_two_files_are_one_value(tmp_path):
    (tmp_path / "a.csv").write_text("age\n30\n7\n")
    (tmp_path / "b.csv").write_text("age\n30.0\n7.50\n")
    assert read_columns(tmp_path / "a.csv", 2, ["age"])["age"].values == ["30", "7"]
    assert read_columns(tmp_path / "b.csv", 2, ["age"])["age"].values == ["30", "7.5"]


def test_one_number_in_two_spellings_of_zeros_is_said(tmp_path, capsys):
    (tmp_path / "f.csv").write_text("id\n007\n7\n8\n8.0\n")
    assert read_people(tmp_path / "f.csv", 4, column="id").labels.tolist() == [0, 0, 1, 1]
    said = capsys.readouterr().err
    assert "'007' and '7' are one number" in said
    assert "'8'" not in said


def test_numbers_that_lost_digits_are_refused(tmp_path):
    assert lost_digits("9007199254740993.0")
    assert not lost_digits("9007199254740993")
    assert not lost_digits("9007199254740991.0")
    (tmp_path / "f.csv").write_text("id\n1.2345678901234568e+19\n")
    with pytest.raises(UserError, match=r"column 'id': .* made a float"):
        read_people(tmp_path / "f.csv", 1, column="id")
    (tmp_path / "f.csv").write_text("id\n12345678901234567890\n12345678901234567891\n")
    assert read_people(tmp_path / "f.csv", 2, column="id").labels.tolist() == [0, 1]


@pytest.mark.parametrize("form", ["%d", "%.1f", "%.18e"])
def test_pairs_and_truths_as_numpy_and_pandas_write_them(tmp_path, form, capsys):
    table = np.array([[0, 1, 1], [2, 1, 0], [3, 0, 1]])
    buffer = io.StringIO()
    np.savetxt(buffer, table, fmt=form, delimiter=",")
    for header in ("", "first,second,same\n"):
        (tmp_path / "p").write_text(header + buffer.getvalue())
        pairs = read_pairs(tmp_path / "p", 4)
        assert pairs.second.tolist() == [1, 1, 0]
        assert pairs.same.tolist() == [True, False, True]
    assert "is taken for a header" in capsys.readouterr().err
    (tmp_path / "p").write_text("0,1,True\n2,1,False\n")
    assert read_pairs(tmp_path / "p", 4).same.tolist() == [True, False]
    np.savetxt(tmp_path / "i", table[:, 2], fmt=form)
    assert read_issame(tmp_path / "i").tolist() == [True, False, True]
    (tmp_path / "i").write_text("True\nFalse\nmaybe\n")
    with pytest.raises(UserError, match="i, line 3: 'maybe' is not 1"):
        read_issame(tmp_path / "i")


def test_folders_of_one_name_in_several_places_are_said(tmp_path, capsys):
    (tmp_path / "filelist.txt").write_text("ann/0/1.jpg\nann/1/1.jpg\nbo/0/1.jpg\n")
    assert read_people(tmp_path, 3, depth=1).labels.tolist() == [0, 1, 0]
    said = capsys.readouterr().err
    assert "1 of 2 folder names lie in several folders ('0' in 'ann' and in 'bo')" in said
    assert "--label-folders 2" in said
    assert read_people(tmp_path, 3, depth=2).labels.tolist() == [0, 0, 1]
    assert not capsys.readouterr().err


def test_more_digits_than_python_reads_are_no_whole_number():
    """Python raises a ValueError of its own from 4300 digits on (found by tests/challenge_mutations.py)."""
    assert whole_number("9" * 10_000) is None
    assert whole_number("9" * 400) == int("9" * 400)
    assert whole_number("1e+999") == 10**999
