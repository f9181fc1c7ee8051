"""Fixtures for every test: real Redis and Postgres, and servers that a fault test may break."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from tests.faults.counts import PROPERTY, Counts, table
from tests.faults.sizes import SIZE
from tests.replay import Upstream
from tests.services import (
    PostgresServer,
    RedisServer,
    Server,
    ServiceUnavailable,
    fresh_database,
    running,
    session_postgres,
    session_redis,
)

# On a busy machine any example may be slow; how long one takes is not what these tests are about.
# Nor may it depend on chance in CI: there every run tries the same examples.
settings.register_profile(
    "tollgate", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("tollgate")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have measured, by `record_property("measured", "...")`, and the fault tests' table of counts, from
    whichever processes they ran in."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    properties = [each for report in reports for each in report.user_properties]
    if lines := [f"{value}" for name, value in properties if name == "measured"]:
        terminalreporter.section("measured")
        terminalreporter.write_line("\n".join(lines))
    if counts := [Counts(**value) for name, value in properties if name == PROPERTY]:
        terminalreporter.section(f"faults, {'long' if SIZE.long else 'short'} form: what was called and what is billed")
        terminalreporter.write_line(table(sorted(counts, key=lambda line: line.case)))


@pytest.fixture(scope="session")
def redis_server_url() -> Iterator[str]:
    """The session's Redis; tests take `redis_url`."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(session_redis())
        except ServiceUnavailable as reason:
            pytest.skip(f"no Redis for tests: {reason}; set TOLLGATE_TEST_REDIS_URL")
        yield url


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """The session's Postgres; tests take `postgres_url`."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(session_postgres())
        except ServiceUnavailable as reason:
            pytest.skip(f"no Postgres for tests: {reason}; set TOLLGATE_TEST_POSTGRES_URL")
        yield url


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """A Redis database that is empty at the start of the test."""
    with Redis.from_url(redis_server_url) as client:
        client.flushdb()
    return redis_server_url


@pytest.fixture
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """An empty Postgres database of the test's own."""
    with fresh_database(postgres_server_url) as url:
        yield url


@pytest.fixture(scope="module")
def module_postgres_url(postgres_server_url: str) -> Iterator[str]:
    """An empty Postgres database for all tests of a module."""
    with fresh_database(postgres_server_url) as url:
        yield url


@pytest.fixture
def redis_server() -> Iterator[Server]:
    """A Redis of the test's own, started, to stop, kill or pause."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running(RedisServer))
        except ServiceUnavailable as reason:
            pytest.skip(f"no Redis for tests: {reason}")
        yield server


@pytest.fixture
def postgres_server() -> Iterator[Server]:
    """A Postgres of the test's own, started, to stop, kill or pause. It costs about two seconds."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running(PostgresServer))
        except ServiceUnavailable as reason:
            pytest.skip(f"no Postgres for tests: {reason}")
        yield server


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A loopback server in a provider's place, with no answers yet."""
    with Upstream() as server:
        yield server
