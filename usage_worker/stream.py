"""Entries from a Redis stream, through a consumer group.

The group begins at id 0, so what was shipped before the first worker came is read too. Order of reading: what this
consumer was given and never acknowledged (it crashed, or lost its connection), what peers left idle, then what is new.
An acknowledged entry is deleted: the ledger has it, and the stream may only hold what is not safe yet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from usage_contract.codec import stream_origin
from usage_contract.event import SCHEMA_VERSION
from usage_worker.entries import Entry
from usage_worker.errors import SourceUnavailable

RawEntry = tuple[bytes, dict[bytes, bytes] | None]


class StreamSource:
    """`clock` counts seconds (monotonic); `peers_idle` is how long a peer may hold an entry before it is taken over."""

    def __init__(
        self,
        redis: Redis,
        *,
        stream: str,
        group: str,
        consumer: str,
        clock: Callable[[], float],
        batch: int = 2000,
        wait_ms: int = 1000,
        peers_idle: float = 60.0,
        max_deliveries: int = 25,
        backlog: Callable[[int], None] = lambda _entries: None,
    ) -> None:
        self._redis = redis
        self._stream, self._group, self._consumer = stream, group, consumer
        self._clock = clock
        self._batch = batch
        self._wait_ms = wait_ms
        self._peers_idle = peers_idle
        self._max_deliveries = max_deliveries
        self._backlog = backlog
        self._own: bytes | None = b"0"  # where to go on among our own pending entries; None: seen them all
        self._next_claim = 0.0
        self._claim_from: bytes = b"0-0"

    async def read(self) -> Sequence[Entry]:
        try:
            return await self._read_or_make_group()
        except SourceUnavailable:
            # The answer that was lost may have assigned entries to us.
            self._own = b"0"
            raise

    async def _read_or_make_group(self) -> list[Entry]:
        with self._available():
            try:
                return await self._read()
            except ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    raise
                # First start, or Redis came back empty: everything in the stream is for us to see.
                await self._make_group()
                self._own, self._claim_from = b"0", b"0-0"
                return []

    async def ack(self, entries: Sequence[Entry]) -> None:
        ids = [entry.token for entry in entries]
        with self._available():
            async with self._redis.pipeline(transaction=True) as pipe:
                for start in range(0, len(ids), 5000):
                    pipe.xack(self._stream, self._group, *ids[start : start + 5000])
                    pipe.xdel(self._stream, *ids[start : start + 5000])
                await pipe.execute()

    async def _read(self) -> list[Entry]:
        if self._own is not None:
            raw = await self._take(self._own)
            if raw:
                self._own = raw[-1][0]
                return await self._old(raw)
            self._own = None
        if self._clock() >= self._next_claim:
            raw = await self._claim()
            if raw:
                return await self._old(raw)
        raw = await self._take(b">")
        return [_entry(token, fields) for token, fields in raw if fields is not None]

    async def _take(self, position: bytes) -> list[RawEntry]:
        block = self._wait_ms if position == b">" else None
        answer: Any = await self._redis.xreadgroup(
            self._group, self._consumer, {self._stream: position}, count=self._batch, block=block
        )
        return _entries_of(answer)

    async def _claim(self) -> list[RawEntry]:
        """One page of what idle peers hold; goes on at the next turn while there are more pages."""
        idle_ms = int(self._peers_idle * 1000)
        answer: Any = await self._redis.xautoclaim(
            self._stream, self._group, self._consumer, idle_ms, start_id=self._claim_from, count=self._batch
        )
        self._claim_from, raw = answer[0], answer[1]
        if self._claim_from == b"0-0":
            self._next_claim = self._clock() + self._peers_idle / 4
            self._backlog(int(await self._redis.xlen(self._stream)))
        return list(raw)

    async def _old(self, raw: list[RawEntry]) -> list[Entry]:
        """Entries that were delivered before; those delivered too often are marked. Deleted ones are let go."""
        gone = [token for token, fields in raw if not fields]
        if gone:
            await self._redis.xack(self._stream, self._group, *gone)
        live = [(token, fields) for token, fields in raw if fields]
        if not live:
            return []
        pending: Any = await self._redis.xpending_range(
            self._stream, self._group, min=live[0][0], max=live[-1][0], count=len(raw) * 2, consumername=self._consumer
        )
        often = {item["message_id"] for item in pending if item["times_delivered"] > self._max_deliveries}
        return [_entry(token, fields)._replace(suspect=token in often) for token, fields in live]

    async def _make_group(self) -> None:
        try:
            await self._redis.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    @contextmanager
    def _available(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            # The first word is Redis's code (OOM, READONLY, LOADING, ...); the rest may quote what was sent.
            code = str(error).partition(" ")[0] if isinstance(error, ResponseError) else type(error).__name__
            raise SourceUnavailable(f"Redis is not available: {code}") from error


def _entries_of(answer: Any) -> list[RawEntry]:
    """RESP3 answers with a map of stream to pages, RESP2 with pairs."""
    pages = answer.values() if isinstance(answer, dict) else [pair[1] for pair in answer or ()]
    entries: list[RawEntry] = []
    for page in pages:
        entries += page[0] if page and isinstance(page[0], list) else page
    return entries


def _entry(token: bytes, fields: dict[bytes, bytes]) -> Entry:
    origin = stream_origin(fields)
    producer, segment = origin if origin else (None, None)
    version = fields.get(b"v", b"")
    if version.isdigit() and int(version) > SCHEMA_VERSION:
        problem = f"schema version {int(version)} is newer than {SCHEMA_VERSION}: update the worker, then retry"
        return Entry(token, fields.get(b"event", b""), producer, segment, problem)
    payload = fields.get(b"event")
    if payload is None:
        evidence = json.dumps({key.decode("latin-1"): value.decode("latin-1") for key, value in fields.items()})
        return Entry(token, evidence.encode(), producer, segment, problem="not a usage event: no field `event`")
    return Entry(token, payload, producer, segment)
