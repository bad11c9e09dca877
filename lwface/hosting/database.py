"""The database of a hosted challenge: SQLite in one file, or PostgreSQL by its URL. It holds the queue too.

A writing transaction of SQLite begins as a writer (``BEGIN IMMEDIATE``): one that begins as a reader and writes later
is refused when another has written meanwhile. In PostgreSQL, rows are locked where it matters (``FOR UPDATE``), and
what only reads has connections of its own without transactions: at its level of isolation (read committed) each
statement sees what is there when it begins anyway, so ``BEGIN`` and ``ROLLBACK`` would be two trips for nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, create_engine, event, func, literal_column, make_url, select
from sqlalchemy.exc import ArgumentError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.orm import Session

from lwface.base.errors import UserError
from lwface.hosting.tables import SettingRow, Table

BUSY_S = 60  # how long a writer of SQLite waits for the one before it
SECRET = "secret"  # setting: of this server, for what nobody may foresee
CONNECTIONS = 20  # of a process at rest, twice so many at most: as many as its threads
WRITERS = 5  # of these, where what reads has connections of its own
TRUSTED_S = 1.0  # a connection that was used so lately is not tried before it is used again
ALONE = 7_113_021  # any number: of PostgreSQL's lock for what one process does at a time


class Database:
    """The engine of one process, and its transactions.

    Raises:
        UserError: the URL is none, or nothing answers there.
    """

    def __init__(self, url: str) -> None:
        try:
            self.address = make_url(url)
            size = CONNECTIONS if self.is_sqlite else WRITERS
            self.engine = create_engine(url, pool_size=size, max_overflow=2 * CONNECTIONS - size)
        except (ArgumentError, ImportError) as error:
            raise UserError(f"--database: {error}; expected such as postgresql+pg8000://user@host/name") from None
        self.reader = self.engine
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
            return
        size = CONNECTIONS - WRITERS
        self.reader = create_engine(
            url, pool_size=size, max_overflow=2 * CONNECTIONS - size, isolation_level="AUTOCOMMIT"
        )
        for engine in (self.engine, self.reader):
            _try_after_rest(engine)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file."""
        return self.address.get_backend_name() == "sqlite"

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that changes nothing."""
        with Session(self.reader, expire_on_commit=False) as session:
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
        self.reader.dispose()


def now(session: Session) -> float:
    """Seconds since 1970 by the clock of the database: one clock for all machines that share it."""
    return float(session.execute(select(clock(session))).scalar_one())


def clock(session: Session) -> ColumnElement[float]:
    """The same, for a statement that needs it: one trip instead of two."""
    sqlite = session.get_bind().dialect.name == "sqlite"
    words = "(julianday('now') - 2440587.5) * 86400.0" if sqlite else "extract(epoch from clock_timestamp())::float8"
    return literal_column(words)


class Standing(NamedTuple):
    """What the organiser has set, by key, and the time by the database's clock."""

    settings: dict[str, str]
    moment: float


def standing(session: Session) -> Standing:
    """All settings and the time in one statement; there is a setting from the start (:data:`SECRET`)."""
    rows = session.execute(select(SettingRow.key, SettingRow.value, clock(session))).all()
    return Standing({key: value for key, value, _ in rows}, float(rows[0][2]) if rows else now(session))


def setting(session: Session, key: str, default: str = "") -> str:
    """What the organiser has set, or ``default``."""
    row = session.get(SettingRow, key)
    return default if row is None else row.value


def change_setting(session: Session, key: str, value: str) -> None:
    """Set it."""
    session.merge(SettingRow(key=key, value=value))


def _try_after_rest(engine: Engine) -> None:
    """Look whether a server is still there before a connection that was idle is used; it is made anew where not.

    SQLAlchemy's own way (``pool_pre_ping``) looks every time, which is another trip for each.
    """

    @event.listens_for(engine, "checkin")
    def _(_connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used", time.monotonic()) < TRUSTED_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except (engine.dialect.loaded_dbapi.Error, OSError):
            raise InvalidatePoolError from None


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # begin when told, not by guess
    for pragma in (f"busy_timeout={BUSY_S * 1000}", "journal_mode=wal", "synchronous=full", "foreign_keys=on"):
        connection.execute(f"pragma {pragma}")


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("begin immediate" if writes else "begin")
