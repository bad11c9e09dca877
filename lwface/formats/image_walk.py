"""The images in a folder and the folders below it, in an order of names alone; what is no image is counted.

This is the one place that decides which files are images of a data set, for every command that reads a folder:

* an image is a file by one of :data:`lwface.formats.image_files.IMAGE_SUFFIXES`, in any case;
* hidden files and folders (``.DS_Store``, ``._x.jpg``, ``.ipynb_checkpoints``) and folders that other programs leave
  (``@eaDir``, ``__MACOSX``) are passed by, and their files counted;
* links to folders are followed. One that leads to a folder that is walked anyway, above the link (a loop) or elsewhere,
  is counted: an image is in the account once;
* two images that differ in nothing but the ending (``x.jpg``, ``x.png``) are an error: crops would overwrite each
  other, and a list of pairs without endings would mean either.

The account adds up: every file, every empty folder and every link that is not followed is seen once, and used or
skipped with its reason; but for the manifest that this project leaves in a folder that it wrote. Nothing heavy is
imported here.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lwface.base.account import Account
from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.base.journal import is_manifest
from lwface.formats.image_files import is_image_name

# Thumbnails, forks and waste of Synology, macOS, QNAP, Windows, Linux and Python.
FOREIGN = frozenset(
    {"@eaDir", "#recycle", "@tmp", "__MACOSX", "@Recycle", "@Recently-Snapshot", "$RECYCLE.BIN"}
    | {"System Volume Information", "lost+found", "__pycache__"}
)
HIDDEN_FILE, HIDDEN_FOLDER = "a hidden file", "in a hidden folder"
FOREIGN_FOLDER, EMPTY_FOLDER = "in a folder that another program left", "a folder with nothing in it"
DEEPER_FOLDER = "a folder beside the frames of a video"
DEAD_LINK, NO_FILE = "a link that leads nowhere", "no regular file"
LOOP, SECOND_LINK = "a link to a folder that it lies in", "a link to what is there already"


class ImageWalk(NamedTuple):
    """What a folder holds.

    Attributes:
        names: the images, as sorted paths relative to the folder, with ``/``.
        account: of all that was seen.
    """

    names: list[str]
    account: Account


def image_folder(root: PathLike) -> Path:
    """The folder ``root``; :class:`UserError` when it is not there."""
    if not Path(root).is_dir():
        raise UserError(f"{root}: no such folder of images")
    return Path(root)


def walk_images(root: PathLike) -> ImageWalk:
    """All images below ``root``.

    Raises:
        UserError: there is no such folder, a name cannot be written in a list, or two images have one name.
        OSError: a folder cannot be looked into.
    """
    walk = _Walk(image_folder(root))
    walk.through()
    names = sorted(walk.names, key=lambda name: name.split("/"))
    for name in names:
        if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name):
            raise UserError(f"{root}: the file name {name!r} cannot be written in a list; rename it")
    if walk.linked:  # else each folder was looked at by itself
        _check_apart(root, names)
    walk.account.taken = len(names)
    return ImageWalk(names, walk.account)


def frames_in(folder: PathLike, account: Account | None = None) -> list[str]:
    """The paths of the frames of the video ``folder``: its images, sorted by name; folders in it are not entered.

    ``account`` is told what is there, if given.

    Raises:
        UserError: two frames differ in nothing but the ending.
        OSError: there is no such folder.
    """
    account = Account() if account is None else account
    names = []
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        below = _is_folder(entry)
        reason = DEEPER_FOLDER if below else _no_image(entry)
        if reason:
            account.skip(reason, entry.path + "/" * below)
        else:
            names.append(entry.name)
    _check_apart(folder, names)
    account.taken += len(names)
    return [os.path.join(folder, name) for name in names]


def folders_of(names: Iterable[str]) -> list[str]:
    """The folders that hold the images ``names`` of a walk, each once, in their order; images at the top have none."""
    return list(dict.fromkeys(folder for folder, slash, _ in (name.rpartition("/") for name in names) if slash))


@dataclass
class _Walk:
    """A walk under way. Real folders come first, so that a link never takes a folder's place."""

    root: Path
    names: list[str] = field(default_factory=list)
    account: Account = field(default_factory=Account)
    _walked: set[tuple[int, int]] = field(default_factory=set)  # device and number of each folder
    _links: deque[str] = field(default_factory=deque)  # to folders, still to be followed
    _file_links: list[str] = field(default_factory=list)

    @property
    def linked(self) -> bool:
        """Whether images are links."""
        return bool(self._file_links)

    def through(self) -> None:
        """Walk everything."""
        self._folder("")
        while self._links:
            self._links = deque(sorted(self._links))
            self._follow(self._links.popleft())
        self._settle_file_links()

    def _folder(self, top: str) -> None:
        """Walk the folder ``top`` below the root and the folders in it; links to folders are noted."""
        folders = [top]
        while folders:
            inside = folders.pop()
            status = os.stat(self.root / inside)
            if (status.st_dev, status.st_ino) in self._walked:
                self.account.skip(SECOND_LINK, f"{inside}/")
                continue
            self._walked.add((status.st_dev, status.st_ino))
            with os.scandir(self.root / inside) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            if not found and inside:
                self.account.skip(EMPTY_FOLDER, f"{inside}/")
            below, before = [], len(self.names)
            for entry in found:
                name = f"{inside}/{entry.name}" if inside else entry.name
                if not _is_folder(entry):
                    self._file(entry, name)
                elif reason := _not_entered(entry.name):
                    self._count(entry, name, reason)
                elif entry.is_symlink():
                    self._links.append(name)
                else:
                    below.append(name)
            _check_apart(self.root, self.names[before:])
            folders += reversed(below)

    def _file(self, entry: os.DirEntry[str], name: str) -> None:
        if is_manifest(entry.path):
            return
        if reason := _no_image(entry):
            self.account.skip(reason, name)
        elif entry.is_symlink():
            self._file_links.append(name)
        else:
            self.names.append(name)

    def _follow(self, link: str) -> None:
        target, folder = (self.root / link).resolve(), (self.root / link).parent.resolve()
        status = os.stat(target)
        if target == folder or target in folder.parents:
            self.account.skip(LOOP, link)
        elif (status.st_dev, status.st_ino) in self._walked:
            self.account.skip(SECOND_LINK, link)
        else:
            self._folder(link)

    def _settle_file_links(self) -> None:
        """A link to an image that the walk has, or that an earlier link has, is a second one of it."""
        if not self._file_links:
            return
        real = {os.path.realpath(self.root / name) for name in self.names}
        for name in sorted(self._file_links):
            target = os.path.realpath(self.root / name)
            if target in real:
                self.account.skip(SECOND_LINK, name)
            else:
                real.add(target)
                self.names.append(name)

    def _count(self, entry: os.DirEntry[str], name: str, reason: str) -> None:
        """Count the files in a folder that is not entered; a link to one counts itself."""
        if entry.is_symlink():
            self.account.skip(reason, name)
            return
        for folder, _, files in os.walk(self.root / name, onerror=_cannot_list):
            inside = Path(folder).relative_to(self.root).as_posix()
            self.account.skip(reason, *(f"{inside}/{file}" for file in sorted(files)))


def _not_entered(folder: str) -> str | None:
    if folder in FOREIGN:
        return FOREIGN_FOLDER
    return HIDDEN_FOLDER if folder.startswith(".") else None


def _no_image(entry: os.DirEntry[str]) -> str | None:
    """Why what is no folder is no image either."""
    if entry.name.startswith("."):
        return HIDDEN_FILE
    if not _is_file(entry):
        return DEAD_LINK if entry.is_symlink() else NO_FILE
    if not is_image_name(entry.name):
        suffix = os.path.splitext(entry.name)[1].lower()
        return f"no image that is read here, by its ending {suffix}" if suffix else "no image: its name has no ending"
    return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _check_apart(root: PathLike, names: Iterable[str]) -> None:
    """:class:`UserError` where two images differ in nothing but the ending."""
    of_stem: dict[str, str] = {}
    for name in names:
        other = of_stem.setdefault(name.rpartition(".")[0], name)
        if other is not name:
            raise UserError(
                f"{root}: {other} and {name} have one name with two endings: remove one where they show the same, "
                "else rename one"
            )


def _cannot_list(error: OSError) -> None:
    raise error
