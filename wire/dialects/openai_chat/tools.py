"""Tools and the choice among them, the legacy `functions` and `function_call` too.

https://platform.openai.com/docs/api-reference/chat/create#chat_create-tools
"""

from __future__ import annotations

from typing import Any

from wire.dialect import Quirks
from wire.dialects.openai_chat.messages import read_cache
from wire.neutral import NativeTool, Request, Tool, ToolChoice
from wire.reading import (
    WrongType,
    as_object,
    at,
    beyond,
    flag_or_none,
    list_or_empty,
    object_or_none,
    text,
    text_or_none,
)

_FUNCTION_FIELDS = frozenset({"name", "description", "parameters", "strict"})
_CUSTOM_FIELDS = frozenset({"name", "description", "format"})
# Mistral and older servers say `any` for what OpenAI calls `required`.
_MODES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


# ------------------------------------------------------------------------------------------------------------ reading
def read_tools(body: dict[str, Any]) -> tuple[Tool | NativeTool, ...]:
    """Raises WrongType. A tool that the provider runs (`openrouter:web_search`) stays whole."""
    tools: list[Tool | NativeTool] = []
    for index, item in enumerate(list_or_empty(body, "tools", "")):
        where = f"tools[{index}]"
        tool = as_object(item, where)
        kind = text_or_none(tool, "type", where) or "function"
        if kind == "function":
            tools.append(_read_function(as_object(tool.get("function"), at(where, "function")), tool, where))
        elif kind == "custom":
            tools.append(_read_custom(as_object(tool.get("custom"), at(where, "custom")), where))
        else:
            tools.append(NativeTool(dialect="openai_chat", type=kind, value=tool, path=where))
    for index, item in enumerate(list_or_empty(body, "functions", "")):
        where = f"functions[{index}]"
        tools.append(_read_function(as_object(item, where), {}, where))
    return tuple(tools)


def _read_function(function: dict[str, Any], tool: dict[str, Any], path: str) -> Tool:
    where = at(path, "function") if tool else path
    return Tool(
        name=text(function, "name", where),
        description=text_or_none(function, "description", where),
        parameters=object_or_none(function, "parameters", where),
        strict=flag_or_none(function, "strict", where),
        cache=read_cache(tool, path),
        extra=beyond(function, _FUNCTION_FIELDS),
        path=path,
    )


def _read_custom(custom: dict[str, Any], path: str) -> Tool:
    where = at(path, "custom")
    return Tool(
        name=text(custom, "name", where),
        description=text_or_none(custom, "description", where),
        kind="custom",
        format=object_or_none(custom, "format", where),
        extra=beyond(custom, _CUSTOM_FIELDS),
        path=path,
    )


def read_tool_choice(body: dict[str, Any]) -> ToolChoice | None:
    """Raises WrongType."""
    choice = body.get("tool_choice")
    if choice is None:
        return _read_function_call(body.get("function_call"))
    if isinstance(choice, str):
        return ToolChoice(mode=_mode(choice, "tool_choice"))
    source = as_object(choice, "tool_choice")
    kind = text_or_none(source, "type", "tool_choice") or "function"
    if kind in ("function", "custom"):
        named = as_object(source.get(kind), f"tool_choice.{kind}")
        return ToolChoice(
            mode="tool",
            name=text(named, "name", f"tool_choice.{kind}"),
            kind="custom" if kind == "custom" else "function",
        )
    if kind == "allowed_tools":
        return _read_allowed(as_object(source.get("allowed_tools"), "tool_choice.allowed_tools"))
    return ToolChoice(mode="required", native=source, native_dialect="openai_chat")


def _read_allowed(allowed: dict[str, Any]) -> ToolChoice:
    where = "tool_choice.allowed_tools"
    names: list[str] = []
    for index, item in enumerate(list_or_empty(allowed, "tools", where)):
        path = f"{where}.tools[{index}]"
        tool = as_object(item, path)
        kind = text_or_none(tool, "type", path) or "function"
        names.append(text(as_object(tool.get(kind), at(path, kind)), "name", at(path, kind)))
    return ToolChoice(mode=_mode(text(allowed, "mode", where), at(where, "mode")), allowed=tuple(names))


