"""Makes rollups from the events again, for days whose sums cannot be trusted."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, func, insert, select
from sqlalchemy.sql.selectable import Select

from ledger.partitions import midnight, next_month
from ledger.sums import day_of, days_by_month, events_by, hour_of
from ledger.tables import daily_usage, hourly_totals, hourly_usage, monthly_usage, usage_events
from usage_worker.store import lock_ledger, retained_from, translated_errors


class CannotRebuild(ValueError):
    """The events of those days are gone, so their sums are all that is left of them."""


def rebuild(engine: Engine, start: date | None = None, end: date | None = None) -> tuple[date, date] | None:
    """Rewrite hours and days from `start` (inclusive) to `end` (exclusive), and their months, in one transaction that
    keeps workers waiting. Without bounds: all that has events. Returns the days, None when there is nothing.

    Raises CannotRebuild for days past the retention, StoreUnavailable.
    """
    with translated_errors(), engine.begin() as connection:
        lock_ledger(connection, alone=True)
        span = _span(connection, start, end)
        if span is not None:
            _rebuild_days(connection, *span)
            _rebuild_months(connection, *span)
        return span


def _span(connection: Connection, start: date | None, end: date | None) -> tuple[date, date] | None:
    cutoff = retained_from(connection)
    if start is not None and cutoff is not None and start < cutoff.date():
        raise CannotRebuild(
            f"events before {cutoff.date()} were dropped by the retention; their sums cannot be made anew"
        )
    days, time = daily_usage.c.day, usage_events.c.event_time
    known = days >= cutoff.date() if cutoff is not None else days.is_not(None)
    first_day, last_day = connection.execute(select(func.min(days), func.max(days)).where(known)).one()
    first, last = connection.execute(select(func.min(time), func.max(time))).one()
    firsts = [day for day in (first_day, first.date() if first else None) if day is not None]
    lasts = [day for day in (last_day, last.date() if last else None) if day is not None]
    if not firsts:
        return None
    begin, after = start or min(firsts), end or max(lasts) + timedelta(days=1)
    return (begin, after) if begin < after else None


def _rebuild_days(connection: Connection, start: date, end: date) -> None:
    within = (usage_events.c.event_time >= midnight(start), usage_events.c.event_time < midnight(end))
    for table in (hourly_usage, hourly_totals):
        hour = table.c.hour
        connection.execute(delete(table).where(hour >= midnight(start), hour < midnight(end)))
        _insert(connection, table, events_by(hour_of(connection), table, *within))
    day = daily_usage.c.day
    connection.execute(delete(daily_usage).where(day >= start, day < end))
    _insert(connection, daily_usage, events_by(day_of(connection), daily_usage, *within))


def _rebuild_months(connection: Connection, start: date, end: date) -> None:
    first, after = start.replace(day=1), next_month((end - timedelta(days=1)).replace(day=1))
    month, day = monthly_usage.c.month, daily_usage.c.day
    connection.execute(delete(monthly_usage).where(month >= first, month < after))
    _insert(connection, monthly_usage, days_by_month(connection, day >= first, day < after))


def _insert(connection: Connection, table: Table, rows: Select[Any]) -> None:
    connection.execute(insert(table).from_select([column.name for column in table.columns], rows))
