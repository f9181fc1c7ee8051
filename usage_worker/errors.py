"""What can go wrong, by what the worker does about it.

WorkerError
├── StoreUnavailable   the database is away or busy: wait, keep everything, acknowledge nothing
├── SourceUnavailable  Redis is away: wait
├── Refused            the database will never take these rows: halve the batch until one is left, dead-letter that one
└── TooManyDeadLetters stop loudly: more likely a bad deploy than that many bad events
InvalidEvent (usage_contract) is not here: an entry that does not decode becomes a dead letter without being raised.
"""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_LIMIT_EXCEEDED = "54"  # program_limit_exceeded: an index row too large, for example; repeating cannot help
_READ_ONLY = "25006"  # a failover left us on a standby

_SQLITE_LOGIC = "SQLITE_ERROR"  # SQLite's OperationalError for a missing table or wrong SQL


class WorkerError(Exception):
    """The root."""


class StoreUnavailable(WorkerError):
    """The text is safe to log: it holds a class name and an SQLSTATE, never a row's content."""


class SourceUnavailable(WorkerError):
    """The text is safe to log."""


class Refused(WorkerError):
    """The text is safe to log and to keep as a dead letter's reason."""


class TooManyDeadLetters(WorkerError):
    """Nothing of the batch was stored or acknowledged."""


DATABASE_ERRORS = (DBAPIError, PoolTimeout, OverflowError)


def from_database(error: Exception) -> WorkerError | None:
    """One of DATABASE_ERRORS as what to do about it; None: neither waiting nor halving helps (a missing table)."""
    if isinstance(error, PoolTimeout):
        return StoreUnavailable("no free database connection")
    if isinstance(error, OverflowError):  # sqlite3, for an integer over 64 bits
        return Refused("an amount is outside 64 bits")
    if not isinstance(error, DBAPIError):
        return None
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None) or ""
    name = f"{type(error.orig).__name__} {state}".strip()
    if isinstance(error, DataError | IntegrityError) or state.startswith(_LIMIT_EXCEEDED):
        return Refused(f"the database refused it: {name}")
    if state == _SQLITE_LOGIC:
        return None
    if isinstance(error, OperationalError | InterfaceError) or state == _READ_ONLY or error.connection_invalidated:
        return StoreUnavailable(f"the database is not available: {name}")
    return None
