"""Requests of Anthropic clients: where everything goes, and what is refused by which path."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.dialect import Quirks
from wire.dialects.anthropic_messages import DIALECT
from wire.errors import BadRequest
from wire.neutral import (
    CacheMark,
    Document,
    Image,
    Media,
    Native,
    NativeTool,
    Reasoning,
    Request,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
SCHEMA = {"type": "json_schema", "schema": {}}


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "claude-sonnet-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}], **fields}


def parse(**fields: Any) -> Request:
    return DIALECT.parse_request(request(**fields))


def with_blocks(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return request(messages=[{"role": role, "content": list(blocks)}])


def rendered(body: dict[str, Any]) -> dict[str, Any]:
    out = DIALECT.render_request(DIALECT.parse_request(body), quirks=Quirks())
    assert out.dropped == ()
    return out.body


def test_settings_find_their_neutral_fields() -> None:
    body = request(
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        stop_sequences=["END"],
        stream=True,
        metadata={"user_id": "u"},
        service_tier="standard_only",
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        tools=[{"name": "t", "input_schema": {"type": "object"}}],
    )
    parsed = DIALECT.parse_request(body)
    assert (parsed.temperature, parsed.top_p, parsed.top_k, parsed.stop) == (0.5, 0.9, 4, ("END",))
    assert (parsed.max_tokens, parsed.stream, parsed.user, parsed.service_tier) == (10, True, "u", "standard_only")
    assert (parsed.tool_choice, parsed.parallel_tool_calls) == (ToolChoice(mode="required"), False)
    assert parsed.extra == {}
    assert rendered(body) == body


def test_the_url_may_name_model_and_stream() -> None:
    parsed = DIALECT.parse_request(request(), model="other", stream=True)
    assert (parsed.model, parsed.stream) == ("other", True)


def test_count_tokens_needs_no_cap() -> None:
    body = request()
    del body["max_tokens"]
    assert DIALECT.parse_request(body).max_tokens is None


@pytest.mark.parametrize(
    ("thinking", "config", "expected"),
    [
        ({"type": "enabled", "budget_tokens": 2000}, None, Reasoning(enabled=True, budget_tokens=2000)),
        (
            {"type": "adaptive", "display": "omitted"},
            {"effort": "max"},
            Reasoning(effort="max", enabled=True, adaptive=True, include=False),
        ),
        (
            {"type": "adaptive", "display": "summarized"},
            None,
            Reasoning(enabled=True, adaptive=True, include=True),
        ),
        ({"type": "disabled"}, None, Reasoning(enabled=False)),
        (None, {"effort": "low"}, Reasoning(effort="low")),
    ],
)
def test_thinking_and_effort(thinking: Any, config: Any, expected: Reasoning) -> None:
    body = request(**{key: value for key, value in (("thinking", thinking), ("output_config", config)) if value})
    assert DIALECT.parse_request(body).reasoning == expected
    assert rendered(body) == body


@pytest.mark.parametrize("config", [{}, {"effort": "low"}])
def test_a_kind_of_thinking_that_is_not_known_is_kept(config: dict[str, Any]) -> None:
    body = request(thinking={"type": "between_tools", "new": 1}, output_config=config)
    parsed = DIALECT.parse_request(body)
    assert parsed.extra == {"thinking": {"type": "between_tools", "new": 1}}
    assert rendered(body).get("output_config", {}) == config
    assert rendered(body)["thinking"] == body["thinking"]


def test_fields_without_a_neutral_place_are_kept_and_given_back() -> None:
    body = request(
        container="c",
        mcp_servers=[{"type": "url", "url": "https://mcp.example/", "name": "m"}],
        context_management={"edits": []},
        betas=["b"],
        cache_control={"type": "ephemeral"},
        thinking={"type": "enabled", "budget_tokens": 1024, "new": True},
        output_config={"task_budget": {"type": "tokens", "total": 20}, "format": {"type": "grammar", "rule": "x"}},
        metadata={"user_id": None, "session": "s"},
        tool_choice={"type": "auto", "new": 1},
    )
    parsed = DIALECT.parse_request(body)
    assert parsed.extra["container"] == "c"
    assert parsed.extra["output_config.task_budget"] == {"type": "tokens", "total": 20}
    assert parsed.extra["output_config.format"] == {"type": "grammar", "rule": "x"}
    assert parsed.extra["metadata.session"] == "s"
    assert parsed.extra["thinking.new"] is True
    assert rendered(body) == {**body, "metadata": {"session": "s"}}


@pytest.mark.parametrize("name", ["output_format", "output_config"])
def test_a_schema_for_the_answer(name: str) -> None:
    given = {"type": "json_schema", "schema": {"type": "object"}}
    body = request(**{name: given if name == "output_format" else {"format": given}})
    assert DIALECT.parse_request(body).response_format == ResponseFormat(kind="json_schema", schema={"type": "object"})
    assert rendered(body)["output_config"] == {"format": given}


def test_tools_of_the_caller_and_of_the_server() -> None:
    server = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    custom = {
        "type": "custom",
        "name": "t",
        "description": "d",
        "input_schema": {"type": "object"},
        "strict": True,
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "defer_loading": True,
    }
    bare = {"name": "bare"}
    body = request(tools=[custom, server, bare], tool_choice={"type": "tool", "name": "t"})
    parsed = DIALECT.parse_request(body)
    assert parsed.tools == (
        Tool(
            name="t",
            description="d",
            parameters={"type": "object"},
            strict=True,
            cache=CacheMark(ttl="1h"),
            extra={"defer_loading": True},
            path="tools[0]",
        ),
        NativeTool(dialect="anthropic_messages", type="web_search_20250305", value=server, path="tools[1]"),
        Tool(name="bare", path="tools[2]"),
    )
    assert parsed.tool_choice == ToolChoice(mode="tool", name="t")
    assert rendered(body)["tools"] == [{key: custom[key] for key in custom if key != "type"}, server, bare]


def test_a_tool_choice_of_tomorrow_goes_back() -> None:
    body = request(tool_choice={"type": "toolset", "names": ["a"]}, tools=[{"name": "a"}])
    choice = DIALECT.parse_request(body).tool_choice
    assert choice is not None
    assert choice.native == {"type": "toolset", "names": ["a"]}
    assert rendered(body)["tool_choice"] == {"type": "toolset", "names": ["a"]}


def test_system_as_text_and_as_blocks() -> None:
    cached = [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]
    assert parse(system="s").messages[0].parts == (Text(text="s", path="system"),)
    assert parse(system=cached).messages[0].parts == (Text(text="s", cache=CacheMark(), path="system[0]"),)
    assert rendered(request(system="s"))["system"] == "s"
    assert rendered(request(system=cached))["system"] == cached


def test_a_system_message_inside_the_conversation_stays_there() -> None:
    note = {"role": "system", "content": [{"type": "tool_addition", "tool": {"type": "tool_reference"}}]}
    body = request(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}]}, note])
    parsed = DIALECT.parse_request(body)
    assert [message.role for message in parsed.messages] == ["user", "system"]
    assert isinstance(parsed.messages[1].parts[0], Native)
    assert rendered(body)["messages"] == body["messages"]


def test_results_and_text_of_one_message_keep_their_order() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1, "ü"]}}
    turn = [
        {"type": "tool_result", "tool_use_id": "t1", "content": "one", "is_error": True},
        {"type": "text", "text": "between"},
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "a"}, IMAGE]},
        {"type": "text", "text": "after", "cache_control": {"type": "ephemeral"}},
    ]  # fmt: skip
    body = request(messages=[{"role": "assistant", "content": [call]}, {"role": "user", "content": turn}])
    messages = DIALECT.parse_request(body).messages
    assert [message.role for message in messages] == ["assistant", "tool", "user", "tool", "user"]
    (asked,) = messages[0].parts
    assert isinstance(asked, ToolCall)
    assert json.loads(asked.arguments) == {"a": [1, "ü"]}
    (first,) = messages[1].parts
    assert isinstance(first, ToolResult)
    assert (first.name, first.is_error, first.path) == ("f", True, "messages[1].content[0]")
    (third,) = messages[3].parts
    assert isinstance(third, ToolResult)
    assert third.parts[1] == Image(media=Media(mime="image/png", data=PNG), path="messages[1].content[2].content[1]")
    assert rendered(body)["messages"] == body["messages"]


def test_blocks_keep_what_the_neutral_model_has_no_field_for() -> None:
    blocks = [
        {"type": "thinking", "thinking": "", "signature": "sig", "new": 1},
        {"type": "redacted_thinking", "data": "blob", "new": 2},
        {"type": "text", "text": "t", "new": 3, "cache_control": {"type": "ephemeral", "scope": "global"}},
        {"type": "tool_use", "id": "i", "name": "n", "input": {}, "caller": {"type": "direct"}},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "image", "source": {"type": "file", "file_id": "f"}, "transformations": {}},
        {"type": "document", "source": {"type": "url", "url": "https://e.x/a.pdf"}},
    ]
    body = with_blocks(*blocks, role="assistant")
    parts = DIALECT.parse_request(body).messages[0].parts
    assert parts[0] == Thinking(
        text="", signature="sig", origin="anthropic_messages", extra={"new": 1}, path="messages[0].content[0]"
    )
    assert parts[1] == Thinking(
        opaque="blob", redacted=True, origin="anthropic_messages", extra={"new": 2}, path="messages[0].content[1]"
    )
    assert rendered(body)["messages"] == body["messages"]


def test_documents_of_every_kind() -> None:
    pdf = base64.b64encode(b"%PDF-1.4").decode()
    blocks = [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": pdf},
            "title": "T",
            "context": "C",
            "citations": {"enabled": True},
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "chunk"}]}},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
    ]
    body = with_blocks(*blocks)
    parts = DIALECT.parse_request(body).messages[0].parts
    assert parts[0] == Document(
        media=Media(mime="application/pdf", data=pdf),
        title="T",
        context="C",
        citations=True,
        cache=CacheMark(),
        path="messages[0].content[0]",
    )
    assert [type(part) for part in parts[3:]] == [Native, Native]
    assert rendered(body)["messages"] == body["messages"]


def test_citations_go_back_as_they_came() -> None:
    citation = {"type": "char_location", "cited_text": "c", "document_title": "d", "start_char_index": 1}
    body = with_blocks({"type": "text", "text": "t", "citations": [citation]}, role="assistant")
    (part,) = DIALECT.parse_request(body).messages[0].parts
    assert isinstance(part, Text)
    assert (part.citations[0].title, part.citations[0].cited_text) == ("d", "c")
    assert part.citations[0].native == citation
    assert rendered(body)["messages"] == body["messages"]


def test_base64_is_padded_and_its_line_ends_are_taken_out() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG.rstrip("=")[:8] + "\r\n" + PNG.rstrip("=")[8:]}
    (part,) = DIALECT.parse_request(with_blocks({"type": "image", "source": source})).messages[0].parts
    assert isinstance(part, Image)
    assert part.media.data == PNG


def test_messages_may_be_empty_or_hold_unknown_fields() -> None:
    body = request(messages=[{"role": "user", "content": [], "new": 1}])
    assert DIALECT.parse_request(body).messages[0].extra == {"new": 1}
    assert rendered(body)["messages"] == body["messages"]


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


BAD: list[tuple[dict[str, Any], str]] = [
    ({"model": 3}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": {}}, "messages"),
    ({"messages": ["text"]}, "messages[0]"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [3]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "system", "content": [IMAGE]}]}, "messages[0].content[0].type"),
    ({"system": 3}, "system"),
    ({"system": [{"type": "thinking", "thinking": "x", "signature": "y"}]}, "system[0].type"),
    ({"max_tokens": "10"}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": False}, "temperature"),
    ({"stream": "yes"}, "stream"),
    ({"stop_sequences": "END"}, "stop_sequences"),
    ({"stop_sequences": ["a", 1]}, "stop_sequences[1]"),
    ({"metadata": "m"}, "metadata"),
    ({"metadata": {"user_id": 3}}, "metadata.user_id"),
    ({"tools": {}}, "tools"),
    ({"tools": [1]}, "tools[0]"),
    ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
    ({"tools": [{"name": "n", "input_schema": "s"}]}, "tools[0].input_schema"),
    ({"tools": [{"name": "n", "cache_control": {"type": "ephemeral", "ttl": "2h"}}]}, "tools[0].cache_control.ttl"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
    ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": "no"}}, "tool_choice.disable_parallel_tool_use"),
    ({"thinking": {"type": "enabled", "budget_tokens": "many"}}, "thinking.budget_tokens"),
    ({"thinking": "on"}, "thinking"),
    ({"output_config": {"effort": 3}}, "output_config.effort"),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ({"output_config": {"format": SCHEMA}, "output_format": SCHEMA}, "output_format"),
    ({"service_tier": 1}, "service_tier"),
]  # fmt: skip
BAD_BLOCKS: list[tuple[dict[str, Any], str]] = [
    ({"text": "x"}, "type"),
    ({"type": "hologram"}, "type"),
    ({"type": "text"}, "text"),
    ({"type": "text", "text": "x", "cache_control": "yes"}, "cache_control"),
    ({"type": "text", "text": "x", "citations": [3]}, "citations[0]"),
    ({"type": "image"}, "source"),
    ({"type": "image", "source": {"type": "ftp"}}, "source.type"),
    ({"type": "image", "source": {"type": "url"}}, "source.url"),
    ({"type": "image", "source": {"type": "base64", "data": PNG}}, "source.media_type"),
    ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": 3}}, "source.data"),
    ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "not base64!"}}, "source.data"),
    ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "ü" * 4}}, "source.data"),
    ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A"}}, "source.data"),
    ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}, "source.data"),
    ({"type": "document", "source": {"type": "text"}}, "source.data"),
    ({"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": 1}}, "citations.enabled"),
    ({"type": "tool_result", "content": "x"}, "tool_use_id"),
    ({"type": "tool_result", "tool_use_id": "gone", "content": "x"}, "tool_use_id"),
    ({"type": "tool_result", "tool_use_id": "x", "is_error": "no"}, "is_error"),
    ({"type": "tool_result", "tool_use_id": "x", "content": [{"type": "thinking", "thinking": ""}]}, "content[0].type"),
    ({"type": "thinking", "thinking": "x", "signature": "y"}, "type"),
]  # fmt: skip
BAD_ASSISTANT: list[tuple[dict[str, Any], str]] = [
    ({"type": "tool_use", "id": "i", "name": "n"}, "input"),
    ({"type": "tool_use", "id": "i", "name": "n", "input": "{}"}, "input"),
    ({"type": "tool_use", "id": "i", "name": "n", "input": deep(400)}, "input"),
    ({"type": "tool_use", "id": "i", "name": "n", "input": {"n": 10**30}}, "input"),
    ({"type": "tool_use", "name": "n", "input": {}}, "id"),
    ({"type": "tool_use", "id": "i", "input": {}}, "name"),
    ({"type": "thinking", "signature": "y"}, "thinking"),
    ({"type": "thinking", "thinking": "t", "signature": 3}, "signature"),
    ({"type": "redacted_thinking"}, "data"),
    ({"type": "tool_result", "tool_use_id": "x"}, "type"),
]


@pytest.mark.parametrize(("fields", "path"), BAD)
def test_a_wrong_field_is_refused_by_its_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        DIALECT.parse_request(request(**fields))
    assert refusal.value.param == path
    assert refusal.value.message.startswith(f"{path}: ")


@pytest.mark.parametrize(("block", "path"), BAD_BLOCKS)
def test_a_wrong_block_is_refused_by_its_path(block: dict[str, Any], path: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        DIALECT.parse_request(with_blocks({"type": "text", "text": "first"}, block))
    assert refusal.value.param == f"messages[0].content[1].{path}"


@pytest.mark.parametrize(("block", "path"), BAD_ASSISTANT)
def test_a_wrong_block_of_the_assistant_is_refused_by_its_path(block: dict[str, Any], path: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        DIALECT.parse_request(with_blocks(block, role="assistant"))
    assert refusal.value.param == f"messages[0].content[0].{path}"


def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(BadRequest):
        DIALECT.parse_request([])  # type: ignore[arg-type]


def test_a_result_without_its_call_names_the_call() -> None:
    result = {"type": "tool_result", "tool_use_id": "toolu_gone", "content": "x"}
    with pytest.raises(BadRequest, match="toolu_gone"):
        DIALECT.parse_request(with_blocks(result))


def path_of_refusal(body: dict[str, Any]) -> str | None:
    """None: it was parsed."""
    try:
        DIALECT.parse_request(body)
    except BadRequest as refusal:
        return refusal.param or "no path"
    return None


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(0, 2) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELD = st.sampled_from(
    ["messages", "system", "tools", "tool_choice", "thinking", "output_config", "metadata", "stop_sequences", "stream"]
)


@settings(max_examples=300, deadline=None)
@given(FIELD, ANY_JSON)
def test_any_json_anywhere_is_parsed_or_refused(field: str, value: Any) -> None:
    refused_at = path_of_refusal(request(**{field: value}))
    assert refused_at is None or refused_at.startswith(field)


BLOCK_TYPES = st.sampled_from(
    ["text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use"]
)
BLOCK_KEYS = ["text", "source", "content", "id", "name", "input", "tool_use_id", "thinking", "data", "cache_control"]


@settings(max_examples=300, deadline=None)
@given(BLOCK_TYPES, st.dictionaries(st.sampled_from(BLOCK_KEYS), ANY_JSON), st.sampled_from(["user", "assistant"]))
def test_any_json_in_a_block_is_parsed_or_refused(kind: str, fields: dict[str, Any], role: str) -> None:
    refused_at = path_of_refusal(with_blocks({"type": kind, **fields}, role=role))
    assert refused_at is None or refused_at.startswith("messages[0].content[0]")


TEXTS = st.builds(lambda text: {"type": "text", "text": text}, st.text())
CALLS = st.builds(
    lambda arguments, name: {"type": "tool_use", "id": f"c{name}", "name": name, "input": arguments},
    st.dictionaries(st.text(), ANY_JSON, max_size=3),
    st.text("abc", min_size=1, max_size=3),
)
THOUGHTS = st.builds(
    lambda text, signature: {"type": "thinking", "thinking": text, "signature": signature}, st.text(), st.text("AB+/=")
)
TURNS = st.lists(
    st.builds(
        lambda said, answered: [
            {"role": "user", "content": said},
            {"role": "assistant", "content": answered},
        ],
        st.lists(TEXTS, min_size=1, max_size=3),
        st.lists(TEXTS | CALLS | THOUGHTS, min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=200, deadline=None)
@given(TURNS, st.none() | st.floats(0, 1), st.none() | st.integers(0, 50), st.booleans())
def test_a_request_and_its_neutral_form_say_the_same(
    turns: list[list[dict[str, Any]]], temperature: float | None, top_k: int | None, stream: bool
) -> None:
    body = request(messages=[message for turn in turns for message in turn])
    body.update({key: value for key, value in (("temperature", temperature), ("top_k", top_k)) if value is not None})
    if stream:
        body["stream"] = True
    assert rendered(body) == body
