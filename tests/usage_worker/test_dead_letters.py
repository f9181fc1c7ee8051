"""Dead letters: seen, tried again, given up; receipts always add up."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine, text

from ledger.queries import receipts
from tests.usage_worker.events import NOON, PRODUCER, entry_of, future, save, store_of, stored_events, usage_event
from usage_contract.codec import encode
from usage_worker.dead_letters import Retried, count_open, drop, open_letters, retry
from usage_worker.entries import Entry, letter_of
from usage_worker.verify import verify


def _counts(engine: Engine) -> list[tuple[int, int]]:
    return [(each.stored, each.dead_lettered) for each in receipts(engine, PRODUCER)]


def _bury(engine: Engine, *entries: Entry, reason: str = "why") -> None:
    store_of(engine).save([], [letter_of(entry, reason) for entry in entries])


def test_they_are_listed_oldest_first_with_their_payload(ledger: Engine) -> None:
    first = future(1)
    _bury(ledger, first)
    store_of(ledger, NOON + timedelta(hours=1)).save([], [letter_of(Entry(None, b"two", None, None), "no origin")])
    one, two = open_letters(ledger)
    assert (one.payload, one.producer, one.segment) == (first.payload, PRODUCER, 1)
    assert (one.counted, one.reason) == (True, "why")
    assert (two.payload, two.counted, two.first_seen) == (b"two", False, NOON + timedelta(hours=1))
    assert open_letters(ledger, limit=1) == [one]
    assert open_letters(ledger, [two.letter_id[:10]]) == [two]
    assert open_letters(ledger, ["%"]) == []
    assert count_open(ledger) == 2


def test_retry_stores_what_has_become_readable(ledger: Engine) -> None:
    good, bad = entry_of(usage_event(1)), future(2)
    _bury(ledger, good, bad)
    bad_id = (
        open_letters(ledger)[0].letter_id
        if open_letters(ledger)[0].payload == bad.payload
        else open_letters(ledger)[1].letter_id
    )
    result = retry(ledger, lambda: NOON)
    assert result.stored == 1
    assert list(result.still_bad) == [bad_id]
    assert stored_events(ledger) == [usage_event(1)]
    assert _counts(ledger) == [(1, 1)]
    assert verify(ledger) == []
    assert retry(ledger, lambda: NOON).stored == 0


def test_retry_of_one_whose_envelope_was_unreadable(ledger: Engine) -> None:
    _bury(ledger, Entry(None, encode(usage_event(1)), None, None))
    assert retry(ledger, lambda: NOON) == Retried(1, {})
    assert _counts(ledger) == [(1, 0)]
    assert open_letters(ledger) == []
    assert verify(ledger) == []


def test_retry_of_one_that_came_properly_meanwhile(ledger: Engine) -> None:
    _bury(ledger, Entry(None, encode(usage_event(1)), None, None))
    save(ledger, [usage_event(1)])
    assert retry(ledger, lambda: NOON) == Retried(1, {})
    assert stored_events(ledger) == [usage_event(1)]
    assert verify(ledger) == []


def test_retry_of_a_conflict_stays_a_conflict(ledger: Engine) -> None:
    save(ledger, [usage_event(1, segment=1)])
    save(ledger, [usage_event(1, segment=2)])
    letter = open_letters(ledger)[0]
    assert retry(ledger, lambda: NOON, [letter.letter_id]).still_bad == {letter.letter_id: letter.reason}
    assert verify(ledger) == []


def test_retry_of_what_the_database_refuses_still(sqlite_ledger: Engine) -> None:
    with sqlite_ledger.begin() as connection:
        connection.execute(text("CREATE TRIGGER no BEFORE INSERT ON usage_events BEGIN SELECT RAISE(ABORT, 'no'); END"))
    _bury(sqlite_ledger, entry_of(usage_event(1)))
    assert "refused" in next(iter(retry(sqlite_ledger, lambda: NOON).still_bad.values()))
    assert _counts(sqlite_ledger) == [(0, 1)]


def test_drop_gives_up_for_good_and_its_segment_still_adds_up(ledger: Engine) -> None:
    entry = future(1)
    _bury(ledger, entry)
    assert drop(ledger, lambda: NOON, [open_letters(ledger)[0].letter_id]) == 1
    assert open_letters(ledger) == []
    _bury(ledger, entry)
    assert open_letters(ledger) == [], "delivered again, it is the same letter"
    assert _counts(ledger) == [(0, 1)]
    assert drop(ledger, lambda: NOON, ["nothing like it"]) == 0
    assert verify(ledger) == []


def test_a_dropped_letter_whose_event_comes_after_all_is_a_row(ledger: Engine) -> None:
    _bury(ledger, entry_of(usage_event(1)))
    drop(ledger, lambda: NOON, [open_letters(ledger)[0].letter_id])
    save(ledger, [usage_event(1)])
    assert _counts(ledger) == [(1, 0)]
    assert verify(ledger) == []
