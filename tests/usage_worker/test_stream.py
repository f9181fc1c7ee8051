"""The stream against a real Redis: nothing is lost between consumers, nothing stays that is safe."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.services import Server
from tests.usage_worker.events import NOON, PRODUCER, usage_event
from usage_contract.codec import encode, to_stream_fields
from usage_worker.decode import Row
from usage_worker.entries import Letter
from usage_worker.errors import SourceUnavailable
from usage_worker.loop import DeadLetterCap, Loop
from usage_worker.metrics import Meters
from usage_worker.store import Saved
from usage_worker.stream import ALONE_DEATHS, StreamSource

STREAM, GROUP = "tollgate:usage", "usage_worker"


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[Redis]:
    redis = Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
    try:
        yield redis
    finally:
        await redis.aclose()


def _source(redis: Redis, consumer: str = "one", clock: Clock | None = None, **options: Any) -> StreamSource:
    options = {"wait_ms": 10, "batch": 100, "peers_idle": 0.05} | options
    return StreamSource(redis, stream=STREAM, group=GROUP, consumer=consumer, clock=clock or Clock(), **options)


async def _add(redis: Redis, *numbers: int) -> None:
    for number in numbers:
        await redis.xadd(STREAM, to_stream_fields(usage_event(number)))  # type: ignore[arg-type]


async def _numbers(source: StreamSource) -> list[int]:
    return [int(json.loads(entry.payload)["request_id"].removeprefix("req-")) for entry in await source.read()]


async def _ready(source: StreamSource) -> StreamSource:
    """The first read makes the group."""
    assert await source.read() == []
    return source


async def test_what_was_shipped_before_the_group_existed_is_read(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1, 2)
        source = await _ready(_source(redis))
        entries = await source.read()
        assert [entry.payload for entry in entries] == [encode(usage_event(1)), encode(usage_event(2))]
        assert (entries[0].producer, entries[0].segment, entries[0].problem) == (PRODUCER, 1, None)


async def test_an_acknowledged_entry_is_gone_and_others_are_not(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1, 2, 3)
        source = await _ready(_source(redis))
        entries = await source.read()
        await source.ack(entries[:2])
        assert await redis.xlen(STREAM) == 1
        assert (await redis.xpending(STREAM, GROUP))["pending"] == 1


async def test_own_pending_come_first_after_a_restart_page_by_page(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1, 2, 3)
        await (await _ready(_source(redis))).read()
        await _add(redis, 4)
        again = _source(redis, batch=2)
        assert [await _numbers(again) for _ in range(3)] == [[1, 2], [3], [4]]


async def test_two_consumers_share_and_one_takes_over_what_the_other_left(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1, 2)
        clock = Clock()
        dead, living = await _ready(_source(redis, "dead", batch=1)), _source(redis, "living", clock)
        assert await _numbers(dead) == [1]
        await living.ack(await living.read())
        await asyncio.sleep(0.06)  # Redis itself measures how long an entry was idle
        assert await _numbers(living) == []
        clock.now = 1
        assert await _numbers(living) == [1]


async def test_pending_entries_that_no_longer_exist_are_let_go(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1, 2)
        entries = await (await _ready(_source(redis))).read()
        await redis.xdel(STREAM, entries[0].token)
        again = _source(redis)
        assert await _numbers(again) == [2]
        assert (await redis.xpending(STREAM, GROUP))["pending"] == 1
        await redis.xdel(STREAM, entries[1].token)
        assert await _source(redis).read() == []


async def _die(redis: Redis, times: int, consumer: str = "one") -> None:
    """So many lives of a worker that read and never get anything through."""
    for _ in range(times):
        assert await _source(redis, consumer, max_deliveries=2).read() != []


async def _deliveries(redis: Redis) -> list[int]:
    pending = await redis.xpending_range(STREAM, GROUP, "-", "+", 100)
    return [int(item["times_delivered"]) for item in pending]


async def test_a_batch_that_dies_again_and_again_is_delivered_one_by_one(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1, 2, 3)
        await _ready(_source(redis))
        await _die(redis, 2)
        source = _source(redis, max_deliveries=2)
        for number in (1, 2, 3):
            [entry] = await source.read()
            assert json.loads(entry.payload)["request_id"] == f"req-{number}"
            assert not entry.suspect
            assert await source.read() == []  # nothing beside it
            await source.ack([entry])
        assert await source.read() == []
        assert await redis.xlen(STREAM) == 0


async def test_where_nothing_gets_through_no_entry_is_to_blame(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1, 2)
        await _ready(_source(redis))
        await _die(redis, 2)
        seen = [await _numbers(_source(redis, max_deliveries=2)) for _ in range(ALONE_DEATHS * 4)]
        assert {tuple(numbers) for numbers in seen} == {(1,), (2,)}
        assert await _deliveries(redis) == [2, 2]
        assert [entry.suspect for entry in await _source(redis, max_deliveries=2).read()] == [False]


async def test_what_kills_while_others_get_through_becomes_a_suspect(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1)
        await _ready(_source(redis))
        await _die(redis, 2)
        for number in range(ALONE_DEATHS):
            source = _source(redis, max_deliveries=2)
            await _add(redis, 10 + number)
            others = await source.read()
            assert len(others) == 1
            assert await source.read() == []  # not beside others
            await source.ack(others)
            assert [(entry.suspect, entry.payload) for entry in await source.read()] == [
                (False, encode(usage_event(1)))
            ]
        [suspect] = await (last := _source(redis, max_deliveries=2)).read()
        assert suspect.suspect
        await last.ack([suspect])
        assert await redis.xlen(STREAM) == 0


class Deadly:
    """A store that ends the worker when it is given the event of that id."""

    def __init__(self, event_id: str) -> None:
        self._event_id = event_id
        self.stored: set[str] = set()
        self.letters: list[Letter] = []

    def save(self, rows: Sequence[Row], letters: Sequence[Letter]) -> Saved:
        if any(row.event_id == self._event_id for row in rows):
            raise MemoryError
        self.stored.update(row.event_id for row in rows)
        self.letters += letters
        return Saved(len(rows), 0, len(letters))


async def test_the_one_that_kills_is_found_in_its_batch_and_nothing_else_is_buried(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, *range(30))
        store = Deadly(usage_event(11).event_id)
        lives = 0
        while await redis.xlen(STREAM):
            lives += 1
            assert lives < 50
            await _add(redis, 100 + lives)
            source = _source(redis, max_deliveries=2)
            stop = asyncio.Event()
            loop = Loop(source, store, Meters(), lambda: NOON, DeadLetterCap(1.0))
            ended = asyncio.create_task(loop.run(stop))
            while not ended.done() and await redis.xlen(STREAM):  # noqa: ASYNC110 - what is waited for is in Redis
                await asyncio.sleep(0.005)
            stop.set()
            with suppress(MemoryError):
                await ended
        assert lives > 2 + ALONE_DEATHS
        assert [letter.event_id for letter in store.letters] == [usage_event(11).event_id]
        others = {*range(30), *range(101, 101 + lives)} - {11}
        assert store.stored == {usage_event(number).event_id for number in others}


async def test_new_entries_and_those_put_aside_take_turns(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1, 2)
        await _ready(_source(redis))
        await _die(redis, 2)
        await _add(redis, 3, 4)
        source = _source(redis, max_deliveries=2, batch=1)
        order = []
        for _ in range(4):
            entries = await source.read()
            order += [json.loads(entry.payload)["request_id"] for entry in entries]
            await source.ack(entries)
        assert sorted(order) == ["req-1", "req-2", "req-3", "req-4"]
        assert [name in ("req-1", "req-2") for name in order] in (
            [False, True, False, True],
            [True, False, True, False],
        )


async def test_deaths_are_counted_over_all_consumers_and_taking_over_is_none(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1, 2)
        await _ready(_source(redis))
        await _die(redis, 1)
        await asyncio.sleep(0.06)
        heir = _source(redis, "heir", max_deliveries=2)
        assert await _numbers(heir) == [1, 2]
        assert await _deliveries(redis) == [2, 2]
        await asyncio.sleep(0.06)
        third = _source(redis, "third", max_deliveries=2)
        assert [len(await third.read()), await third.read()] == [1, []]


async def test_an_orderly_end_counts_for_nothing_and_a_peer_need_not_wait(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1, 2)
        await (await _ready(_source(redis, batch=1))).read()
        source = _source(redis, peers_idle=60.0)
        assert [await _numbers(source), await _numbers(source)] == [[1], [2]]
        assert await _deliveries(redis) == [2, 1]
        await source.release()
        assert await _deliveries(redis) == [1, 0]
        assert await _numbers(_source(redis, "peer", peers_idle=60.0)) == [1, 2]


async def test_what_is_in_hand_is_not_delivered_again(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1, 2)
        clock = Clock()
        source = await _ready(_source(redis, clock=clock, batch=1))
        assert await _numbers(source) == [1]
        await asyncio.sleep(0.06)
        clock.now = 1
        assert await _numbers(source) == [2]


async def test_the_group_is_made_again_when_redis_lost_everything(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        source = await _ready(_source(redis))
        await redis.flushall()
        await _add(redis, 1)
        assert await source.read() == []
        assert await _numbers(source) == [1]


async def test_two_consumers_may_make_the_group_at_once(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await asyncio.gather(*(_ready(_source(redis, f"c{number}")) for number in range(5)))
        await _add(redis, 1)
        assert await _numbers(_source(redis, "c1")) == [1]


async def test_what_is_no_event_is_handed_on_with_its_origin(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await redis.xadd(STREAM, {"v": "1", "producer": "p", "segment": "7", "noise": "x"})
        await redis.xadd(STREAM, {"noise": "x"})
        await redis.xadd(STREAM, {"v": "2", "producer": "p", "segment": "7", "event": "\x00new"})
        source = await _ready(_source(redis))
        nameless, lost, future = await source.read()
        assert (nameless.producer, nameless.segment) == ("p", 7)
        assert nameless.problem == "not a usage event: no field `event`"
        assert json.loads(nameless.payload)["noise"] == "x"
        assert (lost.producer, lost.segment) == (None, None)
        assert future.problem == "schema version 2 is newer than 1: update the worker, then retry"
        assert future.payload == b"\x00new"


async def test_the_backlog_is_told_with_each_look_at_the_peers(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await _add(redis, 1, 2, 3)
        told: list[int] = []
        source = await _ready(_source(redis, batch=1, backlog=told.append))
        await source.read()
        assert told == [3]
        await source.measure()
        assert told == [3, 3]


async def test_a_redis_that_went_away_is_asked_again_for_the_answer_that_was_lost(
    redis_server: Server,
) -> None:
    async with _client(redis_server.url) as redis:
        source = await _ready(_source(redis, wait_ms=100))
        redis_server.pause()
        with pytest.raises(SourceUnavailable):
            await source.read()
        redis_server.resume()
        await _add(redis, 1)
        # Another connection of this consumer was given the entry, and its answer went nowhere.
        await redis.xreadgroup(GROUP, "one", {STREAM: ">"})
        assert await _numbers(source) == [1]
        redis_server.kill()
        with pytest.raises(SourceUnavailable, match="Redis is not available"):
            await source.read()


async def test_an_answer_that_is_an_error_names_its_code_alone(redis_url: str) -> None:
    async with _client(redis_url) as redis:
        await redis.set(STREAM, "not a stream")
        with pytest.raises(SourceUnavailable, match=r"^Redis is not available: WRONGTYPE$"):
            await _source(redis).read()
