"""Progress of a long job: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

QUIET_S = 1.0  # a job that ends sooner needs no bar
LOG_INTERVAL_S = 10.0  # a log file is read by people, not animated


class _Lines:
    """Where a bar would be redrawn in place, writes each new state as a line of its own."""

    def __init__(self) -> None:
        self._last = ""

    def write(self, text: str) -> None:
        state = text.strip("\r\n ")
        if state and state != self._last:
            sys.stderr.write(state + "\n")
            self._last = state

    def flush(self) -> None:
        sys.stderr.flush()


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    label: str,
    unit: str,
    initial: int = 0,
    scaled: bool = False,
) -> Any:
    """Wrap ``iterable`` (or count by ``.update``) and show label, count, rate and time left on stderr.

    With ``scaled``, numbers are written as 1.2M, 3.4G or 5.6T.
    """
    from tqdm import tqdm  # here, so that what shows no progress needs no tqdm, as on a challenge's server

    interactive = sys.stderr.isatty()
    return tqdm(
        iterable,
        total=total,
        initial=initial,
        desc=label,
        unit=unit,
        unit_scale=scaled,
        delay=QUIET_S,
        dynamic_ncols=interactive,
        ncols=None if interactive else 0,  # 0: figures without a bar
        mininterval=0.2 if interactive else LOG_INTERVAL_S,
        file=None if interactive else _Lines(),
    )
