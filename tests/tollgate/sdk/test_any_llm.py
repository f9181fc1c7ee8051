"""The same program under any-llm and under this package, against the same provider: it prints the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.replay import Answer, Upstream, error, written

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
PROGRAM = Path(__file__).with_name("same_program.py")
CHAT = "/v1/chat/completions"
ITEM: dict[str, Any] = {
    "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
    "content": [{"type": "output_text", "text": "hi", "annotations": []}],
}  # fmt: skip
RESPONSE: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-4o", "output": [ITEM],
    "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
              "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
}  # fmt: skip
CALLED: dict[str, Any] = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "called",
    "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": None,
        "tool_calls": [{"id": "call_1", "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Seoul"}'}}]}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip
PLACED = {**CALLED, "choices": [{"index": 0, "finish_reason": "stop", "message": {
    "role": "assistant", "content": '{"city": "Seoul"}'}}]}  # fmt: skip
VECTORS = {"object": "list", "model": "e", "usage": {"prompt_tokens": 1, "total_tokens": 1},
           "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}]}  # fmt: skip
MODELS = {"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "openai"}]}


def plain(body: Any) -> Answer:
    return Answer(pieces=(json.dumps(body).encode(),))


@pytest.fixture
def provider(upstream: Upstream) -> Upstream:
    for name in ("openai-chat", "anthropic-messages"):
        upstream.add(written(name), stream=False)
        upstream.add(written(f"{name}-stream"), stream=True)
    upstream.on(CHAT, plain(CALLED), model="called")
    upstream.on(CHAT, plain(PLACED), model="placed")
    upstream.on(CHAT, error(429, {"error": {"message": "slow"}}, {"retry-after": "0"}), model="slow")
    upstream.on(CHAT, error(400, {"error": {"message": "bad", "type": "invalid_request_error"}}), model="bad")
    upstream.on("/v1/embeddings", plain(VECTORS))
    upstream.on("/v1/models", plain(MODELS), method="GET")
    upstream.on("/v1/responses", plain(RESPONSE))
    events = [
        {"type": "response.created", "sequence_number": 0, "response": {**RESPONSE, "status": "in_progress"}},
        {"type": "response.output_item.done", "sequence_number": 1, "output_index": 0, "item": ITEM},
        {"type": "response.completed", "sequence_number": 2, "response": RESPONSE},
    ]
    pieces = tuple(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)
    upstream.on("/v1/responses", Answer(headers={"content-type": "text/event-stream"}, pieces=pieces), model="streamed")
    return upstream


def run(python: str | Path, package: str, url: str) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT) if package == "tollgate" else ""}
    environment["ANY_LLM_UNIFIED_EXCEPTIONS"] = "1"  # its own tree of errors, instead of each vendor's
    done = subprocess.run(
        [python, str(PROGRAM), package, url], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_a_program_of_any_llms_prints_the_same(provider: Upstream) -> None:
    if not PYTHON.exists():
        pytest.skip("any-llm is not installed: run scripts/setup-clients")
    theirs = run(PYTHON, "any_llm", provider.url)
    asked = len(provider.calls)
    ours = run(sys.executable, "tollgate", provider.url)
    assert ours == theirs
    assert ours["slow"] == ["RateLimitError", 429, "openai"]
    # Theirs sends again by itself; and what was asked last is what it was asked with.
    assert len(provider.calls) - asked < asked
    assert provider.unmatched == []
