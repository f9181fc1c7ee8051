"""The Responses dialect against every recorded interaction of every provider that speaks it."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from tests.traffic import index, load, needs_traffic
from wire.dialect import Quirks
from wire.dialects.openai_responses import DIALECT
from wire.dialects.openai_responses.response import ECHOED
from wire.errors import BadRequest, UpstreamCredentials, UpstreamError, UpstreamRateLimited, UpstreamRejected
from wire.neutral import (
    BlockStart,
    BlockStop,
    CitationDelta,
    Ended,
    Failed,
    Finish,
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
from wire.sse import SseEvent, SseSplitter, split_all

pytestmark = needs_traffic

ROWS = [row for row in index() if row["endpoint"] == "responses"]
STAMP = Stamp(id="0123456789abcdef0123456789abcdef", created=1_700_000_000, model="some-model")


def name(row: dict[str, Any]) -> str:
    return str(row["id"])


def is_stream(row: dict[str, Any]) -> bool:
    return "stream" in row["kind"]


PLAIN = [row for row in ROWS if row["status"] == 200 and not is_stream(row)]
STREAMS = [row for row in ROWS if row["status"] == 200 and is_stream(row) and "mid-stream-error" not in row["kind"]]
ERRORS = [row for row in ROWS if row["status"] != 200]
REQUESTS = [row for row in ROWS if "response-only" not in row["kind"] and row["model"] is not None]
NO_MODEL = [row for row in ROWS if "response-only" not in row["kind"] and row["model"] is None]


# ------------------------------------------------------------------------------------------------- requests
def known(body: dict[str, Any]) -> dict[str, Any]:
    """A request in one spelling: what is a default, a null or another way of writing the same is made equal."""
    plain = {key: value for key, value in body.items() if value not in (None, [], {})}
    for key, default in (("background", False), ("truncation", "disabled"), ("stream", False)):
        if plain.get(key) == default:
            del plain[key]
    given = plain.get("input", [])
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    plain["input"] = [known_item(item) for item in items]
    plain["tools"] = [known_object(tool) for tool in plain.get("tools", [])]
    plain["include"] = sorted(plain.get("include", []))
    for group in ("text", "reasoning"):
        plain[group] = known_object(plain.get(group, {}))
        if isinstance(plain[group].get("format"), dict):
            plain[group]["format"] = known_object(plain[group]["format"])
    return plain


def known_object(value: dict[str, Any]) -> dict[str, Any]:
    return {key: entry for key, entry in value.items() if entry is not None}


def known_item(item: dict[str, Any]) -> dict[str, Any]:
    plain = known_object(item)
    if "role" in plain and plain.get("type", "message") == "message":
        plain["type"] = "message"
        kind = "output_text" if plain["role"] == "assistant" else "input_text"
        plain["content"] = known_content(plain["content"], kind)
        plain.pop("status", None)
    elif plain["type"] == "reasoning":
        # The same words as summary and as content are said once.
        if [part["text"] for part in plain.get("content", [])] in ([], [part["text"] for part in plain["summary"]]):
            plain.pop("content", None)
    elif plain["type"].startswith(("function_call", "custom_tool_call")):
        plain.pop("status", None)
        if "output" in plain:
            plain["output"] = known_content(plain["output"], "input_text")
    return plain


def known_content(content: Any, kind: str) -> list[Any]:
    parts = [{"type": kind, "text": content}] if isinstance(content, str) else content
    return [known_part(part) for part in parts]


def known_part(part: dict[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in known_object(part).items() if key != "logprobs" and value != []}
    if plain["type"] == "input_image":
        plain.setdefault("detail", "auto")
    if "file_data" in plain:
        plain.setdefault("filename", "document.pdf")
        if not plain["file_data"].startswith("data:"):
            plain["file_data"] = f"data:application/pdf;base64,{plain['file_data']}"
    return plain


@pytest.mark.parametrize("row", REQUESTS, ids=name)
def test_a_request_survives_the_neutral_model(row: dict[str, Any]) -> None:
    body = load(row)["request"]["body"]
    before = json.dumps(body)
    request = DIALECT.parse_request(body)
    rendered = DIALECT.render_request(request, quirks=Quirks())
    assert json.dumps(body) == before
    assert rendered.dropped == ()
    assert known(rendered.body) == known(body)
    assert DIALECT.parse_request(rendered.body).model == request.model
    assert request.stream is bool(body.get("stream"))


@pytest.mark.parametrize("row", NO_MODEL, ids=name)
def test_a_stored_prompt_without_a_model_cannot_be_routed(row: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        DIALECT.parse_request(load(row)["request"]["body"])
    assert caught.value.param == "model"
    assert DIALECT.parse_request(load(row)["request"]["body"], model="m").extra["prompt"]


@pytest.mark.parametrize("row", REQUESTS, ids=name)
def test_passing_a_request_on_changes_the_model_alone(row: dict[str, Any]) -> None:
    body = load(row)["request"]["body"]
    sent, added = DIALECT.rewrite_request(json.dumps(body).encode(), model="other", quirks=Quirks(), include_usage=True)
    assert json.loads(sent) == {**body, "model": "other"}
    assert added is False


# ------------------------------------------------------------------------------------------------- whole answers
def expected_usage(answer: dict[str, Any]) -> tuple[int, ...] | None:
    usage = answer.get("usage")
    if usage is None:
        return None
    inputs, outputs = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    return (
        usage["input_tokens"],
        inputs.get("cached_tokens") or 0,
        inputs.get("cache_write_tokens") or 0,
        usage["output_tokens"],
        outputs.get("reasoning_tokens") or 0,
    )


def counted(usage: Usage | None) -> tuple[int, ...] | None:
    if usage is None:
        return None
    written = usage.cache_write_5m + usage.cache_write_1h
    return (usage.input, usage.cache_read, written, usage.output, usage.reasoning)


def known_answer(answer: dict[str, Any]) -> dict[str, Any]:
    """What an answer says, without ids (ours are our own), repeated settings, and fields that say nothing."""
    skip = {*ECHOED, "id", "model", "object", "created_at", "completed_at", "output_text", "tool_usage"}
    plain = {key: value for key, value in answer.items() if key not in skip and value not in (None, [], {}, "")}
    plain["status"] = "completed" if plain.get("status") in (None, "complete") else plain["status"]
    plain["output"] = [known_output(item) for item in plain.get("output", [])]
    return plain


def known_output(item: dict[str, Any]) -> dict[str, Any]:
    if item["type"] in ("message", "reasoning", "function_call", "custom_tool_call"):
        plain = {key: value for key, value in item.items() if key not in ("id", "status", "format")}
        plain = {key: value for key, value in plain.items() if value is not None and (key == "summary" or value != [])}
        if item["type"] == "message":
            plain["content"] = [
                {"logprobs": [], **known_object(part)} if part["type"] == "output_text" else part
                for part in item["content"]
            ]
        return plain
    return item


@pytest.mark.parametrize("row", PLAIN, ids=name)
def test_a_whole_answer_survives_the_neutral_model(row: dict[str, Any]) -> None:
    text = load(row)["response"]["body_text"]
    answer = json.loads(text)
    response = DIALECT.parse_response(answer)
    assert response.id == answer["id"]
    assert counted(response.usage) == expected_usage(answer)
    rendered = DIALECT.render_response(response, STAMP)
    assert rendered.dropped == ()
    assert known_answer(rendered.body) == known_answer(answer)
    facts = DIALECT.read_response(text.encode())
    assert counted(facts.usage) == expected_usage(answer)
    assert facts.finish == response.choices[0].finish.reason
    assert facts.text_bytes == written(response.choices[0].parts)


def written(parts: tuple[Part, ...]) -> int:
    total = 0
    for part in parts:
        if isinstance(part, Text | Refusal):
            total += len(part.text.encode())
        elif isinstance(part, Thinking):
            total += len(part.text.replace("\n\n", "").encode()) + 2 * (
                part.text.count("\n\n") - max(0, len(part.summary or ()) - 1)
            )
        elif isinstance(part, ToolCall):
            total += len(part.arguments.encode())
        elif isinstance(part, Native):
            total += sum(len(str(part.value.get(key) or "").encode()) for key in ("code",))
            if isinstance(part.value.get("arguments"), str):
                total += len(part.value["arguments"].encode())
    return total


def test_compacted_conversations_are_metered() -> None:
    rows = [row for row in index() if row["endpoint"] == "responses/compact" and row["status"] == 200]
    assert rows
    for row in rows:
        text = load(row)["response"]["body_text"]
        facts = DIALECT.read_response(text.encode())
        assert counted(facts.usage) == expected_usage(json.loads(text))


# ------------------------------------------------------------------------------------------------- streams
def gather(events: list[StreamEvent]) -> tuple[tuple[Part, ...], list[Any]]:
    """The parts that a stream's blocks add up to, from deltas alone, and every event that is not of a block."""
    parts: dict[int, Any] = {}
    texts: dict[int, str] = {}
    others: list[Any] = []
    stopped: set[int] = set()
    for event in events:
        if isinstance(event, BlockStart):
            assert event.block == len(parts)
            parts[event.block], texts[event.block] = event.part, ""
        elif isinstance(event, TextDelta):
            assert event.block not in stopped
            texts[event.block] += event.text
        elif isinstance(event, SignatureDelta):
            assert event.opaque
            parts[event.block] = replaced(parts[event.block], opaque=event.signature)
        elif isinstance(event, CitationDelta):
            part = parts[event.block]
            parts[event.block] = replaced(part, citations=(*part.citations, event.citation))
        elif isinstance(event, BlockStop):
            assert event.block not in stopped
            stopped.add(event.block)
        else:
            others.append(event)
    assert stopped == set(parts)
    return tuple(finished(parts[block], texts[block]) for block in parts), others


