"""The any-llm gateway's HTTP contract, route by route: its clients, scripts and guides work unchanged.

What is done otherwise on purpose is in `test_anyllm_deviations.py`, its real clients in `test_anyllm_clients.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.deployment import Deployment, until
from tests.e2e.anyllm import CHAT, HELLO, MESSAGES, TO_CLAUDE, answer, call, fresh, said
from tests.replay import Upstream


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with Upstream() as upstream, Deployment(tmp_path_factory.mktemp("conformance"), upstream.url) as deployment:
        answer(upstream)
        yield deployment


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
        for path, body in ((CHAT, HELLO), ("/v1/embeddings", {"model": "x", "input": "hi"})):
            assert said(call(place, "POST", path, body, None, **headers)) == (401, detail)
        for path in ("/v1/models", "/v1/models/openai:gpt-4o-mini"):
            assert said(call(place, "GET", path, None, None, **headers)) == (401, detail)

    @pytest.mark.parametrize(
        "route",
        [
            *[f"{method} /v1/{what}" for what in ("keys", "users", "budgets") for method in ("POST", "GET")],
            *[
                f"{method} /v1/{what}/x"
                for what in ("keys", "users", "budgets")
                for method in ("GET", "PATCH", "DELETE")
            ],
            "GET /v1/users/x/usage",
            "POST /v1/pricing",
            "DELETE /v1/pricing/openai:x",
        ],
    )
    def test_management_is_for_the_master_key(self, place: Deployment, route: str) -> None:
        method, path = route.split()
        missing = "Missing X-AnyLLM-Key or Authorization header"
        assert said(call(place, method, path, {}, place.key)) == (401, "Invalid master key")
        assert said(call(place, method, path, {}, "sk-wrong")) == (401, "Invalid master key")
        assert said(call(place, method, path, {}, None)) == (401, missing)
        wrong = {"Authorization": "Token x"}
        assert said(call(place, method, path, {}, None, **wrong)) == (
            401,
            "Invalid header format. Expected 'Bearer <token>'",
        )

    @pytest.mark.parametrize("path", ["/health", "/health/liveness", "/health/readiness", "/docs", "/redoc", "/"])
    def test_some_routes_need_none(self, place: Deployment, path: str) -> None:
        response = httpx.get(place.url + path)
        assert response.status_code == (307 if path == "/" else 200)  # the page is on a port of its own

    def test_no_challenge_is_sent(self, place: Deployment) -> None:
        assert "www-authenticate" not in call(place, "POST", CHAT, HELLO, None).headers

    def test_an_expired_key(self, place: Deployment) -> None:
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        key = call(place, "POST", "/v1/keys", {"expires_at": past}).json()["key"]
        assert said(call(place, "POST", CHAT, HELLO, key)) == (401, "API key has expired")

    def test_every_failure_is_counted_by_its_reason(self, place: Deployment) -> None:
        call(place, "GET", "/v1/models", key=None)
        call(place, "GET", "/v1/models", key="sk-1")
        call(place, "GET", "/v1/models", key="gw-" + "b" * 64)
        text = call(place, "GET", "/metrics", key=None).text
        for reason in ("missing_credentials", "invalid_format", "invalid_key"):
            assert f'gateway_auth_failures_total{{reason="{reason}"}}' in text

    def test_its_own_header_comes_first(self, place: Deployment) -> None:
        headers = {"X-AnyLLM-Key": f"Bearer {place.key}", "Authorization": "Bearer wrong", "x-api-key": "wrong"}
        assert call(place, "POST", CHAT, HELLO, None, **headers).status_code == 200
        headers = {"Authorization": f"Bearer {place.key}", "x-api-key": "wrong"}
        assert call(place, "POST", CHAT, HELLO, None, **headers).status_code == 200
        assert call(place, "POST", CHAT, HELLO, None, **{"x-api-key": place.key}).status_code == 200


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

    @pytest.mark.parametrize("name", ["openai/gpt-4o-mini", "OpenAI:gpt-4o-mini"])
    def test_a_model_may_be_written_so_too(self, place: Deployment, name: str) -> None:
        assert call(place, "POST", CHAT, {**HELLO, "model": name}, place.key).json()["model"] == "gpt-4o-mini"

    def test_an_unknown_model_is_not_listed(self, place: Deployment) -> None:
        assert said(call(place, "GET", "/v1/models/nobody:none", key=place.key)) == (
            404,
            "Model 'nobody:none' not found",
        )

    def test_messages(self, place: Deployment) -> None:
        told = call(place, "POST", MESSAGES, TO_CLAUDE, place.key).json()
        assert (told["type"], told["role"], told["content"]) == (
            "message",
            "assistant",
            [{"type": "text", "text": "hello"}],
        )
        streamed = call(place, "POST", MESSAGES, {**TO_CLAUDE, "stream": True}, place.key)
        assert streamed.headers["content-type"].startswith("text/event-stream")
        names = [line.removeprefix("event: ") for line in streamed.text.splitlines() if line.startswith("event: ")]
        assert (names[0], names[-1]) == ("message_start", "message_stop")
        translated = call(place, "POST", MESSAGES, {**TO_CLAUDE, "model": "openai:gpt-4o-mini"}, place.key).json()
        assert (translated["type"], translated["content"][0]["text"]) == ("message", "hello")
        assert translated["usage"]["input_tokens"] == 1000

    def test_messages_with_the_master_key_name_their_user(self, place: Deployment) -> None:
        needed = "When using master key, 'metadata.user_id' is required in request body"
        response = call(place, "POST", MESSAGES, TO_CLAUDE)
        assert (response.status_code, response.json()["type"]) == (400, "error")
        assert response.json()["error"] == {"type": "invalid_request_error", "message": needed}
        user = fresh("claude-user")
        call(place, "POST", "/v1/users", {"user_id": user})
        assert call(place, "POST", MESSAGES, {**TO_CLAUDE, "metadata": {"user_id": user}}).status_code == 200
        (row,) = place.rows(1, user_id=user)
        assert (row["endpoint"], row["provider"], row["api_key_id"]) == (MESSAGES, "anthropic", None)

    def test_embeddings(self, place: Deployment) -> None:
        body = {"model": "openai:text-embedding-3-small", "input": ["hi", "there"], "dimensions": 1}
        told = call(place, "POST", "/v1/embeddings", body, place.key).json()
        assert (told["object"], told["data"][0]["embedding"]) == ("list", [0.5])
        assert told["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
        needed = "When using master key, 'user' field is required in request body"
        assert said(call(place, "POST", "/v1/embeddings", body)) == (400, needed)

    def test_a_limit_and_its_headers(self, place: Deployment) -> None:
        key = call(place, "POST", "/v1/keys", {"limits": {"requests_per_minute": 2}}).json()["key"]
        streamed = call(place, "POST", CHAT, {**HELLO, "model": "openai:gpt-4o-stream", "stream": True}, key)
        found = [streamed, call(place, "POST", CHAT, HELLO, key)]
        assert [each.headers["x-ratelimit-limit"] for each in found] == ["2", "2"]
        assert [each.headers["x-ratelimit-remaining"] for each in found] == ["1", "0"]
        resets = int(found[0].headers["x-ratelimit-reset"])
        assert 0 < resets - datetime.now(UTC).timestamp() <= 61
        refused = call(place, "POST", CHAT, HELLO, key)
        assert said(refused) == (429, "Rate limit exceeded")
        assert 55 <= int(refused.headers["retry-after"]) <= 61

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
        made = call(place, "POST", "/v1/keys", {"user_id": user}).json()
        assert made["user_id"] == user
        assert call(place, "GET", f"/v1/users/{user}").json()["alias"] == f"User {user}"
        unnamed = call(place, "POST", "/v1/keys", {}).json()
        alias = call(place, "GET", f"/v1/users/{unnamed['user_id']}").json()["alias"]
        assert alias == "Virtual user for API key: unnamed"

    def test_it_is_told_once(self, place: Deployment) -> None:
        key = call(place, "POST", "/v1/keys", {}).json()
        assert len(key["key"]) == 67
        assert key["key"] not in call(place, "GET", f"/v1/keys/{key['id']}").text
        assert key["key"] not in call(place, "GET", "/v1/keys?limit=1000").text

    def test_what_a_patch_changes(self, place: Deployment) -> None:
        made = call(place, "POST", "/v1/keys", {"key_name": "a", "metadata": {"b": 1}}).json()
        ends = "2030-01-02T03:04:05+00:00"
        body = {"key_name": "c", "expires_at": ends, "metadata": {"d": 2}, "user_id": "somebody-else"}
        changed = call(place, "PATCH", f"/v1/keys/{made['id']}", body).json()
        assert [changed[name] for name in ("key_name", "metadata", "user_id")] == ["c", {"d": 2}, made["user_id"]]
        assert datetime.fromisoformat(changed["expires_at"]) == datetime.fromisoformat(ends)
        assert said(call(place, "PATCH", "/v1/keys/none", {})) == (404, "API key with id 'none' not found")

    def test_deleting_it_keeps_its_usage(self, place: Deployment) -> None:
        made = call(place, "POST", "/v1/keys", {}).json()
        call(place, "POST", CHAT, HELLO, made["key"])
        place.rows(1, user_id=made["user_id"])
        assert call(place, "DELETE", f"/v1/keys/{made['id']}").status_code == 204
        assert len(call(place, "GET", f"/v1/users/{made['user_id']}/usage").json()) == 1

    def test_a_deleted_user_gets_no_new_one(self, place: Deployment) -> None:
        user = fresh("deleted")
        call(place, "POST", "/v1/users", {"user_id": user})
        call(place, "DELETE", f"/v1/users/{user}")
        told = f"User '{user}' has been deleted. Recreate via POST /v1/users first."
        assert said(call(place, "POST", "/v1/keys", {"user_id": user})) == (404, told)


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/users", "/v1/budgets", "/v1/pricing", "/v1/users/x/usage"])
@pytest.mark.parametrize("query", ["skip=-1", "limit=0", "limit=1001", "skip=x"])
def test_lists_are_paged(place: Deployment, path: str, query: str) -> None:
    response = call(place, "GET", f"{path}?{query}")
    assert response.status_code == 422
    (item,) = response.json()["detail"]
    assert item["loc"] == ["query", query.partition("=")[0]]
    assert item["type"]
    assert item["msg"]


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

    def test_a_patch_of_a_user(self, place: Deployment) -> None:
        name = fresh("patched")
        call(place, "POST", "/v1/users", {"user_id": name, "alias": "A"})
        changed = call(place, "PATCH", f"/v1/users/{name}", {"blocked": True, "metadata": {"a": 1}}).json()
        assert [changed[field] for field in ("alias", "blocked", "metadata")] == ["A", True, {"a": 1}]
        nothing = call(place, "PATCH", f"/v1/users/{name}", {"budget_id": "b"})
        assert said(nothing) == (404, "Budget with id 'b' not found")
        assert name in [each["user_id"] for each in call(place, "GET", "/v1/users?limit=1000").json()]

    def test_a_deleted_user_is_hidden_and_lives_again_as_new(self, place: Deployment) -> None:
        name = fresh("revived")
        first = call(place, "POST", "/v1/users", {"user_id": name, "alias": "A", "blocked": True}).json()
        key = call(place, "POST", "/v1/keys", {"user_id": name}).json()["key"]
        assert call(place, "DELETE", f"/v1/users/{name}").status_code == 204
        assert name not in [each["user_id"] for each in call(place, "GET", "/v1/users?limit=1000").json()]
        assert said(call(place, "POST", CHAT, {**HELLO, "user": name})) == (404, f"User '{name}' not found")
        assert said(call(place, "POST", CHAT, HELLO, key)) == (401, "API key is inactive")
        again = call(place, "POST", "/v1/users", {"user_id": name}).json()
        assert [again[field] for field in ("alias", "blocked", "spend")] == [None, False, 0]
        assert again["created_at"] == first["created_at"]
        assert said(call(place, "POST", CHAT, HELLO, key)) == (401, "API key is inactive")

    def test_a_failed_call_is_a_row_and_a_refused_one_is_not(self, place: Deployment) -> None:
        name = fresh("failing")
        key = call(place, "POST", "/v1/keys", {"user_id": name}).json()["key"]
        failed = call(place, "POST", CHAT, {**HELLO, "model": "solar:solar-pro3"}, key)  # nobody answers for it
        assert failed.status_code == 404
        call(place, "PATCH", f"/v1/users/{name}", {"blocked": True})
        assert call(place, "POST", CHAT, HELLO, key).status_code == 403
        (row,) = place.rows(1, user_id=name)
        assert (row["status"], row["prompt_tokens"], row["provider"]) == ("error", 0, "solar")
        assert row["error_message"]

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

    def test_a_used_up_budget_lets_free_models_through(self, place: Deployment) -> None:
        name = fresh("spent")
        budget = call(place, "POST", "/v1/budgets", {"max_budget": 0}).json()["budget_id"]
        call(place, "POST", "/v1/users", {"user_id": name, "budget_id": budget})
        for path, body in ((CHAT, HELLO), ("/v1/embeddings", {"model": "openai:text-embedding-3-small", "input": "x"})):
            refused = call(place, "POST", path, {**body, "user": name})
            assert said(refused) == (403, f"User '{name}' has exceeded budget limit")
        free = {"model_key": "openai:free-of-charge", "input_price_per_million": 0, "output_price_per_million": 0}
        call(place, "POST", "/v1/pricing", free)
        body = {**HELLO, "model": "openai:free-of-charge", "user": name}
        assert call(place, "POST", CHAT, body).status_code == 200
        assert call(place, "DELETE", f"/v1/budgets/{budget}").status_code == 204
        assert call(place, "GET", f"/v1/users/{name}").json()["budget_id"] is None
        assert call(place, "POST", CHAT, {**HELLO, "user": name}).status_code == 200

    def test_a_budget_without_an_amount_only_watches(self, place: Deployment) -> None:
        name = fresh("watched")
        budget = call(place, "POST", "/v1/budgets", {"max_budget": None, "budget_duration_sec": None}).json()
        assert (budget["max_budget"], budget["budget_duration_sec"]) == (None, None)
        user = call(place, "POST", "/v1/users", {"user_id": name, "budget_id": budget["budget_id"]}).json()
        assert datetime.fromisoformat(user["budget_started_at"]) <= datetime.now(UTC)
        assert user["next_budget_reset_at"] is None
        assert call(place, "POST", CHAT, {**HELLO, "user": name}).status_code == 200
        place.rows(1, user_id=name)
        assert call(place, "GET", f"/v1/users/{name}").json()["spend"] == 0.00021

    def test_a_period_rolls_and_a_new_duration_waits_for_its_end(self, place: Deployment) -> None:
        name = fresh("rolling")
        made = call(place, "POST", "/v1/budgets", {"max_budget": 0.0002, "budget_duration_sec": 3}).json()
        user = call(place, "POST", "/v1/users", {"user_id": name, "budget_id": made["budget_id"]}).json()
        started, ends = (datetime.fromisoformat(user[at]) for at in ("budget_started_at", "next_budget_reset_at"))
        assert ends - started == timedelta(seconds=3)
        call(place, "PATCH", f"/v1/budgets/{made['budget_id']}", {"budget_duration_sec": 1000})
        assert call(place, "GET", f"/v1/users/{name}").json()["next_budget_reset_at"] == user["next_budget_reset_at"]
        assert call(place, "POST", CHAT, {**HELLO, "user": name}).status_code == 200
        place.rows(1, user_id=name)
        assert said(call(place, "POST", CHAT, {**HELLO, "user": name}))[0] in (403, 200)  # 200: it has rolled already
        until(lambda: call(place, "POST", CHAT, {**HELLO, "user": name}).status_code == 200, "the period rolls", 10)
        now = until(
            lambda: (
                (
                    found := call(place, "GET", f"/v1/users/{name}").json(),
                    found["budget_started_at"] == user["next_budget_reset_at"],
                )[1]
                and found
            ),
            "the new period shows",
        )
        assert datetime.fromisoformat(now["next_budget_reset_at"]) - ends == timedelta(seconds=1000)

    def test_taking_up_a_budget_again_begins_its_period_and_keeps_the_spend(self, place: Deployment) -> None:
        name = fresh("again")
        budget = call(place, "POST", "/v1/budgets", {"max_budget": 1, "budget_duration_sec": 600}).json()["budget_id"]
        first = call(place, "POST", "/v1/users", {"user_id": name, "budget_id": budget}).json()
        call(place, "POST", CHAT, {**HELLO, "user": name})
        place.rows(1, user_id=name)
        second = call(place, "PATCH", f"/v1/users/{name}", {"budget_id": budget}).json()
        assert second["budget_started_at"] > first["budget_started_at"]
        assert second["spend"] == 0.00021


class TestPricing:
    def test_a_price_is_put_in_place_of_the_former(self, place: Deployment) -> None:
        body = {"model_key": "openai:repriced", "input_price_per_million": 1, "output_price_per_million": 2}
        call(place, "POST", "/v1/pricing", body)
        assert call(place, "POST", "/v1/pricing", {**body, "input_price_per_million": 3}).status_code == 200
        found = [
            row
            for row in call(place, "GET", "/v1/pricing?limit=1000", key=place.key).json()
            if row["model_key"] == "openai:repriced"
        ]
        assert [row["input_price_per_million"] for row in found] == [3]
        call(place, "POST", CHAT, {**HELLO, "model": "openai:repriced", "user": "nobody"}, place.key)

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

    def test_metrics_have_their_names(self, place: Deployment) -> None:
        call(place, "POST", CHAT, HELLO, place.key)
        response = call(place, "GET", "/metrics", key=None)
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        for name in (
            "gateway_requests_total{",
            "gateway_request_duration_seconds_count{",
            "gateway_active_requests ",
            'gateway_tokens_total{model="gpt-4o-mini",provider="openai",type="input"}',
            'gateway_tokens_total{model="gpt-4o-mini",provider="openai",type="output"}',
            'gateway_request_cost_dollars_count{model="gpt-4o-mini",provider="openai"}',
            "# TYPE gateway_rate_limit_hits_total counter",
            "# TYPE gateway_budget_exceeded_total counter",
        ):
            assert name in response.text, name
        assert f'endpoint="{CHAT}",method="POST",status="200"' in response.text

    def test_openapi(self, place: Deployment) -> None:
        described = call(place, "GET", "/openapi.json", key=None).json()
        assert described["openapi"].startswith("3.1")
        assert {"/v1/keys", "/v1/users", "/v1/budgets", "/v1/pricing", CHAT, MESSAGES} <= set(described["paths"])

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
        health = call(place, "GET", "/health", key=None).headers
        assert health["x-content-type-options"] == "nosniff"
        assert "cache-control" not in health

    def test_times_are_utc_and_say_so(self, place: Deployment) -> None:
        for made in (call(place, "POST", "/v1/keys", {}), call(place, "POST", "/v1/budgets", {})):
            at = datetime.fromisoformat(made.json()["created_at"])
            assert at.utcoffset() == timedelta(0)
            assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
