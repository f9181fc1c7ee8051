"""Tools and tool choice, both ways.

A namespace groups tools whose names are unique only within it. Other dialects have flat names, so a tool of a namespace
is called `<namespace>__ns__<name>` everywhere else, and is split again on the way back: the mark needs no memory of the
request, and calls in the history get the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

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

NAMESPACE_MARK = "__ns__"

_TOOL_FIELDS = frozenset({"type", "name", "description", "parameters", "strict", "format"})
_CALLABLE = ("function", "custom")
_MODES: dict[str, Literal["auto", "none", "required"]] = {"auto": "auto", "none": "none", "required": "required"}


def tool_name(name: str, namespace: str | None) -> str:
    return name if namespace is None else f"{namespace}{NAMESPACE_MARK}{name}"


def split_name(name: str, namespace: str | None) -> tuple[str, str | None]:
    """The name within its namespace, and the namespace."""
    before, mark, after = name.partition(NAMESPACE_MARK)
    if mark and (namespace is None or namespace == before):
        return after, before
    return name, namespace


# ------------------------------------------------------------------------------------------------- reading
def read_tools(body: dict[str, Any]) -> tuple[Tool | NativeTool, ...]:
    tools: list[Tool | NativeTool] = []
    for index, value in enumerate(list_or_empty(body, "tools", "")):
        path = f"tools[{index}]"
        tool = as_object(value, path)
        kind = text(tool, "type", path)
        if kind in _CALLABLE:
            tools.append(_read_tool(tool, path, None))
        elif kind == "namespace" and (inner := _namespace_tools(tool, path)) is not None:
            tools += inner
        else:
            tools.append(NativeTool(dialect="openai_responses", type=kind, value=tool, path=path))
    return tuple(tools)


def _namespace_tools(tool: dict[str, Any], path: str) -> list[Tool] | None:
    """None: it holds tools that are not the caller's own, so it is kept whole."""
    namespace = beyond(tool, ("type", "tools")) or {}
    text(tool, "name", path)
    inner = [
        (as_object(value, f"{path}.tools[{index}]"), f"{path}.tools[{index}]")
        for index, value in enumerate(list_or_empty(tool, "tools", path))
    ]
    if not inner or any(value.get("type") not in _CALLABLE for value, _ in inner):
        return None
    return [_read_tool(value, where, namespace) for value, where in inner]


def _read_tool(tool: dict[str, Any], path: str, namespace: dict[str, Any] | None) -> Tool:
    return Tool(
        name=tool_name(text(tool, "name", path), None if namespace is None else namespace["name"]),
        description=text_or_none(tool, "description", path),
        parameters=object_or_none(tool, "parameters", path),
        strict=flag_or_none(tool, "strict", path),
        kind="custom" if tool["type"] == "custom" else "function",
        format=object_or_none(tool, "format", path),
        extra=beyond(tool, _TOOL_FIELDS),
        namespace=namespace,
        path=path,
    )


def read_tool_choice(body: dict[str, Any], tools: Sequence[Tool | NativeTool]) -> ToolChoice | None:
    value = body.get("tool_choice")
    if value is None:
        return None
    if isinstance(value, str):
        mode = _MODES.get(value)
        if mode is None:
            raise WrongType("tool_choice", "must be auto, none, required or an object")
        return ToolChoice(mode=mode)
    choice = as_object(value, "tool_choice")
    kind = text(choice, "type", "tool_choice")
    if kind in _CALLABLE:
        # Chat's nested shape is taken too: it is the commonest mistake, and compatible servers accept it.
        inner = choice if "name" in choice else (object_or_none(choice, kind, "tool_choice") or {})
        return ToolChoice(
            mode="tool",
            name=_declared(text(inner, "name", "tool_choice"), tools),
            kind="custom" if kind == "custom" else "function",
        )
    if kind == "allowed_tools":
        return _read_allowed(choice, tools)
    return ToolChoice(mode="required", native=choice, native_dialect="openai_responses")


