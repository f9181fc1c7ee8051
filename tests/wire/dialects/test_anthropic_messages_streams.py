"""Streams: Anthropic's read, other providers' written, and both passed through."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import anthropic
import httpx2
import orjson
import pytest

from wire.dialects.anthropic_messages import DIALECT
from wire.errors import (
    BadRequest,
    UpstreamMalformed,
    UpstreamRateLimited,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from wire.neutral import (
    Audio,
    BlockKind,
    BlockStart,
    BlockStop,
    Citation,
    CitationDelta,
    Ended,
    Extra,
    Failed,
    Finish,
    Image,
    Media,
    Native,
    Part,
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
from wire.sse import SseEvent, encode_event, split_all

STAMP = Stamp(id="0af", created=7, model="alias")
START = Started(id="x", model="gpt")
TAIL: list[StreamEvent] = [
    Finish(reason="stop"),
    UsageUpdate(usage=Usage(input=9, cache_read=2, output=4)),
    Ended(),
]


def start(block: int, kind: BlockKind, part: Part, choice: int = 0) -> BlockStart:
    return BlockStart(block=block, kind=kind, part=part, choice=choice)


def say(block: int, text: str) -> TextDelta:
    return TextDelta(block=block, text=text)


def written(*events: StreamEvent, dropped: list[str] | None = None) -> list[dict[str, Any]]:
    """The wire events that neutral ones become; every one is named by its `event:` line."""
    renderer = DIALECT.stream_renderer(STAMP)
    out = b"".join(renderer.feed(event) for event in events) + renderer.close()
    assert renderer.dropped == (dropped or [])
    sent = split_all([out])
    datas = [orjson.loads(event.data or b"") for event in sent]
    assert [event.event for event in sent] == [data["type"] for data in datas]
    assert_well_formed(datas)
    return datas


def assert_well_formed(datas: list[dict[str, Any]]) -> None:
    """One block at a time, indexes in order, from message_start to message_stop."""
    assert datas[0]["type"] == "message_start"
    assert [data["type"] for data in datas[-2:]] == ["message_delta", "message_stop"]
    current, next_index = None, 0
    for data in datas[1:-2]:
        if data["type"] == "content_block_start":
            assert (current, data["index"]) == (None, next_index)
            current, next_index = data["index"], next_index + 1
        else:
            assert data["index"] == current
            if data["type"] == "content_block_stop":
                current = None
    assert current is None


def content(datas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The message's content as Anthropic's SDK adds it up."""
    blocks: list[dict[str, Any]] = final_message(datas)["content"]
    return blocks


@cache
def sdk() -> anthropic.Anthropic:
    """Anthropic's own client; it is answered with what the request holds."""
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(
            200,
            content=orjson.loads(request.content)["metadata"]["user_id"].encode(),
            headers={"content-type": "text/event-stream"},
        )
    )
    return anthropic.Anthropic(api_key="k", base_url="http://test", http_client=httpx2.Client(transport=transport))


def final_message(datas: list[dict[str, Any]]) -> dict[str, Any]:
    answer = b"".join(encode_event(orjson.dumps(data), data["type"]) for data in datas).decode()
    with sdk().messages.stream(
        model="claude", max_tokens=5, messages=[{"role": "user", "content": "x"}], metadata={"user_id": answer}
    ) as stream:
        message: dict[str, Any] = stream.get_final_message().to_dict()
    return message