def _read_function_call(choice: Any) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        return ToolChoice(mode=_mode(choice, "function_call"))
    return ToolChoice(mode="tool", name=text(as_object(choice, "function_call"), "name", "function_call"))


def _mode(word: str, path: str) -> Any:
    if word not in _MODES:
        raise WrongType(path, "must be auto, none or required")
    return _MODES[word]


# ---------------------------------------------------------------------------------------------------------- rendering
def render_tools(request: Request, quirks: Quirks, dropped: list[str]) -> list[dict[str, Any]]:
    """Where the upstream does not know `allowed_tools`, only those are offered at all, which comes to the same."""
    own = request.dialect == "openai_chat"
    allowed = request.tool_choice.allowed if request.tool_choice and "allowed_tools" in quirks.drop else ()
    rendered: list[dict[str, Any]] = []
    for tool in request.tools:
        if isinstance(tool, Tool) and allowed and tool.name not in allowed:
            continue
        if isinstance(tool, NativeTool):
            if tool.dialect == "openai_chat":
                rendered.append(tool.value)
            else:
                dropped.append(tool.path or tool.type)
        elif tool.kind == "custom" and "custom_tools" in quirks.drop:
            dropped.append(tool.path or tool.name)
        else:
            rendered.append(_render_tool(tool, quirks, own=own, dropped=dropped))
    return rendered


def _render_tool(tool: Tool, quirks: Quirks, *, own: bool, dropped: list[str]) -> dict[str, Any]:
    described: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        described["description"] = tool.description
    extra = tool.extra or {}
    if own:
        described |= extra
    else:
        dropped += [at(tool.path, key) for key in extra]
    if tool.kind == "custom":
        if tool.format is not None:
            described["format"] = tool.format
        return {"type": "custom", "custom": described}
    if tool.parameters is not None:
        described["parameters"] = tool.parameters
    if tool.strict is not None:
        described["strict"] = tool.strict
    marked: dict[str, Any] = {}
    if tool.cache is not None:
        if "cache" in quirks.accepts:
            marked["cache_control"] = cache_control(tool.cache.ttl)
        else:
            dropped.append("cache")
    return {"type": "function", "function": described, **marked}


def cache_control(ttl: str | None) -> dict[str, Any]:
    return {"type": "ephemeral"} if ttl is None else {"type": "ephemeral", "ttl": ttl}


def render_tool_choice(request: Request, tools: list[dict[str, Any]], quirks: Quirks, dropped: list[str]) -> Any:
    """None where nothing is to be said. A choice among tools that are all left out is left out with them."""
    choice = request.tool_choice
    if choice is None:
        return None
    if choice.native is not None:
        if choice.native_dialect == "openai_chat":
            return choice.native
        dropped.append("tool_choice")
        return None
    if not tools:
        # OpenAI refuses any tool_choice without tools; `auto` and `none` say nothing then.
        if choice.mode not in ("auto", "none"):
            dropped.append("tool_choice")
        return None
    names = {_name(tool) for tool in tools}
    if choice.mode == "tool":
        if choice.name not in names:
            dropped.append("tool_choice")
            return None
        kind = next(tool["type"] for tool in tools if _name(tool) == choice.name)
        return {"type": kind, kind: {"name": choice.name}}
    if choice.allowed and "allowed_tools" not in quirks.drop:
        kinds = {_name(tool): tool["type"] for tool in tools}
        allowed = [{"type": kinds[name], kinds[name]: {"name": name}} for name in choice.allowed if name in kinds]
        if len(allowed) != len(choice.allowed):
            dropped.append("tool_choice")
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": allowed}} if allowed else None
    return choice.mode


def _name(tool: dict[str, Any]) -> Any:
    described = tool.get(tool.get("type", ""))
    return described.get("name") if isinstance(described, dict) else None
