"""Bytes to rows: what no column holds is refused with a reason, and nothing raises."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.tables import to_us, usage_events
from tests.usage_contract.examples import event_examples
from tests.usage_worker.events import NOON, PRODUCER, entry_of, event_id, rows_of, usage_event
from usage_contract.codec import InvalidEvent, encode
from usage_contract.codec import decode as contract_decode
from usage_contract.event import Caller, Tokens
from usage_worker.decode import COLUMNS, INDEXED_BYTES, MAX_EVENT_PICO, decode, indexable
from usage_worker.entries import Entry, Letter


def _entry(payload: bytes, **changes: Any) -> Entry:
    return Entry(None, payload, PRODUCER, 1)._replace(**changes)


def _changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(encode(usage_event(1))) | changes).encode()


def _reason(payload: bytes, **changes: Any) -> str:
    rows, letters = decode([_entry(payload, **changes)], NOON)
    assert rows == []
    return letters[0].reason


def _row(payload: bytes) -> dict[str, Any]:
    rows, letters = decode([_entry(payload)], NOON)
    assert letters == []
    return dict(zip(COLUMNS, rows[0].values, strict=True))


def test_columns_are_the_tables_and_a_row_has_one_value_for_each() -> None:
    assert [column.name for column in usage_events.columns] == list(COLUMNS)
    row = _row(encode(usage_event(1, tokens=Tokens(input=1, audio_ms=14))))
    assert (row["event_time"], row["received_at"]) == (to_us(NOON), to_us(NOON))
    assert (row["input_tokens"], row["audio_ms"], row["estimated"]) == (1, 14, False)


def test_a_row_knows_its_id_time_kind_and_origin() -> None:
    rows, _ = decode([entry_of(usage_event(7, segment=9, kind="lost"))], NOON)
    row = rows[0]
    assert (row.event_id, row.event_time, row.kind) == (event_id(NOON, 7), to_us(NOON), "lost")
    assert row.origin == (PRODUCER, 9)
    letter = row.letter("why")
    assert letter == Letter(row.entry.payload, PRODUCER, 9, "why", True, row.event_id)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "truncated"),
        (b"null", "Expected `object`"),
        (b"[]", "Expected `object`"),
        (b"\xff\xfe", "not a usage event"),
        (b'{"event_id": "\xff"}', "not a usage event"),
        (b"{}", "missing required field"),
        (_changed(surprise=1), "unknown field `surprise`"),
        (_changed(kind="other"), "Invalid enum value"),
        (_changed(tokens={"input": -1}), ">= 0"),
        (_changed(tokens={"input": 2**31}), "<= 2147483647"),
        (_changed(tokens={"input": 1.5}), "Expected `int`"),
        (_changed(tokens={"inputs": 1}), "unknown field"),
        (_changed(cost_pico=MAX_EVENT_PICO + 1), "<="),
        (_changed(cost_pico="1"), "Expected `int"),
        (_changed(segment=-1), ">= 0"),
        (_changed(producer=""), "length"),
        (_changed(caller={"tags": {"a": 1}}), "Expected `str`"),
        (_changed(price=[]), "Expected `object | null`"),
        (_changed(started_us=10**18), "<="),
        (_changed(event_id="0193B7A0-0000-7000-8000-00000000000A"), "not a UUIDv7"),
        (_changed(event_id="c56a4180-65aa-42ec-a945-5fd21dec0538"), "not a UUIDv7"),
        (_changed(event_id=event_id(NOON + timedelta(days=1, seconds=1), 1)), "in the future"),
        (_changed(event_id="00000000-0001-7000-8000-000000000000"), "before 2020"),
        (_changed(price={"a": 10}).replace(b"10", b"1e999"), "not a usage event"),
        (b'{"price":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001, "not a usage event"),
    ],
    ids=range(25),
)
def test_what_is_refused_says_why(payload: bytes, reason: str) -> None:
    assert reason in _reason(payload)


def test_a_future_schema_version_names_the_remedy_and_the_event() -> None:
    _, letters = decode([_entry(_changed(schema_version=2, novelty=True))], NOON)
    assert letters[0].reason == "schema version 2 is newer than 1: update the worker, then retry"
    assert letters[0].event_id == event_id(NOON, 1)


def test_an_event_a_little_in_the_future_is_a_clock_that_jumped() -> None:
    assert _row(_changed(event_id=event_id(NOON + timedelta(hours=2), 1)))["event_time"] > to_us(NOON)


def test_what_the_source_knows_to_be_bad_is_not_decoded() -> None:
    rows, letters = decode([_entry(encode(usage_event(1)), problem="damaged", counted=False)], NOON)
    assert rows == []
    assert (letters[0].reason, letters[0].counted) == ("damaged", False)


def test_what_workers_died_of_is_buried_unopened_under_its_own_name() -> None:
    feint = usage_event(1, model_asked='"event_id":"00000000-0000-7000-8000-000000000000"')
    rows, letters = decode([entry_of(feint)._replace(suspect=True)], NOON)
    assert rows == []
    assert letters[0].event_id == event_id(NOON, 1)
    assert letters[0].letter_id == rows_of([feint])[0].letter("").letter_id
    _, nameless = decode([_entry(b'{"event_id": "x', suspect=True)], NOON)
    assert (nameless[0].event_id, nameless[0].counted) == (None, False)


def test_a_letter_without_origin_is_not_counted() -> None:
    _, letters = decode([_entry(b"x", producer=None, segment=None)], NOON)
    assert letters[0].counted is False


def test_the_same_entry_is_the_same_letter_and_another_origin_is_not() -> None:
    one, two = _entry(b"x"), _entry(b"x", segment=2)
    _, letters = decode([one, one, two], NOON)
    assert letters[0].letter_id == letters[1].letter_id != letters[2].letter_id


def test_nul_is_replaced_so_that_the_call_is_billed_all_the_same() -> None:
    row = _row(encode(usage_event(1, caller=Caller(end_user="a\0b\\u0000", tags={"t": "\\\0"}))))
    assert row["end_user"] == "a\ufffdb\\u0000"
    assert json.loads(row["tags"]) == {"t": "\\\ufffd"}


def test_an_identifier_too_long_for_an_index_keeps_its_beginning_and_stays_distinct() -> None:
    long, other = "가" * 2000, "가" * 1999 + "나"
    stored = _row(encode(usage_event(1, caller=Caller(user_id=long))))["user_id"]
    assert stored.startswith("가가가")
    assert len(stored.encode()) <= INDEXED_BYTES
    assert stored != indexable(other)
    assert indexable("x" * INDEXED_BYTES) == "x" * INDEXED_BYTES
    assert indexable(None) is None


@pytest.mark.parametrize("path", event_examples(), ids=lambda path: path.stem)
def test_every_published_example_becomes_a_row(path: Path) -> None:
    payload = path.read_bytes()
    rows, letters = decode([_entry(payload)], NOON)
    assert letters == []
    event = contract_decode(payload)
    assert (rows[0].event_id, rows[0].kind, rows[0].origin) == (
        event.event_id,
        event.kind,
        (event.producer, event.segment),
    )


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*json.loads(encode(usage_event(1))), "status", "stream", "new"]), _json_values))
def test_whatever_comes_becomes_one_row_or_one_letter(changes: dict[str, Any]) -> None:
    payload = _changed(**changes)
    rows, letters = decode([_entry(payload)], NOON)
    assert len(rows) + len(letters) == 1
    if rows:
        assert contract_decode(payload).event_id == rows[0].event_id


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_garbage_never_raises(payload: bytes) -> None:
    rows, letters = decode([_entry(payload)], NOON)
    assert (len(rows), len(letters)) == (0, 1)
    with pytest.raises(InvalidEvent):
        contract_decode(payload)