# ------------------------------------------------------------------------------------------------------------ written
def test_a_plain_answer() -> None:
    datas = written(START, start(0, "text", Text(text="")), say(0, "가"), say(0, "b"), BlockStop(block=0), *TAIL)
    assert datas[0]["message"] == {
        "id": "msg_0af",
        "type": "message",
        "role": "assistant",
        "model": "alias",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    assert datas[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {
            "input_tokens": 7,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 2,
            "output_tokens": 4,
        },
    }
    message = final_message(datas)
    assert message["content"] == [{"type": "text", "text": "가b"}]
    assert (message["stop_reason"], message["usage"]["input_tokens"]) == ("end_turn", 7)


def test_a_stream_of_nothing_is_still_a_message() -> None:
    assert content(written(*TAIL)) == []
    assert [data["type"] for data in written()] == ["message_start", "message_delta", "message_stop"]


def test_an_end_by_an_error_has_no_word() -> None:
    datas = written(START, Finish(reason="error", native="MALFORMED_FUNCTION_CALL"), dropped=["finish_reason"])
    assert datas[-2]["delta"]["stop_reason"] == "end_turn"


def test_empty_text_leaves_no_block() -> None:
    assert content(written(START, start(0, "text", Text(text="")), say(0, ""), BlockStop(block=0), *TAIL)) == []


def test_a_part_may_begin_with_words() -> None:
    datas = written(
        START,
        start(0, "text", Text(text="a")),
        say(0, "b"),
        start(1, "tool_call", ToolCall(id="c", name="f", arguments='{"x"')),
        say(1, ":1}"),
        *TAIL,
    )
    text, call = content(datas)
    assert (text["text"], call["input"]) == ("ab", {"x": 1})


def test_parallel_calls_side_by_side_are_written_one_after_the_other() -> None:
    """As OpenAI streams them: pieces of both calls by turns, and everything closed at the end."""
    datas = written(
        START,
        start(0, "text", Text(text="")),
        say(0, "Let me see. "),
        start(1, "tool_call", ToolCall(id="a", name="f", arguments="")),
        say(1, '{"x":'),
        start(2, "tool_call", ToolCall(id="b", name="g", arguments="")),
        say(2, '{"y":'),
        say(1, "1}"),
        say(0, "And then."),
        say(2, "2}"),
        start(3, "tool_call", ToolCall(id="c", name="h", arguments="")),
        BlockStop(block=0),
        BlockStop(block=1),
        BlockStop(block=3),
        BlockStop(block=2),
        *TAIL,
    )
    assert [[block["type"], block.get("text", block.get("input"))] for block in content(datas)] == [
        ["text", "Let me see. "],
        ["tool_use", {"x": 1}],
        ["tool_use", {"y": 2}],
        ["text", "And then."],
        ["tool_use", {}],
    ]
    assert final_message(datas)["stop_reason"] == "tool_use"


def test_a_call_in_hand_is_streamed_while_others_wait() -> None:
    renderer = DIALECT.stream_renderer(STAMP)
    renderer.feed(START)
    renderer.feed(start(0, "tool_call", ToolCall(id="a", name="f", arguments="")))
    assert b'"partial_json":"{\\"x\\""' in renderer.feed(say(0, '{"x"'))
    assert renderer.feed(start(1, "text", Text(text=""))) == b""
    assert renderer.feed(say(1, "later")) == b""
    assert renderer.feed(SignatureDelta(block=1, signature="s")) == b""
    out = renderer.feed(BlockStop(block=0))
    assert b"later" in out
    assert renderer.feed(BlockStop(block=0)) == b""
    assert renderer.feed(say(0, "late, and of no call that is open")) == b""


def test_calls_that_are_never_closed_are_closed_at_the_end() -> None:
    calls: list[StreamEvent] = []
    for at in range(3):
        calls += [start(at, "tool_call", ToolCall(id=f"c{at}", name="f", arguments="")), say(at, f'{{"a":{at}}}')]
    datas = written(START, *calls, *TAIL)
    assert [block["input"] for block in content(datas)] == [{"a": 0}, {"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("pieces", "kind", "expected", "dropped"),
    [
        ([], "function", {}, []),
        (["", "  ", ' {"a"', ":1}"], "function", {"a": 1}, []),
        (['["', 'a"]'], "function", {"_raw": '["a"]'}, ["c.arguments"]),
        (["null"], "function", {}, []),
        (["*** Begin", " Patch"], "custom", {"input": "*** Begin Patch"}, []),
        (['{"json": "as', ' text"}'], "custom", {"input": '{"json": "as text"}'}, []),
        ([], "custom", {}, []),
    ],
)
def test_arguments_of_every_kind(pieces: list[str], kind: Any, expected: Any, dropped: list[str]) -> None:
    call = ToolCall(id="c", name="f", arguments="", kind=kind, extra={"caller": {"type": "direct"}, "odd": 1})
    datas = written(
        START, start(0, "tool_call", call), *(say(0, piece) for piece in pieces), BlockStop(block=0), *TAIL,
        dropped=dropped,
    )  # fmt: skip
    (block,) = content(datas)
    assert block["input"] == expected
    assert block["caller"] == {"type": "direct"}
    assert "odd" not in block


def test_reasoning_of_another_provider_is_sealed_into_its_block() -> None:
    thought = Thinking(origin="openai_responses", item_id="rs_1")
    datas = written(
        START,
        start(0, "thinking", thought),
        say(0, "think"),
        say(0, "ing"),
        SignatureDelta(block=0, signature="enc", opaque=True),
        BlockStop(block=0),
        start(1, "text", Text(text="")),
        say(1, "hi"),
        *TAIL,
    )
    blocks = content(datas)
    assert [block["type"] for block in blocks] == ["thinking", "text"]
    assert blocks[0]["thinking"] == "thinking"
    (back, _) = from_client(blocks)
    assert isinstance(back, Thinking)
    assert (back.text, back.opaque, back.item_id, back.origin) == ("thinking", "enc", "rs_1", "openai_responses")


def from_client(blocks: list[dict[str, Any]]) -> tuple[Part, ...]:
    body = {"model": "m", "messages": [{"role": "assistant", "content": blocks}]}
    return DIALECT.parse_request(body).messages[0].parts


def test_reasoning_without_words_is_a_block_of_its_own() -> None:
    datas = written(
        START,
        start(0, "thinking", Thinking(origin="openai_responses", item_id="rs_1")),
        SignatureDelta(block=0, signature="enc", opaque=True),
        BlockStop(block=0),
        start(1, "thinking", Thinking(origin="openai_chat")),
        BlockStop(block=1),
        *TAIL,
    )
    (block,) = content(datas)
    assert block["type"] == "redacted_thinking"
    (back,) = from_client([block])
    assert isinstance(back, Thinking)
    assert (back.text, back.opaque, back.item_id) == ("", "enc", "rs_1")


def test_reasoning_that_is_interrupted_goes_on_in_a_new_block() -> None:
    datas = written(
        START,
        start(0, "thinking", Thinking(origin="gemini")),
        start(1, "text", Text(text="")),
        say(1, "a"),
        say(0, "b"),
        SignatureDelta(block=0, signature="g"),
        say(1, "c"),
        BlockStop(block=0),
        *TAIL,
    )
    parts = from_client(content(datas))
    assert [(type(part).__name__, getattr(part, "text", "")) for part in parts] == [
        ("Text", "a"),
        ("Thinking", "b"),
        ("Text", "c"),
    ]
    assert isinstance(parts[1], Thinking)
    assert (parts[1].signature, parts[1].origin) == ("g", "gemini")


def test_anthropics_own_reasoning_keeps_its_signature() -> None:
    datas = written(
        START,
        start(0, "thinking", Thinking(origin="anthropic_messages")),
        SignatureDelta(block=0, signature="EqQB"),
        BlockStop(block=0),
        start(1, "thinking", Thinking(origin="anthropic_messages", redacted=True, opaque="blob")),
        BlockStop(block=1),
        *TAIL,
    )
    assert content(datas) == [
        {"type": "thinking", "thinking": "", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "blob"},
    ]


def test_signatures_of_calls_and_texts_survive() -> None:
    datas = written(
        START,
        start(0, "text", Text(text="")),
        say(0, "words"),
        SignatureDelta(block=0, signature="of-text"),
        BlockStop(block=0),
        start(1, "text", Text(text="", signature="of-empty-text")),
        BlockStop(block=1),
        start(2, "tool_call", ToolCall(id="early", name="f", arguments="", signature="of-early")),
        say(2, "{}"),
        BlockStop(block=2),
        start(3, "tool_call", ToolCall(id="late", name="f", arguments="")),
        SignatureDelta(block=3, signature="of-late"),
        BlockStop(block=3),
        *TAIL,
    )
    blocks = content(datas)
    assert [block["type"] for block in blocks] == [
        "text", "redacted_thinking", "redacted_thinking", "redacted_thinking", "tool_use", "tool_use",
        "redacted_thinking",
    ]  # fmt: skip
    signed = [
        (getattr(part, "text", getattr(part, "id", "")), getattr(part, "signature", "")) for part in from_client(blocks)
    ]
    assert signed == [("words", "of-text"), ("", "of-empty-text"), ("early", "of-early"), ("late", "of-late")]


def test_citations_and_blocks_of_other_kinds() -> None:
    own = Citation(native={"type": "char_location", "cited_text": "x"}, origin="anthropic_messages")
    server = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}}
    datas = written(
        START,
        start(0, "native", Native(dialect="anthropic_messages", type="server_tool_use", value=server)),
        BlockStop(block=0),
        start(1, "text", Text(text="")),
        CitationDelta(block=1, citation=own),
        say(1, "t"),
        CitationDelta(block=1, citation=Citation(url="https://e.x", start=0, end=1)),
        start(2, "native", Native(dialect="gemini", type="executableCode", value={})),
        start(3, "image", Image(media=Media(data="AAAA"), path="candidates[0].content.parts[1]")),
        say(3, "never"),
        start(4, "audio", Audio(media=Media(data="AAAA"), transcript="spoken")),
        CitationDelta(block=4, citation=own),
        start(5, "refusal", Refusal(text="")),
        say(5, "no"),
        *TAIL,
        dropped=["executableCode", "candidates[0].content.parts[1]", "audio"],
    )
    blocks = content(datas)
    assert blocks[0] == server
    assert [item["type"] for item in blocks[1]["citations"]] == ["char_location", "web_search_result_location"]
    assert [block["text"] for block in blocks[1:]] == ["t", "spoken", "no"]
    assert final_message(datas)["stop_reason"] == "refusal"


