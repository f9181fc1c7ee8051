"""Pages, counts and receipts, alike on both databases."""

from __future__ import annotations

import base64
from datetime import UTC, timedelta

import pytest
from sqlalchemy import Engine

from ledger.queries import UsageFilter, each_event, receipts, recent_durations, usage_count, usage_page
from tests.usage_worker.events import NOON, PRODUCER, event_id, save, usage_event
from usage_contract.event import Receipt, UsageEvent


def _events(count: int) -> list[UsageEvent]:
    """Three of each minute, so that ties of the time are broken by id."""
    return [usage_event(number, NOON + timedelta(minutes=number // 3)) for number in range(count)]


def _newest_first(events: list[UsageEvent]) -> list[str]:
    return sorted((event.event_id for event in events), reverse=True)


def test_rows_come_newest_first_with_time_and_event(ledger: Engine) -> None:
    events = _events(10)
    received = NOON + timedelta(hours=1)
    save(ledger, events, received)
    page = usage_page(ledger, UsageFilter(), limit=100)
    assert [row.event.event_id for row in page.rows] == _newest_first(events)
    assert page.next_cursor is None
    first = page.rows[-1]
    assert (first.at, first.received_at) == (NOON, received)
    assert first.started_at == NOON + timedelta(microseconds=123)
    assert first.at.tzinfo is UTC


@pytest.mark.parametrize("limit", [1, 4, 5, 20])
def test_the_cursor_goes_through_all_rows_once(ledger: Engine, limit: int) -> None:
    events = _events(20)
    save(ledger, events)
    seen: list[str] = []
    cursor = None
    while True:
        page = usage_page(ledger, UsageFilter(), limit=limit, cursor=cursor)
        assert len(page.rows) <= limit
        seen += [row.event.event_id for row in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == _newest_first(events)


def test_the_cursor_is_not_moved_by_rows_that_come_meanwhile(ledger: Engine) -> None:
    events = _events(6)
    save(ledger, events)
    page = usage_page(ledger, UsageFilter(), limit=3)
    save(ledger, [usage_event(99, NOON + timedelta(hours=1))], NOON + timedelta(hours=1))
    rest = usage_page(ledger, UsageFilter(), limit=3, cursor=page.next_cursor)
    assert [row.event.event_id for row in (*page.rows, *rest.rows)] == _newest_first(events)


def test_skip_and_limit(ledger: Engine) -> None:
    events = _events(9)
    save(ledger, events)
    page = usage_page(ledger, UsageFilter(), skip=2, limit=3)
    assert [row.event.event_id for row in page.rows] == _newest_first(events)[2:5]
    assert usage_page(ledger, UsageFilter(), skip=9).rows == ()
    assert usage_page(ledger, UsageFilter(), skip=6, limit=3).next_cursor is None


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "%%%",
        "가",
        "bm90IGEgY3Vyc29y",
        base64.urlsafe_b64encode(b"1.zz").decode(),
        "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OS54",
    ],
)
def test_a_foreign_cursor_is_an_error(ledger: Engine, cursor: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        usage_page(ledger, UsageFilter(), cursor=cursor)


def test_each_filter_and_all_together(ledger: Engine) -> None:
    events = [
        usage_event(
            number, NOON + timedelta(minutes=number), kind=("final", "attempt")[number % 2], provider=f"p{number % 2}"
        )
        for number in range(40)
    ]
    save(ledger, events)
    cases: list[tuple[UsageFilter, list[UsageEvent]]] = [
        (UsageFilter(), events),
        (UsageFilter(start=NOON + timedelta(minutes=5)), events[5:]),
        (UsageFilter(end=NOON + timedelta(minutes=5)), events[:5]),
        (UsageFilter(user_id="user-1"), [event for event in events if event.caller.user_id == "user-1"]),
        (UsageFilter(key_id="key-2"), [event for event in events if event.caller.key_id == "key-2"]),
        (UsageFilter(session_id="session-3"), [event for event in events if event.caller.session_id == "session-3"]),
        (UsageFilter(model="gpt-4o-mini-1"), [event for event in events if event.model_used == "gpt-4o-mini-1"]),
        (UsageFilter(provider="p0"), [event for event in events if event.provider == "p0"]),
        (UsageFilter(end_user="nobody"), []),
        (UsageFilter(request_id="req-7"), events[7:8]),
        (UsageFilter(kind="attempt"), [event for event in events if event.kind == "attempt"]),
        (UsageFilter(user_id="nobody"), []),
        (
            UsageFilter(start=NOON, end=NOON + timedelta(minutes=20), user_id="user-0", provider="p0", kind="final"),
            [event for event in events[:20] if event.caller.user_id == "user-0" and event.provider == "p0"],
        ),
    ]
    for wanted, expected in cases:
        page = usage_page(ledger, wanted, limit=100)
        assert [row.event.event_id for row in page.rows] == _newest_first(expected), wanted
        assert usage_count(ledger, wanted) == len(expected), wanted
        oldest_first = [row.event.event_id for row in each_event(ledger, wanted, batch=7)]
        assert oldest_first == _newest_first(expected)[::-1], wanted


def test_the_attempts_of_one_call_are_found_by_its_id(ledger: Engine) -> None:
    call = event_id(NOON, 1000)
    attempts = [usage_event(n, NOON + timedelta(seconds=n * 40), request_id=call) for n in range(3)]
    save(ledger, [*attempts, *(usage_event(n, NOON) for n in range(10, 15))])
    page = usage_page(ledger, UsageFilter(request_id=call))
    assert [row.event.event_id for row in page.rows] == _newest_first(attempts)
    assert usage_count(ledger, UsageFilter(request_id=call)) == 3


def test_receipts_of_one_producer_from_a_segment_on(ledger: Engine) -> None:
    save(ledger, [usage_event(number, segment=number % 3 + 1) for number in range(7)])
    save(ledger, [usage_event(50, producer="another")])
    assert receipts(ledger, PRODUCER) == [
        Receipt(producer=PRODUCER, segment=segment, stored=stored, dead_lettered=0)
        for segment, stored in ((1, 3), (2, 2), (3, 2))
    ]
    assert [each.segment for each in receipts(ledger, PRODUCER, first_segment=3)] == [3]
    assert receipts(ledger, "nobody") == []


def test_an_empty_ledger(ledger: Engine) -> None:
    assert usage_page(ledger, UsageFilter()).rows == ()
    assert usage_count(ledger, UsageFilter()) == 0
    assert list(each_event(ledger, UsageFilter())) == []


def test_a_busy_model_hides_no_other_ones_latencies(ledger: Engine) -> None:
    quiet = [usage_event(number, NOON - timedelta(days=3), model_used="quiet", duration_us=7) for number in range(2)]
    quiet.append(usage_event(2, NOON - timedelta(days=30), model_used="quiet", duration_us=9))
    busy = [usage_event(n, NOON + timedelta(minutes=n), model_used="busy", duration_us=100 - n) for n in range(10, 30)]
    busy.append(usage_event(30, NOON + timedelta(hours=1), model_used="busy", duration_us=1, status="error"))
    save(ledger, quiet + busy)
    assert recent_durations(ledger, None, 4) == {
        ("openai", "quiet"): [7, 7],
        ("openai", "busy"): [71, 72, 73, 74],
    }
    assert recent_durations(ledger, "user-1", 1) == {("openai", "quiet"): [7], ("openai", "busy"): [72]}
    assert recent_durations(ledger, "nobody", 4) == {}
