"""Neutral events as Gemini's stream, and streams as JSON arrays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import types

from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.array_framing import ArrayFraming
from wire.dialects.gemini.foreign import SKIP_VALIDATION, is_sealed
from wire.errors import LimitReached
from wire.neutral import (
    Audio,
    BlockKind,
    BlockStart,
    BlockStop,
    Citation,
    CitationDelta,
    Ended,
    Extra,
    Failed,
    Finish,
    Image,
    Media,
    Native,
    Part,
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
from wire.sse import encode_comment

PNG = "iVBORw0KGgo="


STAMP = Stamp(id="abc", created=1, model="m")


# ------------------------------------------------------------------------------------------------- rendering
def block(number: int, kind: BlockKind, part: Part, *texts: str, choice: int = 0) -> list[StreamEvent]:
    return [
        BlockStart(block=number, kind=kind, part=part, choice=choice),
        *(TextDelta(block=number, text=text) for text in texts),
        BlockStop(block=number),
    ]


def render(*events: StreamEvent) -> tuple[list[dict[str, Any]], list[str]]:
    renderer = DIALECT.stream_renderer(STAMP, include_usage=True)
    raw = b"".join(renderer.feed(found) for found in events) + renderer.close()
    framing = ArrayFraming()
    array = b"".join(framing.feed(raw[at : at + 7]) for at in range(0, len(raw), 7)) + framing.close()
    documents: list[dict[str, Any]] = json.loads(array)
    for document in documents:
        types.GenerateContentResponse.model_validate(document)
        assert (document["modelVersion"], document["responseId"]) == ("m", "abc")
    return documents, renderer.dropped


def parts_of(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [part for document in documents for part in document["candidates"][0]["content"]["parts"]]


def test_a_text_stream() -> None:
    documents, dropped = render(
        Started(id="x"),
        *block(0, "text", Text(text="be"), "gin", "\u2028\n"),
        UsageUpdate(usage=Usage(input=3, output=2)),
        Finish(reason="length"),
        Ended(),
    )
    assert [part["text"] for part in parts_of(documents)] == ["be", "gin", "\u2028\n", ""]
    assert documents[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert documents[-1]["usageMetadata"] == {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    assert "finishReason" not in documents[0]["candidates"][0]
    assert dropped == []


def test_text_goes_out_at_once() -> None:
    renderer = DIALECT.stream_renderer(STAMP)
    assert renderer.feed(BlockStart(block=0, kind="text", part=Text(text=""))) == b""
    assert (
        renderer.feed(TextDelta(block=0, text='"é'))
        == (
            'data: {"candidates":[{"content":{"parts":[{"text":"\\"é"}],"role":"model"},"index":0}],'
            '"modelVersion":"m","responseId":"abc"}\n\n'
        ).encode()
    )


def test_calls_go_out_whole() -> None:
    documents, _ = render(
        *block(0, "tool_call", ToolCall(id="a", name="f", arguments=""), '{"x"', ": 1}"),
        *block(1, "tool_call", ToolCall(id="b", name="g", arguments="")),
        Finish(reason="tool_calls"),
        Ended(),
    )
    assert parts_of(documents)[:2] == [
        {"functionCall": {"name": "f", "args": {"x": 1}, "id": "a"}, "thoughtSignature": SKIP_VALIDATION},
        {"functionCall": {"name": "g", "args": {}, "id": "b"}},
    ]
    assert documents[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize(("reason", "word"), [("tool_calls", "MALFORMED_FUNCTION_CALL"), ("length", "MAX_TOKENS")])
def test_a_call_that_is_no_object_ends_as_gemini_ends(reason: Any, word: str) -> None:
    documents, dropped = render(
        *block(0, "tool_call", ToolCall(id="a", name="f", arguments=""), '{"x"'), Finish(reason=reason), Ended()
    )
    last = documents[-1]["candidates"][0]
    assert (last["finishReason"], last["finishMessage"]) == (word, 'Malformed function call: f({"x")')
    assert dropped == ["tool_call.arguments"]


def test_foreign_thinking_is_sealed_onto_what_follows() -> None:
    documents, _ = render(
        BlockStart(block=0, kind="thinking", part=Thinking(origin="anthropic_messages")),
        TextDelta(block=0, text="hm"),
        TextDelta(block=0, text="m"),
        SignatureDelta(block=0, signature="sig"),
        BlockStop(block=0),
        BlockStart(block=1, kind="thinking", part=Thinking(origin="anthropic_messages", redacted=True)),
        SignatureDelta(block=1, signature="data", opaque=True),
        BlockStop(block=1),
        *block(2, "text", Text(text=""), "so", " on"),
        *block(3, "thinking", Thinking(origin="openai_responses", opaque="enc")),
        *block(4, "tool_call", ToolCall(id="a", name="f", arguments=""), "{}"),
        *block(5, "thinking", Thinking(origin="openai_responses", text="last")),
        Finish(reason="tool_calls"),
        Ended(),
    )
    parts = parts_of(documents)
    assert [part.get("text") for part in parts] == ["hm", "m", "so", " on", None, "last", ""]
    assert [is_sealed(part.get("thoughtSignature")) for part in parts] == [False] * 2 + [True, False, True, False, True]
    request = DIALECT.parse_request({"contents": [{"role": "model", "parts": parts}]})
    thoughts = [part for part in request.messages[0].parts if isinstance(part, Thinking)]
    assert [(part.text, part.signature, part.opaque, part.redacted, part.origin) for part in thoughts] == [
        ("hmm", "sig", None, False, "anthropic_messages"),
        ("", None, "data", True, "anthropic_messages"),
        ("", None, "enc", False, "openai_responses"),
        ("last", None, None, False, "openai_responses"),
    ]


def test_gemini_signatures_stay_as_they_are() -> None:
    documents, _ = render(
        BlockStart(block=0, kind="thinking", part=Thinking(origin="gemini")),
        TextDelta(block=0, text="t"),
        SignatureDelta(block=0, signature="c2ln"),
        BlockStop(block=0),
        *block(1, "thinking", Thinking(origin="gemini"), "u"),
        BlockStart(block=2, kind="text", part=Text(text="")),
        TextDelta(block=2, text="a"),
        SignatureDelta(block=2, signature="c2ln"),
        BlockStop(block=2),
        *block(3, "tool_call", ToolCall(id="a", name="f", arguments="", signature="c2ln"), "{}"),
        Finish(reason="tool_calls"),
        Ended(),
    )
    parts = parts_of(documents)
    assert [part.get("thoughtSignature") for part in parts] == [None, "c2ln", None, None, "c2ln", "c2ln", None]
    assert [part.get("thought") for part in parts[:3]] == [True, True, True]


def test_media_native_parts_refusals_and_what_is_dropped() -> None:
    documents, dropped = render(
        *block(0, "image", Image(media=Media(mime="image/png", data=PNG))),
        *block(1, "audio", Audio(media=Media(file_id="a"))),
        *block(2, "native", Native(dialect="openai_responses", type="web_search_call", value={})),
        *block(3, "native", Native(dialect="gemini", type="executableCode", value={"executableCode": {"code": "1"}})),
        BlockStart(block=4, kind="refusal", part=Text(text="")),
        TextDelta(block=4, text="no"),
        TextDelta(block=9, text="of no block"),
        SignatureDelta(block=9, signature="c2ln"),
        CitationDelta(block=9, citation=Citation()),
        BlockStop(block=9),
        Extra(name="obfuscation", value=1),
        Extra(name="obfuscation", value=1),
    )
    assert [next(iter(part)) for part in parts_of(documents)] == ["inlineData", "executableCode", "text", "text"]
    assert dropped == ["audio", "web_search_call", "extra.obfuscation"]
    assert documents[-1]["candidates"][0]["finishReason"] == "STOP"


def test_choices_citations_and_log_probabilities() -> None:
    logprobs = {"content": [{"token": "톨", "logprob": -1.0}]}
    documents, _ = render(
        BlockStart(block=0, kind="text", part=Text(text="")),
        TextDelta(block=0, text="톨", logprobs=logprobs),
        CitationDelta(block=0, citation=Citation(url="u", title="t")),
        BlockStop(block=0),
        *block(1, "text", Text(text=""), "b", choice=1),
        Finish(reason="stop"),
        Finish(reason="content_filter", choice=1),
        Ended(),
    )
    assert documents[0]["candidates"][0]["logprobsResult"]["chosenCandidates"][0]["logProbability"] == -1.0
    assert documents[1]["candidates"][0]["index"] == 1
    last = documents[-1]["candidates"]
    assert [found["finishReason"] for found in last] == ["STOP", "SAFETY"]
    assert last[0]["groundingMetadata"]["groundingSupports"] == [
        {"segment": {"startIndex": 0, "endIndex": 3, "text": "톨"}, "groundingChunkIndices": [0]}
    ]


def test_an_answer_without_choices_still_ends() -> None:
    documents, _ = render(Started(), Ended())
    assert documents[0]["candidates"][0]["finishReason"] == "STOP"


def test_errors_inside_a_stream() -> None:
    renderer = DIALECT.stream_renderer(STAMP)
    raw = renderer.error(LimitReached("slow"))
    assert json.loads(raw.removeprefix(b"data: "))["error"]["status"] == "RESOURCE_EXHAUSTED"
    failed = renderer.feed(Failed(status=502, code="overloaded", message="busy"))
    assert json.loads(failed.removeprefix(b"data: "))["error"]["message"] == "busy"


def test_array_framing() -> None:
    framing = ArrayFraming()
    assert framing.close() == b"[]"
    framing = ArrayFraming()
    assert framing.feed(encode_comment("dropped: a") + b'data: {"a":1}\r\n\r\n') == b'[{"a":1}'
    assert framing.document(b'{"b":2}') == b',\n{"b":2}'
    assert framing.feed(b'data: {"c":3}') == b""
    assert framing.close() == b',\n{"c":3}]'
