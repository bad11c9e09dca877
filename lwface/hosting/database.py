"""The database of a hosted challenge: SQLite in one file, or PostgreSQL by its URL. It holds the queue too.

A writing transaction of SQLite begins as a writer (``BEGIN IMMEDIATE``): one that begins as a reader and writes later
is refused when another has written meanwhile. In PostgreSQL, rows are locked where it matters (``FOR UPDATE``).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from sqlalchemy import create_engine, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from lwface.base.errors import UserError
from lwface.hosting.tables import SettingRow, Table

BUSY_S = 60  # how long a writer of SQLite waits for the one before it
SECRET = "secret"  # setting: of this server, for what nobody may foresee
CONNECTIONS = 20  # of a process at rest, twice so many at most: as many as its threads
ALONE = 7_113_021  # any number: of PostgreSQL's lock for what one process does at a time


class Database:
    """The engine of one process, and its transactions.

    Raises:
        UserError: the URL is none, or nothing answers there.
    """

    def __init__(self, url: str) -> None:
        try:
            self.address = make_url(url)
            alive = not self.is_sqlite  # look whether a server is still there before a connection to it is used
            self.engine = create_engine(url, pool_size=CONNECTIONS, max_overflow=CONNECTIONS, pool_pre_ping=alive)
        except (ArgumentError, ImportError) as error:
            raise UserError(f"--database: {error}; expected such as postgresql+pg8000://user@host/name") from None
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file."""
        return self.address.get_backend_name() == "sqlite"

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that changes nothing."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is kept whole when the block ends, and dropped whole on an error."""
        with Session(self.engine.execution_options(writes=True), expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def alone(self) -> Iterator[Session]:
        """:meth:`writing`, while no other process is in such a block."""
        with self.writing() as session:
            if not self.is_sqlite:
                session.execute(select(func.pg_advisory_xact_lock(ALONE)))
            yield session

    def create_tables(self) -> None:
        """Make the tables that are missing; any number of processes may do so at once."""
        try:
            with self.alone() as session:
                Table.metadata.create_all(session.connection())
        except (OperationalError, InterfaceError) as error:
            first = str(error.orig).splitlines()[0]
            raise UserError(f"--database {self.address.render_as_string()}: {first}") from None

    def close(self) -> None:
        """Let go of its connections."""
        self.engine.dispose()


def now(session: Session) -> float:
    """Seconds since 1970 by the clock of the database: one clock for all machines that share it."""
    sqlite = session.get_bind().dialect.name == "sqlite"
    clock = "(julianday('now') - 2440587.5) * 86400.0" if sqlite else "extract(epoch from clock_timestamp())"
    return float(session.execute(text(f"select {clock}")).scalar_one())


def setting(session: Session, key: str, default: str = "") -> str:
    """What the organiser has set, or ``default``."""
    row = session.get(SettingRow, key)
    return default if row is None else row.value


def change_setting(session: Session, key: str, value: str) -> None:
    """Set it."""
    session.merge(SettingRow(key=key, value=value))


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # begin when told, not by guess
    for pragma in (f"busy_timeout={BUSY_S * 1000}", "journal_mode=wal", "synchronous=full", "foreign_keys=on"):
        connection.execute(f"pragma {pragma}")


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("begin immediate" if writes else "begin")
