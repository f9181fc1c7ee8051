"""Chat streams: chunks to neutral events, events to chunks, and the meter that only watches."""

from __future__ import annotations

import base64
import json
from typing import Any

import orjson
import pytest

from wire.dialects.openai_chat import DIALECT
from wire.errors import (
    UpstreamError,
    UpstreamMalformed,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from wire.neutral import (
    Audio,
    BlockStart,
    BlockStop,
    Citation,
    CitationDelta,
    DialectName,
    Document,
    Ended,
    Extra,
    Failed,
    Finish,
    Image,
    Media,
    Native,
    Refusal,
    SignatureDelta,
    Stamp,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
    UsageUpdate,
)
from wire.sse import SseEvent, split_all

STAMP = Stamp(id="abc", created=7, model="m")
DONE = SseEvent(None, b"[DONE]", b"data: [DONE]\n\n")


def chunk(delta: Any = None, *, index: Any = 0, finish: Any = None, top: Any = None, **choice: Any) -> SseEvent:
    """A chunk with one choice."""
    one = {"index": index, "delta": {} if delta is None else delta, "finish_reason": finish, **choice}
    return raw({"id": "c-1", "model": "up", "created": 5, "choices": [one], **(top or {})})


def raw(body: Any, event: str | None = None) -> SseEvent:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return SseEvent(event, data, b"data: " + data + b"\n\n")


def call(index: Any = 0, **fields: Any) -> dict[str, Any]:
    """A delta with one tool call; `name` and `arguments` go into its function."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return {"tool_calls": [{"index": index, "function": function, **fields}]}


STOP = chunk(finish="stop")


def parse(*events: SseEvent) -> list[StreamEvent]:
    parser = DIALECT.stream_parser()
    out = [neutral for event in events for neutral in parser.feed(event)]
    return out + parser.close()


def whole(*deltas: Any) -> list[StreamEvent]:
    """Events of a finished stream, without its first, its finish and its end."""
    out = parse(*(chunk(delta) for delta in deltas), STOP, DONE)
    assert isinstance(out[0], Started)
    assert isinstance(out[-1], Ended)
    return [event for event in out if not isinstance(event, Started | Finish | Ended)]


def calls(*deltas: Any) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call of a stream."""
    found: dict[int, list[str]] = {}
    for event in whole(*deltas):
        if isinstance(event, BlockStart) and isinstance(event.part, ToolCall):
            found[event.block] = [event.part.id, event.part.name, ""]
        elif isinstance(event, TextDelta) and event.block in found:
            found[event.block][2] += event.text
    return [(entry[0], entry[1], entry[2]) for entry in found.values()]


# ------------------------------------------------------------------------------------------------------- parsing
def test_a_stream_of_text() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert parse(
        chunk({"role": "assistant", "content": "", "refusal": None}, top={"usage": None, "obfuscation": "x"}),
        chunk({"content": "Hel"}),
        chunk({"role": "assistant", "content": "lo"}),
        STOP,
        raw({"id": "c-1", "choices": [], "usage": usage, "service_tier": "flex"}),
        DONE,
    ) == [
        Started(id="c-1", model="up", created=5),
        BlockStart(block=0, kind="text", part=Text(text="")),
        TextDelta(block=0, text="Hel"),
        TextDelta(block=0, text="lo"),
        UsageUpdate(usage=Usage(input=1, output=2, service_tier="flex", native=usage)),
        BlockStop(block=0),
        Finish(reason="stop", native="stop"),
        Ended(),
    ]


def test_nothing_counts_after_the_end() -> None:
    parser = DIALECT.stream_parser()
    parser.feed(STOP)
    assert parser.feed(DONE)
    assert parser.feed(chunk({"content": "late"})) == []
    assert parser.close() == []


def test_a_stream_without_done_is_whole_once_every_choice_has_its_reason() -> None:
    assert isinstance(parse(chunk({"content": "a"}), STOP)[-1], Ended)
    with pytest.raises(UpstreamTruncated):
        parse(chunk({"content": "a"}))
    with pytest.raises(UpstreamTruncated):
        parse(STOP, chunk({"content": "a"}, index=1))
    with pytest.raises(UpstreamTruncated):
        parse()
    assert parse(DONE) == [Started(), Ended()]


def test_done_ends_a_stream_whose_server_gives_no_reasons() -> None:
    assert parse(chunk({"content": "a"}), DONE)[-2:] == [Finish(reason="stop"), Ended()]
    out = parse(chunk(call(id="c1", name="f", arguments="{}")), DONE)
    assert out[-2:] == [Finish(reason="tool_calls"), Ended()]


def test_what_is_said_after_the_reason_still_counts_and_the_last_reason_wins() -> None:
    out = parse(chunk({"content": "a"}, finish="stop"), chunk({"content": "b"}, finish="length"), DONE)
    assert [event.text for event in out if isinstance(event, TextDelta)] == ["a", "b"]
    assert [event.reason for event in out if isinstance(event, Finish)] == ["length"]


def test_azures_first_chunk_is_not_the_start() -> None:
    filters = [{"prompt_index": 0}]
    out = parse(
        raw({"id": "", "model": "", "choices": [], "prompt_filter_results": filters}),
        chunk({"content": "a"}, content_filter_results={"hate": {}}),
        STOP,
        DONE,
    )
    assert out[0] == Started(id="c-1", model="up", created=5)
    assert Extra(name="prompt_filter_results", value=filters) in out
    assert Extra(name="content_filter_results", value={"hate": {}}) in out


def test_facts_of_the_stream_are_told_when_they_are_new_or_changed() -> None:
    search = {"citations": ["https://e"], "nothing": None}
    out = parse(
        chunk({"content": "a"}, top=search), chunk({"content": "b"}, top=search), chunk(top={"citations": []}), STOP
    )
    extras = [(event.name, event.value) for event in out if isinstance(event, Extra)]
    assert extras == [("citations", ["https://e"]), ("citations", [])]
    late = parse(raw({"choices": [], "note": 1}), DONE)
    assert late == [Started(), Extra(name="note", value=1), Ended()]


def test_comments_pings_and_odd_types_are_no_matter() -> None:
    out = parse(
        SseEvent(None, None, b": OPENROUTER PROCESSING\n\n"),
        raw(b" "),
        raw({"id": 5, "model": 5, "created": "x", "choices": [{"index": "0", "delta": None}]}),
        chunk({"content": "a"}),
        STOP,
    )
    assert out[0] == Started()


@pytest.mark.parametrize(
    "event",
    [
        raw(b"{broken"),
        raw(b'{"a":' + b"[" * 9999),
        raw([1]),
        raw({"choices": {}}),
        raw({"choices": [1]}),
        chunk("text"),
        chunk({"content": 5}),
        chunk({"content": [{"type": 5}]}),
        chunk({"content": [{"type": "thinking", "thinking": 5}]}),
        chunk({"refusal": 5}),
        chunk({"reasoning": 5}),
        chunk({"reasoning_details": [{"text": 5}]}),
        chunk({"reasoning_details": [{"signature": 5}]}),
        chunk({"tool_calls": 5}),
        chunk({"tool_calls": [{"function": 5}]}),
        raw(b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":%b}}]}}]}' % (b"[" * 300 + b"]" * 300)),
        chunk({"audio": {"data": "?"}}),
        chunk({"annotations": [5]}),
    ],
)
def test_a_chunk_that_cannot_be_read_is_malformed(event: SseEvent) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.stream_parser().feed(event)


# ------------------------------------------------------------------------------------------------- parsing: usage
def usage_events(*events: SseEvent) -> list[tuple[int, bool]]:
    return [(event.usage.output, event.usage.complete) for event in parse(*events) if isinstance(event, UsageUpdate)]


def counted(output: int, **fields: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": 1, "completion_tokens": output}, **fields}


def test_running_counts_are_told_apart_from_the_last() -> None:
    assert usage_events(
        chunk({"content": "a"}, top=counted(1)),
        chunk({"content": "b"}, top=counted(2)),
        chunk(finish="stop", top=counted(3)),
    ) == [(1, False), (2, False), (3, True)]


def test_a_running_count_is_the_last_one_where_the_stream_ends_with_it() -> None:
    assert usage_events(chunk({"content": "a"}, top=counted(1)), DONE) == [(1, False), (1, True)]


def test_a_later_count_that_forgot_the_answer_does_not_win() -> None:
    assert usage_events(chunk(finish="stop", top=counted(3)), raw({"choices": [], **counted(0)})) == [(3, True)]


def test_groq_counts_up_to_three_ways() -> None:
    groq = {"x_groq": {"id": "r", "usage": {"prompt_tokens": 1, "completion_tokens": 3}}}
    assert usage_events(chunk(finish="stop", top=groq)) == [(3, True)]
    assert usage_events(chunk(finish="stop", top={**counted(3), **groq}), raw({"choices": [], **counted(3)})) == [
        (3, True),
        (3, True),
    ]


# ------------------------------------------------------------------------------------------------ parsing: errors
@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            raw({"error": {"message": "no tool", "code": "tool_use_failed", "status_code": 400, "type": "t"}}, "error"),
            Failed.of(UpstreamRejected("no tool", code="tool_use_failed", type="t")),
        ),
        (
            raw({"error": {"message": "down", "code": "503"}}),
            Failed.of(UpstreamUnavailable("down")),
        ),
        (
            raw({"error": {"message": "slow", "type": "rate_limit_error"}}),
            Failed.of(UpstreamRateLimited("slow")),
        ),
        (
            raw({"message": "plain"}, "error"),
            Failed.of(UpstreamUnavailable("plain")),
        ),
    ],
)
def test_an_error_in_the_stream(event: SseEvent, expected: Failed) -> None:
    out = parse(chunk({"content": "a"}), event, DONE)
    assert out[-1] == expected
    assert not any(isinstance(other, Finish | Ended) for other in out)
    assert parse(event) == [Started(), expected]


