"""How a file came to be: the command, the date, the versions and the digests that a reader of a result asks for.

A writer leaves them beside its file as ``FILE.origin.json``; whoever reports on the file finds them there, and believes
them only if the file's digest is still the one noted.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from lwface.base.files import PathLike, write_json

SUFFIX = ".origin.json"
BYTES_AT_ONCE = 2**24
DISTRIBUTIONS = {"lwface": "lightweight-face-recognition", "torch": "torch", "numpy": "numpy"}


@dataclass(frozen=True)
class Origin:
    """A command that was run.

    Attributes:
        command: as it can be typed again in ``folder``.
        folder: in which it was typed.
        date: when, with the time zone.
        versions: of what computed, by name.
    """

    command: str
    folder: str
    date: str
    versions: dict[str, str]

    @classmethod
    def this(cls, argv: Sequence[str] | None = None) -> Origin:
        """This process; ``argv`` in place of what was typed."""
        typed = list(sys.argv if argv is None else argv)
        if typed and typed[0].endswith(".py"):  # a door
            typed.insert(0, "python")
        words = [*typed[0].split(), *typed[1:]] if typed else []  # "lwface tar-far" is one word of this process
        now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        return cls(shlex.join(words), os.getcwd(), now, versions())


def versions() -> dict[str, str]:
    """Of this program, of what it computes with, and of the machine's system and processor."""
    installed = {name: _version(distribution) for name, distribution in DISTRIBUTIONS.items()}
    return {"Python": platform.python_version(), **installed, "system": f"{platform.system()} {platform.machine()}"}


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed as a package"


def file_sha256(path: PathLike) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; some seconds for each gigabyte."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(BYTES_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def origin_path(path: PathLike) -> Path:
    """Where the origin of ``path`` is noted."""
    return Path(f"{os.fspath(path)}{SUFFIX}")


def write_origin(path: PathLike, run: Origin, **facts: Any) -> None:
    """Note how the complete file ``path`` was made; ``facts`` are what it depends on."""
    noted = {"sha256": file_sha256(path), **vars(run), **facts}
    write_json(origin_path(path), noted)


def read_origin(path: PathLike, sha256: str) -> Origin | None:
    """How ``path``, whose digest is ``sha256``, was made; None where it is not noted, or noted of other bytes."""
    try:
        noted = json.loads(origin_path(path).read_text(encoding="utf-8"))
        if noted["sha256"] != sha256:
            return None
        told = {name: str(value) for name, value in noted["versions"].items()}
        return Origin(str(noted["command"]), str(noted["folder"]), str(noted["date"]), told)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
