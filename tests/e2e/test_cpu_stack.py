"""The minimal CPU stack's API: recorded answers of every provider to one prompt, the status, and the traces.

On the embedded parts and on the stack's, for callers with a key and for such as never send one.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deployment import MASTER_KEY, Deployment
from tests.front_doors import WRITTEN, events, exactly, get, post, written
from tests.recorded import said
from tests.replay import Upstream
from tests.replay.answers import Answer, answer_of

_CONFIG = {
    "auth": {"anonymous": {"user": "guest", "surfaces": ["cpu_stack"]}},
    "models": {"small": {"provider": "openai", "model": "gpt-4o-mini"}},
}


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
        Deployment(folder, upstream.url, redis_url=redis_url, database_url=database_url, config=_CONFIG) as deployment,
    ):
        yield deployment, upstream


@pytest.mark.parametrize("caller", ["guest", "key holder"])
@pytest.mark.parametrize(("name", "provider", "prefix"), WRITTEN)
def test_a_recorded_answer_is_told_and_billed(
    place: tuple[Deployment, Upstream], name: str, provider: str, prefix: str, caller: str
) -> None:
    deployment, upstream = place
    interaction = written(name)
    expected = said(interaction)
    stream = name.endswith("stream")
    upstream.forget()
    upstream.add(interaction, prefix=prefix)
    body: dict[str, Any] = {
        "prompt": "the question",
        "model": f"{provider}:{interaction['model']}",
        "max_tokens": 64,
        "temperature": 0.5,
    }
    if stream:
        body["stream"] = True
    response = post(deployment, "/query", body, key=None if caller == "guest" else deployment.key)
    assert response.status_code == 200, response.text
    if stream:
        *deltas, answer = events(response.text)
        assert answer.pop("type") == "done"
        assert answer.pop("finish_reason") == expected.finish
        answer["answer"] = "".join(delta["answer"] for delta in deltas)
    else:
        answer = exactly(response.text)
    assert set(answer) == {"trace_id", "model", "provider", "answer", "latency_ms", "usage"}
    assert (answer["provider"], answer["answer"]) == (provider, expected.text)
    assert answer["trace_id"] == response.headers["x-request-id"]
    assert answer["latency_ms"] > 0
    (row,) = deployment.rows(1, request_id=answer["trace_id"])
    assert answer["model"] == row["model"]
    assert (row["user_id"] == "guest") is (caller == "guest")
    assert answer["usage"] == {
        "prompt_tokens": expected.prompt,
        "completion_tokens": expected.completion,
        "total_tokens": expected.prompt + expected.completion,
        "cost_usd": Decimal(str(row["cost"])),
    }


def _answer_plainly(upstream: Upstream) -> None:
    upstream.forget()
    upstream.on("/v1/chat/completions", answer_of(written("openai-chat")))


@pytest.mark.parametrize("model", ["small", "openai", "gpt-4o-mini"])
def test_a_model_is_a_provider_an_alias_or_an_id(place: tuple[Deployment, Upstream], model: str) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    response = post(deployment, "/query", {"prompt": "hi", "model": model})
    assert response.status_code == 200, response.text
    assert response.json()["provider"] == "openai"
    (call,) = upstream.calls
    assert call.json["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"{", 400, "JSON"),
        (b"[]", 400, "object"),
        ({"model": "small"}, 400, "prompt"),
        ({"model": "small", "prompt": "   "}, 400, "prompt"),
        ({"model": "small", "prompt": ["hi"]}, 400, "prompt"),
        ({"prompt": "hi"}, 400, "model"),
        ({"model": "nobody:x", "prompt": "hi"}, 404, "nobody:x"),
        ({"model": "small", "prompt": "hi", "max_tokens": 0}, 400, "max_tokens"),
        ({"model": "small", "prompt": "hi", "max_tokens": "many"}, 400, "max_tokens"),
        ({"model": "small", "prompt": "hi", "temperature": 3}, 400, "temperature"),
        ({"model": "small", "prompt": "hi", "stream": "yes"}, 400, "stream"),
        ({"model": "small", "prompt": "hi", "strict": True, "top_p": 0.5}, 400, "top_p"),
    ],
)
def test_what_is_wrong_is_named(place: tuple[Deployment, Upstream], body: Any, status: int, named: str) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    response = post(deployment, "/query", body)
    assert response.status_code == status, response.text
    told = response.json()
    assert set(told) == {"error", "detail"}
    assert set(told["error"]) == {"code", "message"}
    assert named in told["error"]["message"]
    assert not upstream.calls


def test_what_cannot_be_carried_is_said(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    response = post(deployment, "/query", {"model": "small", "prompt": "hi", "top_p": 0.5})
    assert "top_p" in response.headers["x-tollgate-dropped"].split(", ")


def test_status_tells_strangers_little_and_key_holders_their_own(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    for key in (None, deployment.key):
        response = post(deployment, "/query", {"model": "small", "prompt": "hi"}, key=key)
        deployment.rows(1, request_id=response.json()["trace_id"])
    upstream.forget()
    upstream.on("/v1/chat/completions", Answer(status=400, pieces=(b'{"error":{"message":"no"}}',)))
    refused = post(deployment, "/query", {"model": "small", "prompt": "hi"}, key=deployment.key)
    assert refused.status_code == 400
    deployment.rows(1, request_id=refused.headers["x-request-id"])
    assert get(deployment, "/status") == {"status": "up"}
    own = get(deployment, "/status", key=deployment.key)
    everything = get(deployment, "/status", key=MASTER_KEY)
    assert own["uptime_seconds"] > 0
    assert own["providers"]["openai"] == {"available": True, "reason": None}
    assert own["local_model"] == {"available": False, "models": []}
    assert own["reasons"] == []
    (mine,) = [model for model in own["models"] if (model["provider"], model["model"]) == ("openai", "gpt-4o-mini")]
    (all_of_it,) = [m for m in everything["models"] if (m["provider"], m["model"]) == ("openai", "gpt-4o-mini")]
    assert (mine["errors"], all_of_it["errors"]) == (1, 1)
    assert 2 <= mine["requests"] < all_of_it["requests"]
    assert mine["cost_usd"] > 0
    times = mine["latency_ms"]
    assert times["samples"] == mine["requests"] - mine["errors"]
    assert 0 < times["p50"] <= times["p90"] <= times["p95"] <= times["p99"]
    assert times["average"] > 0
    wrong = httpx.get(f"{deployment.url}/status", headers={"Authorization": "Bearer wrong"})
    assert wrong.status_code == 401
    assert set(wrong.json()["error"]) == {"code", "message"}


def test_traces_are_the_masters_and_hold_no_contents(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    answer = post(deployment, "/query", {"model": "small", "prompt": "sentinel-prompt"}).json()
    deployment.rows(1, request_id=answer["trace_id"])
    for headers in ({}, {"Authorization": f"Bearer {deployment.key}"}):
        refused = httpx.get(f"{deployment.url}/traces", headers=headers)
        assert refused.status_code == 401
        assert set(refused.json()["error"]) == {"code", "message"}
    listed = get(deployment, "/traces", key=MASTER_KEY, limit=1)["traces"]
    assert len(listed) == 1
    (trace,) = listed
    assert trace["trace_id"] == answer["trace_id"]
    assert (trace["provider"], trace["model"], trace["model_asked"]) == ("openai", "gpt-4o-mini", "small")
    assert (trace["kind"], trace["status"], trace["user_id"]) == ("final", "success", "guest")
    assert trace["usage"]["total_tokens"] == answer["usage"]["total_tokens"]
    assert 0 < trace["latency_ms"] <= answer["latency_ms"] + 50
    text = httpx.get(f"{deployment.url}/traces", headers={"Authorization": f"Bearer {MASTER_KEY}"}).text
    assert "sentinel-prompt" not in text
    assert answer["answer"] not in text
    for limit in ("0", "1001", "some"):
        headers = {"Authorization": f"Bearer {MASTER_KEY}"}
        refused = httpx.get(f"{deployment.url}/traces", params={"limit": limit}, headers=headers)
        assert refused.status_code == 400
        assert "limit" in refused.json()["error"]["message"]
