"""Progress of a long job: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

LOG_INTERVAL_S = 10.0  # a log file is read by people, not animated


def progress(
    iterable: Iterable[Any] | None = None, *, total: int | None = None, label: str, unit: str, initial: int = 0
) -> Any:
    """Wrap ``iterable`` (or count by ``.update``) and show label, count, rate and time left on stderr."""
    interactive = sys.stderr.isatty()
    return tqdm(
        iterable,
        total=total,
        initial=initial,
        desc=label,
        unit=unit,
        unit_scale=False,
        dynamic_ncols=interactive,
        ncols=None if interactive else 100,
        mininterval=0.2 if interactive else LOG_INTERVAL_S,
        leave=True,
    )
