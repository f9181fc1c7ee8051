"""Line 6: callers that hang up at any point, and SIGTERM while streams are open."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from gateway.__main__ import GRACE_SECONDS
from tests.faults.cluster import Cluster, until
from tests.faults.load import PLAIN, SHAPES, STREAMS, Leave, provide
from tests.faults.sizes import SIZE
from tests.faults.verdict import Counts, judge, rows
from tests.replay import Gate, Upstream
from tests.services import PostgresServer, RedisServer, fresh_database

Note = Callable[[Counts], None]
ENDED = (0, -signal.SIGTERM)  # uvicorn raises the signal again once everything is closed
Servers = tuple[RedisServer, PostgresServer]


@pytest.mark.parametrize("leave", get_args(Leave))
def test_callers_hang_up(cluster: Cluster, note: Note, leave: Leave) -> None:
    shapes = SHAPES if leave == "at once" else STREAMS
    with cluster.load(leave=leave, shapes=shapes) as load:
        pass
    # Whoever left must not have been the only one to be served.
    with cluster.load(calls=len(SHAPES)) as others:
        pass
    counts = judge(cluster, load, f"6 callers leave {leave}", seconds=SIZE.settle)
    note(counts)
    assert counts.left + counts.answered == SIZE.calls
    assert counts.left > SIZE.calls // 2
    assert counts.lost == 0
    # Whoever left before the gateway had read the request has made no call.
    assert counts.accepted >= (1 if leave == "at once" else SIZE.calls)
    assert others.outcomes()["answered"] == len(SHAPES)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def draining(tmp_path: Path, package_servers: Servers, gate: Gate) -> Iterator[Cluster]:
    """A gateway whose streams wait for the gate after their first event."""
    redis, postgres = package_servers
    with Upstream() as upstream, fresh_database(postgres.url) as url:
        provide(upstream, delay=0.0, gates={2: gate})
        place = redis.url.replace("/0", "/1")
        with Cluster(tmp_path / "cluster", upstream, database_url=url, redis_url=place, gateways=1) as cluster:
            yield cluster
            gate.open()


def test_sigterm_lets_open_streams_end(draining: Cluster, gate: Gate, note: Note) -> None:
    url = draining.gateway.url
    with draining.load(calls=SIZE.calls - SIZE.streams, shapes=PLAIN) as before:
        pass
    with draining.load(
        gateways=lambda: [url], calls=SIZE.streams, at_once=SIZE.streams, shapes=STREAMS, timeout=GRACE_SECONDS * 2
    ) as load:
        until(lambda: sum(bool(made.said) for made in load.made) == SIZE.streams, "all streams are open")
        began = time.monotonic()
        draining.gateway.send(signal.SIGTERM)
        time.sleep(0.5)
        assert draining.gateway.running
        gate.open()
    assert draining.gateway.wait() in ENDED
    assert time.monotonic() - began < GRACE_SECONDS
    earlier = judge(draining, before, "6 SIGTERM, calls before it", seconds=SIZE.settle)
    counts = judge(draining, load, "6 SIGTERM, streams open", seconds=SIZE.settle)
    note(earlier)
    note(counts)
    assert earlier.answered == SIZE.calls - SIZE.streams
    assert counts.answered == counts.final == SIZE.streams
    assert counts.estimated == 0
    assert draining.folders() == []


@pytest.mark.skipif(not SIZE.long, reason="waits for the whole grace period: make faults")
def test_sigterm_ends_within_a_bound_though_streams_do_not(draining: Cluster, note: Note) -> None:
    url = draining.gateway.url
    with draining.load(
        gateways=lambda: [url], calls=SIZE.streams, at_once=SIZE.streams, shapes=STREAMS, timeout=GRACE_SECONDS * 3
    ) as load:
        until(lambda: sum(bool(made.said) for made in load.made) == SIZE.streams, "all streams are open")
        draining.gateway.send(signal.SIGTERM)
        assert draining.gateway.wait(GRACE_SECONDS + 20) in ENDED
    counts = judge(draining, load, "6 SIGTERM, streams without end", seconds=SIZE.settle)
    note(counts)
    assert counts.final == counts.estimated == SIZE.streams
    assert {row.status for found in rows(draining, load).values() for row in found} <= {"cancelled", "error"}
    assert draining.folders() == []
