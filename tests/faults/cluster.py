"""Several gateways on one spool root, several workers, a Redis and a Postgres of their own: all to be broken."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import psycopg
import yaml
from redis import Redis
from redis.exceptions import RedisError

from gateway.admission.in_redis import PREFIX
from tests.deployment import MASTER_KEY, Deployment, GatewayProcess, Process
from tests.deployment import until as within
from tests.faults.bills import PRICING
from tests.faults.load import ALIASES, SHAPES, Load
from tests.faults.sizes import SIZE
from tests.replay import Upstream
from usage_contract.spool import segment_path, segments

PATIENCE = 180.0  # seconds: the suite must hold on a busy machine, too
Death = tuple[float, float]  # some gateways died between these two moments
STREAM = "tollgate:usage"
GROUP = "usage_worker"
PEERS_IDLE = 2.0  # seconds after which a worker takes over what another one left
LEASE = 5.0  # seconds after which what a dead gateway's calls hold is given back
_numbers = itertools.count(1)  # of loads, also of other clusters on the same upstream


def until(holds: Callable[[], Any], what: str) -> None:
    """Ask again and again until the answer is true. Raises AssertionError when patience is at an end."""
    within(holds, what, PATIENCE)


class Cluster(Deployment):
    """Use it like `Deployment`. `gateway` and `worker` are the first of `gateways` and `workers`; each gateway serves
    with so many `processes`."""

    def __init__(
        self,
        folder: Path,
        upstream: Upstream,
        *,
        database_url: str,
        redis_url: str,
        gateways: int = 2,
        processes: int = 1,
        workers: int = 1,
        spool: dict[str, Any] | None = None,
        config: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.redis_url, self.database_url = redis_url, database_url
        settings = {
            "spool": {"segment_seconds": 0.2, **(spool or {})},
            "models": ALIASES,
            "pricing": PRICING,
            "admission": {"lease_seconds": LEASE},
        }
        super().__init__(
            folder,
            upstream.url,
            database_url=database_url,
            redis_url=redis_url,
            config={**settings, **(config or {})},
            environment=environment,
        )
        self.upstream = upstream
        self._processes = processes
        self.gateway.arguments += ["--workers", str(processes)]
        self.worker.arguments += ["--peers-idle", str(PEERS_IDLE)]
        self.spool_root = folder / "data" / "spool"
        self.gateways = [self.gateway, *(self._another_gateway(number) for number in range(2, gateways + 1))]
        self.workers = [self.worker, *(self.another_worker(f"worker-{number}") for number in range(2, workers + 1))]
        self.keys: list[str] = []

    def _another_gateway(self, number: int) -> GatewayProcess:
        log = self.folder / f"gateway-{number}.log"
        return GatewayProcess(self.gateway.arguments, log, self.gateway.environment)

    def gateway_with_quota(self, quota_bytes: int) -> GatewayProcess:
        """One more, not started yet, which takes no calls when the spools on its disk are that large."""
        settings = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        settings["spool"]["quota_bytes"] = quota_bytes
        config = self.config.with_name("quota.yaml")
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return GatewayProcess(["--config", str(config)], self.folder / "gateway-quota.log", self.gateway.environment)

    def another_worker(self, name: str, *flags: str, consumer: str | None = None) -> Process:
        """A worker that is not started yet; of the same consumer name only where one is given."""
        arguments = [*self.worker.arguments, "--consumer", consumer or name, *flags]
        return Process("usage_worker", arguments, self.folder / f"{name}.log", self.worker.environment)

    def start_gateway(self) -> None:
        for gateway in self.gateways:
            gateway.serve()
        budget = self._made("/v1/budgets", {"max_budget": 1_000_000})["budget_id"]
        self.keys = [self._key(user, budget if user == "ada" else None) for user in ("ada", "grace", "grace", "edsger")]
        # A budget that nobody has asked for yet is looked up first, which a busy machine may be too slow for.
        for gateway in self.gateways:
            until(lambda gateway=gateway: self._answers(gateway), "the budget is known")  # type: ignore[misc]
        for worker in self.workers[1:]:
            worker.start()

    def _answers(self, gateway: GatewayProcess) -> bool:
        asked, headers = SHAPES[0], {"authorization": f"Bearer {self.keys[0]}"}
        body = asked.body("warm", None)
        return httpx.post(gateway.url + asked.path, json=body, headers=headers, timeout=60).status_code == 200

    def _key(self, user: str, budget: str | None) -> str:
        """A key that is held to limits, which it never reaches: so that there are holds to get wrong."""
        limits = {"concurrent_calls": 100_000, "tokens_per_minute": 10**10}
        key: str = self._made("/v1/keys", {"user_id": user, "limits": limits, "budget_id": budget})["key"]
        return key

    def _made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self.post(path, body, key=MASTER_KEY)
        assert response.status_code == 200, response.text
        made: dict[str, Any] = response.json()
        return made

    def stop(self) -> None:
        processes = [*self.gateways, *self.workers]
        for process in processes:
            process.stop() if process.running else process.kill()

    def urls(self) -> Sequence[str]:
        """Where the gateways that serve are."""
        return [gateway.url for gateway in self.gateways if gateway.serving]

    def kill(self, *gateways: GatewayProcess) -> Death:
        """SIGKILL of all of them at once."""
        began = time.monotonic()
        for gateway in gateways:
            gateway.serving = False  # else its callers move to one that is about to be killed
        for gateway in gateways:
            gateway.send(signal.SIGKILL)
        for gateway in gateways:
            gateway.kill()
        return began, time.monotonic()

    def serving(self) -> set[int]:
        """Process ids of the first gateway's processes that serve, where it has several."""
        pid = self.gateway.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return {int(each) for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()}

    def load(self, **options: Any) -> Load:
        """Calls on the running gateways, as many as this form of the tests makes, under a label of their own."""
        asked: dict[str, Any] = {"gateways": self.urls, "calls": SIZE.calls, "at_once": SIZE.at_once, **options}
        return Load(f"n{next(_numbers)}", keys=self.keys, **asked)

    # -- the spool and the stream

    def folders(self) -> list[Path]:
        return [path for path in self.spool_root.iterdir() if path.is_dir()] if self.spool_root.exists() else []

    def spooled(self, *folders: Path) -> int:
        """Bytes of segments in these producers' folders, else in all."""
        total = 0
        for folder in folders or self.folders():
            for number in segments(folder):
                try:
                    total += segment_path(folder, number).stat().st_size
                except FileNotFoundError:
                    continue
        return total

    def streamed(self) -> int | None:
        """Entries in Redis; None when it does not say."""
        try:
            with Redis.from_url(self.redis_url, socket_timeout=5) as redis:
                return int(redis.xlen(STREAM))
        except RedisError:
            return None

    def held(self) -> dict[str, int] | None:
        """What calls hold of limits and budgets, that is not zero; None when Redis does not say."""
        try:
            with Redis.from_url(self.redis_url, socket_timeout=5, decode_responses=True) as redis:
                found = {key: int(redis.hlen(key)) for key in redis.scan_iter(f"{PREFIX}:h:*")}
                found |= {key: int(redis.get(key) or 0) for key in redis.scan_iter(f"{PREFIX}:s:*")}
                found |= {key: int(redis.hget(key, "held") or 0) for key in redis.scan_iter(f"{PREFIX}:m:*")}
        except RedisError:
            return None
        return {key: held for key, held in found.items() if held}

    def pending(self, consumer: str, idle: float = 0.0) -> int:
        """Entries that this worker was given, at least so many seconds ago, and has not acknowledged."""
        with Redis.from_url(self.redis_url, socket_timeout=5) as redis:
            return len(redis.xpending_range(STREAM, GROUP, "-", "+", 10_000, consumer, idle=round(idle * 1000)))

    def settled(self, seconds: float) -> None:
        """Wait until nothing is left on the way: spools empty, dead producers' folders gone, the stream read, nothing
        held by a call."""
        alive = sum(gateway.running for gateway in self.gateways) * self._processes

        def nothing_left() -> bool:
            gone = self.spooled() == 0 and len(self.folders()) <= alive
            return gone and self.streamed() == 0 and self.held() == {}

        try:
            within(nothing_left, "everything settled", seconds)
        except AssertionError as late:
            left = f"{self.spooled()} bytes spooled in {len(self.folders())} folders, {self.streamed()} entries"
            left += f", held {self.held()}"
            raise AssertionError(f"{late}: {left}\n{self.log_tail()}") from None

    def log_tail(self) -> str:
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text(encoding="utf-8").splitlines()[-25:])
            for log in sorted(self.folder.glob("*.log"))
        )

    # -- the ledger

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url, connect_timeout=5, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def verify(self) -> subprocess.CompletedProcess[str]:
        """`tollgate usage verify`, as an operator runs it."""
        command = [sys.executable, "-m", "tollgate", "usage", "verify", "--config", str(self.config)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, env=self.gateway.environment, check=False
        )
