"""Proves that the ledger agrees with itself: events = rollups, and receipts = events and dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, case, func, literal, or_, select, union_all
from sqlalchemy.sql.selectable import Select

from ledger.engine import reading
from ledger.sums import day_of, days_by_month, events_by, hour_of
from ledger.tables import (
    MEASURES,
    daily_usage,
    hourly_totals,
    hourly_usage,
    monthly_usage,
    rollup_keys,
    usage_dead_letters,
    usage_events,
    usage_receipts,
)
from usage_worker.store import retained_from

MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Difference:
    """`what` disagrees at `where`; `amounts` are rollup minus events, or receipt minus stored."""

    what: str
    where: str
    amounts: dict[str, int]

    def __str__(self) -> str:
        amounts = ", ".join(f"{name} {amount:+d}" for name, amount in self.amounts.items())
        return f"{self.what} [{self.where}]: {amounts}"


def verify(engine: Engine) -> list[Difference]:
    """At most MOST_SHOWN differences of each kind; empty: all of it adds up. Reads all of it in one consistent view.

    What the retention dropped is compared no more: days before it only with their months.
    """
    with reading(engine) as connection:
        cutoff = retained_from(connection)
        return [*_rollups(connection, cutoff), *_receipts(connection, cutoff)]


def _rollups(connection: Connection, cutoff: datetime | None) -> list[Difference]:
    kept = [] if cutoff is None else [usage_events.c.event_time >= cutoff]
    hours = [] if cutoff is None else [hourly_usage.c.hour >= cutoff]
    days = [] if cutoff is None else [daily_usage.c.day >= cutoff.date()]
    totals = [] if cutoff is None else [hourly_totals.c.hour >= cutoff]
    hour, day = hour_of(connection), day_of(connection)
    return [
        *_compare(connection, hourly_usage, hours, events_by(hour, hourly_usage, *kept)),
        *_compare(connection, hourly_totals, totals, events_by(hour, hourly_totals, *kept)),
        *_compare(connection, daily_usage, days, events_by(day, daily_usage, *kept)),
        *_compare(connection, monthly_usage, [], days_by_month(connection)),
    ]


def _compare(
    connection: Connection, table: Table, kept: list[ColumnElement[bool]], truth: Select[Any]
) -> list[Difference]:
    """Rows of the rollup (those that `kept` names) count up, those of `truth` down; what is not zero then disagrees."""
    keys = (table.columns[0].name, *rollup_keys(table))
    up, down = select(table).where(*kept).subquery(), truth.subquery()
    both = union_all(
        select(*(up.c[key] for key in keys), *(up.c[name] for name in MEASURES)),
        select(*(down.c[key] for key in keys), *((-down.c[name]).label(name) for name in MEASURES)),
    ).subquery()
    sums = [func.sum(both.c[name]).label(name) for name in MEASURES]
    query = select(*(both.c[key] for key in keys), *sums).group_by(*(both.c[key] for key in keys))
    wrong = query.having(or_(*(each != 0 for each in sums))).order_by(*(both.c[key] for key in keys)).limit(MOST_SHOWN)
    return [_difference(table.name, keys, row._mapping) for row in connection.execute(wrong)]


def _difference(name: str, keys: tuple[str, ...], row: Any) -> Difference:
    where = " ".join(f"{key}={row[key]}" for key in keys)
    return Difference(name, where, {measure: int(row[measure]) for measure in MEASURES if row[measure]})


def _receipts(connection: Connection, cutoff: datetime | None) -> list[Difference]:
    """Receipts against stored events and counted letters. One that lost events to the retention may state more."""
    event, letter, receipt = usage_events.c, usage_dead_letters.c, usage_receipts.c
    # Whether the retention cannot have taken any event of the segment.
    whole = literal(1) if cutoff is None else case((receipt.first_event_at < cutoff, 0), else_=1)
    counted = case((letter.resolution == "stored", 0), else_=1)
    parts = union_all(
        select(receipt.producer, receipt.segment, receipt.stored, receipt.dead_lettered, whole.label("whole")),
        select(event.producer, event.segment, -func.count(), literal(0), literal(0)).group_by(
            event.producer, event.segment
        ),
        select(letter.producer, letter.segment, literal(0), -func.sum(counted), literal(0))
        .where(letter.counted.is_(True))
        .group_by(letter.producer, letter.segment),
    ).subquery()
    stored, dead = func.sum(parts.c.stored).label("stored"), func.sum(parts.c.dead_lettered).label("dead_lettered")
    query = select(parts.c.producer, parts.c.segment, stored, dead).group_by(parts.c.producer, parts.c.segment)
    wrong = query.having(or_(stored < 0, dead != 0, (func.max(parts.c.whole) == 1) & (stored != 0)))
    rows = connection.execute(wrong.order_by(parts.c.producer, parts.c.segment).limit(MOST_SHOWN))
    return [
        Difference(
            "usage_receipts",
            f"{row.producer}/{row.segment}",
            {"stored": int(row.stored), "dead_lettered": int(row.dead_lettered)},
        )
        for row in rows
    ]
