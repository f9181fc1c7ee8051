"""What a rollup row means, as SQL over `usage_events`: for verifying, rebuilding and for what rollups cannot answer.

The worker adds the same measures up in Python as it inserts (`usage_worker.rollups`); `tollgate usage verify` compares.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Date, Table, case, func, literal_column, select
from sqlalchemy.sql.selectable import Select

from ledger.tables import MEASURES, ROLLUP_KEYS, TOKEN_COLUMNS, UtcTime, daily_usage, rollup_keys, usage_events

_EVENT = usage_events.c


def event_measures() -> list[ColumnElement[Any]]:
    """One expression for each of `ledger.tables.MEASURES`, to be grouped."""
    call = _EVENT.kind != "attempt"
    failed = call & _EVENT.status.in_(("error", "lost"))
    return [
        func.count().label("events"),
        _count_if(call).label("calls"),
        _count_if(failed).label("errors"),
        _count_if(_EVENT.estimated.is_(True)).label("estimated"),
        _count_if(_EVENT.cost_pico.is_(None)).label("unpriced"),
        *(func.coalesce(func.sum(_EVENT[name]), 0).label(name) for name in TOKEN_COLUMNS.values()),
        func.coalesce(func.sum(_EVENT.duration_us), 0).label("duration_us"),
        func.coalesce(func.sum(_EVENT.cost_pico), 0).label("cost_pico"),
    ]


def rollup_measures(table: Table) -> list[ColumnElement[Any]]:
    """The same, from a rollup table."""
    return [func.coalesce(func.sum(table.c[name]), 0).label(name) for name in MEASURES]


def event_column(key: str) -> ColumnElement[Any]:
    """The column of `usage_events` behind what sums are grouped by."""
    return _EVENT["model_used" if key == "model" else key]


def hour_of(connection: Connection) -> ColumnElement[Any]:
    """The UTC hour of an event."""
    if connection.dialect.name == "sqlite":
        return literal_column("event_time - event_time % 3600000000", UtcTime())
    return literal_column("date_trunc('hour', event_time, 'UTC')", UtcTime())


def day_of(connection: Connection) -> ColumnElement[Any]:
    """The UTC day of an event."""
    if connection.dialect.name == "sqlite":
        return literal_column("date(event_time / 1000000, 'unixepoch')", Date())
    return literal_column("CAST(event_time AT TIME ZONE 'UTC' AS date)", Date())


def month_of_day(connection: Connection) -> ColumnElement[Any]:
    """The month of a row of `daily_usage`."""
    if connection.dialect.name == "sqlite":
        return literal_column("substr(day, 1, 8) || '01'", Date())
    return literal_column("CAST(date_trunc('month', day) AS date)", Date())


def events_by(period: ColumnElement[Any], table: Table, *where: ColumnElement[bool]) -> Select[Any]:
    """Rows as that rollup table holds them, straight from the events; '' for no user and no key."""
    columns = [event_column(key) for key in rollup_keys(table)]
    keys = [func.coalesce(column, "").label(key) for column, key in zip(columns, rollup_keys(table), strict=True)]
    query = select(period.label(table.columns[0].name), *keys, *event_measures()).where(*where)
    return query.group_by(period, *columns)


def days_by_month(connection: Connection, *where: ColumnElement[bool]) -> Select[Any]:
    """Rows as `monthly_usage` holds them, from the days."""
    month, keys = month_of_day(connection), [daily_usage.c[key] for key in ROLLUP_KEYS]
    query = select(month.label("month"), *keys, *rollup_measures(daily_usage)).where(*where)
    return query.group_by(month, *keys)


def _count_if(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
