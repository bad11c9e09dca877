"""``filelist.txt``: which images or videos a feature file describes, and in which order.

One path a line, relative to the folder that holds the list. A line of a video list begins with a folder, whose images
are the frames; what follows, such as the number of frames, is ignored. The folder is the longest beginning of the line,
word by word, that is one: names may hold blanks. Where two different lines mean one folder, a folder is missing that a
name with a blank meant: an error. Blank lines are skipped and a name may come twice: rows are the lines that are not
blank, in their order. Windows' backslashes are read as slashes. A path that is absolute or climbs out of the folder
with ``..`` is refused, so that a list from elsewhere reads nothing but its own folder; a symbolic link inside the
folder is the user's own and is followed.

A folder without a list lists itself: its images, or the folders in it that hold images, in the order of their paths
(:mod:`lwface.formats.image_walk`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lwface.base.account import skipped_lines
from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.image_walk import ImageWalk, folders_of, walk_images
from lwface.formats.text_files import numbered_lines

LIST_NAME = "filelist.txt"
VIDEO_LIST_NAME = "video_filelist.txt"  # its name in the challenge's package, which asks to rename it


@dataclass(frozen=True)
class FileList:
    """A list that was read through once and found sound. It is read anew each time it is iterated: no line is kept.

    Attributes:
        path: the list's; of a folder without one, the folder's.
        folder: that the names are relative to.
        sha256: identifies the names and their order, whatever the line ends and blank lines.
        walked: the names of a folder without a list, which are kept, and what else it holds.
    """

    path: Path
    folder: Path
    videos: bool
    rows: int
    sha256: str
    walked: ImageWalk | None = None

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[str]:
        if self.walked is not None:
            yield from self.walked.names
            return
        for _, name, _ in _lines(self.path, self.videos):
            yield name


def find_list(folder: PathLike, *, videos: bool) -> Path:
    """``folder/filelist.txt``, or ``folder`` itself where there is none; :class:`UserError` when neither is there."""
    path = Path(folder) / LIST_NAME
    if path.is_file():
        return path
    unnamed = Path(folder) / VIDEO_LIST_NAME
    if not Path(folder).is_dir() or (videos and unnamed.is_file()):
        hint = f"; rename {unnamed} to {LIST_NAME}" if unnamed.is_file() else ""
        raise UserError(f"{path}: no such file; expected the list of {_what(videos)}{hint}")
    return Path(folder)


def open_list(folder: PathLike, *, videos: bool) -> FileList:
    """Check ``folder/filelist.txt`` from end to end, or list what is in the folder where there is none.

    Raises:
        UserError: there is nothing to list, a line leaves the folder, or two lines of videos mean one folder; the file
            and line are named.
    """
    path = find_list(folder, videos=videos)
    if path == Path(folder):
        return _of_folder(path, videos)
    rows, digest, texts = 0, hashlib.sha256(), dict[str, tuple[int, str]]()
    for number, name, text in _lines(path, videos):
        digest.update(os.fsencode(name) + b"\n")
        rows += 1
        if videos:
            before, other = texts.setdefault(name, (number, text))
            if other != text and os.path.isdir(path.parent / name):
                raise UserError(
                    f"{path}: lines {before} and {number}, {other!r} and {text!r}, are both the folder {name!r}: "
                    "is one of that name missing?"
                )
    if rows == 0:
        raise UserError(f"{path}: the list is empty; expected {_what(videos)}")
    return FileList(path, path.parent, videos, rows, digest.hexdigest())


def read_image_list(folder: PathLike) -> list[str]:
    """The image paths of ``folder/filelist.txt``, relative to ``folder``; errors as in :func:`open_list`."""
    return list(open_list(folder, videos=False))


def read_video_list(folder: PathLike) -> list[str]:
    """The video folders of ``folder/filelist.txt``, relative to ``folder``; errors as in :func:`open_list`."""
    return list(open_list(folder, videos=True))


def names_of_rows(folder: PathLike, rows: int) -> list[str]:
    """What each of ``rows`` rows was made of: the lines of ``folder/filelist.txt``, or else what is in the folder.

    Of a folder without a list that are its images, or its folders of frames: whichever are so many.

    Raises:
        UserError: there are not so many.
    """
    path = find_list(folder, videos=False)
    if path != Path(folder):
        names = [text for _, _, text in _lines(path, videos=False)]
        found = f"its {LIST_NAME} has {len(names)} lines"
    else:
        names = walk_images(folder).names
        videos = folders_of(names)
        found = f"it has no {LIST_NAME}, {len(names)} images and {len(videos)} folders with images"
        names = videos if len(videos) == rows else names
    if len(names) != rows:
        raise UserError(f"{folder}: {found} for {rows} feature rows; give the folder that the features were made from")
    return names


def listed_paths(path: PathLike) -> Iterator[tuple[int, str]]:
    """Line number (from 1) and text of each line of a file list that is not blank, with ``/`` between folders.

    Windows writes ``\\`` there. Elsewhere a file's own name may have it: one that is there by that name is left alone.
    """
    folder = os.path.dirname(os.path.abspath(path))
    for number, text in numbered_lines(path, names=True):
        if "\\" in text and not os.path.lexists(os.path.join(folder, text)):
            text = text.replace("\\", "/")
        if text:
            yield number, text


def video_folder(folder: PathLike, line: str) -> str:
    """The video that a line of a list in ``folder`` means: its longest beginning, word by word, that is a folder.

    Its first word where there is none.
    """
    name = line
    while not os.path.isdir(os.path.join(folder, name)):
        words = name.rsplit(maxsplit=1)
        if len(words) < 2:
            return words[0]
        name = words[0]
    return name


def _of_folder(folder: Path, videos: bool) -> FileList:
    names, account = walk_images(folder)
    if videos:
        if beside := [name for name in names if "/" not in name]:
            raise UserError(f"{folder / beside[0]}: lies beside the folders of frames; every video needs a folder")
        names = folders_of(names)
    if not names:
        found = "; ".join(["", *skipped_lines(account.as_json())])
        raise UserError(f"{folder}: neither {LIST_NAME} nor an image in it; expected {_what(videos)}{found}")
    digest = hashlib.sha256("".join(f"{name}\n" for name in names).encode())
    return FileList(folder, folder, videos, len(names), digest.hexdigest(), ImageWalk(names, account))


def _lines(path: Path, videos: bool) -> Iterator[tuple[int, str, str]]:
    """Number (from 1), name and whole text of each line that is not blank."""
    for number, text in listed_paths(path):
        name = video_folder(path.parent, text) if videos and len(text.split(maxsplit=1)) > 1 else text
        outside = name.startswith("/") or name[1:3] == ":/" or (".." in name and ".." in name.split("/"))
        if outside or "\0" in name:
            raise UserError(
                f"{path}: line {number}: {name!r} is not a path inside {path.parent}; make it relative to it"
            )
        yield number, name, text


def _what(videos: bool) -> str:
    return "one video folder a line" if videos else "one image path a line"
