"""Tools as another dialect's provider takes them, and their calls as the caller knows them.

Two things differ between providers that would otherwise refuse or lose a tool, and both can be undone in the answer:

* Names. OpenAI takes letters, digits, `_` and `-`, 64 of them; Anthropic 128; Gemini also `.` and `:`, but no digit
  first. A name that does not fit is sent with other characters replaced, cut, and a short hash of the whole.
* Tools that take free text (OpenAI's `custom` tools, Codex's `apply_patch`). Elsewhere such a tool is a function with
  one string, `input`; a grammar can only be described.

https://platform.openai.com/docs/guides/function-calling, https://platform.claude.com/docs/en/api/messages,
https://ai.google.dev/api/caching#FunctionDeclaration
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import Struct, structs

from wire.dialect import Quirks
from wire.neutral import (
    BlockStart,
    BlockStop,
    DialectName,
    Message,
    Part,
    Request,
    Response,
    StreamEvent,
    TextDelta,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

# What may not stand in a name, and how long one may be. Google takes 128 of late, but not everywhere.
_NAMES: Mapping[DialectName, tuple[re.Pattern[str], int]] = {
    "openai_chat": (re.compile(r"[^a-zA-Z0-9_-]"), 64),
    "openai_responses": (re.compile(r"[^a-zA-Z0-9_-]"), 64),
    "anthropic_messages": (re.compile(r"[^a-zA-Z0-9_-]"), 128),
    "gemini": (re.compile(r"^(?=[^a-zA-Z_])|[^a-zA-Z0-9_.:-]"), 64),
}
_HASH_CHARACTERS = 8
_FREE_TEXT: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


class Fitted(Struct, frozen=True, kw_only=True):
    """The request to render, and how to read its answer. `dropped`: paths of what could only be described.

    `names`: name that was sent -> the caller's; `free_text`: the caller's names of tools that take free text.
    """

    request: Request
    names: Mapping[str, str] = {}
    free_text: frozenset[str] = frozenset()
    dropped: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.names or self.free_text)


def fit_tools(request: Request, upstream: DialectName, quirks: Quirks) -> Fitted:
    """The request with tools that this upstream takes; the same one where nothing has to change."""
    names = _Names(upstream)
    custom = _takes_free_text(upstream, quirks)
    free = frozenset[str]() if custom else _free_text_tools(request)
    tools = tuple(_fit_tool(tool, names, free) if isinstance(tool, Tool) else tool for tool in request.tools)
    messages = tuple(_fit_message(message, names, custom=custom) for message in request.messages)
    if not names.sent and not free and messages == request.messages:
        return Fitted(request=request)
    fitted = structs.replace(
        request, tools=tools, messages=messages, tool_choice=_fit_choice(request.tool_choice, names, custom=custom)
    )
    grammars = (tool for tool in request.tools if isinstance(tool, Tool) and tool.name in free and _grammar(tool))
    return Fitted(
        request=fitted,
        names=names.sent,
        free_text=free,
        dropped=tuple(f"{tool.path or tool.name}.format" for tool in grammars),
    )


def _takes_free_text(upstream: DialectName, quirks: Quirks) -> bool:
    return upstream in ("openai_chat", "openai_responses") and "custom_tools" not in quirks.drop


def _free_text_tools(request: Request) -> frozenset[str]:
    return frozenset(tool.name for tool in request.tools if isinstance(tool, Tool) and tool.kind == "custom")


class _Names:
    def __init__(self, upstream: DialectName) -> None:
        self._refused, self._longest = _NAMES[upstream]
        self.sent: dict[str, str] = {}

    def fit(self, name: str) -> str:
        fitting = self._refused.sub("_", name)
        if fitting == name and len(name) <= self._longest:
            return name
        mark = "_" + hashlib.sha256(name.encode()).hexdigest()[:_HASH_CHARACTERS]
        fitting = fitting[: self._longest - len(mark)] + mark
        self.sent[fitting] = name
        return fitting


def _fit_tool(tool: Tool, names: _Names, free: frozenset[str]) -> Tool:
    name = names.fit(tool.name)
    if tool.name not in free:
        return tool if name == tool.name else structs.replace(tool, name=name)
    described = [tool.description] if tool.description else []
    if grammar := _grammar(tool):
        described.append(f"The input must follow this grammar ({grammar[0]}):\n{grammar[1]}")
    return structs.replace(
        tool,
        name=name,
        kind="function",
        format=None,
        parameters=_FREE_TEXT,
        description="\n\n".join(described) or None,
    )


def _grammar(tool: Tool) -> tuple[str, str] | None:
    """Syntax and definition; Chat Completions has them one object deeper than Responses."""
    form = tool.format or {}
    inner = form.get("grammar")
    form = inner if isinstance(inner, dict) else form
    syntax, definition = form.get("syntax"), form.get("definition")
    return (str(syntax), definition) if isinstance(definition, str) else None


def _fit_choice(choice: ToolChoice | None, names: _Names, *, custom: bool) -> ToolChoice | None:
    if choice is None:
        return None
    return structs.replace(
        choice,
        name=None if choice.name is None else names.fit(choice.name),
        allowed=tuple(names.fit(name) for name in choice.allowed),
        kind=choice.kind if custom else "function",
    )


def _fit_message(message: Message, names: _Names, *, custom: bool) -> Message:
    parts = tuple(_fit_part(part, names, custom=custom) for part in message.parts)
    return message if parts == message.parts else structs.replace(message, parts=parts)


def _fit_part(part: Part, names: _Names, *, custom: bool) -> Part:
    if isinstance(part, ToolCall):
        name = names.fit(part.name)
        if part.kind == "custom" and not custom:
            arguments = orjson.dumps({"input": part.arguments}).decode()
            return structs.replace(part, name=name, kind="function", arguments=arguments)
        return part if name == part.name else structs.replace(part, name=name)
    if isinstance(part, ToolResult):
        kind = part.kind if custom else "function"
        named = part.name if part.name is None else names.fit(part.name)
        return structs.replace(part, name=named, kind=kind) if (named, kind) != (part.name, part.kind) else part
    return part


# ----------------------------------------------------------------------------------------------------------- answers
def restore_response(response: Response, fitted: Fitted) -> Response:
    """Calls under the caller's names, free text as such."""
    choices = tuple(
        structs.replace(choice, parts=tuple(_restore_part(part, fitted) for part in choice.parts))
        for choice in response.choices
    )
    return structs.replace(response, choices=choices)


