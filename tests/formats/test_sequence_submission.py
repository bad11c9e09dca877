"""Submissions and truths of the faceless challenge: written, read, and what the challenge's server answered -1 to."""

import json

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.sequence_submission import (
    SequenceTruth,
    read_guesses,
    read_people_learnt,
    read_truth,
    write_guesses,
    write_people,
    write_truth,
)

SAMPLES = ["seq_0", "seq_1", "seq_2"]
GUESSES = np.array([[0, 1, 2, 3, 4], [6, 5, 4, 3, 2], [3, 1, 0, 2, 6]])


@pytest.mark.parametrize("name", ["s.json", "s.csv"])
def test_what_is_written_is_read(tmp_path, name):
    write_guesses(tmp_path / name, SAMPLES, GUESSES)
    np.testing.assert_array_equal(read_guesses(tmp_path / name, SAMPLES, 7), GUESSES)
    np.testing.assert_array_equal(read_guesses(tmp_path / name, SAMPLES), GUESSES)


def test_json_is_what_the_challenge_takes(tmp_path):
    write_guesses(tmp_path / "s.json", SAMPLES, GUESSES)
    assert json.loads((tmp_path / "s.json").read_text()) == GUESSES.tolist()
    (tmp_path / "t.json").write_text(json.dumps({"submitter": "us", "predictions": GUESSES.tolist()}))
    np.testing.assert_array_equal(read_guesses(tmp_path / "t.json", SAMPLES, 7), GUESSES)


def test_lines_of_a_csv_may_come_in_any_order(tmp_path):
    write_guesses(tmp_path / "s.csv", SAMPLES, GUESSES)
    header, *lines = (tmp_path / "s.csv").read_text().splitlines()
    assert header == "sample,guess_1,guess_2,guess_3,guess_4,guess_5"
    (tmp_path / "s.csv").write_text("\n".join([header, *lines[::-1]]))
    np.testing.assert_array_equal(read_guesses(tmp_path / "s.csv", SAMPLES, 7), GUESSES)


def test_fewer_than_five_people(tmp_path):
    write_guesses(tmp_path / "s.json", SAMPLES, GUESSES[:, :2] % 2)
    with pytest.raises(UserError, match=r"row 1 \(seq_1\): guess 1 is 0|2 guesses; expected 3"):
        read_guesses(tmp_path / "s.json", SAMPLES, 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (GUESSES[:2].tolist(), r"2 rows for 3 samples, one a sample in their order \(the first is seq_0\)"),
        ({"a": 1}, "an object without 'predictions'"),
        (3, "expected a list of lists of 5 numbers, not a number"),
        ([1, 2, 3], r"row 0 \(seq_0\): expected 5 numbers, not a number"),
        ([[0, 1, 2, 3], *GUESSES[1:].tolist()], r"row 0 \(seq_0\): 4 guesses; expected 5"),
        ([GUESSES[0].tolist(), [6, 5, 4, 3, 7], [0] * 5], r"row 1 \(seq_1\): guess 5 is 7; people are 0 to 6"),
        ([[-1, 1, 2, 3, 4]] * 3, "guess 1 is -1; people are 0 to 6"),
        ([[0, 1, 2, 3, 0]] * 3, "guesses 0 twice; the guesses of a sample must differ"),
        ([[0, 1, 2, 3, 4.0]] * 3, "guess 5 is a number with a point; expected a whole number"),
        ([[True, 1, 2, 3, 4]] * 3, "guess 1 is a truth value"),
        ([["0", 1, 2, 3, 4]] * 3, "guess 1 is text"),
        ([[None, 1, 2, 3, 4]] * 3, "guess 1 is null"),
    ],
)
def test_what_the_server_answered_minus_one_to(tmp_path, value, message):
    (tmp_path / "s.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match=message):
        read_guesses(tmp_path / "s.json", SAMPLES, 7)


@pytest.mark.parametrize("text", ["", "[[1,", "[" * 100_000, "\ud800", "NaN"])
def test_no_json(tmp_path, text):
    (tmp_path / "s.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError, match=r"s\.json: (not JSON|expected a list)") as told:
        read_guesses(tmp_path / "s.json", SAMPLES, 7)
    assert "\n" not in str(told.value)


HEADER = "sample,guess_1,guess_2,guess_3,guess_4,guess_5\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "seq_9,0,1,2,3,4\n", "line 2: seq_9 is not asked for; the first that is: seq_0"),
        (HEADER + "seq_0,0,1,2,3,4\nseq_0,0,1,2,3,4\n", "line 3: seq_0 is there twice, first in line 2"),
        (HEADER + "seq_0,0,1,2,3,4\n", "seq_1 is missing, 2 of 3 samples in all"),
        (HEADER + "seq_0,0,1,2,x,4\n", "line 2, column guess_4: 'x' is not a whole number"),
        (HEADER + "seq_0,0,1,2,9,4\n", r"line 2 \(seq_0\): guess 4 is 9; people are 0 to 6"),
        (HEADER + ",0,1,2,3,4\n", "line 2: names no sample"),
        ("sample,guess_1\nseq_0,1\n", "there is no column guess_2"),
    ],
)
def test_what_is_wrong_in_a_csv(tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_guesses(tmp_path / "s.csv", SAMPLES, 7)


def test_truth_and_people(tmp_path):
    truth = SequenceTruth(SAMPLES, np.array([2, -1, 0]), ["c", 'a "stranger", with a comma', "a"])
    write_truth(tmp_path / "t.csv", truth)
    found = read_truth(tmp_path / "t.csv")
    assert (found.samples, found.indices.tolist(), found.people) == (SAMPLES, [2, -1, 0], truth.people)
    write_people(tmp_path / "p.csv", ["a", "b", "c"])
    assert read_people_learnt(tmp_path / "p.csv") == ["a", "b", "c"]
    for text, message in (("0,a\n0,b\n", "is no place, or not new"), ("0,a\n2,b\n", "expected 0 to 1")):
        (tmp_path / "p.csv").write_text("index,person\n" + text)
        with pytest.raises(UserError, match=message):
            read_people_learnt(tmp_path / "p.csv")
    huge = f"a,{10**30},p\n"
    for text, message in (
        (huge, "is not a whole number from 0 on"),
        ("a,x,p\n", "'x' is not a whole number"),
        ("a,0,p\na,1,q\n", "a is there twice"),
    ):
        (tmp_path / "t.csv").write_text("sample,index,person\n" + text)
        with pytest.raises(UserError, match=message):
            read_truth(tmp_path / "t.csv")