def test_an_error_chunk_may_say_what_was_used() -> None:
    out = parse(raw({"id": "g", "error": {"code": 400, "message": "m"}, "choices": [{"index": 0}], **counted(10)}))
    assert isinstance(out[1], UsageUpdate)
    assert (out[1].usage.output, out[1].usage.complete) == (10, True)
    assert isinstance(out[2], Failed)


# ------------------------------------------------------------------------------------------------ parsing: blocks
def test_kinds_of_text_are_blocks_one_after_the_other() -> None:
    events = whole(
        {"reasoning_content": "w", "reasoning": "w"}, {"reasoning": "hy"}, {"content": "a"}, {"refusal": "no"}
    )
    assert events == [
        BlockStart(block=0, kind="thinking", part=Thinking(origin="openai_chat")),
        TextDelta(block=0, text="w"),
        TextDelta(block=0, text="hy"),
        BlockStop(block=0),
        BlockStart(block=1, kind="text", part=Text(text="")),
        TextDelta(block=1, text="a"),
        BlockStop(block=1),
        BlockStart(block=2, kind="refusal", part=Refusal(text="")),
        TextDelta(block=2, text="no"),
        BlockStop(block=2),
    ]


def test_choices_have_blocks_of_their_own() -> None:
    out = parse(
        chunk({"content": "a"}),
        chunk({"content": "x"}, index=1),
        chunk({"content": "b"}),
        chunk(call(name="f", arguments="{}"), index=1, finish="tool_calls"),
        STOP,
        DONE,
    )
    blocks = [(event.block, event.choice) for event in out if isinstance(event, BlockStart)]
    assert blocks == [(0, 0), (1, 1), (2, 1)]
    assert [event.block for event in out if isinstance(event, TextDelta)] == [0, 1, 0, 2]
    finishes = [(event.choice, event.reason) for event in out if isinstance(event, Finish)]
    assert finishes == [(0, "stop"), (1, "tool_calls")]
    made = [event.part.id for event in out if isinstance(event, BlockStart) and isinstance(event.part, ToolCall)]
    assert made == ["call_c-1_1_0"]


