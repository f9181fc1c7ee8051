"""Accounts over SQLite and over Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.accounts.migrate import ACCOUNTS
from ledger.engine import make_engine


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A migrated accounts database of the test's own."""
    url = f"sqlite:///{tmp_path}/accounts.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    ACCOUNTS.upgrade(url)
    engine = make_engine(url)
    yield engine
    engine.dispose()
