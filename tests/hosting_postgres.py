"""PostgreSQL of Debian's package, started for a test in a folder of its own, on loopback alone, and ended with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; None where the package is not there, or nobody may run it."""
    found = sorted(PROGRAMS.glob("*/bin"), key=lambda path: float(path.parent.name))
    if not found or (os.geteuid() == 0 and shutil.which("runuser") is None):
        return None
    return found[-1]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def postgres(folder: Path, *settings: str) -> Iterator[str]:
    """A server with an empty database; its URL. ``folder`` is made; PostgreSQL refuses to run as root."""
    place = programs()
    assert place is not None, "apt-get install postgresql"
    folder.mkdir(parents=True)
    as_user = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        for parent in folder.parents:
            if parent.stat().st_mode & 0o001 == 0:
                parent.chmod(parent.stat().st_mode | 0o011)
        as_user = ["runuser", "-u", "postgres", "--"]
    data, port = folder / "data", free_port()
    made = [place / "initdb", "-D", data, "-U", "lwface", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    subprocess.run([*as_user, *map(str, made)], check=True, capture_output=True, cwd="/")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 {' '.join(f'-c {one}' for one in settings)}"
    control = [*as_user, str(place / "pg_ctl"), "-D", str(data), "-w"]
    subprocess.run(
        [*control, "-o", options, "-l", str(data / "log"), "start"], check=True, cwd="/", stdout=subprocess.DEVNULL
    )
    try:
        yield f"postgresql+pg8000://lwface@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, cwd="/", stdout=subprocess.DEVNULL)
