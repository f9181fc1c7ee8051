"""A cluster to break, and a place for its counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster
from tests.faults.counts import Counts
from tests.faults.load import provide
from tests.faults.proxy import FaultyProxy
from tests.faults.sizes import SIZE
from tests.replay import Upstream
from tests.services import PostgresServer, RedisServer, ServiceUnavailable, running

_CASE_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SIZE.long:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(_CASE_SECONDS))


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[Counts], None]:
    """Puts a line into the table, which tests/conftest.py prints: with several processes, theirs do not load this."""
    return lambda counts: request.node.user_properties.append(counts.as_property())


@contextmanager
def _servers() -> Iterator[tuple[RedisServer, PostgresServer]]:
    """A Redis and a Postgres of a package's own. Skips, with the reason, where there are none."""
    with ExitStack() as stack:
        try:
            redis = stack.enter_context(running(RedisServer))
            postgres = stack.enter_context(running(PostgresServer, "-c", "max_connections=60"))
        except ServiceUnavailable as reason:
            pytest.skip(f"no servers to break: {reason}")
        assert isinstance(redis, RedisServer)
        assert isinstance(postgres, PostgresServer)
        yield redis, postgres


@pytest.fixture(scope="package")
def package_servers() -> Iterator[tuple[RedisServer, PostgresServer]]:
    with _servers() as started:
        yield started


@pytest.fixture(scope="package")
def redis_proxy(package_servers: tuple[RedisServer, PostgresServer]) -> Iterator[FaultyProxy]:
    """What stands between the cluster and its Redis."""
    with FaultyProxy(package_servers[0].port) as proxy:
        yield proxy


@pytest.fixture(scope="package")
def package_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        provide(upstream)
        yield upstream


@pytest.fixture(scope="package")
def cluster(
    tmp_path_factory: pytest.TempPathFactory,
    package_servers: tuple[RedisServer, PostgresServer],
    redis_proxy: FaultyProxy,
    package_upstream: Upstream,
) -> Iterator[Cluster]:
    """Two gateways and a worker for most cases. At the end its ledger is verified as an operator does it."""
    folder, postgres = tmp_path_factory.mktemp("cluster"), package_servers[1]
    with Cluster(folder, package_upstream, database_url=postgres.url, redis_url=redis_proxy.url) as started:
        yield started
        done = started.verify()
        assert done.returncode == 0, done.stdout + done.stderr
