"""A gateway and a usage worker as real processes, on a folder of their own, with a loopback upstream for providers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

START_SECONDS = 60.0
MASTER_KEY = "sk-master-of-the-tests"
_LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")


class Process:
    """One service: `python -m module arguments`, its log in a file."""

    def __init__(self, module: str, arguments: list[str], log: Path, environment: dict[str, str]) -> None:
        self.module, self.arguments, self.log, self.environment = module, arguments, log, environment
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as file:
            self._child = subprocess.Popen(
                [sys.executable, "-m", self.module, *self.arguments],
                stdout=file,
                stderr=file,
                env=self.environment,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def send(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def wait(self, seconds: float = 40.0) -> int:
        assert self._child is not None
        return self._child.wait(seconds)

    def stop(self) -> None:
        self.send(signal.SIGTERM)
        if self._child is not None:
            try:
                self._child.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        if self._child is not None:
            self._child.wait(10)


class GatewayProcess(Process):
    """A gateway on a port of its choice."""

    def __init__(self, arguments: list[str], log: Path, environment: dict[str, str]) -> None:
        super().__init__("gateway", arguments, log, environment)
        self.port = 0
        self.serving = False  # between `serve` and `kill` or `stop`

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        """Start it and wait until it says that it can serve."""
        seen = self.log.stat().st_size if self.log.exists() else 0
        self.start()

        def port() -> str | None:
            self._check()
            found = _LISTENING.findall(self.log.read_text(encoding="utf-8")[seen:])
            return found[-1] if found else None

        self.port = int(until(port, "the gateway listens", START_SECONDS))
        until(self._ready, "the gateway is ready", START_SECONDS)
        self.serving = True

    def stop(self) -> None:
        self.serving = False
        super().stop()

    def kill(self) -> None:
        self.serving = False
        super().kill()

    def _ready(self) -> bool:
        self._check()
        try:
            return httpx.get(f"{self.url}/health/readiness", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def _check(self) -> None:
        assert self.running, f"the gateway ended:\n{self.log.read_text(encoding='utf-8')}"


def until(holds: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Ask again and again until the answer is true, and return it. Raises AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        if answer := holds():
            return answer
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


class Deployment:
    """`with Deployment(folder, upstream_url) as d:` starts both services and waits until calls can be served.

    Without URLs it is the embedded form (SQLite, the worker reads the spool), with them the stack's.
    """

    def __init__(
        self,
        folder: Path,
        upstream_url: str,
        *,
        database_url: str | None = None,
        redis_url: str | None = None,
        config: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        settings: dict[str, Any] = {
            "port": 0,
            "data_dir": str(folder / "data"),
            "secrets_dir": str(folder / "secrets"),
            "models_dir": str(folder / "models"),
            "master_key": MASTER_KEY,
            "providers": providers_at(upstream_url),
            "spool": {"segment_seconds": 0.2},
        }
        if database_url:
            settings["database_url"] = database_url
        if redis_url:
            settings["redis_url"] = redis_url
        settings |= config or {}
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).resolve().parents[1]), **(environment or {})}
        self.gateway = GatewayProcess(["--config", str(self.config)], folder / "gateway.log", env)
        ledger = database_url or f"sqlite:///{folder / 'data' / 'ledger.db'}"
        source = ["--redis-url", redis_url] if redis_url else ["--spool-root", str(folder / "data" / "spool")]
        self.worker = Process("usage_worker", ["--database-url", ledger, *source], folder / "worker.log", env)

    def __enter__(self) -> Self:
        try:
            self.start_gateway()
            self.worker.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_gateway(self) -> None:
        """Start it and wait until it says that it can serve."""
        self.gateway.serve()

    def stop(self) -> None:
        self.gateway.stop()
        self.worker.stop()

    @property
    def url(self) -> str:
        return self.gateway.url

    @property
    def key(self) -> str:
        """The first virtual key."""
        return (self.folder / "secrets" / "bootstrap_key").read_text(encoding="utf-8").strip()

    def log_text(self) -> str:
        """Everything that the services logged."""
        logs = (self.gateway.log, self.worker.log)
        return "".join(log.read_text(encoding="utf-8") for log in logs if log.exists())

    def get(self, path: str, **params: Any) -> httpx.Response:
        """GET with the master key."""
        headers = {"Authorization": f"Bearer {MASTER_KEY}"}
        return httpx.get(self.url + path, params=params, headers=headers, timeout=30)

    def post(self, path: str, body: Any, *, key: str | None = None, **headers: str) -> httpx.Response:
        """POST JSON with the first virtual key, or another."""
        credential = {"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.post(self.url + path, content=content, headers={**credential, **headers}, timeout=60)

    def rows(self, count: int, **filters: Any) -> list[dict[str, Any]]:
        """The ledger's rows, newest first, once there are `count`."""
        until(lambda: self.get("/v1/usage/count", **filters).json()["count"] >= count, f"{count} rows in the ledger")
        found: list[dict[str, Any]] = self.get("/v1/usage", limit=1000, **filters).json()
        assert len(found) == count, found
        return found


def providers_at(url: str) -> dict[str, Any]:
    """The five providers, all at one loopback server, with keys that a test can look for in logs."""
    return {
        "openai": {"api_key": "sentinel-openai-key", "api_base": f"{url}/v1"},
        "anthropic": {"api_key": "sentinel-anthropic-key", "api_base": url},
        "gemini": {"api_key": "sentinel-gemini-key", "api_base": url},
        "solar": {"api_key": "sentinel-solar-key", "api_base": f"{url}/solar/v1"},
        "local": {"api_base": f"{url}/local/v1"},
    }