def replaced(part: Any, **changes: Any) -> Any:
    return type(part)(**{**{field: getattr(part, field) for field in part.__struct_fields__}, **changes})


def finished(part: Any, text: str) -> Any:
    if isinstance(part, Native):
        return part
    return replaced(part, **{"arguments" if isinstance(part, ToolCall) else "text": text})


def essence(parts: tuple[Part, ...]) -> list[Any]:
    """Parts without paths, and without what differs between a stream and its own final object: OpenAI encrypts the
    reasoning again for each, OpenRouter makes up another item id."""
    out: list[Any] = []
    for part in parts:
        if isinstance(part, Native):
            out.append(("native", part.value))
        elif isinstance(part, Thinking):
            out.append(("thinking", part.text, part.opaque is None, part.origin))
        elif isinstance(part, ToolCall):
            out.append(("call", part.id, part.name, part.arguments, part.kind, part.namespace))
        elif isinstance(part, Text):
            out.append(("text", part.text, part.citations, part.phase))
        elif isinstance(part, Refusal):
            out.append(("refusal", part.text))
    return out


def in_any_order(parts: list[Any]) -> tuple[list[Any], list[str]]:
    """Items of the provider's own tools apart: not all of them get a `done` event, those come at the end then."""
    own = [part for part in parts if part[0] != "native"]
    return own, sorted(json.dumps(part[1], sort_keys=True) for part in parts if part[0] == "native")


