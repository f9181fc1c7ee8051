"""The gemini dialect over every recorded generateContent and streamGenerateContent interaction."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import orjson
import pytest
from msgspec import structs

from tests.traffic import index, load, needs_traffic
from wire.dialect import Quirks
from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.array_framing import ArrayFraming
from wire.dialects.gemini.count_tokens import parse_count_request, parse_count_response, render_count_request
from wire.dialects.gemini.schema import to_json_schema
from wire.dialects.gemini.shape import camel
from wire.errors import (
    BadRequest,
    UpstreamCredentials,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTruncated,
)
from wire.neutral import (
    BlockStart,
    Ended,
    Finish,
    Stamp,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
    UsageUpdate,
)
from wire.sse import JsonArraySplitter, SseEvent, SseSplitter

pytestmark = needs_traffic

GENERATING = ("generateContent", "streamGenerateContent")
ROWS = [row for row in index() if row["provider"] in ("gemini", "vertex") and row["endpoint"] in GENERATING]


def ids(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


@cache
def interaction(identifier: str) -> dict[str, Any]:
    return load(next(row for row in index() if row["id"] == identifier))


def request_body(identifier: str) -> dict[str, Any]:
    body: dict[str, Any] = interaction(identifier)["request"]["body"]
    return body


def answer_text(identifier: str) -> str:
    text: str = interaction(identifier)["response"]["body_text"]
    return text


def is_whole(row: dict[str, Any]) -> bool:
    return row["status"] == 200 and answer_text(row["id"]).lstrip().startswith("{")


def documents(text: str) -> list[dict[str, Any]]:
    """The recorded JSON documents of an answer, read without the code under test."""
    if text.lstrip().startswith("{"):
        return [json.loads(text)]
    if text.lstrip().startswith("["):
        found: list[dict[str, Any]] = json.loads(text)
        return found
    return [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]


REQUESTS = [row["id"] for row in ROWS if (interaction(row["id"])["request"] or {}).get("body")]
BAD_ROLES = {row_id for row_id in REQUESTS if "invalid_role" in json.dumps(request_body(row_id))}
ANSWERS = [row["id"] for row in ROWS if is_whole(row)]
STREAMS = [row["id"] for row in ROWS if row["status"] == 200 and row["id"] not in ANSWERS]
FAILURES = [row["id"] for row in ROWS if row["status"] >= 400]


# ------------------------------------------------------------------------------------------------- requests
def plain(value: Any) -> dict[str, Any]:
    """A recorded object with camelCase names and without nulls, one level deep."""
    return {camel(name): member for name, member in value.items() if member is not None}


def expected_part(raw: dict[str, Any]) -> dict[str, Any]:
    part = plain(raw)
    if part.get("thought") is False:
        del part["thought"]
    for kind in ("inlineData", "fileData", "functionCall"):
        if kind in part:
            part[kind] = plain(part[kind])
    if "inlineData" in part:
        data = part["inlineData"]["data"].replace("-", "+").replace("_", "/")
        part["inlineData"]["data"] = data + "=" * (-len(data) % 4)
    if "functionCall" in part:
        part["functionCall"].setdefault("args", {})
    if "functionResponse" in part:
        response = part["functionResponse"] = plain(part["functionResponse"])
        if "parts" in response:
            response["parts"] = [expected_part(piece) for piece in response["parts"]]
    return part


def expected_contents(contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Turns of one role merged, as the renderer does, and the pieces that a stream brought of one text."""
    turns: list[dict[str, Any]] = []
    for content in contents:
        role = "model" if content.get("role") == "model" else "user"
        parts = [expected_part(part) for part in content.get("parts") or []]
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        elif parts:
            turns.append({"role": role, "parts": parts})
    for turn in turns:
        if turn["role"] == "model":
            turn["parts"] = joined(turn["parts"])
    return turns


def joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    whole: list[dict[str, Any]] = []
    for part in parts:
        last = whole[-1] if whole else {}
        if part.get("text") and "text" in last and not {"thought", "thoughtSignature"} & (last.keys() | part.keys()):
            whole[-1] = {"text": last["text"] + part["text"]}
        else:
            whole.append(part)
    return whole


def expected_tools(tools: Any) -> list[dict[str, Any]]:
    functions: list[dict[str, Any]] = []
    native: list[dict[str, Any]] = []
    for tool in tools if isinstance(tools, list) else [tools]:
        for name, value in plain(tool).items():
            if name != "functionDeclarations":
                native.append({name: value})
                continue
            for raw in value:
                declaration = plain(raw)
                if "parameters" in declaration:
                    schema = to_json_schema(declaration.pop("parameters"), "")
                    declaration["parametersJsonSchema"] = schema
                functions.append(declaration)
    return ([{"functionDeclarations": functions}] if functions else []) + native


