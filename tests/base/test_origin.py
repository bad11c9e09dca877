"""Notes of how a file was made."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from lwface.base.origin import Origin, file_sha256, origin_path, read_origin, write_origin


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["eval/tar_far.py", "--far", "1e-3"], "python eval/tar_far.py --far 1e-3"),
        (["lwface tar-far", "--features", "a b.bin"], "lwface tar-far --features 'a b.bin'"),
        (["gen_image_feature.py", "--input", "$HOME;ls"], "python gen_image_feature.py --input '$HOME;ls'"),
        ([], ""),
    ],
)
def test_the_command_can_be_typed_again(argv, command):
    run = Origin.this(argv)
    assert run.command == command
    assert run.folder == os.getcwd()
    assert {"Python", "lwface", "torch", "numpy", "system"} == set(run.versions)
    assert run.date[4] == "-"
    assert run.date[-6] in "+-"  # with its time zone


def test_a_note_is_believed_while_the_bytes_are_those(tmp_path):
    path = tmp_path / "f.bin"
    path.write_bytes(b"x" * 100_000)
    assert file_sha256(path) == hashlib.sha256(b"x" * 100_000).hexdigest()
    run = Origin("c", "/f", "2020", {"torch": "2"})
    write_origin(path, run, flip=True)
    assert read_origin(path, file_sha256(path)) == run
    assert json.loads(origin_path(path).read_text())["flip"] is True
    path.write_bytes(b"y")
    assert read_origin(path, file_sha256(path)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"sha256": "a"}', '{"sha256": "a", "versions": 3}'])
def test_what_is_no_note_is_none(tmp_path, text):
    origin_path(tmp_path / "f").write_text(text)
    assert read_origin(tmp_path / "f", "a") is None
    assert read_origin(tmp_path / "none", "a") is None
