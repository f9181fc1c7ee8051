"""What the worker says about itself."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from tests.usage_worker.events import NOON, rows_of, usage_event
from usage_worker.health import HealthServer
from usage_worker.metrics import STALLED_AFTER, Meters
from usage_worker.store import Saved


@dataclass
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
def server(meters: Meters, clock: Clock) -> Iterator[HealthServer]:
    server = HealthServer("127.0.0.1", 0, meters, clock)
    server.start()
    yield server
    server.close()


def _get(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_loop_that_turns_is_healthy_even_while_it_waits(server: HealthServer, meters: Meters, clock: Clock) -> None:
    assert _get(server, "/health")[0] == 503, "it has not turned yet"
    meters.turn(NOON)
    meters.waiting("StoreUnavailable")
    status, body = _get(server, "/health?verbose=1")
    assert (status, json.loads(body)) == (200, {"status": "healthy", "waiting_for": "StoreUnavailable"})
    meters.saved(Saved(1, 0, 0), 0.1, rows_of([usage_event(1)]))
    assert json.loads(_get(server, "/health")[1])["waiting_for"] is None
    clock.now = NOON + STALLED_AFTER
    status, body = _get(server, "/health")
    assert (status, json.loads(body)["status"]) == (503, "stalled")


def test_metrics_tell_counts_sizes_times_and_lag(server: HealthServer, meters: Meters) -> None:
    meters.turn(NOON)
    rows = rows_of([usage_event(1, NOON - timedelta(seconds=30)), usage_event(2, NOON - timedelta(seconds=7))])
    meters.saved(Saved(stored=1, duplicates=1, dead_lettered=3), 0.25, rows)
    meters.backlog(17)
    status, text = _get(server, "/metrics")
    assert status == 200
    for line in (
        "tollgate_usage_worker_events_stored_total 1.0",
        "tollgate_usage_worker_duplicates_total 1.0",
        "tollgate_usage_worker_dead_letters_total 3.0",
        "tollgate_usage_worker_batch_events_sum 2.0",
        "tollgate_usage_worker_commit_seconds_sum 0.25",
        "tollgate_usage_worker_lag_seconds 7.0",
        "tollgate_usage_worker_lag_entries 17.0",
    ):
        assert line in text.splitlines()
    meters.idle()
    assert "tollgate_usage_worker_lag_seconds 0.0" in _get(server, "/metrics")[1].splitlines()


def test_anything_else_is_not_there(server: HealthServer) -> None:
    assert _get(server, "/")[0] == 404


def test_a_port_that_is_taken(server: HealthServer, meters: Meters, clock: Clock) -> None:
    with pytest.raises(OSError, match="in use"):
        HealthServer("127.0.0.1", server.port, meters, clock)
