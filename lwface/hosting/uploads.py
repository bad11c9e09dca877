"""Files on their way: each is written where the database says that it is safe up to, so it can be killed at any byte.

``offset`` in the database is the truth: bytes of the file behind it are cut off before anything is written. It moves
when what is before it is on the disk (``fsync``): every :data:`SAFE_BYTES`, at the end of a request, and when a
connection breaks; with a checksum of the request's own bytes only when these have been compared. The last byte and the
submission's place in the queue are one transaction.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.orm import Session

from lwface.base.errors import UserError
from lwface.base.files import sync_folder
from lwface.hosting.database import Database, clock, now
from lwface.hosting.tables import COMPLETE, OPEN, UPLOADING, UploadRow

SAFE_BYTES = 32 * 1024**2


class UploadError(UserError):
    """A request about an upload that cannot be done; ``status`` is HTTP's."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


def begin_upload(
    session: Session, submission: int, part: str, filename: str, length: int, sha256: str | None
) -> UploadRow:
    """Write down that a file of ``length`` bytes will come."""
    row = UploadRow(
        id=secrets.token_hex(16),
        submission_id=submission,
        part=part,
        filename=filename,
        length=length,
        offset=0,
        sha256=sha256,
        state=OPEN,
        touched=now(session),
    )
    session.add(row)
    session.flush()
    return row


def make_file(database: Database, files: Path, upload: str) -> None:
    """Make the file of an upload where it is missing.

    That is done while its row is locked, as its removal is: what is removed is never made again.

    Raises:
        UploadError: nobody waits for it any more.
    """
    if (files / upload).exists():
        return
    with database.writing() as session:
        check_wanted(session.get_one(UploadRow, upload, with_for_update={"of": UploadRow}))
        os.close(os.open(files / upload, os.O_WRONLY | os.O_CREAT, 0o600))
        sync_folder(files)


@contextlib.contextmanager
def sole_writer(files: Path, upload: str) -> Iterator[BinaryIO]:
    """The file of an upload (:func:`make_file`), held against other writers.

    Raises:
        UploadError: another request is writing it, or it was removed meanwhile.
    """
    try:
        handle = os.open(files / upload, os.O_RDWR)
    except FileNotFoundError:
        raise UploadError(410, "this upload was cancelled") from None
    with open(handle, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UploadError(423, "another request is writing this upload") from None
        yield file


def check_wanted(row: UploadRow) -> None:
    """:class:`UploadError` where no bytes are missing, or nobody waits for them any more."""
    if row.state == COMPLETE:
        raise UploadError(403, "this upload is whole")
    if row.state != OPEN or row.submission.state != UPLOADING:
        raise UploadError(410, "this upload was cancelled")


class Receiver:
    """Takes the bytes of one request, in a block of :func:`sole_writer`; its methods block, so they have a thread.

    Args:
        completes: called in the transaction of the last byte.
        checksum: SHA-256 of the request's bytes, where it tells one: the offset then moves at the end alone.

    Raises:
        UploadError: there is nothing to write, or elsewhere.
    """

    def __init__(
        self,
        database: Database,
        upload: str,
        file: BinaryIO,
        offset: int,
        completes: Callable[[Session, UploadRow], None],
        checksum: bytes | None = None,
    ) -> None:
        self.database, self.upload, self.file, self.completes = database, upload, file, completes
        with database.reading() as session:
            row = session.get_one(UploadRow, upload)
            self.length, self.safe = row.length, row.offset
            check_wanted(row)
        if offset != self.safe:
            raise UploadError(409, f"Upload-Offset {offset}: {self.safe} bytes are here")
        file.truncate(self.safe)
        file.seek(self.safe)
        self.at, self.checksum, self.digest = self.safe, checksum, hashlib.sha256()

    def take(self, data: bytes) -> None:
        """Write ``data``.

        Raises:
            UploadError: it is more than the length that was told.
        """
        if self.at + len(data) > self.length:
            raise UploadError(413, f"more than the {self.length} bytes of Upload-Length")
        view = memoryview(data)
        while view:
            view = view[self.file.write(view) :]
        self.at += len(data)
        if self.checksum is not None:
            self.digest.update(data)
        elif self.at - self.safe >= SAFE_BYTES:
            self.make_safe()

    def end(self) -> int:
        """The request is whole: compare its checksum, move the offset; the offset.

        Raises:
            UploadError: the checksum is another one; nothing of the request is kept.
        """
        if self.checksum is not None and self.digest.digest() != self.checksum:
            raise UploadError(460, "the checksum of this request is another one: send it again")
        self.make_safe()
        return self.safe

    def broken(self) -> None:
        """The connection broke: keep what came, unless it was to be compared."""
        if self.checksum is None:
            self.make_safe()

    def make_safe(self) -> None:
        """Bring what came to the disk, then say so; with the last byte the submission enters the queue."""
        os.fsync(self.file.fileno())
        with self.database.writing() as session:
            row = session.get_one(UploadRow, self.upload, with_for_update={"of": UploadRow})
            check_wanted(row)
            row.offset, row.touched = self.at, clock(session)
            if self.at == self.length:
                row.state = COMPLETE
                session.flush()
                self.completes(session, row)
        self.safe = self.at
