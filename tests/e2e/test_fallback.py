"""Retries and fallback: every attempt is a row, the last one final, and nothing is tried again after a first byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.deployment import MASTER_KEY, Deployment, providers_at
from tests.replay import Upstream
from tests.replay.answers import FIXTURES, Answer, Gate, answer_of, error

ASK: dict[str, Any] = {"model": "both", "messages": [{"role": "user", "content": "hello"}]}
OPENAI, CLAUDE = "/v1/chat/completions", "/v1/messages"


def _fixture(name: str) -> Answer:
    return answer_of(json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8")))


def _busy(**headers: str) -> Answer:
    return error(429, {"error": {"message": "slow down", "type": "rate_limit"}}, headers)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    with Upstream() as upstream:
        alias = {
            "provider": "openai",
            "model": "gpt-4o-mini",
            "fallbacks": [{"provider": "claude", "model": "claude-haiku-4-5"}],
        }
        skips = {
            "provider": "keyless",
            "model": "x",
            "fallbacks": [{"provider": "claude", "model": "claude-haiku-4-5"}],
        }
        nobody = {"provider": "gone", "model": "gpt-4o-mini"}
        far = {"type": "openai", "api_key": "k", "api_base": "http://far.example/v1"}
        gone = {**far, "api_base": "http://127.0.0.1:9/v1"}
        providers = {**providers_at(upstream.url), "keyless": {"type": "groq"}, "far": far, "gone": gone}
        config = {"models": {"both": alias, "skips": skips, "nobody": nobody}, "providers": providers}
        environment = {"HTTP_PROXY": upstream.url}
        folder = tmp_path_factory.mktemp("fallback")
        with Deployment(folder, upstream.url, config=config, environment=environment) as deployment:
            yield deployment, upstream


def _rows(deployment: Deployment, request_id: str, count: int) -> list[dict[str, Any]]:
    return sorted(deployment.rows(count, request_id=request_id), key=lambda row: row["attempt"])


def _who(response: httpx.Response) -> tuple[str, ...]:
    """Which provider and model spoke last, after how many attempts."""
    return tuple(response.headers[f"x-tollgate-{name}"] for name in ("provider", "model", "route"))


def test_a_busy_upstream_is_asked_again(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on(OPENAI, _busy(**{"retry-after": "0"}), error(503, {}), _fixture("openai-chat"))
    response = deployment.post(OPENAI, ASK)
    assert response.status_code == 200
    assert response.headers["x-tollgate-route"] == "3"
    rows = _rows(deployment, response.headers["x-request-id"], 3)
    assert [(row["kind"], row["status"], row["http_status"]) for row in rows] == [
        ("attempt", "error", 429),
        ("attempt", "error", 503),
        ("final", "success", 200),
    ]
    assert [row["cost"] == 0 for row in rows] == [True, True, False]


@pytest.mark.parametrize("stream", [False, True])
def test_after_the_retries_the_next_target_answers(place: tuple[Deployment, Upstream], stream: bool) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on(OPENAI, error(500, {}))
    upstream.on(CLAUDE, _fixture("anthropic-messages-stream" if stream else "anthropic-messages"))
    response = deployment.post(OPENAI, {**ASK, "stream": stream})
    assert response.status_code == 200
    assert response.headers["x-tollgate-provider"] == "anthropic"
    rows = _rows(deployment, response.headers["x-request-id"], 4)
    assert [row["kind"] for row in rows] == ["attempt", "attempt", "attempt", "final"]
    assert [row["provider"] for row in rows] == ["openai", "openai", "openai", "anthropic"]
    assert {row["request_id"] for row in rows} == {response.headers["x-request-id"]}
    assert len({row["id"] for row in rows}) == 4


def test_an_error_in_place_of_the_first_event_is_asked_again(place: tuple[Deployment, Upstream]) -> None:
    """Also where a stream is translated. And one is over with its last event, even when its connection is not."""
    deployment, upstream = place
    upstream.forget()
    busy = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'
    sse = {"content-type": "text/event-stream"}
    whole = _fixture("anthropic-messages-stream")
    open_end = replace(whole, length=False, gates={len(whole.pieces): Gate()})
    upstream.on(CLAUDE, Answer(headers=sse, pieces=(busy,), length=False), open_end)
    response = deployment.post(OPENAI, {**ASK, "model": "claude:claude-haiku-4-5", "stream": True})
    assert response.headers["x-tollgate-route"] == "2"
    assert response.text.endswith("data: [DONE]\n\n")
    rows = _rows(deployment, response.headers["x-request-id"], 2)
    assert [(row["kind"], row["status"]) for row in rows] == [("attempt", "error"), ("final", "success")]


def test_a_long_retry_after_means_the_next_target(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on(OPENAI, _busy(**{"retry-after": "3600"}))
    upstream.on(CLAUDE, _busy(**{"retry-after": "120"}))
    response = deployment.post(OPENAI, ASK)
    assert response.status_code == 429
    assert _who(response) == ("anthropic", "claude-haiku-4-5", "2")
    assert response.headers["retry-after"] == "120"
    assert [row["kind"] for row in _rows(deployment, response.headers["x-request-id"], 2)] == ["attempt", "final"]


def test_a_next_target_that_cannot_be_asked_leaves_the_last_one_final(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on(OPENAI, _busy(**{"retry-after": "3600"}))
    response = deployment.post(OPENAI, {**ASK, "logit_bias": {"50256": -100}}, **{"x-tollgate-strict": "1"})
    assert response.status_code == 429, response.text
    (row,) = _rows(deployment, response.headers["x-request-id"], 1)
    assert (row["kind"], row["http_status"]) == ("final", 429)
    assert len(upstream.calls) == 1


def test_who_leaves_during_the_wait_is_not_asked_for_again(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on(OPENAI, _busy(**{"retry-after": "5"}))
    headers = {"Authorization": f"Bearer {deployment.key}"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(deployment.url + OPENAI, json={**ASK, "user": "leaver"}, headers=headers, timeout=2)
    (row,) = deployment.rows(1, end_user="leaver")
    assert (row["kind"], row["status"], row["http_status"]) == ("final", "error", 429)
    assert len(upstream.calls) == 1


def test_only_what_was_never_sent_or_refused_is_known_to_cost_nothing(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    unsent = deployment.post(OPENAI, {**ASK, "model": "nobody"})
    upstream.on(OPENAI, replace(_fixture("openai-chat"), length=True, cut_after=0))
    upstream.on(CLAUDE, error(400, {}))
    broken = deployment.post(OPENAI, ASK)
    for response, count, cost in ((unsent, 3, False), (broken, 4, True)):
        rows = _rows(deployment, response.headers["x-request-id"], count)
        assert [(row["estimated"], row["cost"] > 0) for row in rows[:3]] == [(cost, cost)] * 3


def test_a_refusal_of_the_request_is_final(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on(OPENAI, error(400, {"error": {"message": "bad"}}))
    limits = {"limits": {"requests_per_minute": 7}}
    key = deployment.post("/v1/keys", limits, key=MASTER_KEY).json()["key"]
    response = deployment.post(OPENAI, ASK, key=key)
    assert response.status_code == 400
    assert len(upstream.calls) == 1
    assert _who(response) == ("openai", "gpt-4o-mini", "1")
    assert response.headers["x-ratelimit-remaining-requests"] == "6"
    _rows(deployment, response.headers["x-request-id"], 1)


def test_nothing_is_tried_again_after_the_first_byte(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    whole = _fixture("openai-chat-stream")
    gate = Gate()
    half = len(whole.pieces) // 2
    cut_after = sum(len(piece) for piece in whole.pieces[: half + 1])
    upstream.on(OPENAI, replace(whole, length=False, gates={half: gate}, cut_after=cut_after))
    headers = {"Authorization": f"Bearer {deployment.key}"}
    url = deployment.url + OPENAI
    with httpx.stream("POST", url, json={**ASK, "stream": True}, headers=headers, timeout=30) as response:
        lines = response.iter_lines()
        text = next(lines)
        gate.open()
        text += "\n".join(lines)
    assert "[DONE]" not in text
    assert '"error"' in text
    assert len(upstream.calls) == 1
    (row,) = _rows(deployment, response.headers["x-request-id"], 1)
    assert (row["kind"], row["status"], row["estimated"]) == ("final", "error", True)
    assert row["completion_tokens"] > 0


def test_a_target_without_a_key_is_passed_over(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on(CLAUDE, _fixture("anthropic-messages"))
    response = deployment.post(OPENAI, {**ASK, "model": "skips"})
    assert response.status_code == 200
    (row,) = _rows(deployment, response.headers["x-request-id"], 1)
    assert row["provider"] == "anthropic"


def test_a_proxy_of_the_environment_stands_only_before_what_is_far(place: tuple[Deployment, Upstream]) -> None:
    """All others of these tests ask this machine."""
    deployment, upstream = place
    upstream.forget()
    upstream.on("http://far.example/v1/chat/completions", _fixture("openai-chat"))
    upstream.on(OPENAI, _fixture("openai-chat"))
    for model in ("far:gpt-4o-mini", "openai:gpt-4o-mini"):
        assert deployment.post(OPENAI, {**ASK, "model": model}).status_code == 200
    assert [call.path for call in upstream.calls] == ["http://far.example/v1/chat/completions", OPENAI]
