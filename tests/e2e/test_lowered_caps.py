"""An answer's cap is lowered to what a budget has left, if that is asked for: in each dialect, to each upstream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.asking import DIALECTS, question
from tests.deployment import MASTER_KEY, Deployment
from tests.replay import Answer, Upstream
from tests.replay.answers import FIXTURES, answer_of

ASKED_FOR = 100_000
PRICE = {"input_price_per_million": 100, "output_price_per_million": 1000}  # a token of output: a tenth of a cent
LOWER = {"x-tollgate-lower-max-tokens": "1"}
CAPS = {
    "openai_chat": "max_completion_tokens",
    "openai_responses": "max_output_tokens",
    "anthropic_messages": "max_tokens",
    "gemini": "maxOutputTokens",
}
NATIVE = {"openai_chat": "openai", "openai_responses": "openai", "anthropic_messages": "anthropic", "gemini": "gemini"}
MODELS = {name: f"{name}:dear" for name in ("openai", "anthropic", "gemini", "solar")}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "dear",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "hi", "annotations": []}],
        }
    ],
    "usage": {"input_tokens": 10, "output_tokens": 1, "total_tokens": 11},
}


def _fixture(name: str) -> Answer:
    return answer_of(json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8")))


def _completed() -> Answer:
    done = {"type": "response.completed", "sequence_number": 1, "response": RESPONSE}
    piece = b"event: response.completed\ndata: " + json.dumps(done).encode() + b"\n\n"
    return Answer(headers={"content-type": "text/event-stream"}, pieces=(piece,), length=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    config = {"pricing": dict.fromkeys(MODELS.values(), PRICE)}
    with (
        Upstream() as upstream,
        Deployment(tmp_path_factory.mktemp("lowered"), upstream.url, config=config) as deployment,
    ):
        for stream, suffix in ((False, ""), (True, "-stream")):
            upstream.on("/v1/chat/completions", _fixture(f"openai-chat{suffix}"), stream=stream)
            upstream.on("/solar/v1/chat/completions", _fixture(f"solar-chat{suffix}"), stream=stream)
            upstream.on("/v1/messages", _fixture(f"anthropic-messages{suffix}"), stream=stream)
        upstream.on("/v1beta/models/dear:generateContent", _fixture("gemini-generate"))
        upstream.on("/v1beta/models/dear:streamGenerateContent", _fixture("gemini-generate-stream"))
        upstream.on("/v1/responses", Answer(pieces=(json.dumps(RESPONSE).encode(),)), stream=False)
        upstream.on("/v1/responses", _completed(), stream=True)
        yield deployment, upstream


def key_with(deployment: Deployment, dollars: float) -> str:
    """A key whose budget has that much left."""
    budget = deployment.post("/v1/budgets", {"max_budget": dollars}, key=MASTER_KEY).json()
    return str(deployment.post("/v1/keys", {"budget_id": budget["budget_id"]}, key=MASTER_KEY).json()["key"])


def sent_cap(body: dict[str, Any]) -> int:
    """What the upstream was told, under whichever name it has for it."""
    found = [body[name] for name in ("max_tokens", *CAPS.values()) if name in body]
    return int((found or [body["generationConfig"]["maxOutputTokens"]])[0])


def asked(dialect: str, model: str, *, stream: bool, cap: int | None) -> tuple[str, dict[str, Any]]:
    path, body = question(dialect, model, [], stream=stream)
    body.pop("max_tokens", None)
    if dialect == "gemini":
        body["generationConfig"] = {"topK": 3} | ({} if cap is None else {"maxOutputTokens": cap})
    elif cap is not None:
        body[CAPS[dialect]] = cap
    return path, body


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_upstream_is_told_what_is_affordable_and_the_caller_too(
    place: tuple[Deployment, Upstream], dialect: str, provider: str, stream: bool
) -> None:
    deployment, upstream = place
    path, body = asked(dialect, MODELS[provider], stream=stream, cap=ASKED_FOR)
    response = deployment.post(path, body, key=key_with(deployment, 0.5), **LOWER)
    assert response.status_code == 200, response.text
    lowered = int(response.headers["x-tollgate-lowered-max-tokens"])
    assert 400 < lowered < 500  # what the input leaves of half a dollar
    sent = upstream.calls[-1].json
    assert sent_cap(sent) == lowered
    if dialect == provider == "gemini":
        assert sent["generationConfig"]["topK"] == 3
    assert "x-tollgate-dropped" not in response.headers or "max" not in response.headers["x-tollgate-dropped"]


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "gemini"])
def test_a_call_without_a_cap_gets_one(place: tuple[Deployment, Upstream], dialect: str) -> None:
    deployment, upstream = place
    path, body = asked(dialect, MODELS[NATIVE[dialect]], stream=False, cap=None)
    response = deployment.post(path, body, key=key_with(deployment, 0.5), **LOWER)
    assert sent_cap(upstream.calls[-1].json) == int(response.headers["x-tollgate-lowered-max-tokens"])


@pytest.mark.parametrize("headers", [{}, {"x-tollgate-lower-max-tokens": "0"}])
def test_unasked_nothing_is_lowered(place: tuple[Deployment, Upstream], headers: dict[str, str]) -> None:
    deployment, upstream = place
    path, body = asked("openai_chat", MODELS["openai"], stream=False, cap=ASKED_FOR)
    response = deployment.post(path, body, key=key_with(deployment, 0.5), **headers)
    assert response.status_code == 200
    assert "x-tollgate-lowered-max-tokens" not in response.headers
    assert sent_cap(upstream.calls[-1].json) == ASKED_FOR


def test_a_cap_that_is_affordable_is_left_alone(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    path, body = asked("anthropic_messages", MODELS["anthropic"], stream=False, cap=300)
    response = deployment.post(path, body, key=key_with(deployment, 0.5), **LOWER)
    assert "x-tollgate-lowered-max-tokens" not in response.headers
    assert sent_cap(upstream.calls[-1].json) == 300


def test_what_pays_for_no_answer_is_refused(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    calls = len(upstream.calls)
    path, body = asked("openai_chat", MODELS["openai"], stream=False, cap=ASKED_FOR)
    response = deployment.post(path, body, key=key_with(deployment, 0.01), **LOWER)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "budget_exceeded")
    assert "not enough budget left for this request" in response.json()["error"]["message"]
    assert len(upstream.calls) == calls
