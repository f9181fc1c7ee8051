"""The test servers themselves: what fault tests rely on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisGone
from redis.exceptions import TimeoutError as RedisSilent

from tests.services import PostgresServer, RedisServer, Server, running, wait_until


def test_each_test_gets_an_empty_redis(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_each_test_gets_an_empty_redis_again(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


def test_each_test_gets_its_own_database(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE mine (n int)")
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'mine'").fetchone()
    assert row == (1,)


def test_redis_can_be_paused_killed_and_started_again(redis_server: Server) -> None:
    with Redis.from_url(redis_server.url, socket_timeout=0.3, retry=None) as client:
        redis_server.pause()
        with pytest.raises(RedisSilent):
            client.ping()
        redis_server.resume()
        assert client.ping()
        client.set("kept", "no")
        redis_server.kill()
        with pytest.raises(RedisGone):
            client.ping()
        redis_server.start()
        assert client.get("kept") is None


def test_redis_with_an_append_only_file_keeps_its_data() -> None:
    with running(RedisServer, "--appendonly", "yes", "--appendfsync", "always") as server:
        with Redis.from_url(server.url) as client:
            client.set("kept", "yes")
        server.kill()
        server.start()
        with Redis.from_url(server.url) as client:
            assert client.get("kept") == b"yes"


def test_postgres_can_be_paused_killed_and_started_again(postgres_server: Server) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = on")
        connection.execute("CREATE TABLE kept (n int)")
        postgres_server.pause()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(postgres_server.url, connect_timeout=2)
        postgres_server.resume()
        connection.execute("INSERT INTO kept VALUES (1)")
        postgres_server.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    postgres_server.start()
    with psycopg.connect(postgres_server.url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]


_HOLDS_SERVERS = """
import sys, time
from tests.services import PostgresServer, RedisServer, running
with running(RedisServer) as redis, running(PostgresServer) as postgres:
    print(redis._process._popen.pid, postgres._process._popen.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child's life to its parent's")
def test_no_server_outlives_a_killed_test_run() -> None:
    root = Path(__file__).resolve().parents[1]
    holder = subprocess.Popen([sys.executable, "-c", _HOLDS_SERVERS], cwd=root, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        pids = holder.stdout.readline().split()
    assert len(pids) == 2
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    def gone() -> bool:
        return not any(Path(f"/proc/{pid}/exe").exists() for pid in pids)

    wait_until(gone, seconds=20, what="end of the servers")
    assert gone()


def test_a_server_class_says_why_it_cannot_start(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--no-such-option", "1")
    with pytest.raises(Exception, match="redis-server ended at once"):
        server.start()
    assert PostgresServer(tmp_path).url.startswith("postgresql://postgres@127.0.0.1:")
