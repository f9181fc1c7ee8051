"""Names and free-text tools that another dialect's provider would refuse: there and back."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from wire.dialect import Quirks
from wire.neutral import (
    BlockStart,
    BlockStop,
    Choice,
    DialectName,
    Finish,
    Message,
    NativeTool,
    Request,
    Response,
    StreamEvent,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from wire.tool_fitting import Fitted, StreamRestorer, fit_tools, restore_response

LONG = "mcp__plugin_" + "x" * 80
PATCH = Tool(
    name="apply_patch",
    description="Edits files",
    kind="custom",
    format={"type": "grammar", "syntax": "lark", "definition": "start: X"},
    path="tools[1]",
)
COMPATIBLE = Quirks(drop=frozenset({"custom_tools"}))
ACCEPTED: dict[DialectName, str] = {
    "openai_chat": r"[a-zA-Z0-9_-]{1,64}",
    "openai_responses": r"[a-zA-Z0-9_-]{1,64}",
    "anthropic_messages": r"[a-zA-Z0-9_-]{1,128}",
    "gemini": r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}",
}


def asked(*tools: Tool | NativeTool, messages: tuple[Message, ...] = (), **more: Any) -> Request:
    return Request(dialect="openai_responses", model="m", messages=messages, tools=tools, **more)


def answer(*parts: Any) -> Response:
    choice = Choice(parts=parts, finish=Finish(reason="tool_calls"))
    return Response(dialect="anthropic_messages", id=None, model=None, choices=(choice,), usage=None)


@pytest.mark.parametrize("upstream", ACCEPTED)
def test_what_fits_is_left_alone(upstream: DialectName) -> None:
    native = NativeTool(dialect="openai_responses", type="web_search", value={})
    call = ToolCall(id="c", name="get_tide", arguments="{}")
    request = asked(
        Tool(name="get_tide"),
        native,
        messages=(
            Message(role="assistant", parts=(Text(text="a"), call)),
            Message(role="tool", parts=(ToolResult(call_id="c", name="get_tide"),)),
        ),
        tool_choice=ToolChoice(mode="auto"),
    )
    fitted = fit_tools(request, upstream, Quirks())
    assert fitted.request is request
    assert not fitted.changed
    assert fitted.dropped == ()


@given(
    st.sampled_from(sorted(ACCEPTED)),
    st.lists(st.text("ab.:-_9한 /", min_size=1, max_size=140), min_size=1, max_size=6, unique=True),
)
def test_any_name_is_accepted_and_comes_back(upstream: DialectName, names: list[str]) -> None:
    fitted = fit_tools(asked(*(Tool(name=name) for name in names)), upstream, Quirks())
    sent = [tool.name for tool in fitted.request.tools if isinstance(tool, Tool)]
    assert len(set(sent)) == len(names)
    assert all(re.fullmatch(ACCEPTED[upstream], name) for name in sent)
    back = restore_response(answer(*(ToolCall(id="c", name=name, arguments="{}") for name in sent)), fitted)
    assert [part.name for part in back.choices[0].parts if isinstance(part, ToolCall)] == names


def test_a_name_is_the_same_everywhere_it_stands() -> None:
    history = (
        Message(role="assistant", parts=(ToolCall(id="c", name=LONG, arguments="{}"),)),
        Message(role="tool", parts=(ToolResult(call_id="c", name=LONG), ToolResult(call_id="d"))),
    )
    choice = ToolChoice(mode="required", name=LONG, allowed=("a.b", LONG))
    fitted = fit_tools(
        asked(Tool(name=LONG), Tool(name="a.b"), messages=history, tool_choice=choice), "openai_chat", Quirks()
    )
    (short, dotted) = (tool.name for tool in fitted.request.tools if isinstance(tool, Tool))
    call, result = fitted.request.messages[0].parts[0], fitted.request.messages[1].parts[0]
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert {call.name, result.name} == {short}
    assert fitted.request.tool_choice == ToolChoice(mode="required", name=short, allowed=(dotted, short))
    assert fitted.names == {short: LONG, dotted: "a.b"}


@pytest.mark.parametrize(
    ("upstream", "quirks"),
    [("anthropic_messages", Quirks()), ("gemini", Quirks()), ("openai_chat", COMPATIBLE)],
)
def test_free_text_becomes_a_function_of_one_string(upstream: DialectName, quirks: Quirks) -> None:
    history = (
        Message(role="assistant", parts=(ToolCall(id="c", name="apply_patch", arguments='*** "x"', kind="custom"),)),
        Message(role="tool", parts=(ToolResult(call_id="c", name="apply_patch", kind="custom"),)),
    )
    chosen = ToolChoice(mode="tool", name="apply_patch", kind="custom")
    fitted = fit_tools(asked(PATCH, messages=history, tool_choice=chosen), upstream, quirks)
    (tool,) = fitted.request.tools
    assert isinstance(tool, Tool)
    assert (tool.kind, tool.format) == ("function", None)
    assert tool.parameters is not None
    assert tool.parameters["required"] == ["input"]
    assert tool.description == "Edits files\n\nThe input must follow this grammar (lark):\nstart: X"
    assert fitted.dropped == ("tools[1].format",)
    call, result = fitted.request.messages[0].parts[0], fitted.request.messages[1].parts[0]
    assert isinstance(call, ToolCall)
    assert (call.kind, json.loads(call.arguments)) == ("function", {"input": '*** "x"'})
    assert isinstance(result, ToolResult)
    assert result.kind == "function"
    assert fitted.request.tool_choice == ToolChoice(mode="tool", name="apply_patch")


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses"])
def test_free_text_stays_where_it_is_known(upstream: DialectName) -> None:
    request = asked(PATCH, tool_choice=ToolChoice(mode="tool", name="apply_patch", kind="custom"))
    assert fit_tools(request, upstream, Quirks()).request is request


def test_plain_free_text_loses_nothing_and_chat_nests_its_grammar() -> None:
    plain = structs.replace(PATCH, description=None, format={"type": "text"})
    fitted = fit_tools(asked(plain), "gemini", Quirks())
    assert fitted.dropped == ()
    nested = structs.replace(PATCH, format={"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}})
    (tool,) = fit_tools(asked(nested), "gemini", Quirks()).request.tools
    assert isinstance(tool, Tool)
    assert tool.description is not None
    assert tool.description.endswith("(regex):\na+")


FITTED = Fitted(request=asked(), names={"short": LONG}, free_text=frozenset({"apply_patch"}))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [('{"input": "*** \\n한"}', "*** \n한"), ('{"patch": 1}', '{"patch": 1}'), ("cut of", "cut of"), ("[]", "[]")],
)
def test_free_text_comes_back_whole_and_streamed(arguments: str, text: str) -> None:
    call = ToolCall(id="c", name="apply_patch", arguments=arguments)
    said, restored, renamed = (
        restore_response(answer(Text(text="a"), call, ToolCall(id="d", name="short", arguments="{}")), FITTED)
        .choices[0]
        .parts
    )
    assert said == Text(text="a")
    assert restored == structs.replace(call, kind="custom", arguments=text)
    assert renamed == ToolCall(id="d", name=LONG, arguments="{}")
    restorer = StreamRestorer(FITTED)
    begun = structs.replace(call, arguments="")
    events: list[StreamEvent] = [
        BlockStart(block=0, kind="text", part=Text(text="")),
        TextDelta(block=0, text="a"),
        BlockStop(block=0),
        BlockStart(block=1, kind="tool_call", part=begun),
        *(TextDelta(block=1, text=character) for character in arguments),
        BlockStop(block=1, part=call),
        BlockStart(block=2, kind="tool_call", part=ToolCall(id="d", name="short", arguments="")),
        TextDelta(block=2, text="{}"),
        BlockStop(block=2),
        Finish(reason="tool_calls"),
    ]
    assert [out for event in events for out in restorer.feed([event])] == [
        *events[:3],
        BlockStart(block=1, kind="tool_call", part=structs.replace(begun, kind="custom")),
        TextDelta(block=1, text=text),
        BlockStop(block=1, part=structs.replace(call, kind="custom", arguments=text)),
        BlockStart(block=2, kind="tool_call", part=ToolCall(id="d", name=LONG, arguments="")),
        *events[-3:],
    ]
