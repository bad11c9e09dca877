"""Pictures made by several processes, each piece told when it is there."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

import cv2

Piece = TypeVar("Piece")


def begin_worker() -> None:
    """One thread a process."""
    cv2.setNumThreads(1)


def made_by(make: Callable[[Piece], Piece], pieces: Sequence[Piece], workers: int) -> Iterator[Piece]:
    """What ``make`` gives of each of ``pieces`` when it is made, in ``workers`` processes (up to 1: in this one).

    Who leaves the loop over it before the end waits for what is being made; the rest is not begun.
    """
    if workers <= 1 or len(pieces) <= 1:
        yield from map(make, pieces)
        return
    # Fresh interpreters of one thread each; the numeric libraries read this when they start.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(pieces)), mp_context=context, initializer=begin_worker)
    try:
        with _deaf():  # Ctrl-C reaches the processes, too, but it is this one that ends the work
            futures = [pool.submit(make, piece) for piece in pieces]
        for future in as_completed(futures):
            yield future.result()
    finally:  # and once: a second call, such as that of the pool's own ``with``, would take the cancelling back
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Within it this thread, and for good the processes and threads that it starts, do not hear Ctrl-C."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
