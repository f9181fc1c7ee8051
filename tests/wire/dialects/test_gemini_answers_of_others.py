"""Answers of other dialects in Gemini's shape."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from google.genai import types

from wire.dialect import Quirks
from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.foreign import SKIP_VALIDATION, is_sealed
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


def parse_one(body: dict[str, Any]) -> Choice:
    return DIALECT.parse_response(body).choices[0]


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
