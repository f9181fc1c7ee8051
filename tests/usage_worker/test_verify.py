"""`verify` finds every way in which the ledger can disagree with itself, and `rebuild` mends what it may."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from ledger.filters import UsageFilter
from ledger.summaries import totals
from tests.usage_worker.events import NOON, PRODUCER, future, save, store_of, usage_event
from usage_worker.entries import letter_of
from usage_worker.rebuild import CannotRebuild, rebuild
from usage_worker.retention import drop_before
from usage_worker.verify import MOST_SHOWN, Difference, verify

LATER = datetime(2026, 12, 31, tzinfo=UTC)


@pytest.fixture
def filled(ledger: Engine) -> Engine:
    """Forty days of events."""
    start = datetime(2026, 11, 1, 0, 30, tzinfo=UTC)
    save(ledger, [usage_event(number, start + timedelta(hours=number * 8)) for number in range(120)], LATER)
    return ledger


def _spoil(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_an_empty_ledger_and_a_sound_one_add_up(ledger: Engine) -> None:
    assert verify(ledger) == []
    save(ledger, [usage_event(1)])
    assert verify(ledger) == []


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("UPDATE hourly_usage SET cost_pico = cost_pico + 1", {"hourly_usage"}),
        ("UPDATE hourly_totals SET calls = 0", {"hourly_totals"}),
        ("UPDATE daily_usage SET input_tokens = input_tokens - 1", {"daily_usage", "monthly_usage"}),
        ("UPDATE monthly_usage SET events = events + 1", {"monthly_usage"}),
        ("DELETE FROM daily_usage WHERE user_id = 'user-1'", {"daily_usage", "monthly_usage"}),
        ("UPDATE daily_usage SET model = 'other' WHERE user_id = 'user-1'", {"daily_usage", "monthly_usage"}),
        (
            "DELETE FROM usage_events WHERE user_id = 'user-1'",
            {"hourly_usage", "hourly_totals", "daily_usage", "usage_receipts"},
        ),
        ("UPDATE usage_receipts SET stored = stored + 1", {"usage_receipts"}),
        ("UPDATE usage_receipts SET dead_lettered = 1", {"usage_receipts"}),
        ("DELETE FROM usage_receipts", {"usage_receipts"}),
    ],
    ids=range(10),
)
def test_what_was_changed_is_found(filled: Engine, statement: str, tables: set[str]) -> None:
    _spoil(filled, statement)
    assert {difference.what for difference in verify(filled)} == tables


def test_a_difference_says_where_and_how_much(ledger: Engine) -> None:
    save(ledger, [usage_event(1)])
    _spoil(ledger, "UPDATE hourly_usage SET cost_pico = cost_pico - 5, events = 3")
    found = verify(ledger)
    assert len(found) == 1
    assert found[0].amounts == {"events": 2, "cost_pico": -5}
    assert str(found[0]) == (
        "hourly_usage [hour=2026-11-20 12:00:00+00:00 user_id=user-1 key_id=key-1 provider=openai "
        "model=gpt-4o-mini-1]: events +2, cost_pico -5"
    )


def test_letters_count_in_receipts_until_they_are_stored(ledger: Engine) -> None:
    store_of(ledger).save([], [letter_of(future(1), "bad")])
    assert verify(ledger) == []
    _spoil(ledger, "UPDATE usage_dead_letters SET resolution = 'dropped'")
    assert verify(ledger) == []
    _spoil(ledger, "UPDATE usage_dead_letters SET resolution = 'stored'")
    expected = Difference("usage_receipts", f"{PRODUCER}/1", {"stored": 0, "dead_lettered": 1})
    assert verify(ledger) == [expected]


def test_only_so_many_of_a_kind_are_shown(filled: Engine) -> None:
    _spoil(filled, "DELETE FROM daily_usage", "DELETE FROM monthly_usage", "DELETE FROM hourly_usage")
    kinds = [difference.what for difference in verify(filled)]
    assert kinds.count("hourly_usage") == MOST_SHOWN < 120


def test_rebuild_makes_all_of_it_from_the_events(filled: Engine) -> None:
    before = totals(filled, UsageFilter())
    _spoil(filled, "DELETE FROM hourly_usage", "UPDATE daily_usage SET events = 7", "DELETE FROM monthly_usage")
    _spoil(filled, "UPDATE hourly_totals SET errors = 7")
    assert rebuild(filled) == (date(2026, 11, 1), date(2026, 12, 11))
    assert verify(filled) == []
    assert totals(filled, UsageFilter()) == before


def test_rebuild_of_some_days_leaves_the_others_alone(filled: Engine) -> None:
    _spoil(filled, "UPDATE daily_usage SET events = events + 1")
    assert rebuild(filled, date(2026, 11, 28), date(2026, 12, 3)) == (date(2026, 11, 28), date(2026, 12, 3))
    wrong = {difference.where.split()[0] for difference in verify(filled) if difference.what == "daily_usage"}
    assert "day=2026-11-27" in wrong
    assert "day=2026-12-03" in wrong
    assert not wrong & {"day=2026-11-28", "day=2026-11-30", "day=2026-12-01", "day=2026-12-02"}
    # Months are the sums of their days, right or wrong.
    assert "monthly_usage" not in {difference.what for difference in verify(filled)}


def test_rebuild_removes_sums_of_days_without_events(ledger: Engine) -> None:
    save(ledger, [usage_event(1)])
    _spoil(ledger, "UPDATE daily_usage SET day = '2026-11-25'")
    assert rebuild(ledger) == (date(2026, 11, 20), date(2026, 11, 26))
    assert verify(ledger) == []


def test_rebuild_of_nothing(ledger: Engine) -> None:
    assert rebuild(ledger) is None
    save(ledger, [usage_event(1)])
    assert rebuild(ledger, date(2026, 11, 20), date(2026, 11, 20)) is None


def test_what_the_retention_dropped_is_neither_missed_nor_rebuilt(filled: Engine) -> None:
    before = totals(filled, UsageFilter())
    drop_before(filled, date(2026, 12, 1))
    assert verify(filled) == []
    assert rebuild(filled) == (date(2026, 12, 1), date(2026, 12, 11))
    assert verify(filled) == []
    assert totals(filled, UsageFilter()) == before
    with pytest.raises(CannotRebuild, match="events before 2026-12-01 were dropped"):
        rebuild(filled, date(2026, 11, 30))
    _spoil(filled, "UPDATE daily_usage SET events = events + 1 WHERE day = '2026-11-05'")
    assert {difference.what for difference in verify(filled)} == {"monthly_usage"}


def test_events_that_come_during_a_rebuild_are_in_the_sums(postgres_ledger: Engine) -> None:
    save(postgres_ledger, [usage_event(1)])
    _spoil(postgres_ledger, "DELETE FROM daily_usage")
    rebuild(postgres_ledger)
    save(postgres_ledger, [usage_event(2), usage_event(1)], NOON)
    assert verify(postgres_ledger) == []
