"""Whole Responses answers, usage and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wire.dialects.openai_responses import DIALECT, carried
from wire.dialects.openai_responses.usage import read_usage
from wire.errors import (
    BadRequest,
    UpstreamCredentials,
    UpstreamError,
    UpstreamMalformed,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
)
from wire.neutral import (
    Audio,
    Choice,
    Citation,
    DialectName,
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
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)

STAMP = Stamp(id="abc", created=7, model="asked-for")


def answer(*output: Any, **fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": list(output), **fields}


def message(*content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": list(content), **fields}


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], **fields}


def response(
    *parts: Part, reason: FinishReason = "stop", dialect: DialectName = "anthropic_messages", **fields: Any
) -> Response:
    logprobs = fields.pop("logprobs", None)
    choice = Choice(parts=parts, finish=fields.pop("finish", Finish(reason=reason)), logprobs=logprobs)
    return Response(dialect=dialect, id="x", model="y", choices=(choice,), usage=fields.pop("usage", None), **fields)


# ------------------------------------------------------------------------------------------------- reading
def test_every_kind_of_item_is_read() -> None:
    url = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 2}
    file = {"type": "file_citation", "file_id": "f", "filename": "n", "index": 1}
    read = DIALECT.parse_response(
        answer(
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "s"}], "content": None},
            message(said("hi", annotations=[url, file], logprobs=[{"token": "hi"}]), phase="final_answer"),
            message({"type": "refusal", "refusal": "no"}),
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc", "namespace": "ns"},
            {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "x"},
            {"type": "web_search_call", "id": "ws", "action": {"type": "search"}},
            created_at=3.0,
            service_tier="default",
            usage={"input_tokens": 1, "output_tokens": 2},
            conversation={"id": "conv"},
            tools=[],
            billing=None,
        )
    )
    thinking, text, refusal, call, custom, native = read.choices[0].parts
    assert isinstance(thinking, Thinking)
    assert (thinking.text, thinking.origin) == ("s", "openai_responses")
    assert isinstance(text, Text)
    assert [(c.url, c.file_id, c.title, c.start, c.end) for c in text.citations] == [
        ("u", None, "t", 0, 2),
        (None, "f", "n", None, None),
    ]
    assert text.phase == "final_answer"
    assert isinstance(refusal, Refusal)
    assert isinstance(call, ToolCall)
    assert (call.name, call.namespace) == ("f", "ns")
    assert isinstance(custom, ToolCall)
    assert custom.kind == "custom"
    assert isinstance(native, Native)
    assert read.choices[0].logprobs == {"content": [{"token": "hi"}], "refusal": None}
    assert read.choices[0].finish == Finish(reason="tool_calls", native="completed")
    assert (read.created, read.service_tier, read.extra) == (3, "default", {"conversation": {"id": "conv"}})
    assert read.usage is not None
    assert read.usage.web_searches == 1


@pytest.mark.parametrize(
    ("fields", "finish"),
    [
        ({"status": "completed"}, Finish(reason="stop", native="completed")),
        ({"status": None}, Finish(reason="stop")),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            Finish(reason="length", native="max_output_tokens", details={"reason": "max_output_tokens"}),
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            Finish(reason="content_filter", native="content_filter", details={"reason": "content_filter"}),
        ),
        ({"status": "incomplete"}, Finish(reason="length", native="incomplete")),
        (
            {"status": "incomplete", "incomplete_details": {"reason": 3}},
            Finish(reason="length", native="incomplete", details={"reason": 3}),
        ),
        ({"status": "queued"}, Finish(reason="pause", native="queued")),
        ({"status": "cancelled"}, Finish(reason="error", native="cancelled")),
    ],
)
def test_the_status_says_why_it_ended(fields: dict[str, Any], finish: Finish) -> None:
    body = answer(**fields)
    assert DIALECT.parse_response(body).choices[0].finish == finish
    assert DIALECT.read_response(json.dumps(body).encode()).finish == finish.reason


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"output": {}},
        {"output": [1]},
        {"output": [{"type": 1}]},
        {"output": [{"type": "message", "content": [{"type": "zzz"}]}]},
        {"output": [], "status": 1},
        {"output": [], "id": 1},
        {"output": [], "created_at": "now"},
    ],
)
def test_a_broken_answer_is_the_upstreams_fault(body: Any) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.parse_response(body)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id":1}', b'{"status":[]}'])
def test_a_passed_answer_that_is_not_one_is_the_upstreams_fault(body: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.read_response(body)


def test_an_answer_that_failed_is_its_error() -> None:
    failed = answer(status="failed", error={"code": "rate_limit_exceeded", "message": "slow down"})
    with pytest.raises(UpstreamRateLimited, match="slow down"):
        DIALECT.parse_response(failed)
    assert DIALECT.read_response(json.dumps(failed).encode()).finish == "error"


def test_facts_of_a_passed_answer() -> None:
    body = answer(
        {"type": "reasoning", "summary": [{"text": "한"}], "content": [{"text": "a"}, 1]},
        message(said("é"), {"type": "refusal", "refusal": "no"}),
        {"type": "function_call", "arguments": "{}"},
        {"type": "custom_tool_call", "input": "xyz"},
        {"type": "code_interpreter_call", "code": "1+1"},
        {"type": "tool_search_call", "arguments": {}},
        {"type": "message", "content": "text"},
        usage={"input_tokens": 1, "output_tokens": 2},
        service_tier="flex",
    )
    facts = DIALECT.read_response(json.dumps(body).encode())
    assert facts.text_bytes == 3 + 1 + 2 + 2 + 2 + 3 + 3
    assert (facts.finish, facts.response_id, facts.service_tier) == ("tool_calls", "resp_1", "flex")
    assert DIALECT.read_response(b'{"output":null}').text_bytes == 0
    assert DIALECT.read_response(b'{"status":"failed","output":[7]}').text_bytes == 0


# ------------------------------------------------------------------------------------------------- usage
def test_usage_has_one_meaning() -> None:
    usage = read_usage(
        answer(
            {"type": "web_search_call", "action": {"type": "search"}},
            {"type": "web_search_call", "action": {"type": "open_page"}},
            {"type": "web_search_call"},
            {"type": "image_generation_call", "result": "aGk="},
            {"type": "image_generation_call", "result": None},
            service_tier="priority",
            usage={
                "input_tokens": 100,
                "input_tokens_details": {
                    "cached_tokens": 10,
                    "cache_write_tokens": 20,
                    "cache_write_tokens_details": {"ttl_30m_tokens": 15, "ttl_12h_tokens": 5},
                },
                "output_tokens": 50,
                "output_tokens_details": {"reasoning_tokens": 30},
                "total_tokens": 150,
            },
        )
    )
    assert usage is not None
    assert (usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h) == (100, 10, 15, 5)
    assert (usage.output, usage.reasoning, usage.web_searches, usage.images) == (50, 30, 2, 1)
    assert (usage.uncached_input, usage.service_tier) == (70, "priority")


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"cost": 0.00005}, "0.00005"),
        ({"cost": 1}, "1"),
        ({"cost_in_usd_ticks": 7106000}, "0.0007106"),
        ({"cost": True}, None),
        ({}, None),
    ],
)
def test_a_providers_own_cost_is_exact_decimal_text(usage: dict[str, Any], cost: str | None) -> None:
    assert (read := read_usage({"usage": usage}))
    assert read.cost_usd == cost


def test_usage_of_a_wrong_type_counts_nothing() -> None:
    assert read_usage({"usage": None}) is None
    assert read_usage({"usage": []}) is None
    broken = {"input_tokens": "3", "output_tokens": None, "input_tokens_details": 1, "output_tokens_details": None}
    assert (read := read_usage({"usage": broken, "output": 3, "tool_usage": {"web_search": {"num_requests": 2}}}))
    assert (read.input, read.output, read.web_searches) == (0, 0, 2)


# ------------------------------------------------------------------------------------------------- rendering
def test_a_foreign_answer_becomes_a_complete_response_object() -> None:
    usage = Usage(
        input=10,
        cache_read=2,
        cache_write_5m=3,
        cache_write_1h=1,
        output=5,
        reasoning=2,
        web_searches=1,
        native={"a": 1},
    )
    rendered = DIALECT.render_response(
        response(
            Thinking(text="hm", signature="sig", origin="anthropic_messages"),
            Text(text="a", citations=(Citation(url="u", title="t"), Citation(file_id="f", title="n"))),
            Text(text="b"),
            ToolCall(id="c", name="f", arguments="{}"),
            ToolCall(id="d", name="crm__ns__get", arguments="x", kind="custom"),
            reason="tool_calls",
            usage=usage,
            service_tier="standard",
            extra={"container": {}},
        ),
        STAMP,
    )
    body = rendered.body
    assert (body["id"], body["model"], body["created_at"], body["status"]) == ("resp_abc", "asked-for", 7, "completed")
    assert body["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 4},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    }
    assert body["service_tier"] == "standard"
    assert body["tool_usage"] == {"web_search": {"num_requests": 1}}
    thinking, text, call, custom = body["output"]
    assert thinking == {
        "id": "rs_abc_0",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": thinking["encrypted_content"],
    }
    assert carried.decode(thinking["encrypted_content"]).signature == "sig"
    assert text["id"] == "msg_abc_1"
    assert [part["text"] for part in text["content"]] == ["a", "b"]
    assert [note["type"] for note in text["content"][0]["annotations"]] == ["url_citation", "file_citation"]
    assert (call["id"], call["call_id"], call["name"], call["arguments"]) == ("fc_abc_2", "c", "f", "{}")
    assert (custom["id"], custom["name"], custom["namespace"], custom["input"]) == ("ctc_abc_3", "get", "crm", "x")
    assert rendered.dropped == ("extra.container",)


def test_the_next_turn_has_every_proof_again() -> None:
    parts: tuple[Part, ...] = (
        Thinking(text="hm", signature="s1", origin="gemini"),
        Thinking(opaque="d", redacted=True, origin="anthropic_messages"),
        Text(text="hello", signature="s2"),
        ToolCall(id="c1", name="f", arguments="{}", signature="s3"),
        ToolCall(id="c2", name="f", arguments="{}", signature="s4"),
        Text(text="", signature="s5"),
    )
    output = DIALECT.render_response(response(*parts), STAMP).body["output"]
    back = DIALECT.parse_request({"model": "m", "input": output}).messages
    assert len(back) == 1
    shown = [
        (type(part), getattr(part, "text", None), part.signature)
        for part in back[0].parts
        if isinstance(part, Thinking | Text | ToolCall)
    ]
    assert shown == [
        (Thinking, "hm", "s1"),
        (Thinking, "", None),
        (Text, "hello", "s2"),
        (ToolCall, None, "s3"),
        (ToolCall, None, "s4"),
        (Text, "", "s5"),
    ]
    assert isinstance(redacted := back[0].parts[1], Thinking)
    assert (redacted.opaque, redacted.redacted, redacted.origin) == ("d", True, "anthropic_messages")


def test_reasoning_that_says_and_proves_nothing_is_no_item() -> None:
    assert DIALECT.render_response(response(Thinking(origin="openai_chat")), STAMP).body["output"] == []
    own = DIALECT.render_response(response(Thinking(origin="openai_responses"), Text(text="x")), STAMP).body["output"]
    assert own[0] == {"id": "rs_abc_0", "type": "reasoning", "summary": []}


@pytest.mark.parametrize(
    ("reason", "status", "cause"),
    [
        ("stop", "completed", None),
        ("stop_sequence", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("refusal", "incomplete", "content_filter"),
        ("pause", "incomplete", "pause"),
        ("error", "failed", None),
    ],
)
def test_the_reason_becomes_a_status(reason: FinishReason, status: str, cause: str | None) -> None:
    body = DIALECT.render_response(response(Text(text="x"), reason=reason), STAMP).body
    assert body["status"] == status
    assert body["incomplete_details"] == (None if cause is None else {"reason": cause})
    assert body["output"][0]["status"] == ("incomplete" if status == "incomplete" else "completed")
    assert body["error"] == ({"code": "server_error", "message": "The upstream failed"} if status == "failed" else None)


def test_what_an_answer_loses_is_named() -> None:
    first = response(
        Native(dialect="gemini", type="executableCode", value={}),
        Audio(media=Media(data="x"), transcript="spoken"),
        Audio(media=Media(data="x")),
        Image(media=Media(data="aGk=", mime="image/webp")),
        Image(media=Media(url="https://x")),
        ToolResult(call_id="c"),
        Text(text="x", citations=(Citation(cited_text="q"),)),
        Refusal(text="no"),
        finish=Finish(reason="stop_sequence", stop_sequence="END"),
    )
    rendered = DIALECT.render_response(
        Response(
            dialect="openai_chat",
            id=None,
            model=None,
            choices=(first.choices[0], Choice(parts=(), finish=Finish(reason="stop"))),
            usage=None,
        ),
        STAMP,
    )
    assert rendered.dropped == (
        "choices[1]",
        "executableCode",
        "audio",
        "image",
        "toolresult",
        "citations.cited_text",
        "citations",
        "stop_sequence",
    )
    assert [item["type"] for item in rendered.body["output"]] == ["message", "image_generation_call", "message"]
    assert rendered.body["output"][1]["output_format"] == "webp"
    assert rendered.body["output"][2]["content"][1] == {"type": "refusal", "refusal": "no"}
    nothing = Response(dialect="gemini", id=None, model=None, choices=(), usage=None)
    assert DIALECT.render_response(nothing, STAMP).body["output"] == []


def test_its_own_answer_keeps_its_own_facts() -> None:
    native = {"type": "web_search_call", "id": "ws"}
    body = answer(
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [{"type": "summary_text", "text": "s"}],
            "content": [{"type": "reasoning_text", "text": "long"}],
            "encrypted_content": "gAAA",
        },
        native,
        message(said("one"), said("two"), phase="final_answer"),
        message(said("three"), phase="commentary"),
        status="queued",
        usage={"input_tokens": 1, "output_tokens": 1, "odd": 1},
        conversation={"id": "conv"},
    )
    rendered = DIALECT.render_response(DIALECT.parse_response(body), STAMP).body
    assert rendered["output"][0] == body["output"][0]  # its id too: OpenAI ties the encrypted content to it
    assert rendered["output"][1] == native
    assert [item.get("phase") for item in rendered["output"][2:]] == ["final_answer", "commentary"]
    assert (rendered["status"], rendered["usage"], rendered["conversation"]) == (
        "queued",
        body["usage"],
        {"id": "conv"},
    )


def test_its_own_answer_without_usage_has_none() -> None:
    rendered = DIALECT.render_response(DIALECT.parse_response(answer(message(said("x")))), STAMP).body
    assert (rendered["usage"], rendered["status"]) == (None, "completed")


def test_logprobs_stand_with_the_text_they_belong_to() -> None:
    entries = [{"token": "a"}, {"token": "b"}, 3]
    rendered = DIALECT.render_response(
        response(Text(text="a"), Text(text="b?"), logprobs={"content": entries, "refusal": None}), STAMP
    )
    content = rendered.body["output"][0]["content"]
    assert [part["logprobs"] for part in content] == [[{"token": "a"}], [{"token": "b"}, 3]]


# ------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("status", "kind", "shown"),
    [
        (400, UpstreamRejected, 400),
        (401, UpstreamCredentials, 502),
        (403, UpstreamCredentials, 502),
        (404, UpstreamRejected, 404),
        (408, UpstreamTimedOut, 504),
        (409, UpstreamRejected, 400),
        (413, UpstreamRejected, 413),
        (422, UpstreamRejected, 422),
        (429, UpstreamRateLimited, 429),
        (500, UpstreamUnavailable, 502),
        (504, UpstreamTimedOut, 504),
    ],
)
def test_the_status_decides_the_error(status: int, kind: type[UpstreamError], shown: int) -> None:
    error = DIALECT.parse_error(status, {}, b'{"error":{"message":"m","type":"t","code":"c","param":"p"}}')
    assert type(error) is kind
    assert error.status == shown


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error":{"message":"m","code":"c"}}', "m", "c"),
        (b'{"error":{"message":"m","code":400}}', "m", "400"),
        (b'{"code":"invalid-argument","error":"text"}', "text", "invalid-argument"),
        (b'{"detail":"d"}', "d", None),
        (b'{"message":"m","code":true}', "m", None),
        (b'{"detail":[{"msg":"x"}]}', "The upstream answered with status 400", None),
        (b"<html>secret host</html>", "The upstream answered with status 400", None),
        (b"[]", "The upstream answered with status 400", None),
        (b'{"error":{}}', "The upstream answered with status 400", None),
    ],
)
def test_every_recorded_shape_of_error_is_read(body: bytes, message: str, code: str | None) -> None:
    error = DIALECT.parse_error(400, {}, body)
    assert (error.message, error.code) == (message, code)


@pytest.mark.parametrize(
    "secret",
    [
        "The API key provided: sk-proj-abc*****2345. Look",
        "bad key gsk_abcdefgh123 here",
        "header was Bearer abc.def.ghi",
        "key AIzaSyA1234567890abcdef is blocked",
        "token eyJhbGciOiJI.eyJzdWIi.sig refused",
        "api_key=plainsecret123",
    ],
)
def test_an_upstreams_words_never_hold_a_credential(secret: str) -> None:
    error = DIALECT.parse_error(400, {}, json.dumps({"error": {"message": secret}}).encode())
    assert "[redacted]" in error.message
    for part in ("2345", "abcdefgh", "ghi", "AIza", "eyJ", "plainsecret"):
        assert part not in error.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_in_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert DIALECT.parse_error(429, headers, b"{}").retry_after == seconds


def test_our_errors_have_both_shapes() -> None:
    error = BadRequest("no", param="input[0]", code="bad", detail="text")
    assert DIALECT.render_error(error) == {
        "error": {"message": "no", "type": "invalid_request_error", "param": "input[0]", "code": "bad"},
        "detail": "text",
    }
