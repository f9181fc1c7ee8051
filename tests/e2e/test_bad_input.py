"""Bad input at the door: the right status in the right shape, no stack trace, and no row for what never went out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.deployment import MASTER_KEY, Deployment
from tests.replay import Upstream
from tests.replay.answers import Answer

CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
_SCHEMA: dict[str, Any] = json.loads('{"properties":{"a":' * 150 + "{}" + "}}" * 150)
_DEEP = {"name": "f", "parameters": {"type": "object", **_SCHEMA}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    config = {"max_body_bytes": 100_000, "cors_allow_origins": ["https://chat.example"]}
    with Upstream() as upstream, Deployment(tmp_path_factory.mktemp("bad"), upstream.url, config=config) as deployment:
        yield deployment, upstream


def _error(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert "Traceback" not in response.text
    body = response.json()
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["detail"]
    assert response.headers["x-request-id"]
    found: dict[str, Any] = body["error"]
    return found


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"\xff\xfe", None),
        (b"[]", None),
        (b"null", None),
        (b"[" * 100_00, None),
        (json.dumps({"messages": HELLO["messages"]}).encode(), "model"),
        (json.dumps({**HELLO, "model": 7}).encode(), "model"),
        (json.dumps({**HELLO, "model": ""}).encode(), "model"),
        (json.dumps({**HELLO, "model": "openai:" + "x" * 249}).encode(), "model"),
        (json.dumps({**HELLO, "messages": []}).encode(), "messages"),
        (json.dumps({**HELLO, "messages": "hi"}).encode(), "messages"),
        (json.dumps({"model": "openai:gpt-4o-mini"}).encode(), "messages"),
        (json.dumps({**HELLO, "stream": "yes"}).encode(), "stream"),
        (json.dumps({**HELLO, "user": 5}).encode(), "user"),
        (
            json.dumps({**HELLO, "model": "claude", "messages": [{"role": "user", "content": 3}]}).encode(),
            "messages[0].content",
        ),
        (
            json.dumps({**HELLO, "model": "claude", "tools": [{"type": "function", "function": _DEEP}]}).encode(),
            "tools",
        ),
    ],
)
def test_a_malformed_body_is_400(place: tuple[Deployment, Upstream], body: bytes, param: str | None) -> None:
    error = _error(place[0].post(CHAT, body), 400)
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param


def test_an_unknown_model_is_404(place: tuple[Deployment, Upstream]) -> None:
    error = _error(place[0].post(CHAT, {**HELLO, "model": "nobody:none"}), 404)
    assert error["param"] == "model"


def test_too_large_a_body_is_413(place: tuple[Deployment, Upstream]) -> None:
    large = {**HELLO, "messages": [{"role": "user", "content": "x" * 100_001}]}
    _error(place[0].post(CHAT, large), 413)

    def pieces() -> Iterator[bytes]:
        for _ in range(200):
            yield b" " * 1000

    deployment = place[0]
    headers = {"Authorization": f"Bearer {deployment.key}"}
    _error(httpx.post(deployment.url + CHAT, content=pieces(), headers=headers), 413)
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    _error(httpx.post(deployment.url + "/v1/keys", content=pieces(), headers=headers), 413)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "Missing X-AnyLLM-Key or Authorization header"),
        ({"Authorization": "Basic abc"}, "Invalid header format. Expected 'Bearer <token>'"),
        ({"Authorization": "Bearer sk-123"}, "Invalid API key format: API key must start with 'gw-' prefix"),
        (
            {"x-api-key": "gw-123"},
            "Invalid API key format: API key is too short. Expected at least 50 characters, got 6",
        ),
        ({"X-AnyLLM-Key": "Bearer gw-" + "a" * 64}, "Invalid API key"),
        ({"x-goog-api-key": "gw-" + "a" * 64}, "Invalid API key"),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/models"])
def test_a_missing_or_wrong_key_is_401(
    place: tuple[Deployment, Upstream], headers: dict[str, str], message: str, path: str
) -> None:
    """Before the body is looked at: a broken one changes nothing."""
    method = "POST" if path == CHAT else "GET"
    response = httpx.request(method, place[0].url + path, headers=headers, content=b"{" if path == CHAT else None)
    if path != CHAT and "x-goog-api-key" in headers:  # its own client reads its own shape
        error = response.json()["error"]
        assert (error["code"], error["status"]) == (401, "UNAUTHENTICATED")
    else:
        error = _error(response, 401)
        assert response.json()["detail"] == message
    assert error["message"] == message


def test_management_is_for_the_master_key(place: tuple[Deployment, Upstream]) -> None:
    deployment = place[0]
    assert _error(deployment.post("/v1/keys", b"{"), 401)["message"] == "Invalid master key"
    assert deployment.post("/v1/keys", {"key_name": "\x00"}, key=MASTER_KEY).status_code == 422
    made = deployment.post("/v1/keys", {"key_name": "mine", "user_id": "ann"}, key=MASTER_KEY)
    assert made.status_code == 200
    assert len(made.json()["key"]) == 67
    assert made.json()["user_id"] == "ann"


def test_the_master_key_names_who_pays(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    said = _error(deployment.post(CHAT, HELLO, key=MASTER_KEY), 400)["message"]
    assert said == "When using master key, 'user' field is required in request body"
    _error(deployment.post(CHAT, {**HELLO, "user": "nobody"}, key=MASTER_KEY), 404)
    deployment.post("/v1/keys", {"user_id": "bob"}, key=MASTER_KEY)
    assert _error(deployment.post(CHAT, {**HELLO, "user": "bob"}), 403)["type"] == "permission_error"
    assert not upstream.calls


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (
            Answer(status=401, pieces=(b'{"error":{"message":"bad key sentinel-openai-key"}}',)),
            502,
            "upstream_credentials",
        ),
        (Answer(status=400, pieces=(b'{"error":{"message":"no such thing","param":"x"}}',)), 400, None),
        (Answer(status=404, pieces=(b'{"error":{"message":"gone"}}',)), 404, None),
        (Answer(status=302, headers={"location": "http://127.0.0.1:1/"}, pieces=(b"",)), 502, "upstream_malformed"),
        (Answer(pieces=(b"<html>",)), 502, "upstream_malformed"),
    ],
)
def test_what_the_upstream_refuses_is_a_row(
    place: tuple[Deployment, Upstream], answer: Answer, status: int, code: str | None
) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on("/v1/chat/completions", answer)
    response = deployment.post(CHAT, {**HELLO, "user": f"upstream-{status}-{code}-{answer.status}"})
    error = _error(response, status)
    assert "sentinel" not in response.text
    if code is not None:
        assert error["code"] == code
    (row,) = deployment.rows(1, request_id=response.headers["x-request-id"])
    assert row["status"] == "error"
    assert row["http_status"] == answer.status
    assert (row["cost"] == 0) == (answer.status >= 300)  # what took the request and answered nonsense may charge for it


def test_an_answer_with_a_header_beyond_ascii_is_an_answer(place: tuple[Deployment, Upstream]) -> None:
    """And its model, which only this upstream knows, is no series of its own in the metrics."""
    deployment, upstream = place
    upstream.forget()
    said = b'{"id":"x","object":"chat.completion","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
    headers = {"content-type": "application/json", "x-place": "caf\u00e9"}
    upstream.on("/v1/chat/completions", Answer(headers=headers, pieces=(said,)))
    assert deployment.post(CHAT, {**HELLO, "model": "openai:made-up-1"}).status_code == 200
    counted = deployment.get("/metrics").text
    assert "made-up-1" not in counted
    assert 'gateway_tokens_total{model="other",provider="openai",type="input"} 1.0' in counted


def test_a_provider_without_a_key_is_503_with_the_reason(tmp_path: Any) -> None:
    """One whose key no header can hold is not called either, and the key is not said."""
    config: dict[str, Any] = {"providers": {"openai": {"api_key": "sk-first\nsk-second"}}}
    with Upstream() as upstream, Deployment(tmp_path, upstream.url, config=config) as deployment:
        error = _error(deployment.post(CHAT, {**HELLO, "model": "claude"}), 503)
        assert "secrets/api_keys.yaml" in error["message"]
        assert "control character" in _error(deployment.post(CHAT, HELLO), 503)["message"]
        assert "sk-second" not in deployment.log_text()
        models = deployment.get("/v1/models").json()["data"]
        owners = {model["owned_by"] for model in models}
        assert {"openai", "anthropic", "gemini", "solar", "local"} <= owners
        assert not any(model["available"] for model in models)
        assert all(model["unavailable_reason"] for model in models)
        assert deployment.get("/v1/usage/count").json() == {"count": 0}


def test_other_sites_are_let_in_by_name_only(place: tuple[Deployment, Upstream]) -> None:
    url = place[0].url + CHAT
    asking = {"Access-Control-Request-Method": "POST"}
    known = httpx.options(url, headers={"Origin": "https://chat.example", **asking})
    assert known.status_code == 204
    assert known.headers["access-control-allow-origin"] == "https://chat.example"
    assert "x-stainless-os" not in known.headers["access-control-allow-headers"]
    asked = "content-type,x-stainless-os, x-goog-api-client,bad header,b(d," + "x" * 65 + ",,x-ok"
    sdk = httpx.options(
        url, headers={"Origin": "https://chat.example", **asking, "Access-Control-Request-Headers": asked}
    )
    allowed = sdk.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "x-stainless-os", "x-goog-api-client", "x-ok"} <= set(allowed)
    assert not any(name == "" or " " in name or "(" in name or len(name) > 64 for name in allowed)
    assert "Access-Control-Request-Headers" in sdk.headers["vary"]
    other = httpx.options(url, headers={"Origin": "https://evil.example", **asking})
    assert "access-control-allow-origin" not in other.headers
    assert place[0].get("/v1/models").headers["x-content-type-options"] == "nosniff"
