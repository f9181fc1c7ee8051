"""Monthly partitions of `usage_events` on Postgres. On SQLite there are none and every function here is a no-op.

There is no default partition: the worker makes a month's partition before it inserts into it, so a later one never has
to scan rows that landed in the wrong place. A new partition is made beside the table and then attached, which lets
inserts and queries go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime

from sqlalchemy import Connection, text

_LOCK = 7_061_640_104  # one maker or dropper of partitions at a time
_PREFIX = "usage_events_y"


def month_of(moment: datetime) -> date:
    """The first day of the UTC month."""
    moment = moment.astimezone(UTC)
    return date(moment.year, moment.month, 1)


def next_month(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def midnight(day: date) -> datetime:
    """The UTC start of a day, aware."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def existing(connection: Connection) -> dict[date, str]:
    """Month and table name of each partition, ascending."""
    if connection.dialect.name == "sqlite":
        return {}
    names = connection.scalars(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = to_regclass('usage_events')"
        )
    )
    return {_month(name): name for name in sorted(names)}


def ensure(connection: Connection, months: Iterable[date]) -> None:
    """Make the partitions that are missing, in the connection's transaction. Safe when several workers do so."""
    if connection.dialect.name == "sqlite":
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    there = existing(connection)
    for month in sorted(set(months) - set(there)):
        name = _name(month)
        # Not CREATE TABLE ... PARTITION OF: that would lock out readers and writers of the whole table.
        connection.execute(text(f"CREATE TABLE {name} (LIKE usage_events INCLUDING ALL)"))
        bounds = f"FROM ('{midnight(month).isoformat()}') TO ('{midnight(next_month(month)).isoformat()}')"
        connection.execute(text(f"ALTER TABLE usage_events ATTACH PARTITION {name} FOR VALUES {bounds}"))


def drop(connection: Connection, month: date) -> None:
    """Drop one partition with all its rows. Raises OperationalError when queries that read it take longer than 5 s."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    connection.execute(text(f"DROP TABLE IF EXISTS {_name(month)}"))


def _name(month: date) -> str:
    return f"{_PREFIX}{month.year:04d}m{month.month:02d}"


def _month(name: str) -> date:
    year, _, month = name.removeprefix(_PREFIX).partition("m")
    return date(int(year), int(month), 1)