def test_mistrals_list_content() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "why"}]}
    reference = {"type": "reference", "reference_ids": [1]}
    events = whole(
        {"content": [thinking]},
        {"content": [{"type": "thinking", "thinking": "!"}, {"type": "text", "text": "a"}, {"type": "text"}]},
        {"content": [reference]},
        {"content": [{"type": "thinking", "thinking": []}]},
    )
    kinds = [(event.kind, event.part) for event in events if isinstance(event, BlockStart)]
    assert kinds == [
        ("thinking", Thinking(origin="openai_chat")),
        ("text", Text(text="")),
        ("native", Native(dialect="openai_chat", type="reference", value=reference)),
    ]
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["why", "!", "a"]


def test_reasoning_details_with_their_proofs() -> None:
    claude = {"format": "anthropic-claude-v1", "index": 0}
    events = whole(
        {"reasoning": "wh", "reasoning_details": [{"type": "reasoning.text", "text": "wh", **claude}]},
        {"reasoning": "y", "reasoning_details": [{"type": "reasoning.text", "text": "y", **claude}]},
        {"reasoning_details": [{"type": "reasoning.text", "signature": "s", **claude}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "b", **claude, "index": 1}]},
        {
            "reasoning_details": [
                {"type": "reasoning.encrypted", "data": "o", "id": "rs", "format": "openai-responses-v1"}
            ]
        },
        {"content": "a"},
    )
    assert events[:12] == [
        BlockStart(block=0, kind="thinking", part=Thinking(origin="anthropic_messages")),
        TextDelta(block=0, text="wh"),
        TextDelta(block=0, text="y"),
        SignatureDelta(block=0, signature="s"),
        BlockStop(block=0),
        BlockStart(block=1, kind="thinking", part=Thinking(origin="anthropic_messages", redacted=True)),
        SignatureDelta(block=1, signature="b", opaque=True),
        BlockStop(block=1),
        BlockStart(block=2, kind="thinking", part=Thinking(origin="openai_responses", item_id="rs")),
        SignatureDelta(block=2, signature="o", opaque=True),
        BlockStop(block=2),
        BlockStart(block=3, kind="text", part=Text(text="")),
    ]


