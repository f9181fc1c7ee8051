"""`python -m usage_worker`: the composition root of the worker.

Exit codes: 0 after SIGTERM or SIGINT, 1 with one line on standard error for what must be mended.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from redis.asyncio import Redis
from sqlalchemy import Engine

from ledger import migrate
from ledger.engine import make_engine
from usage_worker.errors import StoreUnavailable, WorkerError
from usage_worker.health import HealthServer
from usage_worker.loop import Backoff, DeadLetterCap, Loop, Source
from usage_worker.metrics import Meters
from usage_worker.patience import patiently
from usage_worker.retention import Upkeep
from usage_worker.settings import SettingsError, WorkerSettings
from usage_worker.spool import SpoolSource
from usage_worker.store import Store, translated_errors
from usage_worker.stream import StreamSource

_log = logging.getLogger("usage_worker")


def main(argv: Sequence[str] | None = None) -> int:
    try:
        settings = read_settings(sys.argv[1:] if argv is None else argv, os.environ)
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        logging.getLogger("alembic").setLevel(logging.WARNING)
        asyncio.run(run(settings))
    except (SettingsError, WorkerError) as error:
        sys.stderr.write(f"usage_worker: {error}\n")
        return 1
    return 0


def read_settings(argv: Sequence[str], environment: Mapping[str, str]) -> WorkerSettings:
    """Flags beat environment variables. Raises SettingsError; a flag that does not exist exits with 2."""
    parser = argparse.ArgumentParser(prog="usage_worker", description="Moves usage events into the ledger")
    for flag, kind, variable, text in _FLAGS:
        parser.add_argument(flag, type=kind, default=environment.get(variable), help=f"{text} [{variable}]")
    options = {name: value for name, value in vars(parser.parse_args(argv)).items() if value not in (None, "")}
    if "database_url" not in options:
        raise SettingsError("no database: give --database-url or set GATEWAY_DATABASE_URL")
    return WorkerSettings(**options)


_FLAGS: tuple[tuple[str, type, str, str], ...] = (
    ("--database-url", str, "GATEWAY_DATABASE_URL", "ledger database, sqlite:///... or postgresql://..."),
    ("--redis-url", str, "GATEWAY_REDIS_URL", "read events from this Redis"),
    ("--spool-root", Path, "USAGE_WORKER_SPOOL_ROOT", "without Redis: read events from this spool folder"),
    ("--stream", str, "USAGE_WORKER_STREAM", "name of the stream"),
    ("--group", str, "USAGE_WORKER_GROUP", "name of the consumer group"),
    ("--consumer", str, "USAGE_WORKER_CONSUMER", "name of this worker in the group, by default the host's"),
    ("--batch", int, "USAGE_WORKER_BATCH", "entries in one transaction at most"),
    ("--retention-months", int, "USAGE_WORKER_RETENTION_MONTHS", "months of events that are kept, by default all"),
    ("--dead-letter-share", float, "USAGE_WORKER_DEAD_LETTER_SHARE", "share of bad entries that stops the worker"),
    ("--max-deliveries", int, "USAGE_WORKER_MAX_DELIVERIES", "deaths after which an entry is tried alone"),
    ("--peers-idle", float, "USAGE_WORKER_PEERS_IDLE", "seconds after which another worker's entries are taken over"),
    ("--port", int, "USAGE_WORKER_PORT", "serve /metrics and /health here"),
    ("--host", str, "USAGE_WORKER_HOST", "address of that port"),
    ("--log-level", str, "LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR"),
)


async def run(settings: WorkerSettings) -> None:
    """Until SIGTERM or SIGINT. Raises WorkerError or SettingsError for what a person must mend."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        engine = make_engine(settings.database_url)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    meters = Meters()
    async with AsyncExitStack() as stack:
        stack.callback(engine.dispose)
        if settings.port is not None:
            stack.callback(_serve_health(settings, meters).close)
        store, source = Store(engine, now), _source(settings, meters, stack)
        if not await _until_ready(engine, store, meters, stop):
            return
        upkeep = asyncio.create_task(Upkeep(engine, store, now, settings.retention_months).run(stop))
        upkeep.add_done_callback(lambda _: stop.set())  # it only ends early by an error, raised below
        cap = DeadLetterCap(settings.dead_letter_share)
        _log.info("moving events from %s", "the stream" if settings.redis_url else "the spool")
        try:
            await Loop(source, store, meters, now, cap).run(stop)
        finally:
            stop.set()
            await upkeep
    _log.info("stopped")


def now() -> datetime:
    return datetime.now(UTC)


def _serve_health(settings: WorkerSettings, meters: Meters) -> HealthServer:
    assert settings.port is not None  # noqa: S101
    try:
        server = HealthServer(settings.host, settings.port, meters, now)
    except OSError as error:
        raise SettingsError(f"port {settings.port} cannot be used: {error.strerror}; choose another --port") from None
    server.start()
    return server


async def _until_ready(engine: Engine, store: Store, meters: Meters, stop: asyncio.Event) -> bool:
    """Wait for the database and its migration. Nothing is read before: a delivery is counted, and would count up."""
    backoff = Backoff()

    def beat() -> None:
        meters.turn(now())

    while not stop.is_set():
        try:
            with translated_errors():
                current = await patiently(stop, beat, migrate.current, engine)
            if current == migrate.head():
                await patiently(stop, beat, store.prepare)
                return True
            reason = f"the ledger's schema is {current or 'missing'}, not {migrate.head()}: run `tollgate migrate`"
        except StoreUnavailable as error:
            reason = str(error)
        _log.warning("waiting: %s", reason)
        meters.waiting("StoreUnavailable")
        await backoff.wait(stop)
    return False


def _source(settings: WorkerSettings, meters: Meters, stack: AsyncExitStack) -> Source:
    if settings.redis_url is None:
        assert settings.spool_root is not None  # noqa: S101 - WorkerSettings checks it
        return SpoolSource(settings.spool_root, batch=settings.batch)
    try:
        redis = Redis.from_url(
            settings.redis_url, socket_timeout=15, socket_connect_timeout=5, health_check_interval=30
        )
    except ValueError as error:
        raise SettingsError(f"redis_url: {error}") from None
    stack.push_async_callback(redis.aclose)
    return StreamSource(
        redis,
        stream=settings.stream,
        group=settings.group,
        consumer=settings.consumer,
        clock=time.monotonic,
        batch=settings.batch,
        max_deliveries=settings.max_deliveries,
        peers_idle=settings.peers_idle,
        backlog=meters.backlog,
    )


if __name__ == "__main__":
    sys.exit(main())
