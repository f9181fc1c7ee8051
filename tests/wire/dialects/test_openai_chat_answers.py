"""Whole chat answers, their usage, and errors: to the neutral model and back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from wire.dialects.openai_chat import DIALECT
from wire.errors import (
    BadRequest,
    NotAllowed,
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
    Document,
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
    Usage,
)

STAMP = Stamp(id="abc", created=7, model="m")
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def answer(message: Any = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"} if message is None else message}
    return {"id": "cmpl-1.x", "object": "chat.completion", "choices": [{**choice, "finish_reason": "stop"}], **fields}


def choice_of(message: Any, **fields: Any) -> Choice:
    body = answer(message)
    body["choices"][0] |= fields
    (only,) = DIALECT.parse_response(body).choices
    return only


# ------------------------------------------------------------------------------------------------------- parsing
def test_an_answer() -> None:
    response = DIALECT.parse_response(
        answer(model="m", created=5, service_tier="flex", system_fingerprint="fp", usage={"prompt_tokens": 3})
    )
    assert response == Response(
        dialect="openai_chat",
        id="cmpl-1.x",
        model="m",
        choices=(
            Choice(
                parts=(Text(text="a", path="choices[0].message.content"),), finish=Finish(reason="stop", native="stop")
            ),
        ),
        usage=Usage(input=3, service_tier="flex", native={"prompt_tokens": 3}),
        created=5,
        service_tier="flex",
        extra={"system_fingerprint": "fp"},
    )
    empty = DIALECT.parse_response({"id": "", "model": "", "service_tier": "", "choices": []})
    assert (empty.id, empty.model, empty.service_tier, empty.usage) == (None, None, None, None)


def test_parts_of_an_answer() -> None:
    source = {"url": "https://e", "title": "t", "start_index": 0, "end_index": 1, "content": "c"}
    note = {"type": "url_citation", "url_citation": source}
    file = {"type": "file", "file": {"hash": "h"}}
    choice = choice_of(
        {
            "content": [{"type": "text", "text": "a"}, {"type": "odd_new_part"}],
            "annotations": [note, file],
            "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}],
            "audio": {"id": "audio_1", "data": "eA==", "transcript": "hi", "expires_at": 9},
            "provider_specific_fields": {"k": 1},
        },
        logprobs={"content": []},
        content_filter_results={"hate": {}},
        index=2,
    )
    where = "choices[0].message"
    assert choice.parts == (
        Text(
            text="a",
            citations=(
                Citation(url="https://e", title="t", cited_text="c", start=0, end=1, native=note, origin="openai_chat"),
                Citation(native=file, origin="openai_chat"),
            ),
            path=f"{where}.content[0]",
        ),
        Native(dialect="openai_chat", type="odd_new_part", value={"type": "odd_new_part"}, path=f"{where}.content[1]"),
        Image(media=Media(mime="image/png", data="eA=="), path=f"{where}.images[0]"),
        Audio(media=Media(data="eA=="), id="audio_1", transcript="hi", expires_at=9, path=f"{where}.audio"),
    )
    assert choice.extra == {"content_filter_results": {"hate": {}}, "message": {"provider_specific_fields": {"k": 1}}}
    assert choice.logprobs == {"content": []}
    assert choice.finish.choice == 2


def test_annotations_without_a_text_are_kept_on_an_empty_one() -> None:
    choice = choice_of({"content": None, "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]})
    (part,) = choice.parts
    assert isinstance(part, Text)
    assert part.citations[0].url == "u"


def test_calls_get_ids_that_differ_between_answers_and_choices() -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = answer({"tool_calls": [{**call, "id": ""}, {**call, "id": None}]})
    body["choices"].append({"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"})
    response = DIALECT.parse_response(body)
    ids = [part.id for choice in response.choices for part in choice.parts if isinstance(part, ToolCall)]
    assert ids == ["call_cmpl-1_x_0", "call_cmpl-1_x_1", "call_cmpl-1_x_1_0"]


def test_arguments_that_are_not_text_become_text() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": 1}}}, {"function": {"name": "g"}}]
    parts = choice_of({"tool_calls": calls}).parts
    assert [part.arguments for part in parts if isinstance(part, ToolCall)] == ['{"a":1}', ""]


@pytest.mark.parametrize(
    ("fields", "message", "reason", "sequence"),
    [
        ({"finish_reason": "stop"}, {"content": "a"}, "stop", None),
        ({"finish_reason": "stop"}, {"tool_calls": [CALL]}, "tool_calls", None),
        ({"finish_reason": "function_call"}, {"function_call": {"name": "f", "arguments": ""}}, "tool_calls", None),
        ({"finish_reason": "length"}, {"tool_calls": [CALL]}, "length", None),
        ({"finish_reason": "content_filter"}, {"content": ""}, "content_filter", None),
        ({"finish_reason": "eos"}, {"content": "a"}, "stop", None),
        ({"finish_reason": ""}, {"content": "a"}, "stop", None),
        ({"finish_reason": None}, {"content": "a"}, "stop", None),
        ({"finish_reason": ["odd"]}, {"content": "a"}, "stop", None),
        ({"finish_reason": None, "finish_details": {"type": "max_tokens"}}, {"content": "a"}, "length", None),
        ({"finish_reason": "stop", "stop_reason": "END"}, {"content": "a"}, "stop_sequence", "END"),
        ({"finish_reason": "stop", "stop_reason": 154827}, {"content": "a"}, "stop", None),
        ({"finish_reason": "stop", "stop_reason": "END"}, {"tool_calls": [CALL]}, "tool_calls", "END"),
        ({"finish_reason": "insufficient_system_resource"}, {"content": "a"}, "error", None),
    ],
)
def test_finish(fields: dict[str, Any], message: dict[str, Any], reason: str, sequence: str | None) -> None:
    finish = choice_of(message, **fields).finish
    assert (finish.reason, finish.stop_sequence) == (reason, sequence)
    body = answer(message)
    body["choices"][0] |= fields
    assert DIALECT.read_response(orjson.dumps(body)).finish == reason


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": "none"},
        {"choices": [1]},
        {"choices": [{"message": []}]},
        {"choices": [], "id": 5},
        answer({"content": 5}),
        answer({"tool_calls": [{"function": {"arguments": ""}}]}),
        answer({"tool_calls": [{"function": {"name": "f", "arguments": [1e999, 2**70]}}]}),
        answer({"annotations": ["a"]}),
    ],
)
def test_an_answer_that_cannot_be_read_is_malformed(body: Any) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.parse_response(body)


def test_an_error_inside_a_200_is_that_error() -> None:
    body = {"error": {"message": "slow down", "code": 429}}
    with pytest.raises(UpstreamRateLimited):
        DIALECT.parse_response(body)
    with pytest.raises(UpstreamRateLimited):
        DIALECT.read_response(orjson.dumps(body))


# -------------------------------------------------------------------------------------------------------- facts
def test_facts_of_an_answer() -> None:
    message = {
        "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "é"}]}, {"type": "text", "text": "ab"}],
        "reasoning": {"content": "xyz"},
        "refusal": "no",
        "tool_calls": [CALL, {"custom": {"input": "four"}}, "odd"],
        "function_call": {"name": "f", "arguments": "12345"},
        "audio": {"transcript": "say"},
    }
    facts = DIALECT.read_response(orjson.dumps(answer(message, usage={"prompt_tokens": 1}, service_tier="flex")))
    assert facts.text_bytes == 2 + 2 + 3 + 2 + 2 + 4 + 5 + 3
    assert facts.usage is not None
    assert (facts.usage.input, facts.response_id, facts.service_tier) == (1, "cmpl-1.x", "flex")


@pytest.mark.parametrize(
    ("message", "size"),
    [
        ({"content": None, "reasoning_details": [{"text": "abc"}, {"summary": "de"}, 5]}, 5),
        ({"content": [{"thinking": "abc"}]}, 3),
        ({"content": "a", "tool_calls": [{"function": []}], "reasoning_content": 7}, 1),
        (["odd"], 0),
    ],
)
def test_odd_answers_are_counted_as_far_as_they_go(message: Any, size: int) -> None:
    facts = DIALECT.read_response(orjson.dumps(answer(message, id=5, service_tier=7)))
    assert (facts.text_bytes, facts.response_id, facts.service_tier) == (size, None, None)
    assert DIALECT.read_response(b'{"choices":[]}').finish is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices": {}}', b'{"a":' + b"[" * 9999, b"\xff"])
def test_facts_of_what_is_no_answer_are_malformed(body: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.read_response(body)


# ------------------------------------------------------------------------------------------------------- usage
@pytest.mark.parametrize(
    ("native", "expected"),
    [
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 5, "cache_write_tokens": 30},
                "completion_tokens_details": {
                    "reasoning_tokens": 20,
                    "audio_tokens": 3,
                    "image_tokens": 2,
                    "accepted_prediction_tokens": 4,
                    "rejected_prediction_tokens": 6,
                },
            },
            {
                "input": 100,
                "cache_read": 40,
                "cache_write_5m": 30,
                "input_audio": 5,
                "output": 50,
                "reasoning": 20,
                "output_audio": 3,
                "output_image": 2,
                "accepted_prediction": 4,
                "rejected_prediction": 6,
            },
            id="openai",
        ),
        pytest.param(
            {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, "prompt_cache_hit_tokens": 8},
            {"input": 10, "output": 2, "cache_read": 8},
            id="deepseek",
        ),
        pytest.param(
            {
                "prompt_tokens": 786,
                "completion_tokens": 15,
                "total_tokens": 1137,
                "completion_tokens_details": {"reasoning_tokens": 336},
            },
            {"input": 786, "output": 351, "reasoning": 336},
            id="xai: reasoning only in the total",
        ),
        pytest.param(
            {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109},
            {"input": 35, "output": 74, "reasoning": 62},
            id="gemini: thoughts only in the total",
        ),
        pytest.param(
            {
                "prompt_tokens": 11,
                "completion_tokens": 15,
                "total_tokens": 401,
                "prompt_audio_seconds": 5,
                "prompt_tokens_details": {"audio_tokens": 375, "cached_tokens": 9},
            },
            {"input": 386, "output": 15, "input_audio": 375, "cache_read": 9, "seconds": 5.0},
            id="mistral: audio only in the total",
        ),
        pytest.param(
            {
                "prompt_tokens": 16,
                "completion_tokens": 128,
                "total_tokens": 144,
                "completion_tokens_details": {"reasoning_tokens": 132},
            },
            {"input": 16, "output": 128, "reasoning": 128},
            id="doubleword: more reasoning than output",
        ),
        pytest.param(
            {
                "prompt_tokens": 10,
                "completion_tokens": 1,
                "cache_read_input_tokens": 100,
                "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 7},
            },
            {"input": 122, "output": 1, "cache_read": 100, "cache_write_5m": 5, "cache_write_1h": 7},
            id="anthropic's exclusive counts, relayed",
        ),
        pytest.param(
            {
                "prompt_tokens": 50,
                "completion_tokens": 1,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_24h_input_tokens": 10},
            },
            {"input": 50, "output": 1, "cache_write_5m": 20, "cache_write_1h": 10},
            id="cache writes in both forms",
        ),
        pytest.param(
            {
                "prompt_tokens": 33,
                "completion_tokens": 7,
                "total_tokens": 40,
                "reasoning_tokens": 90,
                "num_search_queries": 2,
            },
            {"input": 33, "output": 97, "reasoning": 90, "web_searches": 2},
            id="perplexity's deep research",
        ),
        pytest.param(
            {
                "prompt_tokens": 8,
                "completion_tokens": 30,
                "cost": 0.0133176,
                "server_tool_use_details": {"web_search_requests": 1},
            },
            {"input": 8, "output": 30, "cost_usd": "0.0133176", "web_searches": 1},
            id="openrouter",
        ),
        pytest.param(
            {"prompt_tokens": 8, "completion_tokens": 30, "cost": {"total_cost": 4e-05}, "num_cached_tokens": 2},
            {"input": 8, "output": 30, "cost_usd": "0.00004", "cache_read": 2},
            id="perplexity's cost",
        ),
        pytest.param(
            {
                "prompt_tokens": 8.0,
                "completion_tokens": None,
                "cost": True,
                "total_tokens": "x",
                "service_tier": "batch",
            },
            {"input": 8, "service_tier": "batch"},
            id="odd values",
        ),
        pytest.param(
            {
                "prompt_tokens": -1,
                "completion_tokens": True,
                "prompt_tokens_details": 5,
                "cached_tokens": 0,
                "cost": -1,
            },
            {},
            id="wrong values",
        ),
    ],
)
def test_usage_in_one_meaning(native: dict[str, Any], expected: dict[str, Any]) -> None:
    usage = DIALECT.parse_response(answer(usage=native)).usage
    assert usage == Usage(**expected, native=native)


@pytest.mark.parametrize("native", [None, {}, [], "12", {"total_tokens": 5}])
def test_what_counts_nothing_is_no_usage(native: Any) -> None:
    assert DIALECT.parse_response(answer(usage=native)).usage is None


def test_groqs_usage_counts_where_there_is_no_other() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    assert DIALECT.parse_response(answer(x_groq={"usage": usage})).usage == Usage(input=1, output=2, native=usage)
    assert DIALECT.parse_response(answer(x_groq="odd")).usage is None


# ----------------------------------------------------------------------------------------------------- rendering
def render(
    *parts: Part, dialect: DialectName = "anthropic_messages", reason: FinishReason = "stop", **fields: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    choice = Choice(parts=parts, finish=Finish(reason=reason))
    response = Response(dialect=dialect, id="x", model="up", choices=(choice,), usage=None, **fields)
    rendered = DIALECT.render_response(response, STAMP)
    return rendered.body, rendered.dropped


def message_of(*parts: Part) -> dict[str, Any]:
    body, dropped = render(*parts)
    assert dropped == ()
    message: dict[str, Any] = body["choices"][0]["message"]
    return message


def test_the_whole_shape() -> None:
    body, dropped = render(Text(text="a"), service_tier="flex", extra={"stop_details": 1})
    assert body == {
        "id": "chatcmpl-abc",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "a", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "service_tier": "flex",
    }
    assert dropped == ("extra.stop_details",)


def test_parts_become_fields() -> None:
    image = Image(media=Media(mime="image/webp", data="eA=="))
    assert message_of(
        Text(text="ab", citations=(Citation(url="https://e", title="t", cited_text="c"),)),
        Text(text="cd", citations=(Citation(url="https://f", start=1, end=2),), signature="sig"),
        Refusal(text="no"),
        Refusal(text="!"),
        ToolCall(id="c1", name="f", arguments="{}", signature="s"),
        ToolCall(id="c2", name="g", arguments="x", kind="custom"),
        image,
        Audio(media=Media(data="eA=="), id="a1", transcript="t", expires_at=3),
    ) == {
        "role": "assistant",
        "content": "abcd",
        "refusal": "no!",
        "annotations": [
            {
                "type": "url_citation",
                "url_citation": {"url": "https://e", "title": "t", "start_index": 0, "end_index": 2, "content": "c"},
            },
            {
                "type": "url_citation",
                "url_citation": {"url": "https://f", "title": "https://f", "start_index": 3, "end_index": 4},
            },
        ],
        "extra_content": {"google": {"thought_signature": "sig"}},
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": "s"}},
            },
            {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x"}},
        ],
        "images": [{"type": "image_url", "image_url": {"url": "data:image/webp;base64,eA=="}}],
        "audio": {"id": "a1", "data": "eA==", "expires_at": 3, "transcript": "t"},
    }


def test_reasoning_is_shown_and_its_proof_kept() -> None:
    plain = message_of(Thinking(text="why", origin="openai_chat"), Text(text="a"))
    assert plain["reasoning_content"] == "why"
    assert "reasoning_details" not in plain
    signed = message_of(
        Thinking(text="why", signature="s", origin="anthropic_messages"),
        Thinking(opaque="b", redacted=True, origin="anthropic_messages"),
    )
    assert signed["reasoning_content"] == "why"
    assert [entry["type"] for entry in signed["reasoning_details"]] == ["reasoning.text", "reasoning.encrypted"]
    hidden = message_of(Thinking(opaque="b", origin="openai_responses", item_id="rs_1"))
    assert "reasoning_content" not in hidden
    # A caller that gives the message back gives the proofs back.
    back = DIALECT.parse_request({"model": "m", "messages": [signed]}).messages[0].parts
    assert [(p.text, p.signature, p.opaque, p.redacted, p.origin) for p in back if isinstance(p, Thinking)] == [
        ("why", "s", None, False, "anthropic_messages"),
        ("", None, "b", True, "anthropic_messages"),
    ]


def test_what_an_answer_loses_is_reported() -> None:
    _, dropped = render(
        Text(text="a", citations=(Citation(cited_text="only a quote"),)),
        Native(dialect="anthropic_messages", type="server_tool_use", value={}),
        Document(media=Media(file_id="f"), path="content[2]"),
    )
    assert dropped == ("citations", "server_tool_use", "content[2]")
    response = Response(
        dialect="gemini",
        id=None,
        model=None,
        choices=(Choice(parts=(), finish=Finish(reason="stop"), extra={"safety": 1}),),
        usage=None,
    )
    assert DIALECT.render_response(response, STAMP).dropped == ("extra.safety",)


def test_its_own_answers_come_back_as_they_were() -> None:
    native = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "queue_time": 0.5}
    body = answer({"content": "a", "odd": 1}, usage=native, system_fingerprint="fp")
    body["choices"][0]["content_filter_results"] = {}
    rendered = DIALECT.render_response(DIALECT.parse_response(body), STAMP).body
    assert rendered["usage"] == native
    assert rendered["system_fingerprint"] == "fp"
    assert rendered["choices"][0]["content_filter_results"] == {}
    assert rendered["choices"][0]["message"]["odd"] == 1


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("refusal", "content_filter"),
        ("pause", "stop"),
        ("error", "error"),
    ],
)
def test_finish_reasons_in_openais_words(reason: FinishReason, word: str) -> None:
    assert render(Text(text="a"), reason=reason)[0]["choices"][0]["finish_reason"] == word


def test_what_openais_word_leaves_out_stands_beside_it() -> None:
    finish = Finish(reason="stop_sequence", stop_sequence="END", native="stop_sequence")
    response = Response(dialect="gemini", id=None, model=None, choices=(Choice(parts=(), finish=finish),), usage=None)
    (choice,) = DIALECT.render_response(response, STAMP).body["choices"]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "END")
    assert choice["native_finish_reason"] == "stop_sequence"


def test_usage_of_another_dialect() -> None:
    usage = Usage(
        input=100,
        cache_read=40,
        cache_write_5m=10,
        cache_write_1h=20,
        input_audio=1,
        input_image=2,
        output=50,
        reasoning=30,
        output_audio=3,
        output_image=4,
        accepted_prediction=5,
        rejected_prediction=6,
        web_searches=7,
        cost_usd="0.5",
        native={"input_tokens": 30},
    )
    response = Response(dialect="anthropic_messages", id=None, model=None, choices=(), usage=usage)
    assert DIALECT.render_response(response, STAMP).body["usage"] == {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 1, "cache_write_tokens": 30, "image_tokens": 2},
        "completion_tokens_details": {
            "reasoning_tokens": 30,
            "audio_tokens": 3,
            "accepted_prediction_tokens": 5,
            "rejected_prediction_tokens": 6,
            "image_tokens": 4,
        },
        "server_tool_use_details": {"web_search_requests": 7},
        "cost": 0.5,
    }


# -------------------------------------------------------------------------------------------------------- errors
def error_of(status: int, body: Any, headers: dict[str, str] | None = None) -> UpstreamError:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return DIALECT.parse_error(status, headers or {}, raw)


@pytest.mark.parametrize(
    ("status", "kind", "kept"),
    [
        (400, UpstreamRejected, 400),
        (401, UpstreamCredentials, 502),
        (402, UpstreamCredentials, 502),
        (403, UpstreamCredentials, 502),
        (404, UpstreamRejected, 404),
        (408, UpstreamTimedOut, 504),
        (409, UpstreamRejected, 400),
        (413, UpstreamRejected, 413),
        (422, UpstreamRejected, 422),
        (429, UpstreamRateLimited, 429),
        (500, UpstreamUnavailable, 502),
        (503, UpstreamUnavailable, 502),
        (504, UpstreamTimedOut, 504),
        (529, UpstreamUnavailable, 502),
        (302, UpstreamMalformed, 502),
    ],
)
def test_errors_are_classified_by_status(status: int, kind: type[UpstreamError], kept: int) -> None:
    error = error_of(status, {"error": {"message": "m", "type": "t", "code": "c", "param": "p"}})
    assert (type(error), error.status) == (kind, kept)
    if kind is UpstreamRejected:
        assert (error.message, error.type, error.code, error.param) == ("m", "t", "c", "p")


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "m", "code": 400}}, "m", "400"),
        ({"error": "m"}, "m", None),
        ({"code": "c", "error": "m"}, "m", "c"),
        ({"object": "error", "message": "m", "code": "3051"}, "m", "3051"),
        ({"id": "1", "message": "m"}, "m", None),
        ({"detail": "m"}, "m", None),
        ({"detail": [{"loc": ["body", "x", 0], "msg": "bad"}, {"msg": "worse"}, 3]}, "x.0: bad; worse", None),
        ([{"error": {"message": "m", "code": 404}}], "m", "404"),
        ({"error": {"message": "m", "metadata": {"raw": "why", "provider_name": "P"}}}, "m: why", None),
        ({"message": {"detail": [{"msg": "x"}]}}, '{"detail":[{"msg":"x"}]}', None),
        ({"error": {"code": True}}, "The upstream failed with status 400", None),
        ({"error": {"message": [[[[[[[[[1]]]]]]]]]}}, "The upstream failed with status 400", None),
        ([], "The upstream failed with status 400", None),
        ("text", "The upstream failed with status 400", None),
        (b"<html>Bad gateway</html>", "The upstream failed with status 400", None),
        (b"", "The upstream failed with status 400", None),
    ],
)
def test_errors_in_all_recorded_shapes(body: Any, message: str, code: str | None) -> None:
    error = error_of(400, body)
    assert (error.message, error.code) == (message, code)


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("Incorrect API key provided: bad-key-***test. See", "Incorrect API key provided: [redacted] See"),
        ("Your api key: ****-key is invalid", "Your api key: [redacted] is invalid"),
        ("key sk-proj-abc123DEF456 refused", "key [redacted] refused"),
        ("header Bearer eyJhbGciOi.x.y sent", "header Bearer [redacted] sent"),
        ("AIzaSyA-1234567890abc was used", "[redacted] was used"),
        ("in organization org-AbCdEf1234567890XY on", "in organization [redacted] on"),
        ("an up-to-date user_location field", "an up-to-date user_location field"),
        ("task-oriented", "task-oriented"),
    ],
)
def test_credentials_never_show(text: str, scrubbed: str) -> None:
    assert error_of(400, {"error": {"message": text}}).message == scrubbed


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    limited = error_of(429, {"error": {"message": "m", "code": 429}}, headers)
    assert (limited.retry_after, limited.code) == (seconds, "rate_limit_exceeded")


def test_errors_in_openais_shape_with_the_any_llm_gateways_detail() -> None:
    assert DIALECT.render_error(BadRequest("Invalid 'n'", param="n", code="c")) == {
        "error": {"message": "Invalid 'n'", "type": "invalid_request_error", "param": "n", "code": "c"},
        "detail": "Invalid 'n'",
    }
    told = DIALECT.render_error(NotAllowed("Budget used up", detail="User 'u' has exceeded budget limit"))
    assert told["detail"] == "User 'u' has exceeded budget limit"
