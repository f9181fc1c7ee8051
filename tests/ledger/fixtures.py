"""A migrated, empty ledger on each database, for the tests of ledger and worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ledger import migrate
from ledger.engine import make_engine


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a ledger; the test runs once for SQLite and once for Postgres."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Engine]:
    """On both databases: what they must do alike."""
    yield from _migrated(ledger_url)


@pytest.fixture
def postgres_ledger(postgres_url: str) -> Iterator[Engine]:
    """For what only Postgres has: partitions, several writers, error states."""
    yield from _migrated(postgres_url)


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> Iterator[Engine]:
    yield from _migrated(f"sqlite:///{tmp_path / 'ledger.db'}")


def _migrated(url: str) -> Iterator[Engine]:
    migrate.upgrade(url)
    engine = make_engine(url)
    yield engine
    engine.dispose()
