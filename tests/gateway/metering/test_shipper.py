from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.metering.adoption import producers
from gateway.metering.redis_stream import RedisStream, StreamUnavailable
from gateway.metering.settlement import Metering
from gateway.metering.shipper import Shipper, ShipperSettings
from gateway.metering.spool import Spool, SpoolSettings
from tests.gateway.metering.ledgers import SUCCESS, MemoryLedger, begin, fill
from tests.services import Server
from usage_contract.event import Receipt
from usage_contract.spool import segment_path, segments

QUICK = ShipperSettings(
    poll_seconds=0.02, receipts_seconds=0.05, adopt_seconds=0.1, answer_seconds=0.3, confirm_seconds=0.3
)
STREAM = "tollgate:usage"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(SpoolSettings(root=tmp_path, fsync="never"))
    spool.open()
    yield spool
    spool.close()


@asynccontextmanager
async def running(
    spool: Spool, ledger: MemoryLedger, url: str | None, *, timeout: float = 1.0
) -> AsyncIterator[Shipper]:
    stream = None if url is None else RedisStream(url, timeout=timeout)
    shipper = Shipper(spool, ledger.receipts, stream, settings=QUICK)
    task = asyncio.create_task(shipper.run())
    try:
        yield shipper
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await shipper.close()


@asynccontextmanager
async def worker(ledger: MemoryLedger, url: str) -> AsyncIterator[Redis]:
    """Consumes the stream all the time, whatever happens to Redis."""
    redis = Redis.from_url(url, socket_timeout=None, socket_connect_timeout=1)

    async def consume() -> None:
        while True:
            with suppress(RedisError, OSError):
                await ledger.consume(redis)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(consume())
    try:
        yield redis
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await redis.aclose()


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens on disk or in another process
            await asyncio.sleep(0.01)


async def until_redis(condition: Callable[[], Awaitable[object]], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)


async def in_stream(redis: Redis, count: int) -> bool:
    return await redis.xlen(STREAM) >= count


def settle(spool: Spool, count: int) -> set[str]:
    metering = Metering(spool)
    return {begin(metering).finish(SUCCESS).event_id for _ in range(count)}


async def test_events_reach_the_ledger_and_segments_go_on_its_receipts(spool: Spool, redis_url: str) -> None:
    ledger = MemoryLedger()
    async with running(spool, ledger, redis_url) as shipper, worker(ledger, redis_url):
        made = settle(spool, 300)
        await until(lambda: set(ledger.events) == made)
        assert segments(spool.folder) == [1]  # all stored, but not sealed yet
        spool.seal()
        made |= settle(spool, 10)
        await until(lambda: segments(spool.folder) == [2])
        await until(lambda: set(ledger.events) == made)
        assert shipper.counts.shipped == 310
        assert shipper.reason is None


async def test_nothing_is_deleted_before_the_receipts_add_up(spool: Spool, redis_url: str) -> None:
    ledger = MemoryLedger()
    redis = Redis.from_url(redis_url)
    async with running(spool, ledger, redis_url):
        made = settle(spool, 5)
        spool.seal()
        await until_redis(lambda: in_stream(redis, 5))
        entries: Sequence[tuple[bytes, dict[bytes, bytes]]] = await redis.xrange(STREAM)  # type: ignore[assignment]
        assert {fields[b"segment"] for _, fields in entries} == {b"1"}
        ledger.stored[spool.producer, 1] = 4
        asked = ledger.asked
        await until(lambda: ledger.asked > asked + 2)
        assert segments(spool.folder) == [1, 2]
        ledger.stored[spool.producer, 1] = 0
        await ledger.consume(redis)
        await until(lambda: segments(spool.folder) == [2])
        assert set(ledger.events) == made
    await redis.aclose()


async def test_what_is_sealed_before_it_is_durable_is_shipped_too(tmp_path: Path, redis_url: str) -> None:
    """A segment may only leave once the disk has it; its seal must not end the wait for that."""
    spool = Spool(SpoolSettings(root=tmp_path, fsync=300))
    spool.open()
    ledger = MemoryLedger()
    async with running(spool, ledger, redis_url), worker(ledger, redis_url):
        ids = settle(spool, 5)
        spool.seal()
        assert spool.durable_end(1) < spool.sealed()[1].size
        await until(lambda: not spool.sealed(), seconds=10)
    assert set(ledger.events) == ids
    spool.close()


