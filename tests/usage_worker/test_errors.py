"""Which failures mean wait, which mean halve, and which are nobody's to mend."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tests.usage_worker.events import rows_of, store_of, usage_event
from usage_worker.decode import COLUMNS
from usage_worker.errors import Refused, StoreUnavailable, from_database


def _sqlite(kind: type[sqlite3.Error], name: str) -> DBAPIError:
    original = kind("row content that must not be told")
    original.sqlite_errorname = name
    error = DBAPIError.instance("INSERT", None, original, sqlite3.Error)
    assert isinstance(error, DBAPIError)
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PoolTimeout(), StoreUnavailable),
        (OverflowError(), Refused),
        (ValueError(), type(None)),
        (ProgrammingError("SELECT", None, Exception()), type(None)),
        (_sqlite(sqlite3.OperationalError, "SQLITE_BUSY"), StoreUnavailable),
        (_sqlite(sqlite3.OperationalError, "SQLITE_FULL"), StoreUnavailable),
        (_sqlite(sqlite3.OperationalError, "SQLITE_READONLY"), StoreUnavailable),
        (_sqlite(sqlite3.OperationalError, "SQLITE_ERROR"), type(None)),
        (_sqlite(sqlite3.IntegrityError, "SQLITE_CONSTRAINT_CHECK"), Refused),
    ],
    ids=range(9),
)
def test_each_error_by_what_the_worker_does_about_it(error: Exception, kind: type) -> None:
    ours = from_database(error)
    assert type(ours) is kind
    assert "content" not in str(ours)


def test_what_copy_refuses_is_refused(postgres_ledger: Engine) -> None:
    """Decoding lets nothing through that the columns do not hold; should it ever, the row is found by halving."""
    row = rows_of([usage_event(1)])[0]
    values = list(row.values)
    values[COLUMNS.index("input_tokens")] = 2**40
    with pytest.raises(Refused, match="22003"):
        store_of(postgres_ledger).save([row._replace(values=tuple(values))], [])
