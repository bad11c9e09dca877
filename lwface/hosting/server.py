"""The server: listens, starts the processes for the web and for scoring, and starts anew what ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from types import FrameType

from lwface.base.errors import UserError
from lwface.hosting.accounts import has_organiser, invite
from lwface.hosting.cage import PACKAGE
from lwface.hosting.database import SECRET, Database, change_setting, setting
from lwface.hosting.keys import new_key
from lwface.hosting.processes import SCORE, WEB
from lwface.hosting.site import VARIABLE, Site
from lwface.hosting.tables import ORGANISER

BREATH_S = 1.0  # before a process that ended is started anew
PATIENCE_S = 10.0  # for processes that are told to stop


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket for all web processes; :class:`UserError` where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        why = (getattr(error, "strerror", None) or str(error)).partition(" (while")[0]
        raise UserError(f"--listen {host}, --port {port}: {why}; choose another one") from None


def prepare(site: Site) -> str | None:
    """Make folders and tables; the link for the first organiser, where there is none yet."""
    site.files.mkdir(parents=True, exist_ok=True)
    site.work.mkdir(parents=True, exist_ok=True)
    database = Database(site.database)
    database.create_tables()
    with database.alone() as session:
        if not setting(session, SECRET):
            change_setting(session, SECRET, new_key())
        link = None if has_organiser(session) else f"{site.url}/join/{invite(session, ORGANISER)}"
    database.close()
    return link


@dataclass
class Server:
    """All processes of a site.

    Attributes:
        processes: by kind and number.
        due: when one that ended may be started anew.
    """

    site: Site
    socket: socket.socket | None
    counts: dict[str, int]
    processes: dict[tuple[str, int], subprocess.Popen[bytes]] = field(default_factory=dict)
    due: dict[tuple[str, int], float] = field(default_factory=dict)
    stopping: bool = False

    def run(self) -> None:
        """Until SIGTERM or Ctrl-C; what ends is started anew."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            while not self.stopping:
                self.tend()
                time.sleep(0.1)
        finally:
            self.end()

    def tend(self) -> None:
        """Start what is missing."""
        for kind, count in self.counts.items():
            for number in range(count):
                self._tend(kind, number)

    def _tend(self, kind: str, number: int) -> None:
        one = (kind, number)
        process = self.processes.get(one)
        if process is not None and process.poll() is not None:
            print(
                f"{kind} {number} ended with status {process.returncode}: starting it anew", file=sys.stderr, flush=True
            )
            del self.processes[one]
            self.due[one] = time.monotonic() + BREATH_S
        if one not in self.processes and time.monotonic() >= self.due.get(one, 0.0):
            self.processes[one] = self._start(kind)

    def _start(self, kind: str) -> subprocess.Popen[bytes]:
        handed = (self.socket.fileno(),) if kind == WEB and self.socket is not None else ()
        command = [
            sys.executable,
            "-m",
            "lwface.hosting.processes",
            kind,
            str(handed[0] if handed else -1),
            str(os.getpid()),
        ]
        environment = {**os.environ, VARIABLE: self.site.as_text(), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, cwd=PACKAGE, env=environment, pass_fds=handed, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def end(self) -> None:
        """Tell all to stop, and make sure that they do."""
        for process in self.processes.values():
            process.terminate()
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends and any(process.poll() is None for process in self.processes.values()):
            time.sleep(0.02)
        for process in self.processes.values():
            process.kill()
            process.wait()


def serve(site: Site, listener: socket.socket | None, web: int, scorers: int) -> None:
    """Host ``site`` until told to stop."""
    Server(site, listener, {WEB: web if listener is not None else 0, SCORE: scorers}).run()
