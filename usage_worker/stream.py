"""Entries from a Redis stream, through a consumer group.

The group begins at id 0, so what was shipped before the first worker came is read too. Order of reading: what this
consumer was given and never acknowledged (it crashed, or lost its connection), what peers left idle, then what is new.
An acknowledged entry is deleted: the ledger has it, and the stream may only hold what is not safe yet.

An entry may be what kills workers. That one died with it in hand says little: it had a whole batch in hand, and the
machine may be to blame. So an entry that was in hand at `max_deliveries` deaths is put aside and delivered alone. A
death then counts against it only if that worker had stored something else: where nothing gets through, no entry is to
blame. With ALONE_DEATHS of these it is marked as a suspect. Redis keeps the count (of deliveries; an orderly end takes
them back), so it holds for all workers that the entry passes through.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from usage_contract.codec import stream_origin
from usage_contract.event import SCHEMA_VERSION
from usage_worker.entries import Entry
from usage_worker.errors import SourceUnavailable

_log = logging.getLogger(__name__)

ALONE_DEATHS = 5
_START: bytes = b"-"  # of all ids

RawEntry = tuple[bytes, dict[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class _Aside:
    """An entry of ours that is to be delivered alone. `idle_ms`: since it was last delivered."""

    deliveries: int
    idle_ms: int


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
        # redis-py throws the cursor away where only ids are asked for.
        redis.set_response_callback("XAUTOCLAIM", lambda response, **_options: response)
        self._stream, self._group, self._consumer = stream, group, consumer
        self._clock = clock
        self._batch = batch
        self._wait_ms = wait_ms
        self._peers_idle = peers_idle
        self._max_deliveries = max_deliveries
        self._backlog = backlog
        self._own: bytes | None = _START  # where to go on among our own pending entries; None: seen them all
        self._next_claim = 0.0
        self._claim_from: bytes = b"0-0"
        # Delivered by this object and not acknowledged yet, and how often that had been done before.
        self._in_hand: dict[bytes, int] = {}
        self._aside: dict[bytes, _Aside] = {}
        self._alone: bytes | None = None  # what is in hand by itself
        self._alone_next = False
        self._stored = False  # whether this life of the worker got anything through

    async def read(self) -> Sequence[Entry]:
        """Empty also where what is in hand must be dealt with first."""
        try:
            return await self._read_or_make_group()
        except SourceUnavailable:
            # The answer that was lost may have assigned entries to us.
            self._own = _START
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
                self._own, self._claim_from = _START, b"0-0"
                self._aside.clear()
                return []

    async def ack(self, entries: Sequence[Entry]) -> None:
        ids = [entry.token for entry in entries]
        with self._available():
            async with self._redis.pipeline(transaction=True) as pipe:
                for start in range(0, len(ids), 5000):
                    pipe.xack(self._stream, self._group, *ids[start : start + 5000])
                    pipe.xdel(self._stream, *ids[start : start + 5000])
                await pipe.execute()
        for token in ids:
            self._in_hand.pop(token, None)
        self._stored = True
        if self._alone not in self._in_hand:
            self._alone = None

    async def measure(self) -> None:
        with self._available():
            await self._measure()

    async def release(self) -> None:
        tokens: dict[int, list[bytes]] = defaultdict(list)
        for token, deliveries in self._in_hand.items():
            tokens[deliveries].append(token)
        names = (self._stream, self._group, self._consumer)
        idle_ms = int(self._peers_idle * 1000)  # so that a peer need not wait
        with self._available():
            for deliveries, same in tokens.items():
                await self._redis.xclaim(*names, 0, [*same], idle=idle_ms, retrycount=deliveries, justid=True)
        self._in_hand.clear()

    async def _read(self) -> list[Entry]:
        if self._alone is not None:
            return []
        if entries := await self._own_pending():
            return entries
        if self._clock() >= self._next_claim:
            await self._claim()
            if entries := await self._own_pending():
                return entries
        if not self._aside:
            return await self._new(self._wait_ms)
        # In turns, so that neither waits for the other for ever.
        if not self._alone_next and (entries := await self._new(None)):
            self._alone_next = True
            return entries
        if self._in_hand:
            return []
        self._alone_next = False
        return await self._one_alone()

    async def _new(self, block: int | None) -> list[Entry]:
        answer: Any = await self._redis.xreadgroup(
            self._group, self._consumer, {self._stream: b">"}, count=self._batch, block=block
        )
        raw = [(token, fields) for token, fields in _entries_of(answer) if fields]
        return self._given(raw, dict.fromkeys((token for token, _ in raw), 0))

    async def _own_pending(self) -> list[Entry]:
        """The next page of what we were given before and have not in hand; what was in hand too often is put aside."""
        while self._own is not None:
            page: Any = await self._redis.xpending_range(
                self._stream, self._group, min=self._own, max="+", count=self._batch, consumername=self._consumer
            )
            self._own = b"(" + page[-1]["message_id"] if len(page) == self._batch else None
            fit: dict[bytes, int] = {}
            aside = len(self._aside)
            for item in page:
                token, deliveries = item["message_id"], item["times_delivered"]
                if token in self._in_hand:
                    continue
                if deliveries < self._max_deliveries:
                    fit[token] = deliveries
                else:
                    self._aside[token] = _Aside(deliveries, item["time_since_delivered"])
            if len(self._aside) > aside:
                _log.warning("%d entries were in hand when workers died: they are tried one by one", len(self._aside))
            if fit and (entries := self._given(await self._deliver([*fit]), fit)):
                return entries
        return []

    async def _one_alone(self) -> list[Entry]:
        """The one that was delivered longest ago: whoever kills its worker comes last in the next life."""
        token = max(self._aside, key=lambda token: self._aside[token].idle_ms)
        deliveries = self._aside.pop(token).deliveries
        raw = await self._deliver([token], deliveries + 1 if self._stored else deliveries)
        if not raw:
            return []
        suspect = deliveries >= self._max_deliveries + ALONE_DEATHS
        if suspect:
            _log.error("entry %s ended %d workers that had it alone in hand", token.decode(), ALONE_DEATHS)
        self._alone = token
        return [entry._replace(suspect=suspect) for entry in self._given(raw, {token: deliveries})]

    async def _deliver(self, tokens: list[bytes], deliveries: int | None = None) -> list[RawEntry]:
        """Pending entries once more, counted by one or set to `deliveries`. Those that were deleted are let go."""
        answer: Any = await self._redis.xclaim(
            self._stream, self._group, self._consumer, 0, [*tokens], retrycount=deliveries
        )
        raw = [(token, fields) for token, fields in answer if fields]
        gone = set(tokens) - {token for token, _ in raw}
        if gone:
            await self._redis.xack(self._stream, self._group, *gone)
        return raw

    async def _claim(self) -> None:
        """Make a page of what idle peers hold our own, not delivered yet. The next turn goes on from there."""
        idle_ms = int(self._peers_idle * 1000)
        # JUSTID: what comes with its fields would count as delivered.
        answer: Any = await self._redis.xautoclaim(
            self._stream, self._group, self._consumer, idle_ms, self._claim_from, self._batch, justid=True
        )
        self._claim_from, ids = answer[0], answer[1]
        # It also names what is idle of our own.
        if any(token not in self._in_hand and token not in self._aside for token in ids):
            self._own = _START
        if self._claim_from == b"0-0":
            self._next_claim = self._clock() + self._peers_idle / 4
            await self._measure()

    async def _measure(self) -> None:
        self._backlog(int(await self._redis.xlen(self._stream)))

    def _given(self, raw: list[RawEntry], deliveries: dict[bytes, int]) -> list[Entry]:
        self._in_hand.update((token, deliveries[token]) for token, _ in raw)
        return [_entry(token, fields) for token, fields in raw]

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


def _entries_of(answer: Any) -> list[tuple[bytes, dict[bytes, bytes] | None]]:
    """RESP3 answers with a map of stream to pages, RESP2 with pairs."""
    pages = answer.values() if isinstance(answer, dict) else [pair[1] for pair in answer or ()]
    entries: list[tuple[bytes, dict[bytes, bytes] | None]] = []
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
