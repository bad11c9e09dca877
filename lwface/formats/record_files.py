"""Where the images of a data set are kept, and the error about one that cannot be used; nothing heavy is imported."""

from __future__ import annotations

from pathlib import Path

from lwface.base.errors import UserError
from lwface.base.files import PathLike


class RecordError(UserError):
    """A record file, its index or one of its records cannot be used: which file, key and byte offset it is about."""

    def __init__(
        self, message: str, *, path: PathLike | None = None, key: int | None = None, offset: int | None = None
    ) -> None:
        super().__init__(message)
        self.path, self.key, self.offset = path, key, offset


def record_file(path: PathLike) -> Path:
    """The record file called ``path``: itself, or ``train.rec`` in the folder of that name.

    Raises:
        RecordError: it is not there.
    """
    rec = Path(path) / "train.rec" if Path(path).is_dir() else Path(path)
    if not rec.is_file():
        raise RecordError(f"{rec}: no such record file", path=rec)
    return rec
