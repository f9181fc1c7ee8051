"""Sums of usage, by period and by who and what, answered from rollups wherever these can answer.

A period is taken apart into whole UTC months, days and hours, which rollups hold, and what is left at its edges, which
is summed from the events. All parts see one moment of the database. A filter or grouping that rollups do not know (a
session, a kind) is answered from the events alone.

Of what the retention dropped (`ledger_state.retained_from`) only days are known, and of all users together hours: there
a bound inside one is moved to the nearest of its ends.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Table, and_, func, or_, select

from ledger.engine import reading
from ledger.filters import UsageFilter, conditions, is_model
from ledger.partitions import midnight, month_of, next_month
from ledger.sums import event_column, event_measures, rollup_measures
from ledger.tables import (
    MEASURES,
    TOKEN_COLUMNS,
    TOTALS_KEYS,
    daily_usage,
    hourly_totals,
    hourly_usage,
    ledger_state,
    monthly_usage,
    rollup_keys,
)
from usage_contract.event import Tokens

GroupBy = Literal["user_id", "key_id", "provider", "model", "session_id", "end_user"]
Bucket = Literal["hour", "day", "month"]
MAX_BUCKETS = 10_000

Span = tuple[datetime, datetime]
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)  # before any event, see usage_worker.decode
_END = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """`events` counts rows; `calls` those that are not an absorbed attempt; `errors` the calls that failed or were
    lost; `unpriced` rows whose cost is unknown and missing in `cost_pico`."""

    events: int = 0
    calls: int = 0
    errors: int = 0
    estimated: int = 0
    unpriced: int = 0
    tokens: Tokens = field(default_factory=Tokens)
    duration_us: int = 0
    cost_pico: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageGroup:
    """Totals of a bucket (`start`; None in a summary) and of what was grouped by; all else, and "none", is None."""

    start: datetime | None = None
    user_id: str | None = None
    key_id: str | None = None
    provider: str | None = None
    model: str | None = None
    session_id: str | None = None
    end_user: str | None = None
    totals: Totals


def totals(engine: Engine, wanted: UsageFilter) -> Totals:
    """Everything that matches, in one sum."""
    groups = summary(engine, wanted)
    return groups[0].totals if groups else Totals()


def totals_on(connection: Connection, wanted: UsageFilter) -> Totals:
    """The same, in the view of a connection."""
    bounds = [wanted.start or _BEGINNING, wanted.end or _END]
    found = _sums(connection, wanted, bounds, ())
    groups = [_group(None, (), (), measures) for measures in found.values()]
    return groups[0].totals if groups else Totals()


def added(parts: Iterable[Totals]) -> Totals:
    """One sum of several."""
    all_parts = list(parts)
    amounts = [spec.name for spec in fields(Totals) if spec.name != "tokens"]
    tokens = {spec.name: sum(getattr(part.tokens, spec.name) for part in all_parts) for spec in fields(Tokens)}
    return Totals(tokens=Tokens(**tokens), **{name: sum(getattr(part, name) for part in all_parts) for name in amounts})


def summary(engine: Engine, wanted: UsageFilter, by: Sequence[GroupBy] = ()) -> list[UsageGroup]:
    """Sums by user, key, provider, model or session; the most expensive first. Groups without rows are not there."""
    with reading(engine) as connection:
        bounds = [wanted.start or _BEGINNING, wanted.end or _END]
        found = _sums(connection, wanted, bounds, by)
    groups = [_group(None, by, keys, measures) for (_, *keys), measures in found.items()]
    return sorted(groups, key=lambda group: (-group.totals.cost_pico, -group.totals.events, _names(group)))


def series(
    engine: Engine, wanted: UsageFilter, bucket: Bucket, by: Sequence[GroupBy] = (), zone: tzinfo = UTC
) -> list[UsageGroup]:
    """Sums of each hour, day or month of the reporting zone, ascending. A day is 23 or 25 hours long where the clock
    changes; hours are UTC's. Buckets without rows are not there.

    Raises ValueError when `start` and `end` are more than MAX_BUCKETS apart.
    """
    with reading(engine) as connection:
        span = _known_span(connection, wanted)
        if span is None:
            return []
        starts = list(_starts(*span, bucket, zone))
        inner = [start for start in starts if span[0] < start < span[1]]
        found = _sums(connection, wanted, [span[0], *inner, span[1]], by)
    groups = [_group(starts[at], by, keys, measures) for (at, *keys), measures in found.items()]
    return sorted(groups, key=lambda group: (group.start, -group.totals.cost_pico, _names(group)))


def _known_span(connection: Connection, wanted: UsageFilter) -> Span | None:
    """The filter's bounds; open ones from the days that are there."""
    start, end = wanted.start, wanted.end
    if start is None or end is None:
        first, last = connection.execute(select(func.min(daily_usage.c.day), func.max(daily_usage.c.day))).one()
        if first is None:
            return None
        start, end = start or midnight(first), end or midnight(last) + _DAY
    return (start.astimezone(UTC), end.astimezone(UTC)) if start < end else None


