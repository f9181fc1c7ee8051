"""Sums of rows, sorted by key."""

from __future__ import annotations

from datetime import timedelta

from ledger.tables import MEASURES, ROLLUPS, rollup_keys, to_us
from tests.usage_worker.events import NOON, rows_of, usage_event
from usage_contract.event import Caller, Tokens
from usage_worker.rollups import roll_up


def _sums(*events: object) -> dict[str, list[tuple[object, ...]]]:
    return roll_up(row.values for row in rows_of(events, NOON + timedelta(days=60)))  # type: ignore[arg-type]


def test_nothing_is_nothing() -> None:
    assert roll_up([]) == {table.name: [] for table in ROLLUPS}


def test_hours_add_up_to_days_and_days_to_months() -> None:
    caller = Caller(user_id="u", key_id="k")
    times = [NOON, NOON + timedelta(minutes=59), NOON + timedelta(hours=1), NOON + timedelta(days=5)]
    sums = _sums(*(usage_event(n, at, caller=caller, model_used="m", cost_pico=n) for n, at in enumerate(times)))
    key = ("u", "k", "openai", "m")
    hours = [(to_us(NOON), 2, 1), (to_us(NOON + timedelta(hours=1)), 1, 2), (to_us(NOON + timedelta(days=5)), 1, 3)]
    assert [(row[0], row[1:5], row[5], row[-1]) for row in sums["hourly_usage"]] == [
        (h, key, n, c) for h, n, c in hours
    ]
    assert [(row[0], row[5], row[-1]) for row in sums["daily_usage"]] == [("2026-11-20", 3, 3), ("2026-11-25", 1, 3)]
    assert [(row[0], row[5], row[-1]) for row in sums["monthly_usage"]] == [("2026-11-01", 4, 6)]


def test_rows_are_sorted_by_key_so_that_workers_lock_in_one_order() -> None:
    events = [usage_event(n, caller=Caller(user_id=f"u{n * 7 % 10}", key_id=f"k{n % 3}")) for n in range(40)]
    for table in ROLLUPS:
        width = 1 + len(rollup_keys(table))
        keys = [row[:width] for row in _sums(*events)[table.name]]
        assert keys == sorted(set(keys))


def test_totals_tell_no_users_apart() -> None:
    events = [usage_event(n, caller=Caller(user_id=f"u{n}"), model_used=f"m{n % 2}", cost_pico=n) for n in range(10)]
    rows = _sums(*events)["hourly_totals"]
    noon = to_us(NOON)
    assert [(row[:3], row[3], row[-1]) for row in rows] == [
        ((noon, "openai", "m0"), 5, 20),
        ((noon, "openai", "m1"), 5, 25),
    ]


def test_measures_are_in_the_tables_order() -> None:
    tokens = Tokens(**{name: 2**index for index, name in enumerate(Tokens.__dataclass_fields__)})
    event = usage_event(1, kind="attempt", status="error", tokens=tokens, estimated=True, cost_pico=None, duration_us=9)
    row = _sums(event)["daily_usage"][0]
    measures = dict(zip(MEASURES, row[5:], strict=True))
    assert measures.pop("events") == 1
    assert measures.pop("calls") == measures.pop("errors") == measures.pop("cost_pico") == 0
    assert measures.pop("estimated") == measures.pop("unpriced") == 1
    assert measures.pop("duration_us") == 9
    assert list(measures.values()) == [2**index for index in range(14)]
