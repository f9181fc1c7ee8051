"""Usage events for tests: sound ones, varied by a number."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from ledger.queries import UsageFilter, each_event, receipts
from usage_contract.codec import encode
from usage_contract.event import Caller, Tokens, UsageEvent
from usage_worker.decode import Row, decode
from usage_worker.entries import Entry
from usage_worker.store import Saved, Store
from usage_worker.verify import verify

PRODUCER = "0193b7a0-0000-7000-8000-00000000000a"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def event_id(at: datetime, number: int) -> str:
    """A UUIDv7 of that time; the number makes it unique, and the same call gives the same id."""
    head = f"{int(at.timestamp() * 1000):012x}"
    tail = f"{random.Random(number).getrandbits(76):019x}"
    return f"{head[:8]}-{head[8:]}-7{tail[:3]}-8{tail[3:6]}-{tail[6:18]}"


def usage_event(number: int = 0, at: datetime = NOON, **changes: Any) -> UsageEvent:
    """An event whose fields follow from the number; `changes` replace any of them."""
    values: dict[str, Any] = {
        "event_id": event_id(at, number),
        "request_id": f"req-{number}",
        "kind": "final",
        "producer": PRODUCER,
        "segment": number // 100 + 1,
        "started_us": int(at.timestamp() * 1_000_000) + 123,
        "caller": Caller(user_id=f"user-{number % 3}", key_id=f"key-{number % 5}", session_id=f"session-{number % 7}"),
        "surface": "/v1/chat/completions",
        "provider": "openai",
        "model_asked": "gpt-4o-mini",
        "model_used": f"gpt-4o-mini-{number % 2}",
        "http_status": 200,
        "tokens": Tokens(input=10 + number, output=5, cache_read=number % 4),
        "cost_pico": 1_500_000 + number,
        "price": {"input": "0.15", "output": "0.6"},
        "duration_us": 250_000,
    }
    return UsageEvent(**(values | changes))


def entry_of(event: UsageEvent, token: Any = None) -> Entry:
    """The event as a source delivers it."""
    return Entry(token, encode(event), event.producer, event.segment)


def future(number: int = 0, at: datetime = NOON, **changes: Any) -> Entry:
    """An event of a schema version that nobody here knows."""
    entry = entry_of(usage_event(number, at, **changes))
    return entry._replace(payload=entry.payload.replace(b'"schema_version":1', b'"schema_version":2'))


def rows_of(events: Iterable[UsageEvent], now: datetime = NOON) -> list[Row]:
    rows, letters = decode([entry_of(event) for event in events], now)
    assert not letters, letters
    return rows


def store_of(engine: Engine, now: datetime = NOON) -> Store:
    return Store(engine, lambda: now)


def save(engine: Engine, events: Iterable[UsageEvent], now: datetime = NOON) -> Saved:
    return store_of(engine, now).save(rows_of(events, now), [])


def stored_events(engine: Engine) -> list[UsageEvent]:
    """Every event in the ledger, oldest first."""
    return [row.event for row in each_event(engine, UsageFilter())]


def assert_exactly(engine: Engine, events: Iterable[UsageEvent]) -> None:
    """The ledger holds these and no others, once each, and adds up."""
    expected = sorted(events, key=lambda event: event.event_id)
    assert stored_events(engine) == expected
    assert verify(engine) == []
    counts = Counter((event.producer, event.segment) for event in expected)
    for producer in {event.producer for event in expected}:
        for receipt in receipts(engine, producer):
            assert receipt.stored == counts[producer, receipt.segment]
