"""Partitions ahead of time, and months that are past the retention dropped, while the worker runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, Engine, delete, func, select, update

from ledger import partitions
from ledger.engine import reading
from ledger.tables import hourly_usage, ledger_state, usage_dead_letters, usage_events, usage_receipts
from usage_worker.errors import WorkerError
from usage_worker.patience import patiently
from usage_worker.store import Store, lock_ledger, retained_from, translated_errors

_log = logging.getLogger(__name__)

_EVERY_SECONDS = 3600.0
_AHEAD = timedelta(days=1)  # of the newest event: as far as an event may be ahead of the clock
_RECEIPT_MARGIN = timedelta(days=2)  # an event may be a day in the worker's future; nothing of such a segment is left


class Upkeep:
    """What must be done now and then beside the loop."""

    def __init__(self, engine: Engine, store: Store, clock: Callable[[], datetime], months: int | None) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._months = months

    async def run(self, stop: asyncio.Event) -> None:
        """Once at the start, then every hour, until `stop` is set."""
        while not stop.is_set():
            try:
                await patiently(stop, lambda: None, self.turn)
            except WorkerError as error:
                _log.warning("upkeep waits for its next turn: %s", error)
            try:
                await asyncio.wait_for(stop.wait(), _EVERY_SECONDS)
            except TimeoutError:
                continue

    def turn(self) -> None:
        """Raises StoreUnavailable."""
        self._store.prepare()
        if self._months is None:
            return
        now = self._clock()
        trusted = _borne_out(self._engine, now)
        month = None if trusted is None else cutoff_month(trusted, self._months)
        if month != cutoff_month(now, self._months):
            _log.warning("retention goes by the newest event, which is much older than this machine's clock")
        if month is not None:
            drop_before(self._engine, month)


def _borne_out(engine: Engine, now: datetime) -> datetime | None:
    """The time as far as events bear it out; None without any. What is dropped never comes back, and a clock that is
    months ahead for a moment would make everything old."""
    with translated_errors(), reading(engine) as connection:
        newest: datetime | None = connection.scalar(select(func.max(usage_events.c.event_time)))
    return None if newest is None else min(now, newest + _AHEAD)


def cutoff_month(now: datetime, months: int) -> date:
    """The first month that is kept: `months` whole ones before the current."""
    month = partitions.month_of(now)
    index = month.year * 12 + month.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)


def drop_before(engine: Engine, month: date) -> None:
    """Drop events older than the month, for ever: what comes again is dead-lettered. Daily and monthly sums stay.

    First the promise not to take them back is committed, then they go; a crash in between is finished by the next turn.
    Raises StoreUnavailable.
    """
    cutoff = partitions.midnight(month)
    with translated_errors():
        with engine.begin() as connection:
            lock_ledger(connection, alone=True)
            there = retained_from(connection)
            if there is None or there < cutoff:
                connection.execute(update(ledger_state).values(retained_from=cutoff))
            else:
                cutoff = there
        if engine.dialect.name == "sqlite":
            _delete_by_day(engine, cutoff)
        for old in _old_partitions(engine, cutoff):
            with engine.begin() as connection:
                partitions.drop(connection, old)
            _log.info("dropped the events of %s: past the retention", f"{old:%Y-%m}")
        with engine.begin() as connection:
            _forget(connection, cutoff)


def _delete_by_day(engine: Engine, cutoff: datetime) -> None:
    """SQLite has one writer: a day at a time lets the worker's batches in between."""
    time = usage_events.c.event_time
    while True:
        with engine.begin() as connection:
            oldest = connection.scalar(select(func.min(time)))
            if oldest is None or oldest >= cutoff:
                return
            connection.execute(delete(usage_events).where(time < min(cutoff, oldest + timedelta(days=1))))


def _old_partitions(engine: Engine, cutoff: datetime) -> list[date]:
    with engine.connect() as connection:
        return [month for month in partitions.existing(connection) if partitions.midnight(month) < cutoff]


def _forget(connection: Connection, cutoff: datetime) -> None:
    """Bookkeeping of events that are gone."""
    letters, receipts = usage_dead_letters.c, usage_receipts.c
    connection.execute(delete(hourly_usage).where(hourly_usage.c.hour < cutoff))
    connection.execute(delete(usage_receipts).where(receipts.updated_at < cutoff - _RECEIPT_MARGIN))
    resolved = letters.resolution.is_not(None)
    connection.execute(delete(usage_dead_letters).where(letters.resolved_at < cutoff - _RECEIPT_MARGIN, resolved))