def test_geminis_proofs_of_calls() -> None:
    detail = {"type": "reasoning.encrypted", "data": "sig", "format": "google-gemini-v1"}
    before = whole({"reasoning_details": [{**detail, "id": "c1"}], **call(id="c1", name="f")})
    assert isinstance(before[0], BlockStart)
    assert before[0].part == ToolCall(id="c1", name="f", arguments="", signature="sig")
    after = whole(call(id="c1", name="f"), {"reasoning_details": [{**detail, "id": "c1"}]})
    assert after[1] == SignatureDelta(block=0, signature="sig")
    never = whole({"content": "a"}, {"reasoning_details": [{**detail, "id": "gone"}]})
    assert never[-2:] == [
        BlockStart(block=1, kind="thinking", part=Thinking(signature="sig", origin="gemini")),
        BlockStop(block=1),
    ]
    unbound = whole({"reasoning_details": [detail]})
    assert unbound[1] == SignatureDelta(block=0, signature="sig")


def test_googles_own_proofs() -> None:
    google = {"extra_content": {"google": {"thought_signature": "sig"}}}
    in_call = whole(call(id="c1", name="f", arguments="{}", **google))
    assert isinstance(in_call[0], BlockStart)
    assert in_call[0].part == ToolCall(id="c1", name="f", arguments="", signature="sig")
    beside_text = whole({"content": "a", **google})
    assert beside_text[2] == SignatureDelta(block=0, signature="sig")
    alone = whole(google)
    assert alone == [
        BlockStart(block=0, kind="text", part=Text(text="")),
        SignatureDelta(block=0, signature="sig"),
        BlockStop(block=0),
    ]


def test_annotations_belong_to_the_last_text() -> None:
    note = {"type": "url_citation", "url_citation": {"url": "https://e"}}
    citation = Citation(url="https://e", native=note, origin="openai_chat")
    events = whole({"content": "a"}, {"annotations": [note]})
    assert events[2] == CitationDelta(block=0, citation=citation)
    alone = whole({"annotations": [note]})
    assert alone[:2] == [
        BlockStart(block=0, kind="text", part=Text(text="")),
        CitationDelta(block=0, citation=citation),
    ]


def test_logprobs_go_with_their_text() -> None:
    logprobs = {"content": [{"token": "a"}], "refusal": None}
    out = parse(
        chunk({"role": "assistant", "content": ""}, logprobs={"content": [], "refusal": None}),
        chunk({"content": "a"}, logprobs=logprobs),
        chunk({}, logprobs=logprobs),
        chunk({"content": ""}, logprobs=logprobs, finish="stop"),
        DONE,
    )
    assert [event for event in out if isinstance(event, TextDelta | Extra)] == [
        TextDelta(block=0, text="a", logprobs=logprobs),
        Extra(name="logprobs", value=logprobs),
    ]


def test_images_and_audio_are_whole_blocks() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
    events = whole(
        {"images": [image]},
        {"audio": {"id": "a1", "transcript": "he"}},
        {"audio": {"data": base64.b64encode(b"one").decode(), "transcript": "llo"}},
        {"audio": {"data": base64.b64encode(b"two!").decode(), "expires_at": 9}},
    )
    sound = base64.b64encode(b"onetwo!").decode()
    assert [event.part for event in events if isinstance(event, BlockStart)] == [
        Image(media=Media(mime="image/png", data="eA==")),
        Audio(media=Media(data=sound), id="a1", transcript="hello", expires_at=9),
    ]


