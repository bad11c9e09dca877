"""Folders that get their name when they are complete."""

import os

import pytest

from lwface.base.files import replacing_folder


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_folder_appears_whole_and_replaces_one(tmp_path):
    target = tmp_path / "a" / "b"
    for text in ("one", "two"):
        with replacing_folder(target) as folder:
            (folder / text).write_text(text)
            assert not (target / text).exists()
        assert names(target) == [text]
    assert names(tmp_path) == ["a", "b", "two"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(error, tmp_path):
    target = tmp_path / "b"
    target.mkdir()
    (target / "old").write_text("old")

    def fail():
        with replacing_folder(target) as folder:
            (folder / "new").write_text("new")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == ["b", "old"]


def test_what_comes_between_the_renames_puts_the_old_one_back(tmp_path, monkeypatch):
    target, renamed = tmp_path / "b", os.rename
    target.mkdir()
    (target / "old").write_text("old")

    def rename(source, name):
        if str(source).endswith(".part"):
            raise OSError(28, "No space left on device")
        renamed(source, name)

    monkeypatch.setattr("lwface.base.files.os.rename", rename)
    with pytest.raises(OSError, match="No space"), replacing_folder(target) as folder:
        (folder / "new").write_text("new")
    assert names(tmp_path) == ["b", "old"]
