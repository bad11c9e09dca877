"""Lists of pairs: the quick reading against a plain loop, chunk by chunk; pairs to leave out."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwface.base.errors import UserError
from lwface.formats import pair_lists
from lwface.formats.pair_lists import read_ignored, read_pairs


def plainly(text, rows):
    """The pairs of a list, or the number of the line that is wrong."""
    found = []
    for number, line in enumerate(text.rstrip().splitlines(), start=1):
        parts = re.split(r"[\s,]+", line.strip(" ,\t"))
        try:
            fields = [int(part) for part in parts]
        except ValueError:
            return number
        good = len(fields) in (2, 3) and max(fields[:2]) < rows and min(fields) >= 0 and fields[0] != fields[1]
        if not good or fields[2:] not in ([], [0], [1]) or (found and len(found[0]) != len(fields)):
            return number
        found.append(fields)
    return found


LINES = st.lists(
    st.sampled_from(
        ["0 1", "3,2", "7 11", " 1\t0 ", "2 0\r", "9 1 1", "3 1 2", "+1 2", "1_0 3", "01 0", "4 4", "1 12", "", "x"]
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(LINES, st.booleans(), st.sampled_from([1, 5, 2**24]))
def test_pairs_equal_a_plain_loop(tmp_path_factory, lines, same, chunk):
    text = "\n".join(lines)
    if same:
        text = re.sub(r"(\d)(\s*)$", r"\1 1\2", text, flags=re.MULTILINE)
    path = tmp_path_factory.getbasetemp() / "pairs"
    path.write_bytes(text.encode())
    expected = plainly(text, 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_lists, "CHUNK_BYTES", chunk)
        if isinstance(expected, list) and expected:
            pairs = read_pairs(path, 12)
            found = [pairs.first, pairs.second] + ([] if pairs.same is None else [pairs.same])
            assert np.stack(found, axis=1).tolist() == expected
        else:
            message = "pairs: holds no pairs" if expected == [] else f"pairs, line {expected}: "
            with pytest.raises(UserError, match=message):
                read_pairs(path, 12)


def test_a_long_list_is_read_all_at_once(tmp_path, monkeypatch):
    monkeypatch.delattr(pair_lists, "_pairs_by_line")
    monkeypatch.setattr(pair_lists, "CHUNK_BYTES", 1000)
    rows = np.random.default_rng(1).integers(0, 10**6, (5000, 2))
    rows[:, 1] += 10**6
    text = "\r\n".join(f"{a},{b}" for a, b in rows.tolist())
    (tmp_path / "p").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")
    pairs = read_pairs(tmp_path / "p", 2 * 10**6)
    assert np.stack(pairs[:2], axis=1).tolist() == rows.tolist()


def test_a_carriage_return_alone_ends_a_line(tmp_path):
    (tmp_path / "p").write_bytes(b"0 1\r2 3\n")
    assert read_pairs(tmp_path / "p", 5).second.tolist() == [1, 3]
    (tmp_path / "p").write_bytes(b"0\r1\n")
    with pytest.raises(UserError, match="p, line 1: '0' is not a pair"):
        read_pairs(tmp_path / "p", 5)


def test_a_number_beyond_int64_is_no_row(tmp_path):
    (tmp_path / "p").write_text(f"0 1\n1 {2**64 + 2}\n")
    with pytest.raises(UserError, match=f"p, line 2: row {2**64 + 2} does not exist"):
        read_pairs(tmp_path / "p", 5)


def test_the_byte_that_is_not_text_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pair_lists, "CHUNK_BYTES", 4)
    (tmp_path / "p").write_bytes(b"0 1\n0 2\n0 \xff\n")
    with pytest.raises(UserError, match=r"p: is not a text file .* at byte 10"):
        read_pairs(tmp_path / "p", 5)


def test_ignored_pairs(tmp_path):
    text = "# wrong labels\n\n5 2  # cosine 0.97\n2,5\n0\t1 same person twice\n3 9#x\n"
    (tmp_path / "i").write_text(text)
    assert read_ignored(tmp_path / "i", 10).tolist() == [[0, 1], [2, 5], [3, 9]]
    (tmp_path / "i").write_text(text + "4 4\n")
    assert read_ignored(tmp_path / "i", 10, 10).tolist() == [[0, 1], [2, 5], [3, 9], [4, 4], [5, 2]]
    (tmp_path / "i").write_text("# none\n")
    assert read_ignored(tmp_path / "i", 10).shape == (0, 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1", "'1' does not start with two row numbers"),
        ("1 x", "'1 x' does not start with two row numbers"),
        ("1 4", "row 4 does not exist; the feature file has rows 0 to 3"),
        ("-1 0", "row -1 does not exist"),
        ("2 2", "row 2 is paired with itself"),
    ],
)
def test_ignored_pairs_that_are_wrong(tmp_path, line, message):
    (tmp_path / "i").write_text(f"0 1\n{line}\n")
    with pytest.raises(UserError, match=f"i, line 2: {message}"):
        read_ignored(tmp_path / "i", 4)


def test_ignored_rows_of_the_gallery_have_their_own_limit(tmp_path):
    (tmp_path / "i").write_text("1 7\n")
    assert read_ignored(tmp_path / "i", 2, 8).tolist() == [[1, 7]]
    with pytest.raises(UserError, match="row 7 does not exist"):
        read_ignored(tmp_path / "i", 8, 7)
