"""Decoded training images in memory that processes share: a data set that fits is decoded once a run."""

from __future__ import annotations

import mmap
from collections.abc import Callable

import numpy as np

from lwface.base.errors import UserError
from lwface.base.memory import available_bytes
from lwface.base.progress import progress
from lwface.base.threads import in_threads

MOST = 0.8  # of the memory that is free: the training needs some too
AT_ONCE = 256  # images a thread decodes before it takes the next


class HeldImages:
    """Images and labels of a whole data set.

    They lie in memory that a forked process shares with the one that forked it, and not in ``/dev/shm``, of which
    containers have little.

    Args:
        count: N.
        image_size: (height, width).

    Attributes:
        images: (N, H, W, 3) uint8.
        labels: (N,) int64.
        held: (N,) bool: what is there.

    Raises:
        UserError: it does not fit.
    """

    def __init__(self, count: int, image_size: tuple[int, int]) -> None:
        shape = (count, *image_size, 3)
        needed, free = bytes_of(count, image_size), available_bytes()
        if needed > MOST * free:
            raise UserError(
                f"in_memory: {count} images take {needed / 1e9:.1f} GB, and of the {free / 1e9:.1f} GB of memory that "
                f"are free at most {MOST:.0%} are taken: leave out --in-memory"
            )
        self.images = np.frombuffer(mmap.mmap(-1, needed), dtype=np.uint8).reshape(shape)
        self.labels = np.zeros(count, dtype=np.int64)
        self.held = np.zeros(count, dtype=bool)

    def fill(self, read: Callable[[int], tuple[int, np.ndarray] | None]) -> None:
        """Take in label and image of each position that ``read`` gives them for, on all cores."""
        count = len(self.held)
        starts = range(0, count, AT_ONCE)

        def decode(start: int) -> int:
            stop = min(start + AT_ONCE, count)
            for position in range(start, stop):
                if (found := read(position)) is not None:
                    self.labels[position], self.images[position] = found
                    self.held[position] = True
            return stop - start

        with progress(total=count, label="decoding", unit="image") as bar:
            for done in in_threads(decode, starts):
                bar.update(done)


def bytes_of(count: int, image_size: tuple[int, int]) -> int:
    """The memory of ``count`` images of (height, width)."""
    return count * image_size[0] * image_size[1] * 3