def expected_config(raw: dict[str, Any]) -> dict[str, Any]:
    config = plain(raw)
    if config.get("stopSequences") == []:
        del config["stopSequences"]
    if "responseSchema" in config:
        config["responseJsonSchema"] = to_json_schema(config.pop("responseSchema"), "")
    if "thinkingConfig" in config:
        thinking = config["thinkingConfig"] = plain(config["thinkingConfig"])
        if "thinkingLevel" in thinking:
            thinking["thinkingLevel"] = thinking["thinkingLevel"].lower()
    return config


def expected_request(raw: dict[str, Any]) -> dict[str, Any]:
    body = plain(raw)
    body.pop("model", None)
    body["contents"] = expected_contents(body["contents"])
    if "systemInstruction" in body:
        parts = [expected_part(part) for part in body["systemInstruction"]["parts"]]
        body["systemInstruction"] = {"parts": parts}
    if "tools" in body:
        body["tools"] = expected_tools(body["tools"])
        if not body["tools"]:
            del body["tools"]
    if "generationConfig" in body:
        body["generationConfig"] = expected_config(body["generationConfig"])
        if not body["generationConfig"]:
            del body["generationConfig"]
    if "toolConfig" in body:
        config = body["toolConfig"] = plain(body["toolConfig"])
        if "functionCallingConfig" in config:
            config["functionCallingConfig"] = plain(config["functionCallingConfig"])
    return body


@pytest.mark.parametrize("row_id", [row_id for row_id in REQUESTS if row_id not in BAD_ROLES])
def test_a_recorded_request_comes_back_as_it_was(row_id: str) -> None:
    raw = request_body(row_id)
    model = interaction(row_id)["model"].removeprefix("models/")
    request = DIALECT.parse_request(raw, model=model, stream="stream" in row_id)
    rendered = DIALECT.render_request(request, quirks=Quirks())
    assert rendered.body == expected_request(raw)
    assert rendered.dropped == ()
    assert request.model == model


@pytest.mark.parametrize("row_id", sorted(BAD_ROLES))
def test_a_role_that_google_refused_is_a_bad_request(row_id: str) -> None:
    with pytest.raises(BadRequest) as caught:
        DIALECT.parse_request(request_body(row_id))
    assert caught.value.param == "contents[0].role"


@pytest.mark.parametrize("row_id", REQUESTS)
def test_a_recorded_request_passes_byte_for_byte(row_id: str) -> None:
    body = orjson.dumps({name: value for name, value in request_body(row_id).items() if name != "model"})
    rewritten = DIALECT.rewrite_request(body, model="another", quirks=Quirks(), include_usage=True)
    assert rewritten == (body, False)


# ------------------------------------------------------------------------------------------------- answers
def last_usage(found: list[dict[str, Any]]) -> dict[str, int]:
    usage: dict[str, int] = {}
    for document in found:
        usage = document.get("usageMetadata") or usage
    return usage


def assert_usage(usage: Usage | None, recorded: dict[str, int]) -> None:
    if not any(name.endswith("TokenCount") for name in recorded):
        assert usage is None
        return
    assert usage is not None
    assert usage.input + usage.output == recorded["totalTokenCount"]
    assert usage.input == recorded["promptTokenCount"] + recorded.get("toolUsePromptTokenCount", 0)
    assert usage.output == recorded.get("candidatesTokenCount", 0) + recorded.get("thoughtsTokenCount", 0)
    assert usage.reasoning == recorded.get("thoughtsTokenCount", 0)
    assert usage.cache_read == recorded.get("cachedContentTokenCount", 0)
    assert usage.complete


def without_empty(candidate: dict[str, Any]) -> dict[str, Any]:
    """A recorded candidate in the form that the renderer gives: content always whole, reasons as words."""
    content = candidate.get("content") or {}
    words: dict[Any, str] = {1: "STOP", 2: "MAX_TOKENS"}
    result = {**candidate, "content": {"role": "model", "parts": content.get("parts") or []}}
    result["finishReason"] = words.get(candidate.get("finishReason"), candidate.get("finishReason") or "STOP")
    result.setdefault("index", 0)
    if "logprobsResult" in result:
        result["logprobsResult"] = json.loads(
            json.dumps(result["logprobsResult"]),
            object_hook=lambda item: {k: v for k, v in item.items() if k != "tokenId"},
        )
    return result


