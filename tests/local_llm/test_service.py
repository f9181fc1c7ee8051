"""The service as a process, with a stand-in for llama-server behind it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_llm.machine import usable_cores
from tests.local_llm.serving import ROOT, Service, serving
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


@contextmanager
def _held(service: Service, path: str = "/completion", **body: Any) -> Iterator[None]:
    """A slot is taken by one who listens."""
    asked = {"events": 100_000, "seconds": 0.01, "gone": os.devnull, **body}
    with service.http.stream("POST", path, json=asked) as got:
        pieces = got.iter_raw()
        assert next(pieces).startswith(b"data: 0")
        yield


def _streamed(service: Service, **body: Any) -> httpx.Response:
    return httpx.post(f"{service.url}/completion", json={"stream": True, "events": 1, **body}, timeout=60)


def test_while_a_model_loads_callers_wait_in_order_and_within_the_bound(models: Path, engine: Path) -> None:
    (models / "slow.gguf").write_bytes(HEADER)
    with serving(models, engine, "--slots", "1", "--queue", "1") as service, ThreadPoolExecutor(2) as pool:
        service.await_status("loading")
        first = pool.submit(_streamed, service)
        wait_until(lambda: service.model("slow").get("busy") == 1, what="the first has its slot")
        second = pool.submit(_streamed, service)
        wait_until(lambda: service.model("slow").get("queue") == 1, what="the second waits")
        third = _streamed(service)
        assert (third.status_code, third.headers["retry-after"]) == (503, "5")
        assert "and 1 wait" in third.json()["error"]["message"]
        (models / "open").touch()
        for answer in (first.result(), second.result()):
            assert "data: 0" in answer.text


def test_a_model_that_is_not_loaded_in_time_is_a_plain_503_for_a_stream_too(models: Path, engine: Path) -> None:
    """Longer than until the first sign of life, which would have been a 200."""
    (models / "slow.gguf").write_bytes(HEADER)
    with serving(models, engine, "--wait-seconds", "2.5") as service:
        service.await_status("loading")
        got = _streamed(service)
        assert (got.status_code, got.headers["retry-after"]) == (503, "10")
        assert got.json()["error"]["message"] == "slow is being loaded"


def test_who_waits_in_line_for_a_stream_gets_signs_of_life_and_then_the_reason(models: Path, engine: Path) -> None:
    (models / "tiny.gguf").write_bytes(HEADER)
    with serving(models, engine, "--slots", "1", "--wait-seconds", "2.5") as service:
        service.await_ready("tiny")
        with _held(service):
            late = _streamed(service)
            whole = httpx.post(f"{service.url}/completion", json={"events": 1}, timeout=60)
        sign, error = late.text.removesuffix("\n\n").split("\n\n")
        assert (late.status_code, sign) == (200, ": waiting")
        assert json.loads(error.removeprefix("data: "))["error"]["code"] == 503
        assert (whole.status_code, whole.headers["retry-after"]) == (503, "10")
        assert whole.json()["error"]["message"] == "no slot of tiny got free in 2 s"


def test_several_texts_at_once_take_several_slots(models: Path, engine: Path) -> None:
    (models / "tiny.gguf").write_bytes(HEADER)
    with serving(models, engine, "--slots", "4") as service:
        service.await_ready("tiny")
        for body, slots in (
            ({"input": ["one", "two", "three"]}, 3),
            ({"content": [[1, 2], [3]]}, 2),
            ({"input": [1, 2, 3]}, 1),
            ({"input": [{"role": "user", "content": "hello"}] * 3}, 1),
        ):
            with _held(service, "/embeddings", **body):
                assert service.model("tiny")["busy"] == slots
            wait_until(lambda: service.model("tiny")["busy"] == 0, what="the slots are free")


def test_the_engine_is_started_with_what_was_measured(models: Path, engine: Path) -> None:
    (models / "tiny.gguf").write_bytes(HEADER)
    with serving(models, engine, "--slots", "3", "--context", "512", "--cache-mib", "7") as service:
        service.await_ready("tiny")
        told = service.http.get("/props").json()
    flags = told["arguments"]
    value = dict(itertools.pairwise(flags))
    cores = str(usable_cores())
    assert told["environment"]["GOMP_SPINCOUNT"] == "1000"
    assert (value["--parallel"], value["--ctx-size"]) == ("3", str(3 * 512))
    assert (value["--threads"], value["--threads-batch"]) == (cores, cores)
    assert (value["--batch-size"], value["--ubatch-size"], value["--cache-ram"]) == ("128", "128", "7")
    assert value["--pooling"] == "last"
    assert {"--embeddings", "--jinja", "--metrics", "--slots", "--offline"} <= set(flags)
    assert "--kv-unified" not in flags


def _sized(path: Path, size: int) -> None:
    """A model that says to need so many bytes, and takes none of the disk."""
    path.write_bytes(HEADER)
    os.truncate(path, size)


def test_memory_that_was_promised_to_one_engine_is_not_given_to_another(models: Path, engine: Path) -> None:
    with serving(models, engine) as service:
        service.await_status("no model")
        free = service.status()["memory_free_bytes"]
        for name in ("a", "b"):
            _sized(models / f"{name}.gguf", free * 6 // 10)
        service.await_ready("a")  # its weights are not in memory: the stand-in reads none
        with _held(service):
            refused = service.post("/completion", model="b", events=1)
            assert refused.status_code == 503
            assert "GB are free while a is at work; try again" in refused.json()["error"]["message"]
        wait_until(lambda: service.model("a")["busy"] == 0, what="a is idle")
        assert service.post("/completion", model="b", events=1).status_code == 200
        assert (service.model("a")["state"], service.model("b")["state"]) == ("unloaded", "ready")


def test_a_model_that_can_never_fit_unloads_none_and_the_next_is_the_default(models: Path, engine: Path) -> None:
    (models / "b.gguf").write_bytes(HEADER)
    (models / "crashes.gguf").write_bytes(HEADER)
    with serving(models, engine) as service:
        service.await_ready("b")
        _sized(models / "a.gguf", 3 * service.status()["memory_free_bytes"])
        wait_until(lambda: service.model("a").get("state") == "failed", what="the first by name is refused")
        assert "take a smaller model" in service.model("a")["reason"]
        assert (service.health()["model"], service.status()["default"]) == ("b", "b")
        pid = service.engine_pid()
        assert service.post("/completion", model="a", events=1).status_code == 503
        assert service.post("/completion", events=1).status_code == 200
        assert service.engine_pid() == pid
        # Who names a default is answered by no other.
        with serving(models, engine, "--model", "crashes") as named:
            assert named.await_status("failed")["model"] == "crashes"
            assert "exit code 1" in named.post("/completion", events=1).json()["error"]["message"]


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
