"""Requests of other dialects as Gemini takes them, and what of them it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from google.genai import types

from wire.dialect import Quirks, Rendered
from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.foreign import SKIP_VALIDATION
from wire.dialects.gemini.schema import for_gemini, to_json_schema
from wire.dialects.gemini.thinking import generation, wants_signatures
from wire.errors import BadRequest
from wire.neutral import (
    Audio,
    CacheMark,
    Citation,
    DialectName,
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
HI = Message(role="user", parts=(Text(text="hi"),))


def render(
    *messages: Message,
    model: str = "gemini-2.5-flash",
    dialect: DialectName = "openai_chat",
    quirks: Quirks | None = None,
    **fields: Any,
) -> Rendered:
    request = Request(dialect=dialect, model=model, messages=messages or (HI,), **fields)
    rendered = DIALECT.render_request(request, quirks=quirks or Quirks())
    for content in rendered.body["contents"]:
        types.Content.model_validate(content)
    return rendered


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def tool(*parts: Part) -> Message:
    return Message(role="tool", parts=parts)


def call(name: str = "f", call_id: str = "c1", arguments: str = '{"a": 1}', **fields: Any) -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments, **fields)


# ------------------------------------------------------------------------------------------------- turns
def test_turns_of_one_role_are_merged_and_system_messages_lifted() -> None:
    rendered = render(
        Message(role="system", parts=(Text(text="one"), Text(text=""))),
        user(Text(text="a")),
        user(Text(text="b"), Text(text="")),
        Message(role="developer", parts=(Text(text="two"),)),
        assistant(Text(text="c"), Refusal(text="no"), Refusal(text="")),
        assistant(),
    )
    assert rendered.body == {
        "systemInstruction": {"parts": [{"text": "one"}, {"text": "two"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
            {"role": "model", "parts": [{"text": "c"}, {"text": "no"}]},
        ],
    }
    assert rendered.dropped == ()


def test_a_system_message_alone_is_a_user_turn() -> None:
    rendered = render(Message(role="system", parts=(Text(text="one"),)))
    assert rendered.body == {"contents": [{"role": "user", "parts": [{"text": "one"}]}]}


def test_nothing_to_say_is_a_bad_request() -> None:
    with pytest.raises(BadRequest) as caught:
        render(user(Text(text="")))
    assert caught.value.param == "messages"


def test_a_system_message_holds_text_alone() -> None:
    native = Native(dialect="anthropic_messages", type="tool_change", value={}, path="messages[0].content[0]")
    rendered = render(Message(role="system", parts=(native,)), HI)
    assert "systemInstruction" not in rendered.body
    assert rendered.dropped == ("messages[0].content[0]",)
    with pytest.raises(BadRequest) as caught:
        render(Message(role="system", parts=(Image(media=Media(data=PNG), path="messages[0].content[0]"),)))
    assert caught.value.param == "messages[0].content[0]"


def test_function_responses_of_a_turn_stand_together() -> None:
    image = Image(media=Media(mime="image/png", data=PNG))
    rendered = render(
        HI,
        assistant(call("f", "c1"), call("g", "c2", "")),
        tool(ToolResult(call_id="c2", parts=(Text(text="two"), Text(text="lines")))),
        tool(ToolResult(call_id="c1", parts=(image, Text(text="oh")), is_error=True)),
        tool(ToolResult(call_id="c9", name="h")),
        user(Text(text="go on")),
    )
    assert rendered.body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "f", "args": {"a": 1}, "id": "c1"}},
                {"functionCall": {"name": "g", "args": {}, "id": "c2"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "g", "response": {"output": "two\nlines"}, "id": "c2"}},
                {"functionResponse": {"name": "f", "response": {"error": "oh"}, "id": "c1"}},
                {"functionResponse": {"name": "h", "response": {"output": ""}, "id": "c9"}},
                {"inlineData": {"mimeType": "image/png", "data": PNG}},
                {"text": "go on"},
            ],
        },
    ]


def test_gemini_3_takes_media_inside_the_response() -> None:
    image = Image(media=Media(mime="image/png", data=PNG))
    result = tool(ToolResult(call_id="c1", parts=(image,)))
    inside = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    parts = render(HI, assistant(call()), result, model="gemini-3-pro-preview").body["contents"][2]["parts"]
    assert parts == [{"functionResponse": {"name": "f", "response": {"output": ""}, "parts": [inside], "id": "c1"}}]
    quirks = Quirks(tool_result_images=False)
    parts = render(HI, assistant(call()), result, model="gemini-3-pro", quirks=quirks).body["contents"][2]["parts"]
    assert parts[1] == inside


def test_a_result_without_a_call_is_named() -> None:
    with pytest.raises(BadRequest) as caught:
        render(HI, tool(ToolResult(call_id="c1", path="messages[1]")))
    assert caught.value.param == "messages[1]"


@pytest.mark.parametrize("arguments", ["[1]", "{", "1", '{"a": NaN}'])
def test_arguments_that_are_no_object_are_named(arguments: str) -> None:
    with pytest.raises(BadRequest) as caught:
        render(HI, assistant(call(arguments=arguments, path="messages[1].tool_calls[0]")))
    assert caught.value.param == "messages[1].tool_calls[0]"


@pytest.mark.parametrize("arguments", ["", " ", "null", "{}"])
def test_a_call_without_arguments(arguments: str) -> None:
    parts = render(HI, assistant(call(arguments=arguments))).body["contents"][1]["parts"]
    assert parts[0]["functionCall"]["args"] == {}


def test_a_custom_call_is_wrapped() -> None:
    parts = render(HI, assistant(call(arguments="free text", kind="custom"))).body["contents"][1]["parts"]
    assert parts[0]["functionCall"]["args"] == {"input": "free text"}


# ------------------------------------------------------------------------------------------------- signatures
def test_signatures_go_back_on_their_parts() -> None:
    parts = render(
        HI,
        assistant(
            Thinking(text="hm", signature="sig1", origin="gemini"),
            Thinking(text="shown", origin="gemini"),
            Text(text="", signature="sig2"),
            call(signature="sig3"),
            Image(media=Media(mime="image/png", data=PNG), signature="sig4"),
        ),
    ).body["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["sig1", None, "sig2", "sig3", "sig4"]
    assert [part.get("thought") for part in parts] == [True, True, None, None, None]


def test_foreign_thinking_is_dropped_and_told() -> None:
    rendered = render(
        HI,
        assistant(
            Thinking(text="a", signature="x", origin="anthropic_messages", path="messages[1].content[0]"),
            Thinking(text="b"),
            Native(dialect="anthropic_messages", type="server_tool_use", value={}, path="messages[1].content[2]"),
            Text(text="c", citations=(Citation(url="u"),), path="messages[1].content[3]"),
        ),
    )
    assert rendered.body["contents"][1]["parts"] == [{"text": "c"}]
    assert rendered.dropped == (
        "messages[1].content[0]",
        "thinking",
        "messages[1].content[2]",
        "messages[1].content[3].citations",
    )


@pytest.mark.parametrize(
    ("model", "dialect", "expected"),
    [
        ("gemini-3-pro-preview", "openai_chat", [SKIP_VALIDATION, None, SKIP_VALIDATION]),
        ("gemini-flash-latest", "anthropic_messages", [SKIP_VALIDATION, None, SKIP_VALIDATION]),
        ("gemini-2.5-pro", "openai_chat", [None, None, None]),
        ("gemini-3-pro-preview", "gemini", [None, None, None]),
    ],
)
def test_foreign_calls_skip_the_signature_check(model: str, dialect: DialectName, expected: list[Any]) -> None:
    contents = render(
        HI,
        assistant(Text(text="a"), call("f", "c1"), call("g", "c2")),
        tool(ToolResult(call_id="c1"), ToolResult(call_id="c2")),
        assistant(call("f", "c3")),
        model=model,
        dialect=dialect,
    ).body["contents"]
    calls = [part for content in contents for part in content["parts"] if "functionCall" in part]
    assert [part.get("thoughtSignature") for part in calls] == expected


def test_an_own_signature_is_not_replaced() -> None:
    contents = render(HI, assistant(call(signature="real")), model="gemini-3-pro").body["contents"]
    assert contents[1]["parts"][0]["thoughtSignature"] == "real"


def test_a_gemini_caller_back_from_another_model_skips_the_check_too() -> None:
    foreign = Thinking(text="t", signature="s", origin="anthropic_messages", path="p")
    rendered = render(HI, assistant(foreign, call()), model="gemini-3-pro", dialect="gemini")
    assert rendered.body["contents"][1]["parts"][0]["thoughtSignature"] == SKIP_VALIDATION
    assert rendered.dropped == ("p",)


# ------------------------------------------------------------------------------------------------- media
@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Image(media=Media(data=PNG)), {"inlineData": {"mimeType": "image/png", "data": PNG}}),
        (
            Audio(media=Media(data="UklGRgAAAABXQVZFZm10IA==")),
            {"inlineData": {"mimeType": "audio/wav", "data": "UklGRgAAAABXQVZFZm10IA=="}},
        ),
        (
            Image(media=Media(url="https://e.com/a.jpg")),
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://e.com/a.jpg"}},
        ),
        (Image(media=Media(url="https://e.com/a")), {"fileData": {"fileUri": "https://e.com/a"}}),
        (Document(media=Media(text="plain", mime="text/plain")), {"text": "plain"}),
        (
            Document(media=Media(file_id="https://generativelanguage.googleapis.com/v1beta/files/a", mime="text/csv")),
            {
                "fileData": {
                    "mimeType": "text/csv",
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a",
                }
            },
        ),
        (Audio(media=Media(data="AAAA", mime="audio/wav")), {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}),
    ],
)
def test_media(part: Part, expected: dict[str, Any]) -> None:
    rendered = render(user(part))
    assert rendered.body["contents"][0]["parts"] == [expected]
    assert rendered.dropped == ()


@pytest.mark.parametrize(
    "part",
    [
        Image(media=Media(file_id="file-abc"), path="messages[0].content[1]"),
        Image(media=Media(data="AAAA"), path="messages[0].content[1]"),
        Audio(media=Media(), id="audio_1", path="messages[0].content[1]"),
    ],
)
def test_media_that_gemini_cannot_take_is_named(part: Part) -> None:
    with pytest.raises(BadRequest) as caught:
        render(user(Text(text="a"), part))
    assert caught.value.param == "messages[0].content[1]"


def test_an_upstream_without_image_addresses_refuses_them() -> None:
    part = Image(media=Media(url="https://e.com/a.jpg"), path="messages[0].content[0]")
    with pytest.raises(BadRequest, match="inline") as caught:
        render(user(part), quirks=Quirks(image_urls=False))
    assert caught.value.param == "messages[0].content[0]"


def test_labels_of_media_are_told_as_dropped() -> None:
    rendered = render(
        user(
            Image(media=Media(data=PNG), detail="high", path="i"),
            Image(media=Media(data=PNG), detail="auto", path="j"),
            Document(
                media=Media(data="JVBERi0=", mime="application/pdf"),
                filename="a",
                title="b",
                context="c",
                citations=True,
                path="d",
            ),
        ),
        assistant(Audio(media=Media(file_id="audio_1"), id="audio_1", transcript="spoken", path="a")),
    )
    assert rendered.dropped == ("i.detail", "d.filename", "d.title", "d.context", "d.citations", "a")
    assert rendered.body["contents"][1]["parts"] == [{"text": "spoken"}]


# ------------------------------------------------------------------------------------------------- tools
def test_tools_of_other_dialects() -> None:
    rendered = render(
        tools=(
            Tool(name="f", description="d", parameters={"type": "object"}, strict=True, path="tools[0]"),
            Tool(name="g", extra={"novel": 1}, path="tools[1]"),
            Tool(name="apply_patch", kind="custom", path="tools[2]"),
            Tool(name="unnamed", kind="custom"),
            NativeTool(dialect="anthropic_messages", type="web_search_20250305", value={}, path="tools[3]"),
            NativeTool(dialect="openai_responses", type="mcp", value={}),
            NativeTool(dialect="gemini", type="googleSearch", value={"googleSearch": {}}),
        ),
        parallel_tool_calls=False,
    )
    assert rendered.body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}},
                {"name": "g"},
            ]
        },
        {"googleSearch": {}},
    ]
    assert rendered.dropped == (
        "tools.strict",
        "tools[1].novel",
        "tools[2]",
        "tools.unnamed",
        "tools[3]",
        "tools.mcp",
        "parallel_tool_calls",
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(mode="auto"), {"mode": "AUTO"}),
        (ToolChoice(mode="none"), {"mode": "NONE"}),
        (ToolChoice(mode="required"), {"mode": "ANY"}),
        (ToolChoice(mode="required", allowed=("f", "g")), {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
        (ToolChoice(mode="tool", name="f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice(mode="auto", allowed=("f",)), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choice(choice: ToolChoice, expected: dict[str, Any]) -> None:
    rendered = render(tools=(Tool(name="f"), Tool(name="g")), tool_choice=choice)
    assert rendered.body["toolConfig"] == {"functionCallingConfig": expected}
    assert rendered.dropped == ()


@pytest.mark.parametrize(
    ("choice", "tools", "dropped"),
    [
        (ToolChoice(mode="required"), (), ("tool_choice",)),
        (ToolChoice(mode="auto"), (), ()),
        (ToolChoice(mode="required", native={}, native_dialect="openai_chat"), (Tool(name="f"),), ("tool_choice",)),
    ],
)
def test_a_choice_without_its_tools_is_dropped(choice: ToolChoice, tools: Any, dropped: Any) -> None:
    rendered = render(tools=tools, tool_choice=choice)
    assert "toolConfig" not in rendered.body
    assert rendered.dropped == dropped


# ------------------------------------------------------------------------------------------------- settings
def test_settings() -> None:
    rendered = render(
        max_tokens=5,
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        stop=("a",),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        n=2,
        logprobs=True,
        top_logprobs=3,
        modalities=("text", "image"),
        service_tier="default",
        store=False,
    )
    assert rendered.body["generationConfig"] == {
        "temperature": 0.0,
        "topP": 0.5,
        "topK": 3,
        "maxOutputTokens": 5,
        "candidateCount": 2,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 3,
        "stopSequences": ["a"],
        "seed": 7,
        "responseModalities": ["TEXT", "IMAGE"],
    }
    assert rendered.body["serviceTier"] == "standard"
    assert rendered.dropped == ()


def test_what_gemini_does_not_have_is_dropped_by_neutral_name() -> None:
    rendered = render(
        Message(role="user", parts=(Text(text="hi", cache=CacheMark()),), name="ann"),
        seed=2**40,
        logit_bias={"1": 2.0},
        verbosity="low",
        user="u",
        metadata={"a": "b"},
        prompt_cache_key="k",
        service_tier="scale",
        store=True,
        extra={"prediction": {}},
    )
    assert set(rendered.dropped) == {
        "name",
        "cache",
        "seed",
        "logit_bias",
        "verbosity",
        "user",
        "metadata",
        "prompt_cache_key",
        "service_tier",
        "store",
        "extra.prediction",
    }
    assert set(rendered.body) == {"contents"}
    assert render(service_tier="auto").dropped == ()
    assert render(tools=(Tool(name="f", cache=CacheMark()),)).dropped == ("cache",)


def test_settings_that_the_upstream_refuses_are_left_out() -> None:
    quirks = Quirks(drop=frozenset({"seed", "top_k", "no_such_name"}))
    rendered = render(seed=1, temperature=1.0, quirks=quirks)
    assert rendered.body["generationConfig"] == {"temperature": 1.0}
    assert rendered.dropped == ("seed",)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ResponseFormat(kind="text"), None),
        (ResponseFormat(kind="json_object"), {"responseMimeType": "application/json"}),
        (
            ResponseFormat(kind="json_schema", schema={"type": "object"}, name="n", description="d", strict=True),
            {
                "responseMimeType": "application/json",
                "responseJsonSchema": {"type": "object", "description": "d"},
            },
        ),
    ],
)
def test_response_format(wanted: ResponseFormat, expected: dict[str, Any] | None) -> None:
    rendered = render(response_format=wanted)
    assert rendered.body.get("generationConfig") == expected
    assert rendered.dropped == ()


def test_a_schema_keeps_its_own_description() -> None:
    wanted = ResponseFormat(kind="json_schema", schema={"description": "mine", "exclusiveMinimum": 1}, description="d")
    rendered = render(response_format=wanted)
    schema = rendered.body["generationConfig"]["responseJsonSchema"]
    assert schema == {"description": "mine", "minimum": 1}
    assert rendered.dropped == ("response_format.schema.exclusiveMinimum",)


@pytest.mark.parametrize(
    ("model", "asked", "config", "dropped"),
    [
        ("gemini-3-flash", Reasoning(effort="low"), {"thinkingLevel": "low", "includeThoughts": True}, ()),
        ("gemini-3-flash", Reasoning(effort="minimal"), {"thinkingLevel": "minimal", "includeThoughts": True}, ()),
        (
            "gemini-3-pro-preview",
            Reasoning(effort="minimal", include=False),
            {"thinkingLevel": "low"},
            ("reasoning.effort",),
        ),
        ("gemini-3-flash", Reasoning(effort="none"), {"thinkingLevel": "minimal"}, ("reasoning.effort",)),
        (
            "gemini-3-flash",
            Reasoning(effort="max"),
            {"thinkingLevel": "high", "includeThoughts": True},
            ("reasoning.effort",),
        ),
        ("gemini-3-flash", Reasoning(effort="odd"), {"includeThoughts": True}, ("reasoning.effort",)),
        ("gemini-3-flash", Reasoning(budget_tokens=0), {"thinkingLevel": "minimal"}, ("reasoning.budget_tokens",)),
        (
            "gemini-3-flash",
            Reasoning(budget_tokens=10_000),
            {"thinkingLevel": "medium", "includeThoughts": True},
            ("reasoning.budget_tokens",),
        ),
        (
            "gemini-3-flash",
            Reasoning(budget_tokens=30_000),
            {"thinkingLevel": "high", "includeThoughts": True},
            ("reasoning.budget_tokens",),
        ),
        ("gemini-3-flash", Reasoning(adaptive=True, enabled=True), {"includeThoughts": True}, ()),
        ("gemini-3-flash", Reasoning(enabled=False), {"thinkingLevel": "minimal"}, ("reasoning.enabled",)),
        ("gemini-2.5-flash", Reasoning(effort="medium"), {"thinkingBudget": 8192, "includeThoughts": True}, ()),
        ("gemini-2.5-flash", Reasoning(effort="none"), {"thinkingBudget": 0}, ()),
        ("gemini-2.5-pro", Reasoning(effort="none"), {"thinkingBudget": 128}, ("reasoning.effort",)),
        ("gemini-2.5-pro", Reasoning(effort="max"), {"thinkingBudget": 32768, "includeThoughts": True}, ()),
        (
            "gemini-2.5-flash",
            Reasoning(effort="max"),
            {"thinkingBudget": 24576, "includeThoughts": True},
            ("reasoning.effort",),
        ),
        ("gemini-2.5-flash", Reasoning(effort="odd"), {"includeThoughts": True}, ("reasoning.effort",)),
        (
            "gemini-2.5-flash-lite",
            Reasoning(budget_tokens=100),
            {"thinkingBudget": 512, "includeThoughts": True},
            ("reasoning.budget_tokens",),
        ),
        ("gemini-2.5-flash", Reasoning(budget_tokens=-1), {"thinkingBudget": -1, "includeThoughts": True}, ()),
        ("gemini-2.5-flash", Reasoning(adaptive=True), {"thinkingBudget": -1, "includeThoughts": True}, ()),
        ("gemini-2.5-flash", Reasoning(enabled=False), {"thinkingBudget": 0}, ()),
        ("gemini-2.5-flash", Reasoning(enabled=True), {"includeThoughts": True}, ()),
        (
            "gemini-2.5-flash",
            Reasoning(summary="detailed", effort="low"),
            {"thinkingBudget": 1024, "includeThoughts": True},
            ("reasoning.summary",),
        ),
        ("gemini-2.0-flash", Reasoning(effort="low"), None, ("reasoning",)),
        ("gemma-3-27b-it", Reasoning(effort="low"), None, ("reasoning",)),
        ("gemini-flash-latest", Reasoning(effort="low"), {"thinkingBudget": 1024, "includeThoughts": True}, ()),
    ],
)
def test_reasoning(model: str, asked: Reasoning, config: dict[str, Any] | None, dropped: tuple[str, ...]) -> None:
    rendered = render(model=model, reasoning=asked)
    assert rendered.body.get("generationConfig", {}).get("thinkingConfig") == config
    assert rendered.dropped == dropped


def test_generations() -> None:
    assert generation("models/gemini-2.5-flash-lite") == (2, 5)
    assert generation("gemini-3-pro-preview") == (3, 0)
    assert generation("tuned") is None
    assert not wants_signatures("tuned")


# ------------------------------------------------------------------------------------------------- schemas
def test_schemas_from_gemini() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "format": "date", "nullable": True, "enum": ["a"]},
            "either": {"any_of": [{"type": 3}, {"type": "TYPE_UNSPECIFIED"}], "nullable": True},
            "loose": {"nullable": True, "example": 1, "min_items": "2"},
            "pair": {"type": "ARRAY", "prefixItems": [{"type": "NUMBER"}], "items": {"ref": "#/defs/x"}},
        },
        "required": ["type"],
        "propertyOrdering": ["type"],
        "additionalProperties": False,
        "title": None,
    }
    assert to_json_schema(schema, "p") == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "format": "date", "enum": ["a", None]},
            "either": {"anyOf": [{"type": "integer"}, {}, {"type": "null"}]},
            "loose": {"examples": [1], "minItems": 2},
            "pair": {"type": "array", "prefixItems": [{"type": "number"}], "items": {"$ref": "#/defs/x"}},
        },
        "required": ["type"],
        "propertyOrdering": ["type"],
        "additionalProperties": False,
    }
    with pytest.raises(BadRequest) as caught:
        to_json_schema({"properties": {"a": {"type": 99}}}, "p")
    assert caught.value.param == "p.properties.a.type"


def test_schemas_for_gemini() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "kind": {"const": "a"},
            "flag": {"const": True},
            "half": {"const": 0.5},
            "none": {"const": None},
            "typed": {"const": 1, "type": "integer"},
            "count": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
            "share": {"type": "number", "exclusiveMaximum": 1.0, "examples": [0.5]},
            "old": {"type": "number", "minimum": 1, "exclusiveMinimum": True},
            "list": {"type": "array", "items": {"anyOf": [{"const": 1}, True]}},
        },
        "$defs": {"d": {"$comment": "x", "type": "string"}},
        "additionalProperties": False,
    }
    converted, lost = for_gemini(schema, "tools[0].parameters")
    assert converted == {
        "type": "object",
        "properties": {
            "kind": {"enum": ["a"], "type": "string"},
            "flag": {"enum": [True], "type": "boolean"},
            "half": {"enum": [0.5], "type": "number"},
            "none": {"enum": [None]},
            "typed": {"enum": [1], "type": "integer"},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
            "share": {"type": "number", "maximum": 1.0},
            "old": {"type": "number", "minimum": 1},
            "list": {"type": "array", "items": {"anyOf": [{"enum": [1], "type": "integer"}, True]}},
        },
        "$defs": {"d": {"type": "string"}},
        "additionalProperties": False,
    }
    at = "tools[0].parameters.properties"
    assert lost == [f"{at}.share.exclusiveMaximum", f"{at}.old.exclusiveMinimum"]
    rendered = render(tools=(Tool(name="f", parameters=schema, path="tools[0]"),))
    assert rendered.dropped == tuple(lost)


def test_a_schema_nested_too_deeply_is_named() -> None:
    schema: dict[str, Any] = {}
    for _ in range(300):
        schema = {"items": schema}
    with pytest.raises(BadRequest, match="nested too deeply"):
        render(tools=(Tool(name="f", parameters=schema, path="tools[0]"),))
