"""Long lists of whole numbers, such as the 15.7 million pairs of IJB-C: chunk by chunk, all numbers of one at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lwface.base.files import PathLike
from lwface.formats.text_files import open_text

CHUNK_BYTES = 2**24  # of a list, read at a time
PLAIN = b"0123456789 \t,;\r\n"  # what a chunk may hold to be read all at once
AS_BLANKS = bytes.maketrans(b"\t,;\r", b"    ")


def line_chunks(path: PathLike, size: int = CHUNK_BYTES) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of whole lines, about ``size`` bytes of them at a time, without blank lines at the end."""
    offset, held = 0, b""
    with open_text(path) as file:
        while chunk := file.read(size):
            chunk += file.readline()
            if held and chunk.strip():
                yield offset, held
                offset, held = offset + len(held), b""
            held += chunk
    held = held.rstrip()
    if held:
        yield offset, held + b"\n"


def whole_numbers(chunk: bytes) -> NDArray[np.int64] | None:
    """The table (lines, columns) of whole lines of numbers from 0 on; None where there is anything else in them.

    What is larger than an int64 is the largest int64.
    """
    if chunk.translate(None, PLAIN) or chunk.count(b"\r") != chunk.count(b"\r\n"):
        return None
    text = chunk.translate(AS_BLANKS)
    characters = np.frombuffer(text, dtype=np.uint8)
    digits = characters > ord(" ")
    starts = np.flatnonzero(digits & np.concatenate([[True], ~digits[:-1]]))
    ends = np.flatnonzero(characters == ord("\n"))
    numbers = np.diff(np.searchsorted(starts, ends), prepend=0)  # on each line
    if not len(numbers) or not numbers[0] or (numbers != numbers[0]).any():
        return None
    return np.fromstring(text, dtype=np.int64, sep=" ").reshape(len(numbers), -1)
