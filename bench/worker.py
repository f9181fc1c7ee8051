"""How many events a second one worker moves from Redis into Postgres.

    python -m bench.worker --events 200000 [--batch 2000] [--users 100] [--keys 500] [--warm 0]

Starts its own Redis and Postgres (see tests/services.py), fills the stream, runs the worker as a process of its own and
prints events/s from its first commit to its last, with the processor time of the worker and of its Postgres backend.
`--warm` puts that many events into the table first: the cost per event must not depend on it.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from redis import Redis
from sqlalchemy import text

from ledger import migrate, partitions
from ledger.engine import make_engine
from ledger.queries import UsageFilter, usage_count
from tests.services import session_postgres, session_redis
from usage_contract.codec import to_stream_fields
from usage_contract.event import Caller, Tokens, UsageEvent

_STREAM = "tollgate:usage"
_PRICE = {"input": "0.15", "output": "0.6", "cache_read": "0.075", "source": "genai-prices", "effective": "2024-07-18"}


@dataclass(frozen=True, slots=True)
class Load:
    events: int
    users: int
    keys: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=2000)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--keys", type=int, default=500)
    parser.add_argument("--warm", type=int, default=0, help="events in the table before the measurement")
    options = parser.parse_args()
    load = Load(options.events, options.users, options.keys)
    with session_redis() as redis_url, session_postgres() as postgres_url:
        migrate.upgrade(postgres_url)
        if options.warm:
            fill_ledger(postgres_url, options.warm)
        _fill(redis_url, load)
        _measure(redis_url, postgres_url, options.batch, load)
    return 0


def _events(load: Load) -> Iterator[UsageEvent]:
    source = random.Random(7)
    start_ms = int(time.time() * 1000) - load.events // 20
    for number in range(load.events):
        millisecond = start_ms + number // 20
        head, tail = f"{millisecond:012x}", f"{source.getrandbits(72):018x}"
        key = number % load.keys
        yield UsageEvent(
            event_id=f"{head[:8]}-{head[8:]}-7{tail[:3]}-8{tail[3:6]}-{tail[6:]}",
            request_id=f"req-{number}",
            kind="final",
            producer="0193b7a0-0000-7000-8000-000000000001",
            segment=number // 5000 + 1,
            started_us=millisecond * 1000,
            caller=Caller(
                user_id=f"user-{key % load.users}", key_id=f"key-{key}", session_id=f"session-{number // 10}"
            ),
            surface="/v1/chat/completions",
            provider="openai",
            model_asked="gpt-4o-mini",
            model_used=("gpt-4o-mini-2024-07-18", "gpt-4.1-2025-04-14")[key % 2],
            stream=True,
            http_status=200,
            finish_reason="stop",
            response_id=f"chatcmpl-{tail}",
            tokens=Tokens(input=source.randrange(5000), cache_read=source.randrange(100), output=source.randrange(900)),
            cost_pico=source.randrange(10**9),
            price=_PRICE,
            duration_us=source.randrange(10**7),
            first_token_us=source.randrange(10**6),
            overhead_us=400,
        )


def _fill(redis_url: str, load: Load) -> None:
    with Redis.from_url(redis_url) as redis:
        pipe = redis.pipeline(transaction=False)
        for number, event in enumerate(_events(load), 1):
            pipe.xadd(_STREAM, dict(to_stream_fields(event)))
            if number % 2000 == 0:
                pipe.execute()
        pipe.execute()


def _measure(redis_url: str, postgres_url: str, batch: int, load: Load) -> None:
    command = [sys.executable, "-m", "usage_worker", "--database-url", postgres_url, "--redis-url", redis_url]
    worker = subprocess.Popen([*command, "--batch", str(batch), "--log-level", "WARNING"])
    engine = make_engine(postgres_url)
    try:
        with Redis.from_url(redis_url) as redis, psycopg.connect(postgres_url, autocommit=True) as watcher:
            first, done = _watch(redis, load)
            backends = [
                pid
                for (pid,) in watcher.execute(
                    "SELECT pid FROM pg_stat_activity WHERE application_name = 'tollgate' AND pid <> pg_backend_pid()"
                )
            ]
            seconds = time.perf_counter() - first
            print(f"{done / seconds:,.0f} events/s  ({done:,} in {seconds:.1f} s, batches of {batch})")  # noqa: T201
            for name, pids in (("worker", [worker.pid]), ("postgres", backends)):
                used = sum(_processor_seconds(pid) for pid in pids)
                print(f"  {name}: {used / load.events * 1e6:.1f} us of processor an event")  # noqa: T201
    finally:
        worker.terminate()
        worker.wait(20)
    print(f"  rows {usage_count(engine, UsageFilter()):,}")  # noqa: T201
    engine.dispose()


def _watch(redis: Redis, load: Load) -> tuple[float, int]:
    """When the first batch was through, and how many events came after it."""
    left = load.events
    while left == load.events:
        time.sleep(0.002)
        left = int(redis.xlen(_STREAM))
    first, done = time.perf_counter(), left
    while left:
        time.sleep(0.02)
        left = int(redis.xlen(_STREAM))
    return first, done


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def fill_ledger(postgres_url: str, events: int) -> None:
    """Many rows quickly: made by the database itself, spread over the first 19 days of the month; no rollups."""
    engine = make_engine(postgres_url)
    now = datetime.now(UTC)
    with engine.begin() as connection:
        partitions.ensure(connection, [partitions.month_of(now)])
        connection.execute(text(_WARM), {"events": events, "start": partitions.midnight(partitions.month_of(now))})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE usage_events"))
    engine.dispose()


_WARM = """
INSERT INTO usage_events (event_time, event_id, request_id, kind, producer, segment, started_at, attempt, key_id,
  user_id, session_id, end_user, tags, surface, provider, model_asked, model_used, stream, byok, status, http_status,
  input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, input_audio_tokens, input_image_tokens,
  tool_input_tokens, output_tokens, reasoning_tokens, output_audio_tokens, output_image_tokens, web_searches, images,
  audio_ms, estimated, cost_pico, duration_us, schema_version, received_at)
SELECT t, CAST(minted || '-7001-8000-' || tail AS uuid), minted || '-7000-8000-' || tail,
  CASE WHEN n % 20 = 0 THEN 'attempt' ELSE 'final' END, 'warm', n / 5000, t, 1, 'key-' || n % 500,
  'user-' || n % 100, 'session-' || n / 10, 'end-user-' || n % 5000, jsonb_build_object('team', 'team-' || n / 3 % 10),
  '/v1/chat/completions', provider, model, model, true, false, 'success', 200,
  100, 0, 0, 0, 0, 0, 0, 50, 0, 0, 0, 0, 0, 0, false, 45000000, 900000, 1, t
FROM (SELECT n, t, substr(ms, 1, 8) || '-' || substr(ms, 9) AS minted, lpad(to_hex(n), 12, '0') AS tail,
      (ARRAY['openai', 'anthropic', 'gemini'])[1 + n / 7 % 3] AS provider,
      (ARRAY['gpt-4o-mini', 'claude-sonnet-4-5', 'gemini-2.5-flash'])[1 + n / 7 % 3] AS model
      FROM (SELECT n, t, lpad(to_hex(CAST(floor(extract(epoch FROM t) * 1000) AS bigint)), 12, '0') AS ms
            FROM (SELECT n, CAST(:start AS timestamptz) + n * (interval '1 day' * 19 / :events) AS t
                  FROM generate_series(1, :events) AS n) AS spread) AS timed) AS made
"""

if __name__ == "__main__":
    sys.exit(main())
