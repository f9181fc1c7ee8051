"""Column types: aware UTC times and whole numbers on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import StatementError

from ledger.tables import (
    MEASURES,
    TOKEN_COLUMNS,
    daily_usage,
    from_us,
    hourly_usage,
    to_us,
    usage_events,
    usage_receipts,
)
from usage_contract.event import Tokens


def test_microseconds_there_and_back_exactly() -> None:
    moment = datetime(2026, 11, 20, 12, 30, 15, 999_999, tzinfo=UTC)
    assert from_us(to_us(moment)) == moment
    assert to_us(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert to_us(moment.astimezone(timezone(timedelta(hours=9)))) == to_us(moment)
    with pytest.raises(ValueError, match="time zone"):
        to_us(datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_time_in_another_zone_comes_back_as_utc(ledger: Engine) -> None:
    seoul = datetime(2026, 11, 20, 0, 30, 0, 1, tzinfo=timezone(timedelta(hours=9)))
    values = {"producer": "p", "segment": 1, "stored": 0, "dead_lettered": 0, "updated_at": seoul}
    with ledger.begin() as connection:
        connection.execute(insert(usage_receipts).values(values))
        there, empty = connection.execute(select(usage_receipts.c.updated_at, usage_receipts.c.first_event_at)).one()
    assert there == seoul
    assert there.tzinfo is UTC
    assert empty is None


def test_a_naive_time_is_refused(ledger: Engine) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(StatementError, match="time zone"), ledger.begin() as connection:
        connection.execute(select(usage_receipts).where(usage_receipts.c.updated_at > naive))


def test_a_sum_of_money_is_an_int_and_the_period_a_date_or_an_aware_time(ledger: Engine) -> None:
    keys = {"user_id": "", "key_id": "", "provider": "p", "model": "m"}
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    measures = dict.fromkeys(MEASURES, 1) | {"cost_pico": 9_223_372_036_854_775_807}
    with ledger.begin() as connection:
        connection.execute(insert(hourly_usage).values(hour=noon, **keys, **measures))
        connection.execute(insert(daily_usage).values(day=noon.date(), **keys, **measures))
        assert connection.scalar(select(hourly_usage.c.hour)) == noon
        cost = connection.scalar(select(daily_usage.c.cost_pico))
        assert connection.scalar(select(daily_usage.c.day)) == noon.date()
    assert type(cost) is int
    assert cost == 9_223_372_036_854_775_807


def test_every_token_class_of_the_contract_has_a_column() -> None:
    assert list(TOKEN_COLUMNS) == list(Tokens.__dataclass_fields__)
    assert set(TOKEN_COLUMNS.values()) < set(usage_events.columns.keys())
