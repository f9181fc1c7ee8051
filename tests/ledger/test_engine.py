"""Engines: the settings that keep SQLite exact, the driver for Postgres, and readers that neither block nor write."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from ledger.engine import make_engine, reading


def _pragma(engine: Engine, name: str) -> object:
    with reading(engine) as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar()


def test_sqlite_is_safe_against_crashes_and_other_processes(sqlite_ledger: Engine) -> None:
    assert _pragma(sqlite_ledger, "journal_mode") == "wal"
    assert _pragma(sqlite_ledger, "synchronous") == 2  # FULL
    assert _pragma(sqlite_ledger, "foreign_keys") == 1
    assert _pragma(sqlite_ledger, "busy_timeout") == 5000


def test_foreign_keys_are_enforced_on_sqlite(sqlite_ledger: Engine) -> None:
    with sqlite_ledger.begin() as connection:
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        connection.execute(text("CREATE TABLE child (id INTEGER REFERENCES parent (id))"))
    with pytest.raises(IntegrityError), sqlite_ledger.begin() as connection:
        connection.execute(text("INSERT INTO child VALUES (1)"))


def test_two_writers_wait_for_each_other_instead_of_failing(sqlite_ledger: Engine) -> None:
    """Read, then write: with a deferred transaction the second would fail, its view being stale."""
    with sqlite_ledger.begin() as connection:
        connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))

    def count() -> None:
        for _ in range(20):
            with sqlite_ledger.begin() as connection:
                n = connection.execute(text("SELECT n FROM counter")).scalar_one()
                connection.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(sqlite_ledger) as connection:
        assert connection.execute(text("SELECT n FROM counter")).scalar_one() == 60


def test_a_reader_sees_one_moment_and_lets_writers_go_on(ledger: Engine) -> None:
    with ledger.begin() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    with reading(ledger) as reader:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
        with ledger.begin() as writer:
            writer.execute(text("INSERT INTO t VALUES (1)"))
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
    with reading(ledger) as reader:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 1


def test_what_a_reader_writes_is_gone(ledger: Engine) -> None:
    with ledger.begin() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    with reading(ledger) as reader:
        try:
            reader.execute(text("INSERT INTO t VALUES (1)"))
        except DBAPIError:
            assert ledger.dialect.name == "postgresql"
    with reading(ledger) as reader:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_spelling_of_postgres_means_psycopg_3(postgres_url: str, scheme: str) -> None:
    engine = make_engine(postgres_url.replace("postgresql", scheme, 1))
    assert engine.dialect.driver == "psycopg"
    with reading(engine) as connection:
        assert connection.execute(text("SHOW application_name")).scalar() == "tollgate"
    engine.dispose()


def test_a_url_may_carry_options_of_its_own(postgres_url: str) -> None:
    engine = make_engine(f"{postgres_url}?application_name=mine")
    with reading(engine) as connection:
        assert connection.execute(text("SHOW application_name")).scalar() == "mine"
    engine.dispose()


def test_another_database_is_refused_without_repeating_the_password() -> None:
    with pytest.raises(ValueError, match="must begin with sqlite:/// or postgresql://, not mysql:") as caught:
        make_engine("mysql://user:hunter2@host/db")
    assert "hunter2" not in str(caught.value)


def test_no_connection_is_made_before_it_is_needed(tmp_path: Path) -> None:
    make_engine(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []
