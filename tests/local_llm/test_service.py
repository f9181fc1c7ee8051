"""The service as a process, with a stand-in for llama-server behind it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.local_llm.serving import ROOT, serving
from tests.services import wait_until

HEADER = b"GGUF" + (3).to_bytes(4, "little") + bytes(16)


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
        got = service.http.post("/v1/chat/completions", json={})
        assert got.status_code == 503
        assert got.headers["retry-after"] == "5"
        assert got.json()["error"]["message"] == health["reason"]
        assert service.http.get("/health/liveness").status_code == 200
        assert service.http.get("/health/readiness").status_code == 503


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
        assert service.await_status("ok")["model"] == "tiny"
        assert service.http.get("/v1/models").json()["data"][0]["id"] == "tiny"
        with service.http.stream("POST", "/v1/chat/completions", json={"events": 3}) as got:
            assert got.headers["content-type"] == "text/event-stream"
            assert b"".join(got.iter_raw()) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


def test_a_caller_that_hangs_up_ends_the_engines_work(models: Path, engine: Path, tmp_path: Path) -> None:
    (models / "tiny.gguf").write_bytes(HEADER)
    gone = tmp_path / "gone"
    with serving(models, engine) as service:
        service.await_ready("tiny")
        asked = {"events": 100_000, "seconds": 0.01, "gone": str(gone)}
        with service.http.stream("POST", "/v1/chat/completions", json=asked) as got:
            assert next(got.iter_raw()).startswith(b"data: 0")
        wait_until(gone.exists, what="the engine notices")
        assert gone.exists()


def test_an_engine_that_dies_is_started_again(models: Path, engine: Path) -> None:
    (models / "tiny.gguf").write_bytes(HEADER)
    with serving(models, engine) as service:
        service.await_ready("tiny")
        got = service.http.get("/slots")  # the stand-in ends itself here
        assert got.status_code == 503
        assert "started again" in got.json()["error"]["message"]
        wait_until(lambda: service.model("tiny").get("restarts") == 1, what="another start")
        service.await_ready("tiny")
        assert "ended (exit code 3)" in service.log()


def test_an_engine_that_cannot_start_is_tried_with_growing_pauses(models: Path, engine: Path) -> None:
    (models / "crashes.gguf").write_bytes(HEADER)
    with serving(models, engine) as service:
        assert "exit code 1" in service.await_status("failed")["reason"]
        assert service.http.post("/completion", json={}).status_code == 503
        assert "error: this model makes the engine end" in service.log()


def test_without_an_engine_it_says_how_to_get_one(models: Path) -> None:
    (models / "tiny.gguf").write_bytes(HEADER)
    with serving(models, None) as service:
        assert "run `make local`" in service.await_status("no engine")["reason"]
        assert service.http.get("/v1/models").json()["data"] == []


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
        service.await_ready("tiny")
        child = service.engine_pid()
        service.process.send_signal(number)
        assert service.process.wait(20) == (-9 if number is signal.SIGKILL else 0)
        wait_until(lambda: not Path(f"/proc/{child}/exe").exists(), what="end of the engine")
        assert not Path(f"/proc/{child}/exe").exists()
