"""When a budget's periods begin and end. Pure: the time comes in as an argument.

Periods follow each other without a gap, whether anybody calls or not, so every replica knows the present one by itself.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo

from gateway.accounts.records import Budget, CalendarPeriod, Holding
from gateway.settings.zones import zone_of

_DAY = timedelta(days=1)


def take_up(budget: Budget, now: datetime, since: datetime) -> Holding:
    """Somebody takes up a budget. What was spent `since` counts."""
    return Holding(budget_id=budget.budget_id, started_at=now, since=since, next_reset_at=_end(budget, now, now))


def current(budget: Budget, holding: Holding, now: datetime) -> Holding:
    """The same holding, in the period of `now`."""
    end = holding.next_reset_at
    if end is None or now < end:
        return holding
    if budget.duration_seconds is not None:
        duration = timedelta(seconds=budget.duration_seconds)
        start = end + (now - end) // duration * duration
    elif budget.period is not None:
        start = max(end, _floor(now, budget.period, zone_of(budget.zone)))
    else:
        start = end  # it has no periods any more: this was the last reset
    return replace(holding, started_at=start, since=start, next_reset_at=_end(budget, start, now))


def _end(budget: Budget, start: datetime, now: datetime) -> datetime | None:
    if budget.duration_seconds is not None:
        return start + timedelta(seconds=budget.duration_seconds)
    if budget.period is not None:
        zone = zone_of(budget.zone)
        return _next(_floor(now, budget.period, zone), budget.period, zone)
    return None


def _floor(moment: datetime, period: CalendarPeriod, zone: tzinfo) -> datetime:
    """The beginning of the calendar period that the moment is in; weeks begin on Monday."""
    day = moment.astimezone(zone).date()
    if period == "week":
        day -= _DAY * day.weekday()
    elif period == "month":
        day = day.replace(day=1)
    return _midnight(day, zone)


def _next(start: datetime, period: CalendarPeriod, zone: tzinfo) -> datetime:
    # Noon, since midnight is not on every day, and the hours before it may be repeated.
    day = (start + timedelta(hours=12)).astimezone(zone).date()
    if period == "month":
        day = (day.replace(day=1) + 32 * _DAY).replace(day=1)
    else:
        day += _DAY if period == "day" else 7 * _DAY
    return _midnight(day, zone)


def _midnight(day: date, zone: tzinfo) -> datetime:
    """The first moment of a day. Where the clock jumps over midnight, that is the moment of the jump."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
