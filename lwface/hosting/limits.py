"""What a scoring may not exceed, set by its own process before it looks at a submission. Linux."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
OPEN_FILES = 256
CAGED_PROCESSES = 512  # with their threads


def end_with_parent(parent: int) -> None:
    """Be killed when the process ``parent``, which started this one, ends in any way; at once where it has."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def set_limits(memory_bytes: int, file_bytes: int, seconds: float, *, caged: bool) -> None:
    """Bound this process: memory it fills, size of a file it writes, open files, seconds of all cores; no core dump.

    Memory is what it writes to (``RLIMIT_DATA``): a large file may be mapped, and libraries reserve far more
    addresses than they use. In a cage the number of processes is bounded, too: Linux counts them by user, since 5.14 in
    each namespace of users apart; those of root it does not count.
    """
    cores = os.cpu_count() or 1
    processes = [(resource.RLIMIT_NPROC, CAGED_PROCESSES)] if caged else []
    for kind, most in (
        *processes,
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CPU, int(seconds * cores) + 1),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
