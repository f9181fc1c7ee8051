"""Where a call goes, by what is given and what the environment has."""

from __future__ import annotations

from typing import Any

import pytest

from tests.replay import Upstream, written
from tollgate import (
    AuthenticationError,
    InvalidRequestError,
    MissingApiKeyError,
    Tollgate,
    UnsupportedOperationError,
    UnsupportedProviderError,
    completion,
    embedding,
    list_models,
)
from tollgate.sdk.endpoints import GATEWAY, find_endpoint, split_model
from wire.providers import ROWS

_VARIABLES = (
    "TOLLGATE_KEY", "ANY_LLM_KEY", "TOLLGATE_API_BASE", "GATEWAY_API_BASE", "OTARI_API_BASE", "GATEWAY_API_KEY",
    "OTARI_API_KEY", "OPENAI_BASE_URL",
)  # fmt: skip
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own environment."""
    for name in (*_VARIABLES, *(name for row in ROWS.values() for name in row.environment)):
        monkeypatch.delenv(name, raising=False)


def test_names_are_split_at_a_known_provider_only() -> None:
    assert split_model("openai:gpt-4o", None) == ("openai", "gpt-4o")
    assert split_model("anthropic/claude-sonnet-4-5", None) == ("anthropic", "claude-sonnet-4-5")
    assert split_model("Claude:x", None) == ("Claude", "x")
    assert split_model("openrouter:openai/gpt-4o:free", None) == ("openrouter", "openai/gpt-4o:free")
    assert split_model("gpt-4o", None) == (None, "gpt-4o")
    assert split_model("meta-llama/Llama-3:8b", None) == (None, "meta-llama/Llama-3:8b")
    assert split_model("openai:", None) == (None, "openai:")
    assert split_model("openai/gpt-oss-20b", "groq") == ("groq", "openai/gpt-oss-20b")


_DIRECT: list[tuple[Any, ...]] = [
    ("openai", "sk-1", None, {}, ("openai", "https://api.openai.com/v1", "sk-1")),
    ("OpenAI ", " sk-1\n", None, {}, ("openai", "https://api.openai.com/v1", "sk-1")),
    ("openai", None, None, {"OPENAI_API_KEY": "sk-2"}, ("openai", "https://api.openai.com/v1", "sk-2")),
    ("openai", "sk-1", "http://h/v1/", {}, ("openai", "http://h/v1", "sk-1")),
    ("openai", "sk-1", None, {"OPENAI_BASE_URL": "http://h/v1"}, ("openai", "http://h/v1", "sk-1")),
    ("gemini", None, None, {"GOOGLE_API_KEY": "g"}, ("gemini", "https://generativelanguage.googleapis.com", "g")),
    ("claude", None, None, {"ANTHROPIC_API_KEY": "a"}, ("claude", "https://api.anthropic.com", "a")),
    ("local", None, None, {}, ("local", "http://127.0.0.1:11434/v1", None)),
    ("acme", None, "http://acme:1/v1", {}, ("acme", "http://acme:1/v1", None)),
    ("openai", "sk-1", None, {"TOLLGATE_KEY": "gw-e"}, ("openai", "https://api.openai.com/v1", "sk-1")),
    ("ollama", None, "http://o:1/v1", {"TOLLGATE_KEY": "gw-e"}, ("ollama", "http://o:1/v1", None)),
    ("acme", None, "http://acme:1/v1", {"TOLLGATE_KEY": "gw-e"}, ("acme", "http://acme:1/v1", None)),
]
# By name, by key, by environment, by address alone.
_THROUGH: list[tuple[Any, ...]] = [
    ("tollgate", "sk-master", None, {}, (None, "http://127.0.0.1:8000", "sk-master")),
    ("gateway", None, "http://h:1/v1", {"GATEWAY_API_KEY": "k"}, (None, "http://h:1", "k")),
    ("otari", None, None, {"TOLLGATE_KEY": "k", "TOLLGATE_API_BASE": "http://h:2"}, (None, "http://h:2", "k")),
    ("openai", "gw-1", "http://h:1", {}, ("openai", "http://h:1", "gw-1")),
    (None, "gw-1", None, {}, (None, "http://127.0.0.1:8000", "gw-1")),
    (None, None, None, {"ANY_LLM_KEY": "any"}, (None, "http://127.0.0.1:8000", "any")),
    (
        "openai",
        None,
        None,
        {"TOLLGATE_KEY": "gw-e", "OPENAI_API_KEY": "sk-hidden"},
        ("openai", "http://127.0.0.1:8000", "gw-e"),
    ),
    ("ollama", None, None, {"TOLLGATE_KEY": "k"}, ("ollama", "http://127.0.0.1:8000", "k")),
    ("local", None, "http://127.0.0.1:8000/v1/", {"TOLLGATE_KEY": "k"}, ("local", "http://127.0.0.1:8000", "k")),
    ("openai", None, "http://h:1", {"TOLLGATE_KEY": "k"}, ("openai", "http://h:1", "k")),
    (None, "k", "http://h:3/v1/", {}, (None, "http://h:3", "k")),
    (None, None, "http://h:3", {}, (None, "http://h:3", None)),
]


@pytest.mark.parametrize(
    ("provider", "key", "base", "environment", "wanted", "gateway"),
    [*((*row, False) for row in _DIRECT), *((*row, True) for row in _THROUGH)],
)
def test_an_endpoint_is_found(
    provider: str | None,
    key: str | None,
    base: str | None,
    environment: dict[str, str],
    wanted: tuple[Any, ...],
    gateway: bool,
) -> None:
    found = find_endpoint(provider, key, base, environment)
    assert (found.name, found.base_url, found.key) == wanted
    assert (found.row is GATEWAY) == found.is_gateway == gateway


@pytest.mark.parametrize(
    ("provider", "key", "base", "error", "says"),
    [
        ("openai", None, None, MissingApiKeyError, "OPENAI_API_KEY"),
        ("openai", "  ", None, MissingApiKeyError, "OPENAI_API_KEY"),
        ("gateway", None, None, MissingApiKeyError, "TOLLGATE_KEY"),
        ("openia", None, None, UnsupportedProviderError, "'openia' is not a known provider"),
        ("", "sk", None, UnsupportedProviderError, "is empty"),
        (None, None, None, UnsupportedProviderError, "provider:model"),
        ("vllm", None, None, InvalidRequestError, "give api_base="),
        ("openai", "sk-1", "api.openai.com/v1", InvalidRequestError, "api_base"),
        ("openai", "sk-1", "ftp://h", InvalidRequestError, "api_base"),
        ("openai", "sk-1", "http://", InvalidRequestError, "api_base"),
        ("openai", "sk-1", "http://h:port", InvalidRequestError, "api_base"),
        ("openai", "sk-1", "http://h/v1?key=1", InvalidRequestError, "api_base"),
        ("openai", "sk-…", None, AuthenticationError, "copied whole"),
        ("openai", "sk-1 sk-2", None, AuthenticationError, "copied whole"),
        ("openai", "sk-1\r\nX-Evil: 1", None, AuthenticationError, "copied whole"),
    ],
)  # fmt: skip
def test_what_is_missing_or_wrong_is_said(
    provider: str | None, key: str | None, base: str | None, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        Tollgate.create(provider, key, base)
    assert "sk-" not in str(raised.value)


@pytest.mark.parametrize("model", ["", "  ", None, 7])
def test_a_model_must_be_named(model: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"^model: name one"):
        completion(model, HELLO, api_key="sk-1")
    with (
        Tollgate.create("openai", "sk-1") as client,
        pytest.raises(InvalidRequestError, match="model: name one"),
    ):
        client.completion(model, HELLO)


def test_the_gateways_key_alone_is_known(monkeypatch: pytest.MonkeyPatch, upstream: Upstream) -> None:
    upstream.on("/v1/chat/completions", upstream.add(written("openai-chat")))
    monkeypatch.setenv("TOLLGATE_KEY", "gw-sentinel")
    monkeypatch.setenv("TOLLGATE_API_BASE", f"{upstream.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    asked = {
        "openai:gpt-4o-mini": "openai:gpt-4o-mini",
        "openai/gpt-4o-mini": "openai/gpt-4o-mini",
        "gpt-4o-mini": "gpt-4o-mini",
        "tollgate:fast": "fast",
        "acme:rocket": "acme:rocket",
    }
    for model in asked:
        completion(model, HELLO)
    completion("gpt-4o-mini", HELLO, provider="openai")
    with Tollgate.create("openai") as client:
        client.completion("gpt-4o-mini", HELLO)
        client.completion("openai:gpt-4o-mini", HELLO)
    names = [call.json["model"] for call in upstream.calls]
    assert names == [*asked.values(), "openai:gpt-4o-mini", "openai:gpt-4o-mini", "openai:gpt-4o-mini"]
    for call in upstream.calls:
        assert call.headers["authorization"] == "Bearer gw-sentinel"
        assert "sk-hidden" not in str(call)


def test_each_provider_gets_its_key_as_it_wants_it(upstream: Upstream) -> None:
    for name in ("openai-chat", "anthropic-messages", "gemini-generate"):
        upstream.add(written(name))
    for model, base in (
        ("openai:gpt-4o-mini", "/v1"),
        ("anthropic:claude-sonnet-4-5", ""),
        ("gemini:gemini-2.5-flash", ""),
    ):
        completion(model, HELLO, api_key="sk-1", api_base=upstream.url + base, max_tokens=9)
    openai, anthropic, gemini = (call.headers for call in upstream.calls)
    assert openai["authorization"] == "Bearer sk-1"
    assert (anthropic["x-api-key"], anthropic["anthropic-version"]) == ("sk-1", "2023-06-01")
    assert gemini["x-goog-api-key"] == "sk-1"
    assert not [headers for headers in (anthropic, gemini) if "authorization" in headers]
    assert {headers["user-agent"] for headers in (openai, anthropic, gemini)} == {"tollgate-sdk"}


def test_a_provider_without_the_operation_says_so() -> None:
    with pytest.raises(UnsupportedOperationError, match=r"\[anthropic\] This provider has no embeddings"):
        embedding("anthropic:claude-sonnet-4-5", "x", api_key="sk-1")


def test_a_client_shows_no_secret() -> None:
    with Tollgate.create(
        "openai", "sk-sentinel", "http://user:sentinel@h:1/v1", default_headers={"x": "sentinel"}
    ) as c:
        assert repr(c) == "Tollgate(provider='openai', api_base='http://h:1/v1')"
        assert "sentinel" not in repr([vars(c)["_endpoint"].key is None, c._sender, c._async_sender])
    assert "sentinel" not in repr(find_endpoint("openai", "sentinel-key", None, {}))


@pytest.mark.parametrize("retries", [-1, 1.5, True, "2"])
def test_retries_must_be_a_count(retries: Any) -> None:
    with pytest.raises(ValueError, match="max_retries"):
        Tollgate.create("openai", "sk-1", max_retries=retries)
    with pytest.raises(ValueError, match="max_retries"):
        list_models("openai", "sk-1", client_args={"max_retries": retries})


def test_an_unknown_client_argument_is_named() -> None:
    with pytest.raises(TypeError, match="retries"):
        completion("openai:gpt-4o", HELLO, api_key="sk-1", client_args={"retries": 2})
