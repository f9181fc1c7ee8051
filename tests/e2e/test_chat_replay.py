"""The official OpenAI SDK against a running gateway whose providers replay real answers.

Text, finish reason and usage arrive as recorded, and each call is one row with those tokens and the price list's cost.
Both on the embedded parts and on the stack's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import genai_prices
import openai
import pytest

from tests.deployment import Deployment
from tests.recorded import Said, said
from tests.replay import Upstream
from tests.replay.answers import FIXTURES
from tests.traffic import index, load, needs_traffic

_PER_KIND = 6
_ENDPOINTS = {
    "openai": ("chat/completions",),
    "anthropic": ("messages",),
    "gemini": ("generateContent", "streamGenerateContent"),
}
_LISTS = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}
_NOT_TEXT = {
    "tool-call", "error", "response-only", "server-tools", "refusal", "json-array-stream", "n>1", "audio", "no-usage",
    "safety-block", "image-output", "content-filter", "legacy-functions", "pause-turn", "code-execution", "structured",
}  # fmt: skip


def _recordings() -> list[dict[str, Any]]:
    """A few of each provider, plain and streamed, each of another model or shape where there are."""
    chosen: list[dict[str, Any]] = []
    for provider, endpoints in _ENDPOINTS.items():
        for kind in ("non-stream", "stream"):
            rows = [
                row
                for row in index()
                if row["provider"] == provider
                and row["endpoint"] in endpoints
                and row["status"] == 200
                and row["model"]
                and kind in row["kind"]
                and not _NOT_TEXT & set(row["kind"])
            ]
            rows.sort(
                key=lambda row: (-len(set(row["kind"]) & {"cache-read", "reasoning-tokens", "truncated"}), row["id"])
            )
            chosen += [{**row, "mode": kind} for row in rows[:_PER_KIND]]
    return chosen


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


def _ask(deployment: Deployment, model: str, *, stream: bool, user: str) -> tuple[Said, str]:
    """The answer and its request id, by the SDK. Usage is asked for in streams, as clients do that want it."""
    client = openai.OpenAI(base_url=f"{deployment.url}/v1", api_key=deployment.key, max_retries=0)
    messages: Any = [{"role": "user", "content": "the recording's question"}]
    if not stream:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=messages, user=user)
        whole = raw.parse()
        assert whole.usage is not None
        choice = whole.choices[0]
        answer = Said(choice.message.content or "", choice.finish_reason)
        answer.prompt, answer.completion = whole.usage.prompt_tokens, whole.usage.completion_tokens
        return answer, raw.headers["x-request-id"]
    answer = Said()
    with client.chat.completions.with_streaming_response.create(
        model=model, messages=messages, user=user, stream=True, stream_options={"include_usage": True}
    ) as response:
        for chunk in response.parse():
            for piece in chunk.choices:
                answer.text += piece.delta.content or ""
                answer.finish = piece.finish_reason or answer.finish
            if chunk.usage:
                answer.prompt, answer.completion = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
        return answer, response.headers["x-request-id"]


def _check(deployment: Deployment, upstream: Upstream, interaction: dict[str, Any], provider: str, prefix: str) -> None:
    expected = said(interaction)
    stream = "stream" in interaction["kind"]
    upstream.forget()
    upstream.add(interaction, prefix=prefix)
    answer, request_id = _ask(deployment, f"{provider}:{interaction['model']}", stream=stream, user=interaction["id"])
    assert answer.text == expected.text
    assert answer.finish == expected.finish
    assert (answer.prompt, answer.completion) == (expected.prompt, expected.completion)
    assert len(upstream.calls) == 1
    assert not [call for call in upstream.unmatched if call.method == "POST"]
    (row,) = deployment.rows(1, end_user=interaction["id"])
    assert row["request_id"] == request_id
    assert (row["prompt_tokens"], row["completion_tokens"]) == (expected.prompt, expected.completion)
    assert (row["cache_read_tokens"], row["reasoning_tokens"]) == (expected.cached, expected.reasoning)
    assert row["status"] == "success"
    assert row["stream"] is stream
    if provider in _LISTS:
        assert row["cost"] == _list_price(interaction, expected, _LISTS[provider]), interaction["model"]


def _list_price(interaction: dict[str, Any], expected: Said, provider: str) -> float | None:
    """What the price list itself makes of the recorded counts."""
    usage = genai_prices.Usage(
        input_tokens=expected.prompt,
        output_tokens=expected.completion,
        cache_read_tokens=expected.cached or None,
        cache_write_tokens=expected.written or None,
    )
    try:
        price = genai_prices.calc_price(
            usage, interaction["model"], provider_id=provider, genai_request_timestamp=datetime.now(UTC)
        )
    except LookupError:
        return None
    return float(price.total_price.quantize(Decimal("1e-12")))


@needs_traffic
@pytest.mark.parametrize("row", _recordings(), ids=lambda row: row["id"])
def test_recorded_answers_arrive_and_are_billed(place: tuple[Deployment, Upstream], row: dict[str, Any]) -> None:
    deployment, upstream = place
    _check(deployment, upstream, load(row), row["provider"], "")


@pytest.mark.parametrize(
    ("name", "provider", "prefix"),
    [
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
    ],
)
def test_written_answers_arrive_and_are_billed(
    place: tuple[Deployment, Upstream], name: str, provider: str, prefix: str
) -> None:
    """The same ground where no recordings are at hand, and SOLAR, of which there are none."""
    deployment, upstream = place
    _check(deployment, upstream, json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8")), provider, prefix)


def test_a_call_leaves_no_key_in_any_log(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.add(json.loads((FIXTURES / "gemini-generate.json").read_text(encoding="utf-8")))
    deployment.post(
        "/v1/chat/completions?key=sentinel-query-key",
        {"model": "gemini:gemini-2.5-flash", "messages": [{"role": "user", "content": "sentinel-prompt"}]},
    )
    (call,) = upstream.calls
    assert call.headers["x-goog-api-key"] == "sentinel-gemini-key"
    assert "key" not in call.query
    log = deployment.log_text()
    assert "sentinel" not in log
    assert deployment.key not in log
