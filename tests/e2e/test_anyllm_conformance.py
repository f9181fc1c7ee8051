"""The any-llm gateway's HTTP contract, route by route: its clients, scripts and guides work unchanged.

What it did wrong is not kept: see the tests of deviations at the end.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deployment import MASTER_KEY, Deployment
from tests.replay import Answer, Upstream

CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}'
)
CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    b'{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}\n\n'
)
USAGE = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n'
)
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}
CLIENTS = Path(__file__).resolve().parents[2] / ".venv-clients" / "bin" / "python"


@pytest.fixture(scope="module")
def upstream_server() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.on(CHAT, Answer(headers=JSON, pieces=(ANSWER,)))
        upstream.on(CHAT, Answer(headers=SSE, pieces=(CHUNK, USAGE, b"data: [DONE]\n\n")), model="gpt-4o-stream")
        upstream.on(
            CHAT, Answer(headers=SSE, pieces=(CHUNK, b'data: {"error":{"message":"x"}}\n\n')), model="gpt-4o-broken"
        )
        yield upstream


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, upstream_server: Upstream) -> Iterator[Deployment]:
    with Deployment(tmp_path_factory.mktemp("conformance"), upstream_server.url) as deployment:
        yield deployment


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


class TestCredentials:
    @pytest.mark.parametrize(
        ("headers", "detail"),
        [
            ({}, "Missing X-AnyLLM-Key or Authorization header"),
            ({"Authorization": "Token x"}, "Invalid header format. Expected 'Bearer <token>'"),
            ({"X-AnyLLM-Key": "Bearer sk-1"}, "Invalid API key format: API key must start with 'gw-' prefix"),
            (
                {"X-AnyLLM-Key": "Bearer gw-1"},
                "Invalid API key format: API key is too short. Expected at least 50 characters, got 4",
            ),
            (
                {"Authorization": "Bearer gw-" + "!" * 64},
                "Invalid API key format: API key contains invalid characters. Must match pattern: gw-[A-Za-z0-9_-]+",
            ),
            ({"x-api-key": "gw-" + "a" * 64}, "Invalid API key"),
        ],
    )
    def test_model_routes_say_what_is_wrong(self, place: Deployment, headers: dict[str, str], detail: str) -> None:
        assert said(call(place, "POST", CHAT, HELLO, None, **headers)) == (401, detail)
        assert said(call(place, "GET", "/v1/models", None, None, **headers)) == (401, detail)

    @pytest.mark.parametrize("path", ["/v1/keys", "/v1/users", "/v1/budgets", "/v1/pricing"])
    def test_management_is_for_the_master_key(self, place: Deployment, path: str) -> None:
        assert said(call(place, "POST", path, {}, place.key)) == (401, "Invalid master key")
        assert said(call(place, "POST", path, {}, None)) == (401, "Missing X-AnyLLM-Key or Authorization header")

    def test_its_own_header_comes_first(self, place: Deployment) -> None:
        headers = {"X-AnyLLM-Key": f"Bearer {place.key}", "Authorization": "Bearer wrong"}
        assert call(place, "POST", CHAT, HELLO, None, **headers).status_code == 200


class TestModelCalls:
    def test_key_then_chat(self, place: Deployment) -> None:
        made = call(place, "POST", "/v1/keys", {"key_name": "guide"})
        assert made.status_code == 200
        answer = call(place, "POST", CHAT, HELLO, made.json()["key"])
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"] == "hello"
        assert answer.json()["usage"]["total_tokens"] == 1100

    def test_the_master_key_needs_a_user_that_is_there(self, place: Deployment) -> None:
        needed = "When using master key, 'user' field is required in request body"
        assert said(call(place, "POST", CHAT, HELLO)) == (400, needed)
        assert said(call(place, "POST", CHAT, {**HELLO, "user": "nobody"})) == (404, "User 'nobody' not found")
        user = fresh("billed")
        call(place, "POST", "/v1/users", {"user_id": user})
        assert call(place, "POST", CHAT, {**HELLO, "user": user}).status_code == 200
        call(place, "PATCH", f"/v1/users/{user}", {"blocked": True})
        assert said(call(place, "POST", CHAT, {**HELLO, "user": user})) == (403, f"User '{user}' is blocked")

    def test_models(self, place: Deployment) -> None:
        listed = call(place, "GET", "/v1/models", key=place.key).json()
        assert listed["object"] == "list"
        assert {"id", "object", "created", "owned_by"} <= set(listed["data"][0])
        one = call(place, "GET", "/v1/models/openai:gpt-4o-mini").json()
        assert (one["id"], one["object"], one["owned_by"]) == ("openai:gpt-4o-mini", "model", "openai")
        assert call(place, "GET", "/v1/models/nobody:none").status_code == 404

    def test_a_stream_ends_as_openai_ends_it(self, place: Deployment) -> None:
        text = call(place, "POST", CHAT, {**HELLO, "model": "openai:gpt-4o-stream", "stream": True}, place.key).text
        assert text.rstrip().endswith("data: [DONE]")


class TestKeys:
    def test_create_list_get_patch_delete(self, place: Deployment) -> None:
        made = call(place, "POST", "/v1/keys", {"key_name": "n", "metadata": {"a": 1}}).json()
        shown = {"id", "key", "key_name", "user_id", "created_at", "expires_at", "is_active", "metadata"}
        assert shown <= set(made)
        assert "last_used_at" not in made
        assert made["user_id"] == f"apikey-{made['id']}"
        assert datetime.fromisoformat(made["created_at"]).tzinfo is not None
        user = call(place, "GET", f"/v1/users/{made['user_id']}").json()
        assert user["alias"] == "Virtual user for API key: n"
        info = call(place, "GET", f"/v1/keys/{made['id']}").json()
        assert (shown - {"key"}) | {"last_used_at"} <= set(info)
        assert made["id"] in [each["id"] for each in call(place, "GET", "/v1/keys?skip=0&limit=1000").json()]
        assert call(place, "PATCH", f"/v1/keys/{made['id']}", {"is_active": False}).json()["is_active"] is False
        assert said(call(place, "POST", CHAT, HELLO, made["key"])) == (401, "API key is inactive")
        deleted = call(place, "DELETE", f"/v1/keys/{made['id']}")
        assert (deleted.status_code, deleted.text) == (204, "")
        gone = (404, f"API key with id '{made['id']}' not found")
        assert said(call(place, "GET", f"/v1/keys/{made['id']}")) == gone
        assert said(call(place, "DELETE", f"/v1/keys/{made['id']}")) == gone

    def test_its_user_is_made_when_unknown(self, place: Deployment) -> None:
        user = fresh("made")
        call(place, "POST", "/v1/keys", {"user_id": user})
        assert call(place, "GET", f"/v1/users/{user}").json()["alias"] == f"User {user}"


class TestUsersAndBudgets:
    def test_user(self, place: Deployment) -> None:
        name = fresh("user")
        made = call(place, "POST", "/v1/users", {"user_id": name, "alias": "A"}).json()
        shown = {"user_id", "alias", "spend", "budget_id", "budget_started_at", "next_budget_reset_at", "blocked"}
        assert shown | {"created_at", "updated_at", "metadata"} <= set(made)
        exists = (409, f"User with id '{name}' already exists")
        assert said(call(place, "POST", "/v1/users", {"user_id": name})) == exists
        assert said(call(place, "POST", "/v1/users", {"user_id": fresh("x"), "budget_id": "b"})) == (
            404,
            "Budget with id 'b' not found",
        )
        assert call(place, "DELETE", f"/v1/users/{name}").status_code == 204
        gone = (404, f"User with id '{name}' not found")
        for method in ("GET", "DELETE"):
            assert said(call(place, method, f"/v1/users/{name}")) == gone
        assert said(call(place, "PATCH", f"/v1/users/{name}", {"alias": "B"})) == gone
        assert call(place, "GET", f"/v1/users/{name}/usage").json() == []

    def test_usage_rows(self, place: Deployment) -> None:
        name = fresh("usage")
        call(place, "POST", "/v1/users", {"user_id": name})
        call(place, "POST", CHAT, {**HELLO, "user": name})
        place.rows(1, user_id=name)
        (row,) = call(place, "GET", f"/v1/users/{name}/usage").json()
        assert row["id"]
        assert row["timestamp"]
        told = ("user_id", "api_key_id", "model", "provider", "endpoint", "status", "error_message")
        assert [row[field] for field in told] == [name, None, "gpt-4o-mini", "openai", CHAT, "success", None]
        assert [row[f"{kind}_tokens"] for kind in ("prompt", "completion", "total")] == [1000, 100, 1100]
        assert row["cost"] == 0.00021

    def test_budget(self, place: Deployment) -> None:
        made = call(place, "POST", "/v1/budgets", {"max_budget": 10.0, "budget_duration_sec": 86400}).json()
        assert {"budget_id", "max_budget", "budget_duration_sec", "created_at", "updated_at"} <= set(made)
        path = f"/v1/budgets/{made['budget_id']}"
        assert call(place, "GET", path).json() == made
        assert call(place, "PATCH", path, {"max_budget": 20}).json()["max_budget"] == 20
        assert made["budget_id"] in [each["budget_id"] for each in call(place, "GET", "/v1/budgets?limit=1000").json()]
        for wrong in ({"max_budget": -1}, {"budget_duration_sec": 0}):
            assert call(place, "POST", "/v1/budgets", wrong).status_code == 422
        assert call(place, "DELETE", path).status_code == 204
        gone = (404, f"Budget with id '{made['budget_id']}' not found")
        assert said(call(place, "GET", path)) == gone
        assert said(call(place, "PATCH", path, {})) == gone
        assert said(call(place, "DELETE", path)) == gone


class TestPricing:
    def test_price(self, place: Deployment) -> None:
        body = {"model_key": "openai/priced", "input_price_per_million": 1.5, "output_price_per_million": 2}
        made = call(place, "POST", "/v1/pricing", body).json()
        assert (made["model_key"], made["input_price_per_million"]) == ("openai:priced", 1.5)
        assert {"output_price_per_million", "created_at", "updated_at"} <= set(made)
        assert call(place, "GET", "/v1/pricing/openai:priced", key=place.key).json() == made
        assert made in call(place, "GET", "/v1/pricing?limit=1000", key=place.key).json()
        assert call(place, "DELETE", "/v1/pricing/openai:priced").status_code == 204
        gone = (404, "Pricing for model 'openai:priced' not found")
        for method in ("GET", "DELETE"):
            assert said(call(place, method, "/v1/pricing/openai:priced")) == gone


class TestTheRest:
    def test_health(self, place: Deployment) -> None:
        assert call(place, "GET", "/health", key=None).json()["status"] == "healthy"
        assert call(place, "GET", "/health/liveness", key=None).json() == "I'm alive!"
        ready = call(place, "GET", "/health/readiness", key=None).json()
        assert (ready["status"], ready["database"]) == ("healthy", "connected")
        assert ready["version"]

    def test_errors_of_the_router(self, place: Deployment) -> None:
        assert said(call(place, "GET", "/v1/nothing")) == (404, "Not Found")
        assert said(call(place, "PUT", "/v1/keys")) == (405, "Method Not Allowed")

    def test_headers_of_every_answer(self, place: Deployment) -> None:
        headers = call(place, "GET", "/v1/models").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert headers["cache-control"] == "private, no-store, no-cache"
        assert headers["vary"] == "Authorization"


class TestDeviations:
    """What is done otherwise, on purpose."""

    @pytest.mark.parametrize("header", ["X-AnyLLM-Key", "AnyLLM-Key", "Otari-Key"])
    def test_own_headers_take_a_raw_key(self, place: Deployment, header: str) -> None:
        assert call(place, "GET", "/v1/models", None, None, **{header: place.key}).status_code == 200

    def test_the_price_list_needs_a_key(self, place: Deployment) -> None:
        assert call(place, "GET", "/v1/pricing", key=None).status_code == 401

    def test_nobody_is_billed_with_anothers_key(self, place: Deployment) -> None:
        name = fresh("victim")
        call(place, "POST", "/v1/users", {"user_id": name})
        assert call(place, "POST", CHAT, {**HELLO, "user": name}, place.key).status_code == 403
        assert call(place, "POST", CHAT, {**HELLO, "user": fresh("tag")}, place.key).status_code == 200

    def test_a_model_that_is_not_there_is_404(self, place: Deployment) -> None:
        assert call(place, "POST", CHAT, {**HELLO, "model": "nonsense"}, place.key).status_code == 404

    def test_the_usage_chunk_comes_when_asked_for(self, place: Deployment) -> None:
        body = {**HELLO, "model": "openai:gpt-4o-stream", "stream": True}
        assert '"usage":{' not in call(place, "POST", CHAT, body, place.key).text
        asked = {**body, "stream_options": {"include_usage": True}}
        assert '"usage":{' in call(place, "POST", CHAT, asked, place.key).text

    def test_no_done_after_an_error(self, place: Deployment) -> None:
        body = {**HELLO, "model": "openai:gpt-4o-broken", "stream": True}
        text = call(place, "POST", CHAT, body, place.key).text
        assert '"error"' in text
        assert "[DONE]" not in text

    def test_unknown_chat_fields_reach_the_upstream(self, place: Deployment, upstream_server: Upstream) -> None:
        call(place, "POST", CHAT, {**HELLO, "seed": 7, "brand_new": {"a": 1}}, place.key)
        sent = json.loads(upstream_server.calls[-1].body)
        assert (sent["seed"], sent["brand_new"]) == (7, {"a": 1})

    def test_null_clears_a_field(self, place: Deployment) -> None:
        made = call(place, "POST", "/v1/keys", {"expires_at": "2030-01-01T00:00:00Z"}).json()
        assert call(place, "PATCH", f"/v1/keys/{made['id']}", {"expires_at": None}).json()["expires_at"] is None

    def test_config_prices_stay_in_the_config(self, tmp_path: Path, upstream_server: Upstream) -> None:
        price = {"input_price_per_million": 7, "output_price_per_million": 8}
        config = {"pricing": {"openai:gpt-4o-mini": price}}
        with Deployment(tmp_path, upstream_server.url, config=config) as place:
            path = "/v1/pricing/openai:gpt-4o-mini"
            found = call(place, "GET", path).json()
            assert (found["input_price_per_million"], found["source"]) == (7, "config")
            assert call(place, "GET", f"{path}/history").json() == []
            assert call(place, "DELETE", path).status_code == 404


_PROGRAM = """
import sys
from any_llm import completion
answer = completion(model=sys.argv[1], messages=[{"role": "user", "content": "hi"}], api_base=sys.argv[2],
                    api_key=sys.argv[3], provider=sys.argv[4])