def test_other_choices_and_facts_without_a_place_are_reported() -> None:
    datas = written(
        Started(extra={"container": {"id": "c"}, "system_fingerprint": "fp"}),
        start(0, "text", Text(text="")),
        start(1, "text", Text(text=""), choice=1),
        start(2, "text", Text(text=""), choice=1),
        TextDelta(block=0, text="a", logprobs={"content": []}),
        say(1, "unseen"),
        BlockStop(block=1),
        Extra(name="content_filter_results", value={}),
        Finish(reason="length"),
        Finish(reason="stop", choice=1),
        Ended(extra={"container": {"id": "d"}, "context_management": {"applied_edits": []}, "other": 1}),
        dropped=[
            "extra.system_fingerprint",
            "choices[1]",
            "logprobs",
            "extra.content_filter_results",
            "extra.other",
        ],
    )
    assert datas[0]["message"]["container"] == {"id": "c"}
    assert datas[-2]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None, "container": {"id": "d"}}
    assert datas[-2]["context_management"] == {"applied_edits": []}
    assert [data["delta"]["text"] for data in datas if data["type"] == "content_block_delta"] == ["a"]


def test_an_error_ends_the_stream_and_nothing_follows() -> None:
    renderer = DIALECT.stream_renderer(STAMP)
    renderer.feed(START)
    out = renderer.error(BadRequest("no", param="messages"))
    assert out == (
        b'event: error\ndata: {"type":"error","error":{"type":"invalid_request_error","message":"messages: no"}}\n\n'
    )
    assert renderer.close() == renderer.error(BadRequest("no")) == renderer.feed(say(0, "x")) == b""


