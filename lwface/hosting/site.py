"""What the processes of one hosted challenge agree on: where things are, and how much of everything there may be."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

MIB, GIB = 1024**2, 1024**3
VARIABLE = "LWFACE_HOSTING"  # environment of the processes: a database's password is not for the list of processes
AUTO, ALWAYS, NEVER = CAGES = ("auto", "always", "never")  # when scorings run in a cage


@dataclass(frozen=True)
class Site:
    """One hosted challenge.

    Attributes:
        challenge: folder of ``challenge.toml``.
        data: folder of uploads, and of the SQLite file.
        database: URL as SQLAlchemy takes it.
        url: what people type to come here, without a slash at its end.
        team_bytes: space of all files of a team.
        memory_bytes, seconds, file_bytes: of one scoring: memory, time on the clock, size of a file it may write.
        lease_s: a scoring process that does not report for so long is taken for dead.
        most_attempts: how often a submission is tried whose scoring processes were killed.
        cage: whether scorings run in one (:mod:`lwface.hosting.cage`).
        requests: log-ins and the like that an address or an account may try in a minute.
    """

    challenge: str
    data: str
    database: str
    url: str = "http://127.0.0.1:8000"
    team_bytes: int = 50 * GIB
    memory_bytes: int = 4 * GIB
    seconds: float = 1800.0
    file_bytes: int = 256 * MIB
    lease_s: float = 15.0
    most_attempts: int = 20
    requests: int = 30
    cage: bool = False

    @property
    def files(self) -> Path:
        """Where uploads lie."""
        return Path(self.data) / "files"

    @property
    def work(self) -> Path:
        """Where scorings have their folders."""
        return Path(self.data) / "work"

    def as_text(self) -> str:
        """For the environment of a process."""
        return json.dumps(asdict(self))


def site_of(text: str) -> Site:
    """The site of :meth:`Site.as_text`."""
    return Site(**json.loads(text))


def sqlite_url(data: Path) -> str:
    """The database where no other is named."""
    return f"sqlite:///{data.resolve() / 'challenge.sqlite3'}"
