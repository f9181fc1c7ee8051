"""The playground's flat API: recorded answers of every provider in its form, its rules, and its errors.

On the embedded parts and on the stack's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import Deployment
from tests.recorded import said
from tests.replay import Upstream
from tests.replay.answers import FIXTURES

CHAT = "/api/chat/completions"
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
_MICRO = Decimal("0.000001")


@pytest.fixture(scope="module", params=["embedded", "stack"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Deployment, Upstream]]:
    stack = request.param == "stack"
    redis_url = request.getfixturevalue("redis_server_url") if stack else None
    database_url = request.getfixturevalue("module_postgres_url") if stack else None
    folder: Path = tmp_path_factory.mktemp(request.param)
    with (
        Upstream() as upstream,
        Deployment(folder, upstream.url, redis_url=redis_url, database_url=database_url) as deployment,
    ):
        yield deployment, upstream


def exactly(text: str) -> Any:
    """JSON with its numbers as the decimals that they were written as."""
    return json.loads(text, parse_float=Decimal)


def events(text: str) -> list[dict[str, Any]]:
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: ") for block in blocks), blocks
    return [exactly(block.removeprefix("data: ")) for block in blocks]


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(("name", "provider", "prefix"), WRITTEN)
def test_a_recorded_answer_is_told_flat_and_billed(
    place: tuple[Deployment, Upstream], name: str, provider: str, prefix: str
) -> None:
    deployment, upstream = place
    interaction = recorded(name)
    expected = said(interaction)
    stream = name.endswith("stream")
    upstream.forget()
    upstream.add(interaction, prefix=prefix)
    model = f"{provider}:{interaction['model']}"
    body = {
        "model": model,
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "the question"}],
        "temperature": 0.5,
        "max_tokens": 64,
        "stream": stream,
        "session_id": f"session-{name}",
        "user_id": f"someone-{name}",
    }
    response = deployment.post(CHAT, body)
    assert response.status_code == 200, response.text
    if stream:
        *deltas, answer = events(response.text)
        assert {event["type"] for event in deltas} == {"delta"}
        assert {event["id"] for event in deltas} == {answer["id"]}
        assert answer.pop("type") == "done"
        assert answer.pop("finish_reason") == expected.finish
        answer["content"] = "".join(event["content"] for event in deltas)
    else:
        answer = exactly(response.text)
    assert set(answer) == {"id", "model", "provider", "content", "usage", "cost", "created_at"}
    assert (answer["model"], answer["provider"], answer["content"]) == (model, provider, expected.text)
    assert answer["usage"] == {
        "prompt_tokens": expected.prompt,
        "completion_tokens": expected.completion,
        "total_tokens": expected.prompt + expected.completion,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer["created_at"])
    (row,) = deployment.rows(1, session_id=f"session-{name}")
    assert row["end_user"] == f"someone-{name}"
    assert (row["prompt_tokens"], row["completion_tokens"]) == (expected.prompt, expected.completion)
    cost = answer["cost"]
    assert cost["currency"] == "USD"
    assert cost["total_cost"] == cost["input_cost"] + cost["output_cost"]
    for part in ("input_cost", "output_cost", "total_cost"):
        assert cost[part] == cost[part].quantize(_MICRO)
    assert abs(cost["total_cost"] - Decimal(str(row["cost"]))) <= _MICRO
    assert Decimal(str(row["cost"])).quantize(_MICRO, ROUND_HALF_UP) >= cost["input_cost"]
