"""Writes ``images.tar`` of the faceless challenge, beside and renamed; equal frames give equal bytes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable

from lwface.base.files import PathLike, replacing


def write_frames(path: PathLike, frames: Iterable[tuple[str, bytes]]) -> int:
    """Write ``frames``, pairs of path and image file, in their order; how many there were."""
    count = 0
    with replacing(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in frames:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
            count += 1
    return count
