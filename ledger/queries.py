"""Reads of the ledger for the gateway's routes and for export. Every function takes an engine and blocks: call it from
a thread. Money is whole pico-dollars, times are aware UTC.

All raise sqlalchemy.exc.SQLAlchemyError when the database cannot be read.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import Engine, Row, and_, func, or_, select

from ledger.engine import reading
from ledger.filters import UsageFilter, conditions
from ledger.summaries import totals
from ledger.tables import TOKEN_COLUMNS, daily_usage, from_us, to_us, usage_events, usage_receipts
from usage_contract.event import Caller, Receipt, Tokens, UsageEvent

_EVENT = usage_events.c

__all__ = [
    "UsageFilter",
    "UsagePage",
    "UsageRow",
    "each_event",
    "receipts",
    "recent_durations",
    "to_row",
    "usage_count",
    "usage_page",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """One row. `at` is the time inside `event.event_id`, by which rows are filtered and sorted."""

    at: datetime
    event: UsageEvent
    received_at: datetime

    @property
    def started_at(self) -> datetime:
        return from_us(self.event.started_us)


@dataclass(frozen=True, slots=True)
class UsagePage:
    """`next_cursor` is None when these were the last rows."""

    rows: tuple[UsageRow, ...]
    next_cursor: str | None


def usage_page(
    engine: Engine, wanted: UsageFilter, *, skip: int = 0, limit: int = 100, cursor: str | None = None
) -> UsagePage:
    """Rows, newest first. `cursor` is a page's `next_cursor`: it costs the same however far one has gone, `skip` does
    not. Raises ValueError for a cursor that is none."""
    query = select(usage_events).where(*conditions(wanted))
    if cursor is not None:
        at, event_id = _read_cursor(cursor)
        # Spelled out: SQLite and Postgres both take the range from the first term.
        query = query.where(
            _EVENT.event_time <= at,
            or_(_EVENT.event_time < at, and_(_EVENT.event_time == at, _EVENT.event_id < event_id)),
        )
    query = query.order_by(_EVENT.event_time.desc(), _EVENT.event_id.desc()).offset(skip).limit(limit + 1)
    with reading(engine) as connection:
        found = [to_row(row) for row in connection.execute(query)]
    rows = tuple(found[:limit])
    return UsagePage(rows, _cursor(rows[-1]) if len(found) > limit and rows else None)


def recent_durations(engine: Engine, user_id: str | None, most: int) -> dict[tuple[str, str], list[int]]:
    """By (provider, model): microseconds of the last successful attempts, at most `most` of each, ascending; of one
    user or of all. Looked for on the last day on which it was called and the day before, so that a model that nobody
    calls any more costs no look at all rows."""
    days = daily_usage.c
    last = select(days.provider, days.model, func.max(days.day)).group_by(days.provider, days.model)
    if user_id is not None:
        last = last.where(days.user_id == user_id)
    found = {}
    with reading(engine) as connection:
        for provider, model, day in connection.execute(last).all():
            start = datetime.combine(day, time(), UTC) - timedelta(days=1)
            wanted = UsageFilter(user_id=user_id, provider=provider, model=model, start=start)
            query = select(_EVENT.duration_us).where(*conditions(wanted), _EVENT.status == "success")
            query = query.order_by(_EVENT.event_time.desc()).limit(most)
            found[(provider, model)] = sorted(connection.execute(query).scalars())
    return found


def usage_count(engine: Engine, wanted: UsageFilter) -> int:
    """How many rows match; from rollups where these can tell."""
    return totals(engine, wanted).events


def each_event(engine: Engine, wanted: UsageFilter, *, batch: int = 2000) -> Iterator[UsageRow]:
    """All matching rows, oldest first, in one consistent view, without holding them all in memory."""
    query = select(usage_events).where(*conditions(wanted)).order_by(_EVENT.event_time, _EVENT.event_id)
    with reading(engine) as connection:
        for row in connection.execution_options(yield_per=batch).execute(query):
            yield to_row(row)


def receipts(engine: Engine, producer: str, *, first_segment: int = 0) -> list[Receipt]:
    """A producer's receipts from that segment on, ascending. A segment is safe once stored and dead-lettered events add
    up to its count (or more: an expired event that comes again is counted again)."""
    table = usage_receipts.c
    query = (
        select(table.segment, table.stored, table.dead_lettered)
        .where(table.producer == producer, table.segment >= first_segment)
        .order_by(table.segment)
    )
    with reading(engine) as connection:
        return [
            Receipt(producer=producer, segment=row.segment, stored=row.stored, dead_lettered=row.dead_lettered)
            for row in connection.execute(query)
        ]


_CALLER_FIELDS = ("key_id", "user_id", "session_id", "end_user")
_OWN_TYPE = ("caller", "tokens", "started_us", "dropped")
_SAME_FIELDS = tuple(spec.name for spec in fields(UsageEvent) if spec.name not in _OWN_TYPE)


def to_row(row: Row[Any]) -> UsageRow:
    """A row of `usage_events` (all columns) as the event that was stored."""
    there = row._mapping
    return UsageRow(
        at=there["event_time"],
        received_at=there["received_at"],
        event=UsageEvent(
            started_us=to_us(there["started_at"]),
            caller=Caller(**{name: there[name] for name in _CALLER_FIELDS}, tags=there["tags"] or {}),
            tokens=Tokens(**{name: there[column] for name, column in TOKEN_COLUMNS.items()}),
            dropped=tuple(there["dropped"] or ()),
            **{name: there[name] for name in _SAME_FIELDS},
        ),
    )


def _cursor(row: UsageRow) -> str:
    return base64.urlsafe_b64encode(f"{to_us(row.at)}.{row.event.event_id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        time, _, event_id = plain.partition(".")
        moment = from_us(int(time))
    except (binascii.Error, UnicodeError, ValueError, OverflowError):
        raise ValueError("not a cursor of this ledger") from None
    if len(event_id) != 36 or set(event_id) - set("0123456789abcdef-"):
        raise ValueError("not a cursor of this ledger")
    return moment, event_id
