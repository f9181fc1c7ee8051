"""What some rows have cost, and which events are among them: both in one view of the database."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from sqlalchemy import Connection, Engine, select

from ledger.engine import reading
from ledger.filters import UsageFilter
from ledger.summaries import totals_on
from ledger.tables import from_us, usage_events
from ledger.uuid7 import event_time_us

_EVENT = usage_events.c
_IDS_AT_ONCE: Final = 500
_MOST_MS: Final = 30_000  # a call waits for the answer, and a lock that is never given back must not keep the thread


def spent(engine: Engine, wanted: UsageFilter, events: Callable[[], Collection[str]]) -> tuple[int, set[str]]:
    """Pico-dollars of the rows, and those of `events` that are stored. `events` is called after the sum was taken, in
    its view: what settles meanwhile is told as not stored, and is not in the sum either."""
    with reading(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_MOST_MS}")
        cost = totals_on(connection, wanted).cost_pico
        return cost, _stored(connection, events())


def _stored(connection: Connection, events: Collection[str]) -> set[str]:
    found: set[str] = set()
    wanted = sorted(events)
    for at in range(0, len(wanted), _IDS_AT_ONCE):
        ids = wanted[at : at + _IDS_AT_ONCE]
        times = {from_us(event_time_us(event_id)) for event_id in ids}
        # By time alone: with a second list Postgres may try every combination of the two.
        query = select(_EVENT.event_id).where(_EVENT.event_time.in_(times))
        found.update(set(connection.scalars(query)).intersection(ids))
    return found
