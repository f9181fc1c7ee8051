"""The list of models, asked for by each official SDK, and with plain HTTP where no SDK asks in that way."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types

from tests.e2e.clients.conftest import Place


def _rows(place: Place) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = place.deployment.get("/v1/models").json()["data"]
    return rows


def _usable(place: Place) -> list[str]:
    return [row["id"] for row in _rows(place) if row["available"]]


def _limits(place: Place, model: str) -> tuple[int | None, int | None]:
    (row,) = (row for row in _rows(place) if row["id"] == model)
    return row["context_window"], row["max_output_tokens"]


def test_openai_lists_and_retrieves(place: Place, openai_client: openai.OpenAI) -> None:
    client = openai_client
    assert [model.id for model in client.models.list()] == [row["id"] for row in _rows(place)]
    by_bare_name = client.models.retrieve("gpt-4o-mini")
    assert (by_bare_name.id, by_bare_name.object, by_bare_name.owned_by) == ("gpt-4o-mini", "model", "openai")
    assert client.models.retrieve("anthropic:claude-sonnet-4-5").owned_by == "anthropic"
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("openai:no-such-model")
    assert missing.value.code == "model_not_found"


@pytest.mark.parametrize("limit", [None, 200, 1000])
def test_anthropic_lists_page_by_page_and_retrieves(
    place: Place, anthropic_client: anthropic.Anthropic, limit: int | None
) -> None:
    client = anthropic_client
    listed = list(client.models.list(limit=limit) if limit else client.models.list())
    assert [model.id for model in listed] == _usable(place)
    (sonnet,) = (model for model in listed if model.id == "anthropic:claude-sonnet-4-5")
    assert (sonnet.type, sonnet.display_name) == ("model", sonnet.id)
    assert (sonnet.max_input_tokens, sonnet.max_tokens) == _limits(place, sonnet.id)
    assert sonnet.created_at.tzinfo is not None
    assert client.models.retrieve("claude-sonnet-4-5").id == "claude-sonnet-4-5"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("no-such-model")


def test_anthropic_pages_go_both_ways(place: Place, anthropic_client: anthropic.Anthropic) -> None:
    client = anthropic_client
    ids = _usable(place)
    page = client.models.list(limit=3, after_id=ids[1])
    assert ([model.id for model in page.data], page.has_more) == (ids[2:5], True)
    assert (page.first_id, page.last_id) == (ids[2], ids[4])
    before = client.models.list(limit=3, before_id=ids[5])
    assert ([model.id for model in before.data], before.has_more) == (ids[2:5], True)
    assert client.models.list(before_id=ids[2]).has_more is False
    with pytest.raises(anthropic.NotFoundError):
        client.models.list(after_id="no-such-model")


@pytest.mark.parametrize("page_size", [None, 200])
def test_google_lists_page_by_page_and_retrieves(
    place: Place, google_client: genai.Client, page_size: int | None
) -> None:
    client = google_client
    listed = list(client.models.list(config=types.ListModelsConfig(page_size=page_size)))
    assert [model.name for model in listed] == [f"models/{name}" for name in _usable(place)]
    (flash,) = (model for model in listed if model.name == "models/gemini:gemini-2.5-flash")
    assert flash.display_name == "gemini:gemini-2.5-flash"
    assert (flash.input_token_limit, flash.output_token_limit) == _limits(place, "gemini:gemini-2.5-flash")
    assert flash.supported_actions == ["generateContent", "countTokens"]
    assert client.models.get(model="gemini-2.5-flash").name == "models/gemini-2.5-flash"


def test_google_counts_tokens(google_client: genai.Client) -> None:
    counted = google_client.models.count_tokens(model="anthropic:claude-sonnet-4-5", contents="How long is this?")
    assert counted.total_tokens
    assert 2 <= counted.total_tokens <= 12


@pytest.mark.parametrize("path", ["/v1beta/models", "/v1/models", "/v1beta/models/gemini-2.5-flash"])
def test_a_key_in_the_query_is_googles_way(place: Place, path: str) -> None:
    got = httpx.get(place.url + path, params={"key": place.key})
    assert got.status_code == 200
    assert {"models", "name"} & got.json().keys()
    assert httpx.get(place.url + path, params={"key": "gw-wrong"}).status_code == 401
    assert httpx.get(place.url + path).status_code == 401


def test_a_page_token_of_another_list_is_named(place: Place) -> None:
    got = place.deployment.get("/v1beta/models", pageToken="next")
    (violation,) = (each for each in got.json()["error"]["details"] if "fieldViolations" in each)
    assert (got.status_code, violation["fieldViolations"][0]["field"]) == (400, "pageToken")


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models"])
def test_probes_by_head_are_answered_like_get(place: Place, path: str) -> None:
    headers = {"authorization": f"Bearer {place.key}"}
    head = httpx.head(place.url + path, headers=headers)
    get = httpx.get(place.url + path, headers=headers)
    assert head.status_code == get.status_code < 400
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]