async def test_dead_letters_count_as_safe(spool: Spool, redis_url: str) -> None:
    class Refusing(MemoryLedger):
        async def receipts(self, producer: str, first: int) -> Sequence[Receipt]:
            return [Receipt(producer=producer, segment=1, stored=1, dead_lettered=2)]

    async with running(spool, Refusing(), redis_url):
        settle(spool, 3)
        spool.seal()
        await until(lambda: segments(spool.folder) == [2])


async def test_without_redis_it_only_deletes_what_the_ledger_has(spool: Spool, tmp_path: Path) -> None:
    ledger = MemoryLedger()
    async with running(spool, ledger, None):
        made = settle(spool, 20)
        spool.seal()
        await until(lambda: ledger.asked > 2)
        assert segments(spool.folder) == [1, 2]
        ledger.read(tmp_path)
        await until(lambda: segments(spool.folder) == [2])
        assert set(ledger.events) == made


@pytest.mark.parametrize("with_redis", [True, False])
async def test_a_line_damaged_on_the_disk_does_not_keep_its_segment_for_ever(
    spool: Spool, tmp_path: Path, redis_url: str, with_redis: bool
) -> None:
    made = settle(spool, 4)
    spool.seal()
    path = segment_path(spool.folder, 1)
    whole = path.read_bytes().splitlines(keepends=True)
    first = next(number for number, line in enumerate(whole) if line.startswith(b"E"))
    whole[first] = whole[first].replace(b"success", b"SUCCESS").replace(b'"m"', b'"n"')
    path.write_bytes(b"".join(whole))
    ledger = MemoryLedger()
    ledger.read(tmp_path) if not with_redis else None
    async with running(spool, ledger, redis_url if with_redis else None) as shipper, worker(ledger, redis_url):
        await until(lambda: segments(spool.folder) == [2])
        assert shipper.counts.damaged == 1
    assert len(ledger.events) == 3
    assert set(ledger.events) < made


async def test_damage_is_not_taken_for_more_than_it_is(spool: Spool, tmp_path: Path) -> None:
    """Recovery leaves a damaged event out of its count, and a damaged intent was never in one: no receipt is spared."""
    dead = Spool(SpoolSettings(root=tmp_path, fsync="never"))
    dead.open()
    for each in (spool, dead):
        made = settle(each, 2)
        each.seal()
        kind = b"E" if each is dead else b"I"
        path = segment_path(each.folder, 1)
        whole = path.read_bytes().splitlines(keepends=True)
        first = next(number for number, line in enumerate(whole) if line.startswith(kind))
        whole[first] = whole[first].replace(b'"m"', b'"n"')
        path.write_bytes(b"".join(whole))
    dead.close()
    ledger = MemoryLedger()
    async with running(spool, ledger, None) as shipper:
        await until(lambda: shipper.counts.damaged == 2)
        asked = ledger.asked
        await until(lambda: ledger.asked > asked + 4)
        assert segments(spool.folder) == [1, 2]
        assert 1 in segments(dead.folder)
        ledger.read(tmp_path)
        await until(lambda: segments(spool.folder) == [2] and not dead.folder.exists())
    assert len(ledger.events) == 4
    assert {event.kind for key, event in ledger.events.items() if key in made} == {"final", "lost"}


async def test_a_full_volume_of_a_dead_gateway_is_shipped_and_comes_free(small_disk: Path) -> None:
    dead = Spool(SpoolSettings(root=small_disk, fsync="never"))
    dead.open()
    lost = begin(Metering(dead)).event_id
    made = settle(dead, 2)
    dead.seal()
    made |= settle(dead, 20)
    dead.seal()
    dead.close()
    successor = Spool(SpoolSettings(root=small_disk, fsync="never"))
    successor.open()
    fill(small_disk)
    ledger = MemoryLedger()
    async with running(successor, ledger, None) as shipper:
        await until(lambda: shipper.counts.adopted == 1)
        assert shipper.counts.lost == 0
        ledger.read(small_disk)
        await until(lambda: shipper.counts.lost == 1)
        ledger.read(small_disk)
        await until(lambda: not dead.folder.exists())
    successor.close()
    assert set(ledger.events) == {*made, lost}
    assert ledger.events[lost].kind == "lost"