# ------------------------------------------------------------------------------------------------- parsing: calls
@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param(
            [
                call(id="c1", type="function", name="f", arguments=""),
                call(arguments='{"a'),
                call(arguments='":1}'),
                call(1, id="c2", name="g", arguments="{}"),
            ],
            [("c1", "f", '{"a":1}'), ("c2", "g", "{}")],
            id="openai",
        ),
        pytest.param(
            [
                {
                    "tool_calls": [
                        *call(id="c1", name="f", arguments="{}")["tool_calls"],
                        *call(1, id="c2", name="f", arguments="{}")["tool_calls"],
                    ]
                }
            ],
            [("c1", "f", "{}"), ("c2", "f", "{}")],
            id="mistral: whole calls in one delta",
        ),
        pytest.param(
            [call(id="c1", name="f", arguments="{}"), call(id="c2", name="f", arguments="{}")],
            [("c1", "f", "{}"), ("c2", "f", "{}")],
            id="every call at index 0",
        ),
        pytest.param(
            [
                call(id="c1", name="f", arguments="{"),
                call(id="c1", name="f", arguments="}"),
                call(id="", name=None, arguments=""),
            ],
            [("c1", "f", "{}")],
            id="id and name repeated, then empty",
        ),
        pytest.param(
            [call(1, id="c1", name="f", arguments="{"), call(2, id="c1", arguments="}")],
            [("c1", "f", "{}")],
            id="one id under two indexes",
        ),
        pytest.param(
            [
                call(None, name="f", arguments="{}"),
                call(None, name="g", arguments="{}"),
                call(None, name="g", arguments="{}"),
            ],
            [("call_c-1_0", "f", "{}"), ("call_c-1_1", "g", "{}"), ("call_c-1_2", "g", "{}")],
            id="gemini: neither ids nor indexes",
        ),
        pytest.param(
            [call(id="c1", arguments='{"a"'), call(name="f", arguments=":1}")],
            [("c1", "f", '{"a":1}')],
            id="name late",
        ),
        pytest.param(
            [call(name="f"), call(arguments={"a": 1})], [("call_c-1_0", "f", '{"a":1}')], id="arguments as object"
        ),
        pytest.param([call(id=None, name=None, arguments="")], [], id="venice: empty entries"),
        pytest.param(
            [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}}],
            [("call_c-1_0", "f", "{}")],
            id="legacy",
        ),
        pytest.param(
            [
                {"tool_calls": [{"index": 0, "id": "c1", "type": "custom", "custom": {"name": "g", "input": "a"}}]},
                {"tool_calls": [{"index": 0, "type": "custom", "custom": {"input": "b"}}]},
            ],
            [("c1", "g", "ab")],
            id="custom",
        ),
        pytest.param(
            [call(id="c1", name="f", arguments="{}"), call(1, id="c2", name="g", arguments="{}"), call(arguments="")],
            [("c1", "f", "{}"), ("c2", "g", "{}")],
            id="empty delta of an earlier call",
        ),
    ],
)
def test_tool_calls(deltas: list[Any], expected: list[tuple[str, str, str]]) -> None:
    assert calls(*deltas) == expected


@pytest.mark.parametrize(
    "deltas",
    [
        [call(id="c1", name="f", arguments="{"), call(1, id="c2", name="g", arguments="{"), call(arguments="}")],
        [call(id="c1", arguments="{}"), {"content": "a"}],
    ],
    ids=["goes on after the next has begun", "never gets a name"],
)
def test_calls_that_cannot_be_put_together_are_malformed(deltas: list[Any]) -> None:
    with pytest.raises(UpstreamMalformed):
        calls(*deltas)


def test_a_call_without_a_name_is_malformed_at_the_end_of_input_too() -> None:
    with pytest.raises(UpstreamMalformed):
        parse(chunk(call(id="c1", arguments="{}")), STOP)


# ----------------------------------------------------------------------------------------------------- rendering
def render(*events: StreamEvent, include_usage: bool = False) -> tuple[list[Any], list[str]]:
    """The chunks, [DONE] as a text, and what was dropped."""
    renderer = DIALECT.stream_renderer(STAMP, include_usage=include_usage)
    data = b"".join(renderer.feed(event) for event in events) + renderer.close()
    chunks = [
        event.data.decode() if event.data == b"[DONE]" else json.loads(event.data or b"") for event in split_all([data])
    ]
    return chunks, renderer.dropped


def deltas(*events: StreamEvent) -> list[Any]:
    """The deltas that events make, without the greeting."""
    chunks, dropped = render(Started(), *events)
    assert dropped == []
    assert chunks[-1] == "[DONE]"
    found = [one["choices"][0]["delta"] for one in chunks[:-1]]
    assert found[0] == {"role": "assistant", "content": "", "refusal": None}
    return found[1:]


