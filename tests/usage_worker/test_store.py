"""The one transaction, on both databases: each event once, rollups, receipts and dead letters with it."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text

from ledger import partitions
from ledger.queries import UsageFilter, receipts, usage_count
from ledger.tables import daily_usage, hourly_usage, monthly_usage, usage_dead_letters
from tests.usage_worker.events import (
    NOON,
    PRODUCER,
    assert_exactly,
    entry_of,
    event_id,
    future,
    rows_of,
    save,
    store_of,
    stored_events,
    usage_event,
)
from usage_contract.codec import encode
from usage_contract.event import Caller, Receipt, Tokens
from usage_worker.decode import decode
from usage_worker.entries import Entry, letter_of
from usage_worker.errors import Refused, StoreUnavailable
from usage_worker.store import Saved, Store, lock_ledger
from usage_worker.verify import verify


def test_each_field_comes_back_as_it_went_in(ledger: Engine) -> None:
    plain = usage_event(1, caller=Caller(), price=None, cost_pico=None, http_status=None)
    full = usage_event(
        2,
        kind="attempt",
        attempt=2,
        caller=Caller(key_id="k", user_id="u", session_id="s", end_user="e\tnd \\N \n", tags={"team": "빨강 \\"}),
        stream=True,
        byok=True,
        status="error",
        error_code="rate_limited",
        finish_reason="stop",
        response_id="\\.",
        service_tier="flex",
        tokens=Tokens(*[], **{name: index + 1 for index, name in enumerate(Tokens.__dataclass_fields__)}),
        estimated=True,
        provider_cost_pico=7,
        dropped=("seed", 'quote"', "back\\slash"),
        first_token_us=1,
        overhead_us=2,
    )
    save(ledger, [plain, full])
    assert {one.event_id: one for one in stored_events(ledger)} == {one.event_id: one for one in (plain, full)}


def test_delivered_three_times_out_of_order_is_stored_once(ledger: Engine) -> None:
    events = [usage_event(number, NOON + timedelta(minutes=number)) for number in range(300)]
    rows = rows_of(events * 3, NOON + timedelta(hours=6))
    random.Random(3).shuffle(rows)
    store = store_of(ledger)
    saved = [store.save(rows[start : start + 70], []) for start in range(0, len(rows), 70)]
    assert sum(each.stored for each in saved) == 300
    assert sum(each.duplicates for each in saved) == 600
    assert_exactly(ledger, events)


def test_rollups_count_calls_errors_and_what_has_no_price(ledger: Engine) -> None:
    caller = Caller(user_id="u", key_id="k")
    common: dict[str, Any] = {"caller": caller, "model_used": "m", "duration_us": 1}
    save(
        ledger,
        [
            usage_event(1, kind="final", cost_pico=5, tokens=Tokens(input=3, output=4), **common),
            usage_event(2, kind="attempt", status="error", cost_pico=0, tokens=Tokens(), **common),
            usage_event(3, kind="final", status="error", cost_pico=None, tokens=Tokens(), **common),
            usage_event(4, kind="lost", status="lost", estimated=True, cost_pico=7, tokens=Tokens(input=1), **common),
        ],
    )
    with ledger.connect() as connection:
        day = connection.execute(select(daily_usage)).one()._mapping
        month = connection.execute(select(monthly_usage)).one()._mapping
        hour = connection.execute(select(hourly_usage)).one()._mapping
    assert (day["day"], month["month"], hour["hour"]) == (NOON.date(), NOON.date().replace(day=1), NOON)
    for row in (day, month, hour):
        assert (row["user_id"], row["key_id"], row["provider"], row["model"]) == ("u", "k", "openai", "m")
        assert (row["events"], row["calls"], row["errors"]) == (4, 3, 2)
        assert (row["estimated"], row["unpriced"]) == (1, 1)
        assert (row["input_tokens"], row["output_tokens"], row["duration_us"]) == (4, 4, 4)
        assert row["cost_pico"] == 12


def test_a_late_event_goes_to_its_own_day_and_month(ledger: Engine) -> None:
    last_of_month = datetime(2026, 10, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    events = [usage_event(1, last_of_month), usage_event(2, last_of_month + timedelta(milliseconds=1))]
    save(ledger, events)
    with ledger.connect() as connection:
        days = connection.scalars(select(daily_usage.c.day).order_by(daily_usage.c.day)).all()
        months = connection.scalars(select(monthly_usage.c.month).order_by(monthly_usage.c.month)).all()
    assert [str(day) for day in days] == ["2026-10-31", "2026-11-01"]
    assert [str(month) for month in months] == ["2026-10-01", "2026-11-01"]
    assert_exactly(ledger, events)


def test_an_event_without_user_and_key_is_in_the_rollups_too(ledger: Engine) -> None:
    save(ledger, [usage_event(1, caller=Caller())])
    with ledger.connect() as connection:
        row = connection.execute(select(daily_usage.c.user_id, daily_usage.c.key_id)).one()
    assert tuple(row) == ("", "")
    assert verify(ledger) == []


def test_a_dead_letter_is_counted_once_however_often_it_comes(ledger: Engine) -> None:
    _, letters = decode([future(2), future(2)], NOON)
    store = store_of(ledger)
    assert store.save([], letters) == Saved(stored=0, duplicates=1, dead_lettered=1)
    assert store.save(rows_of([usage_event(1)]), letters) == Saved(stored=1, duplicates=2, dead_lettered=0)
    assert receipts(ledger, PRODUCER) == [Receipt(producer=PRODUCER, segment=1, stored=1, dead_lettered=1)]
    assert verify(ledger) == []


def test_what_is_no_event_of_a_segment_counts_for_none_of_it(ledger: Engine) -> None:
    """Poison under the name of a real segment, or an event in two forms: else the segment would go too early."""
    late = entry_of(usage_event(1))
    torn = late._replace(payload=late.payload[:-5])
    _, letters = decode([Entry(None, b"noise", PRODUCER, 1), future(1), torn], NOON)
    store = store_of(ledger)
    assert store.save([], letters) == Saved(stored=0, duplicates=1, dead_lettered=2)
    assert receipts(ledger, PRODUCER) == [Receipt(producer=PRODUCER, segment=1, stored=0, dead_lettered=1)]
    assert store.save(rows_of([usage_event(1)]), letters).stored == 1
    assert receipts(ledger, PRODUCER) == [Receipt(producer=PRODUCER, segment=1, stored=1, dead_lettered=0)]
    assert verify(ledger) == []


def test_a_letter_without_origin_is_kept_and_counted_nowhere(ledger: Engine) -> None:
    store_of(ledger).save([], [letter_of(Entry(None, b"?", None, None), "no origin")])
    with ledger.connect() as connection:
        assert connection.execute(select(usage_dead_letters.c.payload, usage_dead_letters.c.counted)).one() == (
            b"?",
            False,
        )
    assert verify(ledger) == []


@pytest.mark.parametrize(
    "entry",
    [
        Entry(None, b'{"a\\u0000b": 1}', PRODUCER, 1),
        Entry(None, b'{"event_id": "\\u0000"}', PRODUCER, 1),
        Entry(None, b'{"event_id": "%s"}' % (b"x" * 5000), PRODUCER, 1),
        Entry(None, b'{"%s": 1}' % (b"x" * 5000), PRODUCER, 1),
        Entry(None, b"\x00\xff", PRODUCER, 2**63),
        Entry(None, b"", PRODUCER, -1),
        Entry(None, b"", "p\0", 1),
        Entry(None, b"", "p" * 5000, 1),
        Entry(None, b"", "", 1),
        Entry(None, encode(usage_event(1, producer="가" * 100, request_id="x" * 100_000)), "가" * 100, 1),
    ],
    ids=range(10),
)
def test_no_entry_is_too_strange_to_be_kept(ledger: Engine, entry: Entry) -> None:
    rows, letters = decode([entry], NOON)
    saved = store_of(ledger).save(rows, letters)
    assert saved.stored + saved.dead_lettered == 1
    assert store_of(ledger).save(rows, letters).duplicates == 1
    assert verify(ledger) == []


def test_an_event_id_of_two_segments_adds_up_in_both(ledger: Engine) -> None:
    stored = usage_event(1, segment=1)
    again = replace(stored, segment=2)
    store = store_of(ledger)
    store.save(rows_of([stored]), [])
    assert store.save(rows_of([again, again]), []) == Saved(stored=0, duplicates=1, dead_lettered=1)
    assert [(each.stored, each.dead_lettered) for each in receipts(ledger, PRODUCER)] == [(1, 0), (0, 1)]
    with ledger.connect() as connection:
        assert connection.scalar(select(usage_dead_letters.c.resolution)) is None
    assert_stored = stored_events(ledger)
    assert assert_stored == [stored]
    assert verify(ledger) == []


def test_a_lost_event_whose_outcome_is_stored_is_settled_without_anybody(ledger: Engine) -> None:
    outcome = usage_event(1, segment=1)
    save(ledger, [outcome])
    save(ledger, [replace(outcome, segment=2, kind="lost", status="lost", estimated=True)])
    with ledger.connect() as connection:
        assert connection.scalar(select(usage_dead_letters.c.resolution)) == "superseded"
    assert [(each.stored, each.dead_lettered) for each in receipts(ledger, PRODUCER)] == [(1, 0), (0, 1)]
    assert stored_events(ledger) == [outcome]
    assert verify(ledger) == []


def test_a_newer_worker_stores_what_an_older_one_buried(ledger: Engine) -> None:
    entry = entry_of(usage_event(1))
    store = store_of(ledger)
    store.save([], [letter_of(entry, "an older worker could not read it")])
    assert receipts(ledger, PRODUCER)[0].dead_lettered == 1
    rows, _ = decode([entry], NOON)
    assert store.save(rows, []).stored == 1
    assert receipts(ledger, PRODUCER) == [Receipt(producer=PRODUCER, segment=1, stored=1, dead_lettered=0)]
    assert verify(ledger) == []


def test_an_older_worker_does_not_bury_what_is_stored(ledger: Engine) -> None:
    one = usage_event(1)
    save(ledger, [one])
    letter = letter_of(entry_of(one), "an older worker could not read it")
    assert store_of(ledger).save([], [letter]) == Saved(stored=0, duplicates=1, dead_lettered=0)
    assert verify(ledger) == []


def test_nothing_is_kept_of_a_batch_that_the_database_refuses(ledger: Engine) -> None:
    _forbid_user(ledger, "poison")
    rows = rows_of([usage_event(1), usage_event(2, caller=Caller(user_id="poison"))])
    with pytest.raises(Refused):
        store_of(ledger).save(rows, [])
    assert usage_count(ledger, UsageFilter()) == 0
    assert receipts(ledger, PRODUCER) == []


def test_a_sum_beyond_64_bits(ledger: Engine) -> None:
    """Postgres holds it; SQLite refuses it instead of turning it into a float."""
    dear = [usage_event(n, caller=Caller(user_id="u"), model_used="m", cost_pico=10**18) for n in range(12)]
    store = store_of(ledger)
    if ledger.dialect.name == "postgresql":
        store.save(rows_of(dear), [])
        with ledger.connect() as connection:
            assert connection.scalar(select(daily_usage.c.cost_pico)) == 12 * 10**18
        return
    with pytest.raises(Refused):
        store.save(rows_of(dear), [])
    store.save(rows_of(dear[:9]), [])
    with pytest.raises(Refused):
        store.save(rows_of(dear[9:]), [])
    assert_exactly(ledger, dear[:9])


def test_a_database_without_tables_is_nobodys_dead_letter(ledger: Engine) -> None:
    with ledger.begin() as connection:
        connection.execute(text("DROP TABLE usage_receipts"))
    with pytest.raises(Exception, match="usage_receipts") as caught:
        store_of(ledger).save(rows_of([usage_event(1)]), [])
    assert not isinstance(caught.value, Refused)


def test_a_partition_that_vanished_is_made_again(postgres_ledger: Engine) -> None:
    store = store_of(postgres_ledger)
    store.prepare()
    with postgres_ledger.begin() as connection:
        partitions.drop(connection, partitions.month_of(NOON))
    with pytest.raises(Refused):
        store.save(rows_of([usage_event(1)]), [])
    assert store.save(rows_of([usage_event(1)]), []).stored == 1


@pytest.mark.parametrize("state", ["40P01", "40001", "53100", "53300", "57P01"])
def test_deadlock_serialization_full_disk_and_full_house_mean_wait(postgres_ledger: Engine, state: str) -> None:
    with postgres_ledger.begin() as connection:
        connection.execute(
            text(f"""
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '{state}'; END $$;
            CREATE TRIGGER fail BEFORE INSERT ON usage_receipts FOR EACH ROW EXECUTE FUNCTION fail();
        """)
        )
    store = store_of(postgres_ledger)
    with pytest.raises(StoreUnavailable, match=state):
        store.save(rows_of([usage_event(1)]), [])
    with postgres_ledger.begin() as connection:
        connection.execute(text("DROP TRIGGER fail ON usage_receipts"))
    assert store.save(rows_of([usage_event(1)]), []).stored == 1
    assert_exactly(postgres_ledger, [usage_event(1)])


def test_a_busy_sqlite_means_wait(sqlite_ledger: Engine) -> None:

    @event.listens_for(sqlite_ledger, "connect")
    def _impatient(connection: object, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout = 20")  # type: ignore[attr-defined]

    with sqlite_ledger.begin(), pytest.raises(StoreUnavailable):
        store_of(sqlite_ledger).save(rows_of([usage_event(1)]), [])
    assert store_of(sqlite_ledger).save(rows_of([usage_event(1)]), []).stored == 1


def test_workers_fighting_over_the_same_events_neither_deadlock_nor_double(ledger: Engine) -> None:
    events = [usage_event(number, NOON + timedelta(seconds=number % 50)) for number in range(400)]

    def worker(seed: int) -> None:
        rows = rows_of(events)
        random.Random(seed).shuffle(rows)
        store = store_of(ledger)
        for start in range(0, len(rows), 50):
            store.save(rows[start : start + 50], [])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(worker, range(4)))
    assert_exactly(ledger, events)


def test_who_holds_the_ledger_alone_keeps_batches_waiting(postgres_ledger: Engine) -> None:
    done = threading.Event()

    def worker() -> None:
        save(postgres_ledger, [usage_event(1)])
        done.set()

    with postgres_ledger.begin() as connection:
        lock_ledger(connection, alone=True)
        thread = threading.Thread(target=worker)
        thread.start()
        assert not done.wait(0.3)
    assert done.wait(10)
    thread.join()


def test_empty_batches_are_nothing(ledger: Engine) -> None:
    assert Store(ledger, lambda: NOON).save([], []) == Saved(0, 0, 0)


def test_ids_of_the_same_millisecond_are_told_apart(ledger: Engine) -> None:
    events = [usage_event(number, event_id=event_id(NOON, number)) for number in range(50)]
    save(ledger, events)
    assert save(ledger, [*events, usage_event(99)]) == Saved(stored=1, duplicates=50, dead_lettered=0)


def _forbid_user(engine: Engine, user: str) -> None:
    """A rule of the database that one row breaks, whatever the reason may be in real life."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"ALTER TABLE usage_events ADD CONSTRAINT no CHECK (user_id <> '{user}')"))
        else:
            connection.execute(
                text(
                    f"CREATE TRIGGER no BEFORE INSERT ON usage_events WHEN NEW.user_id = '{user}' "
                    "BEGIN SELECT RAISE(ABORT, 'no'); END"
                )
            )