def final_answer(events: list[SseEvent]) -> dict[str, Any]:
    decoded = [json.loads(event.data) for event in events if event.data and event.data != b"[DONE]"]
    answer: dict[str, Any] = decoded[-1]["response"]
    return answer


def translate(events: list[SseEvent]) -> list[StreamEvent]:
    parser = DIALECT.stream_parser()
    out = [neutral for event in events for neutral in parser.feed(event)]
    return out + parser.close()


@pytest.mark.parametrize("row", STREAMS, ids=name)
def test_a_stream_says_what_its_final_object_says(row: dict[str, Any]) -> None:
    events = split_all([load(row)["response"]["body_text"].encode()])
    answer = final_answer(events)
    whole = DIALECT.parse_response(answer)
    parts, others = gather(translate(events))
    assert in_any_order(essence(parts)) == in_any_order(essence(whole.choices[0].parts))
    assert isinstance(others[0], Started)
    assert (others[0].id, others[0].created) == (whole.id, whole.created)
    told = [Started, UsageUpdate, Finish, Ended] if whole.usage else [Started, Finish, Ended]
    assert [type(event) for event in others] == told
    assert isinstance(others[-1], Ended)
    assert [event for event in others if isinstance(event, Finish)] == [whole.choices[0].finish]
    assert [event.usage for event in others if isinstance(event, UsageUpdate)] == ([whole.usage] if whole.usage else [])


@pytest.mark.parametrize("row", STREAMS, ids=name)
def test_a_stream_reads_the_same_however_it_is_cut(row: dict[str, Any]) -> None:
    body = load(row)["response"]["body_text"].encode()
    events = split_all([body])
    if len(body) < 200_000:
        splitter = SseSplitter()
        by_byte = [event for at in range(len(body)) for event in splitter.feed(body[at : at + 1])]
        assert by_byte + splitter.close() == events
    assert split_all(event.raw for event in events) == events


