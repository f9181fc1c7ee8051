"""Line 6: callers that hang up at any point, and SIGTERM while calls are open."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from gateway.__main__ import GRACE_SECONDS
from tests.faults.cluster import Cluster, until
from tests.faults.counts import Counts
from tests.faults.load import PLAIN, SHAPES, STREAMS, Heads, Leave, Load, provide
from tests.faults.sizes import SIZE
from tests.faults.verdict import accepted, judge, rows
from tests.replay import Gate, Upstream
from tests.services import PostgresServer, RedisServer, fresh_database

Note = Callable[[Counts], None]
ENDED = (0, -signal.SIGTERM)  # uvicorn raises the signal again once everything is closed
Servers = tuple[RedisServer, PostgresServer]
_PLAIN = SIZE.streams // 2  # calls in flight at SIGTERM beside the streams


@pytest.mark.parametrize("leave", get_args(Leave))
def test_callers_hang_up(cluster: Cluster, note: Note, leave: Leave) -> None:
    """Of streams, while plain calls go on; before a byte came, of all."""
    heads = Heads()
    cluster.upstream.hold = heads
    with cluster.load(leave=leave, heads=heads) as load:
        pass
    # Whoever left must not have been the only one to be served.
    with cluster.load(calls=len(SHAPES)) as others:
        pass
    counts = judge(cluster, load, f"6 callers leave {leave}", seconds=SIZE.settle)
    note(counts)
    leavers = [made for made in load.made if made.shape.stream or leave == "at once"]
    assert all(made.outcome == "answered" for made in load.made if made not in leavers), load.unanswered()
    assert counts.left + counts.answered == SIZE.calls
    assert counts.left == len(leavers) if leave in ("at once", "first event") else counts.left > len(leavers) // 2
    assert len(accepted(cluster, load)) == counts.final == SIZE.calls
    assert counts.lost == 0
    assert others.outcomes()["answered"] == len(SHAPES)


@dataclass(frozen=True, slots=True)
class Draining:
    """A gateway of its own, whose answers `hold` keeps back: streams after two events, others before their head."""

    cluster: Cluster
    gate: Gate

    def hold(self) -> None:
        """Forgets what the upstream has counted so far."""
        self.cluster.upstream.forget()
        provide(self.cluster.upstream, delay=0.0, held=self.gate)

    @contextmanager
    def loads(self, timeout: float) -> Iterator[tuple[Load, Load]]:
        """Streams and plain calls that the upstream has and holds."""
        url = self.cluster.gateway.url
        options = {"gateways": lambda: [url], "timeout": timeout}
        self.hold()
        with (
            self.cluster.load(calls=SIZE.streams, at_once=SIZE.streams, shapes=STREAMS, **options) as streams,
            self.cluster.load(calls=_PLAIN, at_once=_PLAIN, shapes=PLAIN, **options) as plain,
        ):
            until(lambda: sum(bool(made.said) for made in streams.made) == SIZE.streams, "all streams are open")
            until(self._all_asked, "the upstream has all calls")
            yield streams, plain

    def _all_asked(self) -> bool:
        return sum(call.answer_id is not None for call in self.cluster.upstream.calls) == SIZE.streams + _PLAIN


@pytest.fixture
def draining(tmp_path: Path, package_servers: Servers) -> Iterator[Draining]:
    redis, postgres = package_servers
    gate = Gate()
    with Upstream() as upstream, fresh_database(postgres.url) as url:
        provide(upstream)
        place = redis.url.replace("/0", "/1")
        with Cluster(tmp_path / "cluster", upstream, database_url=url, redis_url=place, gateways=1) as cluster:
            yield Draining(cluster, gate)
            gate.open()


def _before(draining: Draining, note: Note, case: str) -> None:
    """The rest of the case's calls: they end before the signal."""
    calls = SIZE.calls - SIZE.streams - _PLAIN
    with draining.cluster.load(calls=calls) as load:
        pass
    counts = judge(draining.cluster, load, f"{case}, calls before it", seconds=SIZE.settle)
    note(counts)
    assert counts.answered == calls, load.unanswered()


def test_sigterm_lets_open_calls_end(draining: Draining, note: Note) -> None:
    cluster, gateway = draining.cluster, draining.cluster.gateway
    _before(draining, note, "6 SIGTERM")
    with draining.loads(GRACE_SECONDS * 2) as loads:
        began = time.monotonic()
        gateway.send(signal.SIGTERM)
        time.sleep(0.5)
        assert gateway.running
        draining.gate.open()
    assert gateway.wait() in ENDED
    assert time.monotonic() - began < GRACE_SECONDS
    for load, name in zip(loads, ("streams open", "plain calls open"), strict=True):
        counts = judge(cluster, load, f"6 SIGTERM, {name}", seconds=SIZE.settle)
        note(counts)
        assert counts.answered == counts.final == load.calls, load.unanswered()
    assert cluster.folders() == []


@pytest.mark.skipif(not SIZE.long, reason="waits for the whole grace period: make faults")
def test_sigterm_ends_within_a_bound_though_calls_do_not(draining: Draining, note: Note) -> None:
    cluster, gateway = draining.cluster, draining.cluster.gateway
    _before(draining, note, "6 SIGTERM, no end")
    with draining.loads(GRACE_SECONDS * 3) as loads:
        gateway.send(signal.SIGTERM)
        assert gateway.wait(GRACE_SECONDS + 20) in ENDED
    for load, name in zip(loads, ("streams without end", "plain calls without an answer"), strict=True):
        counts = judge(cluster, load, f"6 SIGTERM, {name}", seconds=SIZE.settle, estimates=True)
        note(counts)
        assert counts.final == counts.estimated == load.calls
        finals = [row for found in rows(cluster, load).values() for row in found if row.kind == "final"]
        assert {row.status for row in finals} <= {"cancelled", "error"}
    assert cluster.folders() == []
