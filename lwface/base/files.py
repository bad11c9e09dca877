"""Files that are either absent, old or complete: every writer writes beside its target and renames."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Union

PathLike = Union[str, "os.PathLike[str]"]


def sync_folder(folder: PathLike) -> None:
    """Make a rename inside ``folder`` survive a power cut (a rename is data of the folder, not of the file)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def commit(part: PathLike, target: PathLike) -> None:
    """Give the complete file ``part`` its final name; both must be in the same folder."""
    os.replace(part, target)
    sync_folder(Path(target).parent)


@contextlib.contextmanager
def naming(path: PathLike) -> Iterator[None]:
    """Name ``path`` in errors of the block that name no file: a failed write, as on a full disk, says only why."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextlib.contextmanager
def replacing(path: PathLike, mode: str = "wb", **kwargs: Any) -> Iterator[IO[Any]]:
    """Open a file beside ``path`` for writing and rename it to ``path`` when the block ends without an error.

    On an error the part file is removed and ``path`` keeps what it had. The folder is created when missing.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with naming(target), open(part, mode, **kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        commit(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replacing_folder(path: PathLike) -> Iterator[Path]:
    """A new folder beside ``path`` to write into; it gets that name when the block ends without an error.

    A folder of that name is removed with all it holds: whoever calls has looked at it. On an error it stays as it was.
    """
    target = Path(path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    part, old = (target.with_name(f".{target.name}.{os.getpid()}.{state}") for state in ("part", "old"))
    try:
        with naming(target):
            part.mkdir()
            yield part
            for file in filter(Path.is_file, part.rglob("*")):
                with open(file, "rb") as written:
                    os.fsync(written.fileno())
        if target.exists():
            os.rename(target, old)
        os.rename(part, target)
        sync_folder(target.parent)
    except BaseException:
        if old.exists() and not target.exists():
            os.rename(old, target)
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def shown(path: PathLike) -> str:
    """``path`` as a user types it: from the current folder where it lies below, quoted where a shell needs it."""
    with contextlib.suppress(ValueError):
        path = Path(path).relative_to(Path.cwd())
    return shlex.quote(str(path))


def write_text(path: PathLike, text: str) -> None:
    """Write ``text`` as UTF-8, beside and renamed."""
    with replacing(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def write_json(path: PathLike, value: Any) -> None:
    """Write ``value`` as indented JSON, beside and renamed. NaN and infinity are refused: they are not JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