def _starts(start: datetime, end: datetime, bucket: Bucket, zone: tzinfo) -> Iterator[datetime]:
    """Starts of the buckets that [start, end) touches, as UTC."""
    count = 0
    at = _floor(start, bucket, zone)
    while at < end:
        count += 1
        if count > MAX_BUCKETS:
            raise ValueError(f"more than {MAX_BUCKETS} {bucket}s: choose a shorter time or a longer bucket")
        yield at
        at = _next(at, bucket, zone)


def _floor(moment: datetime, bucket: Bucket, zone: tzinfo) -> datetime:
    if bucket == "hour":
        return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    local = moment.astimezone(zone)
    return _local_midnight(date(local.year, local.month, local.day if bucket == "day" else 1), zone)


def _next(start: datetime, bucket: Bucket, zone: tzinfo) -> datetime:
    if bucket == "hour":
        return start + _HOUR
    # Noon, since midnight is not on every day, and the hours before it may be repeated.
    day = (start + _HOUR * 12).astimezone(zone).date()
    return _local_midnight(day + _DAY if bucket == "day" else next_month(day), zone)


def _local_midnight(day: date, zone: tzinfo) -> datetime:
    """The first moment of a day. Where the clock jumps over midnight, that is the moment of the jump."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _snapped(connection: Connection, bounds: list[datetime], *, to_hours: bool) -> list[datetime]:
    cutoff: datetime | None = connection.scalar(select(ledger_state.c.retained_from))
    table, half = (hourly_totals, _HOUR / 2) if to_hours else (daily_usage, _DAY / 2)
    return [b if cutoff is None or b >= cutoff else _period_start(table, b + half) for b in bounds]


Sums = dict[tuple[Any, ...], list[int]]


class _Tally:
    """Measures by (index of the span between two bounds, group keys), while they come in part by part."""

    def __init__(self, bounds: list[datetime], width: int) -> None:
        self.sums: Sums = {}
        self.one_bucket = len(bounds) == 2
        self._bounds = bounds
        self._width = width
        self._owners: dict[datetime, int] = {}

    def split_days(self, left: list[Span]) -> tuple[list[Span], list[Span]]:
        """Days that two neighbouring spans share without remainder: as whole days, and what is left of the spans.

        The day is given to the span with the larger part; the smaller part is added to its own span and taken off the
        larger one's. In a zone away from UTC that is most of a series, and at least halves the hours to be read.
        """
        days: list[Span] = []
        rest: list[Span] = []
        for span in left:
            before = rest[-1] if rest else None
            if before and before[1] == span[0] and span[1] - before[0] == _DAY and _is_midnight(before[0]):
                larger, smaller = sorted((rest.pop(), span), key=lambda part: part[0] - part[1])
                self._owners[before[0]] = self._index(larger[0])
                days.append((before[0], span[1]))
                rest.append(smaller)
            else:
                rest.append(span)
        return days, rest

    def add_day(self, day: datetime, values: list[Any]) -> None:
        self._add(self._owners.get(day, self._index(day)), values, 1)

    def add_part(self, moment: datetime, values: list[Any]) -> None:
        """Of a month, an hour or events: what is not a whole day."""
        self._add(self._index(moment), values, 1)
        owner = self._owners.get(_period_start(daily_usage, moment))
        if owner is not None:
            self._add(owner, values, -1)

    def _index(self, moment: datetime) -> int:
        return bisect_right(self._bounds, moment) - 1

    def _add(self, at: int, values: list[Any], sign: int) -> None:
        key = (at, *(value or None for value in values[: self._width]))
        measures = [sign * int(value) for value in values[self._width :]]
        there = self.sums.get(key)
        self.sums[key] = measures if there is None else [a + b for a, b in zip(there, measures, strict=True)]


def _sums(connection: Connection, wanted: UsageFilter, bounds: list[datetime], by: Sequence[GroupBy]) -> Sums:
    """Measures by (index of the span between two bounds, group keys)."""
    only_totals = _only_totals(wanted, by)
    bounds = _snapped(connection, bounds, to_hours=only_totals)
    left = [(a, b) for a, b in pairwise(bounds) if a < b]
    tally = _Tally(bounds, len(by))
    if only_totals:
        months, left = _carved(left, monthly_usage)
        hours, left = _carved(left, hourly_totals)
        _add_rollup(connection, tally, monthly_usage, months, wanted, by)
        _add_rollup(connection, tally, hourly_totals, hours, wanted, by)
    elif wanted.fits_rollups and not {"session_id", "end_user"} & set(by):
        months, left = _carved(left, monthly_usage)
        days, left = _carved(left, daily_usage)
        shared, left = tally.split_days(left)
        hours, left = _carved(left, hourly_usage)
        _add_rollup(connection, tally, monthly_usage, months, wanted, by)
        _add_rollup(connection, tally, daily_usage, sorted(days + shared), wanted, by)
        _add_rollup(connection, tally, hourly_usage, hours, wanted, by)
    for span in left:
        _add_events(connection, tally, span, wanted, by)
    return {key: measures for key, measures in tally.sums.items() if measures[0]}


def _only_totals(wanted: UsageFilter, by: Sequence[GroupBy]) -> bool:
    """Whether users and keys need not be told apart."""
    nobody = wanted.user_id is None and wanted.key_id is None
    return wanted.fits_rollups and nobody and set(by) <= set(TOTALS_KEYS)


def _add_rollup(
    connection: Connection, tally: _Tally, table: Table, spans: list[Span], wanted: UsageFilter, by: Sequence[GroupBy]
) -> None:
    if not spans:
        return
    period = table.columns[0]
    inside = [
        and_(period >= _as_period(table, start), period < _as_period(table, end)) for start, end in _merged(spans)
    ]
    named = [(name, getattr(wanted, name)) for name in rollup_keys(table)]
    same = [
        is_model(table.c.model, value) if name == "model" else table.c[name] == value
        for name, value in named
        if value is not None
    ]
    keys = [table.c[name] for name in by]
    when = [] if tally.one_bucket else [period]
    query = select(*when, *keys, *rollup_measures(table)).where(or_(*inside), *same).group_by(*when, *keys)
    add = tally.add_day if table is daily_usage else tally.add_part
    for row in connection.execute(query):
        values = list(row)
        add(spans[0][0] if tally.one_bucket else _as_moment(values.pop(0)), values)


def _add_events(connection: Connection, tally: _Tally, span: Span, wanted: UsageFilter, by: Sequence[GroupBy]) -> None:
    within = replace(wanted, start=span[0], end=span[1])
    keys = [event_column(name) for name in by]
    for row in connection.execute(select(*keys, *event_measures()).where(*conditions(within)).group_by(*keys)):
        tally.add_part(span[0], list(row))


def _carved(spans: list[Span], table: Table) -> tuple[list[Span], list[Span]]:
    """What of the spans is whole periods of the table, and what is left at their edges."""
    whole: list[Span] = []
    left: list[Span] = []
    for start, end in spans:
        first, last = _period_start(table, start), _period_start(table, end)
        if first < start:
            first = _period_end(table, first)
        if first < last:
            whole.append((first, last))
            left += [edge for edge in ((start, first), (last, end)) if edge[0] < edge[1]]
        else:
            left.append((start, end))
    return whole, left


def _period_start(table: Table, moment: datetime) -> datetime:
    if table is monthly_usage:
        return midnight(month_of(moment))
    moment = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return moment.replace(hour=0) if table is daily_usage else moment


def _period_end(table: Table, start: datetime) -> datetime:
    if table is monthly_usage:
        return midnight(next_month(start.date()))
    return start + (_DAY if table is daily_usage else _HOUR)


def _merged(spans: list[Span]) -> list[Span]:
    """Neighbours as one: the days of a month are one range for the database."""
    merged: list[Span] = []
    for start, end in spans:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def _as_period(table: Table, moment: datetime) -> datetime | date:
    return moment.date() if table in (daily_usage, monthly_usage) else moment


def _is_midnight(moment: datetime) -> bool:
    return moment == _period_start(daily_usage, moment)


def _as_moment(period: datetime | date) -> datetime:
    return period if isinstance(period, datetime) else midnight(period)


def _group(
    start: datetime | None, by: Sequence[GroupBy], keys: Sequence[str | None], measures: list[int]
) -> UsageGroup:
    amounts = dict(zip(MEASURES, measures, strict=True))
    tokens = Tokens(**{name: amounts.pop(column) for name, column in TOKEN_COLUMNS.items()})
    return UsageGroup(start=start, totals=Totals(tokens=tokens, **amounts), **dict(zip(by, keys, strict=True)))


def _names(group: UsageGroup) -> tuple[str, ...]:
    names = ("user_id", "key_id", "provider", "model", "session_id", "end_user")
    return tuple(getattr(group, name) or "" for name in names)
