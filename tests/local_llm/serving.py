"""The local model service as a process, with llama-server or a stand-in for it behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.services import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]


class Service:
    def __init__(self, models: Path, server: Path | str | None, *flags: str) -> None:
        self.models = models
        self.port = free_port()
        self._log = models.parent / f"service-{self.port}.log"
        command = [sys.executable, "-m", "local_llm", "--port", str(self.port), "--models-dir", str(models)]
        environ = os.environ | {"LLAMA_SERVER_BIN": str(server or "/nonexistent/llama-server")}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen([*command, *flags], cwd=ROOT, env=environ, stdout=log, stderr=log)
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=60)

    def health(self) -> dict[str, Any]:
        got = self.http.get("/health")
        assert got.status_code == 200
        body: dict[str, Any] = got.json()
        return body

    def status(self) -> dict[str, Any]:
        body: dict[str, Any] = self.http.get("/status").json()
        return body

    def model(self, name: str) -> dict[str, Any]:
        """Its row in `/status`, empty when it has none."""
        return next((row for row in self.status()["models"] if row["name"] == name), {})

    def await_status(self, status: str) -> dict[str, Any]:
        def there() -> bool:
            try:
                return bool(self.health()["status"] == status)
            except httpx.TransportError:
                assert self.process.poll() is None, self.log()
                return False

        wait_until(there, what=f"status {status}")
        return self.health()

    def await_ready(self, model: str) -> None:
        self.await_status("ok")
        wait_until(lambda: self.model(model).get("state") == "ready", what=f"{model} is loaded")

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def busy_slots(self, model: str) -> int:
        """As llama-server itself sees it."""
        slots: list[dict[str, Any]] = self.http.get("/slots", params={"model": model}).json()
        return sum(bool(slot["is_processing"]) for slot in slots)

    def engine_pids(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def engine_pid(self) -> int:
        [child] = self.engine_pids()
        return child

    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(30)


@contextmanager
def serving(models: Path, server: Path | str | None, *flags: str) -> Iterator[Service]:
    service = Service(models, server, *flags)
    try:
        yield service
    finally:
        service.stop()
