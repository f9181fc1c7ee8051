"""Responses streams: parsed, rendered, metered, and accepted by the official SDK."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from wire.dialects.openai_responses import DIALECT, carried
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
    BlockKind,
    BlockStart,
    BlockStop,
    Choice,
    Citation,
    CitationDelta,
    Ended,
    Extra,
    Failed,
    Finish,
    FinishReason,
    Image,
    Media,
    Native,
    Part,
    Refusal,
    Response,
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

STAMP = Stamp(id="abc", created=7, model="asked-for")


# ------------------------------------------------------------------------------------------------- parsing
def sse(body: Any) -> SseEvent:
    data = json.dumps(body).encode()
    return SseEvent(None, data, encode_event(data))


def parse(*bodies: dict[str, Any], close: bool = False) -> list[StreamEvent]:
    parser = DIALECT.stream_parser()
    events = [event for body in bodies for event in parser.feed(sse(body))]
    return events + (parser.close() if close else [])


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def completed(*output: Any, **fields: Any) -> dict[str, Any]:
    return typed(
        "response.completed", response={"id": "resp_1", "status": "completed", "output": list(output), **fields}
    )


CREATED = typed("response.created", response={"id": "resp_1", "model": "m", "created_at": 5})


def test_a_server_that_announces_nothing_is_understood() -> None:
    events = parse(
        typed("response.output_text.delta", item_id="i", content_index=0, delta="he"),
        typed("response.output_text.delta", item_id="i", content_index=0, delta="llo", logprobs=[{"token": "llo"}]),
        typed("response.refusal.delta", item_id="i", content_index=1, delta="no"),
        typed("response.reasoning_text.delta", item_id="r", content_index=0, delta="hm"),
        completed(),
        close=True,
    )
    assert events == [
        Started(),
        BlockStart(block=0, kind="text", part=Text(text="")),
        TextDelta(block=0, text="he"),
        TextDelta(block=0, text="llo", logprobs={"content": [{"token": "llo"}], "refusal": None}),
        BlockStart(block=1, kind="refusal", part=Refusal(text="")),
        TextDelta(block=1, text="no"),
        BlockStart(block=2, kind="thinking", part=Thinking(item_id="r", origin="openai_responses")),
        TextDelta(block=2, text="hm"),
        BlockStop(block=0),
        BlockStop(block=1),
        BlockStop(block=2),
        Finish(reason="stop", native="completed"),
        Ended(),
    ]


MESSAGE = {"type": "message", "id": "msg", "content": [{"type": "output_text", "text": "hello"}]}
CALL = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}"}
REASONING = {"type": "reasoning", "id": "rs", "summary": [{"text": "a"}, {"text": "b"}], "encrypted_content": "gAAA"}


@pytest.mark.parametrize(
    "bodies",
    [
        [completed(REASONING, MESSAGE, CALL)],
        [
            typed("response.output_item.done", output_index=i, item=item)
            for i, item in enumerate((REASONING, MESSAGE, CALL))
        ]
        + [completed(REASONING, MESSAGE, CALL)],
        [
            typed("response.output_item.added", output_index=0, item={**REASONING, "summary": []}),
            typed("response.output_item.done", output_index=0, item=REASONING),
            typed("response.output_item.added", output_index=1, item={**MESSAGE, "content": []}),
            typed("response.content_part.added", output_index=1, content_index=0, part={"type": "output_text"}),
            typed("response.output_text.done", output_index=1, content_index=0, text="hello"),
            typed("response.content_part.done", output_index=1, content_index=0, part=MESSAGE["content"][0]),
            typed("response.output_item.added", output_index=2, item={**CALL, "arguments": ""}),
            typed("response.function_call_arguments.done", output_index=2, arguments="{}"),
            completed(REASONING, MESSAGE, CALL),
        ],
        [
            typed("response.output_item.added", output_index=0, item={**REASONING, "summary": []}),
            typed("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="a"),
            typed("response.reasoning_text.delta", output_index=0, content_index=0, delta="the second way loses"),
            typed("response.reasoning_summary_text.delta", output_index=0, summary_index=1, delta="b"),
            typed("response.output_item.added", output_index=1, item={**MESSAGE, "content": []}),
            typed("response.output_text.delta", output_index=1, content_index=0, delta="hello"),
            typed("response.output_text.done", output_index=1, content_index=0, text="hello"),
            typed("response.output_item.added", output_index=2, item=CALL),
            completed(REASONING, MESSAGE, CALL),
        ],
    ],
)
def test_nothing_is_lost_and_nothing_comes_twice(bodies: list[dict[str, Any]]) -> None:
    events = parse(CREATED, *bodies, close=True)
    said: dict[int, str] = {}
    for event in events:
        if isinstance(event, TextDelta):
            said[event.block] = said.get(event.block, "") + event.text
    assert list(said.values()) == ["a\n\nb", "hello", "{}"]
    starts = [event.kind for event in events if isinstance(event, BlockStart)]
    assert starts == ["thinking", "text", "tool_call"]
    assert len([event for event in events if isinstance(event, BlockStop)]) == 3
    assert SignatureDelta(block=0, signature="gAAA", opaque=True) in events
    assert Finish(reason="tool_calls", native="completed") in events
    assert isinstance(events[-1], Ended)


def test_sources_come_once_however_they_are_told() -> None:
    note = {"type": "url_citation", "url": "u", "start_index": 0, "end_index": 1}
    other = {**note, "url": "v"}
    item = {
        "type": "message",
        "id": "m",
        "content": [{"type": "output_text", "text": "x", "annotations": [note, other]}],
    }
    events = parse(
        CREATED,
        typed("response.output_text.delta", output_index=0, content_index=0, delta="x"),
        typed("response.output_text.annotation.added", output_index=0, content_index=0, annotation=note),
        typed("response.content_part.done", output_index=0, content_index=0, part=item["content"][0]),
        typed("response.output_item.done", output_index=0, item=item),
        completed(item),
        close=True,
    )
    assert [event.citation.url for event in events if isinstance(event, CitationDelta)] == ["u", "v"]


def test_an_item_that_is_done_twice_is_told_once() -> None:
    done = typed("response.output_item.done", output_index=0, item=REASONING)
    native = typed("response.output_item.done", output_index=1, item={"type": "web_search_call", "id": "ws"})
    once = parse(CREATED, done, native)
    assert parse(CREATED, done, native, done, native) == once


def test_items_of_the_providers_tools_come_whole() -> None:
    item = {"type": "web_search_call", "id": "ws", "status": "completed"}
    shot = {"type": "message", "id": "m", "content": [{"type": "computer_screenshot"}]}
    events = parse(
        CREATED,
        typed("response.queued", response={"id": "resp_1"}),
        typed("response.output_item.added", output_index=0, item={**item, "status": "in_progress"}),
        typed("response.output_item.added", output_index=1),
        typed("response.web_search_call.searching", output_index=0),
        typed("response.output_item.done", output_index=0, item=item),
        typed("response.content_part.added", output_index=1, part={"type": "reasoning_text"}),
        typed("response.content_part.done", output_index=1, part={"type": "reasoning_text"}),
        completed(item, shot, conversation={"id": "c"}, usage={"input_tokens": 1}),
        typed("response.completed", response={}),
        close=True,
    )
    assert [type(event) for event in events] == [Started, BlockStart, BlockStop, UsageUpdate, Finish, Ended]
    assert isinstance(start := events[1], BlockStart)
    assert start.part == Native(dialect="openai_responses", type="web_search_call", value=item, path="output[0]")
    assert events[-1] == Ended(extra={"conversation": {"id": "c"}})


def test_a_custom_call_streams_its_input() -> None:
    item = {"type": "custom_tool_call", "id": "ctc", "call_id": "c", "name": "py", "input": "", "namespace": "n"}
    events = parse(
        CREATED,
        typed("response.output_item.added", output_index=0, item=item),
        typed("response.custom_tool_call_input.delta", output_index=0, delta="1"),
        typed("response.custom_tool_call_input.delta", output_index=0, delta="+1"),
        typed("response.custom_tool_call_input.done", output_index=0, input="1+1"),
        typed("response.output_item.done", output_index=0, item={**item, "input": "1+1"}),
    )
    part = ToolCall(id="c", name="py", arguments="", kind="custom", item_id="ctc", namespace="n")
    assert events[1:4] == [
        BlockStart(block=0, kind="tool_call", part=part),
        TextDelta(block=0, text="1"),
        TextDelta(block=0, text="+1"),
    ]
    assert isinstance(events[4], BlockStop)
    done = parse(
        CREATED,
        typed("response.output_item.added", output_index=0, item=item),
        typed("response.custom_tool_call_input.done", output_index=0, input="1+1"),
    )
    assert done[-1] == TextDelta(block=0, text="1+1")


def test_an_answer_cut_by_its_cap_or_by_the_caller() -> None:
    cut = typed(
        "response.incomplete",
        response={"id": "r", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
    )
    assert [event.reason for event in parse(cut, close=True) if isinstance(event, Finish)] == ["length"]
    gone = typed("response.cancelled", response={"id": "r"})
    assert [event.reason for event in parse(gone, close=True) if isinstance(event, Finish)] == ["error"]


def test_comments_keepalives_and_the_unknown_are_skipped() -> None:
    parser = DIALECT.stream_parser()
    for raw in (
        b": ping\n\n",
        b"event: keepalive\n\n",
        b"data: [DONE]\n\n",
        b'data: {"type":"keepalive"}\n\n',
        b"data:\n\n",
    ):
        assert [out for event in split_all([raw]) for out in parser.feed(event)] == []
    assert parse(typed("response.new_thing.delta", delta=1), {"type": 3}, {}) == []


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        ({"code": "rate_limit_exceeded", "message": "m"}, 429, UpstreamRateLimited),
        ({"code": 429, "message": "m"}, 429, UpstreamRateLimited),
        ({"type": "invalid_request_error", "message": "m"}, 400, UpstreamRejected),
        ({"code": "failed_to_download_image", "message": "m"}, 400, UpstreamRejected),
        ({"code": "server_error", "message": "m"}, 502, UpstreamUnavailable),
        ("text", 502, UpstreamUnavailable),
    ],
)
def test_an_error_in_the_stream_is_told_once(error: Any, status: int, kind: type[UpstreamError]) -> None:
    failed = typed("response.failed", response={"id": "r", "error": error, "usage": {"input_tokens": 3}})
    nested = typed("error", error=error)
    told = [
        parse(CREATED, nested, failed, close=True),
        parse(CREATED, failed, close=True),
        parse(CREATED, {"error": error}, close=True),
    ]
    assert [[type(event) for event in events] for events in told] == [
        [Started, Failed],
        [Started, UsageUpdate, Failed],
        [Started, Failed],
    ]
    for events in told:
        assert isinstance(last := events[-1], Failed)
        assert last.status == status
    for body in (nested, {"error": error}, failed):
        meter = DIALECT.meter()
        meter.feed(sse(body))
        assert type(meter.failed) is kind
        meter.close()


def test_an_error_with_its_fields_beside_the_type() -> None:
    body = typed("error", code="rate_limit_exceeded", message="slow", param=None)
    assert parse(body) == [
        Started(),
        Failed.of(UpstreamRateLimited("slow")),
    ]
    meter = DIALECT.meter()
    meter.feed(sse(body))
    assert isinstance(meter.failed, UpstreamRateLimited)
    assert not meter.ended


@pytest.mark.parametrize(
    "body",
    [
        [],
        typed("response.created"),
        typed("response.created", response={"id": 1}),
        typed("response.output_text.delta", output_index=0, delta=1),
        typed("response.output_text.delta", delta="x"),
        typed("response.output_item.added", output_index=0, item={}),
        typed("response.output_item.done", output_index=0, item=None),
        typed("response.function_call_arguments.delta", output_index=0, delta="x"),
        typed("response.content_part.added", output_index=0, part=1),
        typed("response.output_text.annotation.added", output_index=0, annotation=1),
        typed("response.completed", response=None),
        typed("response.completed", response={"output": 1}),
    ],
)
def test_a_broken_event_is_the_upstreams_fault(body: Any) -> None:
    with pytest.raises(UpstreamMalformed):
        parse(body)


def test_a_stream_that_is_not_json_is_the_upstreams_fault() -> None:
    broken = SseEvent(None, b'{"type":"response.completed","response":{', b"")
    with pytest.raises(UpstreamMalformed):
        DIALECT.stream_parser().feed(broken)
    with pytest.raises(UpstreamMalformed):
        DIALECT.meter().feed(broken)


def test_a_stream_cut_before_its_end_is_an_error_at_every_event() -> None:
    bodies = [
        CREATED,
        typed("response.output_item.added", output_index=0, item={**MESSAGE, "content": []}),
        typed("response.output_text.delta", output_index=0, content_index=0, delta="x"),
        typed("response.output_item.done", output_index=0, item=MESSAGE),
    ]
    for end in range(len(bodies) + 1):
        with pytest.raises(UpstreamTruncated):
            parse(*bodies[:end], close=True)
        meter = DIALECT.meter()
        for body in bodies[:end]:
            meter.feed(sse(body))
        with pytest.raises(UpstreamTruncated):
            meter.close()


# ------------------------------------------------------------------------------------------------- metering
def test_the_meter_counts_what_the_model_wrote() -> None:
    meter = DIALECT.meter(hide_usage=True)
    assert meter.feed(SseEvent(None, None, b": ping\n\n"))
    assert meter.feed(sse(CREATED))
    assert meter.response_id == "resp_1"
    assert not meter.generated
    for kind, delta in (
        ("response.output_text.delta", "é"),
        ("response.function_call_arguments.delta", "{}"),
        ("response.audio.delta", "QUJD"),
    ):
        meter.feed(sse(typed(kind, delta=delta)))
    assert (meter.text_bytes, meter.generated) == (4, True)
    meter.feed(sse(typed("response.in_progress", response={"id": "resp_2"})))
    assert meter.response_id == "resp_1"
    meter.feed(sse(completed(CALL, usage={"input_tokens": 1, "output_tokens": 2})))
    assert (meter.text_bytes, meter.finish, meter.ended) == (4, "tool_calls", True)
    assert meter.usage is not None
    assert (meter.usage.input, meter.usage.output) == (1, 2)
    meter.close()


def test_the_meter_understands_a_server_without_deltas() -> None:
    meter = DIALECT.meter()
    meter.feed(sse(typed("response.output_item.done", output_index=0, item=MESSAGE)))
    assert (meter.generated, meter.text_bytes) == (True, 0)
    meter.feed(sse(completed(MESSAGE)))
    assert (meter.text_bytes, meter.finish, meter.usage) == (5, "stop", None)


def test_words_in_an_answer_do_not_mislead_the_meter() -> None:
    meter = DIALECT.meter()
    trap = 'say "type":"response.completed" and "delta" and "error" and response.output_item.done'
    meter.feed(sse(typed("response.output_text.delta", delta=trap)))
    assert (meter.ended, meter.failed, meter.text_bytes) == (False, None, len(trap))
    schema = {"properties": {"delta": {"type": "string"}, "error": {}}}
    meter.feed(sse(typed("response.created", response={"id": 3, "tools": [schema], "error": None})))
    meter.feed(sse(typed("response.mcp_call.done", item={"error": None})))
    assert (meter.response_id, meter.ended, meter.failed) == (None, False, None)
    odd: list[dict[str, Any]] = [{"type": []}, {"type": {}, "delta": "x"}, {"delta": 3}, {}]
    for body in odd:
        meter.feed(sse(body))
    meter.feed(SseEvent(None, b"[DONE]", b"data: [DONE]\n\n"))
    assert (meter.response_id, meter.ended, meter.failed, meter.text_bytes) == (None, False, None, len(trap))


@pytest.mark.parametrize(
    "body",
    [
        typed("response.completed", response=None),
        typed("response.completed", response={"status": 1}),
        typed("response.created", response=[]),
        [{"response": 1}],
    ],
)
def test_the_meter_refuses_a_broken_answer(body: Any) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.meter().feed(sse(body))


# ------------------------------------------------------------------------------------------------- rendering
def stream(*events: StreamEvent, end: bool = True) -> tuple[list[dict[str, Any]], list[str]]:
    renderer = DIALECT.stream_renderer(STAMP, include_usage=True)
    data = renderer.feed(Started()) + b"".join(renderer.feed(event) for event in events)
    if end:
        data += renderer.feed(Ended()) + renderer.close()
    blocks = split_all([data])
    decoded = [json.loads(block.data or b"") for block in blocks]
    assert [block.event for block in blocks] == [event["type"] for event in decoded]
    assert [event["sequence_number"] for event in decoded] == list(range(len(decoded)))
    return decoded, renderer.dropped


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def start(block: int, kind: BlockKind, part: Part, choice: int = 0) -> BlockStart:
    return BlockStart(block=block, kind=kind, part=part, choice=choice)


TALK: tuple[StreamEvent, ...] = (
    start(0, "thinking", Thinking(origin="anthropic_messages")),
    TextDelta(block=0, text="h"),
    TextDelta(block=0, text="m"),
    SignatureDelta(block=0, signature="sig"),
    BlockStop(block=0),
    start(1, "text", Text(text="")),
    TextDelta(block=1, text="see", logprobs={"content": [{"token": "see", "logprob": 0.0}]}),
    TextDelta(block=1, text=""),
    CitationDelta(block=1, citation=Citation(url="u", title="t")),
    BlockStop(block=1),
    start(2, "refusal", Refusal(text="")),
    TextDelta(block=2, text="no"),
    BlockStop(block=2),
    start(3, "tool_call", ToolCall(id="c", name="f", arguments="")),
    TextDelta(block=3, text='{"a":'),
    TextDelta(block=3, text="1}"),
    BlockStop(block=3),
    UsageUpdate(usage=Usage(input=3, output=4, service_tier="standard")),
    Finish(reason="tool_calls"),
)


def test_the_whole_sequence_in_order() -> None:
    events, dropped = stream(*TALK)
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert dropped == []
    final = events[-1]["response"]
    assert final["output"] == [event["item"] for event in events if event["type"] == "response.output_item.done"]
    thinking, message, call = final["output"]
    assert (thinking["id"], message["id"], call["id"]) == ("rs_abc_0", "msg_abc_1", "fc_abc_2")
    assert carried.decode(thinking["encrypted_content"]).signature == "sig"
    assert message["content"][0]["annotations"][0]["url"] == "u"
    assert message["content"][0]["logprobs"] == [{"token": "see", "logprob": 0.0}]
    assert call["arguments"] == '{"a":1}'
    assert final["usage"]["total_tokens"] == 7
    assert final["service_tier"] == "standard"
    where = {(e["item_id"], e["output_index"]) for e in events if "item_id" in e}
    assert where == {("rs_abc_0", 0), ("msg_abc_1", 1), ("fc_abc_2", 2)}


def test_calls_side_by_side_keep_their_places() -> None:
    events, _ = stream(
        start(0, "text", Text(text="")),
        TextDelta(block=0, text="a"),
        start(1, "tool_call", ToolCall(id="c1", name="f", arguments="{")),
        start(2, "tool_call", ToolCall(id="c2", name="n__ns__g", arguments="", kind="custom")),
        TextDelta(block=1, text="}"),
        TextDelta(block=2, text="x"),
        TextDelta(block=0, text="b"),
        SignatureDelta(block=1, signature="s"),
        Finish(reason="length"),
    )
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "custom_tool_call", "message", "reasoning"]
    assert output[1]["arguments"] == "{}"
    assert (output[2]["input"], output[2]["name"], output[2]["namespace"]) == ("x", "g", "n")
    assert [item["content"][0]["text"] for item in (output[0], output[3])] == ["a", "b"]
    assert carried.decode(output[4]["encrypted_content"]).call_id == "c1"
    assert (output[0]["status"], output[3]["status"]) == ("completed", "incomplete")
    assert "response.custom_tool_call_input.done" in [event["type"] for event in events]
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def proofs(*events: StreamEvent) -> list[tuple[str, list[str], carried.Carried | None]]:
    output = stream(*events)[0][-1]["response"]["output"]
    return [
        (
            item["type"],
            [part["text"] for part in item.get("summary", item.get("content", []))],
            carried.decode(item["encrypted_content"]) if "encrypted_content" in item else None,
        )
        for item in output
    ]


def test_proofs_of_thought_are_carried_whenever_they_come() -> None:
    early = proofs(
        start(0, "thinking", Thinking(opaque="d", redacted=True, origin="anthropic_messages")), BlockStop(block=0)
    )
    assert early == [
        ("reasoning", [], carried.Carried(origin="anthropic_messages", opaque="d", redacted=True)),
    ]
    late = proofs(
        start(0, "thinking", Thinking(text="hm", origin="gemini")),
        start(1, "text", Text(text="a")),
        SignatureDelta(block=0, signature="s"),
        BlockStop(block=0),
        BlockStop(block=1),
    )
    assert late == [
        ("reasoning", ["hm"], carried.Carried(origin="gemini")),
        ("message", ["a"], None),
        ("reasoning", [], carried.Carried(origin="gemini", signature="s")),
    ]
    whole = Thinking(text="hm", origin="openai_chat", details=({"a": 1},))
    assert proofs(start(0, "thinking", Thinking(text="hm", origin="openai_chat")), BlockStop(block=0, part=whole)) == [
        ("reasoning", ["hm"], carried.Carried(origin="openai_chat", details=({"a": 1},))),
    ]
    said = proofs(start(0, "text", Text(text="a")), SignatureDelta(block=0, signature="s"), BlockStop(block=0))
    assert said == [("message", ["a"], None), ("reasoning", [], carried.Carried(kind="text", signature="s"))]
    silent = proofs(start(0, "text", Text(text="", signature="s")), BlockStop(block=0), BlockStop(block=0))
    assert silent == [("reasoning", [], carried.Carried(kind="text", signature="s", empty=True))]
    nothing = proofs(
        start(0, "thinking", Thinking()), BlockStop(block=0), start(1, "text", Text(text="")), BlockStop(block=1)
    )
    assert nothing == []


def test_its_own_reasoning_is_encrypted_as_it_was() -> None:
    events, _ = stream(
        start(0, "thinking", Thinking(origin="openai_responses", item_id="rs_theirs")),
        SignatureDelta(block=0, signature="gAAA", opaque=True),
        BlockStop(block=0, part=Thinking(opaque="gAAA", origin="openai_responses")),
        start(1, "thinking", Thinking(origin="openai_responses")),
        BlockStop(block=1),
    )
    assert events[-1]["response"]["output"] == [
        {"id": "rs_theirs", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
        {"id": "rs_abc_1", "type": "reasoning", "summary": []},
    ]


def test_texts_of_different_items_are_different_messages() -> None:
    events, _ = stream(
        start(0, "text", Text(text="a", item_id="x", phase="commentary")),
        start(1, "text", Text(text="b", item_id="y", phase="final_answer")),
        start(2, "text", Text(text="c", item_id="y", phase="final_answer")),
    )
    output = events[-1]["response"]["output"]
    assert [(item["phase"], len(item["content"])) for item in output] == [("commentary", 1), ("final_answer", 2)]


def test_parts_that_come_whole() -> None:
    events, dropped = stream(
        start(0, "text", Text(text="a", citations=(Citation(url="u"), Citation(cited_text="q")))),
        start(1, "image", Image(media=Media(data="aGk="))),
        BlockStop(block=1),
        start(
            2, "native", Native(dialect="openai_responses", type="web_search_call", value={"type": "web_search_call"})
        ),
        start(3, "native", Native(dialect="gemini", type="executableCode", value={})),
        start(4, "audio", Audio(media=Media(data="x"), transcript="spoken")),
        start(5, "audio", Audio(media=Media(data="x"))),
        start(6, "image", Image(media=Media(url="https://x"))),
        start(7, "text", Text(text=""), choice=1),
        TextDelta(block=7, text="other"),
        SignatureDelta(block=7, signature="s"),
        CitationDelta(block=7, citation=Citation(url="u")),
        CitationDelta(block=8, citation=Citation(url="u")),
        BlockStop(block=7),
        Finish(reason="length", choice=1),
        Finish(reason="stop_sequence", stop_sequence="END"),
        Extra(name="prompt_filter_results", value=[]),
    )
    assert [item["type"] for item in events[-1]["response"]["output"]] == [
        "message",
        "image_generation_call",
        "web_search_call",
        "message",
    ]
    assert dropped == [
        "citations.cited_text",
        "citations",
        "executableCode",
        "audio",
        "image",
        "choices[1]",
        "extra.prompt_filter_results",
        "stop_sequence",
    ]
    assert events[-1]["type"] == "response.completed"


def test_a_source_before_any_text_opens_its_message() -> None:
    events, _ = stream(
        start(0, "text", Text(text="")),
        CitationDelta(block=0, citation=Citation(url="u")),
        TextDelta(block=0, text="x"),
        BlockStop(block=0),
        start(1, "thinking", Thinking()),
        CitationDelta(block=1, citation=Citation(url="v")),
    )
    assert [item["content"][0]["text"] for item in events[-1]["response"]["output"]] == ["x"]


@pytest.mark.parametrize("reason", ["stop", "length", "error"])
def test_the_end_is_named_by_the_reason(reason: FinishReason) -> None:
    last = stream(Finish(reason=reason))[0][-1]["type"]
    assert last == {"stop": "response.completed", "length": "response.incomplete", "error": "response.failed"}[reason]
    assert stream()[0][-1]["type"] == "response.completed"


def test_an_error_ends_the_stream_without_a_false_end() -> None:
    failed = Failed(status=429, code="rate_limit_exceeded", message="slow down", type="rate_limit_error")
    events, _ = stream(*TALK[:3], failed, end=False)
    assert kinds(events)[-2:] == ["error", "failed"]
    assert events[-2]["error"]["code"] == events[-2]["code"] == "rate_limit_exceeded"
    assert events[-1]["response"]["status"] == "failed"
    assert events[-1]["response"]["error"] == {"code": "rate_limit_exceeded", "message": "slow down"}
    data = DIALECT.stream_renderer(STAMP).error(UpstreamTruncated("cut"))
    assert [block.event for block in split_all([data])] == ["error", "response.failed"]


# ------------------------------------------------------------------------------------------------- the official SDK
def client(body: bytes) -> openai.OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    return openai.OpenAI(
        api_key="k",
        base_url="http://gateway.test/v1",
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )


def test_the_sdk_accepts_the_stream() -> None:
    renderer = DIALECT.stream_renderer(STAMP)
    body = b"".join([renderer.feed(Started()), *(renderer.feed(event) for event in TALK), renderer.close()])
    with client(body) as sdk, sdk.responses.stream(model="m", input="hi") as events:
        seen = [event.type for event in events]
        final = events.get_final_response()
    assert seen[0] == "response.created"
    assert seen[-1] == "response.completed"
    assert final.id == "resp_abc"
    assert final.output_text == "see"
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert final.usage is not None
    assert final.usage.total_tokens == 7


def test_the_sdk_sees_the_error() -> None:
    renderer = DIALECT.stream_renderer(STAMP)
    body = renderer.feed(Started()) + renderer.error(UpstreamTruncated("cut short"))
    with client(body) as sdk, pytest.raises(openai.APIError, match="cut short"):
        list(sdk.responses.create(model="m", input="hi", stream=True))


def test_the_sdk_accepts_a_whole_answer() -> None:
    rendered = DIALECT.render_response(
        Response(
            dialect="gemini",
            id=None,
            model=None,
            choices=(Choice(parts=(Text(text="hello"),), finish=Finish(reason="stop")),),
            usage=Usage(input=1, output=2),
        ),
        STAMP,
    )

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=rendered.body)

    transport = httpx2.MockTransport(answer)
    with openai.OpenAI(
        api_key="k", base_url="http://gateway.test/v1", http_client=httpx2.Client(transport=transport)
    ) as sdk:
        final = sdk.responses.create(model="m", input="hi")
    assert final.output_text == "hello"
    assert openai.types.responses.Response.model_validate(rendered.body).status == "completed"
