"""Names of people that are spelled in several ways: what is one person, and what only looks like one.

A letter with an accent has two spellings in Unicode that look the same: composed (NFC, what keyboards and most programs
give) and decomposed (NFD, what older file systems of macOS and archives made on them have). Names that differ in
nothing else are one name. Names that differ in case, blanks, ``_`` or ``-`` may be one person or two, which only the
user knows: they are told, never merged.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.base.notes import note
from lwface.formats.values import whole_number

# Between two digits a separator tells numbers apart: 1_23 and 12_3 are no spellings of one name.
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[\s_\-]+(?=\d)")
_SEPARATORS = re.compile(r"[\s_\-]+")
_KEPT = "\0"  # in no name of a file


def composed(name: str) -> str:
    """The name in Unicode's composed form (NFC): one text for all spellings that look the same."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def check_folders_apart(root: PathLike, folders: Iterable[str]) -> None:
    """Nobody has two folders that look the same; those that may be of one person are told.

    Raises:
        UserError: two names are one in composed form; names both.
    """
    of_name: dict[str, str] = {}
    for folder in folders:
        other = of_name.setdefault(composed(folder), folder)
        if other != folder:
            raise UserError(
                f"{root}: the folders {other!a} and {folder!a} are one name, {composed(folder)}, in two "
                "spellings of Unicode: move the images into one of them, or rename one"
            )
    tell_alike(f"{root}: folders", of_name)


def tell_alike(where: str, names: Iterable[str]) -> None:
    """Say how many of ``names`` equal others but for case, blanks, ``_`` or ``-``, and which the first two are."""
    first: dict[str, str] = {}
    alike: dict[str, str] = {}  # by the name that came first
    count = 0
    for name in dict.fromkeys(names):
        other = first.setdefault(_loose(name), name)
        if other != name:
            count += 1
            alike.setdefault(other, name)
    if alike:
        one, two = next(iter(alike.items()))
        note(
            f"{where}: {count + len(alike)} names equal others but for case, blanks, _ or - and are people of their "
            f"own ({one!r} and {two!r}): give those who are one person one name"
        )


def _loose(name: str) -> str:
    """One text for names that may be meant to be the same; numbers are compared as they are."""
    if whole_number(name) is not None:
        return name
    return _SEPARATORS.sub("", _BETWEEN_DIGITS.sub(_KEPT, composed(name).casefold().strip()))
