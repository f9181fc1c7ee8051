"""`wire.rewriting`: what is named changes, every other value keeps its bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.errors import BadRequest
from wire.rewriting import read_top_level, replace_top_level

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: "\\ud" not in json.dumps(value) or _encodable(value))


def _encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def test_other_values_keep_their_bytes() -> None:
    body = rb'{ "model" : "a", "temperature": 1.000, "x": "\u00e9 \/", "deep": {"k" : [1e2,  -0.0] } }'
    changed = replace_top_level(body, {"model": b'"b"'})
    assert changed == rb'{"model":"b","temperature":1.000,"x":"\u00e9 \/","deep":{"k" : [1e2,  -0.0] }}'


def test_members_are_added_last_and_removed() -> None:
    assert replace_top_level(b'{"a":1,"b":2}', {"b": None, "c": b"3", "d": None}) == b'{"a":1,"c":3}'


def test_a_body_that_need_not_change_is_the_same_object() -> None:
    body = b'{ "model": "a" }'
    assert replace_top_level(body, {"model": b'"a"', "gone": None}) is body


def test_names_are_escaped() -> None:
    assert replace_top_level(rb'{"a\"b":1}', {"model": b"2"}) == rb'{"a\"b":1,"model":2}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"a":1} {}',
        b"null",
        b'{"\xff":1}',
        b'{"\\ud800":1}',
        b'{"a":' + b"[" * 200_000,
        b"\x00",
        b'{"a":NaN}',
    ],
)
def test_what_is_not_an_object_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        replace_top_level(body, {"model": b"1"})


def test_members_can_be_read_apart() -> None:
    assert bytes(read_top_level(b'{"stream" : true}')["stream"]) == b"true"


@settings(deadline=None)
@given(
    st.dictionaries(st.text(), JSON_VALUES, max_size=6).filter(_encodable), st.text().filter(_encodable), JSON_VALUES
)
def test_any_object_survives_with_only_the_named_member_changed(body: dict[str, Any], name: str, value: Any) -> None:
    text = json.dumps(body, ensure_ascii=False, indent=1).encode()
    changed = replace_top_level(text, {name: json.dumps(value).encode()})
    assert json.loads(changed) == {**body, name: value}
    for other, raw in read_top_level(text).items():
        if other != name:
            assert bytes(raw) in changed
