"""Line 7: the clock of gateways and worker jumps back, passes midnight and the month's end, and a reporting zone's DST.

libfaketime reads an offset from a file again and again; monotonic time stays true, as it does when a real clock is set.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ledger.engine import make_engine
from ledger.filters import UsageFilter
from ledger.summaries import series
from tests.faults.cluster import Cluster
from tests.faults.counts import Counts
from tests.faults.load import Load
from tests.faults.sizes import SIZE
from tests.faults.verdict import judge
from tests.replay import Upstream
from tests.services import PostgresServer, RedisServer, ServiceUnavailable, binary, fresh_database

Note = Callable[[Counts], None]
Servers = tuple[RedisServer, PostgresServer]
BERLIN, SEOUL = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Seoul")
_SECONDS = max(3.0, SIZE.calls / 150)


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster and the file that says by how many seconds its clock is off."""

    cluster: Cluster
    offset: Path

    def set_off(self, seconds: float) -> None:
        # In one step: a reader must not find half a number.
        part = self.offset.with_suffix(".part")
        part.write_text(f"{seconds:+.3f}\n")
        part.replace(self.offset)

    def set_clock(self, moment: datetime) -> None:
        self.set_off(moment.timestamp() - time.time())

    def hours(self, load: Load) -> Counter[datetime]:
        """Rows of the load by UTC hour."""
        query = "SELECT date_trunc('hour', event_time, 'UTC'), count(*) FROM usage_events WHERE session_id LIKE %s"
        found = self.cluster.sql(f"{query} GROUP BY 1", f"call-{load.label}-%")
        return Counter({hour.astimezone(UTC): count for hour, count in found})


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, package_servers: Servers, package_upstream: Upstream
) -> Iterator[Place]:
    redis, postgres = package_servers
    folder = tmp_path_factory.mktemp("clock")
    offset = folder / "offset"
    # Before all that follows: within a process, months may only pass forwards.
    offset.write_text(f"{datetime(2026, 3, 28, tzinfo=UTC).timestamp() - time.time():+.3f}\n")
    environment = {
        "LD_PRELOAD": str(_libfaketime()),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    with (
        fresh_database(postgres.url) as url,
        Cluster(
            folder,
            package_upstream,
            database_url=url,
            redis_url=redis.url.replace("/0", "/2"),
            environment=environment,
        ) as cluster,
    ):
        yield Place(cluster, offset)
        done = cluster.verify()
        assert done.returncode == 0, done.stdout + done.stderr


def _libfaketime() -> Path:
    """Beside the program of the same package. Skips where there is none."""
    try:
        root = binary("faketime").resolve().parents[1]
    except ServiceUnavailable as reason:
        pytest.skip(f"no clock to turn: {reason}")
    found = sorted(root.glob("lib/**/libfaketime.so.1"))
    if not found:
        pytest.skip(f"no clock to turn: no libfaketime.so.1 below {root}")
    return found[0]


def _by_day(place: Place, zone: ZoneInfo) -> dict[datetime, int]:
    """What the ledger reports for each day of the zone."""
    engine = make_engine(place.cluster.database_url)
    try:
        return {group.start: group.totals.events for group in series(engine, UsageFilter(), "day", zone=zone)}  # type: ignore[misc]
    finally:
        engine.dispose()


def _true_days(place: Place, zone: ZoneInfo) -> dict[datetime, int]:
    """The same, from each row by itself."""
    rows = place.cluster.sql("SELECT event_time FROM usage_events")
    local = [moment.astimezone(zone) for (moment,) in rows]
    midnights = [datetime(each.year, each.month, each.day, tzinfo=zone).astimezone(UTC) for each in local]
    return dict(Counter(midnights))


@pytest.mark.parametrize(
    ("name", "boundary"),
    [
        ("DST begins", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("month ends", datetime(2026, 4, 1, tzinfo=UTC)),
        ("DST ends", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ],
)
def test_a_boundary_is_passed(place: Place, note: Note, name: str, boundary: datetime) -> None:
    place.set_clock(boundary - timedelta(minutes=30))
    with place.cluster.load(seconds=_SECONDS) as load:
        load.reached(0.3)
        place.set_clock(boundary - timedelta(seconds=_SECONDS / 6))
    counts = judge(place.cluster, load, f"7 {name}", seconds=SIZE.settle)
    note(counts)
    assert counts.answered == SIZE.calls, load.unanswered()
    hours = place.hours(load)
    assert sum(hours.values()) == counts.rows
    assert len(hours) == 2, hours
    assert max(hours) == boundary
    for zone in (BERLIN, SEOUL):
        assert _by_day(place, zone) == _true_days(place, zone)


def test_the_clock_jumps_back_an_hour(place: Place, note: Note) -> None:
    off = float(place.offset.read_text())
    with place.cluster.load(seconds=_SECONDS) as load:
        load.reached(0.4)
        place.set_off(off - 3600)
    counts = judge(place.cluster, load, "7 clock jumps back an hour", seconds=SIZE.settle)
    note(counts)
    assert counts.answered == SIZE.calls, load.unanswered()
    began = (
        "SELECT max(started_at) - min(started_at) > interval '50 minutes' FROM usage_events WHERE session_id LIKE %s"
    )
    assert place.cluster.sql(began, f"call-{load.label}-%") == [(True,)], "no clock jumped: this proves nothing"