def test_the_upstreams_error_in_a_stream_is_given_once() -> None:
    renderer = DIALECT.stream_renderer(STAMP)
    out = renderer.feed(Failed(status=529, code=None, message="busy"))
    (first, second) = split_all([out])
    assert first.event == "message_start"
    assert orjson.loads(second.data or b"")["error"] == {"type": "overloaded_error", "message": "busy"}
    assert renderer.error(UpstreamUnavailable("busy")) + renderer.close() == b""


# --------------------------------------------------------------------------------------------------------------- read
def event(kind: str, *, named: bool = True, **fields: Any) -> SseEvent:
    data = orjson.dumps({"type": kind, **fields}) + b"    "
    return SseEvent(kind if named else None, data, data)


MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "model": "claude",
    "usage": {"input_tokens": 3, "output_tokens": 1},
    "stop_details": None,
}


def read(*events: SseEvent) -> list[StreamEvent]:
    parser = DIALECT.stream_parser()
    return [neutral for item in events for neutral in parser.feed(item)] + parser.close()


def test_a_tool_call_without_arguments_has_an_empty_object() -> None:
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    events = read(
        event("message_start", message=MESSAGE),
        event("content_block_start", index=0, content_block=call),
        event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": ""}),
        event("content_block_stop", index=0),
        event("content_block_start", index=1, content_block={**call, "id": "d", "input": {"a": 1}}),
        event("content_block_stop", index=1),
        event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 5}),
        event("message_stop"),
    )  # fmt: skip
    assert [item.text for item in events if isinstance(item, TextDelta)] == ["{}", '{"a":1}']
    assert events[0] == Started(
        id="msg_1", model="claude", usage=Usage(input=3, output=1, complete=False, native=MESSAGE["usage"])
    )
    assert events[-2] == UsageUpdate(usage=Usage(input=3, output=5, native={"input_tokens": 3, "output_tokens": 5}))


