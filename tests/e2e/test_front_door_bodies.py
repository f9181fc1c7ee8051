"""Whatever is put into the fields of a front door is answered or refused in its form: never with a failure of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.deployment import Deployment
from tests.front_doors import written
from tests.replay import Upstream
from tests.replay.answers import answer_of

_TURNS = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
_SAMPLING = {"temperature": 0.5, "max_tokens": 5, "stream": False}
DOORS: dict[str, dict[str, Any]] = {
    "/api/chat/completions": {"messages": _TURNS, "session_id": "s", "user_id": "u", **_SAMPLING},
    "/api/v1/chat": {
        "user_prompt": "hi",
        "request_id": "r",
        "system_prompt": "be brief",
        "background": False,
        "web_search": False,
        "history": {"use": True},
        **_SAMPLING,
    },
    "/query": {"prompt": "hi", **_SAMPLING},
}
_ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    2**53,
    2**63,
    2**64,
    10**40,
    -(10**40),
    "",
    " ",
    "\x00",
    "톨게이트",
    "💬" * 50,
    [],
    {},
]
_json = st.recursive(
    st.sampled_from(_ODD) | st.text(max_size=20) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "type", "x"]), inner)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    config = {
        "auth": {"anonymous": {"user": "guest", "surfaces": ["playground", "llm_server", "cpu_stack"]}},
        # No limit of this model is known, so that what is too large gets as far as it can.
        "models": {
            "unknown": {"provider": "openai", "model": "nobody-knows"},
            "claude": {"provider": "anthropic", "model": "nobody-knows"},
            "gemini": {"provider": "gemini", "model": "nobody-knows"},
        },
    }
    with (
        Upstream() as upstream,
        Deployment(tmp_path_factory.mktemp("bodies"), upstream.url, config=config) as deployment,
    ):
        upstream.on("/v1/chat/completions", answer_of(written("openai-chat")))
        upstream.on("/v1/responses", answer_of(written("openai-chat")))
        upstream.on("/v1/messages", answer_of(written("anthropic-messages")))
        upstream.on("/v1beta/models/nobody-knows:generateContent", answer_of(written("gemini-generate")))
        yield deployment


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("model", ["unknown", "claude", "gemini"])
def test_no_body_is_our_failure(place: Deployment, path: str, model: str) -> None:
    plain = {"model": model, **DOORS[path]}
    odd = st.dictionaries(st.sampled_from([*plain, "strict", "unheard_of"]), _json, min_size=1, max_size=3)
    with httpx.Client(base_url=place.url, timeout=30) as client:

        @given(odd)
        @settings(
            max_examples=25,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        def answered(fields: dict[str, Any]) -> None:
            response = client.post(path, content=json.dumps({**plain, **fields}).encode("utf-8", "replace"))
            assert response.status_code in (200, 202, 400, 404), (fields, response.status_code, response.text)
            if response.status_code >= 400:
                told = response.json()
                assert set(told) == {"error", "detail"}
                assert set(told["error"]) == {"code", "message"}

        answered()


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"null", b"7", b'"text"', b"[]", b"[" * 20_000, b'{"model":"\\ud800"}']
)
def test_what_is_no_object_is_a_400(place: Deployment, path: str, body: bytes) -> None:
    response = httpx.post(place.url + path, content=body)
    assert response.status_code == 400, response.text
    assert set(response.json()["error"]) == {"code", "message"}


@pytest.mark.parametrize("path", DOORS)
def test_the_fields_of_a_door_are_described(place: Deployment, path: str) -> None:
    described = httpx.get(f"{place.url}/openapi.json").json()["paths"][path]["post"]
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    assert {"model", *DOORS[path]} <= set(schema["properties"])
    assert set(schema["required"]) <= set(schema["properties"])
