"""A caller that hangs up changes nothing of the bill: the upstream is read on within bounds, or cut and estimated."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deployment import MASTER_KEY, Deployment
from tests.replay import Upstream
from tests.replay.answers import FIXTURES, Answer, Gate, answer_of

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": True}


@contextmanager
def _leaving(deployment: Deployment) -> Iterator[httpx.Response]:
    """A stream whose caller is gone when the block ends."""
    headers = {"Authorization": f"Bearer {deployment.key}"}
    with httpx.stream("POST", deployment.url + CHAT, json=ASK, headers=headers, timeout=30) as response:
        yield response


def _written(gate: Gate) -> Answer:
    whole = answer_of(json.loads((FIXTURES / "openai-chat-stream.json").read_text(encoding="utf-8")))
    return replace(whole, length=False, gates={4: gate})


def _long(gate: Gate) -> Answer:
    """Far more than anybody should wait for, without an end."""
    chunk = {"id": "x", "object": "chat.completion.chunk", "model": "m", "created": 1}
    text = {**chunk, "choices": [{"index": 0, "delta": {"content": "word " * 200}, "finish_reason": None}]}
    piece = b"data: " + json.dumps(text).encode() + b"\n\n"
    return Answer(
        headers={"content-type": "text/event-stream"}, pieces=(piece,) * 60, length=False, gates={2: gate, 59: Gate()}
    )


@pytest.mark.parametrize("mode", ["drain", "cut"])
def test_a_stream_that_is_left_is_one_row(tmp_path: Path, mode: str) -> None:
    config = {"upstream": {"on_disconnect": mode}}
    with Upstream() as upstream, Deployment(tmp_path, upstream.url, config=config) as deployment:
        gate = Gate()
        upstream.on(CHAT, _written(gate))
        with _leaving(deployment) as response:
            next(response.iter_lines())
        if mode == "drain":
            gate.open()
            upstream.wait(finished=1)
        else:
            upstream.wait(broken=1)
        (row,) = deployment.rows(1)
        assert row["kind"] == "final"
        if mode == "drain":
            assert (row["status"], row["estimated"], row["completion_tokens"]) == ("success", False, 9)
        else:
            assert (row["status"], row["estimated"]) == ("cancelled", True)
            assert row["prompt_tokens"] > 0


def test_reading_on_is_bounded_by_tokens(tmp_path: Path) -> None:
    config = {"upstream": {"drain_tokens": 1000}}
    with Upstream() as upstream, Deployment(tmp_path, upstream.url, config=config) as deployment:
        gate = Gate()
        upstream.on(CHAT, _long(gate))
        with _leaving(deployment) as response:
            next(response.iter_lines())
        gate.open()
        upstream.wait(broken=1)
        (row,) = deployment.rows(1)
        assert (row["status"], row["estimated"]) == ("cancelled", True)
        assert row["completion_tokens"] > 1000


def test_who_takes_nothing_of_an_answer_holds_nothing_for_good(tmp_path: Path) -> None:
    """It stays connected and just does not read: the kernel ends that, and its slot is free for the next call."""
    config = {
        "caller_timeout_seconds": 1,
        "limits": {"openai": {"concurrent_calls": 1}},
        "upstream": {"on_disconnect": "cut"},
    }
    with Upstream() as upstream, Deployment(tmp_path, upstream.url, config=config) as deployment:
        piece = (
            b"data: " + json.dumps({"id": "x", "choices": [{"index": 0, "delta": {"content": "w" * 60_000}}]}).encode()
        )
        endless = Answer(headers={"content-type": "text/event-stream"}, pieces=(piece + b"\n\n",) * 1000, length=False)
        upstream.on(CHAT, endless)
        host, port = deployment.url.removeprefix("http://").split(":")
        body = json.dumps(ASK).encode()
        head = (
            f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {deployment.key}\r\nContent-Length: {len(body)}"
        )
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(head.encode() + b"\r\n\r\n" + body)
            upstream.wait(broken=1)
            (row,) = deployment.rows(1)
            assert (row["status"], row["estimated"]) == ("cancelled", True)
            upstream.forget()
            upstream.on(CHAT, answer_of(json.loads((FIXTURES / "openai-chat-stream.json").read_text(encoding="utf-8"))))
            answered = deployment.post(CHAT, ASK)
            assert answered.status_code == 200, answered.text


@pytest.mark.parametrize("path", [CHAT, "/v1/keys"])
def test_who_does_not_send_the_rest_of_a_request_is_refused(tmp_path: Path, path: str) -> None:
    with Deployment(tmp_path, "http://127.0.0.1:1", config={"caller_timeout_seconds": 1}) as deployment:
        host, port = deployment.url.removeprefix("http://").split(":")
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {MASTER_KEY}\r\nContent-Length: 100\r\n\r\n{{"
        with socket.create_connection((host, int(port)), timeout=30) as caller:
            caller.sendall(head.encode())
            assert caller.recv(65536).startswith(b"HTTP/1.1 408 ")
