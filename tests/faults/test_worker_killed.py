"""Line 2: the worker dies between insert and commit, between commit and ack; two workers fight over one batch.

The moments are real: a lock on the receipts, which are written last, holds the transaction open after its inserts; a
Redis that stands still keeps the ack of a committed batch from being taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.deployment import until
from tests.faults.cluster import Cluster
from tests.faults.sizes import SIZE
from tests.faults.verdict import Counts, judge
from tests.services import PostgresServer, RedisServer

Note = Callable[[Counts], None]
Servers = tuple[RedisServer, PostgresServer]
_LOOP_SECONDS = 60.0 if SIZE.long else 3.0


@contextmanager
def held_before_commit(cluster: Cluster) -> Iterator[None]:
    """Inside, a worker has inserted a batch and cannot commit."""
    with psycopg.connect(cluster.database_url, autocommit=True) as connection, connection.transaction():
        connection.execute("LOCK TABLE usage_receipts IN EXCLUSIVE MODE")
        until(lambda: _waiting(cluster) > 0, "a worker waits for the lock")
        yield


def _waiting(cluster: Cluster) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'tollgate'"
    [(count,)] = cluster.sql(query)
    return int(count)


def _events(cluster: Cluster) -> int:
    [(count,)] = cluster.sql("SELECT count(*) FROM usage_events")
    return int(count)


def _kill_before_commit(cluster: Cluster, _redis: RedisServer) -> None:
    with held_before_commit(cluster):
        before = _events(cluster)
        cluster.worker.kill()
    assert _events(cluster) == before, "it had committed"


def _kill_before_ack(cluster: Cluster, redis: RedisServer) -> None:
    with held_before_commit(cluster):
        before = _events(cluster)
        redis.pause()
    until(lambda: _events(cluster) > before, "the batch is committed")
    cluster.worker.kill()
    redis.resume()


@pytest.mark.parametrize(
    ("where", "kill"), [("insert and commit", _kill_before_commit), ("commit and ack", _kill_before_ack)]
)
def test_killed_in_a_loop(
    cluster: Cluster,
    package_servers: Servers,
    note: Note,
    where: str,
    kill: Callable[[Cluster, RedisServer], None],
) -> None:
    kills = 0
    with cluster.load(seconds=_LOOP_SECONDS) as load:
        end = time.monotonic() + _LOOP_SECONDS * 0.8
        while time.monotonic() < end:
            kill(cluster, package_servers[0])
            kills += 1
            before = _events(cluster)
            cluster.worker.start()
            # The next death is another batch's: one that is always at hand when the worker dies is taken for the cause.
            until(lambda before=before: _events(cluster) > before, "the worker gets on")  # type: ignore[misc]
    counts = judge(cluster, load, f"2 worker killed between {where}", seconds=SIZE.settle)
    note(counts)
    assert kills >= (5 if SIZE.long else 1)
    assert counts.answered == SIZE.calls
    assert counts.lost == 0


def test_two_workers_fight_over_one_batch(cluster: Cluster, note: Note) -> None:
    """Of the same name, the second is given what the first has inserted and not acknowledged."""
    cluster.worker.stop()
    rivals = [cluster.another_worker(f"rival-{number}", consumer="the-same") for number in range(2)]
    fights = 0
    with cluster.load(seconds=_LOOP_SECONDS) as load:
        end = time.monotonic() + _LOOP_SECONDS * 0.8
        while time.monotonic() < end:
            rivals[0].start()
            with held_before_commit(cluster):
                rivals[1].start()
                until(lambda: _waiting(cluster) == 2, "both have the batch")
            fights += 1
            for rival in rivals:
                rival.stop()
    rivals[0].start()
    try:
        counts = judge(cluster, load, "2 two workers, one batch", seconds=SIZE.settle)
    finally:
        rivals[0].stop()
        cluster.worker.start()
    note(counts)
    assert fights >= (5 if SIZE.long else 1)
    assert counts.answered == SIZE.calls
    assert counts.lost == 0
