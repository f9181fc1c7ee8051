"""The minimal CPU stack's format: a prompt, an answer."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.wire.front_doors.doors import UUID, account, answer, stamp, text_events
from wire.errors import BadRequest, UpstreamUnavailable
from wire.front_doors.cpu_stack import DOOR
from wire.neutral import Text, Thinking

_WHOLE = {
    "trace_id": UUID,
    "model": "gpt-4o-mini",
    "provider": "openai",
    "answer": "Hello!",
    "latency_ms": 123.456,
    "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500, "cost_usd": 0.00045},
}


def test_a_request_is_read() -> None:
    body = {"prompt": " hi ", "model": "local", "max_tokens": 5, "temperature": 1, "user": "u", "top_k": 3}
    request = DOOR.parse_request(body)
    (message,) = request.messages
    assert (message.role, message.parts) == ("user", (Text(text=" hi ", path="prompt"),))
    assert (request.dialect, request.model, request.stream) == ("cpu_stack", "local", False)
    assert (request.max_tokens, request.temperature) == (5, 1)
    assert request.extra == {"top_k": 3}
    streamed = DOOR.parse_request({"prompt": "hi", "stream": True}, model="m")
    assert (streamed.model, streamed.stream) == ("m", True)
    assert not DOOR.parse_request({"prompt": "hi", "stream": True}, model="m", stream=False).stream


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": "\n "}, "prompt"),
        ({"prompt": 1}, "prompt"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"model": None}, "model"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as raised:
        DOOR.parse_request({"prompt": "hi", "model": "m", **fields})
    assert raised.value.param == param


def test_an_answer_and_its_cost() -> None:
    rendered = DOOR.render_response(answer(Thinking(text="hm"), Text(text="Hello!")), stamp())
    assert orjson.loads(orjson.dumps(rendered.body)) == _WHOLE
    assert list(rendered.body) == list(_WHOLE)
    assert rendered.dropped == ("thinking",)
    unpriced = DOOR.render_response(answer(), stamp(account(None, None)))
    assert unpriced.body["usage"]["cost_usd"] is None


def test_a_stream() -> None:
    renderer = DOOR.stream_renderer(stamp())
    sent = b"".join(renderer.feed(event) for event in text_events("Hel", "lo!")) + renderer.close()
    *deltas, last = [orjson.loads(block.removeprefix(b"data: ")) for block in sent.split(b"\n\n") if block]
    assert deltas == [{"type": "delta", "trace_id": UUID, "answer": text} for text in ("Hel", "lo!")]
    expected = {name: value for name, value in _WHOLE.items() if name != "answer"}
    assert last == {"type": "done", **expected, "finish_reason": "length"}


def test_errors_are_told_as_they_are() -> None:
    error = UpstreamUnavailable("The upstream failed")
    assert DOOR.told(error) is error
    expected = {"error": {"code": "upstream_unavailable", "message": "The upstream failed"}}
    assert DOOR.render_error(error) == {**expected, "detail": "The upstream failed"}
