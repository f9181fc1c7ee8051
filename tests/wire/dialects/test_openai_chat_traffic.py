"""Every recorded chat completion, of whatever provider: parsed, rendered again, metered, classified."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from tests.traffic import index, load, needs_traffic
from wire.dialect import Quirks
from wire.dialects.openai_chat import DIALECT
from wire.errors import (
    BadRequest,
    UpstreamCredentials,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from wire.neutral import (
    BlockStart,
    Ended,
    Failed,
    Finish,
    Part,
    Stamp,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    UsageUpdate,
)
from wire.sse import SseEvent, split_all

pytestmark = needs_traffic

ROWS = [row for row in index() if row["endpoint"] == "chat/completions"]
ANSWERED = [row for row in ROWS if row["status"] == 200]
STREAMS = [row for row in ANSWERED if "stream" in row["kind"]]
WHOLE = [row for row in ANSWERED if "stream" not in row["kind"]]
STAMP = Stamp(id="0123abcd", created=1_700_000_000, model="m")

# Its content holds messages where parts belong; OpenAI refused it as well.
REFUSED = {"openai-chat-completions-fff0c8c027c2": "messages[1].content[0].type"}


def by_file(rows: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[row["id"] for row in rows])


# ------------------------------------------------------------------------------------------------------ requests
def plain_request(body: dict[str, Any]) -> dict[str, Any]:
    """A recorded body as it comes back: of two ways to say a thing, the one that is written."""
    body = {key: value for key, value in json.loads(json.dumps(body)).items() if value is not None}
    tools = [*body.pop("tools", []), *({"type": "function", "function": tool} for tool in body.pop("functions", []))]
    if tools:
        body["tools"] = [{"type": "function", **tool} for tool in tools]
    choice = body.pop("function_call", None)
    if choice is not None and tools:
        body["tool_choice"] = choice
    if body.get("tool_choice") == "any":
        body["tool_choice"] = "required"
    if not tools:
        body.pop("tool_choice", None)
        body.pop("parallel_tool_calls", None)
    body["messages"] = [plain_message(message) for message in body["messages"]]
    if body.get("stop") == []:
        del body["stop"]
    if isinstance(body.get("stop"), str):
        body["stop"] = [body["stop"]]
    if body.get("stream") is False:
        del body["stream"]
    if isinstance(body.get("logprobs"), int) and not isinstance(body["logprobs"], bool):
        body |= {"logprobs": True, "top_logprobs": body["logprobs"]}
    if body.get("stream"):
        body["stream_options"] = {**body.get("stream_options", {}), "include_usage": True}
    if "include_reasoning" in body and "reasoning" in body:
        body["reasoning"]["exclude"] = not body.pop("include_reasoning")
    if body.get("response_format", {}).get("type") == "json_schema":
        body["response_format"]["json_schema"].setdefault("name", "answer")
    return body


def plain_message(message: dict[str, Any]) -> dict[str, Any]:
    message = {key: value for key, value in message.items() if value is not None}
    content = message.get("content")
    if isinstance(content, list):
        content = [plain_part(part) for part in content]
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            content = content[0]["text"]
    message["content"] = content or (None if message.get("tool_calls") else "")
    for call in message.get("tool_calls", []):
        call.pop("index", None)
        call["type"] = call.get("type", "function")
    if not message.get("tool_calls"):
        message.pop("tool_calls", None)
    message.pop("name", None) if message["role"] == "tool" else None
    if message.get("reasoning_content") == "":
        del message["reasoning_content"]
    if "reasoning" in message:
        message["reasoning_content"] = message.pop("reasoning")
    if "reasoning_details" in message:
        message.pop("reasoning_content", None)
    return message


def plain_part(part: dict[str, Any]) -> dict[str, Any]:
    part = {key: value for key, value in part.items() if value is not None}
    if isinstance(part.get("image_url"), str):
        part["image_url"] = {"url": part["image_url"]}
    if isinstance(part.get("input_audio"), str):
        part["input_audio"] = {"data": part["input_audio"], "format": "wav"}
    if "prompt_cache_breakpoint" in part:
        del part["prompt_cache_breakpoint"]
        part["cache_control"] = {"type": "ephemeral"}
    if part["type"] == "thinking":
        part["thinking"] = [{"type": "text", "text": "".join(inner["text"] for inner in part["thinking"])}]
    return part


def quirks_for(body: dict[str, Any]) -> Quirks:
    """An upstream that takes everything, in the words that the recorded request uses."""
    said = json.dumps(body["messages"])
    return Quirks(
        max_tokens_field="max_tokens" if "max_tokens" in body else "max_completion_tokens",
        accepts=frozenset({"top_k", "cache", "video", "tool_images"}),
        reasoning_control="thinking"
        if "thinking" in body
        else "reasoning"
        if "reasoning" in body
        else "reasoning_effort",
        reasoning_history="reasoning_details"
        if "reasoning_details" in said
        else "thinking_parts"
        if '"thinking"' in said
        else "reasoning_content",
        documents="document_url" if "document_url" in said else "file_or_url",
        seed_field="random_seed" if "random_seed" in body else "seed",
    )


def given_body(interaction: dict[str, Any]) -> dict[str, Any] | None:
    request = interaction["request"]
    body = request["body"] if request else None
    return {"model": "of the address", **body} if isinstance(body, dict) else None


@by_file(ROWS)
def test_a_request_says_the_same_after_translation(row: dict[str, Any]) -> None:
    body = given_body(load(row))
    if body is None:
        pytest.skip("the recording has no request")
    if row["id"] in REFUSED:
        with pytest.raises(BadRequest) as refused:
            DIALECT.parse_request(body)
        assert refused.value.param == REFUSED[row["id"]]
        return
    request = DIALECT.parse_request(body)
    rendered = DIALECT.render_request(request, quirks=quirks_for(body))
    for message in rendered.body["messages"]:
        if message.get("reasoning_content") == "":
            del message["reasoning_content"]  # DeepSeek must be told even that there was none
    assert rendered.body == plain_request(body)
    assert rendered.dropped == ()


@by_file(ROWS)
def test_a_request_that_is_passed_on_changes_in_the_model_alone(row: dict[str, Any]) -> None:
    body = given_body(load(row))
    if body is None:
        pytest.skip("the recording has no request")
    raw = orjson.dumps(body)
    rewritten, added = DIALECT.rewrite_request(raw, model="other", quirks=Quirks(), include_usage=True)
    changed = json.loads(rewritten)
    if added:
        assert body["stream"] is True
        assert changed.pop("stream_options").items() >= {"include_usage": True}.items()
        body.pop("stream_options", None)
    assert changed == {**body, "model": "other"}


# ------------------------------------------------------------------------------------------------------- answers
def said(parts: tuple[Part, ...]) -> list[tuple[Any, ...]]:
    out: list[tuple[Any, ...]] = []
    for part in parts:
        match part:
            case ToolCall():
                out.append(("call", part.id, part.name, part.arguments, part.kind, part.signature))
            case Text() if part.text or part.signature:
                out.append(("text", part.text, part.signature, len(part.citations)))
            case Thinking():
                out.append(("thinking", part.text, part.signature, part.opaque, part.origin))
            case _:
                out.append((type(part).__name__,))
    return out


@by_file(WHOLE)
def test_an_answer_is_read_whole(row: dict[str, Any]) -> None:
    text = load(row)["response"]["body_text"]
    body = json.loads(text)
    response = DIALECT.parse_response(body)
    facts = DIALECT.read_response(text.encode())
    assert len(response.choices) == len(body["choices"])
    for choice, recorded in zip(response.choices, body["choices"], strict=True):
        message = recorded.get("message") or {}
        content = message.get("content")
        if isinstance(content, str):
            assert "".join(part.text for part in choice.parts if isinstance(part, Text)) == content
        calls = [part for part in choice.parts if isinstance(part, ToolCall)]
        recorded_calls = message.get("tool_calls") or []
        assert [call.name for call in calls if "tool_calls" in call.path] == [
            call[call.get("type", "function")]["name"] for call in recorded_calls
        ]
        assert len({call.id for call in calls}) == len(calls)
        assert all(call.id for call in calls)
        assert choice.finish.reason == "tool_calls" or not calls or choice.finish.reason == "length"
    assert response.usage is not None
    assert response.usage.native == (body.get("usage") or body["x_groq"]["usage"])
    assert facts.usage == response.usage
    assert facts.finish == response.choices[0].finish.reason
    assert facts.response_id == response.id
    assert facts.text_bytes or response.usage.output == 0 or not said(response.choices[0].parts) or "call" in str(body)


@by_file(WHOLE)
def test_an_answer_says_the_same_after_translation(row: dict[str, Any]) -> None:
    response = DIALECT.parse_response(json.loads(load(row)["response"]["body_text"]))
    rendered = DIALECT.render_response(response, STAMP)
    again = DIALECT.parse_response(json.loads(orjson.dumps(rendered.body)))
    assert [said(choice.parts) for choice in again.choices] == [said(choice.parts) for choice in response.choices]
    assert [choice.finish.reason for choice in again.choices] == [choice.finish.reason for choice in response.choices]
    assert [choice.logprobs for choice in again.choices] == [choice.logprobs for choice in response.choices]
    assert again.usage == response.usage
    assert again.extra == response.extra
    assert rendered.dropped == ()
    assert (again.id, again.created, again.model) == ("chatcmpl-0123abcd", 1_700_000_000, "m")


# ------------------------------------------------------------------------------------------------------- streams
def parse(events: list[SseEvent]) -> list[StreamEvent]:
    parser = DIALECT.stream_parser()
    out = [event for wire_event in events for event in parser.feed(wire_event)]
    return out + parser.close()


def texts(events: list[StreamEvent]) -> list[tuple[Any, ...]]:
    """What each block says; empty ones are no matter."""
    blocks: dict[int, list[Any]] = {}
    for event in events:
        if isinstance(event, BlockStart):
            call = event.part if isinstance(event.part, ToolCall) else None
            blocks[event.block] = [event.kind, event.choice, call and (call.id, call.name, call.kind), ""]
        elif isinstance(event, TextDelta):
            blocks[event.block][3] += event.text
    return [tuple(block) for block in blocks.values() if block[2] or block[3]]


def recorded_usage(events: list[SseEvent]) -> Any:
    """The last one, by an own reading."""
    found = None
    for event in events:
        if event.data is not None and event.data.startswith(b"{"):
            chunk = json.loads(event.data)
            found = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") or found
    return found


@by_file(STREAMS)
def test_a_stream_is_read_and_metered(row: dict[str, Any]) -> None:
    body = load(row)["response"]["body_text"].encode()
    events = split_all([body])
    out = parse(events)
    meter = DIALECT.meter()
    assert all(meter.feed(event) for event in events)
    meter.close()
    usages = [event.usage for event in out if isinstance(event, UsageUpdate)]
    assert (usages[-1] if usages else None) == meter.usage
    assert (meter.usage.native if meter.usage else None) == recorded_usage(events)
    assert isinstance(out[0], Started)
    assert meter.response_id == out[0].id
    assert sum(isinstance(event, Started) for event in out) == 1
    written = sum(len(event.text.encode()) for event in out if isinstance(event, TextDelta))
    assert meter.text_bytes == written
    assert meter.generated or not texts(out)
    if meter.failed is not None:
        assert isinstance(out[-1], Failed)
        assert (out[-1].status, out[-1].message) == (meter.failed.status, meter.failed.message)
        assert not meter.ended
        return
    assert isinstance(out[-1], Ended)
    assert meter.ended
    assert meter.usage is None or meter.usage.complete
    finishes = {event.choice: event.reason for event in out if isinstance(event, Finish)}
    assert meter.finish == finishes[0]
    assert len(finishes) == sum(isinstance(event, Finish) for event in out)


@by_file(STREAMS)
def test_a_stream_is_the_same_byte_by_byte(row: dict[str, Any]) -> None:
    body = load(row)["response"]["body_text"].encode()
    if len(body) > 60_000:
        body = body[:60_000].rpartition(b"\n\n")[0] + b"\n\ndata: [DONE]\n\n"
    pieces = [body[at : at + 1] for at in range(len(body))]
    assert parse(split_all(pieces)) == parse(split_all([body]))


@by_file(STREAMS)
def test_a_stream_that_is_cut_never_ends_well_before_its_finish(row: dict[str, Any]) -> None:
    events = split_all([load(row)["response"]["body_text"].encode()])
    for cut in range(0, len(events), max(1, len(events) // 25)):
        parser, meter = DIALECT.stream_parser(), DIALECT.meter()
        before: list[StreamEvent] = []
        finished: dict[int, bool] = {}
        for event in events[:cut]:
            before += parser.feed(event)
            meter.feed(event)
            for choice in (json.loads(event.data or b"{}") if event.data != b"[DONE]" else {}).get("choices") or []:
                finished[choice["index"]] = finished.get(choice["index"], False) or bool(choice.get("finish_reason"))
        if any(isinstance(event, Failed) for event in before):
            assert parser.close() == []
            meter.close()
        elif not finished or not all(finished.values()):
            assert not any(isinstance(event, Ended | Finish) for event in before)
            with pytest.raises(UpstreamTruncated):
                parser.close()
            with pytest.raises(UpstreamTruncated):
                meter.close()
        else:
            assert any(isinstance(event, Ended) for event in [*before, *parser.close()])
            meter.close()


@by_file(STREAMS)
def test_a_stream_says_the_same_after_translation(row: dict[str, Any]) -> None:
    events = parse(split_all([load(row)["response"]["body_text"].encode()]))
    renderer = DIALECT.stream_renderer(STAMP, include_usage=True)
    rendered = b"".join(renderer.feed(event) for event in events)
    if isinstance(events[-1], Failed):
        assert b"[DONE]" not in rendered
        return
    rendered += renderer.close()
    again = parse(split_all([rendered]))
    assert texts(again) == texts(events)
    last = [event.usage for event in events if isinstance(event, UsageUpdate)][-1:]
    # A part larger than its whole was made to fit, so that it is equal from the second reading on.
    again_usage = [event.usage for event in again if isinstance(event, UsageUpdate)]
    assert [(u.input, u.cache_read, u.output, u.reasoning) for u in last] == [
        (u.input, u.cache_read, u.output, u.reasoning) for u in again_usage
    ]
    finishes = [(event.reason, event.choice) for event in events if isinstance(event, Finish)]
    assert [(event.reason, event.choice) for event in again if isinstance(event, Finish)] == finishes
    chunks = [json.loads(event.data) for event in split_all([rendered]) if event.data and event.data != b"[DONE]"]
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks} == {
        ("chatcmpl-0123abcd", 1_700_000_000, "m")
    }
    assert rendered.count(b'"role"') == len({c["index"] for chunk in chunks for c in chunk["choices"]})
    assert rendered.endswith(b"data: [DONE]\n\n")


# -------------------------------------------------------------------------------------------------------- errors
CLASSES = {
    400: UpstreamRejected,
    401: UpstreamCredentials,
    403: UpstreamCredentials,
    404: UpstreamRejected,
    422: UpstreamRejected,
    429: UpstreamRateLimited,
    500: UpstreamUnavailable,
}


@by_file([row for row in ROWS if row["status"] != 200])
def test_an_error_is_classified_by_its_status(row: dict[str, Any]) -> None:
    response = load(row)["response"]
    error = DIALECT.parse_error(response["status"], response["headers"], response["body_text"].encode())
    assert type(error) is CLASSES[row["status"]]
    assert error.status == (row["status"] if row["status"] in (400, 404, 422, 429) else 502)
    assert "failed with status" not in error.message, "the provider's own words were not found"
    assert "test-key" not in error.message
    assert "*****" not in error.message
