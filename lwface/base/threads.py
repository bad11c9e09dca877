"""Work that NumPy does, on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Found = TypeVar("Found")


def in_threads(work: Callable[[Part], Found], parts: Sequence[Part]) -> Iterator[Found]:
    """What ``work`` gives for each of ``parts``, in their order, on all cores of this process."""
    if len(parts) == 1:
        yield work(parts[0])
        return
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "parts") as pool:
        yield from pool.map(work, parts)
