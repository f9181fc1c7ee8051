"""The playground's format: requests, answers, streams, errors."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from msgspec import structs

from tests.wire.front_doors.doors import HEX, account, answer, stamp, text_events
from wire.errors import (
    BadRequest,
    GatewayError,
    LimitReached,
    NotFound,
    NotReady,
    Unauthenticated,
    UpstreamCredentials,
    UpstreamMalformed,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
)
from wire.front_doors.playground import DOOR
from wire.neutral import Account, Request, Text

_PLAIN: dict[str, Any] = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}
_WHOLE = {
    "id": f"chat-{HEX}",
    "model": "fast",
    "provider": "openai",
    "content": "Hello!",
    "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
    "cost": {"input_cost": 0.00015, "output_cost": 0.0003, "total_cost": 0.00045, "currency": "USD"},
    "created_at": "2025-11-20T00:53:20Z",
}


def _read(**fields: Any) -> Request:
    return DOOR.parse_request({**_PLAIN, **fields})


def test_a_request_is_read() -> None:
    request = _read(temperature=0.5, max_tokens=64, stream=True, session_id="s", user_id="u", top_p=0.9, seed=None)
    assert (request.dialect, request.model, request.stream) == ("playground", "fast", True)
    assert (request.temperature, request.max_tokens) == (0.5, 64)
    assert request.messages[0].parts == (Text(text="hi", path="messages[0].content"),)
    assert request.extra == {"top_p": 0.9}
    assert request.user is None


def test_what_is_asked_beside_the_body_wins() -> None:
    request = DOOR.parse_request({**_PLAIN, "stream": True}, model="other", stream=False)
    assert (request.model, request.stream) == ("other", False)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "hi"}]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.01}, "temperature"),
        ({"stream": 1}, "stream"),
        ({"model": 1}, "model"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as raised:
        _read(**fields)
    assert raised.value.param == param
    assert f"'{param}'" in raised.value.message


def test_an_answer_is_flat() -> None:
    rendered = DOOR.render_response(answer(), stamp())
    assert orjson.loads(orjson.dumps(rendered.body)) == _WHOLE
    assert list(rendered.body) == list(_WHOLE)
    assert rendered.dropped == ()


def test_a_stream_ends_with_what_a_whole_answer_has() -> None:
    renderer = DOOR.stream_renderer(stamp())
    sent = b"".join(renderer.feed(event) for event in text_events("Hel", 'lo"\n', "")) + renderer.close()
    events = [orjson.loads(block.removeprefix(b"data: ")) for block in sent.split(b"\n\n") if block]
    *deltas, last = events
    assert deltas == [{"type": "delta", "id": f"chat-{HEX}", "content": text} for text in ("Hel", 'lo"\n')]
    expected = {name: value for name, value in _WHOLE.items() if name != "content"}
    assert last == {"type": "done", **expected, "finish_reason": "length"}


def test_the_account_is_asked_for_at_the_end_alone() -> None:
    asked: list[int] = []
    of = stamp()
    assert of.served is not None

    def count() -> Account:
        asked.append(1)
        return account()

    renderer = DOOR.stream_renderer(structs.replace(of, served=structs.replace(of.served, account=count)))
    for event in text_events("Hello!"):
        renderer.feed(event)
    assert not asked
    renderer.close()
    assert asked == [1]


@pytest.mark.parametrize(
    ("error", "status", "code", "message"),
    [
        (Unauthenticated("API key has expired", code="expired_key"), 401, "invalid_api_key", "Invalid API key"),
        (UpstreamCredentials("refused"), 401, "invalid_api_key", "Invalid API key"),
        (UpstreamCredentials("yours", status=403, code="own_key_refused"), 403, "own_key_refused", "yours"),
        (NotFound("no", param="model"), 404, "model_not_found", "Unsupported model"),
        (UpstreamRejected("no", status=404), 404, "model_not_found", "Unsupported model"),
        (NotFound("User 'x' not found", param="user_id"), 404, "not_found", "User 'x' not found"),
        (UpstreamRateLimited("busy at org-1"), 429, "rate_limit_exceeded", "Rate limit exceeded"),
        (LimitReached("10 requests per minute"), 429, "rate_limit_exceeded", "10 requests per minute"),
        (UpstreamRejected("too long"), 400, "invalid_request_error", "too long"),
        (UpstreamUnavailable("host"), 500, "provider_failure", "Provider API failure"),
        (UpstreamTimedOut("slow"), 500, "provider_failure", "Provider API failure"),
        (UpstreamMalformed("odd"), 500, "provider_failure", "Provider API failure"),
        (NotReady("draining"), 503, "not_ready", "Service unavailable"),
        (BadRequest("wrong", param="x"), 400, "invalid_request_error", "wrong"),
    ],
)
def test_errors_are_told_in_standard_words(error: GatewayError, status: int, code: str, message: str) -> None:
    told = DOOR.told(error)
    assert told.status == status
    assert DOOR.render_error(told)["error"] == {"code": code, "message": message}
    again = DOOR.told(told)
    assert (again.status, DOOR.render_error(again)) == (told.status, DOOR.render_error(told))
    event = DOOR.stream_renderer(stamp()).error(error)
    assert orjson.loads(event.removeprefix(b"data: ")) == {"type": "error", **DOOR.render_error(told)}


def test_how_long_to_wait_is_told_too() -> None:
    assert DOOR.told(UpstreamRateLimited("busy", retry_after=7)).retry_after == 7
    assert DOOR.told(UpstreamUnavailable("away", retry_after=8)).retry_after == 8


def test_the_detail_of_a_wrong_key_stays() -> None:
    told = DOOR.told(Unauthenticated("API key has expired"))
    assert DOOR.render_error(told)["detail"] == "API key has expired"
    assert DOOR.render_error(DOOR.told(UpstreamCredentials("sentinel")))["detail"] == "Invalid API key"
