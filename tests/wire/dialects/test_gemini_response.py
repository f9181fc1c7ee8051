"""Whole answers of Gemini, and answers of other dialects in Gemini's shape."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from wire.dialects.gemini import DIALECT
from wire.errors import UpstreamError, UpstreamMalformed, UpstreamRateLimited
from wire.neutral import (
    Choice,
    Citation,
    Finish,
    FinishReason,
    Stamp,
    Text,
    ToolCall,
    Usage,
    UsageUpdate,
)
from wire.sse import SseEvent

PNG = "iVBORw0KGgo="
STAMP = Stamp(id="abc", created=1, model="m")


def answer(*parts: dict[str, Any], finish: Any = "STOP", **candidate: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "finishReason": finish, **candidate}]}


def parse_one(body: dict[str, Any]) -> Choice:
    return DIALECT.parse_response(body).choices[0]


# ------------------------------------------------------------------------------------------------- finish reasons
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", "stop"),
        (None, "stop"),
        ("FINISH_REASON_UNSPECIFIED", "stop"),
        ("MAX_TOKENS", "length"),
        (2, "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("OTHER", "error"),
        ("A_WORD_OF_TOMORROW", "error"),
        ("CONTINUATION", "pause"),
    ],
)
def test_finish_reasons(word: Any, reason: FinishReason) -> None:
    body = answer({"text": "a"}, finish=word)
    assert parse_one(body).finish.reason == reason
    assert DIALECT.read_response(orjson.dumps(body)).finish == (
        reason if word not in (None, "FINISH_REASON_UNSPECIFIED") else None
    )


def test_stop_after_a_call_is_tool_calls() -> None:
    choice = parse_one(answer({"functionCall": {"name": "f", "args": {"a": "é"}}}, finishMessage="Model called."))
    assert choice.finish == Finish(reason="tool_calls", native="STOP", details="Model called.")
    assert choice.parts == (
        ToolCall(id="call_0", name="f", arguments='{"a":"é"}', path="candidates[0].content.parts[0]"),
    )


def test_made_ids_name_the_answer_and_are_not_shown_to_gemini() -> None:
    body = {
        **answer({"functionCall": {"name": "f", "args": {}}}, {"functionCall": {"name": "g", "args": {}}}),
        "responseId": "R",
    }
    response = DIALECT.parse_response(body)
    assert [part.id for part in response.choices[0].parts if isinstance(part, ToolCall)] == ["call_R_0", "call_R_1"]
    parts = DIALECT.render_response(response, STAMP).body["candidates"][0]["content"]["parts"]
    assert parts == body["candidates"][0]["content"]["parts"]


@pytest.mark.parametrize("feedback", [{"blockReason": "SAFETY"}, {"blockReasonMessage": "Reasons"}])
def test_a_blocked_prompt_is_a_filtered_choice(feedback: dict[str, Any]) -> None:
    body: dict[str, Any] = {"promptFeedback": feedback, "modelVersion": "m", "responseId": "abc"}
    response = DIALECT.parse_response(body)
    assert response.choices[0].finish.reason == "content_filter"
    assert response.choices[0].finish.native == feedback.get("blockReason")
    assert DIALECT.render_response(response, STAMP).body == body
    assert DIALECT.read_response(orjson.dumps(body)).finish == "content_filter"


def test_an_answer_without_anything_is_an_error_finish() -> None:
    assert parse_one({"promptFeedback": {"safetyRatings": []}}).finish.reason == "error"
    assert parse_one({}).finish.reason == "error"


def test_content_may_be_missing_or_empty() -> None:
    for candidate in ({"finishReason": "SAFETY"}, {"finishReason": "SAFETY", "content": {}}):
        assert parse_one({"candidates": [candidate]}) == Choice(
            parts=(), finish=Finish(reason="content_filter", native="SAFETY")
        )
    assert parse_one(answer({}, {"text": "a"})).parts == (Text(text="a", path="candidates[0].content.parts[0]"),)


# ------------------------------------------------------------------------------------------------- what else is said
def test_usage_classes() -> None:
    native = {
        "promptTokenCount": 100,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 5,
        "toolUsePromptTokenCount": 30,
        "cachedContentTokenCount": 40,
        "totalTokenCount": 155,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 60}, {"modality": 2, "tokenCount": 25}, "odd"],
        "toolUsePromptTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}, {"modality": "IMAGE", "tokenCount": 2}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 7}, {"modality": 4, "tokenCount": 1}],
        "trafficType": "ON_DEMAND_FLEX",
    }
    body = {**answer({"text": "a"}, groundingMetadata={"webSearchQueries": ["a", "b"]}), "usageMetadata": native}
    usage = DIALECT.parse_response(body).usage
    assert usage == Usage(
        input=130,
        cache_read=40,
        input_image=27,
        input_audio=3,
        tool_input=30,
        output=25,
        reasoning=5,
        output_image=7,
        output_audio=1,
        web_searches=2,
        service_tier="flex",
        native=native,
    )
    assert DIALECT.read_response(orjson.dumps(body)).usage == usage


@pytest.mark.parametrize(
    ("model", "queries", "charged"),
    [
        ("gemini-3-flash-preview", ["a", "b"], 2),
        ("gemini-3.1-pro-preview", ["", "a", "a"], 1),
        ("gemini-3-flash-preview", [""], 0),
        ("gemini-2.5-flash", ["a", "b"], 1),
        ("gemini-2.0-flash", [], 0),
        (None, ["a", "b"], 2),
    ],
)
def test_searches_are_counted_as_google_charges_them(model: str | None, queries: list[str], charged: int) -> None:
    body = {
        **answer({"text": "a"}, groundingMetadata={"webSearchQueries": queries}),
        "usageMetadata": {"promptTokenCount": 1},
        "modelVersion": model,
    }
    event = SseEvent(None, orjson.dumps(body), b"")
    meter, parser = DIALECT.meter(), DIALECT.stream_parser()
    meter.feed(event)
    streamed = [each.usage for each in (*parser.feed(event), *parser.close()) if isinstance(each, UsageUpdate)]
    for usage in (DIALECT.parse_response(body).usage, meter.usage, streamed[-1]):
        assert usage is not None
        assert usage.web_searches == charged


@pytest.mark.parametrize("native", [None, [], {}, {"trafficType": "ON_DEMAND"}])
def test_no_usage(native: Any) -> None:
    assert DIALECT.parse_response({**answer({"text": "a"}), "usageMetadata": native}).usage is None


def test_odd_counts_are_absent() -> None:
    native = {"promptTokenCount": "5", "candidatesTokenCount": True, "promptTokensDetails": "x", "totalTokenCount": -1}
    usage = DIALECT.parse_response({**answer({"text": "a"}), "usageMetadata": native}).usage
    assert usage is not None
    assert (usage.input, usage.output) == (0, 0)


def test_created_and_extra() -> None:
    body = {**answer({"text": "a"}, avgLogprobs=-0.1), "createTime": "2026-04-07T16:49:58.333958Z"}
    response = DIALECT.parse_response(body)
    assert response.created == 1775580598
    assert response.extra == {}
    assert DIALECT.render_response(response, STAMP).body["createTime"] == "2026-04-07T16:49:58Z"
    assert response.choices[0].extra == {"avgLogprobs": -0.1}
    assert DIALECT.parse_response({**body, "createTime": "yesterday"}).created is None
    assert DIALECT.parse_response({**body, "createTime": "0001-01-01T00:00:00Z"}).created is not None


def test_log_probabilities() -> None:
    result = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5}, {"token": "b", "logProbability": -1.0}],
        "topCandidates": [{"candidates": [{"token": "é", "logProbability": -0.5}]}, {"candidates": []}],
    }
    response = DIALECT.parse_response(answer({"text": "éb"}, logprobsResult=result))
    entry = {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    assert response.choices[0].logprobs == {
        "content": [
            {**entry, "top_logprobs": [entry]},
            {"token": "b", "logprob": -1.0, "bytes": [98], "top_logprobs": []},
        ],
        "refusal": None,
    }
    assert DIALECT.render_response(response, STAMP).body["candidates"][0]["logprobsResult"] == result
    odd_results: tuple[Any, ...] = (3, {}, {"chosenCandidates": 1}, {"chosenCandidates": []})
    for odd in odd_results:
        assert parse_one(answer({"text": "a"}, logprobsResult=odd)).logprobs is None
    bare = parse_one(answer({"text": "a"}, logprobsResult={"chosenCandidates": [{"token": 1}], "topCandidates": [3]}))
    assert bare.logprobs["content"][0]["token"] == ""


def grounded(text: str, supports: list[Any], chunks: list[Any]) -> tuple[Citation, ...]:
    grounding = {"groundingChunks": chunks, "groundingSupports": supports}
    choice = parse_one(answer({"text": "hm", "thought": True}, {"text": text}, groundingMetadata=grounding))
    part = choice.parts[1]
    assert isinstance(part, Text)
    return part.citations


def test_grounding_offsets_become_characters() -> None:
    chunks = [{"web": {"uri": "u", "title": "t"}}, {"retrievedContext": {"title": "d", "text": "quote"}}, {"other": 1}]
    segment = {"startIndex": 7, "endIndex": 10, "text": "맛"}
    found = grounded("톨게 맛", [{"segment": segment, "groundingChunkIndices": [0, 1, 2, 9, "x"]}], chunks)
    assert found == (
        Citation(url="u", title="t", start=3, end=4, origin="gemini"),
        Citation(title="d", cited_text="quote", start=3, end=4, origin="gemini"),
        Citation(start=3, end=4, origin="gemini"),
    )


def test_a_quote_decides_where_offsets_are_off() -> None:
    chunks = [{"web": {"uri": "u"}}]
    off = {"startIndex": 3, "endIndex": 8, "text": "world"}
    assert grounded("hello world", [{"segment": off, "groundingChunkIndices": [0]}], chunks) == (
        Citation(url="u", start=6, end=11, origin="gemini"),
    )
    lost = {"startIndex": 3, "endIndex": 8, "text": "mars"}
    beyond = {"startIndex": 300, "endIndex": 308}
    odd: list[Any] = [
        {"segment": lost, "groundingChunkIndices": [0]},
        {"segment": beyond, "groundingChunkIndices": [0]},
        {"segment": 1},
        {"segment": {"endIndex": 5}, "groundingChunkIndices": 1},
    ]
    assert grounded("hello world", odd, chunks) == ()


def test_citation_metadata_is_read_over_all_texts() -> None:
    sources = [{"startIndex": 4, "endIndex": 6, "uri": "u", "license": "mit"}, {"endIndex": 2, "title": "t"}]
    for name in ("citationSources", "citations"):
        choice = parse_one(answer({"text": "abc"}, {"text": "def"}, citationMetadata={name: sources}))
        assert [part.citations for part in choice.parts if isinstance(part, Text)] == [
            (Citation(title="t", start=0, end=2, origin="gemini"),),
            (Citation(url="u", start=1, end=3, origin="gemini"),),
        ]


# ------------------------------------------------------------------------------------------------- bad answers
@pytest.mark.parametrize(
    "body",
    [
        [],
        {"candidates": {}},
        {"candidates": [1]},
        {"candidates": [{"content": 1}]},
        {"candidates": [{"content": {"parts": [1]}}]},
        {"candidates": [{"content": {"parts": [{"text": 1}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]},
    ],
)
def test_an_answer_of_another_shape_is_malformed(body: Any) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.parse_response(body)


@pytest.mark.parametrize("raw", [b"", b"[1]", b"{", b'"\xff"', b"[" * 3000, b'{"candidates": 1}', b"null"])
def test_reading_what_is_not_an_answer_is_malformed(raw: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.read_response(raw)


def test_an_error_under_200_is_that_error() -> None:
    body = {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}
    with pytest.raises(UpstreamRateLimited):
        DIALECT.parse_response(body)
    for raw in (body, [body]):
        with pytest.raises(UpstreamRateLimited):
            DIALECT.read_response(orjson.dumps(raw))


SAMPLE: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "a", "thought": True, "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "f", "args": {}, "id": "i"}},
                    {"inlineData": {"mimeType": "image/png", "data": PNG}},
                    {"text": "b"},
                ],
                "role": "model",
            },
            "finishReason": "STOP",
            "finishMessage": "m",
            "index": 0,
            "groundingMetadata": {
                "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
                "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 1}, "groundingChunkIndices": [0]}],
                "webSearchQueries": ["q"],
            },
            "citationMetadata": {"citationSources": [{"startIndex": 0, "endIndex": 1}]},
            "logprobsResult": {"chosenCandidates": [{"token": "a", "logProbability": 1}], "topCandidates": [{}]},
        }
    ],
    "usageMetadata": {"promptTokenCount": 1, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1}]},
    "promptFeedback": {"blockReason": "SAFETY"},
    "modelVersion": "m",
    "responseId": "r",
    "createTime": "2026-04-07T16:49:58Z",
}
ODD: tuple[Any, ...] = (None, True, 1, -1, 1.5, "x", "", [], [None], [[]], {}, {"x": 1}, {"text": "x"})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from places(member, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    result = copy.copy(value)
    result[path[0]] = replaced(value[path[0]], path[1:], new)
    return result


@pytest.mark.parametrize("path", list(places(SAMPLE)), ids=lambda path: ".".join(map(str, path)) or "body")
def test_any_odd_value_anywhere_is_read_or_malformed(path: tuple[Any, ...]) -> None:
    outcomes: list[str] = []
    for odd in ODD:
        body = replaced(SAMPLE, path, odd)
        try:
            DIALECT.render_response(DIALECT.parse_response(body), STAMP)
            outcomes.append("read")
        except UpstreamError:
            outcomes.append("refused")
        try:
            DIALECT.read_response(orjson.dumps(body))
        except UpstreamError:
            outcomes.append("not read")
    assert len(outcomes) >= len(ODD)
