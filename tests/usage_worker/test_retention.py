"""What is past the retention goes, its sums stay, and it never comes back."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select, text

from ledger import partitions
from ledger.filters import UsageFilter
from ledger.queries import receipts, usage_count
from ledger.summaries import totals
from ledger.tables import hourly_usage, usage_dead_letters, usage_receipts
from tests.usage_worker.events import NOON, PRODUCER, rows_of, save, store_of, stored_events, usage_event
from usage_worker.dead_letters import drop, open_letters
from usage_worker.errors import StoreUnavailable
from usage_worker.retention import Upkeep, cutoff_month, drop_before
from usage_worker.store import Saved, Store
from usage_worker.verify import verify

OLD = datetime(2026, 8, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "months", "first"),
    [
        (NOON, 1, date(2026, 10, 1)),
        (NOON, 3, date(2026, 8, 1)),
        (NOON, 11, date(2025, 12, 1)),
        (NOON, 24, date(2024, 11, 1)),
    ],
)
def test_whole_months_are_kept_besides_the_current_one(now: datetime, months: int, first: date) -> None:
    assert cutoff_month(now, months) == first


def test_old_events_go_and_their_sums_stay(ledger: Engine) -> None:
    old = [usage_event(n, OLD + timedelta(days=n)) for n in range(20)]
    new = [usage_event(100 + n, NOON - timedelta(days=n)) for n in range(5)]
    save(ledger, [*old, *new])
    before = totals(ledger, UsageFilter())
    drop_before(ledger, date(2026, 9, 1))
    assert {event.event_id for event in stored_events(ledger)} == {
        event.event_id
        for event in [*old, *new]
        if event.event_id >= usage_event(0, datetime(2026, 9, 1, tzinfo=UTC)).event_id[:13]
    }
    assert totals(ledger, UsageFilter()) == before
    with ledger.connect() as connection:
        assert connection.scalar(select(func.min(hourly_usage.c.hour))) >= datetime(2026, 9, 1, tzinfo=UTC)
    assert verify(ledger) == []


def test_what_comes_again_after_it_was_dropped_is_buried_not_inserted(ledger: Engine) -> None:
    old = usage_event(1, OLD)
    save(ledger, [old], OLD)
    drop_before(ledger, date(2026, 10, 1))
    before = totals(ledger, UsageFilter())
    never_seen = usage_event(2, OLD)
    assert save(ledger, [old, never_seen]) == Saved(stored=0, duplicates=0, dead_lettered=2)
    assert totals(ledger, UsageFilter()) == before
    assert {letter.reason for letter in open_letters(ledger)} == {"older than the retention"}
    assert verify(ledger) == []


def test_the_promise_only_grows(ledger: Engine) -> None:
    drop_before(ledger, date(2026, 10, 1))
    drop_before(ledger, date(2026, 1, 1))
    assert save(ledger, [usage_event(1, OLD)]).dead_lettered == 1
    assert save(ledger, [usage_event(2)]).stored == 1


def test_bookkeeping_of_what_is_gone_goes_too(ledger: Engine) -> None:
    save(ledger, [usage_event(1, OLD, segment=1)], OLD)
    save(ledger, [usage_event(2, segment=2)])
    store_of(ledger, OLD).save(
        [], [rows_of([usage_event(3)], NOON)[0].letter("x"), rows_of([usage_event(4)])[0].letter("y")]
    )
    drop(ledger, lambda: OLD, [open_letters(ledger)[0].letter_id])
    drop_before(ledger, date(2026, 10, 1))
    assert [each.segment for each in receipts(ledger, PRODUCER)] == [2]
    with ledger.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(usage_dead_letters)) == 1, "open letters stay"
        assert connection.scalar(select(func.count()).select_from(usage_receipts)) == 1


def test_upkeep_makes_partitions_ahead_and_drops_old_ones(postgres_ledger: Engine) -> None:
    store = store_of(postgres_ledger)
    save(postgres_ledger, [usage_event(1, OLD)], OLD)
    save(postgres_ledger, [usage_event(2)])
    Upkeep(postgres_ledger, store, lambda: NOON, 1).turn()
    with postgres_ledger.connect() as connection:
        months = list(partitions.existing(connection))
    assert months == [date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1)]
    assert usage_count(postgres_ledger, UsageFilter(start=OLD, end=OLD + timedelta(minutes=1))) == 0


def test_a_clock_months_ahead_drops_nothing(ledger: Engine, caplog: pytest.LogCaptureFixture) -> None:
    ahead = NOON + timedelta(days=300)
    Upkeep(ledger, store_of(ledger), lambda: ahead, 1).turn()  # not even a promise, while there is no event
    kept = [usage_event(1, NOON - timedelta(days=31)), usage_event(2)]
    save(ledger, kept)
    Upkeep(ledger, store_of(ledger), lambda: ahead, 1).turn()
    assert {event.event_id for event in stored_events(ledger)} == {event.event_id for event in kept}
    assert caplog.text.count("much older than this machine's clock") == 2


def test_without_a_retention_nothing_is_dropped(ledger: Engine) -> None:
    save(ledger, [usage_event(1, OLD)], OLD)
    Upkeep(ledger, store_of(ledger), lambda: NOON, None).turn()
    assert len(stored_events(ledger)) == 1


async def test_upkeep_survives_a_database_that_is_busy_and_ends_at_stop(postgres_ledger: Engine) -> None:
    stop = asyncio.Event()
    calls: list[int] = []

    class Away(Store):
        def prepare(self) -> None:
            calls.append(1)
            asyncio.run_coroutine_threadsafe(_set(stop), loop)
            raise StoreUnavailable("away")

    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):
        await Upkeep(postgres_ledger, Away(postgres_ledger, lambda: NOON), lambda: NOON, None).run(stop)
    assert calls == [1]


async def _set(stop: asyncio.Event) -> None:
    stop.set()


def test_a_long_query_puts_the_drop_off_until_the_next_turn(postgres_ledger: Engine) -> None:
    save(postgres_ledger, [usage_event(1, OLD)], OLD)
    with postgres_ledger.connect() as reader:
        reader.execute(text("SELECT count(*) FROM usage_events"))
        with pytest.raises(StoreUnavailable):
            drop_before(postgres_ledger, date(2026, 10, 1))
    assert save(postgres_ledger, [usage_event(1, OLD)]).dead_lettered == 0, "it is there still, so it is a duplicate"
    drop_before(postgres_ledger, date(2026, 10, 1))
    assert stored_events(postgres_ledger) == []
    assert verify(postgres_ledger) == []
