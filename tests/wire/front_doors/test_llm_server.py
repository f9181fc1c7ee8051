"""The LLM Server's format: a prompt, a text, and where it rests on something."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.wire.front_doors.doors import HEX, account, answer, text_events
from wire.errors import BadRequest, UpstreamUnavailable
from wire.front_doors.llm_server import DOOR, read_options
from wire.neutral import (
    BlockStart,
    BlockStop,
    Citation,
    CitationDelta,
    Native,
    Served,
    Stamp,
    Text,
    TextDelta,
    Thinking,
)

_SHOWN = {"history": {"messages": 2, "left_out": 0}, "used_user_api_key": False}
_WHOLE = {
    "id": HEX,
    "request_id": "dialogue",
    "model": "fast",
    "provider": "openai",
    "output_text": "Hello!",
    "finish_reason": "stop",
    "citations": [],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
    "cost": {"input_cost": 0.00015, "output_cost": 0.0003, "total_cost": 0.00045, "currency": "USD"},
    "timings": {"total_ms": 123.456, "upstream_ms": 120.0, "first_token_ms": None},
    **_SHOWN,
    "created_at": "2025-11-20T00:53:20Z",
}


def stamp(language: Any = None) -> Stamp:
    served = Served(
        provider="openai",
        model="gpt-4o-mini",
        session_id="dialogue",
        account=account,
        shown=_SHOWN,
        language=language,
    )
    return Stamp(id=HEX, created=1_763_600_000, model="fast", served=served)


def sent(renderer: Any, events: Any) -> list[dict[str, Any]]:
    out = b"".join(renderer.feed(event) for event in events) + renderer.close()
    return [orjson.loads(block.removeprefix(b"data: ")) for block in out.split(b"\n\n") if block]


def test_a_request_is_its_prompt() -> None:
    body = {
        "user_prompt": " hi ",
        "max_tokens": 5,
        "temperature": 1,
        "web_search": True,
        "system_prompt": "S",
        "top_k": 3,
    }
    request = DOOR.parse_request(body, model="m")
    (message,) = request.messages
    assert (message.role, message.parts) == ("user", (Text(text=" hi ", path="user_prompt"),))
    assert (request.dialect, request.model, request.stream, request.web_search) == ("llm_server", "m", False, True)
    assert (request.max_tokens, request.temperature, request.extra) == (5, 1, {"top_k": 3})
    assert DOOR.parse_request({"user_prompt": "x", "stream": True}, model="m").stream


@pytest.mark.parametrize(
    ("history", "found"),
    [
        (None, (True, True, None)),
        (True, (True, True, None)),
        (False, (False, False, None)),
        ({}, (True, True, None)),
        ({"use": False}, (False, True, None)),
        ({"save": False, "max_turns": 3}, (True, False, 3)),
        ({"max_turns": 0.0}, (True, True, 0)),
    ],
)
def test_history_options(history: Any, found: tuple[bool, bool, int | None]) -> None:
    options = read_options({"user_prompt": "x", "history": history})
    assert (options.use_history, options.save_history, options.max_turns) == found


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"openai_api_key": "k", "use_user_api_key": True}, "k"),
        ({"openai_api_key": "k", "use_user_api_key": False}, None),
        ({"openai_api_key": "k"}, None),
        ({"use_user_api_key": True}, None),
        ({"openai_api_key": "", "use_user_api_key": True}, None),
    ],
)
def test_whose_key_is_used(body: dict[str, Any], key: str | None) -> None:
    assert read_options({"user_prompt": "x", **body}).own_key == key


@pytest.mark.parametrize("body", [{"openai_api_key": ["sk-secret"]}, {"use_user_api_key": "sk-secret"}])
def test_a_wrong_type_is_named_and_not_repeated(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as raised:
        read_options({"user_prompt": "x", **body})
    assert raised.value.param in body
    assert "sk-secret" not in raised.value.message


def test_an_answer() -> None:
    rendered = DOOR.render_response(answer(Thinking(text="hm"), Text(text="Hello!")), stamp())
    assert orjson.loads(orjson.dumps(rendered.body)) == _WHOLE
    assert rendered.dropped == ("thinking",)


def test_a_stream_says_the_same() -> None:
    *deltas, last = sent(DOOR.stream_renderer(stamp()), text_events("Hel", "lo!"))
    assert deltas == [{"type": "delta", "request_id": "dialogue", "output_text": text} for text in ("Hel", "lo!")]
    expected = {name: value for name, value in _WHOLE.items() if name != "output_text"}
    assert last == {"type": "done", **expected, "finish_reason": "length"}


_PAGE = Citation(url="https://a.example", title="A", start=0, end=3)
_AGAIN = Citation(url="https://a.example", title="A")
_QUOTE = Citation(title="a document", cited_text="as it stands there", start=1, end=99)
_SOURCES = [
    {
        "url": "https://a.example",
        "title": "A",
        "cited_text": None,
        "spans": [{"start": 0, "end": 3}, {"start": 4, "end": 9}],
    },
    {"url": None, "title": "a document", "cited_text": "as it stands there", "spans": [{"start": 5, "end": 9}]},
]


def test_sources_are_told_once_with_their_places_in_the_whole_text() -> None:
    """Each place is counted from the beginning of its own part; without one it is all of it."""
    searched = Native(dialect="openai_responses", type="web_search_call", value={})
    parts = (searched, Text(text="One ", citations=(_PAGE,)), Text(text="가나다라마", citations=(_AGAIN, _QUOTE)))
    rendered = DOOR.render_response(answer(*parts), stamp())
    assert rendered.body["output_text"] == "One 가나다라마"
    assert rendered.body["citations"] == _SOURCES
    assert rendered.dropped == ()


def test_sources_of_a_stream() -> None:
    events = [
        BlockStart(block=0, kind="text", part=Text(text="")),
        TextDelta(block=0, text="One "),
        CitationDelta(block=0, citation=_PAGE),
        BlockStop(block=0),
        BlockStart(block=1, kind="text", part=Text(text="가")),
        TextDelta(block=1, text="나다"),
        CitationDelta(block=1, citation=_AGAIN),
        TextDelta(block=1, text="라마"),
        CitationDelta(block=1, citation=_QUOTE),
        BlockStop(block=1),
    ]
    renderer = DOOR.stream_renderer(stamp())
    assert sent(renderer, events)[-1]["citations"] == _SOURCES
    assert renderer.dropped == []


def test_errors_are_told_in_the_caller_s_language() -> None:
    error = UpstreamUnavailable("The upstream failed")
    assert DOOR.told(error) is error
    assert DOOR.told(error, "ko").message == "제공자 호출에 실패했습니다."
    told = orjson.loads(DOOR.stream_renderer(stamp("ko")).error(error).removeprefix(b"data: "))
    assert told == {
        "type": "error",
        "error": {"code": "upstream_unavailable", "message": "제공자 호출에 실패했습니다."},
        "detail": "제공자 호출에 실패했습니다.",
    }
