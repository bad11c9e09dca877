"""Zip archives that are written as they are sent, without compression: many gigabytes cost neither memory nor space."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 1024**2


class ZipStream:
    """An archive on its way; :meth:`taken` is what there is to send since the last time."""

    def __init__(self) -> None:
        self._sent = _Sent()
        self._archive = zipfile.ZipFile(self._sent, "w", zipfile.ZIP_STORED)

    def add_text(self, name: str, text: str) -> bytes:
        """Add a short file; bytes to send."""
        self._archive.writestr(name, text)
        return self._sent.taken()

    def add_file(self, name: str, path: Path) -> Iterator[bytes]:
        """Add a file of any size; bytes to send."""
        with open(path, "rb") as source, self._archive.open(name, "w", force_zip64=True) as target:
            while block := source.read(BLOCK):
                target.write(block)
                yield self._sent.taken()

    def end(self) -> bytes:
        """The last bytes."""
        self._archive.close()
        return self._sent.taken()


def zipped_folder(folder: Path) -> Iterator[bytes]:
    """An archive of the files below ``folder``, by name; links are left out."""
    archive = ZipStream()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield from archive.add_file(path.relative_to(folder).as_posix(), path)
    yield archive.end()


class _Sent(io.RawIOBase):
    """A file that is only written on, and handed out piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def taken(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data
