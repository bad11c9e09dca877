"""Jobs that go on where they stopped, are not done twice and touch nothing of others."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.base.journal import Journal, fingerprint, open_job
from lwface.making.record_set import PRODUCTS


def test_a_complete_job_is_not_done_again(tmp_path: Path) -> None:
    journal = open_job(tmp_path / "o", "job")
    assert journal is not None
    with journal:
        journal.add(True, "a")
        journal.add(False, "b", "why\tnot\n")
        journal.finish({"fact": 1})
    assert open_job(tmp_path / "o", "job") is None
    with pytest.raises(UserError, match="other options or inputs"):
        open_job(tmp_path / "o", "another job")
    assert (tmp_path / "o" / "manifest.json").read_text().count('"why not"') == 1


def test_foreign_content_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "train.rec").write_bytes(b"mine")
    for products in (None, PRODUCTS):
        with pytest.raises(UserError, match=r"train\.rec is already there"):
            open_job(tmp_path, "job", products)
    (tmp_path / "train.rec").rename(tmp_path / "lfw.bin")
    journal = open_job(tmp_path, "job", PRODUCTS)
    assert journal is not None
    with journal, pytest.raises(UserError, match="another process"):
        open_job(tmp_path, "job", PRODUCTS)
    with pytest.raises(UserError, match="unfinished job of other options"):
        open_job(tmp_path, "other", PRODUCTS)
    (tmp_path / "manifest.json").write_text("{damaged")
    with pytest.raises(UserError, match="other options"):
        open_job(tmp_path, "job", PRODUCTS)


def test_leftovers_of_a_killed_writer_are_swept_but_not_those_of_others(tmp_path: Path) -> None:
    for name in (".train.lst.123.part", ".lfw.bin.123.part"):
        (tmp_path / name).touch()
    with Journal(tmp_path / "journal.part", "job", PRODUCTS) as journal:
        journal.finish({})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lfw.bin.123.part", "manifest.json"]


def test_fingerprint_sees_options_and_changes(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"1")
    first = fingerprint({"a": 1}, [file])
    assert first == fingerprint({"a": 1}, [file])
    assert first != fingerprint({"a": 2}, [file])
    assert first != fingerprint({"a": 1}, [])
    file.write_bytes(b"22")
    assert first != fingerprint({"a": 1}, [file])


def test_summary_counts_reasons(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.part", "job") as journal:
        for i in range(9):
            journal.add(i % 3 == 0, f"i{i}", "" if i % 3 == 0 else f"reason {i % 3}")
        summary = journal.account().as_json()
    assert (summary["seen"], summary["taken"]) == (9, 3)
    assert Counter({k: v["count"] for k, v in summary["skipped"].items()}) == {"reason 1": 3, "reason 2": 3}
    assert summary["skipped"]["reason 2"]["examples"] == ["i2", "i5", "i8"]


def test_what_was_found_of_an_item_is_kept(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.part", "job") as journal:
        journal.add(True, "a", "", '{"x": [1, 2]}')
        journal.add(False, "b", "a reason", "[]")
        journal.add(True, "c", "detail")
    with open(tmp_path / "journal.part", "a") as file:
        file.write("+\td\t\t[1,")  # a kill in the middle of a line
    with Journal(tmp_path / "journal.part", "job") as journal:
        assert journal.done == 3
        entries = [(entry.taken, entry.name, entry.detail, entry.found) for entry in journal.entries()]
        assert entries == [(True, "a", "", '{"x": [1, 2]}'), (False, "b", "a reason", "[]"), (True, "c", "detail", "")]
        assert journal.account().as_json()["skipped"] == {"a reason": {"count": 1, "examples": ["b"]}}