async def test_a_ledger_that_does_not_answer_holds_up_neither_shipping_nor_the_end(
    spool: Spool, tmp_path: Path, redis_url: str
) -> None:
    class Standing(MemoryLedger):
        async def receipts(self, producer: str, first: int) -> Sequence[Receipt]:
            self.asked += 1
            await asyncio.Event().wait()
            return []

    ledger = Standing()
    dead = Spool(SpoolSettings(root=tmp_path, fsync="never"))
    settle(spool, 1)
    spool.seal()
    async with running(spool, ledger, redis_url) as shipper, worker(ledger, redis_url):
        await until(lambda: shipper.reason == "ledger: TimeoutError")
        dead.open()
        made = settle(spool, 2) | settle(dead, 2)
        dead.close()
        await until(lambda: made < set(ledger.events))
        assert not await shipper.ship_all(0.5)


async def test_a_ledger_that_is_away_keeps_the_segments_and_is_named(spool: Spool) -> None:
    class Away(MemoryLedger):
        away = True

        async def receipts(self, producer: str, first: int) -> Sequence[Receipt]:
            if self.away:
                raise ConnectionError("no route")
            return await super().receipts(producer, first)

    ledger = Away()
    async with running(spool, ledger, None) as shipper:
        settle(spool, 2)
        spool.seal()
        await until(lambda: shipper.reason == "ledger: ConnectionError")
        assert segments(spool.folder) == [1, 2]
        ledger.away = False
        ledger.stored[spool.producer, 1] = 2
        await until(lambda: segments(spool.folder) == [2])
        assert shipper.reason is None


async def test_calls_go_on_while_redis_is_killed_and_all_arrives_after(spool: Spool, redis_server: Server) -> None:
    ledger = MemoryLedger()
    async with running(spool, ledger, redis_server.url) as shipper, worker(ledger, redis_server.url):
        made = settle(spool, 50)
        await until(lambda: set(ledger.events) == made)
        await asyncio.to_thread(redis_server.kill)
        made |= settle(spool, 50)
        await until(lambda: shipper.reason is not None)
        assert spool.writable
        spool.seal()
        await asyncio.to_thread(redis_server.start)
        made |= settle(spool, 50)
        spool.seal()
        await until(lambda: set(ledger.events) == made)
        await until(lambda: segments(spool.folder) == [3])
        assert shipper.reason is None


async def test_a_paused_redis_holds_nobody_up(spool: Spool, redis_server: Server) -> None:
    ledger = MemoryLedger()
    async with (
        running(spool, ledger, redis_server.url, timeout=0.3) as shipper,
        worker(ledger, redis_server.url),
    ):
        made = settle(spool, 10)
        await until(lambda: set(ledger.events) == made)
        redis_server.pause()
        try:
            made |= settle(spool, 10)
            await until(lambda: shipper.reason is not None)
            slowest = await slowest_pause_while(lambda: shipper.counts.failures >= 3)
            assert slowest < 0.25  # the loop itself never waited for Redis
        finally:
            redis_server.resume()
        spool.seal()
        await until(lambda: set(ledger.events) == made)
        await until(lambda: segments(spool.folder) == [2])


async def slowest_pause_while(ended: Callable[[], bool]) -> float:
    loop = asyncio.get_running_loop()
    slowest = 0.0
    async with asyncio.timeout(30):
        while not ended():
            before = loop.time()
            await asyncio.sleep(0.01)
            slowest = max(slowest, loop.time() - before)
    return slowest


