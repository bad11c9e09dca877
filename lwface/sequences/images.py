"""``Images``: frames of the faceless challenge by their path, out of one tar that is never unpacked, or of a folder.

    with Images("data/images.tar") as images:
        path = images.paths[0]
        image = images[path]  # (64, 64, 3) uint8 RGB

The tar is read through once; its index is kept beside it (:mod:`lwface.formats.tar_index`).
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.image import decode_rgb, image_damage
from lwface.formats.image_walk import walk_images
from lwface.formats.tar_index import BLOCK, TarIndex, index_path, tar_index


class Images:
    """The images of a tar or a folder: a context manager; any number of threads may read at once.

    A process forked from this one, as a loader's worker is, reads on with it; one that is started anew opens the file
    itself.

    Args:
        path: a tar, not compressed, or a folder.

    Attributes:
        paths: of the images, sorted.
        skipped: what else is there, as :meth:`lwface.base.account.Account.as_json`.

    Raises:
        UserError: see :func:`lwface.formats.tar_index.tar_index`; or it holds no image.
        OSError: it cannot be read.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self._folder = self.path.is_dir()
        self._file = -1
        if self._folder:
            walk = walk_images(self.path)
            self.paths, self.skipped = sorted(walk.names), walk.account.as_json()
            self._places = {name: place for place, name in enumerate(self.paths)}
        else:
            self._file = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            try:
                index = tar_index(self.path)
            except BaseException:
                self.close()
                raise
            self._take(index)
        if not self.paths:
            self.close()
            raise UserError(f"{self.path}: holds no image")

    def _take(self, index: TarIndex) -> None:
        self.paths, self.skipped = index.names, dict(index.skipped)
        # Lists of Python's numbers: an array's element is an object that has to be made at each look.
        self._starts, self._sizes, self._checks = index.starts.tolist(), index.sizes.tolist(), index.checks.tolist()
        self._places = {name: place for place, name in enumerate(self.paths)}

    def __len__(self) -> int:
        return len(self.paths)

    def __contains__(self, path: object) -> bool:
        return path in self._places

    def __getitem__(self, path: str | int) -> NDArray[np.uint8]:
        """The image (H, W, 3) uint8 RGB of a path, or of a place in ``paths``; errors as for :meth:`read`."""
        data = self.read(path)
        image = decode_rgb(data)
        if image is None:
            name = self._name(path)
            raise UserError(f"{self.path}: {name}: {image_damage(data) or 'not an image that can be decoded'}")
        return image

    def read(self, path: str | int) -> bytes:
        """The image file of a path, or of a place in ``paths``, as it is stored.

        Raises:
            UserError: there is none of that name, it has been closed, or the tar changed since it was opened.
            IndexError: there is no such place.
        """
        name = self._name(path)
        if self._folder:
            return (self.path / name).read_bytes()
        place = self._places[name]
        start, size = self._starts[place], self._sizes[place]
        if self._file < 0:
            raise UserError(f"{self.path}: is closed; read inside its with block")
        data = os.pread(self._file, BLOCK + size, start - BLOCK)
        if len(data) != BLOCK + size or zlib.crc32(memoryview(data)[:BLOCK]) != self._checks[place]:
            index = index_path(self.path)
            raise UserError(
                f"{self.path}: {name} is not where the index has it; the tar was changed: remove {index}, open it again"
            )
        return data[BLOCK:]

    def _name(self, path: str | int) -> str:
        if isinstance(path, str):
            if path not in self._places:
                raise UserError(f"{self.path}: holds no {path!r}; its first is {self.paths[0]!r}")
            return path
        return self.paths[path]

    def close(self) -> None:
        """Close the file; no thread may be reading."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> Images:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0:
            self.close()

    def __reduce__(self) -> tuple[type[Images], tuple[Path]]:
        return Images, (self.path,)
