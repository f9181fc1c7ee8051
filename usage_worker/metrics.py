"""What the worker says about itself to Prometheus, and whether it is alive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ledger.tables import from_us
from usage_worker.decode import Row
from usage_worker.store import Saved

STALLED_AFTER = timedelta(seconds=60)


class Meters:
    """Meters of one worker, in a registry of its own so that two workers can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "tollgate_usage_worker"
        self._stored = Counter(f"{name}_events_stored", "Events stored for the first time", registry=self.registry)
        self._duplicates = Counter(f"{name}_duplicates", "Entries that were stored before", registry=self.registry)
        self._letters = Counter(f"{name}_dead_letters", "New dead letters", registry=self.registry)
        self._waits = Counter(
            f"{name}_waits", "Turns that waited, by what was away", ["reason"], registry=self.registry
        )
        self._batch = Histogram(
            f"{name}_batch_events",
            "Rows in a batch",
            buckets=(1, 10, 100, 500, 1000, 2000, 5000),
            registry=self.registry,
        )
        self._commit = Histogram(f"{name}_commit_seconds", "Time of a batch's transaction", registry=self.registry)
        self._lag = Gauge(f"{name}_lag_seconds", "Age of the newest event in hand or stored", registry=self.registry)
        self._backlog = Gauge(f"{name}_lag_entries", "Entries that wait in the stream", registry=self.registry)
        self._now: datetime | None = None
        self._in_hand: datetime | None = None  # time of the newest event that is not stored yet
        self.waiting_for: str | None = None

    def turn(self, now: datetime) -> None:
        """The loop is alive."""
        self._now = now
        if self._in_hand is not None:
            self._lag.set(max(0.0, (now - self._in_hand).total_seconds()))

    def took(self, rows: Sequence[Row]) -> None:
        """These are to be stored: while they cannot be, the lag grows."""
        if rows:
            self._in_hand = from_us(max(row.event_time for row in rows))

    def idle(self) -> None:
        self.waiting_for = None
        self._lag.set(0)

    def waiting(self, reason: str) -> None:
        self.waiting_for = reason
        self._waits.labels(reason).inc()

    def backlog(self, entries: int) -> None:
        self._backlog.set(entries)

    def saved(self, saved: Saved, seconds: float, rows: Sequence[Row]) -> None:
        self.waiting_for = None
        self._in_hand = None
        self._stored.inc(saved.stored)
        self._duplicates.inc(saved.duplicates)
        self._letters.inc(saved.dead_lettered)
        self._batch.observe(len(rows))
        self._commit.observe(seconds)
        if rows and self._now is not None:
            newest = from_us(max(row.event_time for row in rows))
            self._lag.set(max(0.0, (self._now - newest).total_seconds()))

    def alive(self, now: datetime) -> bool:
        """Whether the loop turned lately. A worker that waits for its database turns, so restarting it is no help."""
        return self._now is not None and now - self._now < STALLED_AFTER