def text(block: int, *texts: str, kind: Any = "text", part: Any = None) -> list[StreamEvent]:
    start = BlockStart(block=block, kind=kind, part=Text(text="") if part is None else part)
    return [start, *(TextDelta(block=block, text=piece) for piece in texts), BlockStop(block=block)]


def test_the_whole_stream() -> None:
    usage = Usage(input=3, output=2, service_tier="flex")
    chunks, dropped = render(
        Started(id="msg_1", model="up", usage=Usage(input=3, complete=False)),
        *text(0, "Hi"),
        UsageUpdate(usage=usage),
        Finish(reason="stop_sequence", stop_sequence="END"),
        Ended(),
        include_usage=True,
    )
    head = {"id": "chatcmpl-abc", "object": "chat.completion.chunk", "created": 7, "model": "m"}

    def choice(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
        one = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, **more}
        return {**head, "choices": [one], "usage": None}

    assert chunks == [
        choice({"role": "assistant", "content": "", "refusal": None}),
        choice({"content": "Hi"}),
        choice({}, "stop", stop_reason="END"),
        {
            **head,
            "choices": [],
            "usage": {
                "prompt_tokens": 3,
                "completion_tokens": 2,
                "total_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": 0,
                    "audio_tokens": 0,
                    "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
            },
            "service_tier": "flex",
        },
        "[DONE]",
    ]
    assert dropped == []


def test_usage_comes_only_when_it_was_asked_for_and_is_known() -> None:
    known: list[StreamEvent] = [Started(usage=Usage(input=1)), Finish(reason="stop"), Ended()]
    assert "usage" not in json.dumps(render(*known)[0])
    assert render(*known, include_usage=True)[0][-2]["usage"]["prompt_tokens"] == 1
    chunks, _ = render(Started(), Finish(reason="stop"), Ended(), include_usage=True)
    assert all(one["usage"] is None for one in chunks[:-1])


def test_choices_are_greeted_once_each() -> None:
    chunks, _ = render(
        Started(),
        BlockStart(block=0, kind="text", part=Text(text=""), choice=1),
        TextDelta(block=0, text="x"),
        Finish(reason="stop", choice=1),
        Finish(reason="length", choice=2),
    )
    greeted = [one["choices"][0]["index"] for one in chunks[:-1] if "role" in one["choices"][0]["delta"]]
    assert greeted == [0, 1, 2]


def test_tool_indexes_are_ordinals_of_their_choice() -> None:
    google = {"google": {"thought_signature": "sig"}}
    call_part = ToolCall(id="c1", name="f", arguments="", signature="sig")
    custom = ToolCall(id="c2", name="g", arguments="", kind="custom")
    assert deltas(
        *text(4, "a"),
        *text(7, '{"a":', "1}", kind="tool_call", part=call_part)[:-1],
        SignatureDelta(block=7, signature="sig"),  # told already
        BlockStop(block=7),
        BlockStart(block=9, kind="tool_call", part=custom),
        TextDelta(block=9, text="x"),
        SignatureDelta(block=9, signature="sig"),
        BlockStop(block=9),
    ) == [
        {"content": "a"},
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "f", "arguments": ""},
                    "extra_content": google,
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        {"tool_calls": [{"index": 1, "id": "c2", "type": "custom", "custom": {"name": "g", "input": ""}}]},
        {"tool_calls": [{"index": 1, "custom": {"input": "x"}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": ""}, "extra_content": google}]},
    ]


def test_reasoning_is_shown_and_its_proof_told() -> None:
    claude = Thinking(origin="anthropic_messages")
    assert deltas(
        BlockStart(block=0, kind="thinking", part=claude),
        TextDelta(block=0, text="why"),
        SignatureDelta(block=0, signature="s"),
        BlockStop(block=0),
        *text(1, kind="thinking", part=Thinking(opaque="b", redacted=True, origin="anthropic_messages")),
        *text(2, "sum", kind="thinking", part=Thinking(origin="openai_responses", item_id="rs", signature=None)),
        *text(3, "!", kind="thinking", part=Thinking(text="plain", origin="openai_chat", signature="p")),
    ) == [
        {
            "reasoning_content": "why",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "why", "format": "anthropic-claude-v1", "index": 0}
            ],
        },
        {"reasoning_details": [{"index": 0, "type": "reasoning.text", "signature": "s"}]},
        {
            "reasoning_details": [
                {"format": "anthropic-claude-v1", "index": 1, "type": "reasoning.encrypted", "data": "b"}
            ]
        },
        {
            "reasoning_content": "sum",
            "reasoning_details": [
                {
                    "type": "reasoning.summary",
                    "summary": "sum",
                    "format": "openai-responses-v1",
                    "index": 2,
                    "id": "rs",
                }
            ],
        },
        {"reasoning_content": "plain"},
        {"reasoning_details": [{"format": "unknown", "index": 3, "type": "reasoning.text", "signature": "p"}]},
        {"reasoning_content": "!"},
    ]


