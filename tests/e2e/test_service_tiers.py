"""What a call costs in the service tier that served it, or that was asked for where the answer does not say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.deployment import Deployment
from tests.e2e.fleet import CHAT, chat
from tests.replay import Answer, Upstream

MILLION = Decimal(1_000_000)
OPENAI, CLAUDE = "openai:gpt-5", "anthropic:claude-opus-5"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    with Upstream() as upstream, Deployment(tmp_path_factory.mktemp("tiers"), upstream.url) as deployment:
        yield deployment, upstream


def rates(deployment: Deployment, model: str, tier: str | None) -> tuple[Decimal, Decimal]:
    """Input and output, a million tokens, as the price list has it."""
    text = deployment.get(f"/v1/pricing/{model}").text
    price = json.loads(text, parse_float=Decimal)
    chosen = price if tier is None else price["service_tiers"][tier]
    return Decimal(chosen["input_price_per_million"]), Decimal(chosen["output_price_per_million"])


def answer(**fields: Any) -> Answer:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        **fields,
    }
    return Answer(pieces=(json.dumps(body).encode(),))


@pytest.mark.parametrize(
    ("asked_for", "said", "due"),
    [
        (None, None, None),
        ("flex", "flex", "flex"),
        ("flex", None, "flex"),
        ("priority", "default", None),
        ("auto", "priority", "priority"),
        ("auto", None, None),
    ],
)
def test_openai(place: tuple[Deployment, Upstream], asked_for: str | None, said: str | None, due: str | None) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on(CHAT, answer() if said is None else answer(service_tier=said))
    body = chat(OPENAI) if asked_for is None else chat(OPENAI, service_tier=asked_for)
    response = deployment.post(CHAT, body)
    rate_in, rate_out = rates(deployment, OPENAI, due)
    assert Decimal(response.headers["x-tollgate-cost-usd"]) == (1000 * rate_in + 100 * rate_out) / MILLION
    if due is not None:
        assert (rate_in, rate_out) != rates(deployment, OPENAI, None)


@pytest.mark.parametrize(("speed", "due"), [("fast", "fast"), ("standard", None)])
def test_the_speed_of_claude(place: tuple[Deployment, Upstream], speed: str, due: str | None) -> None:
    deployment, upstream = place
    upstream.forget()
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 100, "service_tier": "standard", "speed": speed},
    }
    upstream.on("/v1/messages", Answer(pieces=(json.dumps(body).encode(),)))
    asked = {"model": CLAUDE, "max_tokens": 100, "speed": "fast", "messages": [{"role": "user", "content": "hi"}]}
    response = deployment.post("/v1/messages", asked)
    rate_in, rate_out = rates(deployment, CLAUDE, due)
    assert Decimal(response.headers["x-tollgate-cost-usd"]) == (1000 * rate_in + 100 * rate_out) / MILLION
    assert rates(deployment, CLAUDE, "fast") != rates(deployment, CLAUDE, None)
