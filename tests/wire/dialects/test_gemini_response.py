"""Whole answers of Gemini, and answers of other dialects in Gemini's shape."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from google.genai import types

from wire.dialect import Quirks
from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.foreign import SKIP_VALIDATION, is_sealed
from wire.errors import UpstreamError, UpstreamMalformed, UpstreamRateLimited
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
    assert response.extra == {"createTime": "2026-04-07T16:49:58.333958Z"}
    assert response.choices[0].extra == {"avgLogprobs": -0.1}
    assert DIALECT.parse_response({**body, "createTime": "yesterday"}).created is None


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


# ------------------------------------------------------------------------------------------------- rendering others'
def render(
    *parts: Part, dialect: DialectName = "anthropic_messages", reason: FinishReason = "stop", **choice: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    response = Response(
        dialect=dialect,
        id="x",
        model="claude",
        choices=(Choice(parts=parts, finish=Finish(reason=reason, native="end_turn", details={"a": 1}), **choice),),
        usage=None,
    )
    rendered = DIALECT.render_response(response, STAMP)
    types.GenerateContentResponse.model_validate(json.loads(orjson.dumps(rendered.body)))
    candidate: dict[str, Any] = rendered.body["candidates"][0]
    return candidate, rendered.dropped


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "STOP"),
        ("stop_sequence", "STOP"),
        ("tool_calls", "STOP"),
        ("length", "MAX_TOKENS"),
        ("content_filter", "SAFETY"),
        ("refusal", "SAFETY"),
        ("pause", "OTHER"),
        ("error", "OTHER"),
    ],
)
def test_foreign_finish_reasons(reason: FinishReason, word: str) -> None:
    candidate, dropped = render(Text(text="a"), reason=reason)
    assert candidate == {
        "content": {"parts": [{"text": "a"}], "role": "model"},
        "finishReason": word,
        "index": 0,
    }
    assert dropped == ()


def test_a_foreign_answer() -> None:
    response = Response(
        dialect="openai_chat",
        id="chatcmpl-1",
        model="gpt",
        choices=(
            Choice(parts=(Text(text="a"),), finish=Finish(reason="stop"), extra={"content_filter_results": {}}),
            Choice(parts=(Refusal(text="no"),), finish=Finish(reason="refusal", choice=1)),
        ),
        usage=Usage(
            input=100,
            cache_read=60,
            tool_input=10,
            input_audio=5,
            output=30,
            reasoning=20,
            output_image=4,
            service_tier="default",
            native={"prompt_tokens": 100},
        ),
        extra={"system_fingerprint": "fp"},
    )
    rendered = DIALECT.render_response(response, STAMP)
    assert rendered.body == {
        "candidates": [
            {"content": {"parts": [{"text": "a"}], "role": "model"}, "finishReason": "STOP", "index": 0},
            {"content": {"parts": [{"text": "no"}], "role": "model"}, "finishReason": "SAFETY", "index": 1},
        ],
        "usageMetadata": {
            "promptTokenCount": 90,
            "candidatesTokenCount": 10,
            "totalTokenCount": 130,
            "cachedContentTokenCount": 60,
            "thoughtsTokenCount": 20,
            "toolUsePromptTokenCount": 10,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 85},
                {"modality": "AUDIO", "tokenCount": 5},
            ],
            "candidatesTokensDetails": [
                {"modality": "TEXT", "tokenCount": 6},
                {"modality": "IMAGE", "tokenCount": 4},
            ],
            "serviceTier": "standard",
        },
        "modelVersion": "m",
        "responseId": "abc",
    }
    assert rendered.dropped == ("extra.content_filter_results", "extra.system_fingerprint")
    counted = DIALECT.parse_response(rendered.body).usage
    assert counted is not None
    assert (counted.input, counted.output, counted.reasoning, counted.cache_read) == (100, 30, 20, 60)


def test_foreign_thinking_comes_back_on_the_next_turn() -> None:
    thoughts = (
        Thinking(text="first", signature="s1", origin="anthropic_messages"),
        Thinking(opaque="hidden", redacted=True, origin="anthropic_messages"),
    )
    reasoning = Thinking(
        text="sum",
        summary=("sum",),
        opaque="enc",
        item_id="rs_1",
        origin="openai_responses",
        details=({"type": "reasoning.text"},),
    )
    call = ToolCall(id="toolu_1", name="f", arguments="{}")
    candidate, dropped = render(*thoughts, Text(text="so"), reasoning, call, ToolCall(id="t2", name="g", arguments=""))
    parts = candidate["content"]["parts"]
    assert dropped == ()
    assert [part.get("text") for part in parts] == ["first", "so", "sum", None, None]
    assert [part.get("thought") for part in parts] == [True, None, True, None, None]
    assert is_sealed(parts[1]["thoughtSignature"])
    assert is_sealed(parts[3]["thoughtSignature"])
    assert parts[4] == {"functionCall": {"name": "g", "args": {}, "id": "t2"}}
    for kept in (parts, [part for part in parts if not part.get("thought")]):  # clients may leave thoughts out
        request = DIALECT.parse_request({"contents": [{"role": "model", "parts": kept}]})
        found = [part for part in request.messages[0].parts if isinstance(part, Thinking)]
        assert [(part.text, part.signature, part.opaque, part.origin) for part in found] == [
            ("first", "s1", None, "anthropic_messages"),
            ("", None, "hidden", "anthropic_messages"),
            ("sum", None, "enc", "openai_responses"),
        ]
        assert (found[2].item_id, found[2].summary, found[2].details) == ("rs_1", ("sum",), reasoning.details)
        kinds = [type(part) for part in request.messages[0].parts]
        assert kinds == [Thinking, Thinking, Text, Thinking, ToolCall, ToolCall]
        # Back to Gemini: the foreign thinking is dropped by name.
        rendered = DIALECT.render_request(request, quirks=Quirks())
        assert rendered.dropped == tuple(dict.fromkeys(part.path for part in found))


def test_a_seal_of_another_gateway_passes_through() -> None:
    candidate, _ = render(Thinking(text="t", signature="s", origin="anthropic_messages"), Text(text="a"))
    parts = candidate["content"]["parts"]
    choice = parse_one({"candidates": [candidate]})
    assert [type(part) for part in choice.parts] == [Thinking, Text]
    assert isinstance(choice.parts[1], Text)
    assert choice.parts[1].signature == parts[1]["thoughtSignature"]


def test_thinking_alone_is_carried_by_an_empty_text() -> None:
    candidate, _ = render(Thinking(text="cut", origin="openai_responses"), reason="length")
    shown, carrier = candidate["content"]["parts"]
    assert shown == {"text": "cut", "thought": True}
    assert carrier["text"] == ""
    assert is_sealed(carrier["thoughtSignature"])


def test_a_foreign_call_lets_gemini_3_go_on() -> None:
    candidate, _ = render(ToolCall(id="a", name="f", arguments="{}"), ToolCall(id="b", name="g", arguments="{}"))
    signatures = [part.get("thoughtSignature") for part in candidate["content"]["parts"]]
    assert signatures == [SKIP_VALIDATION, None]


def test_gemini_through_another_dialect_keeps_its_signatures() -> None:
    thought = Thinking(text="t", signature="c2ln", origin="gemini")
    candidate, _ = render(thought, ToolCall(id="a", name="f", arguments="{}", signature="c2ln"), dialect="openai_chat")
    assert [part.get("thoughtSignature") for part in candidate["content"]["parts"]] == ["c2ln", "c2ln"]


def test_arguments_that_are_no_object_end_as_gemini_ends() -> None:
    bad = ToolCall(id="a", name="f", arguments='{"a": ')
    candidate, dropped = render(Text(text="x"), bad, reason="tool_calls")
    assert candidate["content"]["parts"] == [{"text": "x"}]
    assert candidate["finishReason"] == "MALFORMED_FUNCTION_CALL"
    assert candidate["finishMessage"] == 'Malformed function call: f({"a": )'
    assert dropped == ("tool_call.arguments",)
    assert render(bad, reason="length")[0]["finishReason"] == "MAX_TOKENS"


def test_media_and_native_parts_of_answers() -> None:
    candidate, dropped = render(
        Image(media=Media(mime="image/png", data=PNG)),
        Audio(media=Media(file_id="audio_1"), id="audio_1"),
        Audio(media=Media(data="AAAA"), transcript="spoken", path="choices[0].message.audio"),
        Document(media=Media(data="AAAA", mime="text/csv")),
        Native(dialect="gemini", type="executableCode", value={"executableCode": {"code": "1", "language": "PYTHON"}}),
        Native(dialect="anthropic_messages", type="server_tool_use", value={}, path="content[1]"),
    )
    kinds = [next(iter(part)) for part in candidate["content"]["parts"]]
    assert kinds == ["inlineData", "text", "inlineData", "executableCode"]
    assert dropped == ("audio", "choices[0].message.audio", "content[1]")


def test_foreign_citations_become_grounding() -> None:
    candidate, _ = render(
        Text(text="톨", citations=(Citation(url="u", title="t", start=0, end=1),)),
        Text(
            text="게이트",
            citations=(
                Citation(url="u", title="t", cited_text="ignored"),
                Citation(title="doc", cited_text="quote", start=1, end=2),
            ),
        ),
    )
    assert candidate["groundingMetadata"] == {
        "groundingChunks": [
            {"web": {"uri": "u", "title": "t"}},
            {"retrievedContext": {"title": "doc", "text": "quote"}},
        ],
        "groundingSupports": [
            {"segment": {"startIndex": 0, "endIndex": 3, "text": "톨"}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 3, "endIndex": 12, "text": "게이트"}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 6, "endIndex": 9, "text": "이"}, "groundingChunkIndices": [1]},
        ],
    }
    again = parse_one({"candidates": [candidate]})
    offsets = [[(c.start, c.end) for c in part.citations] for part in again.parts if isinstance(part, Text)]
    assert offsets == [[(0, 1)], [(0, 3), (1, 2)]]


def test_log_probabilities_of_another_dialect() -> None:
    logprobs = {"content": [{"token": "a", "logprob": -0.1, "top_logprobs": []}]}
    candidate, _ = render(Text(text="a"), logprobs=logprobs)
    assert candidate["logprobsResult"] == {"chosenCandidates": [{"token": "a", "logProbability": -0.1}]}
    assert "logprobsResult" not in render(Text(text="a"), logprobs={"content": None})[0]
