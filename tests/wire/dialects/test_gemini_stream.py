"""Streams of Gemini to neutral events, neutral events to Gemini's stream, and the meter of passed-through ones."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.partial_args import PartialArguments
from wire.errors import UpstreamMalformed, UpstreamRateLimited, UpstreamTruncated
from wire.neutral import (
    BlockStart,
    BlockStop,
    Citation,
    CitationDelta,
    Ended,
    Extra,
    Failed,
    Finish,
    Native,
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
from wire.sse import SseEvent

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
        Failed(status=429, code="RESOURCE_EXHAUSTED", message="slow", type="rate_limit_error", kind=UpstreamRateLimited)
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
