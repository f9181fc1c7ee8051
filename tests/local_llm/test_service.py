"""The service as a process, with a stand-in for llama-server behind it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.services import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
HEADER = b"GGUF" + (3).to_bytes(4, "little") + bytes(16)


class Service:
    def __init__(self, models: Path, binary: Path | None) -> None:
        self.models = models
        self.port = free_port()
        self._log = models.parent / "service.log"
        command = [sys.executable, "-m", "local_llm", "--port", str(self.port), "--models-dir", str(models)]
        environ = os.environ | {"LLAMA_SERVER_BIN": str(binary or "/nonexistent/llama-server")}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    def health(self) -> dict[str, str]:
        got = self.http.get("/health")
        assert got.status_code == 200
        body: dict[str, str] = got.json()
        return body

    def await_status(self, status: str) -> dict[str, str]:
        def there() -> bool:
            try:
                return self.health()["status"] == status
            except httpx.TransportError:
                assert self.process.poll() is None, self._log.read_text()
                return False

        wait_until(there, what=f"status {status}")
        return self.health()

    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def serving(models: Path, binary: Path | None) -> Iterator[Service]:
    service = Service(models, binary)
    try:
        yield service
    finally:
        service.http.close()
        service.process.terminate()
        service.process.wait(20)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """An executable that takes llama-server's place."""
    path = tmp_path / "llama-server"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/local_llm/stand_in_engine.py "$@"\n')
    path.chmod(0o755)
    return path


def test_it_is_healthy_without_a_model_and_says_why_it_cannot_answer(models: Path, engine: Path) -> None:
    with serving(models, engine) as service:
        health = service.await_status("no model")
        assert health["reason"] == f"no model: put a GGUF file into {models}"
        for path in ("/v1/models", "/v1/chat/completions"):
            got = service.http.post(path, json={})
            assert got.status_code == 503
            assert got.headers["retry-after"] == "5"
            assert got.json()["error"]["message"] == health["reason"]


def test_a_file_that_is_no_gguf_is_named(models: Path, engine: Path) -> None:
    (models / "wrong.gguf").write_text("not a model")
    with serving(models, engine) as service:
        reason = service.await_status("no model")["reason"]
        assert "wrong.gguf is not a GGUF file" in reason
        assert reason in service.log()


def test_a_model_that_arrives_is_served_and_streams_pass_through(models: Path, engine: Path) -> None:
    with serving(models, engine) as service:
        service.await_status("no model")
        (models / "tiny.gguf").write_bytes(HEADER)
        assert service.await_status("ok")["model"] == "tiny.gguf"
        assert service.http.get("/v1/models").json()["data"][0]["id"] == "tiny"
        with service.http.stream("POST", "/v1/chat/completions", json={"events": 3}) as got:
            assert got.headers["content-type"] == "text/event-stream"
            assert b"".join(got.iter_raw()) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


def test_a_caller_that_hangs_up_ends_the_engines_work(models: Path, engine: Path, tmp_path: Path) -> None:
    (models / "tiny.gguf").write_bytes(HEADER)
    gone = tmp_path / "gone"
    with serving(models, engine) as service:
        service.await_status("ok")
        asked = {"events": 100_000, "seconds": 0.01, "gone": str(gone)}
        with service.http.stream("POST", "/v1/chat/completions", json=asked) as got:
            assert next(got.iter_raw()).startswith(b"data: 0")
        wait_until(gone.exists, what="the engine notices")
        assert gone.exists()


def test_an_engine_that_dies_is_started_again(models: Path, engine: Path) -> None:
    (models / "tiny.gguf").write_bytes(HEADER)
    with serving(models, engine) as service:
        service.await_status("ok")
        got = service.http.get("/slots")  # the stand-in ends itself here
        assert got.status_code == 502
        assert "started again" in got.json()["error"]["message"]
        assert "exit code 3" in service.await_status("failed")["reason"]
        service.await_status("ok")


def test_an_engine_that_cannot_start_is_tried_with_growing_pauses(models: Path, engine: Path) -> None:
    (models / "crashes.gguf").write_bytes(HEADER)
    with serving(models, engine) as service:
        assert "exit code 1" in service.await_status("failed")["reason"]
        assert service.http.post("/completion", json={}).status_code == 503
        assert "error: this model makes the engine end" in service.log()


def test_without_an_engine_it_says_how_to_get_one(models: Path) -> None:
    (models / "tiny.gguf").write_bytes(HEADER)
    with serving(models, None) as service:
        assert "set LLAMA_SERVER_BIN" in service.await_status("failed")["reason"]


def test_a_taken_port_is_one_line(models: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "local_llm", "--port", str(port), "--models-dir", str(models)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == f"local_llm: 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_engine_ends_with_the_service(models: Path, engine: Path, number: signal.Signals) -> None:
    if number is signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux ties a child's life to its parent's")
    (models / "tiny.gguf").write_bytes(HEADER)
    with serving(models, engine) as service:
        service.await_status("ok")
        [child] = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
        service.process.send_signal(number)
        assert service.process.wait(20) == (-9 if number is signal.SIGKILL else 0)
        wait_until(lambda: not Path(f"/proc/{child}/exe").exists(), what="end of the engine")
        assert not Path(f"/proc/{child}/exe").exists()
