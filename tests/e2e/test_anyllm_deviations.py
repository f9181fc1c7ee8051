"""Where we differ from the any-llm gateway on purpose: one test for each, and for what it got wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.deployment import MASTER_KEY, Deployment, providers_at
from tests.e2e.anyllm import CHAT, HELLO, MESSAGES, TO_CLAUDE, answer, call, fresh, said
from tests.replay import Answer, Upstream

OF_THE_ENVIRONMENT = "sk-of-the-environment"


@pytest.fixture(scope="module")
def upstream_server() -> Iterator[Upstream]:
    with Upstream() as upstream:
        answer(upstream)
        yield upstream


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, upstream_server: Upstream) -> Iterator[Deployment]:
    nowhere = {"type": "openai_compatible", "api_key": "k", "api_base": "http://127.0.0.1:9/v1"}
    config = {"providers": {**providers_at(upstream_server.url), "nowhere": nowhere}}
    with Deployment(tmp_path_factory.mktemp("deviations"), upstream_server.url, config=config) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory, upstream_server: Upstream) -> Iterator[Deployment]:
    """With a price in its file, and an environment that contradicts the file."""
    environment = {"GATEWAY_MASTER_KEY": OF_THE_ENVIRONMENT, "GATEWAY_ENABLE_METRICS": "false"}
    config = {
        "enable_metrics": True,
        "pricing": {"openai:gpt-4o-mini": {"input_price_per_million": 7, "output_price_per_million": 8}},
    }
    folder = tmp_path_factory.mktemp("configured")
    with Deployment(folder, upstream_server.url, config=config, environment=environment) as deployment:
        yield deployment


class TestDeviations:
    """What is done otherwise, on purpose."""

    @pytest.mark.parametrize("header", ["X-AnyLLM-Key", "AnyLLM-Key", "Otari-Key"])
    def test_own_headers_take_a_raw_key(self, place: Deployment, header: str) -> None:
        assert call(place, "GET", "/v1/models", None, None, **{header: place.key}).status_code == 200

    def test_the_price_list_needs_a_key(self, place: Deployment) -> None:
        for path in ("/v1/pricing", "/v1/pricing/openai:gpt-4o-mini", "/v1/pricing/openai:gpt-4o-mini/history"):
            assert call(place, "GET", path, key=None).status_code == 401
            assert call(place, "GET", path, key=place.key).status_code == 200
            assert call(place, "GET", path).status_code == 200

    def test_nobody_is_billed_with_anothers_key(self, place: Deployment) -> None:
        name = fresh("victim")
        call(place, "POST", "/v1/users", {"user_id": name})
        assert call(place, "POST", CHAT, {**HELLO, "user": name}, place.key).status_code == 403
        assert call(place, "POST", CHAT, {**HELLO, "user": fresh("tag")}, place.key).status_code == 200

    def test_a_model_that_is_not_there_is_404(self, place: Deployment) -> None:
        assert call(place, "POST", CHAT, {**HELLO, "model": "nonsense"}, place.key).status_code == 404

    def test_any_bad_model_string_is_404_and_says_the_model(self, place: Deployment) -> None:
        for name in ("nobody:x", "nobody/x", "gpt-9999", ":", "openai:", "a:b:c/d"):
            response = call(place, "POST", CHAT, {**HELLO, "model": name}, place.key)
            assert (response.status_code, response.json()["error"]["param"]) == (404, "model"), name

    @pytest.mark.parametrize(
        ("upstream_status", "status", "code"),
        [
            (400, 400, None),
            (401, 502, "upstream_credentials"),
            (403, 502, "upstream_credentials"),
            (404, 404, None),
            (422, 422, None),
            (429, 429, None),
            (500, 502, None),
            (503, 502, None),
        ],
    )
    def test_what_the_provider_says_keeps_its_meaning(
        self, place: Deployment, upstream_server: Upstream, upstream_status: int, status: int, code: str | None
    ) -> None:
        name = f"gpt-says-{upstream_status}"
        body = b'{"error":{"message":"as the provider says","type":"t","param":null,"code":null}}'
        headers = {"content-type": "application/json", "retry-after": "1"}
        upstream_server.on(CHAT, Answer(status=upstream_status, headers=headers, pieces=(body,)), model=name)
        response = call(place, "POST", CHAT, {**HELLO, "model": f"openai:{name}"}, place.key)
        assert response.status_code == status
        error = response.json()["error"]
        assert response.json()["detail"] == error["message"]
        assert code is None or error["code"] == code
        assert status != 429 or response.headers["retry-after"] == "1"
        assert status not in (400, 404, 422) or "as the provider says" in error["message"]
        assert "sentinel" not in response.text

    def test_a_provider_that_is_not_there_is_502(self, place: Deployment) -> None:
        response = call(place, "POST", CHAT, {**HELLO, "model": "nowhere:gpt-4o-mini"}, place.key)
        assert response.status_code == 502
        assert "127.0.0.1" not in response.text

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

    def test_no_done_event_after_a_message(self, place: Deployment) -> None:
        text = call(place, "POST", MESSAGES, {**TO_CLAUDE, "stream": True}, place.key).text
        assert "event: message_stop" in text
        assert "event: done" not in text

    def test_errors_of_messages_have_its_own_shape(self, place: Deployment) -> None:
        key = call(place, "POST", "/v1/keys", {"budget_id": None}).json()
        call(place, "PATCH", f"/v1/users/{key['user_id']}", {"blocked": True})
        refused = call(place, "POST", MESSAGES, TO_CLAUDE, key["key"])
        assert refused.status_code == 403
        told = {"type": "permission_error", "message": f"User '{key['user_id']}' is blocked"}
        assert (refused.json()["type"], refused.json()["error"]) == ("error", told)

    def test_what_claude_code_says_of_its_user_is_a_tag(self, place: Deployment) -> None:
        tag = fresh("user_ab12_account__session")
        body = {**TO_CLAUDE, "metadata": {"user_id": tag}}
        assert call(place, "POST", MESSAGES, body, place.key).status_code == 200
        (row,) = place.rows(1, end_user=tag)
        assert row["user_id"] != tag

    def test_a_refused_call_uses_no_limit_up(self, place: Deployment) -> None:
        name = fresh("broke")
        budget = call(place, "POST", "/v1/budgets", {"max_budget": 0}).json()["budget_id"]
        body = {"user_id": name, "limits": {"requests_per_minute": 1}}
        key = call(place, "POST", "/v1/keys", body).json()["key"]
        call(place, "PATCH", f"/v1/users/{name}", {"budget_id": budget})
        assert [call(place, "POST", CHAT, HELLO, key).status_code for _ in range(3)] == [403, 403, 403]
        call(place, "PATCH", f"/v1/users/{name}", {"budget_id": None})
        assert call(place, "POST", CHAT, HELLO, key).status_code == 200

    def test_broken_json_without_a_key_is_about_the_key(self, place: Deployment) -> None:
        for path in (CHAT, "/v1/keys"):
            assert place.post(path, b"{", key="sk-x").status_code == 401

    def test_metrics_name_no_user_and_no_raw_path(self, place: Deployment) -> None:
        name = fresh("unseen")
        call(place, "GET", f"/v1/users/{name}")
        text = call(place, "GET", "/metrics", key=None).text
        assert name not in text
        assert 'endpoint="/v1/users/{user_id}"' in text

    def test_unknown_chat_fields_reach_the_upstream(self, place: Deployment, upstream_server: Upstream) -> None:
        call(place, "POST", CHAT, {**HELLO, "seed": 7, "brand_new": {"a": 1}}, place.key)
        sent = json.loads(upstream_server.calls[-1].body)
        assert (sent["seed"], sent["brand_new"]) == (7, {"a": 1})

    def test_null_clears_a_field(self, place: Deployment) -> None:
        made = call(place, "POST", "/v1/keys", {"expires_at": "2030-01-01T00:00:00Z"}).json()
        assert call(place, "PATCH", f"/v1/keys/{made['id']}", {"expires_at": None}).json()["expires_at"] is None
        budget = call(place, "POST", "/v1/budgets", {"max_budget": 1, "budget_duration_sec": 60}).json()["budget_id"]
        user = call(place, "POST", "/v1/users", {"user_id": fresh("holder"), "budget_id": budget}).json()
        assert call(place, "PATCH", f"/v1/users/{user['user_id']}", {"budget_id": None}).json()["budget_id"] is None
        cleared = call(place, "PATCH", f"/v1/budgets/{budget}", {"max_budget": None, "budget_duration_sec": None})
        assert [cleared.json()[name] for name in ("max_budget", "budget_duration_sec")] == [None, None]

    def test_the_environment_beats_the_file(self, configured: Deployment) -> None:
        assert call(configured, "GET", "/v1/users", key=OF_THE_ENVIRONMENT).status_code == 200
        assert call(configured, "GET", "/v1/users", key=MASTER_KEY).status_code == 401
        assert said(call(configured, "GET", "/metrics", key=None)) == (404, "Not Found")

    def test_config_prices_stay_in_the_config(self, configured: Deployment) -> None:
        path = "/v1/pricing/openai:gpt-4o-mini"
        found = call(configured, "GET", path, key=OF_THE_ENVIRONMENT).json()
        assert (found["input_price_per_million"], found["source"]) == (7, "config")
        assert call(configured, "GET", f"{path}/history", key=OF_THE_ENVIRONMENT).json() == []
        assert call(configured, "DELETE", path, key=OF_THE_ENVIRONMENT).status_code == 404