print(answer.choices[0].message.content)
"""


def _runs(program: str) -> bool:
    done = subprocess.run([CLIENTS, "-c", program], capture_output=True, timeout=60, check=False)
    return done.returncode == 0


def test_the_real_client(place: Deployment) -> None:
    """any-llm-sdk's own gateway provider, whichever of its names the installed version has."""
    if not CLIENTS.exists():
        pytest.skip("no .venv-clients: scripts/setup-clients makes it")
    names = [name for name in ("gateway", "otari") if _runs(f"import any_llm.providers.{name}")]
    if not _runs("import otari"):  # what the provider of that name stands on
        names = [name for name in names if name != "otari"]
    if not names:
        pytest.skip("the clients' environment has no any-llm-sdk[otari], nor one from when the provider was `gateway`")
    for name in names:
        arguments = ["openai:gpt-4o-mini", f"{place.url}/v1", place.key, name]
        done = subprocess.run(
            [CLIENTS, "-c", _PROGRAM, *arguments], capture_output=True, text=True, timeout=100, check=False
        )
        assert done.stdout.strip() == "hello", done.stderr[-2000:]


@pytest.mark.parametrize("command", ["keys", "chat"])
def test_lines_of_its_guides(place: Deployment, command: str) -> None:
    """curl, spelled as in the guides."""
    lines = {
        "keys": f"""curl -s -X POST {place.url}/v1/keys -H "X-AnyLLM-Key: Bearer {MASTER_KEY}" \
            -H "Content-Type: application/json" -d '{{"key_name": "curl"}}'""",
        "chat": f"""curl -s -X POST {place.url}{CHAT} -H "X-AnyLLM-Key: Bearer {place.key}" \
            -H "Content-Type: application/json" -d '{json.dumps(HELLO)}'""",
    }
    done = subprocess.run(["sh", "-c", lines[command]], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 127:
        pytest.skip("no curl here")
    answer = json.loads(done.stdout)
    assert "key" in answer if command == "keys" else answer["choices"]
