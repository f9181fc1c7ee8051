"""Database engines: SQLite with the settings that keep it exact under several processes, or Postgres by psycopg 3.

SQLite runs in WAL with `synchronous=FULL`: a commit that was announced (a receipt, on which a spool segment is deleted)
must survive a crash of the operating system. A transaction begins with BEGIN IMMEDIATE, so two writers wait for each
other (up to the busy timeout) instead of failing half way; `reading` is the way to read without taking that lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_MS = 5_000
_READ_ONLY = "tollgate_read_only"
# A Postgres that vanished without a word (no RST) is noticed after 30 s; one that is only paused acknowledges still.
_POSTGRES_ARGS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "tcp_user_timeout": 30_000,
    "application_name": "tollgate",
}


def make_engine(url: str, *, pool_size: int = 5) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://...` (driver psycopg 3). Connects at first use, not here.

    Raises ValueError for any other kind of URL; the text never repeats the URL, which may hold a password.
    """
    parsed = make_url(url)
    backend = parsed.drivername.partition("+")[0]
    if backend == "sqlite":
        return _sqlite(url)
    if backend in ("postgresql", "postgres"):
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            pool_pre_ping=True,
            connect_args={**_POSTGRES_ARGS, **parsed.query},
        )
    raise ValueError(f"a database URL must begin with sqlite:/// or postgresql://, not {backend}:")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection with one consistent view over all its statements, which takes no write lock and may not write."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        else:
            options = {_READ_ONLY: True}
        yield connection.execution_options(**options)


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine, "connect")
    def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        assert isinstance(connection, sqlite3.Connection)  # noqa: S101
        # Python's own transaction control would begin late and deferred; `_begin` does it instead.
        connection.isolation_level = None
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get(_READ_ONLY)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
