"""Ctrl-C and SIGTERM as a request that a long job meets at its next safe point."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """``signal`` is the number of the signal that asked to stop, or None."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def exit_status(self) -> int:
        """What a shell expects of a program that ended because of the signal: 130 for Ctrl-C, 143 for SIGTERM.

        143 too where another process of the run was asked.
        """
        return 128 + (self.signal or signal.SIGTERM)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:  # asked twice: now
            raise KeyboardInterrupt
        self.signal = number
        # Not print: the signal may have arrived in the middle of one.
        os.write(2, b"stopping after this step; once more stops at once, without saving\n")


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Catch Ctrl-C and SIGTERM inside the block; in the main thread only, as Python demands."""
    request = StopRequest()
    before = {number: signal.signal(number, request._ask) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
