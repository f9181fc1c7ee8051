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
    cluster: Cluster, redis_proxy: FaultyProxy, package_servers: tuple[RedisServer, PostgresServer]
) -> Iterator[Place]:
    with running(RedisServer, *_PERSISTENT) as persistent:
        assert isinstance(persistent, RedisServer)
        place = Place(cluster, redis_proxy, package_servers[0], persistent)
        yield place
        place.stand_behind(place.plain)


def _killed(place: Place) -> None:
    place.plain.kill()
    time.sleep(SIZE.trouble / 4)
    place.plain.start()


def _killed_with_aof(place: Place) -> None:
    place.stand_behind(place.persistent)
    time.sleep(SIZE.trouble / 2)
    place.persistent.kill()
    time.sleep(SIZE.trouble / 4)
    place.persistent.start()


def _paused_by_command(place: Place) -> None:
    place.command("CLIENT", "PAUSE", int(SIZE.still * 1000), "ALL")
    time.sleep(SIZE.still)


def _stopped(place: Place) -> None:
    place.plain.pause()
    time.sleep(SIZE.still)
    place.plain.resume()


def _emptied(place: Place) -> None:
    place.command("FLUSHALL")
    time.sleep(SIZE.trouble / 4)
    place.command("FLUSHALL")


def _full(place: Place) -> None:
    place.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    place.command("CONFIG", "SET", "maxmemory", "1")
    time.sleep(SIZE.trouble)
    place.command("CONFIG", "SET", "maxmemory", "0")


def _cut_in_replies(place: Place) -> None:
    before = place.proxy.cuts
    place.proxy.cut_every = 5
    time.sleep(SIZE.trouble)
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
STANDING = ("CLIENT PAUSE", "SIGSTOP")


@pytest.mark.parametrize("fault", FAULTS)
def test_redis(place: Place, note: Note, fault: str) -> None:
    place.stand_behind(place.plain)
    lasting = SIZE.still if fault in STANDING else SIZE.trouble
    with place.cluster.load(seconds=lasting * 1.5) as load:
        load.reached(0.2)
        FAULTS[fault](place)
    counts = judge(place.cluster, load, f"3 Redis {fault}", seconds=SIZE.settle)
    note(counts)
    assert counts.answered == SIZE.calls, load.unanswered()
    assert counts.lost == 0
