"""A Messages request body to a neutral request. https://platform.claude.com/docs/en/api/messages

`max_tokens` may be absent: `count_tokens` has none, and other dialects need none. What is not known here is kept in
`Request.extra`; members of nested settings under their dotted path (`output_config.task_budget`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Literal

from msgspec import structs

from wire import reading
from wire.dialects.anthropic_messages.blocks import parse_content
from wire.dialects.anthropic_messages.foreign import OWN
from wire.dialects.anthropic_messages.media import parse_cache
from wire.neutral import (
    Document,
    Image,
    Message,
    Native,
    NativeTool,
    Part,
    Reasoning,
    Request,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from wire.reading import WrongType, at

_TOP_LEVEL = frozenset(
    {
        "model",
        "messages",
        "system",
        "max_tokens",
        "metadata",
        "stop_sequences",
        "stream",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "output_config",
        "output_format",
        "service_tier",
    }
)
_TOOL_FIELDS = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
_THINKING_FIELDS = frozenset({"type", "budget_tokens", "display"})
_CHOICE_FIELDS = frozenset({"type", "name", "disable_parallel_tool_use"})
_CHOICES: dict[str, Literal["auto", "required", "tool", "none"]] = {
    "auto": "auto",
    "any": "required",
    "tool": "tool",
    "none": "none",
}
_USER_PARTS = (Text, Image, Document, ToolResult, Native)
_ASSISTANT_PARTS = (Text, Image, Document, Thinking, ToolCall, Native)


def parse_request(body: dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
    """Raises BadRequest naming the path of the field at fault."""
    reading.as_object(body, "body")
    extra = reading.unknown_fields(body, _TOP_LEVEL)
    choice, parallel = _parse_choice(body, extra)
    return Request(
        dialect=OWN,
        model=model if model is not None else reading.text(body, "model", ""),
        messages=(*_parse_system(body), *_parse_messages(body)),
        tools=tuple(
            _parse_tool(tool, f"tools[{index}]") for index, tool in enumerate(reading.list_or_empty(body, "tools", ""))
        ),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_tokens=reading.integer_or_none(body, "max_tokens", ""),
        temperature=reading.number_or_none(body, "temperature", ""),
        top_p=reading.number_or_none(body, "top_p", ""),
        top_k=reading.integer_or_none(body, "top_k", ""),
        stop=tuple(
            reading.as_text(item, f"stop_sequences[{index}]")
            for index, item in enumerate(reading.list_or_empty(body, "stop_sequences", ""))
        ),
        response_format=_parse_format(body, extra),
        reasoning=_parse_reasoning(body, extra),
        stream=stream if stream is not None else reading.flag_or_none(body, "stream", "") or False,
        user=_parse_user(body, extra),
        service_tier=reading.text_or_none(body, "service_tier", ""),
        extra=extra,
    )


def _parse_system(body: dict[str, Any]) -> tuple[Message, ...]:
    system = body.get("system")
    if system is None:
        return ()
    return (Message(role="system", parts=_allowed(parse_content(system, "system"), (Text, Native))),)


def _parse_messages(body: dict[str, Any]) -> Iterator[Message]:
    names: dict[str, str] = {}  # tool name by the id of its call, over all messages so far
    for index, value in enumerate(reading.as_list(body.get("messages"), "messages")):
        path = f"messages[{index}]"
        message = reading.as_object(value, path)
        role = reading.text(message, "role", path)
        if role not in ("user", "assistant", "system"):
            raise WrongType(at(path, "role"), 'must be "user", "assistant" or "system"')
        parts = parse_content(message.get("content"), at(path, "content"))
        extra = reading.unknown_fields(message, ("role", "content")) or None
        if role == "user":
            yield from _split_user(_allowed(parts, _USER_PARTS), extra, names)
        elif role == "assistant":
            names.update((part.id, part.name) for part in parts if isinstance(part, ToolCall))
            yield Message(role="assistant", parts=_allowed(parts, _ASSISTANT_PARTS), extra=extra)
        else:
            yield Message(role="system", parts=_allowed(parts, (Text, Native)), extra=extra)


def _allowed(parts: tuple[Part, ...], types: tuple[type, ...]) -> tuple[Part, ...]:
    for part in parts:
        if not isinstance(part, types):
            raise WrongType(at(part.path, "type"), "cannot stand in a message of this role")
    return parts


def _split_user(parts: tuple[Part, ...], extra: dict[str, Any] | None, names: dict[str, str]) -> Iterator[Message]:
    """Tool results stand in messages of role `tool`; their order among the other blocks is kept."""
    if not parts:
        yield Message(role="user", parts=(), extra=extra)
    for is_result, run in groupby(parts, lambda part: isinstance(part, ToolResult)):
        role: Role = "tool" if is_result else "user"
        yield Message(role=role, parts=tuple(_named(part, names) for part in run), extra=extra)


def _named(part: Part, names: dict[str, str]) -> Part:
    if not isinstance(part, ToolResult):
        return part
    if part.call_id not in names:
        raise WrongType(at(part.path, "tool_use_id"), f'no tool_use block with the id "{part.call_id}" comes before it')
    return structs.replace(part, name=names[part.call_id])


def _parse_tool(value: Any, path: str) -> Tool | NativeTool:
    tool = reading.as_object(value, path)
    kind = reading.text_or_none(tool, "type", path)
    if kind not in (None, "custom"):
        return NativeTool(dialect=OWN, type=kind or "", value=tool, path=path)
    cache, extra = parse_cache(tool, _TOOL_FIELDS, path)
    return Tool(
        name=reading.text(tool, "name", path),
        description=reading.text_or_none(tool, "description", path),
        parameters=reading.object_or_none(tool, "input_schema", path),
        strict=reading.flag_or_none(tool, "strict", path),
        cache=cache,
        extra=extra,
        path=path,
    )


def _parse_choice(body: dict[str, Any], extra: dict[str, Any]) -> tuple[ToolChoice | None, bool | None]:
    choice = reading.object_or_none(body, "tool_choice", "")
    if choice is None:
        return None, None
    disabled = reading.flag_or_none(choice, "disable_parallel_tool_use", "tool_choice")
    parallel = None if disabled is None else not disabled
    kind = reading.text(choice, "type", "tool_choice")
    if kind not in _CHOICES:
        return ToolChoice(mode="auto", native=choice, native_dialect=OWN), parallel
    _keep_rest(choice, _CHOICE_FIELDS, "tool_choice", extra)
    if kind == "tool":
        return ToolChoice(mode="tool", name=reading.text(choice, "name", "tool_choice")), parallel
    return ToolChoice(mode=_CHOICES[kind]), parallel


def _parse_reasoning(body: dict[str, Any], extra: dict[str, Any]) -> Reasoning | None:
    """`thinking` and `output_config.effort`. A thinking type that is not known stays whole in `extra`."""
    config = reading.object_or_none(body, "output_config", "") or {}
    effort = reading.text_or_none(config, "effort", "output_config")
    _keep_rest(config, ("effort", "format"), "output_config", extra)
    thinking = reading.object_or_none(body, "thinking", "")
    if thinking is None:
        return None if effort is None else Reasoning(effort=effort)
    kind = reading.text(thinking, "type", "thinking")
    if kind not in ("enabled", "adaptive", "disabled"):
        extra["thinking"] = thinking
        return None if effort is None else Reasoning(effort=effort)
    display = reading.text_or_none(thinking, "display", "thinking")
    _keep_rest(thinking, _THINKING_FIELDS, "thinking", extra)
    return Reasoning(
        effort=effort,
        budget_tokens=reading.integer_or_none(thinking, "budget_tokens", "thinking"),
        enabled=kind != "disabled",
        adaptive=kind == "adaptive",
        include=None if display is None else display == "summarized",
    )


def _parse_format(body: dict[str, Any], extra: dict[str, Any]) -> ResponseFormat | None:
    """`output_config.format`, or `output_format`, its name while it was in beta."""
    config = reading.object_or_none(body, "output_config", "") or {}
    old, new = body.get("output_format"), config.get("format")
    if old is not None and new is not None:
        raise WrongType("output_format", "cannot be given together with output_config.format")
    path = "output_format" if new is None else "output_config.format"
    value = old if new is None else new
    if value is None:
        return None
    given = reading.as_object(value, path)
    if reading.text(given, "type", path) != "json_schema":
        extra["output_config.format"] = given
        return None
    return ResponseFormat(kind="json_schema", schema=reading.as_object(given.get("schema"), at(path, "schema")))


def _parse_user(body: dict[str, Any], extra: dict[str, Any]) -> str | None:
    metadata = reading.object_or_none(body, "metadata", "") or {}
    _keep_rest(metadata, ("user_id",), "metadata", extra)
    return reading.text_or_none(metadata, "user_id", "metadata")


def _keep_rest(
    holder: dict[str, Any], known: frozenset[str] | tuple[str, ...], path: str, extra: dict[str, Any]
) -> None:
    for key, value in reading.unknown_fields(holder, known).items():
        extra[at(path, key)] = value
