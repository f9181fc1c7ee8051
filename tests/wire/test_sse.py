"""`wire.sse`: the same events whatever the pieces that bytes arrive in, and every byte of the stream in some event."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.traffic import interactions, needs_traffic
from wire.errors import UpstreamMalformed
from wire.sse import (
    JsonArraySplitter,
    SseEvent,
    SseSplitter,
    encode_comment,
    encode_event,
    split_all,
)

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
TEXTS = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=12)


def fed(pieces: Iterable[bytes]) -> list[SseEvent]:
    return split_all(pieces)


def by_byte(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def seen(events: Iterable[SseEvent]) -> list[tuple[str | None, bytes | None]]:
    return [(event.event, event.data) for event in events]


# ------------------------------------------------------------------------------------------------------ splitter
@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b'data: {"a":1}\n\ndata: [DONE]\n\n', [(None, b'{"a":1}'), (None, b"[DONE]")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [(None, b"a"), (None, b"b")]),
        (b"data: a\r\rdata: b\r\r", [(None, b"a"), (None, b"b")]),
        (b"data: a\n\rdata: b\n\n", [(None, b"a"), (None, b"b")]),
        (b"event: ping\ndata: x\n\n", [("ping", b"x")]),
        (b"data: one\ndata: two\n\n", [(None, b"one\ntwo")]),
        (b"data:tight\n\ndata:  two spaces\n\n", [(None, b"tight"), (None, b" two spaces")]),
        (b": OPENROUTER PROCESSING\n\n", [(None, None)]),
        (b"event: lone\n\n", [("lone", None)]),
        (b"data\n\nid: 7\nretry: 5\n\n", [(None, b""), (None, None)]),
        (b"\n\n\n\ndata: a\n\n", [(None, b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [(None, b"a")]),
        (b"\xef\xbbx: not a BOM\n\n", [(None, None)]),
        ("data: 톨게이트\n\n".encode(), [(None, "톨게이트".encode())]),
        (b"", []),
    ],
)
def test_events_are_the_same_whole_and_byte_by_byte(
    stream: bytes, expected: list[tuple[str | None, bytes | None]]
) -> None:
    assert seen(fed([stream])) == expected
    assert seen(fed(by_byte(stream))) == expected


def test_the_last_event_counts_without_its_blank_line_when_it_is_whole() -> None:
    assert seen(fed([b'data: {"a":1}'])) == [(None, b'{"a":1}')]
    assert seen(fed([b"data: [DONE]\n"])) == [(None, b"[DONE]")]


@pytest.mark.parametrize(
    "rest", [b'data: {"a":', b"data: [DON", b": comment", b"event: message_stop\n", b"data: " + b"[" * 9999]
)
def test_an_event_that_was_cut_is_not_given(rest: bytes) -> None:
    assert seen(fed([b"data: 1\n\n", rest])) == [(None, b"1")]


def test_an_event_may_not_grow_past_the_bound() -> None:
    splitter = SseSplitter(max_event_bytes=10)
    assert seen(splitter.feed(b"data: 12345678901234567890\n\ndata: 1")) == [(None, b"12345678901234567890")]
    with pytest.raises(UpstreamMalformed):
        splitter.feed(b"234567")


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["data", "event", "id", ""]), TEXTS, LINE_ENDS), max_size=12), st.data())
def test_any_cutting_gives_the_same_events_and_loses_no_byte(
    lines: list[tuple[str, str, bytes]], data: st.DataObject
) -> None:
    stream = (
        b"".join(f"{name}: {text}".encode() + end if name else end for name, text, end in lines) + b"\n\ndata: last\n\n"
    )
    whole = fed([stream])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert fed(pieces) == whole == fed(by_byte(stream))
    assert seen(whole)[-1] == (None, b"last")
    kept = b"".join(event.raw for event in whole)
    assert kept.translate(None, b"\r\n") == stream.translate(None, b"\r\n")


@settings(deadline=None)
@given(st.lists(st.dictionaries(TEXTS, TEXTS | st.integers(), max_size=4), max_size=5), st.sampled_from(["", "\r"]))
def test_what_is_encoded_comes_back(documents: list[dict[str, Any]], carriage_return: str) -> None:
    encoded = [json.dumps(document).encode() for document in documents]
    stream = b"".join(encode_event(data, "chunk") + encode_comment("alive") + encode_event(data) for data in encoded)
    stream = stream.replace(b"\n", f"{carriage_return}\n".encode())
    expected = [item for data in encoded for item in (("chunk", data), (None, None), (None, data))]
    assert seen(fed([stream])) == expected


def test_a_comment_stays_on_one_line() -> None:
    assert encode_comment("a\r\nb") == b": a  b\n\n"


# ---------------------------------------------------------------------------------------------------- JSON array
def elements(pieces: Iterable[bytes]) -> list[Any]:
    splitter = JsonArraySplitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    assert splitter.close() == []
    assert all(event.data == event.raw for event in events)
    return [json.loads(event.data or b"") for event in events]


JSON_OBJECTS = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        st.none() | st.integers() | st.text(st.sampled_from('{}[]",\\:é톨 '), max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@settings(deadline=None)
@given(st.lists(JSON_OBJECTS, max_size=5), st.sampled_from(["array", "lines"]))
def test_an_array_and_documents_by_line_are_cut_into_their_objects(documents: list[dict[str, Any]], form: str) -> None:
    lines = "\n".join(json.dumps(document) for document in documents)
    stream = (json.dumps(documents, indent=2, ensure_ascii=False) if form == "array" else lines).encode()
    assert elements([stream]) == documents
    assert elements(by_byte(stream)) == documents


def test_an_object_that_was_cut_is_not_given() -> None:
    assert elements([b'[{"a": "}"}, {"b": "\\']) == [{"a": "}"}]


def test_an_object_may_not_grow_past_the_bound() -> None:
    with pytest.raises(UpstreamMalformed):
        JsonArraySplitter(max_event_bytes=10).feed(b'[{"a": "0123456789')


def test_a_closing_brace_too_many_is_malformed() -> None:
    with pytest.raises(UpstreamMalformed):
        JsonArraySplitter().feed(b"}")


# ------------------------------------------------------------------------------------------------------ recorded
@needs_traffic
def test_recorded_streams_split_alike_whole_by_byte_and_in_recorded_pieces() -> None:
    count = 0
    for interaction in interactions(lambda row: "stream" in row["kind"] and row["status"] == 200):
        response = interaction["response"]
        body = response["body_text"].encode()
        if not body.lstrip(b"\xef\xbb\xbf").startswith((b"data:", b"event:", b":", b"id:")):
            continue
        count += 1
        whole = fed([body])
        assert [event for event in whole if event.data is not None], interaction["id"]
        if len(body) < 60_000:
            assert fed(by_byte(body)) == whole, interaction["id"]
        sizes = response.get("chunk_sizes") or [1000] * (len(body) // 1000 + 1)
        pieces, at = [], 0
        for size in sizes:
            pieces.append(body[at : at + size])
            at += size
        assert fed([*pieces, body[at:]]) == whole, interaction["id"]
    assert count > 100