@pytest.mark.parametrize("row_id", ANSWERS)
def test_a_recorded_answer_keeps_its_fields_and_counts(row_id: str) -> None:
    raw = documents(answer_text(row_id))[0]
    response = DIALECT.parse_response(raw)
    assert_usage(response.usage, last_usage([raw]))
    stamp = Stamp(id=raw.get("responseId", "id"), created=0, model=raw.get("modelVersion", "model"))
    rendered = DIALECT.render_response(response, stamp)
    assert rendered.dropped == ()
    expected = {**raw, "responseId": stamp.id, "modelVersion": stamp.model}
    if "createTime" in raw:
        expected["createTime"] = raw["createTime"][:19] + "Z"
    if raw.get("candidates"):
        expected["candidates"] = [without_empty(candidate) for candidate in raw["candidates"]]
    else:
        expected.pop("candidates", None)
    if response.usage is None:
        expected.pop("usageMetadata", None)
    for candidate in expected.get("candidates", []):
        for part in candidate["content"]["parts"]:
            if "functionCall" in part:
                part["functionCall"].setdefault("args", {})
    assert rendered.body == expected


@pytest.mark.parametrize("row_id", ANSWERS)
def test_reading_a_recorded_answer_agrees_with_parsing_it(row_id: str) -> None:
    text = answer_text(row_id)
    response = DIALECT.parse_response(json.loads(text))
    facts = DIALECT.read_response(text.encode())
    assert facts.usage == response.usage
    assert facts.response_id == response.id
    candidates = json.loads(text).get("candidates")
    if candidates and candidates[0].get("finishReason"):
        assert facts.finish == response.choices[0].finish.reason
    texts = [part.text for choice in response.choices for part in choice.parts if isinstance(part, Text | Thinking)]
    assert facts.text_bytes >= len("".join(texts).encode())


# ------------------------------------------------------------------------------------------------- streams
def split(data: bytes, step: int) -> list[SseEvent]:
    array = data.lstrip().startswith(b"[")
    splitter = JsonArraySplitter() if array else SseSplitter()
    events = [event for at in range(0, len(data), step) for event in splitter.feed(data[at : at + step])]
    return events + splitter.close()


def parse(events: Iterable[SseEvent]) -> list[StreamEvent]:
    parser = DIALECT.stream_parser()
    found = [event for sse in events for event in parser.feed(sse)]
    return found + parser.close()


def recorded_parts(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        part
        for document in found
        for candidate in document.get("candidates") or []
        for part in (candidate.get("content") or {}).get("parts") or []
    ]


@pytest.mark.parametrize("row_id", STREAMS)
def test_a_recorded_stream_is_read_the_same_however_it_is_cut(row_id: str) -> None:
    data = answer_text(row_id).encode()
    found = documents(answer_text(row_id))
    events = parse(split(data, len(data)))
    assert events == parse(split(data, 1))
    assert events == parse(split(data, 997))
    assert isinstance(events[-1], Ended)
    usages = [event.usage for event in events if isinstance(event, UsageUpdate)]
    assert_usage(usages[-1] if usages else None, last_usage(found))
    kinds = {event.block: event.kind for event in events if isinstance(event, BlockStart)}
    for kind, thought in (("text", False), ("thinking", True)):
        said = "".join(event.text for event in events if isinstance(event, TextDelta) and kinds[event.block] == kind)
        parts = recorded_parts(found)
        assert said == "".join(
            part["text"] for part in parts if "text" in part and bool(part.get("thought")) == thought
        )
    assert len([event for event in events if isinstance(event, Finish)]) == 1


@pytest.mark.parametrize("row_id", STREAMS)
def test_calls_of_a_recorded_stream_are_whole(row_id: str) -> None:
    found = documents(answer_text(row_id))
    events = parse(split(answer_text(row_id).encode(), 4096))
    names = {
        event.block: event.part.name
        for event in events
        if isinstance(event, BlockStart) and isinstance(event.part, ToolCall)
    }
    calls = [
        (names[event.block], json.loads(event.text))
        for event in events
        if isinstance(event, TextDelta) and event.block in names
    ]
    recorded = [part["functionCall"] for part in recorded_parts(found) if "functionCall" in part]
    if any("partialArgs" in call for call in recorded):
        assert [name for name, _ in calls] == [call["name"] for call in recorded if "name" in call]
        assert calls[0][1]["recipe"]["ingredients"][0] == {"name": "Lasagna noodles", "amount": "16 oz"}
    else:
        assert calls == [(call["name"], call.get("args", {})) for call in recorded]


