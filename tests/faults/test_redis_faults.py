"""Line 3: Redis dies, forgets, stands still, is full, or breaks connections: every call is answered all the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from redis import Redis

from tests.faults.cluster import Cluster
from tests.faults.proxy import FaultyProxy
from tests.faults.sizes import SIZE
from tests.faults.verdict import Counts, judge
from tests.replay import Upstream
from tests.services import PostgresServer, RedisServer, running

Note = Callable[[Counts], None]
_PERSISTENT = ("--appendonly", "yes", "--appendfsync", "everysec")


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster that reaches Redis through a proxy, behind which stands the plain server or the persistent one."""

    cluster: Cluster
    proxy: FaultyProxy
    plain: RedisServer
    persistent: RedisServer

    def command(self, *words: str | int) -> None:
        with Redis(port=self.plain.port, socket_timeout=5) as redis:
            redis.execute_command(*words)

    def stand_behind(self, server: RedisServer) -> None:
        self.proxy.target = server.port
        self.proxy.reset()


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    module_servers: tuple[RedisServer, PostgresServer],
    module_upstream: Upstream,
) -> Iterator[Place]:
    plain, postgres = module_servers
    folder = tmp_path_factory.mktemp("cluster")
    with running(RedisServer, *_PERSISTENT) as persistent, FaultyProxy(plain.port) as proxy:
        assert isinstance(persistent, RedisServer)
        with Cluster(folder, module_upstream, database_url=postgres.url, redis_url=proxy.url) as cluster:
            yield Place(cluster, proxy, plain, persistent)
            done = cluster.verify()
            assert done.returncode == 0, done.stdout + done.stderr


def _killed(place: Place) -> None:
    place.plain.kill()
    time.sleep(SIZE.pause / 4)
    place.plain.start()


def _killed_with_aof(place: Place) -> None:
    place.stand_behind(place.persistent)
    time.sleep(SIZE.pause / 2)
    place.persistent.kill()
    time.sleep(SIZE.pause / 4)
    place.persistent.start()


def _paused_by_command(place: Place) -> None:
    place.command("CLIENT", "PAUSE", int(SIZE.pause * 1000), "ALL")
    time.sleep(SIZE.pause)


def _stopped(place: Place) -> None:
    place.plain.pause()
    time.sleep(SIZE.pause)
    place.plain.resume()


def _emptied(place: Place) -> None:
    place.command("FLUSHALL")
    time.sleep(SIZE.pause / 4)
    place.command("FLUSHALL")


def _full(place: Place) -> None:
    place.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    place.command("CONFIG", "SET", "maxmemory", "1")
    time.sleep(SIZE.pause)
    place.command("CONFIG", "SET", "maxmemory", "0")


def _cut_in_replies(place: Place) -> None:
    before = place.proxy.cuts
    place.proxy.cut_every = 5
    time.sleep(SIZE.pause)
    place.proxy.cut_every = 0
    assert place.proxy.cuts > before, "no reply was cut: this proves nothing"


FAULTS = {
    "killed": _killed,
    "killed, with AOF": _killed_with_aof,
    "CLIENT PAUSE": _paused_by_command,
    "SIGSTOP": _stopped,
    "FLUSHALL": _emptied,
    "maxmemory": _full,
    "connections cut in replies": _cut_in_replies,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_redis(place: Place, note: Note, fault: str) -> None:
    place.stand_behind(place.plain)
    with place.cluster.load(seconds=SIZE.pause * 1.5) as load:
        load.reached(0.2)
        FAULTS[fault](place)
    counts = judge(place.cluster, load, f"3 Redis {fault}", seconds=SIZE.settle)
    note(counts)
    assert counts.answered == SIZE.calls
    assert counts.lost == 0
