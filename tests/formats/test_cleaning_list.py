"""The list of proposals: written, read back, changed by hand, malformed."""

from __future__ import annotations

import pytest

from lwface.base.errors import UserError
from lwface.formats.cleaning_list import LEAVE_OUT, SAME_PERSON, CleaningLine, read_cleaning, write_cleaning


def test_it_is_read_as_it_was_written(tmp_path):
    lines = [
        CleaningLine("anna/1, a.jpg", "anna", LEAVE_OUT, "berta", "mislabelled", 0.25, "berta/2.jpg"),
        CleaningLine("cleo/1.jpg", "cleo", SAME_PERSON, "dora", "same person", 0.9, "dora/7.jpg"),
    ]
    write_cleaning(tmp_path / "clean.csv", lines, keys=False)
    found = read_cleaning(tmp_path / "clean.csv")
    assert not found.keys
    assert [(x.image, x.person, x.proposal, x.other) for x in found.lines] == [
        (x.image, x.person, x.proposal, x.other) for x in lines
    ]
    assert [x.line for x in found.lines] == [2, 3]


def test_keys_by_a_spreadsheet_with_what_is_needed_alone(tmp_path):
    path = tmp_path / "clean.csv"
    path.write_text("key;person;proposal;other\n12;3;leave out;\n\n;4;same person as;2\n")
    found = read_cleaning(path)
    assert found.keys
    assert [(x.image, x.proposal, x.other) for x in found.lines] == [("12", LEAVE_OUT, ""), ("", SAME_PERSON, "2")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,person\na,b\n", "line 1 is 'image,person'; expected the list of datasets/clean.py"),
        ("image,key,person,proposal,other\n", "expected the list"),
        ("image,person,proposal,other\na,b,delete,\n", "line 2: proposal is 'delete', expected 'leave out'"),
        ("image,person,proposal,other\n,b,leave out,\n", "line 2: names no image"),
        ("key,person,proposal,other\nx.jpg,b,leave out,\n", "line 2: key is 'x.jpg'"),
        ("image,person,proposal,other\na,b,same person as,\n", "line 2: 'same person as' needs person and other"),
        ("image,person,proposal,other\na,b\n", "line 2: 2 fields, the header has 4"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, says):
    (tmp_path / "clean.csv").write_text(text)
    with pytest.raises(UserError, match=says):
        read_cleaning(tmp_path / "clean.csv")