@pytest.mark.parametrize("row_id", STREAMS)
def test_a_recorded_stream_cut_before_its_end_is_truncated(row_id: str) -> None:
    events = split(answer_text(row_id).encode(), 4096)
    found = documents(answer_text(row_id))
    finishing = [
        place
        for place, document in enumerate(found)
        if "promptFeedback" in document
        or any(candidate.get("finishReason") for candidate in document.get("candidates") or [])
    ]
    for kept in range(len(events)):
        meter = DIALECT.meter()
        for event in events[:kept]:
            assert meter.feed(event)
        if finishing[0] < kept:
            assert isinstance(parse(events[:kept])[-1], Ended)
            meter.close()
            continue
        with pytest.raises(UpstreamTruncated):
            parse(events[:kept])
        with pytest.raises(UpstreamTruncated):
            meter.close()
        counted = last_usage(found[:kept])
        if "promptTokenCount" in counted:
            assert meter.usage is not None
            assert not meter.usage.complete
            assert meter.usage.input >= counted["promptTokenCount"]


@pytest.mark.parametrize("row_id", STREAMS)
def test_the_meter_agrees_with_the_parser(row_id: str) -> None:
    events = split(answer_text(row_id).encode(), 4096)
    meter = DIALECT.meter()
    assert all(meter.feed(event) for event in events)
    meter.close()
    parsed = parse(events)
    usages = [event.usage for event in parsed if isinstance(event, UsageUpdate)]
    assert meter.usage == (usages[-1] if usages else None)
    finish = next(event for event in parsed if isinstance(event, Finish))
    assert meter.finish == finish.reason
    assert meter.generated == any(isinstance(event, TextDelta) and event.text for event in parsed)
    said = sum(len(event.text.encode()) for event in parsed if isinstance(event, TextDelta))
    assert meter.text_bytes >= said * 0.9
    assert meter.response_id == documents(answer_text(row_id))[0].get("responseId")


@pytest.mark.parametrize("row_id", STREAMS)
def test_a_recorded_stream_rendered_again_says_the_same(row_id: str) -> None:
    parsed = parse(split(answer_text(row_id).encode(), 4096))
    renderer = DIALECT.stream_renderer(Stamp(id="abc", created=0, model="m"))
    rendered = b"".join(renderer.feed(event) for event in parsed) + renderer.close()
    again = parse(split(rendered, len(rendered)))
    kept = (TextDelta, Finish)
    assert [event for event in again if isinstance(event, kept)] == [
        Finish(reason=event.reason, choice=event.choice, native=event.native or "SAFETY")
        if isinstance(event, Finish)
        else event
        for event in parsed
        if isinstance(event, kept)
    ]
    # Searches are read of grounding metadata, which a stream of another dialect never has.
    usages = [structs.replace(event.usage, web_searches=0) for event in parsed if isinstance(event, UsageUpdate)]
    assert [event.usage for event in again if isinstance(event, UsageUpdate)][-1:] == usages[-1:]
    framing = ArrayFraming()
    array = framing.feed(rendered) + framing.close()
    assert json.loads(array) == documents(rendered.decode())


# ------------------------------------------------------------------------------------------------- errors, counts
@pytest.mark.parametrize("row_id", FAILURES)
def test_a_recorded_error_is_classified_by_status(row_id: str) -> None:
    recorded = interaction(row_id)["response"]
    error = DIALECT.parse_error(recorded["status"], recorded["headers"], recorded["body_text"].encode())
    raw = json.loads(recorded["body_text"])["error"]
    if recorded["status"] == 403 or "API key" in raw["message"]:
        assert isinstance(error, UpstreamCredentials)
        assert error.status == 502
        return
    kind = UpstreamRateLimited if recorded["status"] == 429 else UpstreamRejected
    assert type(error) is kind
    assert (error.status, error.code) == (recorded["status"], raw["status"])
    assert "AIza" not in error.message
    assert "fake-project" not in error.message
    if "34.4s" in recorded["body_text"]:
        assert error.retry_after == 34.4
    rendered = DIALECT.render_error(error)["error"]
    assert (rendered["code"], rendered["status"]) == (raw["code"], raw["status"])


COUNTS = [row["id"] for row in index() if row["endpoint"] == "countTokens" and row["status"] == 200]


@pytest.mark.parametrize("row_id", COUNTS)
def test_recorded_token_counts(row_id: str) -> None:
    raw = request_body(row_id)
    request = parse_count_request(raw, model="gemini-2.5-flash")
    body = render_count_request(request, quirks=Quirks()).body
    assert body["generateContentRequest"]["model"] == "models/gemini-2.5-flash"
    assert body["generateContentRequest"]["contents"] == expected_contents(raw["contents"])
    assert parse_count_response(json.loads(answer_text(row_id))) > 0
