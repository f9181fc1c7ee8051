"""The usage stream in Redis: where events go on their way to the worker. Never the only copy of any.

A batch is one script call with one answer, which costs the gateway a fraction of as many XADDs. Each batch also leaves
a marker of its producer: when that is gone, Redis has lost its data, and the caller ships again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

_MARKER_SECONDS: Final = 86_400  # then it is set anew, and what is unconfirmed is shipped once more, harmlessly

# KEYS: stream, marker. ARGV: marker's lifetime, producer, segment, then version and event of each entry.
_SHIP: Final = """
local fresh = redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[1])
local id = ''
for i = 4, #ARGV, 2 do
  id = redis.call('XADD', KEYS[1], '*', 'v', ARGV[i], 'producer', ARGV[2], 'segment', ARGV[3], 'event', ARGV[i + 1])
end
return {fresh and 1 or 0, id}
"""


class StreamUnavailable(Exception):
    """Redis is away, slow, full or read-only. Whether a batch arrived is then unknown: ship it again."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """`fresh`: the producer's marker was not there. `last_id`: the entry id of the last event, empty without one."""

    fresh: bool
    last_id: bytes


class RedisStream:
    """A connection of its own, so that nothing else waits when it is slow."""

    def __init__(self, url: str, *, stream: str = "tollgate:usage", timeout: float = 2.0) -> None:
        self.stream = stream
        self._timeout = timeout
        # No socket_timeout: redis-py writes under it with asyncio.wait_for, which swallows cancellation on Python 3.11.
        # `_ask` bounds every question instead.
        self._client: Redis = Redis.from_url(
            url, socket_timeout=None, socket_connect_timeout=timeout, max_connections=2, retry=None
        )
        self._ship = self._client.register_script(_SHIP)

    async def ship(self, producer: str, segment: int, entries: Sequence[tuple[bytes, bytes]]) -> Shipped:
        """Add entries (version, event) in order. Raises StreamUnavailable."""
        args: list[bytes | int | str] = [_MARKER_SECONDS, producer, segment]
        for version, event in entries:
            args += (version, event)
        # The braces put both keys in one slot of a cluster.
        keys = [self.stream, f"{{{self.stream}}}:seen:{producer}"]
        fresh, last_id = await self._ask(self._ship(keys=keys, args=args))
        return Shipped(bool(fresh), last_id)

    async def waiting(self, ids: Sequence[bytes]) -> set[bytes]:
        """Those of the entries that are still in the stream. Raises StreamUnavailable."""
        pipeline = self._client.pipeline(transaction=False)
        for each in ids:
            pipeline.xrange(self.stream, each, each, count=1)
        found = await self._ask(pipeline.execute())
        return {each for each, entries in zip(ids, found, strict=True) if entries}

    async def forget(self, producer: str) -> None:
        """Remove the marker of a producer that is gone. Raises StreamUnavailable."""
        await self._ask(self._client.delete(f"{{{self.stream}}}:seen:{producer}"))

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, question: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                return await question
        except (RedisError, OSError, TimeoutError) as error:
            # The connection may hold half an answer, or lead to a server that is no longer the right one.
            await self._client.connection_pool.disconnect()
            raise StreamUnavailable(f"{type(error).__name__}: {error}") from error
