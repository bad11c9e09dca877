"""PostgreSQL of Debian's package, started for a test in a folder of its own, on loopback alone, and ended with it.

``LWFACE_TEST_DRIVER=psycopg python -m pytest tests/hosting`` talks to it by another package than pg8000.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = Path("/usr/lib/postgresql")
DRIVER = os.environ.get("LWFACE_TEST_DRIVER", "pg8000")


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
def postgres(*settings: str) -> Iterator[str]:
    """A server with an empty database; its URL. PostgreSQL refuses to run as root, so that it is a user of its own."""
    place = programs()
    assert place is not None, "apt-get install postgresql"
    folder = tempfile.mkdtemp(prefix="lwface-postgres-")  # not below a folder that is root's alone
    as_user = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    data, port = f"{folder}/data", free_port()
    made = [str(place / "initdb"), "-D", data, "-U", "lwface", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    options = " ".join(
        [f"-p {port} -k {folder} -c listen_addresses=127.0.0.1", *(f"-c {setting}" for setting in settings)]
    )
    control = [*as_user, str(place / "pg_ctl"), "-D", data, "-w"]
    quiet = {"cwd": "/", "stdout": subprocess.DEVNULL}
    subprocess.run([*as_user, *made], check=True, **quiet)
    subprocess.run([*control, "-o", options, "-l", f"{data}/log", "start"], check=True, **quiet)
    try:
        yield f"postgresql+{DRIVER}://lwface@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)
        shutil.rmtree(folder, ignore_errors=True)