def _read_allowed(choice: dict[str, Any], tools: Sequence[Tool | NativeTool]) -> ToolChoice:
    mode = text(choice, "mode", "tool_choice")
    if mode not in ("auto", "required"):
        raise WrongType("tool_choice.mode", "must be auto or required")
    names: list[str] = []
    native = False
    for index, value in enumerate(list_or_empty(choice, "tools", "tool_choice")):
        path = f"tool_choice.tools[{index}]"
        entry = as_object(value, path)
        if entry.get("type") in _CALLABLE:
            names.append(_declared(text(entry, "name", path), tools))
        else:
            native = True
    return ToolChoice(
        mode="auto" if mode == "auto" else "required",
        allowed=tuple(names),
        native=choice if native else None,
        native_dialect="openai_responses" if native else None,
    )


def _declared(name: str, tools: Sequence[Tool | NativeTool]) -> str:
    """The flat name of a declared tool that the choice may name without its namespace."""
    flat = [tool.name for tool in tools if isinstance(tool, Tool)]
    if name not in flat:
        for candidate in flat:
            if split_name(candidate, None)[0] == name:
                return candidate
    return name


# ------------------------------------------------------------------------------------------------- rendering
def render_tools(request: Request, dropped: list[str]) -> list[dict[str, Any]]:
    own = request.dialect == "openai_responses"
    rendered: list[dict[str, Any]] = []
    for tool in request.tools:
        if isinstance(tool, NativeTool):
            if tool.dialect == "openai_responses":
                rendered.append(tool.value)
            else:
                dropped.append(tool.path or f"tools.{tool.type}")
            continue
        entry = _render_tool(tool, own=own, dropped=dropped)
        if tool.namespace is None:
            rendered.append(entry)
        elif rendered and rendered[-1].get("type") == "namespace" and _same_namespace(rendered[-1], tool.namespace):
            rendered[-1]["tools"].append(entry)
        else:
            rendered.append({"type": "namespace", **tool.namespace, "tools": [entry]})
    return rendered


def _same_namespace(entry: dict[str, Any], namespace: dict[str, Any]) -> bool:
    return {key: value for key, value in entry.items() if key not in ("type", "tools")} == namespace


def _render_tool(tool: Tool, *, own: bool, dropped: list[str]) -> dict[str, Any]:
    name = tool.name if tool.namespace is None else split_name(tool.name, tool.namespace["name"])[0]
    entry: dict[str, Any] = {"type": tool.kind, "name": name}
    if tool.description is not None:
        entry["description"] = tool.description
    if tool.kind == "custom":
        if tool.format is not None:
            entry["format"] = tool.format
    elif own:
        entry |= {"parameters": tool.parameters} if tool.parameters is not None else {}
        entry |= {"strict": tool.strict} if tool.strict is not None else {}
    else:
        entry["parameters"] = tool.parameters or {"type": "object", "properties": {}}
        # Left out, it means true here and false in every other dialect.
        entry["strict"] = bool(tool.strict)
    if tool.extra and own:
        entry |= tool.extra
    elif tool.extra:
        dropped += [at(tool.path, key) for key in tool.extra]
    if tool.cache is not None:
        dropped.append("cache")
    return entry


def render_tool_choice(request: Request, tools: list[dict[str, Any]], dropped: list[str]) -> Any:
    """None: say nothing, the upstream's default. A choice among no tools is refused upstream, so it is left out."""
    choice = request.tool_choice
    if choice is None:
        return None
    if choice.native is not None:
        if choice.native_dialect == "openai_responses":
            return choice.native
        dropped.append("tool_choice")
        return None
    if not tools and request.dialect != "openai_responses":
        if choice.mode in ("required", "tool"):
            dropped.append("tool_choice")
        return None
    declared = {tool.name: tool for tool in request.tools if isinstance(tool, Tool)}
    if choice.mode == "tool":
        return {"type": choice.kind, "name": _name_within(choice.name or "", declared)}
    if choice.allowed:
        return {
            "type": "allowed_tools",
            "mode": "required" if choice.mode == "required" else "auto",
            "tools": [
                {
                    "type": declared[name].kind if name in declared else "function",
                    "name": _name_within(name, declared),
                }
                for name in choice.allowed
            ],
        }
    return choice.mode


def _name_within(name: str, declared: dict[str, Tool]) -> str:
    tool = declared.get(name)
    return name if tool is None or tool.namespace is None else split_name(name, tool.namespace["name"])[0]
