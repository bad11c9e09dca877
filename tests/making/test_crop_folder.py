"""Files of images: nothing outside the folder, and an interrupted run goes on."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from lwface.base.account import Account
from lwface.base.errors import UserError
from lwface.base.journal import Journal
from lwface.making.crop_folder import inside, write_images
from lwface.making.face_crops import Skip


@pytest.mark.parametrize(
    "name", ["../a.jpg", "a/../../b.jpg", "/etc/a.jpg", "", ".", "a\x00b", "link/a.jpg", "file.jpg"]
)
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    (folder / "file.jpg").symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="outside"):
        inside(folder, name)
    assert inside(folder, "a/b.jpg") == folder / "a/b.jpg"


def test_images_resume(tmp_path: Path) -> None:
    items = [(f"source {i}", f"x/{i}.jpg") for i in range(7)]

    def encoded(source: str) -> bytes | Skip:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return Skip("bad") if source in ("source 0", "source 3") else source.encode()

    for left in (2, 3, 100):  # noqa: B007 - read by the function above
        with Journal(tmp_path / "journal.part", "job") as journal, contextlib.suppress(KeyboardInterrupt):
            write_images(tmp_path / "out", items, encoded, journal, 1)
    with Journal(tmp_path / "journal.part", "job") as journal:
        assert journal.account() == Account(5, {"bad": (2, ["source 0", "source 3"])})
    written = {path.name: path.read_bytes() for path in (tmp_path / "out" / "x").iterdir()}
    assert written == {f"{i}.jpg": f"source {i}".encode() for i in (1, 2, 4, 5, 6)}
