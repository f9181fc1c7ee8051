"""Sums of new rows for the rollup tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ledger.tables import TOKEN_COLUMNS
from usage_worker.decode import COLUMNS

HOUR_US = 3_600_000_000

_TIME, _KIND, _STATUS = (COLUMNS.index(name) for name in ("event_time", "kind", "status"))
_USER, _KEY, _PROVIDER, _MODEL = (COLUMNS.index(name) for name in ("user_id", "key_id", "provider", "model_used"))
_ESTIMATED, _COST, _DURATION = (COLUMNS.index(name) for name in ("estimated", "cost_pico", "duration_us"))
_TOKENS = slice(COLUMNS.index("input_tokens"), COLUMNS.index("input_tokens") + len(TOKEN_COLUMNS))

Sums = dict[tuple[Any, ...], list[int]]


def roll_up(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows for each rollup table: period, keys, measures; sorted by key, so that two workers lock in the same order.

    `rows` are values in the order of `COLUMNS`. An hour is microseconds since the epoch, a day and a month ISO text.
    """
    hours: Sums = {}
    for values in rows:
        time = values[_TIME]
        key = (time - time % HOUR_US, values[_USER] or "", values[_KEY] or "", values[_PROVIDER], values[_MODEL])
        _add(hours, key, _measures(values))
    days: Sums = {}
    months: Sums = {}
    totals: Sums = {}
    for key, sums in hours.items():
        _add(days, (_day(key[0]), *key[1:]), sums)
        _add(totals, (key[0], *key[3:]), sums)
    for key, sums in days.items():
        _add(months, (key[0][:8] + "01", *key[1:]), sums)
    # The totals' few rows are every worker's: last, so that they are locked for the shortest time.
    return {
        "hourly_usage": _sorted(hours),
        "daily_usage": _sorted(days),
        "monthly_usage": _sorted(months),
        "hourly_totals": _sorted(totals),
    }


def _measures(values: tuple[Any, ...]) -> list[int]:
    """In the order of `ledger.tables.MEASURES`."""
    call = values[_KIND] != "attempt"
    cost = values[_COST]
    return [
        1,
        int(call),
        int(call and values[_STATUS] in ("error", "lost")),
        int(values[_ESTIMATED]),
        int(cost is None),
        *values[_TOKENS],
        values[_DURATION],
        cost or 0,
    ]


def _add(sums: Sums, key: tuple[Any, ...], measures: list[int]) -> None:
    there = sums.get(key)
    sums[key] = list(measures) if there is None else [a + b for a, b in zip(there, measures, strict=True)]


def _day(hour_us: int) -> str:
    return datetime.fromtimestamp(hour_us // 1_000_000, UTC).date().isoformat()


def _sorted(sums: Sums) -> list[tuple[Any, ...]]:
    return [(*key, *sums[key]) for key in sorted(sums)]
