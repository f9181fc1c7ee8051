"""Nothing is dropped in silence: what an upstream cannot take is named, or refused when the caller wants it so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deployment import Deployment, providers_at
from tests.replay import Upstream, written
from tests.replay.answers import FIXTURES

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    with Upstream() as upstream:
        groq = {"type": "groq", "api_key": "k", "api_base": f"{upstream.url}/v1"}
        config = {"providers": {**providers_at(upstream.url), "groq": groq}}
        for name in ("openai-chat", "anthropic-messages", "anthropic-messages-stream"):
            upstream.add(json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8")))
        with Deployment(tmp_path_factory.mktemp("dropped"), upstream.url, config=config) as deployment:
            yield deployment, upstream


def _ask(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": HELLO, **more}


def test_a_foreign_upstream_cannot_take_a_seed(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    answer = deployment.post(CHAT, _ask("anthropic:claude-sonnet-4-5", seed=7, logit_bias={"5": 1}))
    assert answer.status_code == 200
    assert set(answer.headers["x-tollgate-dropped"].split(", ")) >= {"seed", "logit_bias"}
    (row,) = deployment.rows(1, request_id=answer.headers["x-request-id"])
    assert {"seed", "logit_bias"} <= set(row["dropped"])
    assert "seed" not in upstream.calls[-1].json

    streamed = deployment.post(CHAT, _ask("anthropic:claude-sonnet-4-5", seed=7, stream=True))
    assert "seed" in streamed.headers["x-tollgate-dropped"]


@pytest.mark.parametrize("how", ["body", "header"])
def test_strict_refuses_instead(place: tuple[Deployment, Upstream], how: str) -> None:
    deployment, upstream = place
    reached = len(upstream.calls)
    body = _ask("anthropic:claude-sonnet-4-5", seed=7, **({"strict": True} if how == "body" else {}))
    headers = {"x-tollgate-strict": "1"} if how == "header" else {}
    answer = deployment.post(CHAT, body, **headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "seed"
    assert len(upstream.calls) == reached
    assert deployment.post(CHAT, _ask("openai:gpt-4o-mini", seed=7, strict=True)).status_code == 200
    assert "strict" not in upstream.calls[-1].json


def test_what_only_the_last_event_cannot_hold_is_named_before_it(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    stopped = written("anthropic-messages-stream")
    text = stopped["response"]["body_text"].replace(
        '"stop_reason":"end_turn","stop_sequence":null', '"stop_reason":"stop_sequence","stop_sequence":"END"'
    )
    assert "END" in text
    upstream.add({**stopped, "response": {**stopped["response"], "body_text": text}}, model="claude-stops")
    answer = deployment.post("/v1/responses", {"model": "anthropic:claude-stops", "input": "hello", "stream": True})
    comment, end = answer.text.index(": tollgate-dropped: stop_sequence\n\n"), answer.text.index("response.completed")
    assert comment < end
    (row,) = deployment.rows(1, request_id=answer.headers["x-request-id"])
    assert row["dropped"] == ["stop_sequence"]


def test_what_a_compatible_server_refuses_is_named_though_nothing_is_translated(
    place: tuple[Deployment, Upstream],
) -> None:
    deployment, upstream = place
    answer = deployment.post(CHAT, _ask("groq:gpt-4o-mini", logit_bias={"5": 1}, seed=7))
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-tollgate-dropped"] == "logit_bias"
    sent = upstream.calls[-1].json
    assert "logit_bias" not in sent
    assert sent["seed"] == 7
