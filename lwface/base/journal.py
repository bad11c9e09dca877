"""What a long job has done so far, item by item, so that a killed job goes on and ends with the same bytes.

A journal is a text file in the output folder: the fingerprint of the job's inputs and options, then one line an item,
``+<TAB>name<TAB>detail`` when it was taken and ``-<TAB>name<TAB>reason`` when it was skipped; behind another tab what
the job found of the item and still needs. At the end it becomes ``manifest.json``, whose presence says that the output
is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lwface.base.account import Account
from lwface.base.errors import UserError
from lwface.base.files import PathLike, write_json

JOURNAL = "journal.part"
MANIFEST = "manifest.json"
WORK = "work.part"  # folder of the pieces that a job puts together at its end


class Entry(NamedTuple):
    """One item of a job: taken (with a detail of the job's own) or skipped (with the reason), and what was found."""

    taken: bool
    name: str
    detail: str
    found: str = ""


def fingerprint(options: dict[str, Any], files: Iterable[PathLike]) -> str:
    """A hash of a job's options and of the path, size and time of change of its input files."""
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for file in files:
        status = os.stat(file)
        digest.update(f"\n{os.fspath(file)}\t{status.st_size}\t{status.st_mtime_ns}".encode())
    return digest.hexdigest()


class Journal:
    """The entries of a job, kept in a file as they come; millions of them cost no memory.

    ``done`` items have an entry. ``products`` are the names that the job writes beside the journal (None: everything
    there is its own). A journal of another job in the same place is a :class:`UserError`.
    """

    def __init__(self, path: Path, job: str, products: Sequence[str] | None = None) -> None:
        self.path, self.job, self.products, self.done = path, job, products, 0
        self._head = job.encode() + b"\n"
        self._file = open(path, "a+b")  # noqa: SIM115 - closed by close
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._begin()
        except BlockingIOError:
            self._file.close()
            raise UserError(f"{path.parent}: another process is at this job") from None
        except UserError:
            self._file.close()
            raise

    def _begin(self) -> None:
        self._file.seek(0)
        head = self._file.readline()
        if head.endswith(b"\n"):
            if head != self._head:
                raise UserError(
                    f"{self.path.parent}: holds an unfinished job of other options or inputs; "
                    "delete that folder, or choose another --output"
                )
            for _ in self.entries():
                self.done += 1
            self._cut(self.done)
        else:  # new, or killed within the first line
            self._file.truncate(0)
            self._file.write(self._head)
            self._file.flush()

    def entries(self) -> Iterator[Entry]:
        """The whole entries so far."""
        with open(self.path, "rb") as file:
            file.readline()
            for line in file:
                fields = line.decode(errors="replace").rstrip("\n").split("\t")
                if not line.endswith(b"\n") or len(fields) not in (3, 4) or fields[0] not in ("+", "-"):
                    return
                yield Entry(fields[0] == "+", *fields[1:])

    def _cut(self, count: int) -> None:
        """Keep the first ``count`` entries."""
        end = len(self._head)
        with open(self.path, "rb") as file:
            file.readline()
            for _ in range(count):
                end += len(file.readline())
        self._file.truncate(end)
        self.done = count

    def keep_taken(self, count: int) -> None:
        """Forget the taken entry number ``count``, counted from 0, and all after it."""
        taken = 0
        for position, entry in enumerate(self.entries()):
            if entry.taken and taken == count:
                self._cut(position)
                return
            taken += entry.taken

    def add(self, taken: bool, name: str, detail: str = "", found: str = "") -> None:
        """Add an entry; it survives a kill of this process from the moment this returns."""
        fields = [
            "+" if taken else "-",
            name,
            *(" ".join(text.split()) for text in (detail, *([found] if found else []))),
        ]
        self._file.write("\t".join(fields).encode() + b"\n")
        self._file.flush()
        self.done += 1

    def account(self) -> Account:
        """How many were taken, and for each reason how many were skipped, with a few names."""
        account = Account()
        for entry in self.entries():
            if entry.taken:
                account.taken += 1
            else:
                account.skip(entry.detail, entry.name)
        return account

    def finish(self, facts: dict[str, Any], walked: Account | None = None) -> None:
        """Write the manifest with ``facts`` and the account, and remove the journal: the output is complete.

        ``walked`` is of where the items came from: what it left out is in the manifest too.
        """
        folder = self.path.parent
        for name in ["*"] if self.products is None else self.products:
            for leftover in folder.rglob(f".{name}.*.part"):  # of a writer that was killed
                leftover.unlink()
        account = self.account()
        if walked is not None:
            account.leave_out(walked)
        write_json(self.path.with_name(MANIFEST), {"fingerprint": self.job, **facts, **account.as_json()})
        self.path.unlink()
        _clear(folder, self.products)  # last: without a part of it the job could not be done again

    def discard(self) -> None:
        """Remove the journal of a job that came to nothing, so that other options may be tried in its place."""
        self.path.unlink()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()


def _clear(folder: Path, products: Sequence[str] | None) -> None:
    """Remove the pieces of a job that is complete, if it makes any."""
    if products is not None and WORK in products and (folder / WORK).is_dir():
        shutil.rmtree(folder / WORK)


def open_job(output: Path, job: str, products: Sequence[str] | None = None) -> Journal | None:
    """The journal of ``job`` in the folder ``output``, new or to be continued; None when the job is already complete.

    ``products`` are the names the job will write there (None: any); :data:`WORK` among them is a folder of pieces,
    which is removed when the job is complete. What is there and not of this job is a :class:`UserError`: nothing is
    written over.
    """
    manifest = output / MANIFEST
    if manifest.exists():
        try:
            done = json.loads(manifest.read_text(encoding="utf-8"))
        except ValueError:
            done = None
        if isinstance(done, dict) and done.get("fingerprint") == job:
            _clear(output, products)  # of a run that was stopped in its last moment
            return None
        raise UserError(f"{output}: holds the result of other options or inputs; delete it, or choose another --output")
    output.mkdir(parents=True, exist_ok=True)
    if not (output / JOURNAL).exists():
        there = sorted(p.name for p in output.iterdir() if products is None or p.name in products)
        if there:
            raise UserError(f"{output}: {there[0]} is already there; delete it, or choose another --output")
    return Journal(output / JOURNAL, job, products)


def is_manifest(path: PathLike) -> bool:
    """Whether the file ``path`` is the manifest of a job of this project, by its name and what it says."""
    if Path(path).name != MANIFEST:
        return False
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and "fingerprint" in found


def read_manifest(output: Path) -> dict[str, Any]:
    """The manifest of a complete output."""
    manifest: dict[str, Any] = json.loads((output / MANIFEST).read_text(encoding="utf-8"))
    return manifest
