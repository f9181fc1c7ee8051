"""Line 1: gateways die without a word: one, all of them, one for ever, one together with its machine."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster, until
from tests.faults.counts import Counts
from tests.faults.load import Made
from tests.faults.sizes import SIZE
from tests.faults.verdict import AFTERWARDS, accepted, judge
from tests.replay import Call, Upstream
from tests.services import PostgresServer, RedisServer, fresh_database
from usage_contract.spool import segment_path, segments

Note = Callable[[Counts], None]
Servers = tuple[RedisServer, PostgresServer]
# Bytes: a call writes more than a kilobyte, so fewer than twice as many calls as a case has use it up.
_QUOTA = max(65536, SIZE.calls * 1000)


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
    """It takes calls until its quota is used up, refuses the others, and never comes back."""
    redis, _ = package_servers
    others = set(cluster.folders())
    victim = cluster.gateway_with_quota(_QUOTA)
    victim.serve()
    [folder] = set(cluster.folders()) - others
    redis.pause()
    with cluster.load(gateways=lambda: [victim.url], calls=2 * SIZE.calls) as filling:
        pass
    assert cluster.spooled(folder) >= _QUOTA - cluster.spooled(*others)
    with cluster.load() as load, load.meanwhile():
        load.reached(0.4)
        deaths = [cluster.kill(victim)]
    redis.resume()
    for each, name in ((filling, "spool full"), (load, "the others meanwhile")):
        counts = judge(cluster, each, f"1 gateway gone for ever, {name}", seconds=SIZE.settle, deaths=deaths)
        note(counts)
        assert counts.answered + counts.refused == each.calls, each.unanswered()
        assert counts.lost == 0
    refused = Counter(made.status for made in filling.made if made.outcome == "refused")
    # Who was refused by an upstream and cannot be written down for the next one gets the upstream's own error.
    assert set(refused) <= {503, 502}, refused
    assert refused[503] > refused[502], refused
    assert load.outcomes()["answered"] == SIZE.calls
    assert len(cluster.folders()) == len(cluster.gateways)


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
        cut, covered = _cut_to_the_last_fsync(cluster, notes)
        cluster.gateway.serve()
    # An intent is older than its arrival upstream, and whatever was written before the last fsync began is safe: a
    # call of which nothing is left has arrived after both. A machine too busy for an fsync every N ms moves the latter.
    young = min(death - interval / 1000, covered) if interval else death

    def may_lack(call: Call) -> bool:
        return interval > 0 and young <= call.at <= dead

    def may_be_lost(made: Made) -> bool:
        return made.started <= dead and made.ended + AFTERWARDS >= young

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


def _cut_to_the_last_fsync(cluster: Cluster, notes: Path) -> tuple[int, float]:
    """Leave of each segment what its last fsync covered. Returns the bytes that went, and a moment before which none
    of them was written."""
    synced = [line.split(" ", 2) for line in notes.read_text(encoding="utf-8").splitlines()]
    noted = [(float(began), int(size), Path(name)) for began, size, name in synced]
    [folder] = cluster.folders()
    paths = [segment_path(folder, number) for number in segments(folder)]
    sizes = {name: max(size for _, size, other in noted if other == name) for _, _, name in noted}
    sizes |= {path: path.stat().st_size for path in paths}
    cut, moments = 0, []
    for path in paths:
        covered = max((size for _, size, name in noted if name == path), default=0)
        if covered >= sizes[path]:
            continue
        cut += sizes[path] - covered
        # A segment begins when the one before it is whole: an fsync of that one while it still grew came earlier.
        moments.append(
            max(
                (began for began, size, name in noted if name == path or (name < path and size < sizes[name])),
                default=0.0,
            )
        )
        if covered:
            with path.open("r+b") as file:
                file.truncate(covered)
        else:
            path.unlink()
    return cut, min(moments, default=time.monotonic())
