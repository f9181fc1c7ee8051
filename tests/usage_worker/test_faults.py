"""The worker as real processes on a real Redis and Postgres that die, stop and come back: each event is one row."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from ledger import migrate
from ledger.engine import make_engine
from ledger.queries import UsageFilter, receipts, usage_count
from tests.services import Server, free_port, wait_until
from tests.usage_worker.events import PRODUCER, assert_exactly, usage_event
from usage_contract.codec import encode, to_stream_fields
from usage_contract.event import UsageEvent
from usage_contract.spool import frame, segment_path
from usage_worker.dead_letters import open_letters
from usage_worker.verify import verify

STREAM = "tollgate:usage"
ROOT = Path(__file__).resolve().parents[2]

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts worker processes and ends those that are left."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str, module: str = "usage_worker") -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, *arguments]
        processes.append(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def stock(postgres_url: str) -> Iterator[Engine]:
    migrate.upgrade(postgres_url)
    engine = make_engine(postgres_url)
    yield engine
    engine.dispose()


def _events(count: int, first: int = 0) -> list[UsageEvent]:
    now = datetime.now(UTC)
    return [usage_event(number, now - timedelta(seconds=number % 90)) for number in range(first, first + count)]


def _ship(redis_url: str, events: list[UsageEvent]) -> None:
    with Redis.from_url(redis_url) as redis, redis.pipeline(transaction=False) as pipe:
        for event in events:
            pipe.xadd(STREAM, dict(to_stream_fields(event)))
        pipe.execute()


def _flags(database_url: str, redis_url: str, consumer: str = "one", batch: int = 50) -> list[str]:
    flags = ["--database-url", database_url, "--redis-url", redis_url, "--consumer", consumer]
    return [*flags, "--batch", str(batch), "--log-level", "WARNING"]


def _settled(engine: Engine, redis_url: str, count: int) -> Callable[[], bool]:
    """All rows there and nothing left in the stream; not yet, while either server is away."""

    def settled() -> bool:
        try:
            with Redis.from_url(redis_url, socket_timeout=2) as redis:
                return usage_count(engine, UsageFilter()) == count and redis.xlen(STREAM) == 0
        except (DBAPIError, RedisError):
            return False

    return settled


def _until_rows(engine: Engine, count: int) -> None:
    wait_until(lambda: usage_count(engine, UsageFilter()) >= count, what="some progress")


@pytest.mark.parametrize("where", ["before-commit", "before-ack"])
def test_killed_again_and_again_at_the_worst_moment(
    stock: Engine, postgres_url: str, redis_url: str, start: Start, where: str
) -> None:
    events = _events(300)
    _ship(redis_url, events)
    for batches in (1, 2):
        # Each life re-reads what the one before left behind: by and by all batches are through some death.
        dying = start(where, str(batches), postgres_url, redis_url, module="tests.usage_worker.dying_worker")
        assert dying.wait(60) == -signal.SIGKILL
    worker = start(*_flags(postgres_url, redis_url, consumer="dying"))
    wait_until(_settled(stock, redis_url, 300), what="rows after the kills")
    worker.terminate()
    assert worker.wait(20) == 0
    assert_exactly(stock, events)


def test_killed_at_random_while_events_keep_coming(
    stock: Engine, postgres_url: str, redis_url: str, start: Start
) -> None:
    events = _events(1500)
    source = random.Random(11)
    for part in range(3):
        _ship(redis_url, events[part * 500 : (part + 1) * 500])
        worker = start(*_flags(postgres_url, redis_url, batch=20))
        _until_rows(stock, usage_count(stock, UsageFilter()) + source.randrange(20, 200))
        worker.kill()
        worker.wait(20)
    start(*_flags(postgres_url, redis_url))
    wait_until(_settled(stock, redis_url, 1500), what="all rows")
    assert_exactly(stock, events)


def test_two_workers_on_one_stream_with_everything_three_times_and_out_of_order(
    stock: Engine, postgres_url: str, redis_url: str, start: Start
) -> None:
    events = _events(600)
    thrice = events * 3
    random.Random(5).shuffle(thrice)
    _ship(redis_url, thrice)
    workers = [start(*_flags(postgres_url, redis_url, name)) for name in ("one", "two")]
    wait_until(_settled(stock, redis_url, 600), what="rows of two workers")
    for worker in workers:
        worker.terminate()
        assert worker.wait(20) == 0
    assert_exactly(stock, events)


def test_poison_and_the_future_are_buried_and_the_rest_is_stored(
    stock: Engine, postgres_url: str, redis_url: str, start: Start
) -> None:
    events = _events(200)
    _ship(redis_url, events[:100])
    with Redis.from_url(redis_url) as redis:
        future = {"v": "2", "producer": PRODUCER, "segment": "1", "event": b'{"schema_version": 2}'}
        poison = {"v": "1", "producer": PRODUCER, "segment": "2", "event": b"\xff\x00"}
        for fields in (future, poison, {"noise": "1"}, poison):
            redis.xadd(STREAM, dict(fields))
    _ship(redis_url, events[100:])
    start(*_flags(postgres_url, redis_url))
    wait_until(_settled(stock, redis_url, 200), what="rows beside poison")
    # What bears no event's id is none of the segments' events, whatever its envelope says.
    assert [(each.segment, each.stored, each.dead_lettered) for each in receipts(stock, PRODUCER)] == [
        (1, 100, 0),
        (2, 100, 0),
    ]
    assert len(open_letters(stock)) == 3
    assert verify(stock) == []


def test_a_stream_of_rubbish_stops_the_worker_loudly_and_nothing_is_lost(
    stock: Engine, postgres_url: str, redis_url: str, start: Start
) -> None:
    with Redis.from_url(redis_url) as redis:
        for number in range(150):
            redis.xadd(STREAM, {"v": "1", "producer": PRODUCER, "segment": "1", "event": f"rubbish {number}"})
        worker = start(*_flags(postgres_url, redis_url, batch=200))
        _, said = worker.communicate(timeout=60)
        assert worker.returncode == 1
        assert b"150 of the last 150 entries are bad; nothing was acknowledged" in said
        assert redis.xlen(STREAM) == 150
    assert open_letters(stock) == []


def test_redis_killed_paused_and_emptied(stock: Engine, postgres_url: str, redis_server: Server, start: Start) -> None:
    events = _events(300)
    start(*_flags(postgres_url, redis_server.url))
    _ship(redis_server.url, events[:100])
    wait_until(_settled(stock, redis_server.url, 100), what="the first rows")
    redis_server.kill()
    redis_server.start()  # without persistence: stream and group are gone; the gateway ships everything again
    _ship(redis_server.url, events[:200])
    wait_until(_settled(stock, redis_server.url, 200), what="rows after Redis lost everything")
    redis_server.pause()
    redis_server.resume()
    with Redis.from_url(redis_server.url) as redis:
        redis.flushall()
    _ship(redis_server.url, events)
    wait_until(_settled(stock, redis_server.url, 300), what="rows after FLUSHALL")
    assert_exactly(stock, events)


def test_postgres_killed_stopped_and_paused_under_load(postgres_server: Server, redis_url: str, start: Start) -> None:
    url = postgres_server.url
    migrate.upgrade(url)
    engine = make_engine(url)
    events = _events(1000)
    worker = start(*_flags(url, redis_url, batch=20))
    # The server commits asynchronously, and would forget the schema when killed now; what the worker commits stays.
    _ship(redis_url, events[:100])
    _until_rows(engine, 100)
    harms = (
        (postgres_server.kill, postgres_server.start),
        (postgres_server.stop, postgres_server.start),
        (postgres_server.pause, postgres_server.resume),
    )
    for part, (harm, mend) in enumerate(harms):
        first = 100 + part * 300
        _ship(redis_url, events[first : first + 300])
        _until_rows(engine, first + 20)
        harm()
        assert worker.poll() is None
        mend()
        wait_until(_settled(engine, redis_url, first + 300), what=f"rows after {harm.__name__}")
    assert worker.poll() is None
    assert_exactly(engine, events)
    engine.dispose()


def test_a_worker_that_starts_before_its_database_waits_and_says_so(
    postgres_server: Server, redis_url: str, start: Start
) -> None:
    postgres_server.stop()
    port = free_port()
    events = _events(10)
    _ship(redis_url, events)
    start(*_flags(postgres_server.url, redis_url), "--port", str(port))

    def health() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    wait_until(lambda: "StoreUnavailable" in health(), what="a worker that waits")
    assert '"status": "healthy"' in health()
    postgres_server.start()
    with Redis.from_url(redis_url) as redis:
        assert redis.xlen(STREAM) == 10
    migrate.upgrade(postgres_server.url)
    engine = make_engine(postgres_server.url)
    wait_until(_settled(engine, redis_url, 10), what="rows once the ledger is there")
    assert_exactly(engine, events)
    engine.dispose()


def test_sigterm_in_the_middle_ends_with_nothing_lost_and_exit_code_0(
    stock: Engine, postgres_url: str, redis_url: str, start: Start
) -> None:
    events = _events(2000)
    _ship(redis_url, events)
    worker = start(*_flags(postgres_url, redis_url, batch=20))
    wait_until(lambda: usage_count(stock, UsageFilter()) > 0, what="a first batch")
    worker.terminate()
    assert worker.wait(20) == 0
    with Redis.from_url(redis_url) as redis:
        assert usage_count(stock, UsageFilter()) + int(redis.xlen(STREAM)) == 2000
    start(*_flags(postgres_url, redis_url, batch=500))
    wait_until(_settled(stock, redis_url, 2000), what="the rest")
    assert_exactly(stock, events)


def test_the_spool_is_read_straight_into_sqlite_through_a_kill(tmp_path: Path, start: Start) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate.upgrade(url)
    engine = make_engine(url)
    root = tmp_path / "spool"
    events = [replace(event, producer=folder) for folder in ("a" * 36, "b" * 36) for event in _events(200)]
    events = [replace(event, event_id=usage_event(number).event_id) for number, event in enumerate(events)]

    def write(part: list[UsageEvent]) -> None:
        for event in part:
            folder = root / event.producer
            folder.mkdir(parents=True, exist_ok=True)
            with segment_path(folder, event.segment).open("ab") as file:
                file.write(frame("I", b"{}") + frame("E", encode(event)))

    flags = ["--database-url", url, "--spool-root", str(root), "--batch", "30", "--log-level", "WARNING"]
    worker = start(*flags)
    write(events[:250])
    wait_until(lambda: usage_count(engine, UsageFilter()) >= 30, what="some rows")
    worker.kill()
    worker.wait(20)
    worker = start(*flags)
    write(events[250:])
    wait_until(lambda: usage_count(engine, UsageFilter()) == 400, what="all rows")
    worker.send_signal(signal.SIGINT)
    assert worker.wait(20) == 0
    assert_exactly(engine, events)
    engine.dispose()


def test_a_wrong_setting_is_one_line(tmp_path: Path, start: Start) -> None:
    database = ("--database-url", f"sqlite:///{tmp_path}/x.db")
    for flags, words in (
        ((), b"no database: give --database-url"),
        (database, b"no source of events"),
        (("--database-url", "mysql://x", "--redis-url", "redis://x"), b"must begin with sqlite:/// or postgresql://"),
        ((*database, "--redis-url", "http://x"), b"redis_url"),
        ((*database, "--spool-root", "x", "--port", "99999"), b"--port"),
    ):
        worker = start(*flags)
        _, said = worker.communicate(timeout=30)
        assert worker.returncode == 1
        assert words in said
        assert said.count(b"\n") == 1
