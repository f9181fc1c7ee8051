"""Events and intents to bytes and back; every example that was ever published stays readable."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.usage_contract.examples import FOLDER, event_examples
from usage_contract.codec import (
    InvalidEvent,
    decode,
    decode_intent,
    encode,
    encode_intent,
    from_stream_fields,
    stream_origin,
    to_stream_fields,
)
from usage_contract.event import SCHEMA_VERSION, Caller, Intent, Tokens, UsageEvent

EVENT = decode((FOLDER / "v1" / "final_plain.json").read_bytes())
INTENT = decode_intent((FOLDER / "v1" / "intent.json").read_bytes())

_words = st.text(st.characters(codec="utf-8"), max_size=8)
_maybe_word = st.none() | _words
_amounts = st.integers(0, 2**62)
_prices = st.none() | st.dictionaries(_words, _words | st.integers() | st.none(), max_size=3)
_callers = st.builds(
    Caller,
    key_id=_maybe_word,
    user_id=_maybe_word,
    session_id=_maybe_word,
    end_user=_maybe_word,
    tags=st.dictionaries(_words, _words, max_size=2),
)
_tokens = st.builds(Tokens, **{spec.name: _amounts for spec in fields(Tokens)})
_events = st.builds(
    UsageEvent,
    event_id=_words,
    request_id=_words,
    kind=st.sampled_from(["final", "attempt", "lost"]),
    producer=_words,
    segment=_amounts,
    started_us=_amounts,
    caller=_callers,
    surface=_words,
    provider=_words,
    model_asked=_words,
    model_used=_words,
    stream=st.booleans(),
    status=st.sampled_from(["success", "error", "cancelled", "lost"]),
    http_status=st.none() | _amounts,
    finish_reason=_maybe_word,
    tokens=_tokens,
    estimated=st.booleans(),
    cost_pico=st.none() | _amounts,
    price=_prices,
    dropped=st.lists(_words, max_size=3).map(tuple),
    first_token_us=st.none() | _amounts,
)


@given(_events)
def test_an_event_survives_the_journey(event: UsageEvent) -> None:
    assert decode(encode(event)) == event
    assert b"\n" not in encode(event)
    assert from_stream_fields(to_stream_fields(event)) == event


@given(_callers, _prices, st.none() | _amounts)
def test_an_intent_survives_the_journey(caller: Caller, price: dict[str, object] | None, cap: int | None) -> None:
    intent = replace(INTENT, caller=caller, price=price, output_cap=cap)
    assert decode_intent(encode_intent(intent)) == intent


@pytest.mark.parametrize("path", event_examples(), ids=lambda path: path.stem)
def test_every_published_example_is_still_read(path: Path) -> None:
    event = decode(path.read_bytes())
    assert event.schema_version == int(path.parent.name.removeprefix("v"))
    assert decode(encode(event)) == event
    assert json.loads(encode(event)) == json.loads(path.read_text()), "and written as it was published"


def test_the_examples_show_every_kind_status_and_token_class() -> None:
    events = [decode(path.read_bytes()) for path in event_examples()]
    assert {event.kind for event in events} == {"final", "attempt", "lost"}
    assert {event.status for event in events} == {"success", "error", "cancelled", "lost"}
    shown = {name for event in events for name in Tokens.__dataclass_fields__ if getattr(event.tokens, name)}
    assert shown == set(Tokens.__dataclass_fields__)
    differing = {
        spec.name for spec in fields(UsageEvent) for event in events if getattr(event, spec.name) != spec.default
    }
    assert differing == {spec.name for spec in fields(UsageEvent)} - {"schema_version"}


def test_the_intent_example_is_written_as_it_was_published() -> None:
    assert json.loads(encode_intent(INTENT)) == json.loads((FOLDER / "v1" / "intent.json").read_text())
    assert isinstance(INTENT, Intent)


def test_defaults_are_left_out_but_the_version_is_always_said() -> None:
    plain = json.loads(encode(replace(EVENT, caller=Caller(), tokens=Tokens(), price=None)))
    assert "caller" not in plain
    assert "tokens" not in plain
    assert "price" not in plain
    assert plain["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"1",
        b"{}",
        b'{"schema_version": "1"}',
        b"[" * 100_000,
        encode(EVENT).replace(b'"kind"', b'"sort"'),
        encode(EVENT).replace(b'"tokens":{', b'"tokens":{"surprise":1,'),
        encode(EVENT).replace(b'"caller":{', b'"caller":[{').replace(b'"surface"', b'],"surface"'),
    ],
    ids=range(11),
)
def test_what_is_no_event_raises_invalid_event_alone(data: bytes) -> None:
    with pytest.raises(InvalidEvent, match="not a usage event"):
        decode(data)


def test_a_newer_schema_says_so_in_the_event_and_on_the_stream() -> None:
    newer = SCHEMA_VERSION + 1
    with pytest.raises(InvalidEvent, match=f"schema version {newer} is newer than {SCHEMA_VERSION}"):
        decode(json.dumps({"schema_version": newer, "anything": 1}))
    fields_of = to_stream_fields(EVENT) | {b"v": str(newer).encode()}
    with pytest.raises(InvalidEvent, match="update the worker first"):
        from_stream_fields(fields_of)


@pytest.mark.parametrize("missing", [b"v", b"event"])
def test_a_stream_entry_without_its_fields(missing: bytes) -> None:
    entry = {name: value for name, value in to_stream_fields(EVENT).items() if name != missing}
    with pytest.raises(InvalidEvent, match="not a usage event"):
        from_stream_fields(entry)


def test_the_origin_of_an_entry_that_cannot_be_decoded() -> None:
    assert stream_origin(to_stream_fields(EVENT)) == (EVENT.producer, EVENT.segment)
    assert stream_origin({b"producer": b"p", b"segment": b"7"}) == ("p", 7)
    assert stream_origin({b"producer": b"p"}) is None
    assert stream_origin({b"producer": b"p", b"segment": b"x"}) is None
    assert stream_origin({b"producer": b"\xff", b"segment": b"1"}) is None