async def test_what_redis_lost_is_shipped_again(spool: Spool, redis_url: str) -> None:
    """Flushed while nobody consumed: sealed, live and confirmed segments alike."""
    ledger = MemoryLedger()
    redis = Redis.from_url(redis_url)
    async with running(spool, ledger, redis_url) as shipper:
        made = settle(spool, 30)
        await until(lambda: shipper.counts.shipped == 30)
        await ledger.consume(redis)
        made |= settle(spool, 20)
        spool.seal()
        made |= settle(spool, 20)
        await until(lambda: shipper.counts.shipped == 70)
        await redis.flushall()
        async with worker(ledger, redis_url):
            await until(lambda: set(ledger.events) == made)
            spool.seal()
            await until(lambda: segments(spool.folder) == [3])
    assert shipper.counts.reshipped > 0
    await redis.aclose()


async def test_entries_that_vanished_are_noticed_though_the_marker_stayed(spool: Spool, redis_url: str) -> None:
    """A fail-over to a replica that lagged: only the stream's last entries are missing."""
    ledger = MemoryLedger()
    redis = Redis.from_url(redis_url)
    async with running(spool, ledger, redis_url) as shipper:
        made = settle(spool, 30)
        spool.seal()
        await until(lambda: shipper.counts.shipped == 30)
        newest: list[tuple[bytes, object]] = await redis.xrevrange(STREAM, count=5)  # type: ignore[assignment]
        await redis.xdel(STREAM, *[entry_id for entry_id, _ in newest])
        async with worker(ledger, redis_url):
            await until(lambda: set(ledger.events) == made)
            await until(lambda: segments(spool.folder) == [2])
        assert shipper.counts.reshipped == 1
    await redis.aclose()


async def test_a_slow_worker_is_not_sent_everything_again(spool: Spool, redis_url: str) -> None:
    ledger = MemoryLedger()
    redis = Redis.from_url(redis_url)
    async with running(spool, ledger, redis_url) as shipper:
        settle(spool, 30)
        spool.seal()
        await until(lambda: shipper.counts.shipped == 30)
        await asyncio.sleep(4 * QUICK.confirm_seconds)  # several looks for missing entries
        assert await redis.xlen(STREAM) == 30
        assert shipper.counts.reshipped == 0
    await redis.aclose()


async def test_a_full_redis_only_makes_the_spool_grow(spool: Spool, redis_server: Server) -> None:
    ledger = MemoryLedger()
    redis = Redis.from_url(redis_server.url)
    await redis.config_set("maxmemory-policy", "noeviction")
    await redis.config_set("maxmemory", "1")
    async with running(spool, ledger, redis_server.url) as shipper:
        made = settle(spool, 300)
        await until(lambda: shipper.reason is not None)
        assert shipper.reason is not None
        assert "OOM" in shipper.reason.upper() or "OutOfMemory" in shipper.reason
        assert spool.writable
        await redis.config_set("maxmemory", "0")
        async with worker(ledger, redis_server.url):
            await until(lambda: set(ledger.events) == made)
    await redis.aclose()


async def test_a_read_only_redis_only_makes_the_spool_grow(spool: Spool, redis_server: Server) -> None:
    ledger = MemoryLedger()
    redis = Redis.from_url(redis_server.url)
    await redis.replicaof("127.0.0.1", 1)
    async with running(spool, ledger, redis_server.url) as shipper:
        made = settle(spool, 10)
        await until(lambda: shipper.reason is not None)
        await redis.replicaof("NO", "ONE")
        async with worker(ledger, redis_server.url):
            await until(lambda: set(ledger.events) == made)
    await redis.aclose()


async def test_the_spool_of_a_dead_gateway_is_shipped_and_removed(spool: Spool, tmp_path: Path, redis_url: str) -> None:
    dead = Spool(SpoolSettings(root=tmp_path, fsync="never"))
    dead.open()
    made = settle(dead, 40)
    lost = begin(Metering(dead)).event_id
    dead.close()
    ledger = MemoryLedger()
    async with running(spool, ledger, redis_url) as shipper, worker(ledger, redis_url) as redis:
        await until(lambda: set(ledger.events) == {*made, lost})
        assert ledger.events[lost].kind == "lost"
        await until(lambda: producers(tmp_path) == [spool.folder])
        assert (shipper.counts.adopted, shipper.counts.lost) == (1, 1)
        await until(lambda: shipper.holding == [spool.producer])
        await until_redis(lambda: no_marker(redis, dead.producer))


