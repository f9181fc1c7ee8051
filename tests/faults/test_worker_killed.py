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

from tests.deployment import Process
from tests.faults.cluster import PEERS_IDLE, Cluster, until
from tests.faults.counts import Counts
from tests.faults.sizes import SIZE
from tests.faults.verdict import judge
from tests.services import PostgresServer, RedisServer

Note = Callable[[Counts], None]
Servers = tuple[RedisServer, PostgresServer]
_LOOP_SECONDS = 60.0 if SIZE.long else 3.0
# Deaths after which an entry is tried alone: few, so that the short form gets there, too.
_DEATHS = 10 if SIZE.long else 1


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


def _kill_before_commit(cluster: Cluster, worker: Process, _redis: RedisServer) -> None:
    with held_before_commit(cluster):
        before = _events(cluster)
        worker.kill()
    assert _events(cluster) == before, "it had committed"


def _kill_before_ack(cluster: Cluster, worker: Process, redis: RedisServer) -> None:
    with held_before_commit(cluster):
        before = _events(cluster)
        redis.pause()
    until(lambda: _events(cluster) > before, "the batch is committed")
    worker.kill()
    redis.resume()


@pytest.mark.parametrize(
    ("where", "kill", "least"),
    [("insert and commit", _kill_before_commit, _DEATHS + 1), ("commit and ack", _kill_before_ack, 1)],
)
def test_killed_in_a_loop(
    cluster: Cluster,
    package_servers: Servers,
    note: Note,
    where: str,
    kill: Callable[[Cluster, Process, RedisServer], None],
    least: int,
) -> None:
    """No kill waits for the worker to have got anything through since the last one."""
    cluster.worker.stop()
    victim = cluster.another_worker("victim", "--max-deliveries", str(_DEATHS))
    kills = 0
    try:
        with cluster.load(seconds=_LOOP_SECONDS) as load, load.meanwhile():
            end = time.monotonic() + _LOOP_SECONDS * 0.8
            while time.monotonic() < end or kills < least:
                victim.start()
                kill(cluster, victim, package_servers[0])
                kills += 1
        victim.start()
        counts = judge(cluster, load, f"2 worker killed between {where}", seconds=SIZE.settle)
    finally:
        victim.stop()
        cluster.worker.start()
    note(counts)
    assert least == 1 or "tried one by one" in victim.log.read_text(encoding="utf-8")
    assert counts.answered == SIZE.calls, load.unanswered()
    assert counts.lost == 0


def test_one_dies_for_ever_and_another_takes_over(cluster: Cluster, note: Note) -> None:
    cluster.worker.stop()
    doomed = cluster.another_worker("doomed")
    with cluster.load() as load:
        load.reached(0.3)
        doomed.start()
        with load.meanwhile(), held_before_commit(cluster):
            doomed.kill()
        assert cluster.pending("doomed") > 0
        cluster.worker.start()
    counts = judge(cluster, load, "2 worker gone for ever", seconds=SIZE.settle)
    note(counts)
    assert cluster.pending("doomed") == 0
    assert counts.answered == SIZE.calls, load.unanswered()
    assert counts.lost == 0


def _given_the_same(cluster: Cluster, rivals: list[Process]) -> None:
    """Of the same name, the second is given what the first has inserted and not acknowledged."""
    rivals[1].start()
    until(lambda: _waiting(cluster) == 2, "both have the batch")


def _taken_over(cluster: Cluster, rivals: list[Process]) -> None:
    """Of another name, the second takes what the first has had in hand for too long."""
    until(lambda: cluster.pending("rival-0", idle=PEERS_IDLE) > 0, "the first has it for long")
    rivals[1].start()
    until(lambda: cluster.pending("rival-1") > 0, "the second has taken it over")
    until(lambda: _waiting(cluster) == 2, "both have the batch")


@pytest.mark.parametrize(
    ("how", "join", "names"),
    [("given", _given_the_same, ("rival", "rival")), ("taken over", _taken_over, ("rival-0", "rival-1"))],
)
def test_two_workers_fight_over_one_batch(
    cluster: Cluster, note: Note, how: str, join: Callable[[Cluster, list[Process]], None], names: tuple[str, str]
) -> None:
    cluster.worker.stop()
    rivals = [cluster.another_worker(f"{how}-{number}", consumer=name) for number, name in enumerate(names)]
    fights = 0
    try:
        with cluster.load(seconds=_LOOP_SECONDS) as load, load.meanwhile():
            end = time.monotonic() + _LOOP_SECONDS * 0.8
            while time.monotonic() < end or not fights:
                rivals[0].start()
                with held_before_commit(cluster):
                    join(cluster, rivals)
                fights += 1
                for rival in rivals:
                    rival.stop()
        rivals[0].start()
        counts = judge(cluster, load, f"2 two workers, one batch {how}", seconds=SIZE.settle)
    finally:
        for rival in rivals:
            rival.stop()
        cluster.worker.start()
    note(counts)
    assert counts.answered == SIZE.calls, load.unanswered()
    assert counts.lost == 0
