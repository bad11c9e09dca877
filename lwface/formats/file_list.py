"""``filelist.txt``: which images or videos a feature file describes, and in which order.

One path a line, relative to the folder that holds the list. In a video list the first token of a line is a folder
whose ``*.jpg`` are the frames; a second token is ignored. Blank lines are skipped and a name may come twice: rows are
the lines that are not blank, in their order. A path that is absolute or climbs out of the folder with ``..`` is
refused, so that a list from elsewhere reads nothing but its own folder; a symbolic link inside the folder is the user's
own and is followed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lwface.base.errors import UserError
from lwface.base.files import PathLike

LIST_NAME = "filelist.txt"
VIDEO_LIST_NAME = "video_filelist.txt"  # its name in the challenge's package, which asks to rename it
FRAME_SUFFIX = ".jpg"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class FileList:
    """A list that was read through once and found sound. It is read anew each time it is iterated: no line is kept.

    ``sha256`` identifies the names and their order, whatever the line ends and blank lines.
    """

    path: Path
    videos: bool
    rows: int
    sha256: str

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[str]:
        with open(self.path, "rb") as file:
            yield from _names(file, self.path, self.videos)


def find_list(folder: PathLike, *, videos: bool) -> Path:
    """``folder/filelist.txt``; :class:`UserError` when it is not there."""
    path = Path(folder) / LIST_NAME
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the list of {_what(videos)}{_hint(Path(folder), videos)}")
    return path


def open_list(folder: PathLike, *, videos: bool) -> FileList:
    """Check ``folder/filelist.txt`` from end to end.

    Raises:
        UserError: there is no list, it has no line, or a line leaves the folder; the file and line are named.
    """
    path = find_list(folder, videos=videos)
    rows, digest = 0, hashlib.sha256()
    with open(path, "rb") as file:
        for name in _names(file, path, videos):
            digest.update(os.fsencode(name) + b"\n")
            rows += 1
    if rows == 0:
        raise UserError(f"{path}: the list is empty; expected {_what(videos)}")
    return FileList(path, videos, rows, digest.hexdigest())


def read_image_list(folder: PathLike) -> list[str]:
    """The image paths of ``folder/filelist.txt``, relative to ``folder``; errors as in :func:`open_list`."""
    return list(open_list(folder, videos=False))


def read_video_list(folder: PathLike) -> list[str]:
    """The video folders of ``folder/filelist.txt``, relative to ``folder``; errors as in :func:`open_list`."""
    return list(open_list(folder, videos=True))


def frames_of(folder: PathLike) -> list[str]:
    """The paths of the frames ``folder/*.jpg``, sorted by name; empty when there are none.

    Raises:
        OSError: there is no such folder.
    """
    with os.scandir(folder) as entries:
        return sorted(e.path for e in entries if e.name.endswith(FRAME_SUFFIX) and not e.name.startswith("."))


def _names(file: BinaryIO, path: Path, videos: bool) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        # A file name is bytes: names that are not UTF-8 come through unchanged.
        text = os.fsdecode(line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).strip()
        if not text:
            continue
        name = text.split(maxsplit=1)[0] if videos else text
        if name.startswith("/") or "\0" in name or (".." in name and ".." in name.split("/")):
            raise UserError(
                f"{path}: line {number}: {name!r} is not a path inside {path.parent}; make it relative to it"
            )
        yield name


def _what(videos: bool) -> str:
    return "one video folder a line" if videos else "one image path a line"


def _hint(folder: Path, videos: bool) -> str:
    if videos and (folder / VIDEO_LIST_NAME).is_file():
        return f"; rename {folder / VIDEO_LIST_NAME} to {LIST_NAME}"
    return ""
