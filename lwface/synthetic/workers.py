"""Pictures made by several processes, each piece told when it is there."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

import cv2

Piece = TypeVar("Piece")


def begin_worker() -> None:
    """One thread a process."""
    cv2.setNumThreads(1)


def made_by(make: Callable[[Piece], Piece], pieces: Sequence[Piece], workers: int) -> Iterator[Piece]:
    """What ``make`` gives of each of ``pieces`` when it is made, in ``workers`` processes (up to 1: in this one)."""
    if workers <= 1 or len(pieces) <= 1:
        yield from map(make, pieces)
        return
    # Fresh interpreters of one thread each; the numeric libraries read this when they start.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(pieces)), mp_context=context, initializer=begin_worker) as pool:
        try:
            for future in as_completed([pool.submit(make, piece) for piece in pieces]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
