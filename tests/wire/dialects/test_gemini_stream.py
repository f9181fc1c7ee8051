"""Streams of Gemini to neutral events, neutral events to Gemini's stream, and the meter of passed-through ones."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from google.genai import types

from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.array_framing import ArrayFraming
from wire.dialects.gemini.foreign import SKIP_VALIDATION, is_sealed
from wire.dialects.gemini.partial_args import PartialArguments
from wire.errors import LimitReached, UpstreamMalformed, UpstreamRateLimited, UpstreamTruncated
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
from wire.sse import SseEvent, encode_comment

PNG = "iVBORw0KGgo="
STAMP = Stamp(id="abc", created=1, model="m")


def event(body: Any) -> SseEvent:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return SseEvent(None, data, b"data: " + data + b"\r\n\r\n")


def chunk(*parts: dict[str, Any], finish: str | None = None, index: int = 0, **candidate: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": index, **candidate}
    if finish is not None:
        found["finishReason"] = finish
    return {"candidates": [found]}


def parse(*bodies: Any) -> list[StreamEvent]:
    parser = DIALECT.stream_parser()
    return [found for body in bodies for found in parser.feed(event(body))] + parser.close()


# ------------------------------------------------------------------------------------------------- parsing
def test_thoughts_text_calls_and_their_signatures() -> None:
    events = parse(
        {
            **chunk({"text": "h", "thought": True}),
            "responseId": "R",
            "modelVersion": "gemini",
            "createTime": "2026-01-01T00:00:00Z",
        },
        chunk({"text": "m", "thought": True}, {"text": "a"}),
        chunk({"text": "b"}, {"text": "", "thoughtSignature": "c2ln"}),
        chunk({"text": "c"}),
        chunk(
            {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"},
            {"functionCall": {"name": "g", "args": {}, "id": "given"}},
        ),
        {**chunk({"text": ""}, finish="STOP"), "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2}},
    )
    call = ToolCall(id="call_R_0", name="f", arguments="", signature="c2ln", path="candidates.content.parts[0]")
    usage = Usage(input=1, output=2, native={"promptTokenCount": 1, "candidatesTokenCount": 2})
    assert events == [
        Started(id="R", model="gemini", created=1767225600),
        BlockStart(block=0, kind="thinking", part=Thinking(origin="gemini")),
        TextDelta(block=0, text="h"),
        TextDelta(block=0, text="m"),
        BlockStop(block=0),
        BlockStart(block=1, kind="text", part=Text(text="")),
        TextDelta(block=1, text="a"),
        TextDelta(block=1, text="b"),
        SignatureDelta(block=1, signature="c2ln"),
        BlockStop(block=1),
        BlockStart(block=2, kind="text", part=Text(text="")),
        TextDelta(block=2, text="c"),
        BlockStop(block=2),
        BlockStart(block=3, kind="tool_call", part=call),
        TextDelta(block=3, text='{"x":1}'),
        SignatureDelta(block=3, signature="c2ln"),
        BlockStop(block=3),
        BlockStart(
            block=4,
            kind="tool_call",
            part=ToolCall(id="given", name="g", arguments="", path="candidates.content.parts[1]"),
        ),
        TextDelta(block=4, text="{}"),
        BlockStop(block=4),
        UsageUpdate(usage=usage),
        UsageUpdate(usage=usage),
        Finish(reason="tool_calls", native="STOP"),
        Ended(),
    ]


def test_more_text_of_an_open_block() -> None:
    events = parse(
        chunk({"text": "a"}),
        chunk({"text": "b"}),
        chunk({"text": ""}),
        {"candidates": [{"index": 0}]},
        chunk({"text": "c", "thought": False}, finish="STOP"),
    )
    assert [found.text for found in events if isinstance(found, TextDelta)] == ["a", "b", "c"]
    assert len([found for found in events if isinstance(found, BlockStart)]) == 1


def test_a_signature_may_come_without_a_thought_and_usage_without_counts() -> None:
    events = parse(
        chunk({"text": "", "thought": True, "thoughtSignature": "c2ln"}),
        {**chunk({"text": "a"}, finish="STOP"), "usageMetadata": {"trafficType": "ON_DEMAND"}},
    )
    assert events[1:4] == [
        BlockStart(block=0, kind="thinking", part=Thinking(origin="gemini")),
        SignatureDelta(block=0, signature="c2ln"),
        BlockStop(block=0),
    ]
    assert not [found for found in events if isinstance(found, UsageUpdate)]


def test_media_and_native_parts() -> None:
    events = parse(
        chunk(
            {"inlineData": {"mimeType": "image/png", "data": PNG}},
            {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
            {"inlineData": {"mimeType": "text/csv", "data": "AAAA"}},
            {"executableCode": {"code": "1"}},
            finish="STOP",
        )
    )
    starts = [found for found in events if isinstance(found, BlockStart)]
    assert [(found.block, found.kind) for found in starts] == [(0, "image"), (1, "audio"), (2, "native"), (3, "native")]
    assert isinstance(starts[2].part, Native)
    assert starts[2].part.value == {"inlineData": {"mimeType": "text/csv", "data": "AAAA"}}
    assert [found.block for found in events if isinstance(found, BlockStop)] == [0, 1, 2, 3]


def test_candidates_have_their_own_blocks_and_finishes() -> None:
    events = parse(
        chunk({"text": "a"}),
        chunk({"text": "b"}, index=1),
        chunk({"text": "c"}, finish="STOP"),
        chunk({"text": "d"}, finish="MAX_TOKENS", index=1),
    )
    assert [(found.block, found.text) for found in events if isinstance(found, TextDelta)] == [
        (0, "a"),
        (1, "b"),
        (0, "c"),
        (1, "d"),
    ]
    assert [found for found in events if isinstance(found, Finish)] == [
        Finish(reason="stop", native="STOP"),
        Finish(reason="length", choice=1, native="MAX_TOKENS"),
    ]
    with pytest.raises(UpstreamTruncated):
        parse(chunk({"text": "a"}), chunk({"text": "b"}, index=1, finish="STOP"))


def test_text_after_a_finish_still_counts() -> None:
    events = parse(chunk({"text": "a"}, finish="STOP"), chunk({"text": "b"}, finish="MAX_TOKENS"))
    assert [found.text for found in events if isinstance(found, TextDelta)] == ["a", "b"]
    assert [found.reason for found in events if isinstance(found, Finish)] == ["length"]


def test_grounding_comes_with_the_text_that_is_open() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "u"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 0, "endIndex": 3, "text": "톨"}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 3, "endIndex": 6, "text": "게"}, "groundingChunkIndices": [0]},
        ],
        "webSearchQueries": ["q"],
    }
    last = chunk({"text": "게"}, finish="STOP", groundingMetadata=grounding)
    events = parse(chunk({"text": "톨"}, {"executableCode": {}}), {**last, "usageMetadata": {"promptTokenCount": 1}})
    assert [found for found in events if isinstance(found, CitationDelta)] == [
        CitationDelta(block=2, citation=Citation(url="u", origin="gemini")),
        CitationDelta(block=2, citation=Citation(url="u", start=0, end=1, origin="gemini")),
    ]
    assert Extra(name="groundingMetadata", value=grounding) in events
    assert [found.usage.web_searches for found in events if isinstance(found, UsageUpdate)] == [0, 1]
    closed = parse(last, chunk({"executableCode": {}}, finish="STOP"))
    assert not [found for found in closed if isinstance(found, CitationDelta)]


def test_log_probabilities_go_with_their_text() -> None:
    result = {"chosenCandidates": [{"token": "a", "logProbability": -1.0}]}
    events = parse(chunk({"text": "a"}, {"text": "b"}, finish="STOP", logprobsResult=result))
    entry = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}
    assert [found.logprobs for found in events if isinstance(found, TextDelta)] == [
        {"content": [entry], "refusal": None},
        None,
    ]


def test_a_blocked_prompt() -> None:
    feedback = {"blockReason": "SAFETY", "blockReasonMessage": "Reasons"}
    assert parse({"promptFeedback": feedback, "novel": 1}) == [
        Started(),
        Finish(reason="content_filter", native="SAFETY", details="Reasons"),
        Ended(extra={"promptFeedback": feedback, "novel": 1}),
    ]
    with pytest.raises(UpstreamTruncated):
        parse({"promptFeedback": {"safetyRatings": []}})
    with pytest.raises(UpstreamTruncated):
        parse()


@pytest.mark.parametrize("wrap", [lambda body: body, lambda body: [body]])
def test_an_error_after_the_200(wrap: Any) -> None:
    body = wrap({"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}})
    parser = DIALECT.stream_parser()
    assert parser.feed(event(chunk({"text": "a"})))
    assert parser.feed(event(body)) == [
        Failed(status=429, code="RESOURCE_EXHAUSTED", message="slow", type="rate_limit_error")
    ]
    assert parser.feed(event(chunk({"text": "b"}))) == []
    assert parser.close() == []
    meter = DIALECT.meter()
    assert meter.feed(event(body))
    assert isinstance(meter.failed, UpstreamRateLimited)
    meter.close()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"status": "UNAVAILABLE"}, 502),
        ({"status": "DEADLINE_EXCEEDED"}, 504),
        ({"code": 13, "status": "NOT_FOUND"}, 404),
    ],
)
def test_an_error_without_an_http_code_is_classified_by_its_word(error: dict[str, Any], status: int) -> None:
    (failed,) = DIALECT.stream_parser().feed(event({"error": error}))
    assert isinstance(failed, Failed)
    assert failed.status == status


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        [],
        3,
        {"candidates": [3]},
        {"candidates": [{"content": 3}]},
        chunk({"functionResponse": {"name": "f", "response": {}}}),
        chunk({"functionCall": {"name": "f"}}, {"functionResponse": {"name": "f", "response": {}}}),
        chunk({"functionCall": {"willContinue": True}}),
        chunk({"functionCall": {"name": "f", "willContinue": True, "partialArgs": 3}}),
        chunk({"functionCall": {"name": "f", "willContinue": True, "partialArgs": [{}]}}),
    ],
)
def test_what_is_not_an_answer_is_malformed(body: Any) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.stream_parser().feed(event(body))


def test_comments_and_done_marks_are_skipped() -> None:
    parser, meter = DIALECT.stream_parser(), DIALECT.meter()
    for skipped in (SseEvent(None, None, b": hi\n\n"), event(b"[DONE]")):
        assert parser.feed(skipped) == []
        assert meter.feed(skipped)
    with pytest.raises(UpstreamTruncated):
        meter.close()


def test_arguments_in_pieces_become_one_call() -> None:
    def piece(**call: Any) -> dict[str, Any]:
        return chunk({"functionCall": call})

    events = parse(
        chunk(
            {"functionCall": {"name": "f", "id": "i", "willContinue": True}, "thoughtSignature": "c2ln"}, {"text": "x"}
        ),
        piece(partialArgs=[{"jsonPath": "$.a.b[1]", "stringValue": "on", "willContinue": True}], willContinue=True),
        piece(partialArgs=[{"jsonPath": "$.a.b[1]", "stringValue": "e"}], willContinue=True),
        piece(
            partialArgs=[{"jsonPath": "$['a b']", "numberValue": 2.5}, {"jsonPath": "$.n", "nullValue": "NULL_VALUE"}],
            willContinue=True,
        ),
        piece(partialArgs=[{"jsonPath": "$.t", "boolValue": True}]),
        chunk(finish="STOP"),
    )
    (opened,) = [found for found in events if isinstance(found, BlockStart) and found.kind == "tool_call"]
    assert isinstance(opened.part, ToolCall)
    assert (opened.part.id, opened.part.name, opened.part.signature) == ("i", "f", "c2ln")
    (arguments,) = [found.text for found in events if isinstance(found, TextDelta) and found.block == opened.block]
    assert json.loads(arguments) == {"a": {"b": [None, "one"]}, "a b": 2.5, "n": None, "t": True}


@pytest.mark.parametrize("path", ["", "a", "$", "$[0]", "$.a[", "$.a..b", "$.a[99999999]"])
def test_a_path_that_cannot_be_read_is_malformed(path: str) -> None:
    with pytest.raises(UpstreamMalformed):
        PartialArguments().add([{"jsonPath": path, "stringValue": "x"}])


def test_arguments_that_contradict_each_other_are_malformed() -> None:
    arguments = PartialArguments()
    arguments.add([{"jsonPath": "$.a[0]", "numberValue": 1}])
    with pytest.raises(UpstreamMalformed):
        arguments.add([{"jsonPath": "$.a.b", "numberValue": 1}])


# ------------------------------------------------------------------------------------------------- metering
def test_the_meter_counts_what_was_written() -> None:
    meter = DIALECT.meter(hide_usage=True)
    assert meter.feed(event({"usageMetadata": {"promptTokenCount": 3}, "responseId": "R", "candidates": None}))
    assert (meter.generated, meter.ended, meter.response_id) == (False, False, "R")
    assert meter.usage is not None
    assert not meter.usage.complete
    before = meter.usage
    meter.feed(event({"usageMetadata": {"promptTokenCount": 3}}))
    assert meter.usage is before
    meter.feed(event(chunk({"text": "é"}, {"text": None}, {"executableCode": {"code": "1"}})))
    assert meter.generated
    assert meter.text_bytes == 2 + len('{"code":"1"}')
    meter.feed(event(chunk({"functionCall": {"name": "f"}}, finish="STOP")))
    assert (meter.finish, meter.ended) == ("tool_calls", True)
    meter.feed(event({"candidates": [{"index": 1, "content": {}}], "promptFeedback": {"blockReason": "SAFETY"}}))
    assert not meter.ended
    with pytest.raises(UpstreamTruncated):
        meter.close()


@pytest.mark.parametrize("data", [b"{", b'{"candidates": 3}', b"[[]]", b'{"candidates":[{"finishReason":"\xff"}]}'])
def test_the_meter_refuses_what_is_not_an_answer(data: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        DIALECT.meter().feed(event(data))


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
    assert dropped == ["audio", "native", "extra.obfuscation"]
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
