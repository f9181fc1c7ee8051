"""Line 3: Redis dies, forgets, stands still, is full, or breaks connections: every call is answered all the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from redis import Redis

from tests.faults.cluster import Cluster
from tests.faults.counts import Counts
from tests.faults.load import Load
from tests.faults.proxy import FaultyProxy
from tests.faults.sizes import SIZE
from tests.faults.verdict import judge
from tests.services import PostgresServer, RedisServer, running

Note = Callable[[Counts], None]
_SPARE = 4.0  # seconds of a pause in which callers must have been served, on a busy machine
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


def _killed(place: Place, load: Load) -> None:
    place.plain.kill()
    with load.meanwhile():
        time.sleep(SIZE.trouble / 4)
    place.plain.start()


def _killed_with_aof(place: Place, load: Load) -> None:
    place.stand_behind(place.persistent)
    time.sleep(SIZE.trouble / 2)
    place.persistent.kill()
    with load.meanwhile():
        time.sleep(SIZE.trouble / 4)
    place.persistent.start()


def _paused_by_command(place: Place, load: Load) -> None:
    """Nothing can end it early: not even CLIENT UNPAUSE is heard."""
    lasting = SIZE.still + _SPARE
    place.command("CLIENT", "PAUSE", int(lasting * 1000), "ALL")
    end = time.monotonic() + lasting
    with load.meanwhile():
        time.sleep(SIZE.still)
    assert load.windows[-1].ended < end, "callers were served, but not all of that meanwhile"


def _stopped(place: Place, load: Load) -> None:
    place.plain.pause()
    with load.meanwhile():
        time.sleep(SIZE.still)
    place.plain.resume()


def _emptied(place: Place, load: Load) -> None:
    place.command("FLUSHALL")
    with load.meanwhile():
        time.sleep(SIZE.trouble / 4)
    place.command("FLUSHALL")


def _full(place: Place, load: Load) -> None:
    place.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    place.command("CONFIG", "SET", "maxmemory", "1")
    with load.meanwhile():
        time.sleep(SIZE.trouble)
    place.command("CONFIG", "SET", "maxmemory", "0")


def _cut_in_replies(place: Place, load: Load) -> None:
    before = place.proxy.cuts
    place.proxy.cut_every = 5
    with load.meanwhile():
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
        FAULTS[fault](place, load)
    counts = judge(place.cluster, load, f"3 Redis {fault}", seconds=SIZE.settle)
    note(counts)
    assert counts.answered == SIZE.calls, load.unanswered()
    assert counts.lost == 0