@pytest.mark.parametrize("joined", [True, False], ids=["entries joined by the client", "entries as they came"])
def test_proofs_come_back_from_a_streamed_answer(joined: bool) -> None:
    found = deltas(
        *text(0, "wh", kind="thinking", part=Thinking(origin="anthropic_messages"))[:-1],
        TextDelta(block=0, text="y"),
        SignatureDelta(block=0, signature="s"),
        BlockStop(block=0),
        *text(1, "{}", kind="tool_call", part=ToolCall(id="c1", name="f", arguments="")),
    )
    details = [entry for delta in found for entry in delta.get("reasoning_details", [])]
    if joined:
        details = [{**details[0], "text": "why", "signature": "s"}]
    message = {
        "role": "assistant",
        "content": None,
        "reasoning_content": "why",
        "reasoning_details": details,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    thought, _ = DIALECT.parse_request({"model": "m", "messages": [message]}).messages[0].parts
    assert isinstance(thought, Thinking)
    assert (thought.text, thought.signature, thought.origin) == ("why", "s", "anthropic_messages")


def test_citations_count_in_the_whole_content() -> None:
    citation = Citation(url="https://e", title="t")
    own = {"type": "file", "file": {}}
    found = deltas(
        *text(0, "abc"),
        BlockStart(block=1, kind="text", part=Text(text="de")),
        CitationDelta(block=1, citation=citation),
        CitationDelta(block=1, citation=Citation(native=own, origin="openai_chat")),
        BlockStop(block=1),
        Finish(reason="stop"),
    )
    source = {"url": "https://e", "title": "t", "start_index": 3, "end_index": 5}
    # In one chunk: OpenAI's SDK fails at a second one.
    assert found[2:] == [{"annotations": [{"type": "url_citation", "url_citation": source}, own]}, {}]


def test_media_refusals_signatures_and_logprobs() -> None:
    logprobs = {"content": [{"token": "a"}]}
    assert deltas(
        *text(0, "no", kind="refusal", part=Refusal(text="")),
        *text(1, kind="image", part=Image(media=Media(url="https://e"))),
        *text(2, kind="audio", part=Audio(media=Media(data="eA=="), id="a1")),
        *text(3, kind="text", part=Text(text="", signature="sig")),
    ) == [
        {"refusal": "no"},
        {"images": [{"type": "image_url", "image_url": {"url": "https://e"}, "index": 0}]},
        {"audio": {"id": "a1", "data": "eA==", "expires_at": 0, "transcript": ""}},
        {"extra_content": {"google": {"thought_signature": "sig"}}},
    ]
    chunks, _ = render(
        Started(),
        BlockStart(block=0, kind="text", part=Text(text="")),
        TextDelta(block=0, text="a", logprobs=logprobs),
        Extra(name="logprobs", value=logprobs),
    )
    assert [one["choices"][0]["logprobs"] for one in chunks[1:-1]] == [logprobs, logprobs]


def test_what_a_stream_loses_is_said_once() -> None:
    native: DialectName = "anthropic_messages"
    _, dropped = render(
        Started(extra={"container": 1}),
        *text(0, kind="native", part=Native(dialect=native, type="web_search_tool_result", value={})),
        *text(1, kind="native", part=Native(dialect=native, type="web_search_tool_result", value={})),
        *text(2, kind="native", part=Document(media=Media(file_id="f"))),
        BlockStart(block=3, kind="text", part=Text(text="")),
        CitationDelta(block=3, citation=Citation(cited_text="q")),
        CitationDelta(block=3, citation=Citation(cited_text="r")),
        Extra(name="safety", value=1),
        Ended(extra={"iterations": 1}),
    )
    assert dropped == [
        "extra.container",
        "web_search_tool_result",
        "native",
        "citations",
        "extra.safety",
        "extra.iterations",
    ]


def test_an_error_in_the_stream_is_openais_shape() -> None:
    renderer = DIALECT.stream_renderer(STAMP)
    failed = renderer.feed(Failed(status=429, code="c", message="slow", type="rate_limit_error"))
    assert json.loads(failed.removeprefix(b"data: ")) == {
        "error": {"message": "slow", "type": "rate_limit_error", "param": None, "code": "c"},
        "detail": "slow",
    }
    told = renderer.error(UpstreamTruncated("cut"))
    assert told.startswith(b"data: {")
    assert told.endswith(b"}\n\n")
    assert json.loads(told[6:])["error"]["code"] == "upstream_truncated"


# ------------------------------------------------------------------------------------------------------- meter
def test_the_meter_reads_what_passes() -> None:
    meter = DIALECT.meter(hide_usage=True)
    usage = raw({"id": "c-1", "choices": [], **counted(4)})
    assert meter.feed(SseEvent(None, None, b": ping\n\n"))
    assert meter.feed(chunk({"role": "assistant", "content": ""}))
    assert (meter.generated, meter.response_id) == (False, "c-1")
    assert meter.feed(chunk({"content": "톨"}, top={"service_tier": "flex"}))
    assert (meter.generated, meter.text_bytes) == (True, 3)
    assert meter.feed(STOP)
    assert meter.feed(usage) is False
    assert meter.feed(DONE)
    assert (meter.ended, meter.finish) == (True, "stop")
    assert meter.usage is not None
    assert (meter.usage.output, meter.usage.service_tier) == (4, "flex")
    meter.close()


def test_only_the_chunk_that_was_asked_for_is_hidden() -> None:
    meter = DIALECT.meter(hide_usage=True)
    assert meter.feed(raw({"choices": [], "prompt_filter_results": []}))
    assert meter.feed(chunk(finish="stop", top=counted(4)))
    assert DIALECT.meter().feed(raw({"choices": [], **counted(4)}))


@pytest.mark.parametrize(
    ("delta", "generated"),
    [
        ({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]}, True),
        ({"audio": {"data": "eA=="}}, True),
        ({"images": [{}]}, True),
        ({"content": ""}, False),
        ("odd", False),
        ({"content": 5, "tool_calls": None}, False),
    ],
)
def test_the_first_thing_that_the_model_made(delta: Any, generated: bool) -> None:
    meter = DIALECT.meter()
    assert meter.feed(chunk(delta))
    assert meter.generated is generated