def _restore_part(part: Part, fitted: Fitted) -> Part:
    if not isinstance(part, ToolCall):
        return part
    call = _renamed(part, fitted)
    return structs.replace(call, arguments=_free_text(part.arguments)) if call.kind == "custom" else call


def _renamed(call: ToolCall, fitted: Fitted) -> ToolCall:
    name = fitted.names.get(call.name, call.name)
    return structs.replace(call, name=name, kind="custom" if name in fitted.free_text else call.kind)


def _free_text(arguments: str) -> str:
    """What the model wrote into `input`; all it wrote where it did not keep to the schema."""
    try:
        written = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    text = written.get("input") if isinstance(written, dict) else None
    return text if isinstance(text, str) else arguments


class StreamRestorer:
    """The same for one stream. Free text comes in one piece at its block's end: it is JSON until then."""

    def __init__(self, fitted: Fitted) -> None:
        self._fitted = fitted
        self._held: dict[int, list[str]] = {}

    def feed(self, events: list[StreamEvent]) -> list[StreamEvent]:
        return [restored for event in events for restored in self._restore(event)]

    def _restore(self, event: StreamEvent) -> list[StreamEvent]:
        if isinstance(event, BlockStart) and isinstance(event.part, ToolCall):
            call = _renamed(event.part, self._fitted)
            if call.kind == "custom":
                self._held[event.block] = [call.arguments]
                call = structs.replace(call, arguments="")
            return [structs.replace(event, part=call)]
        if isinstance(event, TextDelta) and event.block in self._held:
            self._held[event.block].append(event.text)
            return []
        if isinstance(event, BlockStop):
            part = event.part if event.part is None else _restore_part(event.part, self._fitted)
            text = _free_text("".join(self._held.pop(event.block, ())))
            closed = structs.replace(event, part=part)
            return [TextDelta(block=event.block, text=text), closed] if text else [closed]
        return [event]
