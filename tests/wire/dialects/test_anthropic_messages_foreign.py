"""What other providers need back on the next turn survives an Anthropic client, and never reaches Anthropic."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from wire.dialect import Quirks
from wire.dialects.anthropic_messages import DIALECT
from wire.errors import BadRequest
from wire.neutral import (
    Choice,
    Citation,
    DialectName,
    Finish,
    Part,
    Response,
    Stamp,
    Text,
    Thinking,
    ToolCall,
)

STAMP = Stamp(id="1", created=1, model="m")


def to_client(dialect: DialectName, *parts: Part) -> list[dict[str, Any]]:
    choice = Choice(parts=parts, finish=Finish(reason="stop"))
    given = Response(dialect=dialect, id=None, model=None, choices=(choice,), usage=None)
    blocks: list[dict[str, Any]] = DIALECT.render_response(given, STAMP).body["content"]
    return blocks


def from_client(blocks: list[dict[str, Any]]) -> tuple[Part, ...]:
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": blocks}]}
    return DIALECT.parse_request(orjson.loads(orjson.dumps(body))).messages[0].parts


def same(first: Part, second: Part) -> bool:
    return all(
        getattr(first, name) == getattr(second, name)
        for name in first.__struct_fields__
        if name not in ("path", "extra")
    )


@pytest.mark.parametrize(
    ("dialect", "part", "block_type"),
    [
        ("gemini", Thinking(text="t", signature="g+/=", origin="gemini"), "thinking"),
        ("openai_chat", Thinking(text="plain reasoning", origin="openai_chat"), "thinking"),
        (
            "openai_chat",
            Thinking(text="t", origin="openai_chat", details=({"type": "reasoning.encrypted", "data": "x"},)),
            "thinking",
        ),
        ("openai_responses", Thinking(opaque="enc", item_id="rs_1", origin="openai_responses"), "redacted_thinking"),
        ("openai_responses", Thinking(text="t", opaque="enc", item_id="rs", origin="openai_responses"), "thinking"),
        ("openai_chat", Thinking(opaque="o", redacted=True, origin="openai_chat"), "redacted_thinking"),
    ],
)
def test_reasoning_comes_back_with_its_origin(dialect: DialectName, part: Thinking, block_type: str) -> None:
    (block,) = to_client(dialect, part)
    assert block["type"] == block_type
    if block_type == "thinking":
        assert block["thinking"] == part.text
    (back,) = from_client([block])
    assert same(back, part)


def test_reasoning_that_says_nothing_leaves_no_block() -> None:
    assert to_client("openai_chat", Thinking(origin="openai_chat")) == []


def test_anthropics_own_reasoning_stays_as_it_is() -> None:
    own = Thinking(text="t", signature="EqQB", origin="anthropic_messages")
    hidden = Thinking(opaque="blob", redacted=True, origin="anthropic_messages")
    blocks = to_client("anthropic_messages", own, hidden)
    assert blocks == [
        {"type": "thinking", "thinking": "t", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "blob"},
    ]


def test_signatures_of_tool_calls_find_their_calls_again() -> None:
    calls = [ToolCall(id=f"c{at}", name="f", arguments="{}", signature=f"sig{at}") for at in range(3)]
    blocks = to_client("gemini", *calls)
    assert [block["type"] for block in blocks] == ["redacted_thinking", "tool_use"] * 3
    assert [block["id"] for block in blocks if block["type"] == "tool_use"] == ["c0", "c1", "c2"]
    back = from_client(blocks)
    assert [(part.id, part.signature) for part in back if isinstance(part, ToolCall)] == [
        ("c0", "sig0"),
        ("c1", "sig1"),
        ("c2", "sig2"),
    ]
    # A client that orders its blocks anew, or leaves a call out, does no harm.
    shuffled = from_client([blocks[3], blocks[2], blocks[0], blocks[4]])
    assert [(part.id, part.signature) for part in shuffled if isinstance(part, ToolCall)] == [("c1", "sig1")]
    assert len(shuffled) == 1


def test_signatures_of_texts_find_their_texts_again() -> None:
    blocks = to_client("gemini", Text(text="a", signature="one"), Text(text="b"), Text(text="", signature="two"))
    back = from_client(blocks)
    assert [(part.text, part.signature) for part in back if isinstance(part, Text)] == [("a", "one"), ("b", "two")]
    alone = from_client([blocks[1], blocks[1]])
    assert [(part.text, part.signature) for part in alone if isinstance(part, Text)] == [("", "one"), ("", "one")]


def test_citations_come_back_with_their_place() -> None:
    given = Citation(url="https://e.x", title="T", cited_text="c", start=3, end=9, file_id="f")
    (block,) = to_client("openai_chat", Text(text="0123456789", citations=(given,)))
    (location,) = block["citations"]
    assert (location["type"], location["url"], location["title"]) == ("web_search_result_location", "https://e.x", "T")
    (back,) = from_client([block])
    assert isinstance(back, Text)
    assert back.citations == (given,)


def everything_foreign() -> list[dict[str, Any]]:
    return [
        *to_client("gemini", Thinking(text="t", signature="g", origin="gemini")),
        *to_client("gemini", Text(text="a", signature="s", citations=(Citation(url="https://e.x"),))),
        *to_client("gemini", ToolCall(id="c", name="f", arguments="{}", signature="s")),
    ]


def test_nothing_sealed_reaches_anthropic_when_a_conversation_moves_there() -> None:
    own = {"type": "char_location", "cited_text": "x"}
    kept = {"type": "thinking", "thinking": "real", "signature": "EqQB"}
    mixed = {"type": "text", "text": "m", "citations": [own, {"encrypted_index": "tollgate.1.e30"}]}
    unsealed = {"type": "text", "text": "u", "citations": [own]}
    body = orjson.dumps(
        {
            "model": "m",
            "messages": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": [kept, *everything_foreign(), mixed, unsealed, "odd"]},
                {"role": "assistant", "content": to_client("gemini", Thinking(text="t", origin="gemini"))},
                "odd",
            ],
            "temperature": 1.0,
        }
    )
    changed, _ = DIALECT.rewrite_request(body, model=None, quirks=Quirks(), include_usage=False)
    assert b"tollgate." not in changed
    assert orjson.loads(changed) == {
        "model": "m",
        "messages": [
            {"role": "user", "content": "q"},
            {
                "role": "assistant",
                "content": [
                    kept,
                    {"type": "text", "text": "a"},
                    {"type": "tool_use", "id": "c", "name": "f", "input": {}},
                    {"type": "text", "text": "m", "citations": [own]},
                    unsealed,
                    "odd",
                ],
            },
            "odd",
        ],
        "temperature": 1.0,
    }


def test_a_translated_request_loses_the_same_and_says_so() -> None:
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": everything_foreign()}]}
    out = DIALECT.render_request(DIALECT.parse_request(body), quirks=Quirks())
    assert out.body["messages"][0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    ]
    assert out.dropped == (
        "messages[0].content[0]",
        "messages[0].content[1].citations",
        "messages[0].content[1].signature",
        "messages[0].content[4].signature",
    )


def test_the_mark_in_a_text_changes_nothing() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"what is tollgate.1. here?"}]}'
    assert DIALECT.rewrite_request(body, model=None, quirks=Quirks(), include_usage=False)[0] == body
    for messages in (b'"tollgate.1."', b"null"):
        odd = b'{"messages":' + messages + b',"system":"tollgate.1."}'
        assert DIALECT.rewrite_request(odd, model=None, quirks=Quirks(), include_usage=False)[0] == odd
    bare = b'{"system":"tollgate.1."}'
    assert DIALECT.rewrite_request(bare, model=None, quirks=Quirks(), include_usage=False)[0] == bare


def test_depth_without_measure_is_refused() -> None:
    deep = b'{"messages":[' + b"[" * 300 + b"]" * 300 + b',"tollgate.1."]}'
    with pytest.raises(BadRequest):
        DIALECT.rewrite_request(deep, model=None, quirks=Quirks(), include_usage=False)
    latin = b'{"messages":["tollgate.1. \xe9"]}'
    with pytest.raises(BadRequest):
        DIALECT.rewrite_request(latin, model=None, quirks=Quirks(), include_usage=False)


@pytest.mark.parametrize("seal", ["tollgate.1.%%%", "tollgate.1.é", "tollgate.1.W10", "tollgate.1." + "A" * 5])
@pytest.mark.parametrize("kind", ["thinking", "redacted_thinking", "citation"])
def test_an_altered_seal_is_refused_by_its_path(seal: str, kind: str) -> None:
    blocks: dict[str, dict[str, Any]] = {
        "thinking": {"type": "thinking", "thinking": "t", "signature": seal},
        "redacted_thinking": {"type": "redacted_thinking", "data": seal},
        "citation": {"type": "text", "text": "t", "citations": [{"encrypted_index": seal}]},
    }
    with pytest.raises(BadRequest) as refusal:
        from_client([blocks[kind]])
    assert refusal.value.param is not None
    assert refusal.value.param.startswith("messages[0].content[0]")


def test_a_seal_of_another_version_of_us_is_read_with_care() -> None:
    inside = {"at": "thinking", "origin": "unknown", "signature": 3, "details": "x"}
    seal = "tollgate.1." + base64.urlsafe_b64encode(orjson.dumps(inside)).decode().rstrip("=")
    (part,) = from_client([{"type": "thinking", "thinking": "t", "signature": seal}])
    assert same(part, Thinking(text="t"))


def test_an_upstream_that_is_a_gateway_too_gets_its_seals_back() -> None:
    blocks = to_client("gemini", Thinking(text="t", signature="g", origin="gemini"))
    response = DIALECT.parse_response({"content": [*blocks, {"type": "redacted_thinking", "data": "tollgate.1.e30"}]})
    assert [part.origin for part in response.choices[0].parts if isinstance(part, Thinking)] == [
        "anthropic_messages",
        "anthropic_messages",
    ]
    assert DIALECT.render_response(response, STAMP).body["content"][0] == blocks[0]
