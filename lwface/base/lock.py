"""One run at a time in a folder."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from lwface.base.errors import UserError


@contextlib.contextmanager
def held(folder: Path, busy: str) -> Iterator[None]:
    """Hold the lock of ``folder`` inside the block; it is the process's own, so it also ends with a killed one.

    Part files of a writer that was killed are removed.

    Args:
        busy: what to say where another process holds it.

    Raises:
        UserError: another process does.
    """
    with open(folder / ".lock", "wb") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(busy) from None
        for part in folder.glob(".*.part"):
            part.unlink()
        yield
