"""Sums from rollups equal sums over the events, wherever the bounds fall and whatever the zone."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from ledger.filters import UsageFilter
from ledger.summaries import GroupBy, Totals, added, series, summary, totals
from tests.usage_worker.events import NOON, save, usage_event
from usage_contract.event import Caller, Tokens, UsageEvent
from usage_worker.retention import drop_before

SEOUL, KOLKATA, NEW_YORK = ZoneInfo("Asia/Seoul"), ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")
SANTIAGO = ZoneInfo("America/Santiago")


def _time_of(event: UsageEvent) -> datetime:
    return datetime.fromtimestamp(int(event.event_id.replace("-", "")[:12], 16) / 1000, UTC)


def _key(event: UsageEvent, by: tuple[GroupBy, ...]) -> tuple[str | None, ...]:
    caller = event.caller
    values = {"user_id": caller.user_id, "key_id": caller.key_id, "provider": event.provider}
    values |= {"model": event.model_used, "session_id": caller.session_id}
    values |= {"end_user": caller.end_user}
    return tuple(values[name] for name in by)


def _totals(events: list[UsageEvent]) -> Totals:
    """The definition, without SQL."""
    calls = [event for event in events if event.kind != "attempt"]
    tokens = {name: sum(getattr(event.tokens, name) for event in events) for name in Tokens.__dataclass_fields__}
    return Totals(
        events=len(events),
        calls=len(calls),
        errors=sum(event.status in ("error", "lost") for event in calls),
        estimated=sum(event.estimated for event in events),
        unpriced=sum(event.cost_pico is None for event in events),
        tokens=Tokens(**tokens),
        duration_us=sum(event.duration_us for event in events),
        cost_pico=sum(event.cost_pico or 0 for event in events),
    )


@pytest.fixture
def events(ledger: Engine) -> list[UsageEvent]:
    """Half a year, thin, with every kind of row."""
    source = random.Random(1)
    start = datetime(2026, 5, 20, tzinfo=UTC)
    found = []
    for number in range(400):
        at = start + timedelta(milliseconds=source.randrange(185 * 86_400_000))
        kind, status = source.choice([("final", "success"), ("final", "error"), ("attempt", "error"), ("lost", "lost")])
        caller = Caller() if number % 17 == 0 else usage_event(number).caller
        changes: dict[str, Any] = {"kind": kind, "status": status, "estimated": number % 5 == 0, "caller": caller}
        changes["cost_pico"] = None if number % 7 == 0 else source.randrange(10**15)
        found.append(usage_event(number, at, **changes))
    save(ledger, found, datetime(2026, 12, 1, tzinfo=UTC))
    return found


def _within(events: list[UsageEvent], start: datetime | None, end: datetime | None) -> list[UsageEvent]:
    return [
        event
        for event in events
        if (start is None or _time_of(event) >= start) and (end is None or _time_of(event) < end)
    ]


def test_totals_between_any_two_moments(ledger: Engine, events: list[UsageEvent]) -> None:
    source = random.Random(2)
    whole = datetime(2026, 5, 1, tzinfo=UTC)
    bounds: list[tuple[datetime | None, datetime | None]] = [(None, None), (whole, None), (None, whole), (NOON, NOON)]
    for _ in range(40):
        a, b = sorted(whole + timedelta(milliseconds=source.randrange(220 * 86_400_000)) for _ in range(2))
        bounds.append((a, b))
    for unit in (timedelta(minutes=30), timedelta(hours=1), timedelta(days=1), timedelta(days=31)):
        bounds += [(whole + unit * n, whole + unit * (n + 3)) for n in range(0, 5)]
    for start, end in bounds:
        inside = _within(events, start, end)
        assert totals(ledger, UsageFilter(start=start, end=end)) == _totals(inside), (start, end)
        of_one = [event for event in inside if event.caller.user_id == "user-1"]
        assert totals(ledger, UsageFilter(start=start, end=end, user_id="user-1")) == _totals(of_one), (start, end)


@pytest.mark.parametrize(
    "by",
    [
        (),
        ("user_id",),
        ("key_id", "model"),
        ("provider",),
        ("model",),
        ("session_id",),
        ("user_id", "end_user"),
        ("user_id", "key_id", "provider", "model"),
    ],
)
def test_a_summary_by_anything(ledger: Engine, events: list[UsageEvent], by: tuple[GroupBy, ...]) -> None:
    start, end = datetime(2026, 6, 15, 7, 20, tzinfo=UTC), datetime(2026, 9, 3, 5, tzinfo=UTC)
    expected: dict[tuple[str | None, ...], list[UsageEvent]] = defaultdict(list)
    for event in _within(events, start, end):
        expected[_key(event, by)].append(event)
    groups = summary(ledger, UsageFilter(start=start, end=end), by)
    assert {tuple(getattr(group, name) for name in by): group.totals for group in groups} == {
        key: _totals(found) for key, found in expected.items()
    }
    costs = [group.totals.cost_pico for group in groups]
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize(
    "wanted",
    [
        UsageFilter(user_id="user-1"),
        UsageFilter(key_id="key-3", model="GPT-4o-mini-1"),  # letters count in either case
        UsageFilter(provider="openai", user_id="user-2"),
        UsageFilter(session_id="session-2"),
        UsageFilter(kind="lost"),
        UsageFilter(provider="nobody"),
    ],
    ids=range(6),
)
def test_filters_that_rollups_know_and_those_they_do_not(
    ledger: Engine, events: list[UsageEvent], wanted: UsageFilter
) -> None:
    matching = [
        event
        for event in events
        if wanted.user_id in (None, event.caller.user_id)
        and wanted.key_id in (None, event.caller.key_id)
        and wanted.session_id in (None, event.caller.session_id)
        and (wanted.model is None or wanted.model.lower() == event.model_used)
        and wanted.provider in (None, event.provider)
        and wanted.kind in (None, event.kind)
    ]
    assert totals(ledger, wanted) == _totals(matching)


def _local_start(moment: datetime, bucket: str, zone: tzinfo) -> datetime:
    """The definition: walk back minute by minute while the local day (or month) stays the same."""
    unit = {"day": "%Y-%m-%d", "month": "%Y-%m"}[bucket]
    moment = moment.replace(second=0, microsecond=0)
    name = moment.astimezone(zone).strftime(unit)
    step = timedelta(hours=6)
    while step >= timedelta(minutes=1):
        while (moment - step).astimezone(zone).strftime(unit) == name:
            moment -= step
        step /= 2
        step = timedelta(minutes=round(step / timedelta(minutes=1)))
    while (moment - timedelta(minutes=1)).astimezone(zone).strftime(unit) == name:
        moment -= timedelta(minutes=1)
    return moment


@pytest.mark.parametrize("zone", [UTC, SEOUL, KOLKATA, NEW_YORK, SANTIAGO], ids=str)
@pytest.mark.parametrize("bucket", ["day", "month"])
@pytest.mark.parametrize("user", [None, "user-1"])
def test_a_series_in_the_reporting_zone(
    ledger: Engine, events: list[UsageEvent], user: str | None, bucket: Any, zone: tzinfo
) -> None:
    expected: dict[datetime, list[UsageEvent]] = defaultdict(list)
    for event in events:
        if user in (None, event.caller.user_id):
            expected[_local_start(_time_of(event), bucket, zone)].append(event)
    start, end = datetime(2026, 5, 10, tzinfo=UTC), datetime(2026, 12, 3, tzinfo=UTC)
    found = series(ledger, UsageFilter(start=start, end=end, user_id=user), bucket, zone=zone)
    assert [group.start for group in found] == sorted(expected)
    assert {group.start: group.totals for group in found} == {at: _totals(part) for at, part in expected.items()}


def test_a_series_by_hour_and_group_with_open_bounds(ledger: Engine, events: list[UsageEvent]) -> None:
    expected: dict[tuple[datetime, str | None], list[UsageEvent]] = defaultdict(list)
    for event in events:
        hour = _time_of(event).replace(minute=0, second=0, microsecond=0)
        expected[hour, event.caller.user_id].append(event)
    found = series(ledger, UsageFilter(), "hour", ("user_id",))
    assert {(group.start, group.user_id): group.totals for group in found} == {
        key: _totals(part) for key, part in expected.items()
    }


def test_bounds_inside_a_bucket_cut_it(ledger: Engine, events: list[UsageEvent]) -> None:
    start, end = datetime(2026, 7, 3, 4, 5, 6, tzinfo=UTC), datetime(2026, 7, 29, 1, 2, tzinfo=UTC)
    found = series(ledger, UsageFilter(start=start, end=end), "month", zone=KOLKATA)
    assert [group.totals for group in found] == [_totals(_within(events, start, end))]
    assert found[0].start == datetime(2026, 6, 30, 18, 30, tzinfo=UTC)


def test_days_of_23_and_25_hours(ledger: Engine) -> None:
    """New York, 2026: the clock jumps ahead on 8 March and back on 1 November."""
    for day, hours in ((datetime(2026, 3, 8, tzinfo=NEW_YORK), 23), (datetime(2026, 11, 1, tzinfo=NEW_YORK), 25)):
        start = day.astimezone(UTC)
        inside = [usage_event(h + start.month * 100, start + timedelta(hours=h, minutes=59)) for h in range(hours)]
        after = usage_event(start.month * 100 + 99, start + timedelta(hours=hours))
        save(ledger, [*inside, after], datetime(2026, 12, 1, tzinfo=UTC))
        wanted = UsageFilter(start=start, end=start + timedelta(hours=hours + 1))
        found = series(ledger, wanted, "day", zone=NEW_YORK)
        assert [(group.start, group.totals.events) for group in found] == [
            (start, hours),
            (start + timedelta(hours=hours), 1),
        ]


def test_a_day_whose_midnight_does_not_exist(ledger: Engine) -> None:
    """Santiago, 6 September 2026: 00:00 becomes 01:00."""
    jump = datetime(2026, 9, 6, 4, tzinfo=UTC)
    save(ledger, [usage_event(1, jump - timedelta(milliseconds=1)), usage_event(2, jump)])
    wanted = UsageFilter(start=jump - timedelta(hours=5), end=jump + timedelta(hours=5))
    found = series(ledger, wanted, "day", zone=SANTIAGO)
    assert [(group.start, group.totals.events) for group in found] == [(jump - timedelta(days=1), 1), (jump, 1)]


def test_nothing_there_and_nothing_asked(ledger: Engine) -> None:
    assert series(ledger, UsageFilter(), "day") == []
    assert summary(ledger, UsageFilter(), ("user_id",)) == []
    assert totals(ledger, UsageFilter()) == Totals()
    save(ledger, [usage_event(1)])
    assert series(ledger, UsageFilter(start=NOON, end=NOON), "day") == []


def test_too_many_buckets_are_refused(ledger: Engine) -> None:
    wanted = UsageFilter(start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="more than 10000 hours"):
        series(ledger, wanted, "hour")


def test_what_the_retention_dropped_is_answered_in_whole_days_and_hours(ledger: Engine) -> None:
    events = [
        usage_event(n, datetime(2026, 9, 10, n % 24, 50, tzinfo=UTC) + timedelta(days=n), caller=Caller(user_id="u"))
        for n in range(60)
    ]
    save(ledger, events, NOON)
    drop_before(ledger, datetime(2026, 10, 1, tzinfo=UTC).date())
    assert totals(ledger, UsageFilter()) == totals(ledger, UsageFilter(user_id="u")) == _totals(events)
    # Inside what is gone: hours of everybody together, days of each user.
    cut = datetime(2026, 9, 15, 5, 40, tzinfo=UTC)
    whole_day = _within(events, datetime(2026, 9, 15, tzinfo=UTC), None)
    assert totals(ledger, UsageFilter(start=cut, user_id="u")) == _totals(whole_day)
    whole_hour = _within(events, datetime(2026, 9, 15, 6, tzinfo=UTC), None)
    assert len(whole_hour) < len(whole_day)
    assert totals(ledger, UsageFilter(start=cut)) == _totals(whole_hour)
    for wanted in (UsageFilter(end=NOON), UsageFilter(end=NOON, user_id="u")):
        assert sum(group.totals.events for group in series(ledger, wanted, "day", zone=SEOUL)) == 60


def test_sums_add_up(ledger: Engine) -> None:
    save(ledger, [usage_event(number) for number in range(20)])
    groups = summary(ledger, UsageFilter(), ("user_id", "model"))
    assert len(groups) == 6
    assert added(group.totals for group in groups) == totals(ledger, UsageFilter())
    assert added([]) == Totals()
