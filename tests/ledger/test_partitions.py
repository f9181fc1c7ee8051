"""Monthly partitions on Postgres; on SQLite nothing happens."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from ledger import partitions
from tests.usage_worker.events import save, stored_events, usage_event

NOVEMBER, DECEMBER = date(2026, 11, 1), date(2026, 12, 1)


def test_months_begin_and_end_in_utc() -> None:
    seoul = timezone(timedelta(hours=9))
    assert partitions.month_of(datetime(2026, 12, 1, 8, 59, tzinfo=seoul)) == NOVEMBER
    assert partitions.next_month(NOVEMBER) == DECEMBER
    assert partitions.next_month(DECEMBER) == date(2027, 1, 1)
    assert partitions.midnight(NOVEMBER) == datetime(2026, 11, 1, tzinfo=UTC)


def test_they_are_made_once_and_hold_their_month(postgres_ledger: Engine) -> None:
    for _ in range(2):
        with postgres_ledger.begin() as connection:
            partitions.ensure(connection, [DECEMBER, NOVEMBER])
    with postgres_ledger.connect() as connection:
        assert partitions.existing(connection) == {
            NOVEMBER: "usage_events_y2026m11",
            DECEMBER: "usage_events_y2026m12",
        }
    save(postgres_ledger, [usage_event(1), usage_event(2, datetime(2026, 11, 30, 23, 59, tzinfo=UTC))], _late())
    with postgres_ledger.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM usage_events_y2026m11")).scalar() == 2


def test_a_partition_has_every_index_of_the_table(postgres_ledger: Engine) -> None:
    with postgres_ledger.begin() as connection:
        partitions.ensure(connection, [NOVEMBER])
        indexes = text("SELECT count(*) FROM pg_indexes WHERE tablename = :name")
        names = ("usage_events", "usage_events_y2026m11")
        assert [connection.execute(indexes, {"name": name}).scalar() for name in names] == [4, 4]


def test_workers_may_make_the_same_one_at_once(postgres_ledger: Engine) -> None:
    def make() -> None:
        with postgres_ledger.begin() as connection:
            partitions.ensure(connection, [NOVEMBER, DECEMBER])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with postgres_ledger.connect() as connection:
        assert list(partitions.existing(connection)) == [NOVEMBER, DECEMBER]


def test_making_one_waits_for_nobody_who_reads_or_writes(postgres_ledger: Engine) -> None:
    save(postgres_ledger, [usage_event(1)])
    with postgres_ledger.connect() as reader:
        reader.execute(text("SELECT count(*) FROM usage_events"))
        with postgres_ledger.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '2s'"))
            partitions.ensure(connection, [DECEMBER])


def test_dropping_one_drops_its_rows_and_gives_up_behind_a_long_query(postgres_ledger: Engine) -> None:
    december = usage_event(2, datetime(2026, 12, 1, tzinfo=UTC))
    save(postgres_ledger, [usage_event(1), december], _late())
    with postgres_ledger.connect() as reader:
        reader.execute(text("SELECT count(*) FROM usage_events"))
        with pytest.raises(OperationalError), postgres_ledger.begin() as connection:
            partitions.drop(connection, NOVEMBER)
    with postgres_ledger.begin() as connection:
        partitions.drop(connection, NOVEMBER)
        partitions.drop(connection, NOVEMBER)
    assert stored_events(postgres_ledger) == [december]


def test_sqlite_has_none(sqlite_ledger: Engine) -> None:
    with sqlite_ledger.begin() as connection:
        partitions.ensure(connection, [NOVEMBER])
        assert partitions.existing(connection) == {}


def _late() -> datetime:
    return datetime(2026, 12, 31, tzinfo=UTC)
