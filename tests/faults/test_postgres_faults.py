"""Line 4: Postgres dies, stands still, refuses, deadlocks or is full: every call is answered, and billed later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from tests.faults.cluster import Cluster, until
from tests.faults.counts import Counts
from tests.faults.load import Load
from tests.faults.sizes import SIZE
from tests.faults.verdict import judge
from tests.services import PostgresServer, RedisServer

Note = Callable[[Counts], None]
Servers = tuple[RedisServer, PostgresServer]


def _killed(_cluster: Cluster, postgres: PostgresServer, load: Load) -> None:
    postgres.kill()
    with load.meanwhile():
        time.sleep(SIZE.trouble / 4)
    postgres.start()


def _stopped(_cluster: Cluster, postgres: PostgresServer, load: Load) -> None:
    postgres.stop()
    with load.meanwhile():
        time.sleep(SIZE.trouble / 4)
    postgres.start()


def _paused(_cluster: Cluster, postgres: PostgresServer, load: Load) -> None:
    postgres.pause()
    with load.meanwhile():
        time.sleep(SIZE.still)
    postgres.resume()


def _deadlock(cluster: Cluster, _postgres: PostgresServer, load: Load) -> None:
    """A real one, of which the worker is the victim: it looks for a cycle after a second, we never do."""
    end = time.monotonic() + SIZE.trouble * 0.7
    with load.meanwhile():
        while time.monotonic() < end:
            with _told(cluster, "40P01"), psycopg.connect(cluster.database_url) as connection:
                connection.execute("SET deadlock_timeout = '1h'")
                connection.execute("LOCK TABLE usage_receipts IN EXCLUSIVE MODE")
                until(lambda: _waiting(cluster), "the worker has inserted and waits for the receipts")
                connection.execute("LOCK TABLE usage_events IN ACCESS EXCLUSIVE MODE")


def _waiting(cluster: Cluster) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'tollgate'"
    return bool(cluster.sql(query))


def _serialization(cluster: Cluster, _postgres: PostgresServer, load: Load) -> None:
    with _told(cluster, "40001"), _refusing(cluster, "usage_receipts", "40001"), load.meanwhile():
        time.sleep(SIZE.trouble)


def _disk_full(cluster: Cluster, _postgres: PostgresServer, load: Load) -> None:
    with _told(cluster, "53100"), _refusing(cluster, "usage_events", "53100"), load.meanwhile():
        time.sleep(SIZE.trouble)


@contextmanager
def _refusing(cluster: Cluster, table: str, state: str) -> Iterator[None]:
    """Inside, most inserts into the table fail with that SQLSTATE, some after others of their transaction worked."""
    cluster.sql(
        f"""CREATE OR REPLACE FUNCTION injected_fault() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF random() < 0.9 THEN RAISE EXCEPTION 'injected' USING ERRCODE = '{state}'; END IF;
                RETURN NEW;
            END $$"""
    )
    cluster.sql(
        f"CREATE TRIGGER injected_fault BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION injected_fault()"
    )
    try:
        yield
        until(lambda: _said(cluster, state), f"the worker met {state}")
    finally:
        until(lambda: _dropped(cluster, table), "the trigger is dropped")


def _dropped(cluster: Cluster, table: str) -> bool:
    try:
        cluster.sql(f"DROP TRIGGER injected_fault ON {table}")
    except psycopg.errors.DeadlockDetected:  # it locks one partition after the other, as the worker does
        return False
    return True


def _said(cluster: Cluster, state: str) -> int:
    return cluster.worker.log.read_text(encoding="utf-8").count(state)


@contextmanager
def _told(cluster: Cluster, state: str) -> Iterator[None]:
    """The worker says within the block, or soon after, that it met the SQLSTATE: else nothing was proven."""
    before = _said(cluster, state)
    yield
    until(lambda: _said(cluster, state) > before, f"the worker met {state}")


def _exhausted(cluster: Cluster, _postgres: PostgresServer, load: Load) -> None:
    """Every connection is somebody else's; those of ours are ended."""
    end = time.monotonic() + SIZE.trouble
    ours = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'tollgate'"
    with ExitStack() as stack:
        admin = stack.enter_context(psycopg.connect(cluster.database_url, autocommit=True))
        refused = 0
        stack.enter_context(load.meanwhile())
        while time.monotonic() < end or not refused:
            admin.execute(ours)
            try:
                while True:
                    stack.enter_context(psycopg.connect(cluster.database_url, application_name="greedy"))
            except psycopg.OperationalError:
                refused += 1
                time.sleep(0.1)


FAULTS = {
    "killed": _killed,
    "stopped": _stopped,
    "SIGSTOP": _paused,
    "deadlock": _deadlock,
    "serialization failures": _serialization,
    "disk full": _disk_full,
    "connections exhausted": _exhausted,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_postgres(cluster: Cluster, package_servers: Servers, note: Note, fault: str) -> None:
    with cluster.load(calls=24) as first:  # every gateway has met every caller
        pass
    lasting = SIZE.still if fault == "SIGSTOP" else SIZE.trouble
    with cluster.load(seconds=lasting * 1.5) as load:
        load.reached(0.2)
        FAULTS[fault](cluster, package_servers[1], load)
    counts = judge(cluster, load, f"4 Postgres {fault}", seconds=SIZE.settle)
    note(counts)
    assert first.outcomes()["answered"] == 24
    assert counts.answered == SIZE.calls, load.unanswered()
    assert counts.lost == 0
