"""The management API as its callers see it: keys, users, budgets, prices, the audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

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
        assert manage(place, "PATCH", path, {"is_active": None}).status_code == 422

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
