"""The management API as its callers see it: keys, users, budgets, prices, the audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from gateway.accounts.credentials import hash_key
from tests.deployment import MASTER_KEY, Deployment, until
from tests.replay import Answer, Upstream

CHAT = "/v1/chat/completions"
HELLO = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}'
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with Upstream() as upstream, Deployment(tmp_path_factory.mktemp("management"), upstream.url) as deployment:
        upstream.on("/v1/chat/completions", Answer(headers={"content-type": "application/json"}, pieces=(ANSWER,)))
        yield deployment


def manage(place: Deployment, method: str, path: str, body: Any = None, **params: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {MASTER_KEY}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body)  # escapes what UTF-8 cannot say
    return httpx.request(method, place.url + path, content=content, params=params, headers=headers, timeout=30)


def made(place: Deployment, path: str, body: Any) -> dict[str, Any]:
    response = manage(place, "POST", path, body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


class TestKeys:
    def test_a_new_key_shows_itself_once(self, place: Deployment) -> None:
        key = made(place, "/v1/keys", {"key_name": "mine", "user_id": "ann", "tags": {"team": "red"}})
        assert key["key"].startswith("gw-")
        assert len(key["key"]) == 67
        assert (key["key_name"], key["user_id"], key["is_active"]) == ("mine", "ann", True)
        got = manage(place, "GET", f"/v1/keys/{key['id']}").json()
        assert "key" not in got
        assert got["key_prefix"] == key["key"][:8]
        assert got["tags"] == {"team": "red"}
        assert key["key"] not in manage(place, "GET", "/v1/keys", limit=1000).text

    def test_a_key_without_a_user_gets_one_of_its_own(self, place: Deployment) -> None:
        key = made(place, "/v1/keys", {})
        assert key["user_id"] == f"apikey-{key['id']}"

    def test_lists_are_paged(self, place: Deployment) -> None:
        for _ in range(3):
            made(place, "/v1/keys", {})
        every = manage(place, "GET", "/v1/keys", limit=1000).json()
        assert manage(place, "GET", "/v1/keys", skip=1, limit=2).json() == every[1:3]
        for wrong in ({"limit": 0}, {"limit": 1001}, {"skip": -1}, {"skip": 10**30}):
            assert manage(place, "GET", "/v1/keys", **wrong).status_code == 422

    def test_null_clears_and_absence_keeps(self, place: Deployment) -> None:
        expires = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        body = {"key_name": "x", "expires_at": expires, "metadata": {"a": 1}, "allowed_models": ["openai:*"]}
        body |= {"limits": {"requests_per_minute": 5}}
        path = f"/v1/keys/{made(place, '/v1/keys', body)['id']}"
        kept = manage(place, "PATCH", path, {"key_name": "y"}).json()
        assert kept["key_name"] == "y"
        assert kept["expires_at"] is not None
        assert kept["metadata"] == {"a": 1}
        assert kept["allowed_models"] == ["openai:*"]
        assert kept["limits"]["requests_per_minute"] == 5
        names = ("key_name", "expires_at", "metadata", "allowed_models", "limits")
        cleared = manage(place, "PATCH", path, dict.fromkeys(names)).json()
        assert [cleared[name] for name in names] == [None, None, {}, None, None]

    def test_a_key_that_is_off_expired_or_deleted_is_refused_at_once(self, place: Deployment) -> None:
        key = made(place, "/v1/keys", {})
        path = f"/v1/keys/{key['id']}"

        def said() -> tuple[int, Any]:
            response = place.post(CHAT, HELLO, key=key["key"])
            return response.status_code, response.json().get("detail")

        assert said() == (200, None)
        manage(place, "PATCH", path, {"is_active": False})
        assert said() == (401, "API key is inactive")
        manage(place, "PATCH", path, {"is_active": True, "expires_at": "2020-01-01T00:00:00"})
        assert said() == (401, "API key has expired")
        manage(place, "PATCH", path, {"expires_at": None})
        assert said() == (200, None)
        deleted = manage(place, "DELETE", path)
        assert (deleted.status_code, deleted.content) == (204, b"")
        assert said() == (401, "Invalid API key")
        gone = f"API key with id '{key['id']}' not found"
        for method in ("GET", "PATCH", "DELETE"):
            response = manage(place, method, path, {} if method == "PATCH" else None)
            assert (response.status_code, response.json()["detail"]) == (404, gone)

    def test_rotating_gives_the_old_key_a_time_of_grace(self, place: Deployment) -> None:
        first = made(place, "/v1/keys", {})
        path = f"/v1/keys/{first['id']}/rotate"
        second = made(place, path, {"grace_seconds": 600})
        assert second["id"] == first["id"]
        assert [place.post(CHAT, HELLO, key=key["key"]).status_code for key in (first, second)] == [200, 200]
        third = made(place, path, {"grace_seconds": 600})
        fourth = made(place, path, {})
        found = [place.post(CHAT, HELLO, key=key["key"]).status_code for key in (first, second, third, fourth)]
        assert found == [401, 401, 401, 200]

    def test_a_key_may_only_use_its_models(self, place: Deployment) -> None:
        key = made(place, "/v1/keys", {"allowed_models": ["openai:gpt-4o*"]})
        assert place.post(CHAT, HELLO, key=key["key"]).status_code == 200
        refused = place.post(CHAT, {**HELLO, "model": "openai:gpt-4.1"}, key=key["key"])
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
        assert place.post(CHAT, {**HELLO, "model": "nobody:none"}, key=key["key"]).status_code == 404
        manage(place, "PATCH", f"/v1/keys/{key['id']}", {"allowed_models": []})
        assert place.post(CHAT, HELLO, key=key["key"]).status_code == 403

    def test_a_key_is_shown_the_models_that_it_may_use(self, place: Deployment) -> None:
        key = made(place, "/v1/keys", {"allowed_models": ["openai:gpt-4o*", "claude-sonnet-4-5"]})["key"]
        headers = {"Authorization": f"Bearer {key}"}

        def got(path: str, **more: str) -> Any:
            return httpx.get(place.url + path, headers=headers | more).json()

        shown = {row["id"] for row in got("/v1/models")["data"]}
        assert "openai:gpt-4o-mini" in shown
        assert "anthropic:claude-sonnet-4-5" in shown
        assert all(name.startswith("openai:gpt-4o") for name in shown - {"anthropic:claude-sonnet-4-5"})
        assert len(shown) < len(place.get("/v1/models").json()["data"])
        assert {row["id"] for row in got("/api/models")["models"]} == shown
        assert {row["name"] for row in got("/v1beta/models")["models"]} == {f"models/{name}" for name in shown}
        assert {row["id"] for row in got("/v1/models", **{"anthropic-version": "2023-06-01"})["data"]} == shown
        for name in ("gpt-4o-mini", "openai:gpt-4o-mini", "claude-sonnet-4-5", "claude:claude-sonnet-4-5"):
            assert got(f"/v1/models/{name}")["id"] == name
        for path, status in (("openai:gpt-4.1", 403), ("openai:no-such-model", 404)):
            assert httpx.get(f"{place.url}/v1/models/{path}", headers=headers).status_code == status
        nothing = made(place, "/v1/keys", {"allowed_models": []})["key"]
        assert httpx.get(f"{place.url}/v1/models", headers={"x-api-key": nothing}).json()["data"] == []

    def test_a_model_says_what_it_can_do_as_far_as_that_is_known(self, place: Deployment) -> None:
        found = place.get("/v1/models/gpt-4o-mini").json()["capabilities"]
        assert found == {
            "chat": True,
            "streaming": True,
            "tools": True,
            "json_schema": True,
            "reasoning": False,
            "image_input": True,
            "audio_input": False,
            "document_input": True,
            "audio_output": False,
            "image_output": None,
            "embeddings": False,
        }
        unknown = place.get("/v1/models/solar:solar-pro4").json()["capabilities"]
        assert set(unknown.values()) == {None}

    def test_when_it_was_last_used_is_noted_behind_the_calls(self, place: Deployment) -> None:
        key = made(place, "/v1/keys", {})
        path = f"/v1/keys/{key['id']}"
        assert manage(place, "GET", path).json()["last_used_at"] is None
        place.post(CHAT, HELLO, key=key["key"])
        until(lambda: manage(place, "GET", path).json()["last_used_at"], "the use is noted")

    def test_its_tags_are_in_its_rows(self, place: Deployment) -> None:
        key = made(place, "/v1/keys", {"tags": {"team": "blue"}})
        place.post(CHAT, HELLO, key=key["key"])
        (row,) = place.rows(1, api_key_id=key["id"])
        assert row["tags"] == {"team": "blue"}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("key_name", "x" * 256),
            ("key_name", "a\x00b"),
            ("key_name", "\ud800"),
            ("key_name", 7),
            ("user_id", ""),
            ("user_id", "a\r\nx-evil: 1"),
            ("expires_at", "soon"),
            ("expires_at", "9999-12-31T23:59:59-14:00"),
            ("expires_at", 10**30),
            ("metadata", []),
            ("metadata", {"a": "\x00"}),
            ("metadata", {"a": 10**40}),
            ("metadata", {"a": [[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]}),
            ("tags", {"a": 1}),
            ("tags", {"": "x"}),
            ("allowed_models", "openai"),
            ("allowed_models", [""]),
            ("limits", {"requests_per_minute": 0}),
            ("limits", {"requests_per_minute": 10**30}),
            ("limits", {"requests_per_month": 5}),
        ],
    )
    def test_bad_input_names_the_field(self, place: Deployment, field: str, value: Any) -> None:
        response = manage(place, "POST", "/v1/keys", {field: value})
        assert response.status_code == 422
        assert response.json()["detail"][0]["loc"][:2] == ["body", field]
        assert response.json()["error"]["param"].startswith(field)

    @pytest.mark.parametrize("key_id", ["%00", "x'; DROP TABLE account_keys; --", "a" * 1000, "%0d%0ax: y", "\ud7ff"])
    def test_strange_ids_are_only_unknown(self, place: Deployment, key_id: str) -> None:
        assert manage(place, "GET", f"/v1/keys/{key_id}").status_code in (404, 422)
        assert manage(place, "GET", "/v1/keys").status_code == 200


class TestUsers:
    def test_a_user_and_what_it_spent(self, place: Deployment) -> None:
        user = made(place, "/v1/users", {"user_id": "spender", "alias": "Sue", "metadata": {"team": 1}})
        assert (user["spend"], user["alias"], user["blocked"], user["metadata"]) == (0, "Sue", False, {"team": 1})
        assert (user["budget_id"], user["budget_started_at"], user["next_budget_reset_at"]) == (None, None, None)
        place.post(CHAT, {**HELLO, "user": "spender"}, key=MASTER_KEY)
        (row,) = place.rows(1, user_id="spender")
        usage = manage(place, "GET", "/v1/users/spender/usage").json()
        assert usage == [row]
        # 1000 tokens at 0.15 and 100 at 0.60 dollars a million: as text, for a float would show it as well.
        assert '"spend":0.00021,' in manage(place, "GET", "/v1/users/spender").text
        assert '"spend":0.00021,' in manage(place, "GET", "/v1/users", limit=1000).text

    def test_nobody_is_made_twice(self, place: Deployment) -> None:
        made(place, "/v1/users", {"user_id": "twice"})
        response = manage(place, "POST", "/v1/users", {"user_id": "twice"})
        assert (response.status_code, response.json()["detail"]) == (409, "User with id 'twice' already exists")

    def test_a_deleted_user_lives_again_but_not_its_keys(self, place: Deployment) -> None:
        first = made(place, "/v1/users", {"user_id": "phoenix", "alias": "old"})
        key = made(place, "/v1/keys", {"user_id": "phoenix"})
        assert manage(place, "DELETE", "/v1/users/phoenix").status_code == 204
        gone = manage(place, "GET", "/v1/users/phoenix")
        assert (gone.status_code, gone.json()["detail"]) == (404, "User with id 'phoenix' not found")
        assert "phoenix" not in {user["user_id"] for user in manage(place, "GET", "/v1/users", limit=1000).json()}
        assert manage(place, "GET", "/v1/users/phoenix/usage").status_code == 200
        refused = place.post(CHAT, HELLO, key=key["key"])
        assert (refused.status_code, refused.json()["detail"]) == (401, "API key is inactive")
        told = manage(place, "POST", "/v1/keys", {"user_id": "phoenix"})
        assert told.status_code == 404
        assert told.json()["detail"] == "User 'phoenix' has been deleted. Recreate via POST /v1/users first."
        again = made(place, "/v1/users", {"user_id": "phoenix"})
        assert (again["created_at"], again["alias"], again["spend"]) == (first["created_at"], None, 0)
        assert place.post(CHAT, HELLO, key=key["key"]).status_code == 401

    def test_a_blocked_user_is_refused_with_any_key(self, place: Deployment) -> None:
        key = made(place, "/v1/keys", {"user_id": "rowdy"})
        assert manage(place, "PATCH", "/v1/users/rowdy", {"blocked": True}).json()["blocked"] is True
        for credential, body in ((key["key"], HELLO), (MASTER_KEY, {**HELLO, "user": "rowdy"})):
            response = place.post(CHAT, body, key=credential)
            assert (response.status_code, response.json()["detail"]) == (403, "User 'rowdy' is blocked")
        manage(place, "PATCH", "/v1/users/rowdy", {"blocked": False})
        assert place.post(CHAT, HELLO, key=key["key"]).status_code == 200

    def test_a_budget_is_taken_up_and_given_back(self, place: Deployment) -> None:
        budget = made(place, "/v1/budgets", {"max_budget": 10.5, "budget_duration_sec": 3600})
        user = made(place, "/v1/users", {"user_id": "holder", "budget_id": budget["budget_id"]})
        began, ends = (datetime.fromisoformat(user[name]) for name in ("budget_started_at", "next_budget_reset_at"))
        assert ends - began == timedelta(hours=1)
        detached = manage(place, "PATCH", "/v1/users/holder", {"budget_id": None}).json()
        assert (detached["budget_id"], detached["budget_started_at"]) == (None, None)
        nothing = manage(place, "PATCH", "/v1/users/holder", {"budget_id": "none"})
        assert (nothing.status_code, nothing.json()["detail"]) == (404, "Budget with id 'none' not found")
        manage(place, "PATCH", "/v1/users/holder", {"budget_id": budget["budget_id"]})
        assert manage(place, "DELETE", f"/v1/budgets/{budget['budget_id']}").status_code == 204
        assert manage(place, "GET", "/v1/users/holder").json()["budget_id"] is None

    @pytest.mark.parametrize(
        ("field", "value"),
        [("user_id", None), ("user_id", "a\x00"), ("blocked", "perhaps"), ("metadata", 5), ("alias", ["x"])],
    )
    def test_bad_input_names_the_field(self, place: Deployment, field: str, value: Any) -> None:
        response = manage(place, "POST", "/v1/users", {"user_id": "bad", field: value})
        assert response.status_code == 422
        assert response.json()["detail"][0]["loc"] == ["body", field]


class TestBudgets:
    def test_amounts_are_exact(self, place: Deployment) -> None:
        body = b'{"max_budget": 0.1, "soft_threshold": 0.8, "name": "small"}'
        made_text = place.post("/v1/budgets", body, key=MASTER_KEY).text
        assert '"max_budget":0.1,' in made_text
        assert '"soft_threshold":0.8,' in made_text

    def test_null_clears_and_absence_keeps(self, place: Deployment) -> None:
        body = {"max_budget": 5, "budget_duration_sec": 60, "name": "a"}
        path = f"/v1/budgets/{made(place, '/v1/budgets', body)['budget_id']}"
        renamed = manage(place, "PATCH", path, {"name": "b"}).json()
        assert [renamed[name] for name in ("max_budget", "budget_duration_sec", "name")] == [5, 60, "b"]
        cleared = manage(place, "PATCH", path, {"max_budget": None, "budget_duration_sec": None}).json()
        assert [cleared[name] for name in ("max_budget", "budget_duration_sec", "name")] == [None, None, "b"]
        monthly = manage(place, "PATCH", path, {"period": "month", "zone": "Asia/Seoul"}).json()
        assert [monthly[name] for name in ("period", "zone", "budget_duration_sec")] == ["month", "Asia/Seoul", None]
        assert manage(place, "PATCH", path, {"zone": None}).json()["zone"] == "Asia/Seoul"

    def test_null_leaves_what_cannot_be_empty(self, place: Deployment) -> None:
        key = made(place, "/v1/keys", {})
        path = f"/v1/keys/{key['id']}"
        assert manage(place, "PATCH", path, {"is_active": False}).json()["is_active"] is False
        assert manage(place, "PATCH", path, {"is_active": None}).json()["is_active"] is False
        user = f"/v1/users/{key['user_id']}"
        assert manage(place, "PATCH", user, {"blocked": True}).json()["blocked"] is True
        assert manage(place, "PATCH", user, {"blocked": None}).json()["blocked"] is True

    def test_amounts_keep_every_digit_and_no_more_than_the_ledger_has(self, place: Deployment) -> None:
        body = b'{"max_budget": 1234567.123456789012}'
        assert '"max_budget":1234567.123456789012,' in place.post("/v1/budgets", body, key=MASTER_KEY).text
        response = place.post("/v1/budgets", b'{"max_budget": 1234567.1234567890123}', key=MASTER_KEY)
        assert (response.status_code, response.json()["detail"][0]["loc"]) == (422, ["body", "max_budget"])

    def test_it_is_shared_by_models_providers_tags_or_all(self, place: Deployment) -> None:
        scopes = [{"scope": "model", "id": "openai/gpt-x"}, {"scope": "tag", "id": "team=green"}, {"scope": "global"}]
        budget = made(place, "/v1/budgets", {"period": "day", "scopes": scopes})
        shared = {(scope["scope"], scope["id"]) for scope in budget["scopes"]}
        assert shared == {("model", "openai:gpt-x"), ("tag", "team=green"), ("global", "*")}
        key = made(place, "/v1/keys", {"tags": {"team": "green"}})
        place.post(CHAT, HELLO, key=key["key"])
        place.rows(1, api_key_id=key["id"])
        path = f"/v1/budgets/{budget['budget_id']}"
        spends = {scope["scope"]: scope["spend"] for scope in manage(place, "GET", path).json()["scopes"]}
        assert spends["tag"] == 0.00021
        assert spends["global"] >= 0.00021
        assert spends["model"] == 0
        assert manage(place, "PATCH", path, {"scopes": []}).json()["scopes"] == []

    def test_a_period_that_ended_is_on_record(self, place: Deployment) -> None:
        budget = made(place, "/v1/budgets", {"max_budget": 1, "budget_duration_sec": 2})
        user = made(place, "/v1/users", {"user_id": "periodic", "budget_id": budget["budget_id"]})
        place.post(CHAT, {**HELLO, "user": "periodic"}, key=MASTER_KEY)
        place.rows(1, user_id="periodic")
        path = f"/v1/budgets/{budget['budget_id']}/reset-logs"
        logs = until(lambda: manage(place, "GET", path).json(), "the budget is reset")
        assert logs[-1]["user_id"] == "periodic"
        assert logs[-1]["reset_at"] == user["next_budget_reset_at"]
        assert logs[-1]["previous_spend"] == 0.00021
        now = manage(place, "GET", "/v1/users/periodic").json()
        assert now["spend"] == 0
        assert datetime.fromisoformat(now["next_budget_reset_at"]) > datetime.fromisoformat(logs[-1]["reset_at"])

    @pytest.mark.parametrize(
        ("body", "where"),
        [
            (b'{"max_budget": -1}', "max_budget"),
            (b'{"max_budget": NaN}', "max_budget"),
            (b'{"max_budget": 1e400}', "max_budget"),
            (b'{"max_budget": 1' + b"0" * 5000 + b"}", None),
            (b'{"max_budget": 1' + b"0" * 400 + b"}", "max_budget"),
            (b'{"max_budget": 0.0000000000001}', "max_budget"),
            (b'{"budget_duration_sec": 0}', "budget_duration_sec"),
            (b'{"budget_duration_sec": 1.5}', "budget_duration_sec"),
            (b'{"budget_duration_sec": 99999999999999}', "budget_duration_sec"),
            (b'{"period": "year"}', "period"),
            (b'{"zone": "Mars/Olympus"}', "zone"),
            (b'{"zone": "../../etc/passwd"}', "zone"),
            (b'{"soft_threshold": 1.5}', "soft_threshold"),
            (b'{"scopes": [{"scope": "user", "id": "x"}]}', "scopes"),
            (b'{"scopes": [{"scope": "global", "id": "x"}]}', "scopes"),
            (b'{"scopes": [{"scope": "tag", "id": "x"}]}', "scopes"),
            (b'{"scopes": [{"scope": "model", "id": "gpt"}]}', "scopes"),
            (b'{"period": "day", "budget_duration_sec": 5}', ""),
        ],
    )
    def test_bad_input_names_the_field(self, place: Deployment, body: bytes, where: str | None) -> None:
        response = place.post("/v1/budgets", body, key=MASTER_KEY)
        assert response.status_code == (400 if where is None else 422), response.text
        if where is not None:
            assert response.json()["detail"][0]["loc"][:2] == ["body", where] if where else ["body"]


class TestPricing:
    def test_a_price_is_set_read_and_taken_back(self, place: Deployment) -> None:
        body = {"model_key": "OpenAI/house/model", "input_price_per_million": 0.1, "output_price_per_million": 0.3}
        body |= {"price_per_second": None, "price_per_image": None, "effective_at": None}
        text = place.post("/v1/pricing", json.dumps(body).encode(), key=MASTER_KEY).text
        assert '"input_price_per_million":0.1,' in text
        found = json.loads(text)
        assert (found["model_key"], found["source"]) == ("openai:house/model", "database")
        for name in ("openai:house/model", "openai/house/model"):
            assert manage(place, "GET", f"/v1/pricing/{name}").json()["input_price_per_million"] == 0.1
        assert manage(place, "DELETE", "/v1/pricing/openai:house/model").status_code == 204
        for method in ("GET", "DELETE"):
            gone = manage(place, method, "/v1/pricing/openai:house/model")
            assert (gone.status_code, gone.json()["detail"]) == (
                404,
                "Pricing for model 'openai:house/model' not found",
            )

    def test_a_synonym_and_other_letters_mean_the_same_model(self, place: Deployment) -> None:
        amounts = {"input_price_per_million": 7, "output_price_per_million": 70}
        stored = made(place, "/v1/pricing", {"model_key": "claude:Claude-Sonnet-4-5", **amounts})
        assert stored["model_key"] == "anthropic:Claude-Sonnet-4-5"
        for name in ("claude:claude-sonnet-4-5", "anthropic/CLAUDE-sonnet-4-5", "claude-sonnet-4-5"):
            found = manage(place, "GET", f"/v1/pricing/{name}").json()
            assert (found["source"], found["input_price_per_million"]) == ("database", 7), name
        assert len(manage(place, "GET", "/v1/pricing/claude/claude-sonnet-4-5/history").json()) == 1
        made(place, "/v1/pricing", {"model_key": "anthropic:claude-sonnet-4-5", **amounts, "price_per_request": 1})
        listed = manage(place, "GET", "/v1/pricing", limit=1000).json()
        assert [each["price_per_request"] for each in listed if each["source"] == "database"] == [1]
        assert manage(place, "DELETE", "/v1/pricing/Claude/claude-SONNET-4-5").status_code == 204
        assert manage(place, "GET", "/v1/pricing/claude:claude-sonnet-4-5").json()["source"] == "catalogue"

    def test_any_valid_key_reads_and_only_the_master_key_writes(self, place: Deployment) -> None:
        assert httpx.get(place.url + "/v1/pricing").status_code == 401
        own = {"Authorization": f"Bearer {place.key}"}
        assert httpx.get(place.url + "/v1/pricing/openai:gpt-4o", headers=own).status_code == 200
        listed = httpx.get(place.url + "/v1/pricing", headers=own, params={"limit": 1000}).json()
        assert {"input_price_per_million", "output_price_per_million", "source"} <= set(listed[0])
        assert [each["model_key"] for each in listed] == sorted(each["model_key"] for each in listed)
        assert place.post("/v1/pricing", b"{").json()["detail"] == "Invalid master key"
        assert httpx.delete(place.url + "/v1/pricing/x", headers=own).status_code == 401

    def test_calls_are_priced_by_it_at_once_and_by_history(self, place: Deployment) -> None:
        model = {**HELLO, "model": "openai:gpt-4.1-nano"}
        made(place, "/v1/users", {"user_id": "priced"})

        def cost(number: int) -> float:
            place.post(CHAT, {**model, "user": "priced"}, key=MASTER_KEY)
            rows = place.rows(number, user_id="priced")
            return float(rows[0]["cost"])

        assert cost(1) == 0.00014  # 1000 at 0.10 and 100 at 0.40 dollars a million
        classes = {"input_price_per_million": 1, "output_price_per_million": 2, "price_per_request": 0.5}
        of_sound = {"price_per_second": 0.0001}
        shown = made(place, "/v1/pricing", {"model_key": "openai:gpt-4.1-nano", **classes, **of_sound})
        assert shown["price_per_audio_hour"] == 0.36
        assert cost(2) == 0.5012
        later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        free = dict.fromkeys(classes, 0)
        made(place, "/v1/pricing", {"model_key": "openai:gpt-4.1-nano", "effective_at": later, **free})
        assert cost(3) == 0.5012
        path = "/v1/pricing/openai:gpt-4.1-nano"
        assert manage(place, "GET", path).json()["price_per_request"] == 0.5
        assert manage(place, "GET", path, as_of=later).json()["price_per_request"] == 0
        assert manage(place, "GET", path, as_of="2026-11-01").json()["source"] == "catalogue"
        assert [row["price_per_request"] for row in manage(place, "GET", f"{path}/history").json()] == [0, 0.5]
        assert manage(place, "DELETE", path, effective_at=later).status_code == 204
        assert len(manage(place, "GET", f"{path}/history").json()) == 1
        assert manage(place, "DELETE", path).status_code == 204
        assert cost(4) == 0.00014

    @pytest.mark.parametrize(
        ("changed", "where"),
        [
            ('"input_price_per_million": -1', "input_price_per_million"),
            ('"input_price_per_million": NaN', "input_price_per_million"),
            ('"input_price_per_million": Infinity', "input_price_per_million"),
            ('"output_price_per_million": 1e300', "output_price_per_million"),
            ('"price_per_request": "much"', "price_per_request"),
            ('"price_per_second": 251', "price_per_second"),
            ('"price_per_second": 1, "price_per_audio_hour": 1', "price_per_second"),
            ('"model_key": "gpt"', "model_key"),
            ('"model_key": ":"', "model_key"),
            ('"model_key": "openai:\\u0000"', "model_key"),
            ('"effective_at": "never"', "effective_at"),
        ],
    )
    def test_bad_input_names_the_field(self, place: Deployment, changed: str, where: str) -> None:
        body = '{"model_key": "openai:x", "input_price_per_million": 1, "output_price_per_million": 1, ' + changed + "}"
        response = place.post("/v1/pricing", body.encode(), key=MASTER_KEY)
        assert response.status_code == 422, response.text
        assert response.json()["detail"][0]["loc"] == ["body", where]


class TestAudit:
    def test_every_change_is_on_record_without_a_secret(self, place: Deployment) -> None:
        key = made(place, "/v1/keys", {"key_name": "watched"})
        path = f"/v1/keys/{key['id']}"
        manage(place, "PATCH", path, {"key_name": "renamed"})
        rotated = made(place, f"{path}/rotate", {"grace_seconds": 5})
        response = manage(place, "DELETE", path)
        found = manage(place, "GET", "/v1/audit", subject="key", subject_id=key["id"])
        entries = found.json()
        assert [entry["action"] for entry in entries] == ["delete", "rotate", "update", "create"]
        assert {entry["actor"] for entry in entries} == {"master"}
        assert entries[0]["request_id"] == response.headers["x-request-id"]
        assert (entries[2]["before"]["key_name"], entries[2]["after"]["key_name"]) == ("watched", "renamed")
        assert (entries[3]["before"], entries[0]["after"]) == (None, None)
        for secret in (key["key"], rotated["key"], hash_key(key["key"]), hash_key(rotated["key"]), MASTER_KEY):
            assert secret not in found.text
            assert secret not in place.log_text()

    def test_refused_changes_are_not(self, place: Deployment) -> None:
        before = manage(place, "GET", "/v1/audit", limit=1).json()
        manage(place, "PATCH", "/v1/users/nobody-at-all", {"blocked": True})
        manage(place, "POST", "/v1/keys", {"budget_id": "none"})
        assert manage(place, "GET", "/v1/audit", limit=1).json() == before

    def test_it_is_paged_and_filtered(self, place: Deployment) -> None:
        made(place, "/v1/users", {"user_id": "audited-1"})
        made(place, "/v1/users", {"user_id": "audited-2"})
        first, second = manage(place, "GET", "/v1/audit", subject="user", limit=2).json()
        assert [first["subject_id"], second["subject_id"]] == ["audited-2", "audited-1"]
        assert manage(place, "GET", "/v1/audit", before_id=first["id"], limit=1).json() == [second]
        assert manage(place, "GET", "/v1/audit", start_date="8999-01-01").json() == []
        assert manage(place, "GET", "/v1/audit", start_date="9999-01-01").status_code == 422
        assert place.post("/v1/audit", {}).status_code == 405
        assert httpx.get(place.url + "/v1/audit", headers={"Authorization": f"Bearer {place.key}"}).status_code == 401
