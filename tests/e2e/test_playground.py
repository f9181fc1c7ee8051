"""The playground's flat API: recorded answers of every provider in its form, its rules, and its errors.

On the embedded parts and on the stack's, for callers with a key and for such as never send one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.deployment import MASTER_KEY, Deployment, until
from tests.front_doors import WRITTEN, events, exactly, get, post, written
from tests.recorded import said
from tests.replay import Upstream
from tests.replay.answers import Answer, Gate, answer_of, error

CHAT = "/api/chat/completions"
_MICRO = Decimal("0.000001")
_GUEST = {
    "auth": {"anonymous": {"user": "guest", "surfaces": ["playground"]}},
    "reporting_zone": "Asia/Seoul",
    "models": {
        "away": {"provider": "groq", "model": "llama-3.3-70b-versatile"},
        "unpriced": {"provider": "openai", "model": "nobody-knows"},
        "both": {
            "provider": "openai",
            "model": "gpt-4o-mini",
            "fallbacks": [{"provider": "anthropic", "model": "claude-haiku-4-5"}],
        },
    },
    "cors_allow_origins": ["https://chat.example.com"],
}
_FROM_FILE = {
    "house-model": {
        "provider": "openai",
        "pricing": {"input": 0.001, "output": 0.0000015},
        "context_window": 1000,
        "max_tokens": 100,
    }
}


@pytest.fixture(scope="module", params=["embedded", "stack"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Deployment, Upstream]]:
    stack = request.param == "stack"
    redis_url = request.getfixturevalue("redis_server_url") if stack else None
    database_url = request.getfixturevalue("module_postgres_url") if stack else None
    folder: Path = tmp_path_factory.mktemp(request.param)
    (folder / "data").mkdir()
    (folder / "data" / "models_config.json").write_text(json.dumps(_FROM_FILE), encoding="utf-8")
    with (
        Upstream() as upstream,
        Deployment(folder, upstream.url, redis_url=redis_url, database_url=database_url, config=_GUEST) as deployment,
    ):
        yield deployment, upstream


def ask(deployment: Deployment, body: Any, *, key: str | None = None, **headers: str) -> httpx.Response:
    return post(deployment, CHAT, body, key=key, **headers)


@pytest.mark.parametrize("caller", ["guest", "key holder"])
@pytest.mark.parametrize(("name", "provider", "prefix"), WRITTEN)
def test_a_recorded_answer_is_told_flat_and_billed(
    place: tuple[Deployment, Upstream], name: str, provider: str, prefix: str, caller: str
) -> None:
    deployment, upstream = place
    interaction = written(name)
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
        "session_id": f"session of {caller}, {name}",
        "user_id": f"someone-{name}",
    }
    response = ask(deployment, body, key=None if caller == "guest" else deployment.key)
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
    (row,) = deployment.rows(1, session_id=body["session_id"])
    assert (row["user_id"] == "guest") is (caller == "guest")
    assert row["end_user"] == f"someone-{name}"
    assert (row["prompt_tokens"], row["completion_tokens"]) == (expected.prompt, expected.completion)
    cost = answer["cost"]
    assert cost["currency"] == "USD"
    assert cost["total_cost"] == cost["input_cost"] + cost["output_cost"]
    for part in ("input_cost", "output_cost", "total_cost"):
        assert cost[part] == cost[part].quantize(_MICRO)
    assert abs(cost["total_cost"] - Decimal(str(row["cost"]))) <= _MICRO
    assert Decimal(str(row["cost"])).quantize(_MICRO, ROUND_HALF_UP) >= cost["input_cost"]


# ------------------------------------------------------------------------------------------------ without a key
_PLAIN = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def _answer_plainly(upstream: Upstream) -> None:
    upstream.forget()
    upstream.on("/v1/chat/completions", answer_of(written("openai-chat")))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "gateway:8000"}, 200),
        ({"Host": "192.168.1.20"}, 200),
        ({"Host": "localhost:3000", "Origin": "http://localhost:3000"}, 200),
        ({"Host": "localhost", "Origin": "https://localhost:443"}, 200),
        ({"Host": "rebound.example.com"}, 403),
        ({"Host": "rebound.example.com", "Origin": "http://rebound.example.com"}, 403),
        ({"Origin": "https://elsewhere.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:8000", "Origin": "http://localhost:3000"}, 403),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"X-AnyLLM-Key": "Bearer gw-" + "x" * 64}, 401),
    ],
)
def test_who_comes_in_without_a_key(place: tuple[Deployment, Upstream], headers: dict[str, str], status: int) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    response = ask(deployment, _PLAIN, **headers)
    assert response.status_code == status, response.text
    assert len(upstream.calls) == (status == 200)


def test_the_master_key_says_who_pays(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    for user, status in ((None, 400), ("nobody", 404), ("guest", 200)):
        response = ask(deployment, _with(user_id=user), key=MASTER_KEY)
        assert response.status_code == status, response.text
        if status == 400:
            assert "'user_id'" in response.json()["error"]["message"]
    (row,) = deployment.rows(1, request_id=response.headers["x-request-id"])
    assert (row["user_id"], row["end_user"]) == ("guest", None)


def test_the_log_says_that_they_are_let_in(place: tuple[Deployment, Upstream]) -> None:
    assert "callers without a key are let in as user 'guest' through: playground" in place[0].log_text()


def test_other_doors_stay_shut_to_them(place: tuple[Deployment, Upstream]) -> None:
    deployment, _ = place
    for path in ("/v1/chat/completions", "/v1/messages"):
        assert httpx.post(deployment.url + path, json=_PLAIN).status_code == 401
    for path in ("/v1/usage", "/v1/models", "/v1/keys"):
        assert httpx.get(deployment.url + path).status_code == 401


def test_their_users_limits_hold_them(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    master = {"Authorization": f"Bearer {MASTER_KEY}"}
    address = f"{deployment.url}/v1/users/guest"
    assert httpx.patch(address, json={"blocked": True}, headers=master).status_code == 200
    try:
        until(lambda: ask(deployment, _PLAIN).status_code == 403, "a blocked guest is refused")
    finally:
        httpx.patch(address, json={"blocked": False}, headers=master)
    until(lambda: ask(deployment, _PLAIN).status_code == 200, "the guest is let in again")
    limits = {"limits": {"input_tokens_per_minute": 1}}
    assert httpx.patch(address, json=limits, headers=master).status_code == 200
    try:
        until(lambda: ask(deployment, _PLAIN).status_code == 429, "the guest's limit holds")
    finally:
        httpx.patch(address, json={"limits": None}, headers=master)
    until(lambda: ask(deployment, _PLAIN).status_code == 200, "without a limit it does not")


def test_their_users_budget_holds_them(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    master = {"Authorization": f"Bearer {MASTER_KEY}"}
    made = httpx.post(f"{deployment.url}/v1/budgets", json={"max_budget": 0.0}, headers=master)
    address = f"{deployment.url}/v1/users/guest"
    assert httpx.patch(address, json={"budget_id": made.json()["budget_id"]}, headers=master).status_code == 200
    try:
        until(lambda: ask(deployment, _PLAIN).status_code == 403, "the guest's budget holds")
        assert ask(deployment, _PLAIN).json()["detail"] == "User 'guest' has exceeded budget limit"
    finally:
        httpx.patch(address, json={"budget_id": None}, headers=master)
    until(lambda: ask(deployment, _PLAIN).status_code == 200, "without a budget it does not")


def test_nobody_comes_in_where_it_is_not_set(tmp_path: Path, upstream: Upstream) -> None:
    with Deployment(tmp_path, upstream.url) as deployment:
        response = ask(deployment, _PLAIN)
    assert response.status_code == 401
    assert response.json()["error"] == {"code": "invalid_api_key", "message": "Invalid API key"}


# ------------------------------------------------------------------------------------------------ lists
def test_models_are_listed_with_prices_per_thousand(place: tuple[Deployment, Upstream]) -> None:
    deployment, _ = place
    listed = {model["id"]: model for model in get(deployment, "/api/models")["models"]}
    assert listed["openai:gpt-4o-mini"] == {
        "id": "openai:gpt-4o-mini",
        "provider": "openai",
        "context_window": 128000,
        "max_output_tokens": 16384,
        "pricing": {"input_per_1k": Decimal("0.00015"), "output_per_1k": Decimal("0.0006"), "currency": "USD"},
        "available": True,
        "unavailable_reason": None,
    }
    assert {model["provider"] for model in listed.values()} >= {"openai", "anthropic", "gemini", "solar", "local"}
    assert (listed["away"]["available"], listed["away"]["pricing"]["currency"]) == (False, "USD")
    assert "GROQ_API_KEY" in listed["away"]["unavailable_reason"]
    assert listed["house-model"] == {
        "id": "house-model",
        "provider": "openai",
        "context_window": 1000,
        "max_output_tokens": 100,
        "pricing": {"input_per_1k": Decimal("0.001"), "output_per_1k": Decimal("0.0000015"), "currency": "USD"},
        "available": True,
        "unavailable_reason": None,
    }


def test_usage_is_summed_by_session_day_and_month(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    expected = said(written("openai-chat"))
    for key in (None, None, deployment.key):
        assert ask(deployment, {**_PLAIN, "session_id": "shared name"}, key=key).status_code == 200
    rows = deployment.rows(3, session_id="shared name")
    micros = sum((Decimal(str(row["cost"])) for row in rows[:1]), Decimal(0)).quantize(_MICRO, ROUND_HALF_UP)
    own = get(deployment, "/api/usage/session/shared name", key=deployment.key)
    assert own["session_id"] == "shared name"
    assert (own["requests"], own["errors"], own["unpriced"]) == (1, 0, 0)
    assert own["usage"] == {
        "prompt_tokens": expected.prompt,
        "completion_tokens": expected.completion,
        "total_tokens": expected.prompt + expected.completion,
    }
    assert own["cost"] == {"total_cost": micros, "currency": "USD"}
    (mine,) = own["users"]
    assert [(model["provider"], model["model"]) for model in mine["models"]] == [("openai", "gpt-4o-mini")]
    theirs = get(deployment, "/api/usage/session/shared name")
    assert [user["user_id"] for user in theirs["users"]] == ["guest"]
    assert theirs["requests"] == 2
    everybody = get(deployment, "/api/usage/session/shared name", key=MASTER_KEY)
    assert everybody["requests"] == 3
    assert {user["user_id"] for user in everybody["users"]} == {"guest", mine["user_id"]}
    assert get(deployment, "/api/usage/session/nobody's")["requests"] == 0


def test_usage_is_summed_by_the_users_that_calls_named(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    for user in ("ann", "bob", "ann"):
        assert ask(deployment, {**_PLAIN, "session_id": "a team's", "user_id": user}).status_code == 200
    deployment.rows(3, session_id="a team's")
    session = get(deployment, "/api/usage/session/a team's")
    assert [(each["end_user"], each["user_id"], each["requests"]) for each in session["end_users"]] == [
        ("ann", "guest", 2),
        ("bob", "guest", 1),
    ]
    ((mine,), (model,)) = session["users"], session["models"]
    assert mine["requests"] == model["requests"] == session["requests"] == 3
    assert [each["model"] for each in session["end_users"][0]["models"]] == ["gpt-4o-mini"]
    for path in ("daily", "monthly", "summary"):
        plain = get(deployment, f"/api/usage/{path}")
        assert "end_users" not in plain
        named = get(deployment, f"/api/usage/{path}", end_users="true")
        found = {each["end_user"]: each["requests"] for each in named["end_users"]}
        assert (found["ann"], found["bob"]) == (2, 1)
        assert sum(found.values()) == named["requests"] >= plain["requests"]


def test_days_and_months_are_those_of_the_reporting_zone(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    assert ask(deployment, {**_PLAIN, "session_id": "today"}).status_code == 200
    deployment.rows(1, session_id="today")
    today = datetime.now(ZoneInfo("Asia/Seoul"))
    day, month = today.strftime("%Y-%m-%d"), today.strftime("%Y-%m")
    for path, params, named in (
        ("/api/usage/daily", {}, {"date": day}),
        ("/api/usage/daily", {"date": day}, {"date": day}),
        ("/api/usage/monthly", {}, {"month": month}),
        ("/api/usage/monthly", {"month": month}, {"month": month}),
        ("/api/usage/summary", {}, {}),
    ):
        found = get(deployment, path, **params)
        assert found["requests"] > 0
        assert [user["user_id"] for user in found["users"]] == ["guest"]
        assert {name: found[name] for name in named} == named
        assert found["requests"] == sum(model["requests"] for model in found["models"])
        assert get(deployment, path, key=MASTER_KEY, **params)["requests"] >= found["requests"]
    assert get(deployment, "/api/usage/daily", date="2001-02-03")["requests"] == 0
    assert get(deployment, "/api/usage/monthly", month="2001-02")["requests"] == 0


@pytest.mark.parametrize(
    ("path", "params", "named"),
    [
        ("daily", {"date": "yesterday"}, "date"),
        ("daily", {"date": "1999-12-31"}, "date"),
        ("daily", {"date": "9999-12-31"}, "date"),
        ("monthly", {"month": "2026-13"}, "month"),
        ("monthly", {"month": "0000-01"}, "month"),
        ("monthly", {"month": "2026-11-01"}, "month"),
    ],
)
def test_a_wrong_day_or_month_is_named(
    place: tuple[Deployment, Upstream], path: str, params: dict[str, str], named: str
) -> None:
    response = httpx.get(f"{place[0].url}/api/usage/{path}", params=params)
    assert response.status_code == 400
    assert set(response.json()) == {"error", "detail"}
    assert f"'{named}'" in response.json()["error"]["message"]


def test_lists_want_a_right_key_or_none(place: tuple[Deployment, Upstream]) -> None:
    deployment, _ = place
    for path in ("/api/models", "/api/usage/summary"):
        response = httpx.get(deployment.url + path, headers={"Authorization": "Bearer wrong"})
        assert response.status_code == 401
        assert response.json()["error"] == {"code": "invalid_api_key", "message": "Invalid API key"}
        assert httpx.get(deployment.url + path, headers={"Origin": "https://elsewhere.example.com"}).status_code == 403


def test_health_tells_of_database_and_keys(place: tuple[Deployment, Upstream]) -> None:
    deployment, _ = place
    health = httpx.get(f"{deployment.url}/health").json()
    assert (health["status"], health["database"]) == ("healthy", "connected")
    assert health["providers"]["openai"] == {"key": True}
    assert health["providers"]["local"] == {"key": True}  # it needs none
    assert health["providers"]["groq"] == {"key": False}
    assert "sentinel" not in json.dumps(health)


# ------------------------------------------------------------------------------------------------ rules and errors
def _with(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in {**_PLAIN, **fields}.items() if value is not None}


def _said(*messages: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in messages]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, ("JSON",)),
        (b'{"model": ', 400, ("JSON",)),
        (b'"text"', 400, ("object",)),
        (_with(model=None), 400, ("model",)),
        (_with(model="  "), 400, ("model",)),
        (_with(model=7), 400, ("model",)),
        (_with(messages=None), 400, ("messages",)),
        (_with(messages=[]), 400, ("messages",)),
        (_with(messages="hi"), 400, ("messages",)),
        (_with(messages=["hi"]), 400, ("messages[0]",)),
        (_with(messages=_said(("nobody", "hi"))), 400, ("messages[0].role",)),
        (_with(messages=_said(("user", None))), 400, ("messages[0].content",)),
        (_with(messages=_said(("system", "be brief"))), 400, ("messages", "role user")),
        (_with(messages=_said(("system", "be brief"), ("assistant", "hi"))), 400, ("messages", "role user")),
        (_with(temperature=2.1), 400, ("temperature", "2")),
        (_with(temperature="hot"), 400, ("temperature",)),
        (_with(max_tokens=0), 400, ("max_tokens",)),
        (_with(max_tokens=1.5), 400, ("max_tokens",)),
        (_with(max_tokens=16385), 400, ("max_tokens", "16385", "16384")),
        (_with(model="house-model", max_tokens=101), 400, ("max_tokens", "101", "100")),
        (_with(model="house-model", messages=_said(("user", "word " * 900))), 400, ("messages", "850", "1000")),
        (_with(stream="yes"), 400, ("stream",)),
        (_with(session_id=7), 400, ("session_id",)),
        (_with(user_id=["me"]), 400, ("user_id",)),
        (_with(strict=True, top_p=0.9), 400, ("top_p",)),
        (_with(model="nothing"), 404, ("Unsupported model",)),
        (_with(model="nobody:gpt-4o-mini"), 404, ("Unsupported model",)),
        (_with(model="openai:nobody-has-said-that-this-exists"), 404, ("Unsupported model",)),
        (_with(model="away"), 503, ("Service unavailable",)),
    ],
)
def test_a_call_against_the_rules_is_refused(
    place: tuple[Deployment, Upstream], body: Any, status: int, words: tuple[str, ...]
) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    response = ask(deployment, body)
    assert response.status_code == status, response.text
    told = response.json()
    assert set(told) == {"error", "detail"}
    assert set(told["error"]) == {"code", "message"}
    for word in words:
        assert word in told["error"]["message"]
    assert not upstream.calls


@pytest.mark.parametrize(
    "body",
    [
        _with(max_tokens=16384),
        _with(model="house-model", max_tokens=100),
        _with(model="house-model", messages=_said(("user", "word " * 500))),
        _with(temperature=0),
        _with(temperature=2, max_tokens=16.0),
        _with(messages=_said(("user", [{"type": "text", "text": "hi"}]))),
        _with(messages=_said(("developer", "be brief"), ("user", "hi"), ("assistant", "yes?"), ("user", "hi"))),
        _with(session_id="", user_id="", stream=False),
    ],
)
def test_a_call_at_the_edge_of_the_rules_is_made(place: tuple[Deployment, Upstream], body: Any) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    response = ask(deployment, body)
    assert response.status_code == 200, response.text
    (call,) = upstream.calls
    assert "session_id" not in call.json
    assert "user_id" not in call.json


def test_costs_are_rounded_half_up_and_add_up(place: tuple[Deployment, Upstream]) -> None:
    """Half a micro-dollar a thousand output tokens: what is exact in the ledger is rounded here alone."""
    deployment, upstream = place
    interaction = written("openai-chat")
    answer = json.loads(interaction["response"]["body_text"])
    answer["usage"] = {"prompt_tokens": 1, "completion_tokens": 1000, "total_tokens": 1001}
    upstream.forget()
    upstream.on("/v1/chat/completions", Answer(pieces=(json.dumps(answer).encode(),)))
    response = ask(deployment, _with(model="house-model"))
    assert '"input_cost":0.000001,"output_cost":0.000002,"total_cost":0.000003,"currency":"USD"' in response.text
    (row,) = deployment.rows(1, request_id=response.headers["x-request-id"])
    assert Decimal(str(row["cost"])) == Decimal("0.0000025")


def test_a_price_that_nobody_knows_is_null(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    answer = exactly(ask(deployment, _with(model="unpriced")).text)
    assert answer["cost"] == {"input_cost": None, "output_cost": None, "total_cost": None, "currency": "USD"}
    assert answer["usage"]["total_tokens"] > 0


_SECRET = "sentinel-openai-key"  # that a provider may repeat


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("status", "told", "message"),
    [
        (401, 401, "Invalid API key"),
        (403, 401, "Invalid API key"),
        (404, 404, "Unsupported model"),
        (429, 429, "Rate limit exceeded"),
        (400, 400, "the provider says why"),
        (422, 422, "the provider says why"),
        (500, 500, "Provider API failure"),
        (503, 500, "Provider API failure"),
        (418, 400, "the provider says why"),
    ],
)
def test_a_providers_refusal_is_told_in_standard_words(
    place: tuple[Deployment, Upstream], status: int, told: int, message: str, stream: bool
) -> None:
    deployment, upstream = place
    upstream.forget()
    says = f"the provider says why: {_SECRET}"
    upstream.on("/v1/chat/completions", error(status, {"error": {"message": says}}, {"retry-after-ms": "1"}))
    response = ask(deployment, _with(stream=stream))
    assert response.status_code == told, response.text
    assert message in response.json()["error"]["message"]
    assert "sentinel" not in response.text
    if told in (401, 500):
        assert "provider says" not in response.text
    assert len(upstream.calls) == (3 if status in (429, 500, 503) else 1)
    if told == 429:
        assert int(response.headers["retry-after"]) >= 1
    rows = deployment.rows(len(upstream.calls), request_id=response.headers["x-request-id"])
    assert {row["http_status"] for row in rows} == {status}
    assert rows[0]["kind"] == "final"


@pytest.mark.parametrize(
    "answer",
    [Answer(pieces=(b"<html>",)), Answer(pieces=(b"[]",)), Answer(garbage=b"no HTTP at all"), Answer(cut_after=1)],
    ids=["no JSON", "no object", "no HTTP", "cut"],
)
def test_a_providers_failure_is_one_500(place: tuple[Deployment, Upstream], answer: Answer) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on("/v1/chat/completions", answer)
    response = ask(deployment, _PLAIN)
    assert response.status_code == 500
    assert response.json()["error"] == {"code": "provider_failure", "message": "Provider API failure"}
    assert response.json()["detail"] == "Provider API failure"


def test_what_the_operator_has_to_set_is_not_told_to_callers(place: tuple[Deployment, Upstream]) -> None:
    response = ask(place[0], {**_PLAIN, "model": "away"})
    assert response.status_code == 503
    assert response.json()["error"] == {"code": "provider_unavailable", "message": "Service unavailable"}
    assert response.json()["detail"] == "Service unavailable"


@pytest.mark.parametrize("name", ["openai-chat-stream", "anthropic-messages-stream", "gemini-generate-stream"])
def test_a_stream_that_breaks_off_says_so_and_never_ends_well(place: tuple[Deployment, Upstream], name: str) -> None:
    deployment, upstream = place
    interaction = written(name)
    provider = name.partition("-")[0]
    whole = answer_of(interaction)
    upstream.forget()
    path = urlsplit(interaction["request"]["url"]).path
    upstream.on(path, replace(whole, cut_after=len(whole.body) - len(whole.pieces[-1]) - 1))
    response = ask(deployment, _with(model=f"{provider}:{interaction['model']}", stream=True))
    assert response.status_code == 200
    *deltas, last = events(response.text)
    assert deltas
    assert {event["type"] for event in deltas} == {"delta"}
    assert last == {
        "type": "error",
        "error": {"code": "provider_failure", "message": "Provider API failure"},
        "detail": "Provider API failure",
    }
    (row,) = deployment.rows(1, request_id=response.headers["x-request-id"])
    assert row["status"] == "error"


def test_an_error_inside_a_stream_is_told_in_it(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    whole = answer_of(written("anthropic-messages-stream"))
    overloaded = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"inside"}}\n\n'
    upstream.forget()
    upstream.on("/v1/messages", replace(whole, pieces=(*whole.pieces[:-3], overloaded)))
    response = ask(deployment, _with(model="anthropic:claude-haiku-4-5", stream=True))
    *deltas, last = events(response.text)
    assert deltas
    assert last["error"] == {"code": "provider_failure", "message": "Provider API failure"}
    assert "inside" not in response.text


def test_only_configured_sites_may_read_answers(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    for origin, allowed in (("https://chat.example.com", True), ("https://elsewhere.example.com", False)):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = httpx.options(deployment.url + CHAT, headers=asked)
        answer = ask(deployment, _PLAIN, key=deployment.key, Origin=origin)
        for response in (preflight, answer):
            assert (response.headers.get("access-control-allow-origin") == origin) is allowed
        assert ask(deployment, _PLAIN, Origin=origin).status_code == (200 if allowed else 403)


def test_what_cannot_be_carried_or_told_is_named(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    _answer_plainly(upstream)
    response = ask(deployment, _with(top_p=0.5, tools=[{"type": "function"}]))
    dropped = response.headers["x-tollgate-dropped"].split(", ")
    assert {"top_p", "tools"} <= set(dropped)
    (row,) = deployment.rows(1, request_id=response.headers["x-request-id"])
    assert row["dropped"] == dropped


# ------------------------------------------------------------------------------------------------ the way of all calls
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_another_provider_answers_where_the_first_one_fails(place: tuple[Deployment, Upstream], stream: bool) -> None:
    """The answer names it, and its account is of the attempt that answered."""
    deployment, upstream = place
    interaction = written("anthropic-messages-stream" if stream else "anthropic-messages")
    expected = said(interaction)
    upstream.forget()
    upstream.on("/v1/chat/completions", error(503, {"error": {"message": "away"}}, {"retry-after-ms": "1"}))
    upstream.on("/v1/messages", answer_of(interaction))
    response = ask(deployment, _with(model="both", stream=stream))
    answer = events(response.text)[-1] if stream else exactly(response.text)
    assert (answer["model"], answer["provider"]) == ("both", "anthropic")
    assert answer["usage"]["completion_tokens"] == expected.completion
    last, *failed = deployment.rows(4, request_id=response.headers["x-request-id"])
    assert (last["kind"], last["provider"]) == ("final", "anthropic")
    assert {(row["kind"], row["provider"], row["cost"]) for row in failed} == {("attempt", "openai", 0)}
    assert abs(answer["cost"]["total_cost"] - Decimal(str(last["cost"]))) <= _MICRO


def test_a_stream_that_is_left_is_billed_whole(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    interaction = written("openai-chat-stream")
    gate = Gate()
    upstream.forget()
    upstream.on("/v1/chat/completions", replace(answer_of(interaction), length=False, gates={4: gate}))
    body = _with(stream=True, session_id="left early")
    with httpx.stream("POST", deployment.url + CHAT, json=body, timeout=30) as response:
        assert json.loads(next(response.iter_lines()).removeprefix("data: "))["type"] == "delta"
    gate.open()
    upstream.wait(finished=1)
    (row,) = deployment.rows(1, session_id="left early")
    assert (row["kind"], row["estimated"]) == ("final", False)
    assert row["completion_tokens"] == said(interaction).completion
