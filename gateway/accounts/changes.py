"""How a process hears that accounts have changed: from a counter in the database, and from Redis.

Either is enough. The counter is looked at every half second. The broadcast names what has changed, so that a process
which cannot reach the database drops it at least. With both away nothing can be heard, and `Directory.age` grows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from gateway.accounts.directory import Directory
from gateway.accounts.store import Changed

CHANNEL = "tollgate:accounts"
_POLL_SECONDS = 0.5
_LISTEN_SECONDS = 1.0
_AWAY_SECONDS = 1.0
_SILENT_SECONDS = 5.0  # after that the connection is taken for dead
_log = logging.getLogger(__name__)


class Broadcast:
    """Tells every gateway at the same Redis what has changed. Called from the thread that made the change."""

    def __init__(self, redis_url: str) -> None:
        self._redis = Redis.from_url(redis_url, socket_timeout=1.0, socket_connect_timeout=1.0)

    def __call__(self, changed: Changed) -> None:
        said = {"counter": changed.counter, "keys": sorted(changed.keys), "users": sorted(changed.users)}
        try:
            self._redis.publish(CHANNEL, json.dumps(said))
        except (RedisError, OSError) as error:
            # The change is committed: everybody will read it from the database.
            _log.warning("a change of accounts could not be broadcast: %s", type(error).__name__)

    def close(self) -> None:
        self._redis.close()


class ChangeWatch:
    """Keeps a process's directory up to date, for as long as its tasks run."""

    def __init__(self, directory: Directory, redis_url: str | None) -> None:
        self._directory = directory
        self._redis_url = redis_url
        self._nudge = asyncio.Event()
        self._heard_since = float("inf")  # since when no broadcast can have been missed
        self._away = False

    async def poll(self) -> None:
        """Look at the counter until cancelled."""
        while True:
            self._nudge.clear()
            await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._nudge.wait()

    async def look(self) -> None:
        """Once; a database that is away is not an error here."""
        try:
            await asyncio.to_thread(self._directory.refresh)
        except SQLAlchemyError as error:
            if not self._away:
                _log.warning("the accounts database cannot be read: %s; what is known is served", type(error).__name__)
            self._away = True
        else:
            self._away = False

    async def listen(self) -> None:
        """Follow the broadcast until cancelled, through failures of Redis. Without a Redis there is nothing to do."""
        if self._redis_url is None:
            return
        while True:
            try:
                await self._follow(self._redis_url)
            except (RedisError, OSError, TimeoutError) as error:
                _log.info("changes of accounts are not broadcast just now: %s", type(error).__name__)
            finally:
                self._heard_since = float("inf")
            await asyncio.sleep(_AWAY_SECONDS)

    async def _follow(self, url: str) -> None:
        # No socket_timeout: on Python 3.11 redis-py would swallow cancellation under it. Answers are waited for here.
        redis = AsyncRedis.from_url(url, socket_timeout=None, socket_connect_timeout=2.0, retry=None)
        async with redis, redis.pubsub() as sub:
            async with asyncio.timeout(_SILENT_SECONDS):
                await sub.subscribe(CHANNEL)
            self._heard_since = heard_at = time.monotonic()
            self._nudge.set()
            while time.monotonic() - heard_at < _SILENT_SECONDS:
                message = await sub.get_message(timeout=_LISTEN_SECONDS)
                if message is None:
                    await sub.ping()
                    continue
                heard_at = time.monotonic()
                if message["type"] == "pong":
                    self._confirm()
                elif message["type"] == "message":
                    self._hear(message["data"])
            raise TimeoutError

    def _confirm(self) -> None:
        """Redis answers, so whatever was broadcast since the last look at the counter has been heard."""
        if self._directory.confirmed_at >= self._heard_since:
            self._directory.confirm()

    def _hear(self, data: bytes) -> None:
        try:
            said = json.loads(data)
            changed = Changed(int(said["counter"]), frozenset(said["keys"]), frozenset(said["users"]))
        except (ValueError, KeyError, TypeError):
            _log.warning("a broadcast change of accounts could not be read")
        else:
            self._directory.drop(changed)
        self._nudge.set()
