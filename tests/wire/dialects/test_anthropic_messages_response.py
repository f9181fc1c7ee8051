"""Whole answers: of other providers as Anthropic clients get them, and what is read of Anthropic's own."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from wire.dialect import Facts
from wire.dialects.anthropic_messages import DIALECT
from wire.errors import UpstreamMalformed
from wire.neutral import (
    Audio,
    Choice,
    Finish,
    FinishReason,
    Image,
    Media,
    Native,
    Part,
    Refusal,
    Response,
    Stamp,
    Text,
    ToolCall,
    Usage,
)

STAMP = Stamp(id="0af", created=7, model="alias")


def answer(*parts: Part, reason: FinishReason = "stop", **fields: Any) -> Response:
    finish = fields.pop("finish", Finish(reason=reason))
    choice = Choice(parts=parts, finish=finish, logprobs=fields.pop("logprobs", None))
    given = {"dialect": "openai_chat", "id": "x", "model": "gpt", "choices": (choice,), "usage": None, **fields}
    return Response(**given)


def test_an_answer_of_another_provider() -> None:
    usage = Usage(
        input=100, cache_read=30, cache_write_5m=10, cache_write_1h=5, output=20, reasoning=8, web_searches=2,
        native={"prompt_tokens": 100},
    )  # fmt: skip
    out = DIALECT.render_response(answer(Text(text="hi"), usage=usage), STAMP)
    assert out.dropped == ()
    assert out.body == {
        "id": "msg_0af",
        "type": "message",
        "role": "assistant",
        "model": "alias",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 55,
            "cache_creation_input_tokens": 15,
            "cache_read_input_tokens": 30,
            "output_tokens": 20,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 5},
            "output_tokens_details": {"thinking_tokens": 8},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
        },
    }
    again = DIALECT.parse_response(out.body).usage
    assert again is not None
    assert (again.input, again.cache_read, again.cache_write_5m, again.cache_write_1h) == (100, 30, 10, 5)
    assert (again.output, again.reasoning, again.web_searches) == (20, 8, 2)


def test_usage_of_the_responses_api_is_not_taken_for_anthropics() -> None:
    native = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_tokens_details": {"cached_tokens": 4}}
    out = DIALECT.render_response(answer(usage=Usage(input=10, cache_read=4, output=5, native=native)), STAMP)
    assert out.body["usage"] == {
        "input_tokens": 6,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 4,
        "output_tokens": 5,
    }


@pytest.mark.parametrize(
    ("finish", "parts", "expected"),
    [
        (Finish(reason="stop", native="STOP"), (ToolCall(id="c", name="f", arguments="{}"),), "tool_use"),
        (Finish(reason="tool_calls", native="tool_calls"), (), "tool_use"),
        (Finish(reason="length", native="length"), (), "max_tokens"),
        (Finish(reason="length", native="model_context_window_exceeded"), (), "model_context_window_exceeded"),
        (Finish(reason="pause"), (), "pause_turn"),
        (Finish(reason="error"), (), "end_turn"),
    ],
)
def test_stop_reasons(finish: Finish, parts: tuple[Part, ...], expected: str) -> None:
    body = DIALECT.render_response(answer(*parts, finish=finish), STAMP).body
    assert (body["stop_reason"], body["stop_sequence"]) == (expected, None)
    assert "stop_details" not in body


def test_an_end_by_an_error_has_no_word() -> None:
    assert DIALECT.render_response(answer(reason="error"), STAMP).dropped == ("finish_reason",)


def test_a_stop_sequence_is_named() -> None:
    body = DIALECT.render_response(answer(finish=Finish(reason="stop_sequence", stop_sequence="END")), STAMP).body
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", "END")


@pytest.mark.parametrize(
    ("finish", "parts", "explanation"),
    [
        (Finish(reason="content_filter", details="SAFETY"), (), "SAFETY"),
        (Finish(reason="stop"), (Refusal(text="I cannot"),), None),
    ],
)
def test_refusals(finish: Finish, parts: tuple[Part, ...], explanation: str | None) -> None:
    body = DIALECT.render_response(answer(*parts, finish=finish), STAMP).body
    assert body["stop_reason"] == "refusal"
    assert body["stop_details"] == {"type": "refusal", "category": None, "explanation": explanation}


def test_what_a_message_cannot_hold_is_reported() -> None:
    out = DIALECT.render_response(
        answer(
            Text(text=""),
            Image(media=Media(data="AAAA"), path="choices[0].images[0]"),
            Audio(media=Media(data="AAAA"), transcript="spoken"),
            Native(dialect="gemini", type="executableCode", value={}, path="candidates[0].content.parts[2]"),
            ToolCall(id="c", name="f", arguments='{"cut": '),
            logprobs={"content": []},
            extra={"system_fingerprint": "fp"},
        ),
        STAMP,
    )
    assert out.body["content"] == [
        {"type": "text", "text": "spoken"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"_raw": '{"cut": '}},
    ]
    assert out.dropped == (
        "choices[0].images[0]",
        "audio",
        "candidates[0].content.parts[2]",
        "c.arguments",
        "logprobs",
        "extra.system_fingerprint",
    )


def test_only_the_first_choice_is_carried() -> None:
    two = Choice(parts=(Text(text="a"),), finish=Finish(reason="stop"))
    given = Response(dialect="openai_chat", id=None, model=None, choices=(two, two), usage=None)
    assert DIALECT.render_response(given, STAMP).dropped == ("choices[1]",)
    none = Response(dialect="gemini", id=None, model=None, choices=(), usage=None)
    body = DIALECT.render_response(none, STAMP).body
    assert (body["content"], body["stop_reason"]) == ([], "end_turn")
    assert body["usage"] == {"input_tokens": 0, "output_tokens": 0}


def test_an_own_refusal_keeps_its_details() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "no"}
    body: dict[str, Any] = {"id": "msg_0af", "type": "message", "role": "assistant", "model": "alias", "content": [], "stop_reason": "refusal", "stop_sequence": None, "stop_details": details, "usage": {"input_tokens": 1, "output_tokens": 0}}  # fmt: skip  # noqa: E501
    response = DIALECT.parse_response(body)
    assert response.choices[0].finish == Finish(reason="refusal", native="refusal", details=details)
    assert DIALECT.render_response(response, STAMP).body == body


def test_blocks_and_stop_reasons_of_tomorrow_pass() -> None:
    body = {"content": [{"type": "hologram", "depth": 3}], "stop_reason": "tired"}
    response = DIALECT.parse_response(body)
    assert response.choices[0].parts == (
        Native(
            dialect="anthropic_messages", type="hologram", value={"type": "hologram", "depth": 3}, path="content[0]"
        ),
    )
    assert response.choices[0].finish == Finish(reason="stop", native="tired")
    assert response.usage is None


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"content": "text"},
        {"content": ["text"]},
        {"content": [{"type": "tool_use", "id": "x", "name": "f"}]},
        {"content": [], "id": 3},
        {"content": [], "model": 3},
    ],
)
def test_what_is_no_message_is_malformed(body: Any) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.parse_response(body)


# ------------------------------------------------------------------------------------------------------------ metering
def test_facts_of_an_answer() -> None:
    body = {
        "id": "msg_1",
        "content": [
            {"type": "thinking", "thinking": "가", "signature": "s"},
            {"type": "text", "text": "ab"},
            {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
            {"type": "tool_use", "id": "c", "name": "f", "input": {}},
            "odd",
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 4, "service_tier": "priority"},
    }
    facts = DIALECT.read_response(orjson.dumps(body))
    assert (facts.response_id, facts.finish, facts.service_tier) == ("msg_1", "tool_calls", "priority")
    assert facts.text_bytes == len("가".encode()) + len("ab") + len('{"a":1}')
    assert DIALECT.read_response(b'{"id": 1, "content": 2, "usage": 3}') == Facts(usage=None)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff", b""])
def test_facts_of_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.read_response(body)


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(input=5, output=2)),
        (
            {"input_tokens": 5, "cache_creation_input_tokens": 7, "output_tokens": 2},
            Usage(input=12, cache_write_5m=7, output=2),
        ),
        (
            {"input_tokens": 0, "cache_creation": {"ephemeral_1h_input_tokens": 3, "ephemeral_5m_input_tokens": 4}},
            Usage(input=7, cache_write_5m=4, cache_write_1h=3),
        ),
        (  # the total of the last event rules over a breakdown of the first
            {"cache_creation_input_tokens": 0, "cache_creation": {"ephemeral_1h_input_tokens": 3}},
            Usage(),
        ),
        (  # a compaction is charged beside the top-level counts, which hold the messages; an advisor is another model
            {
                "input_tokens": 10,
                "output_tokens": 4,
                "iterations": [
                    {"type": "compaction", "input_tokens": 100, "output_tokens": 30, "cache_read_input_tokens": 50},
                    {"type": "message", "input_tokens": 10, "output_tokens": 4},
                    {"type": "advisor_message", "model": "other", "input_tokens": 1000, "output_tokens": 1000},
                ],
            },
            Usage(input=160, cache_read=50, output=34),
        ),
        ({"input_tokens": 5, "iterations": [7, {"type": 7}]}, Usage(input=5)),
        ({"input_tokens": 5, "iterations": "x"}, Usage(input=5)),
        ({"input_tokens": "5", "output_tokens": True, "cache_read_input_tokens": -3}, Usage()),
        ({"server_tool_use": 3, "output_tokens_details": [], "cache_creation": "x"}, Usage()),
    ],
)
def test_usage(native: dict[str, Any], expected: Usage) -> None:
    usage = DIALECT.parse_response({"content": [], "usage": native}).usage
    assert usage is not None
    assert usage.native == native
    assert {name: getattr(usage, name) for name in Usage.__struct_fields__ if name != "native"} == {
        name: getattr(expected, name) for name in Usage.__struct_fields__ if name != "native"
    }
