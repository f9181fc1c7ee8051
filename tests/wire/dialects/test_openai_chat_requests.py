"""Chat requests to the neutral model: what each field becomes, and which path a wrong one is named by."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.dialects.openai_chat import DIALECT
from wire.errors import BadRequest
from wire.neutral import (
    Audio,
    CacheMark,
    Document,
    Image,
    Media,
    Message,
    Native,
    NativeTool,
    Part,
    Reasoning,
    Refusal,
    Request,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

PNG = "iVBORw0KGgo="
USER = {"role": "user", "content": "hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def parse(*messages: dict[str, Any], **fields: Any) -> Request:
    return DIALECT.parse_request({"model": "m", "messages": list(messages) or [USER], **fields})


def parts(content: Any, role: str = "user", **fields: Any) -> tuple[Part, ...]:
    return parse({"role": role, "content": content, **fields}).messages[0].parts


def part(content: dict[str, Any]) -> Part:
    (only,) = parts([content])
    return only


# ------------------------------------------------------------------------------------------------------ messages
def test_roles_and_names() -> None:
    request = parse(
        {"role": "system", "content": "s"},
        {"role": "developer", "content": "d", "name": "ops"},
        {"role": "user", "content": "", "name": "kim", "weight": 1, "tool_calls": None},
        {"role": "assistant", "content": "a", "name": "bot", "prefix": True},
    )
    assert [(message.role, message.name) for message in request.messages] == [
        ("system", None),
        ("developer", "ops"),
        ("user", "kim"),
        ("assistant", "bot"),
    ]
    assert request.messages[2].parts == (Text(text="", path="messages[2].content"),)
    assert request.messages[2].extra == {"weight": 1}
    assert request.messages[3].extra == {"prefix": True}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"type": "text", "text": "a"}, Text(text="a")),
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, Text(text="a", cache=CacheMark())),
        (
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}, "odd": 1},
            Text(text="a", cache=CacheMark(ttl="1h"), extra={"odd": 1}),
        ),
        (
            {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            Text(text="a", cache=CacheMark()),
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://e.com/a.png", "detail": "low", "format": "x"}, "k": 1},
            Image(media=Media(url="https://e.com/a.png"), detail="low", extra={"k": 1, "image_url.format": "x"}),
        ),
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            Image(media=Media(mime="image/png", data=PNG)),
        ),
        ({"type": "image_url", "image_url": "gs://b/a.png"}, Image(media=Media(url="gs://b/a.png"))),
        (
            {"type": "input_audio", "input_audio": {"data": "aGVs\nbG8", "format": "mp3"}},
            Audio(media=Media(mime="audio/mpeg", data="aGVsbG8=")),
        ),
        ({"type": "input_audio", "input_audio": {"data": "-_-_"}}, Audio(media=Media(data="+/+/"))),
        (
            {"type": "input_audio", "input_audio": {"data": "https://e.com/a.wav", "format": "wav"}},
            Audio(media=Media(url="https://e.com/a.wav")),
        ),
        ({"type": "input_audio", "input_audio": "aGVsbG8="}, Audio(media=Media(data="aGVsbG8="))),
        ({"type": "input_audio", "input_audio": "https://e.com/a"}, Audio(media=Media(url="https://e.com/a"))),
        ({"type": "file", "file": {"file_id": "file-1"}}, Document(media=Media(file_id="file-1"))),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGVsbG8=", "filename": "a.pdf"}},
            Document(media=Media(mime="application/pdf", data="aGVsbG8="), filename="a.pdf"),
        ),
        (
            {"type": "file", "file": {"file_data": "aGVsbG8=", "filename": "A.CSV"}},
            Document(media=Media(mime="text/csv", data="aGVsbG8="), filename="A.CSV"),
        ),
        (
            {"type": "file", "file": {"file_data": "https://e.com/a.pdf"}},
            Document(media=Media(url="https://e.com/a.pdf")),
        ),
        (
            {"type": "document_url", "document_url": "https://e.com/a.pdf", "document_name": "a"},
            Document(media=Media(url="https://e.com/a.pdf"), filename="a"),
        ),
        (
            {"type": "video_url", "video_url": {"url": "https://e.com/a.mp4"}},
            Document(media=Media(mime="video/mp4", url="https://e.com/a.mp4")),
        ),
        (
            {"type": "video_url", "video_url": "data:video/webm;base64,aGVsbG8="},
            Document(media=Media(mime="video/webm", data="aGVsbG8=")),
        ),
        ({"type": "refusal", "refusal": "no"}, Refusal(text="no")),
        (
            {"type": "reference", "reference_ids": [1]},
            Native(dialect="openai_chat", type="reference", value={"type": "reference", "reference_ids": [1]}),
        ),
        (
            {"type": "thinking", "thinking": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            Thinking(text="ab", origin="openai_chat"),
        ),
        (
            {"type": "thinking", "thinking": "a", "signature": "s", "closed": True},
            Thinking(text="a", signature="s", origin="openai_chat", extra={"closed": True}),
        ),
    ],
)
def test_a_content_part(content: dict[str, Any], expected: Part) -> None:
    # The path is on every part alike.
    assert part(content) == type(expected)(**{**_fields(expected), "path": "messages[0].content[0]"})


def _fields(value: Part) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def test_an_assistant_message_is_reasoning_then_content_then_calls() -> None:
    (message,) = parse(
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "t"}],
            "refusal": "r",
            "reasoning_content": "why",
            "audio": {"id": "audio_1"},
            "tool_calls": [
                {**CALL, "extra_content": {"google": {"thought_signature": "sig"}}, "index": 0, "odd": 1},
                {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "x"}},
            ],
        }
    ).messages
    assert message.parts == (
        Thinking(text="why", origin="openai_chat", path="messages[0].reasoning_content"),
        Text(text="t", path="messages[0].content[0]"),
        Refusal(text="r", path="messages[0].refusal"),
        ToolCall(
            id="call_1", name="f", arguments="{}", signature="sig", extra={"odd": 1}, path="messages[0].tool_calls[0]"
        ),
        ToolCall(id="call_2", name="c", arguments="x", kind="custom", path="messages[0].tool_calls[1]"),
        Audio(media=Media(file_id="audio_1"), id="audio_1", path="messages[0].audio"),
    )


def test_reasoning_may_be_an_object_as_any_llm_writes_it() -> None:
    assert parts("a", "assistant", reasoning={"content": "why"})[0] == Thinking(
        text="why", origin="openai_chat", path="messages[0].reasoning"
    )


def thinking(*details: dict[str, Any], **fields: Any) -> list[Thinking]:
    found = parts(None, "assistant", reasoning_details=list(details), tool_calls=[CALL], **fields)
    return [found_part for found_part in found if isinstance(found_part, Thinking)]


def test_reasoning_details_of_anthropic() -> None:
    signed = {"type": "reasoning.text", "text": "why", "signature": "s", "format": "anthropic-claude-v1", "index": 0}
    redacted = {"type": "reasoning.encrypted", "data": "blob", "format": "anthropic-claude-v1", "index": 1}
    first, second = thinking(signed, redacted, reasoning_content="why")
    assert (first.text, first.signature, first.origin, first.details) == ("why", "s", "anthropic_messages", (signed,))
    assert (second.opaque, second.redacted, second.text) == ("blob", True, "")


def test_reasoning_details_where_litellm_puts_them() -> None:
    detail = {"type": "reasoning.text", "text": "why", "signature": "s", "format": "anthropic-claude-v1", "index": 0}
    message = {"role": "assistant", "content": "a", "provider_specific_fields": {"reasoning_details": [detail]}}
    (read,) = DIALECT.parse_request({"model": "m", "messages": [message]}).messages
    thinking = read.parts[0]
    assert isinstance(thinking, Thinking)
    assert (thinking.text, thinking.signature, thinking.origin) == ("why", "s", "anthropic_messages")
    assert read.extra is None


def test_reasoning_details_in_pieces_of_a_stream_are_one_block() -> None:
    pieces = [
        {"type": "reasoning.text", "text": "wh", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "text": "y", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
    ]
    (only,) = thinking(*pieces)
    assert (only.text, only.signature) == ("why", "s")


def test_reasoning_details_of_the_responses_api() -> None:
    summary = {"type": "reasoning.summary", "summary": "short", "format": "openai-responses-v1", "id": "rs_1"}
    encrypted = {"type": "reasoning.encrypted", "data": "blob", "format": "openai-responses-v1", "id": "rs_1"}
    other = {**encrypted, "id": "rs_2"}
    first, second = thinking(summary, encrypted, other, reasoning="short")
    assert (first.text, first.summary, first.opaque, first.item_id) == ("short", ("short",), "blob", "rs_1")
    assert (second.summary, second.item_id, second.origin) == ((), "rs_2", "openai_responses")


def test_reasoning_details_without_text_leave_the_plain_text_in() -> None:
    encrypted = {"type": "reasoning.encrypted", "data": "blob", "format": "openai-responses-v1", "id": "rs_1"}
    plain, opaque = thinking(encrypted, reasoning="why")
    assert (plain.text, plain.origin) == ("why", "openai_chat")
    assert opaque.opaque == "blob"


def test_unnumbered_details_are_one_text_until_its_proof() -> None:
    first, second = thinking(
        {"type": "reasoning.text", "text": "a"},
        {"type": "reasoning.text", "text": "b", "signature": "s"},
        {"type": "reasoning.text", "text": "c"},
    )
    assert (first.text, first.signature, second.text) == ("ab", "s", "c")


def test_gemini_signatures_reach_their_call_wherever_they_stand() -> None:
    encrypted = {"type": "reasoning.encrypted", "data": "sig", "format": "google-gemini-v1"}
    (call,) = parts(None, "assistant", tool_calls=[CALL], reasoning_details=[{**encrypted, "id": "call_1"}])
    assert isinstance(call, ToolCall)
    assert call.signature == "sig"
    (unbound,) = thinking(encrypted)
    assert (unbound.signature, unbound.opaque, unbound.origin) == ("sig", None, "gemini")

    google = {"google": {"thought_signature": "sig"}}
    (call,) = parts(None, "assistant", tool_calls=[CALL], extra_content=google)
    assert isinstance(call, ToolCall)
    assert call.signature == "sig"
    (text,) = parts("a", "assistant", thought_signature="sig")
    assert text == Text(text="a", signature="sig", path="messages[0].content")
    (empty,) = parts(None, "assistant", extra_content=google)
    assert empty == Text(text="", signature="sig", path="messages[0].extra_content")
    own = {**CALL, "extra_content": {"google": {"thought_signature": "own"}}}
    (call,) = parts(None, "assistant", tool_calls=[own], extra_content=google)
    assert isinstance(call, ToolCall)
    assert call.signature == "own"
    _, text, refusal = parts("a", "assistant", reasoning="why", refusal="r", extra_content=google)
    assert isinstance(text, Text)
    assert text.signature == "sig"
    assert isinstance(refusal, Refusal)


def test_tool_results_know_their_call() -> None:
    request = parse(
        {
            "role": "assistant",
            "tool_calls": [CALL, {"id": "c2", "type": "custom", "custom": {"name": "g", "input": ""}}],
        },
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "r"}], "odd": 1},
        {"role": "tool", "tool_call_id": "call_1", "content": "", "name": "other"},
    )
    assert request.messages[1] == Message(
        role="tool",
        parts=(
            ToolResult(
                call_id="c2",
                name="g",
                kind="custom",
                parts=(Text(text="r", path="messages[1].content[0]"),),
                path="messages[1]",
            ),
        ),
        extra={"odd": 1},
    )
    assert request.messages[2].parts == (ToolResult(call_id="call_1", name="other", path="messages[2]"),)


def test_legacy_functions_are_tools() -> None:
    request = parse(
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "s"},
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    )
    first, second = request.messages[1].parts[0], request.messages[3].parts[0]
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert first.id != second.id
    results = [message.parts[0] for message in request.messages if message.role == "tool"]
    assert [result.call_id for result in results if isinstance(result, ToolResult)] == [first.id, second.id]
    assert request.tools == (Tool(name="f", parameters={"type": "object"}, path="functions[0]"),)
    assert request.tool_choice == ToolChoice(mode="tool", name="f")
    assert parse(function_call="none").tool_choice == ToolChoice(mode="none")


# --------------------------------------------------------------------------------------------- tools and settings
def test_tools() -> None:
    web = {"type": "openrouter:web_search", "parameters": {}}
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}
    request = parse(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "strict": True, "odd": 1}},
            {"function": {"name": "g", "parameters": {}}, "cache_control": {"type": "ephemeral", "ttl": "5m"}},
            {"type": "custom", "custom": {"name": "c", "description": "d", "format": grammar, "odd": 2}},
            web,
        ]
    )
    assert request.tools == (
        Tool(name="f", description="d", strict=True, extra={"odd": 1}, path="tools[0]"),
        Tool(name="g", parameters={}, cache=CacheMark(ttl="5m"), path="tools[1]"),
        Tool(name="c", description="d", kind="custom", format=grammar, extra={"odd": 2}, path="tools[2]"),
        NativeTool(dialect="openai_chat", type="openrouter:web_search", value=web, path="tools[3]"),
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice(mode="auto")),
        ("any", ToolChoice(mode="required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice(mode="tool", name="f")),
        ({"function": {"name": "f"}}, ToolChoice(mode="tool", name="f")),
        ({"type": "custom", "custom": {"name": "c"}}, ToolChoice(mode="tool", name="c", kind="custom")),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            ToolChoice(mode="required", allowed=("f",)),
        ),
        (
            {"type": "openrouter:web_search"},
            ToolChoice(mode="required", native={"type": "openrouter:web_search"}, native_dialect="openai_chat"),
        ),
        (None, None),
    ],
)
def test_tool_choice(choice: Any, expected: ToolChoice | None) -> None:
    assert parse(tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"type": "text"}, ResponseFormat(kind="text")),
        ({"type": "json_object"}, ResponseFormat(kind="json_object")),
        (
            {"type": "json_object", "schema": {"type": "object"}},
            ResponseFormat(kind="json_schema", schema={"type": "object"}),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {}, "strict": True}},
            ResponseFormat(kind="json_schema", schema={}, name="n", description="d", strict=True),
        ),
    ],
)
def test_response_format(asked: dict[str, Any], expected: ResponseFormat) -> None:
    assert parse(response_format=asked).response_format == expected


@pytest.mark.parametrize(
    ("fields", "expected", "extra"),
    [
        ({"reasoning_effort": "high"}, Reasoning(effort="high"), {}),
        ({"reasoning": {"effort": "low", "exclude": True}}, Reasoning(effort="low", include=False), {}),
        ({"reasoning": {"max_tokens": 9, "summary": "auto"}}, Reasoning(budget_tokens=9, summary="auto"), {}),
        ({"reasoning": {"enabled": True, "odd": 1}}, Reasoning(enabled=True), {"reasoning.odd": 1}),
        ({"include_reasoning": True}, Reasoning(include=True), {}),
        ({"thinking": {"type": "disabled"}}, Reasoning(enabled=False), {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, Reasoning(enabled=True, budget_tokens=5), {}),
        ({"thinking": {"clear_thinking": False}}, None, {"thinking.clear_thinking": False}),
        ({"reasoning_effort": "high", "reasoning": {"effort": "low"}}, Reasoning(effort="high"), {}),
        ({}, None, {}),
    ],
)
def test_reasoning(fields: dict[str, Any], expected: Reasoning | None, extra: dict[str, Any]) -> None:
    request = parse(**fields)
    assert request.reasoning == expected
    assert request.extra == extra


def test_settings() -> None:
    request = parse(
        max_completion_tokens=5,
        max_tokens=9,
        temperature=1,
        top_p=0.5,
        top_k=4.0,
        stop="end",
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logit_bias={"50256": -100},
        n=2,
        logprobs=True,
        top_logprobs=3,
        parallel_tool_calls=False,
        verbosity="low",
        modalities=["text", "audio"],
        audio={"voice": "alloy"},
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        user="u",
        metadata={"k": "v"},
        service_tier="flex",
        store=True,
        prompt_cache_key="p",
        web_search_options={},
        prediction=None,
    )
    expected = {
        "max_tokens": 5,
        "temperature": 1,
        "top_p": 0.5,
        "top_k": 4,
        "stop": ("end",),
        "seed": 1,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logit_bias": {"50256": -100},
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "parallel_tool_calls": False,
        "verbosity": "low",
        "modalities": ("text", "audio"),
        "stream": True,
        "include_usage": True,
        "user": "u",
        "metadata": {"k": "v"},
        "service_tier": "flex",
        "store": True,
        "prompt_cache_key": "p",
        "extra": {
            "audio": {"voice": "alloy"},
            "web_search_options": {},
            "stream_options": {"include_obfuscation": False},
        },
    }
    assert {name: getattr(request, name) for name in expected} == expected


def test_other_servers_names_for_settings() -> None:
    request = parse(max_tokens=9, random_seed=7, logprobs=5, stop=["a", "b"], stream_options={})
    assert (request.max_tokens, request.seed, request.logprobs, request.top_logprobs) == (9, 7, True, 5)
    assert request.stop == ("a", "b")
    assert request.include_usage is False


def test_model_and_stream_of_the_address_win() -> None:
    request = DIALECT.parse_request({"model": "a", "messages": [USER], "stream": True}, model="b", stream=False)
    assert (request.model, request.stream) == ("b", False)


# ----------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [1]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"]}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["a"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": "", "name": 1}]}, "messages[0].name"),
        ({"messages": [USER, {"role": "tool", "tool_call_id": "x", "content": ""}]}, "messages[1].tool_call_id"),
        ({"messages": [USER, {"role": "tool", "content": ""}]}, "messages[1].tool_call_id"),
        ({"messages": [USER, {"role": "function", "name": "f", "content": ""}]}, "messages[1].name"),
        ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}, "messages[0].tool_calls[0].id"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "type": "x"}]}]},
            "messages[0].tool_calls[0].type",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"messages": [{"role": "assistant", "audio": {}}]}, "messages[0].audio.id"),
        (
            {"messages": [{"role": "assistant", "reasoning_details": [{"text": 1}]}]},
            "messages[0].reasoning_details[0].text",
        ),
        ({"messages": [{"role": "assistant", "reasoning": 1}]}, "messages[0].reasoning"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": 1}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": 3}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "x"}}}, "tool_choice.allowed_tools.mode"),
        ({"function_call": 1}, "function_call"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop": 5}, "stop"),
        ({"stop": [5]}, "stop[0]"),
        ({"logit_bias": {"1": "x"}}, "logit_bias.1"),
        ({"logit_bias": [[1, 2]]}, "logit_bias"),
        ({"logprobs": "yes"}, "logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"reasoning": "high"}, "reasoning"),
        ({"thinking": {"type": 1}}, "thinking.type"),
        ({"modalities": "text"}, "modalities"),
        ({"metadata": []}, "metadata"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(BadRequest) as refused:
        DIALECT.parse_request({"model": "m", "messages": [USER], **fields})
    assert refused.value.param == path
    assert path in refused.value.message
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"type": "text"}, "text"),
        ({"type": "text", "text": "a", "cache_control": {"ttl": "2h"}}, "cache_control.ttl"),
        ({"type": "text", "text": "a", "cache_control": "on"}, "cache_control"),
        ({"type": "image_url"}, "image_url"),
        ({"type": "image_url", "image_url": {"url": 5}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,é"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,abc"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:nothing"}}, "image_url.url"),
        ({"type": "input_audio", "input_audio": {"format": "wav"}}, "input_audio.data"),
        ({"type": "input_audio", "input_audio": 7}, "input_audio"),
        ({"type": "file", "file": {}}, "file.file_data"),
        ({"type": "file", "file": {"file_data": "?"}}, "file.file_data"),
        ({"type": "document_url"}, "document_url"),
        ({"type": "video_url", "video_url": {}}, "video_url.url"),
        ({"type": "thinking"}, "thinking"),
        ({"type": "thinking", "thinking": [1]}, "thinking[0]"),
    ],
)
def test_a_wrong_part_is_named_by_its_path(content: dict[str, Any], path: str) -> None:
    with pytest.raises(BadRequest) as refused:
        part(content)
    assert refused.value.param == f"messages[0].content[0].{path}"


def test_a_body_that_is_no_object_is_refused() -> None:
    odd: Any = [1, 2]
    with pytest.raises(BadRequest):
        DIALECT.parse_request(odd)


# A valid body, to put something odd into somewhere.
VALID: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "https://e"}}],
        },
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_details": [{"type": "reasoning.text"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "r"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    "stream_options": {"include_usage": True},
    "reasoning": {"effort": "low"},
    "stop": ["a"],
}
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))] if path or inner else []


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([place for place in places(VALID) if place]), ODD)
def test_anything_odd_anywhere_is_read_or_refused_and_never_another_error(place: tuple[Any, ...], odd: Any) -> None:
    body = copy.deepcopy(VALID)
    holder: Any = body
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = odd
    path = None
    try:
        DIALECT.parse_request(body)
    except BadRequest as refused:
        path = refused.param
    assert path != "", "refused without saying where"
