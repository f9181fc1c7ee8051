"""Line 1: gateways die without a word: one, all of them, one for ever, one together with its machine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster, until
from tests.faults.load import Made
from tests.faults.sizes import SIZE
from tests.faults.verdict import Counts, accepted, judge
from tests.replay import Call, Upstream
from tests.services import PostgresServer, RedisServer, fresh_database
from usage_contract.spool import segment_path, segments

Note = Callable[[Counts], None]
Servers = tuple[RedisServer, PostgresServer]
_SCHEDULING = 1.0  # seconds that a busy machine may take between a call's intent and its arrival


def test_one_killed_under_load_and_started_again(cluster: Cluster, note: Note) -> None:
    victim = cluster.gateways[0]
    victims, deaths = {victim.url}, []
    with cluster.load() as load:
        for number in range(SIZE.rounds):
            load.reached((number + 0.4) / (SIZE.rounds + 0.2))
            deaths.append(cluster.kill(victim))
            victim.serve()
            victims.add(victim.url)
    counts = judge(cluster, load, "1 gateway killed, restarted", seconds=SIZE.settle, deaths=deaths)
    note(counts)
    assert all(made.outcome == "answered" for made in load.made if made.gateway not in victims)
    assert counts.cut + counts.refused <= SIZE.rounds * SIZE.at_once


@pytest.fixture
def twofold(tmp_path: Path, package_servers: Servers, package_upstream: Upstream) -> Iterator[Cluster]:
    """One gateway that serves with two processes."""
    redis, postgres = package_servers
    place = redis.url.replace("/0", "/1")
    with (
        fresh_database(postgres.url) as url,
        Cluster(tmp_path, package_upstream, database_url=url, redis_url=place, gateways=1, processes=2) as cluster,
    ):
        yield cluster


def test_one_process_of_a_gateway_killed(twofold: Cluster, note: Note) -> None:
    """The gateway starts another in its place, and adopts its spool."""
    deaths = []
    with twofold.load() as load:
        for number in range(SIZE.rounds):
            load.reached((number + 0.4) / (SIZE.rounds + 0.2))
            before = twofold.serving()
            victim = min(before)
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            until(lambda victim=victim: victim not in twofold.serving(), "it is dead")  # type: ignore[misc]
            deaths.append((began, time.monotonic()))
            until(lambda before=before: len(twofold.serving() - before) == 1, "another one is started")  # type: ignore[misc]
    counts = judge(twofold, load, "1 process of a gateway killed", seconds=SIZE.settle, deaths=deaths)
    note(counts)
    assert counts.cut + counts.refused <= SIZE.rounds * SIZE.at_once, load.unanswered()


def test_all_killed_at_once(cluster: Cluster, note: Note) -> None:
    with cluster.load(seconds=SIZE.trouble) as load:
        load.reached(0.4)
        deaths = [cluster.kill(*cluster.gateways)]
        for gateway in cluster.gateways:
            gateway.serve()
    counts = judge(cluster, load, "1 all gateways killed", seconds=SIZE.settle, deaths=deaths)
    note(counts)
    assert counts.answered >= SIZE.calls - SIZE.at_once


def test_one_removed_for_ever_with_a_full_spool(cluster: Cluster, package_servers: Servers, note: Note) -> None:
    redis, _ = package_servers
    victim, heir = cluster.gateways[1], cluster.gateways[0]
    redis.pause()
    with cluster.load() as load:
        load.reached(0.8)
        assert cluster.spooled() > 0
        deaths = [cluster.kill(victim)]
    redis.resume()
    counts = judge(cluster, load, "1 gateway gone for ever, spool full", seconds=SIZE.settle, deaths=deaths)
    note(counts)
    assert all(made.outcome == "answered" for made in load.made if made.gateway == heir.url)
    assert len(cluster.folders()) == 1
    victim.serve()


@pytest.fixture(params=["always", 1000], ids=["always", "interval"])
def crashing(
    request: pytest.FixtureRequest, tmp_path: Path, package_servers: Servers, package_upstream: Upstream
) -> Iterator[tuple[Cluster, Path, int]]:
    """One gateway whose every fsync is noted, the file of notes, and the interval in milliseconds (0: always)."""
    redis, postgres = package_servers
    notes, root = tmp_path / "synced", Path(__file__).resolve().parents[2]
    environment = {
        "PYTHONPATH": f"{Path(__file__).parent / 'noting_fsync'}:{root}",
        "TOLLGATE_TEST_SYNCED": str(notes),
    }
    with (
        fresh_database(postgres.url) as url,
        Cluster(
            tmp_path / "cluster",
            package_upstream,
            database_url=url,
            redis_url=redis.url.replace("/0", "/1"),
            gateways=1,
            spool={"fsync": request.param, "segment_seconds": 0.5},
            environment=environment,
        ) as cluster,
    ):
        yield cluster, notes, 0 if request.param == "always" else request.param


def test_the_unsynced_tail_is_lost_with_the_machine(crashing: tuple[Cluster, Path, int], note: Note) -> None:
    cluster, notes, interval = crashing
    with cluster.load(seconds=max(3.0, SIZE.calls / 150)) as load:
        load.reached(0.6)
        death, dead = cluster.kill(cluster.gateway)
        cut = _cut_to_the_last_fsync(cluster, notes)
        cluster.gateway.serve()
    # A busy machine may be late with an fsync: what counts is when it was done.
    young = min(death - interval / 1000, _last_fsync(notes)) - _SCHEDULING

    def may_lack(call: Call) -> bool:
        return interval > 0 and young <= call.at <= dead

    def may_be_lost(made: Made) -> bool:
        return made.started <= dead and made.ended >= (young if interval else death - _SCHEDULING)

    counts = judge(
        cluster,
        load,
        f"1 unsynced tail lost, fsync {interval or 'always'}",
        seconds=SIZE.settle,
        may_lack=may_lack,
        may_be_lost=may_be_lost,
    )
    note(counts)
    assert interval or not counts.missing
    assert cut > 0 or not interval, "the crash took nothing: this proves nothing"
    assert len(accepted(cluster, load)) > SIZE.calls // 2


def _last_fsync(notes: Path) -> float:
    return max(float(line.split(" ", 1)[0]) for line in notes.read_text(encoding="utf-8").splitlines())


def _cut_to_the_last_fsync(cluster: Cluster, notes: Path) -> int:
    """Leave of each segment what its last fsync covered; the bytes that went."""
    synced: dict[str, int] = {}
    for line in notes.read_text(encoding="utf-8").splitlines():
        _, end, name = line.split(" ", 2)
        synced[name] = max(int(end), synced.get(name, 0))
    cut = 0
    [folder] = cluster.folders()
    for number in segments(folder):
        path = segment_path(folder, number)
        covered, size = synced.get(str(path), 0), path.stat().st_size
        cut += max(0, size - covered)
        if covered:
            with path.open("r+b") as file:
                file.truncate(min(covered, size))
        else:
            path.unlink()
    return cut
