"""The text of an answer, whole and streamed, and the names of what a text cannot say."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.front_doors.doors import answer, text_events
from wire.front_doors.spoken import SpokenStream, spoken_text
from wire.neutral import (
    Audio,
    BlockStart,
    Choice,
    Citation,
    CitationDelta,
    Document,
    Ended,
    Extra,
    Finish,
    Image,
    Media,
    Native,
    Part,
    Refusal,
    Started,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
)

_MEDIA = Media(data="AA==")
_LOST: list[tuple[Part, str]] = [
    (Thinking(text="hm"), "thinking"),
    (ToolCall(id="1", name="f", arguments="{}"), "tool_calls"),
    (Image(media=_MEDIA), "images"),
    (Audio(media=_MEDIA), "audio"),
    (Native(dialect="gemini", type="executableCode", value={}), "executableCode"),
    (Document(media=_MEDIA, path="content[1]"), "content[1]"),
]


def test_texts_and_refusals_are_one_text() -> None:
    assert spoken_text(answer(Text(text="Hel"), Text(text="lo"), Refusal(text="!"))) == ("Hello!", ())


def test_of_a_spoken_answer_the_transcript_is_its_text() -> None:
    spoken = Audio(media=_MEDIA, transcript="Hello!")
    assert spoken_text(answer(spoken)) == ("Hello!", ("audio",))
    text, stream = _streamed(BlockStart(block=0, kind="audio", part=spoken))
    assert (text, stream.dropped) == ("Hello!", ["audio"])


def test_an_answer_without_a_choice_has_no_text() -> None:
    assert spoken_text(answer(choices=())) == ("", ())


@pytest.mark.parametrize(("part", "name"), _LOST, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_no_text_is_named(part: Part, name: str) -> None:
    assert spoken_text(answer(part, Text(text="Hello!"), part)) == ("Hello!", (name,))


def test_sources_other_choices_and_extra_fields_are_named() -> None:
    cited = Text(text="Hello!", citations=(Citation(url="https://example.com"),))
    whole = answer(cited, extra={"system_fingerprint": "fp", "nothing": None})
    other = Choice(parts=(Text(text="Hi!"),), finish=Finish(reason="stop", choice=1))
    several = answer(cited, choices=(*whole.choices, other), extra=whole.extra)
    assert spoken_text(several) == ("Hello!", ("citations", "choices[1]", "extra.system_fingerprint"))


def _streamed(*events: Any) -> tuple[str, SpokenStream]:
    stream = SpokenStream()
    return "".join(stream.feed(event) for event in events), stream


def test_a_stream_gives_its_text_piece_by_piece() -> None:
    text, stream = _streamed(*text_events("Hel", "lo", "!"))
    assert (text, stream.finish, stream.dropped) == ("Hello!", "length", [])


@pytest.mark.parametrize(("part", "name"), _LOST, ids=lambda value: value if isinstance(value, str) else "")
def test_of_a_stream_too(part: Part, name: str) -> None:
    lost = BlockStart(block=7, kind="native", part=part)
    text, stream = _streamed(lost, TextDelta(block=7, text="not this"), lost, *text_events("Hello!"))
    assert (text, stream.dropped) == ("Hello!", [name])


def test_what_a_block_begins_with_is_said_too() -> None:
    text, _ = _streamed(BlockStart(block=0, kind="refusal", part=Refusal(text="No")), TextDelta(block=0, text="."))
    assert text == "No."


def test_what_a_stream_says_beside_its_text_is_named() -> None:
    text, stream = _streamed(
        Started(extra={"system_fingerprint": "fp", "nothing": None}),
        BlockStart(block=0, kind="text", part=Text(text="")),
        BlockStart(block=1, kind="text", part=Text(text=""), choice=1),
        TextDelta(block=0, text="Hello!"),
        TextDelta(block=1, text="Hi!"),
        CitationDelta(block=0, citation=Citation(url="https://example.com")),
        Extra(name="content_filter_results", value={}),
        Finish(reason="stop"),
        Finish(reason="length", choice=1),
        Ended(extra={"tail": 1}),
    )
    assert text == "Hello!"
    assert stream.finish == "stop"
    named = ["extra.system_fingerprint", "choices[1]", "citations", "content_filter_results", "extra.tail"]
    assert stream.dropped == named
