"""What the tests of the any-llm gateway's contract share: an upstream, calls, and how an error is told."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

from tests.deployment import MASTER_KEY, Deployment
from tests.replay import Answer, Upstream

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
HELLO: dict[str, Any] = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
TO_CLAUDE: dict[str, Any] = {
    "model": "anthropic:claude-sonnet-4-5",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "hi"}],
}
ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}'
)
MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text",'
    b'"text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":5}}'
)
EMBEDDED = (
    b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"text-embedding-3-small",'
    b'"usage":{"prompt_tokens":3,"total_tokens":3}}'
)
CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    b'{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}\n\n'
)
USAGE = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n'
)
DONE = b"data: [DONE]\n\n"
FAILURE = b'data: {"error":{"message":"x"}}\n\n'
_EVENTS: tuple[tuple[bytes, bytes], ...] = (
    (b"message_start", b'"message":' + MESSAGE.replace(b'[{"type":"text","text":"hello"}]', b"[]")),
    (b"content_block_start", b'"index":0,"content_block":{"type":"text","text":""}'),
    (b"content_block_delta", b'"index":0,"delta":{"type":"text_delta","text":"hello"}'),
    (b"content_block_stop", b'"index":0'),
    (b"message_delta", b'"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}'),
    (b"message_stop", b""),
)
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}


def _event(name: bytes, data: bytes) -> bytes:
    return b'event: %b\ndata: {"type":"%b"%b}\n\n' % (name, name, b"," + data if data else b"")


def answer(upstream: Upstream) -> None:
    """Answers by the model's name: `gpt-4o-stream`, `gpt-4o-broken` (a stream that fails), and all others whole."""
    upstream.on(CHAT, Answer(headers=JSON, pieces=(ANSWER,)))
    upstream.on(CHAT, Answer(headers=SSE, pieces=(CHUNK, USAGE, DONE)), model="gpt-4o-stream")
    upstream.on(CHAT, Answer(headers=SSE, pieces=(CHUNK, FAILURE)), model="gpt-4o-broken")
    upstream.on(MESSAGES, Answer(headers=JSON, pieces=(MESSAGE,)))
    upstream.on(MESSAGES, Answer(headers=SSE, pieces=tuple(_event(*event) for event in _EVENTS)), stream=True)
    upstream.on("/v1/embeddings", Answer(headers=JSON, pieces=(EMBEDDED,)))


def call(
    place: Deployment, method: str, path: str, body: Any = None, key: str | None = MASTER_KEY, **headers: str
) -> httpx.Response:
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return httpx.request(method, place.url + path, json=body, headers=headers, timeout=30)


def said(response: httpx.Response) -> tuple[int, Any]:
    return response.status_code, response.json()["detail"]


def fresh(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"
