"""How much memory a process may still take."""

from __future__ import annotations

import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
# Limit and use of a container, and what of the use is cached files, in versions 2 and 1 of the kernel's interface.
GROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"), "inactive_file"),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        "total_inactive_file",
    ),
)


def available_bytes() -> int:
    """Bytes that can be taken without swapping: the machine's, or those of a container's limit where they are fewer.

    Cached pages of files count as free in both, since the kernel gives them up. Without ``/proc`` (macOS): half of the
    memory that is built in.
    """
    limits = (_left_in_group(*group) for group in GROUPS)
    return max(0, min([_of_the_machine(), *(left for left in limits if left is not None)]))


def _left_in_group(limit: Path, used: Path, cached: str) -> int | None:
    """What a group of processes may still take; None where there is no such limit."""
    try:
        left = int(limit.read_text()) - int(used.read_text())  # "max" is no limit, and no number
        statistics = (line.split() for line in (limit.parent / "memory.stat").read_text().splitlines())
        return left + sum(int(value) for name, value in statistics if name == cached)
    except (OSError, ValueError):
        return None


def _of_the_machine() -> int:
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
