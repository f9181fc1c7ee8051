"""Callers at the front doors: what they send, with a key or without, and how they read what they get."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx

from tests.deployment import Deployment
from tests.replay.answers import FIXTURES

# Written recordings of every provider: name, provider entry, prefix of its path at the loopback server.
WRITTEN = [
    ("openai-chat", "openai", ""),
    ("openai-chat-stream", "openai", ""),
    ("anthropic-messages", "anthropic", ""),
    ("anthropic-messages-stream", "anthropic", ""),
    ("gemini-generate", "gemini", ""),
    ("gemini-generate-stream", "gemini", ""),
    ("solar-chat", "solar", "/solar"),
    ("solar-chat-stream", "solar", "/solar"),
    ("local-chat", "local", "/local"),
    ("local-chat-stream", "local", "/local"),
]


def written(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return found


def post(deployment: Deployment, path: str, body: Any, *, key: str | None = None, **headers: str) -> httpx.Response:
    """As a client that knows nothing of keys, unless it is given one."""
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(deployment.url + path, content=content, headers=headers, timeout=60)


def get(deployment: Deployment, path: str, *, key: str | None = None, **params: Any) -> Any:
    """A 200's JSON, its numbers exact."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    response = httpx.get(deployment.url + path, params=params, headers=headers, timeout=30)
    assert response.status_code == 200, response.text
    return exactly(response.text)


def exactly(text: str) -> Any:
    """JSON with its numbers as the decimals that they were written as."""
    return json.loads(text, parse_float=Decimal)


def events(text: str) -> list[dict[str, Any]]:
    """Of a stream. A comment is no event."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: ") for block in blocks), blocks
    return [exactly(block.removeprefix("data: ")) for block in blocks]
