"""Every recorded Messages interaction, of whatever provider: parsed, rendered again, metered, classified."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from tests.traffic import index, load, needs_traffic
from wire.dialect import Quirks
from wire.dialects.anthropic_messages import DIALECT
from wire.errors import BadRequest, UpstreamCredentials, UpstreamRejected, UpstreamTruncated
from wire.neutral import (
    BlockStart,
    CitationDelta,
    Finish,
    Native,
    SignatureDelta,
    Stamp,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    ToolResult,
    UsageUpdate,
)
from wire.sse import SseEvent, split_all

pytestmark = needs_traffic

ROWS = [row for row in index() if row["endpoint"] in ("messages", "messages/count_tokens")]
ANSWERED = [row for row in ROWS if row["endpoint"] == "messages" and row["status"] == 200]


def by_file(rows: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[row["id"] for row in rows])


def is_stream(interaction: dict[str, Any]) -> bool:
    return "stream" in interaction["kind"]


# What a recorded request says in one of two ways comes back in one of them.
def plain_block(block: Any) -> Any:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    block = {key: value for key, value in block.items() if value is not None}
    if block["type"] == "tool_result" and "content" in block:
        content = block["content"]
        block["content"] = [plain_block(inner) for inner in ([content] if isinstance(content, str) else content)]
    return block


def plain_request(body: dict[str, Any]) -> dict[str, Any]:
    body = {"max_tokens": 4096, **json.loads(json.dumps(body))}
    messages: list[dict[str, Any]] = []
    for message in body["messages"]:
        content = message["content"]
        blocks = [plain_block(block) for block in ([content] if isinstance(content, str) else content)]
        if messages and messages[-1]["role"] == message["role"] != "system":
            messages[-1]["content"] += blocks
        else:
            messages.append({**message, "content": blocks})
    body["messages"] = messages
    if isinstance(body.get("system"), str):
        body["system"] = [plain_block(body["system"])]
    if "output_format" in body:
        body["output_config"] = {**body.get("output_config", {}), "format": body.pop("output_format")}
    for tool in body.get("tools", []):
        if tool.get("type") == "custom":
            del tool["type"]
    return {key: value for key, value in body.items() if value not in (None, [], "", False)}


# The upstream refused the first two as well; the third is of the tools beta of 2024, its result names no call.
REFUSED = {
    "anthropic-messages-3f2a434a6e65": "messages[0]",
    "anthropic-messages-fc0e5c065797": "tools[0].input_schema",
    "anthropic-messages-6f6cabd1026f": "messages[2].content[0].tool_use_id",
}


@by_file([row for row in ROWS if load(row)["request"] is not None])
def test_a_request_survives_the_neutral_model(row: dict[str, Any]) -> None:
    body = load(row)["request"]["body"]
    if row["id"] in REFUSED:
        with pytest.raises(BadRequest) as refusal:
            DIALECT.parse_request(body)
        assert refusal.value.param == REFUSED[row["id"]]
        return
    request = DIALECT.parse_request(body)
    rendered = DIALECT.render_request(request, quirks=Quirks())
    assert rendered.dropped == ()
    if "output_format" in body:
        body["output_format"].pop("name", None)
    assert plain_request(rendered.body) == plain_request(body)
    again = DIALECT.parse_request(rendered.body)
    assert DIALECT.render_request(again, quirks=Quirks()).body == rendered.body


@by_file(ROWS)
def test_no_recorded_body_is_changed_by_passing_it_through(row: dict[str, Any]) -> None:
    interaction = load(row)
    if interaction["request"] is None:
        return
    body = orjson.dumps(interaction["request"]["body"])
    assert DIALECT.rewrite_request(body, model=None, quirks=Quirks(), include_usage=True) == (body, False)
    renamed, added = DIALECT.rewrite_request(body, model="other", quirks=Quirks(), include_usage=True)
    assert orjson.loads(renamed) == {**interaction["request"]["body"], "model": "other"}
    assert not added


@by_file([row for row in ANSWERED if not is_stream(load(row))])
def test_a_whole_answer_comes_back_equal(row: dict[str, Any]) -> None:
    text = load(row)["response"]["body_text"]
    body = json.loads(text)
    response = DIALECT.parse_response(body)
    stamp = Stamp(id=body["id"].removeprefix("msg_"), created=1, model=body["model"])
    rendered = DIALECT.render_response(response, stamp)
    assert rendered.body == body
    assert rendered.dropped == ()
    facts = DIALECT.read_response(text.encode())
    assert (facts.usage, facts.response_id) == (response.usage, body["id"])
    assert facts.finish == response.choices[0].finish.reason
    assert_usage(facts.usage, body["usage"])


def assert_usage(usage: Any, recorded: dict[str, Any]) -> None:
    compactions = [each for each in recorded.get("iterations") or () if each["type"] == "compaction"]
    sampled = [recorded, *compactions]
    read = sum(each.get("cache_read_input_tokens") or 0 for each in sampled)
    write = sum(each.get("cache_creation_input_tokens") or 0 for each in sampled)
    uncached = sum(each["input_tokens"] for each in sampled)
    assert usage.input == uncached + read + write
    assert usage.uncached_input == uncached
    assert usage.cache_read == read
    assert usage.cache_write_5m + usage.cache_write_1h == write
    assert usage.cache_write_1h == (recorded.get("cache_creation") or {}).get("ephemeral_1h_input_tokens", 0)
    assert usage.output == sum(each["output_tokens"] for each in sampled)
    assert usage.reasoning == (recorded.get("output_tokens_details") or {}).get("thinking_tokens", 0)
    assert usage.web_searches == (recorded.get("server_tool_use") or {}).get("web_search_requests", 0)
    assert usage.complete


# ------------------------------------------------------------------------------------------------------------ streams
def neutral_events(events: list[SseEvent]) -> list[StreamEvent]:
    parser = DIALECT.stream_parser()
    return [neutral for event in events for neutral in parser.feed(event)] + parser.close()


def assembled(events: list[StreamEvent]) -> list[Any]:
    """The parts that the events of a stream add up to, as [kind, text or value, signature, citations]."""
    blocks: dict[int, list[Any]] = {}
    for event in events:
        if isinstance(event, BlockStart):
            part = event.part
            identity = (
                part.value
                if isinstance(part, Native)
                else (part.id, part.name, part.extra)
                if isinstance(part, ToolCall)
                else part.opaque
                if isinstance(part, Thinking)
                else None
            )
            blocks[event.block] = [event.kind, identity, "", None, []]
        elif isinstance(event, TextDelta):
            blocks[event.block][2] += event.text
        elif isinstance(event, SignatureDelta):
            blocks[event.block][3] = event.signature
        elif isinstance(event, CitationDelta):
            blocks[event.block][4].append(event.citation.native)
    return [blocks[ordinal] for ordinal in sorted(blocks)]


def expected_parts(events: list[SseEvent]) -> list[Any]:
    """The same of the parts of `parse_response`, read from the message that the stream adds up to."""
    content: list[dict[str, Any]] = []
    pieces: list[str] = []
    for event in events:
        data = orjson.loads(event.data or b"{}") if event.data != b"[DONE]" else {}
        if data.get("type") == "content_block_start":
            block = dict(data["content_block"])
            content.append({**block, "citations": []} if block["type"] == "text" else block)
            pieces.append("")
        elif data.get("type") == "content_block_delta":
            delta, block = data["delta"], content[-1]
            if delta["type"] == "text_delta":
                block["text"] += delta["text"]
            elif delta["type"] == "thinking_delta":
                block["thinking"] += delta["thinking"]
            elif delta["type"] == "signature_delta":
                block["signature"] = delta["signature"]
            elif delta["type"] == "citations_delta":
                block["citations"].append(delta["citation"])
            elif delta["type"] == "input_json_delta":
                pieces[-1] += delta["partial_json"]
                if _is_json(pieces[-1]):
                    block["input"] = json.loads(pieces[-1])
            else:
                block["content"] = delta["content"]
    parts = DIALECT.parse_response({"content": content}).choices[0].parts
    expected: list[Any] = []
    for part in parts:
        if isinstance(part, Text):
            expected.append(["text", None, part.text, None, [item.native for item in part.citations]])
        elif isinstance(part, Thinking):
            expected.append(["thinking", part.opaque, part.text, part.signature or None, []])
        elif isinstance(part, ToolCall):
            expected.append(["tool_call", (part.id, part.name, part.extra), part.arguments, None, []])
        elif isinstance(part, Native):
            expected.append(["native", part.value, "", None, []])
    return expected


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def comparable(parts: list[Any]) -> list[Any]:
    """Arguments as what they say, not as how they are written."""
    return [[*part[:2], json.loads(part[2]), *part[3:]] if part[0] == "tool_call" else part for part in parts]


STREAMS = [row for row in ANSWERED if is_stream(load(row))]
SPLICED = "anthropic-messages-d8db9f19e62a"  # two answers spliced into one; its first tool call was cut


@by_file(STREAMS)
def test_a_stream_says_what_its_message_would(row: dict[str, Any]) -> None:
    events = split_all([load(row)["response"]["body_text"].encode()])
    neutral = neutral_events(events)
    if row["id"] == SPLICED:
        assert sum(isinstance(event, Started) for event in neutral) == 1
        return
    assert comparable(assembled(neutral)) == comparable(expected_parts(events))
    assert sum(isinstance(event, Started) for event in neutral) == 1
    assert sum(isinstance(event, Finish) for event in neutral) == 1


@by_file(STREAMS)
def test_usage_of_a_stream_is_the_last_count(row: dict[str, Any]) -> None:
    events = split_all([load(row)["response"]["body_text"].encode()])
    counts: dict[str, Any] = {}
    written = 0
    for event in events:
        data = orjson.loads(event.data or b"{}") if event.data != b"[DONE]" else {}
        usage = data.get("usage") or data.get("message", {}).get("usage") or {}
        counts.update({key: value for key, value in usage.items() if value is not None})
        if data.get("type") == "content_block_delta":
            written += sum(len(data["delta"].get(key, "").encode()) for key in ("text", "thinking", "partial_json"))
    meter = DIALECT.meter()
    assert all(meter.feed(event) for event in events)
    meter.close()
    neutral = neutral_events(events)
    last = [event.usage for event in neutral if isinstance(event, UsageUpdate)][-1]
    assert_usage(last, counts)
    assert meter.usage == last
    (finish,) = [event.reason for event in neutral if isinstance(event, Finish)]
    (started,) = [event for event in neutral if isinstance(event, Started)]
    assert meter.finish == finish
    if row["id"] != SPLICED:
        assert meter.response_id == started.id
    assert meter.generated
    assert meter.ended
    assert meter.text_bytes == written


@by_file(STREAMS)
def test_a_stream_is_the_same_however_it_is_cut(row: dict[str, Any]) -> None:
    body = load(row)["response"]["body_text"].encode()
    whole = split_all([body])
    assert split_all([body[at : at + 1] for at in range(min(len(body), 20_000))] + [body[20_000:]]) == whole
    parser, meter, finished = DIALECT.stream_parser(), DIALECT.meter(), False
    for event in whole:  # cut at every event: only after the terminal one is the answer whole
        if not finished:
            with pytest.raises(UpstreamTruncated):
                parser.close()
            with pytest.raises(UpstreamTruncated):
                meter.close()
        parser.feed(event)
        meter.feed(event)
        finished = finished or event.event == "message_stop" or b'"message_stop"' in (event.data or b"")
    parser.close()
    meter.close()


@by_file(STREAMS)
def test_a_stream_rendered_again_says_the_same(row: dict[str, Any]) -> None:
    neutral = neutral_events(split_all([load(row)["response"]["body_text"].encode()]))
    renderer = DIALECT.stream_renderer(Stamp(id="1", created=1, model="claude"))
    out = b"".join(renderer.feed(event) for event in neutral) + renderer.close()
    again = neutral_events(split_all([out]))
    assert set(renderer.dropped) <= {"extra.provider"}  # OpenRouter's own field
    without_start = [event for event in neutral if not isinstance(event, Started)]
    assert [event for event in again if not isinstance(event, Started)] == without_start


# ------------------------------------------------------------------------------------------------------------- errors
@by_file([row for row in ROWS if row["status"] != 200])
def test_recorded_errors_are_classified(row: dict[str, Any]) -> None:
    response = load(row)["response"]
    error = DIALECT.parse_error(response["status"], response["headers"], response["body_text"].encode())
    recorded = json.loads(response["body_text"])["error"]
    assert error.message == recorded["message"]
    if response["status"] == 401:
        assert isinstance(error, UpstreamCredentials)
        assert error.status == 502
    else:
        assert isinstance(error, UpstreamRejected)
        assert (error.status, error.code) == (response["status"], recorded["type"])
        assert DIALECT.render_error(error) == {"type": "error", "error": recorded}


def test_tool_results_are_named_after_their_calls() -> None:
    rows = [row for row in ROWS if "tool-result" in load(row)["kind"] and row["id"] not in REFUSED]
    seen = 0
    for row in rows:
        request = DIALECT.parse_request(load(row)["request"]["body"])
        for message in request.messages:
            for part in message.parts:
                if isinstance(part, ToolResult):
                    assert message.role == "tool"
                    assert part.name
                    seen += 1
    assert seen > 40
