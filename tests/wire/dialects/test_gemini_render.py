"""Requests of other dialects as Gemini takes them, and what of them it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from google.genai import types

from wire.dialect import Quirks, Rendered
from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.foreign import SKIP_VALIDATION
from wire.errors import BadRequest
from wire.neutral import (
    Audio,
    Citation,
    DialectName,
    Document,
    Image,
    Media,
    Message,
    Native,
    NativeTool,
    Part,
    Refusal,
    Request,
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