def test_blocks_that_begin_with_words_and_blocks_of_tomorrow() -> None:
    citation = {"type": "char_location", "cited_text": "c"}
    events = read(
        event("message_start", message={"id": "m"}),
        event("ping"),
        event("weather_report", sunny=True),
        event("content_block_start", index=0, content_block={"type": "text", "text": "a", "citations": [citation]}),
        event("content_block_delta", index=0, delta={"type": "hologram_delta", "x": 1}),
        event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": citation}),
        event("content_block_start", index=1, content_block={"type": "thinking", "thinking": "t", "signature": "s"}),
        event("content_block_delta", index=1, delta={"type": "thinking_delta", "thinking": "u"}),
        event("content_block_start", index=2, content_block={"type": "hologram", "a": 1}),
        event("content_block_delta", index=2, delta={"type": "hologram_delta", "b": 2}),
        event("content_block_start", index=3, content_block={"type": "server_tool_use", "id": "s", "name": "n"}),
        event("content_block_delta", index=3, delta={"type": "input_json_delta", "partial_json": '{"cut'}),
        SseEvent(None, None, b": keep-alive\n\n"),
        event("message_delta", delta=None),
        event("message_stop"),
        event("message_stop"),
        SseEvent(None, b"[DONE]", b""),
    )
    assert [item.part for item in events if isinstance(item, BlockStart) and item.kind == "native"] == [
        Native(
            dialect="anthropic_messages",
            type="hologram",
            value={"type": "hologram", "a": 1, "b": 2},
            path="content[2]",
        ),
        Native(
            dialect="anthropic_messages",
            type="server_tool_use",
            value={"type": "server_tool_use", "id": "s", "name": "n", "input": {"_raw": '{"cut'}},
            path="content[3]",
        ),
    ]
    assert [item.text for item in events if isinstance(item, TextDelta)] == ["a", "t", "u"]
    assert [item.signature for item in events if isinstance(item, SignatureDelta)] == ["s"]
    assert [item.citation.native for item in events if isinstance(item, CitationDelta)] == [citation] * 2
    assert sum(isinstance(item, BlockStop) for item in events) == 4
    assert events[-2:] == [Finish(reason="stop"), Ended()]


@pytest.mark.parametrize("kind", ["text", "hologram"])
def test_a_stream_that_does_not_begin_with_its_start(kind: str) -> None:
    events = read(
        event("content_block_start", index=0, content_block={"type": kind, "text": ""}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn", "container": {"id": "c"}}, usage="odd"),
        event("message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 2}),
        event("message_stop"),
    )
    assert events[0] == Started()
    assert [item.reason for item in events if isinstance(item, Finish)] == ["stop"]
    assert events[-1] == Ended(extra={"container": {"id": "c"}})


def test_two_answers_spliced_into_one_go_on_as_one() -> None:
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    thinking = {"type": "thinking", "thinking": ""}
    piece = {"type": "input_json_delta", "partial_json": '{"a":1}'}
    events = read(
        event("message_start", message=MESSAGE),
        event("content_block_start", index=0, content_block=call),
        event("content_block_delta", index=0, delta=piece),
        event("message_start", message={**MESSAGE, "id": "msg_2"}),
        event("content_block_start", index=0, content_block=thinking),
        event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "s"}),
        event("content_block_start", index=0, content_block={**call, "id": "d"}),
        event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 9}),
        event("message_stop"),
    )
    assert [item.id for item in events if isinstance(item, Started)] == ["msg_1"]
    brackets = [(type(item).__name__, item.block) for item in events if isinstance(item, BlockStart | BlockStop)]
    assert brackets == [(name, block) for block in range(3) for name in ("BlockStart", "BlockStop")]


@pytest.mark.parametrize(
    "bad",
    [
        SseEvent("message_start", b"{", b""),
        SseEvent("message_start", b"[]", b""),
        event("message_start"),
        event("message_start", message={"id": 3}),
        event("content_block_start", index=0),
        event("content_block_start", index="0", content_block={"type": "text", "text": ""}),
        event("content_block_start", index=0, content_block={"type": "tool_use", "input": {}}),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"}),
        event("content_block_stop", index=4),
    ],
)
def test_broken_events_are_malformed(bad: SseEvent) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.stream_parser().feed(bad)


def test_a_broken_delta_is_malformed() -> None:
    parser = DIALECT.stream_parser()
    parser.feed(event("content_block_start", index=0, content_block={"type": "text", "text": ""}))
    with pytest.raises(UpstreamMalformed):
        parser.feed(event("content_block_delta", index=0, delta={"type": "text_delta"}))