async def no_marker(redis: Redis, producer: str) -> bool:
    return not await redis.exists(f"{{{STREAM}}}:seen:{producer}")


async def test_of_two_gateways_one_adopts(tmp_path: Path) -> None:
    dead = Spool(SpoolSettings(root=tmp_path, fsync="never"))
    dead.open()
    made = settle(dead, 3)
    dead.close()
    ledger = MemoryLedger()
    spools = [Spool(SpoolSettings(root=tmp_path, fsync="never")) for _ in range(2)]
    for each in spools:
        each.open()
    async with running(spools[0], ledger, None) as one, running(spools[1], ledger, None) as two:
        await until(lambda: len(one.holding) + len(two.holding) == 3)
        assert sorted([one.counts.adopted, two.counts.adopted]) == [0, 1]
        assert spools[0].bytes_used == spools[1].bytes_used > 0  # the dead one's bytes count for both
        ledger.read(tmp_path)
        await until(lambda: len(one.holding) + len(two.holding) == 2)
        assert set(ledger.events) == made
    for each in spools:
        each.close()
    assert producers(tmp_path) == []


async def test_stopping_ships_and_waits_for_the_receipts(spool: Spool, tmp_path: Path, redis_url: str) -> None:
    ledger = MemoryLedger()
    async with running(spool, ledger, redis_url) as shipper, worker(ledger, redis_url):
        made = settle(spool, 200)
        assert await shipper.ship_all(20)
        assert set(ledger.events) == made
    spool.close()
    assert producers(tmp_path) == []


async def test_stopping_does_not_wait_for_ever(spool: Spool, redis_url: str) -> None:
    ledger = MemoryLedger()
    async with running(spool, ledger, redis_url) as shipper:
        settle(spool, 3)
        begun = asyncio.get_running_loop().time()
        assert not await shipper.ship_all(0.5)
        assert asyncio.get_running_loop().time() - begun < 5
        assert shipper.unconfirmed == 3
    assert segment_path(spool.folder, 1).exists()


async def test_stopping_leaves_calls_that_are_still_open_to_an_adopter(
    spool: Spool, tmp_path: Path, redis_url: str
) -> None:
    ledger = MemoryLedger()
    attempt = begin(Metering(spool))
    async with running(spool, ledger, redis_url) as shipper, worker(ledger, redis_url):
        settle(spool, 3)
        assert await shipper.ship_all(20)
    spool.close()
    assert producers(tmp_path) == [spool.folder]
    successor = Spool(SpoolSettings(root=tmp_path, fsync="never"))
    successor.open()
    async with running(successor, ledger, redis_url), worker(ledger, redis_url):
        await until(lambda: attempt.event_id in ledger.events)
        await until(lambda: producers(tmp_path) == [successor.folder])
    successor.close()


async def test_a_segment_that_cannot_be_read_does_not_end_the_task(
    spool: Spool, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = MemoryLedger()
    settle(spool, 1)
    spool.seal()
    path = segment_path(spool.folder, 1)
    away = path.rename(path.with_suffix(".away"))
    async with running(spool, ledger, redis_url) as shipper, worker(ledger, redis_url):
        await until(lambda: "cannot be read" in caplog.text)
        assert shipper.unconfirmed == 1
        away.rename(path)
        await until(lambda: len(ledger.events) == 1)


async def test_a_cancellation_that_a_library_swallows_still_ends_the_task(spool: Spool) -> None:
    asked = asyncio.Event()

    async def deaf(producer: str, first: int) -> Sequence[Receipt]:
        asked.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return []

    settle(spool, 1)
    spool.seal()
    task = asyncio.create_task(Shipper(spool, deaf, settings=QUICK).run())
    await asked.wait()
    task.cancel()
    await asyncio.wait_for(task, 20)


async def test_a_redis_that_is_not_there_is_told_by_its_error() -> None:
    stream = RedisStream("redis://127.0.0.1:1/0")
    with pytest.raises(StreamUnavailable, match="ConnectionError"):
        await stream.ship("p", 1, [(b"1", b"{}")])
    with pytest.raises(StreamUnavailable):
        await stream.waiting([b"1-1"])
    await stream.close()
