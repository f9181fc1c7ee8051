"""The LLM Server API as its operator narrows or opens it, and while the database is away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deployment import Deployment, providers_at, until
from tests.e2e.fleet import CHAT as UPSTREAM_CHAT
from tests.e2e.fleet import answer
from tests.replay import Upstream
from tests.services import Server

CHAT = "/api/v1/chat"


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    """Nothing kept, nothing in the background, no keys of callers; the machine's state open; no system prompt."""
    with Upstream() as upstream:
        providers = providers_at(upstream.url)
        providers["openai"]["api_key"] = ""
        config = {
            "providers": providers,
            "byok": {"llm_server": False},
            "llm_server": {
                "history": {"enabled": False},
                "jobs": {"enabled": False},
                "open_system_status": True,
                "language": "ko",
                "system_prompts": {"en": "EN", "ko": ""},
            },
        }
        with Deployment(tmp_path_factory.mktemp("narrow"), upstream.url, config=config) as deployment:
            yield deployment, upstream


def test_history_can_be_turned_off(narrow: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = narrow
    upstream.forget()
    upstream.on("/local/v1/chat/completions", answer(1, 1))
    for _ in range(2):
        response = deployment.post(CHAT, {"user_prompt": "x", "request_id": "s", "model": "local:tiny"})
        assert response.json()["history"] == {"messages": 0, "left_out": 0}
    assert [len(call.json["messages"]) for call in upstream.calls] == [1, 1]  # and no system prompt
    headers = {"authorization": f"Bearer {deployment.key}"}
    assert httpx.get(f"{deployment.url}/api/v1/conversations", headers=headers).json() == {"conversations": []}


def test_jobs_and_callers_keys_can_be_turned_off(narrow: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = narrow
    upstream.forget()
    later = deployment.post(CHAT, {"user_prompt": "x", "model": "local:tiny", "background": True})
    assert (later.status_code, later.json()["error"]["code"]) == (400, "no_background")
    own = {"openai_api_key": "own-key-of-the-caller", "use_user_api_key": True}
    response = deployment.post(CHAT, {"user_prompt": "x", "model": "gpt-4o-mini", **own})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "own_key_not_allowed")
    unnamed = deployment.post(CHAT, {"user_prompt": "x", **own})  # a key for OpenAI asks for OpenAI
    assert (unnamed.status_code, unnamed.json()["detail"]) == (403, response.json()["detail"])
    assert not upstream.calls


def test_the_default_model_is_of_the_first_provider_that_can_serve(narrow: tuple[Deployment, Upstream]) -> None:
    """OpenAI has no key here."""
    deployment, upstream = narrow
    upstream.forget()
    response = deployment.post(CHAT, {"user_prompt": "x"})
    assert [call.path for call in upstream.unmatched] == ["/v1/messages"]
    assert response.status_code == 404  # the replay's own
    assert upstream.unmatched[0].json["model"] == "claude-sonnet-4-5"


def test_the_machine_can_be_shown_to_everybody(narrow: tuple[Deployment, Upstream]) -> None:
    assert httpx.get(f"{narrow[0].url}/api/v1/system/status", timeout=30).json()["memory"]["total_bytes"] > 0


def test_the_paths_are_declared_as_they_are_read(narrow: tuple[Deployment, Upstream]) -> None:
    schema = httpx.get(f"{narrow[0].url}/openapi.json", timeout=30).json()["paths"]
    asked = schema[CHAT]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert asked["required"] == ["user_prompt"]
    assert {"/api/v1/", "/api/v1/system/status", "/api/v1/chat/{job_id}", "/api/v1/conversations"} <= set(schema)


def test_without_its_database_a_dialogue_waits_and_a_new_one_is_answered(
    tmp_path: Path, redis_server: Server, postgres_server: Server
) -> None:
    """Going on without what was said before would be another dialogue; an answer is not lost for want of a table."""
    with (
        Upstream() as upstream,
        Deployment(tmp_path, upstream.url, database_url=postgres_server.url, redis_url=redis_server.url) as deployment,
    ):
        upstream.on(UPSTREAM_CHAT, answer(3, 2))
        ask: dict[str, Any] = {"user_prompt": "x", "model": "gpt-4o-mini"}
        assert deployment.post(CHAT, {**ask, "request_id": "before"}).status_code == 200
        postgres_server.kill()
        refused = deployment.post(CHAT, {**ask, "request_id": "before"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "database_away")
        assert len(upstream.calls) == 1
        fresh = deployment.post(CHAT, ask)
        assert fresh.status_code == 200
        assert fresh.json()["output_text"] == "hi"
        assert deployment.post(CHAT, {**ask, "background": True}).status_code == 503
        assert "x" * 5 not in json.dumps(fresh.json())
        postgres_server.start()
        again = {**ask, "request_id": "before"}
        until(lambda: deployment.post(CHAT, again).status_code == 200, "the database is back")
        assert "could not be kept" in deployment.log_text()