def test_an_error_in_a_stream() -> None:
    failure = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    assert read(event("message_start", message=MESSAGE), failure, event("ping"))[1:] == [
        Failed.of(UpstreamUnavailable("Overloaded"))
    ]
    (limited,) = read(event("error", error={"type": "rate_limit_error", "message": "slow down"}))
    assert isinstance(limited, Failed)
    assert limited.status == 429
    (odd,) = read(event("error", error="odd"))
    assert isinstance(odd, Failed)
    assert odd.status == 502


def test_a_stream_that_is_cut_is_truncated() -> None:
    parser = DIALECT.stream_parser()
    parser.feed(event("message_start", message=MESSAGE))
    with pytest.raises(UpstreamTruncated):
        parser.close()


# ----------------------------------------------------------------------------------------------------- passed through
@pytest.mark.parametrize("named", [True, False])
def test_the_meter_reads_what_must_be_known(named: bool) -> None:
    meter = DIALECT.meter(hide_usage=True)
    before = [
        event("message_start", named=named, message=MESSAGE),
        event("content_block_start", named=named, index=0, content_block={"type": "text", "text": ""}),
        event("ping", named=named),
        SseEvent(None, None, b":\n\n"),
    ]
    assert all(meter.feed(item) for item in before)
    assert (meter.generated, meter.response_id, meter.usage and meter.usage.complete) == (False, "msg_1", False)
    texts = [{"type": "text_delta", "text": 'quo"te\n'}, {"type": "thinking_delta", "thinking": "가"}]
    for delta in [*texts, {"type": "input_json_delta", "partial_json": '{"a":"é"}'}, {"type": "signature_delta"}]:
        meter.feed(event("content_block_delta", named=named, index=0, delta=delta))
    assert meter.generated
    assert meter.text_bytes == len('quo"te\n') + 3 + len('{"a":"é"}'.encode())
    meter.feed(event("content_block_stop", named=named, index=0))
    meter.feed(event("message_delta", named=named, delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 8}))
    with pytest.raises(UpstreamTruncated):
        meter.close()
    meter.feed(event("message_stop", named=named))
    meter.close()
    assert (meter.finish, meter.ended, meter.failed) == ("length", True, None)
    assert meter.usage == Usage(input=3, output=8, native={"input_tokens": 3, "output_tokens": 8})


@pytest.mark.parametrize(
    ("block", "written_bytes"),
    [
        ({"type": "text", "text": "ab"}, 2),
        ({"type": "tool_use", "id": "c", "name": "f", "input": {}}, 0),
        ({"type": "redacted_thinking", "data": "x"}, 0),
    ],
)
def test_a_block_may_be_the_first_thing_written(block: dict[str, Any], written_bytes: int) -> None:
    meter = DIALECT.meter()
    meter.feed(event("content_block_start", index=0, content_block=block))
    assert (meter.generated, meter.text_bytes) == (True, written_bytes)


def test_the_meter_sees_an_error() -> None:
    meter = DIALECT.meter()
    meter.feed(event("error", error={"type": "rate_limit_error", "message": "slow down"}))
    meter.close()
    assert isinstance(meter.failed, UpstreamRateLimited)
    assert not meter.ended


@pytest.mark.parametrize(
    "odd",
    [
        SseEvent("content_block_delta", b"{", b""),
        SseEvent("content_block_delta", b'{"delta":{"text":"\xff"}}', b""),
        SseEvent("content_block_delta", b'{"delta":{"text":3}}', b""),
        SseEvent("message_delta", b"{", b""),
        SseEvent(None, b"[DONE]", b""),
        SseEvent(None, b"[1]", b""),
        event("message_start", message="odd"),
        event("message_start", message={"id": 3, "usage": "odd"}),
        event("message_delta", delta="odd", usage=None),
        event("content_block_start", content_block="odd"),
    ],
)
def test_what_the_meter_cannot_read_changes_nothing(odd: SseEvent) -> None:
    meter = DIALECT.meter()
    assert meter.feed(odd)
    assert (meter.usage, meter.finish, meter.response_id, meter.generated, meter.text_bytes) == (None,) * 3 + (False, 0)


def test_events_are_one_line_of_json() -> None:
    renderer = DIALECT.stream_renderer(STAMP)
    out = renderer.feed(START) + renderer.feed(start(0, "text", Text(text=""))) + renderer.feed(say(0, "a\n\u2028\r"))
    assert [json.loads(item.data or b"")["type"] for item in split_all([out])] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
    ]