@pytest.mark.parametrize("row", STREAMS, ids=name)
def test_a_stream_is_metered(row: dict[str, Any]) -> None:
    events = split_all([load(row)["response"]["body_text"].encode()])
    answer = final_answer(events)
    whole = DIALECT.parse_response(answer)
    meter = DIALECT.meter()
    assert all(meter.feed(event) for event in events)
    meter.close()
    assert meter.usage == whole.usage
    assert meter.finish == whole.choices[0].finish.reason
    assert meter.response_id == answer["id"]
    assert meter.failed is None
    assert meter.ended
    assert meter.generated is bool(answer["output"])
    assert meter.text_bytes == written(whole.choices[0].parts)


def rendered_stream(events: list[StreamEvent]) -> bytes:
    renderer = DIALECT.stream_renderer(STAMP)
    return b"".join([*(renderer.feed(event) for event in events), renderer.close()])


@pytest.mark.parametrize("row", STREAMS, ids=name)
def test_a_rendered_stream_says_the_same_again(row: dict[str, Any]) -> None:
    neutral = translate(split_all([load(row)["response"]["body_text"].encode()]))
    parts, others = gather(neutral)
    events = split_all([rendered_stream(neutral)])
    again, others_again = gather(translate(events))

    def said(parts: tuple[Part, ...]) -> list[Any]:
        return [
            ("native", part.value) if isinstance(part, Native) else replaced(part, **forget(part)) for part in parts
        ]

    def forget(part: Any) -> dict[str, Any]:
        return {field: None for field in ("item_id",) if field in part.__struct_fields__}

    assert said(again) == said(parts)
    finish = [(event.reason, event.choice) for event in others if isinstance(event, Finish)]
    assert [(event.reason, event.choice) for event in others_again if isinstance(event, Finish)] == finish
    assert essence(gather(translate(events))[0]) == essence(
        DIALECT.parse_response(final_answer(events)).choices[0].parts
    )
    assert [counted(event.usage) for event in others_again if isinstance(event, UsageUpdate)] == [
        counted(event.usage) for event in others if isinstance(event, UsageUpdate)
    ]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of tool items newer than the SDK's types
@pytest.mark.parametrize("row", STREAMS[::4], ids=name)
def test_the_sdk_accepts_a_rendered_stream(row: dict[str, Any]) -> None:
    body = rendered_stream(translate(split_all([load(row)["response"]["body_text"].encode()])))

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    transport = httpx2.MockTransport(answer)
    with (
        openai.OpenAI(
            api_key="k", base_url="http://gateway.test/v1", http_client=httpx2.Client(transport=transport)
        ) as sdk,
        sdk.responses.stream(model="m", input="hi") as events,
    ):
        seen = [event.type for event in events]
    assert seen[0] == "response.created"
    assert seen[-1] in ("response.completed", "response.incomplete")


def test_a_stream_that_fails_says_so_once() -> None:
    rows = [row for row in ROWS if "mid-stream-error" in row["kind"]]
    assert rows
    for row in rows:
        events = split_all([load(row)["response"]["body_text"].encode()])
        neutral = translate(events)
        failed = [event for event in neutral if isinstance(event, Failed)]
        assert [(event.status, event.code) for event in failed] == [(429, "insufficient_quota")]
        assert neutral[-1] is failed[0]
        meter = DIALECT.meter()
        for event in events:
            meter.feed(event)
        meter.close()
        assert isinstance(meter.failed, UpstreamRateLimited)
        assert (meter.finish, meter.ended) == ("error", True)


@pytest.mark.parametrize("row", ERRORS, ids=name)
def test_an_error_is_classified_by_its_status(row: dict[str, Any]) -> None:
    response = load(row)["response"]
    error = DIALECT.parse_error(row["status"], response["headers"], response["body_text"].encode())
    kinds: dict[int, type[UpstreamError]] = {401: UpstreamCredentials, 429: UpstreamRateLimited}
    # xAI calls a wrong key a bad request.
    status = 401 if "Incorrect API key" in response["body_text"] else row["status"]
    assert type(error) is kinds.get(status, UpstreamRejected)
    assert error.status == (502 if status == 401 else status)
    body = DIALECT.render_error(error)
    assert set(body) == {"error", "detail"}
    assert body["error"]["message"] == body["detail"]
    assert "***" not in body["detail"]  # how OpenAI quotes a key
    if isinstance(document := json.loads(response["body_text"])["error"], dict) and status != 401:
        assert body["error"]["code"] == document["code"]
        assert body["error"]["param"] == document["param"]