def test_the_meters_finish_is_the_first_choices() -> None:
    meter = DIALECT.meter()
    meter.feed(chunk(call(name="f", arguments="{}")))
    meter.feed(chunk(finish="length", index=1))
    before = meter.finish
    meter.feed(STOP)
    assert (before, meter.finish) == (None, "tool_calls")
    unsaid = DIALECT.meter()
    unsaid.feed(chunk({"content": "a"}))
    unsaid.feed(DONE)
    assert (unsaid.finish, unsaid.ended) == ("stop", True)


def test_a_cut_stream_is_truncated_and_its_running_count_incomplete() -> None:
    meter = DIALECT.meter()
    meter.feed(chunk({"content": "a"}, top=counted(1)))
    with pytest.raises(UpstreamTruncated):
        meter.close()
    assert meter.usage is not None
    assert not meter.usage.complete
    with pytest.raises(UpstreamTruncated):
        DIALECT.meter().close()
    without_done = DIALECT.meter()
    without_done.feed(chunk({"content": "a"}, top=counted(1)))
    without_done.feed(STOP)
    without_done.close()
    assert without_done.ended
    assert without_done.usage is not None
    assert without_done.usage.complete


def test_an_error_in_the_stream_is_metered() -> None:
    meter = DIALECT.meter()
    meter.feed(chunk({"content": "a"}))
    assert meter.feed(raw({"error": {"message": "m", "code": 400}, **counted(2)}))
    meter.feed(DONE)
    meter.close()
    assert isinstance(meter.failed, UpstreamError)
    assert isinstance(meter.failed, UpstreamRejected)
    assert meter.ended is False
    assert meter.usage is not None
    assert meter.usage.output == 2


@pytest.mark.parametrize(
    "data", [b"{broken", b"[1]", b'"text"', b'{"choices": [5]}', b'{"choices": {}, "id": 7}', b'{"usage": "x"}', b""]
)
def test_the_meter_never_stands_in_the_way(data: bytes) -> None:
    assert DIALECT.meter().feed(raw(data))
