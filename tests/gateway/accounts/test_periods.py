from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.periods import current, take_up
from gateway.accounts.records import Budget

T0 = datetime(2026, 3, 7, 15, 0, tzinfo=UTC)


def budget(**fields: Any) -> Budget:
    plain: dict[str, Any] = {
        "budget_id": "b",
        "name": None,
        "max_budget": Decimal(1),
        "duration_seconds": None,
        "period": None,
        "zone": "UTC",
        "soft_threshold": None,
        "created_at": T0,
        "updated_at": T0,
    }
    return Budget(**{**plain, **fields})


def test_without_a_period_nothing_ever_resets() -> None:
    held = take_up(budget(), T0, T0)
    assert held.next_reset_at is None
    assert current(budget(), held, T0 + timedelta(days=9999)) is held


@given(st.integers(1, 10**7), st.integers(0, 10**9))
def test_rolling_periods_follow_each_other_without_a_gap(duration: int, later: int) -> None:
    rolling = budget(duration_seconds=duration)
    now = T0 + timedelta(seconds=later)
    held = current(rolling, take_up(rolling, T0, T0), now)
    assert held.next_reset_at is not None
    assert held.since <= now < held.next_reset_at
    assert held.next_reset_at - held.since == timedelta(seconds=duration)
    assert (held.since - T0) % timedelta(seconds=duration) == timedelta()


@pytest.mark.parametrize(
    ("period", "zone", "now", "start", "end"),
    [
        ("day", "UTC", "2026-03-07T15:00+00:00", "2026-03-07T00:00+00:00", "2026-03-08T00:00+00:00"),
        ("day", "Asia/Seoul", "2026-03-07T15:00+00:00", "2026-03-07T15:00+00:00", "2026-03-08T15:00+00:00"),
        ("day", "America/New_York", "2026-03-08T12:00+00:00", "2026-03-08T05:00+00:00", "2026-03-09T04:00+00:00"),
        ("week", "UTC", "2026-03-08T23:59+00:00", "2026-03-02T00:00+00:00", "2026-03-09T00:00+00:00"),
        ("month", "UTC", "2026-12-31T23:59+00:00", "2026-12-01T00:00+00:00", "2027-01-01T00:00+00:00"),
        ("month", "Asia/Kolkata", "2026-02-28T19:00+00:00", "2026-02-28T18:30+00:00", "2026-03-31T18:30+00:00"),
    ],
)
def test_calendar_periods_are_those_of_the_zone(period: str, zone: str, now: str, start: str, end: str) -> None:
    calendar = budget(period=period, zone=zone)
    before = datetime.fromisoformat(start) - timedelta(seconds=1)
    held = current(calendar, take_up(calendar, before, before), datetime.fromisoformat(now))
    assert held.since == datetime.fromisoformat(start)
    assert held.next_reset_at == datetime.fromisoformat(end)
