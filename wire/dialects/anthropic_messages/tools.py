"""Tools, tool choice and output format of a neutral request as Anthropic takes them."""

from __future__ import annotations

from typing import Any

from wire.dialect import Quirks
from wire.dialects.anthropic_messages.foreign import OWN
from wire.dialects.anthropic_messages.media import render_cache
from wire.neutral import NativeTool, Request, ResponseFormat, Tool, ToolCall
from wire.reading import WrongType

# No schema that a person wrote is deeper; what is, could not be walked.
_DEEPEST_SCHEMA = 100
_SCHEMAS_BY_NAME = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
_PLAIN_VALUES = frozenset({"enum", "const", "default", "examples", "required"})
_CHOICES = {"auto": "auto", "required": "any", "tool": "tool", "none": "none"}


def render_tools(request: Request, dropped: list[str]) -> list[dict[str, Any]]:
    """Tools that the upstream cannot have are reported by path. A choice narrowed to some tools sends only those."""
    allowed = request.tool_choice.allowed if request.tool_choice is not None else ()
    rendered: list[dict[str, Any]] = []
    for index, tool in enumerate(request.tools):
        path = tool.path or f"tools[{index}]"
        if isinstance(tool, NativeTool):
            if tool.dialect == OWN:
                rendered.append(tool.value)
            else:
                dropped.append(path)
        elif tool.kind == "custom":
            dropped.append(path)  # a tool that takes free text by a grammar
        elif not allowed or tool.name in allowed:
            rendered.append(_render_tool(tool, request.dialect == OWN, path, dropped))
    return rendered


def tools_of_history(request: Request) -> list[dict[str, Any]]:
    """Anthropic wants tools declared where the conversation holds calls of them; other dialects do not."""
    names = {part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall)}
    return [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in sorted(names)]


def render_choice(request: Request, dropped: list[str]) -> dict[str, Any] | None:
    """None: nothing to say. `disable_parallel_tool_use` needs a choice to stand in."""
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    own = request.dialect == OWN
    if choice is not None and choice.native is not None:
        if choice.native_dialect == OWN:
            native: dict[str, Any] = choice.native
            return native
        dropped.append("tool_choice")
        choice = None
    rendered: dict[str, Any] = {"type": _CHOICES[choice.mode] if choice is not None else "auto"}
    if choice is not None and choice.mode == "tool":
        rendered["name"] = choice.name
    if rendered["type"] != "none" and parallel is not None and (own or not parallel):
        rendered["disable_parallel_tool_use"] = not parallel
    return rendered if choice is not None or len(rendered) > 1 else None


def render_format(request: Request, quirks: Quirks, dropped: list[str]) -> dict[str, Any] | None:
    """`output_config.format`. JSON without a schema cannot be asked for, so it is reported."""
    wanted = request.response_format
    if wanted is None or (wanted.kind == "text" and wanted.mime is None):
        return None
    if wanted.schema is None or not quirks.json_schema:
        dropped.append("response_format")
        return None
    if request.dialect == OWN:
        return {"type": "json_schema", "schema": wanted.schema}
    return {"type": "json_schema", "schema": _closed(_described(wanted), 0)}


def _render_tool(tool: Tool, own: bool, path: str, dropped: list[str]) -> dict[str, Any]:
    rendered: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        rendered["description"] = tool.description
    schema = tool.parameters
    if not own:
        # Anthropic refuses a schema without its type; other dialects let a tool without arguments say nothing.
        schema = {"type": "object", **(schema or {})}
        schema.setdefault("properties", {})
    if schema is not None:
        rendered["input_schema"] = schema
    if tool.strict is not None and (own or tool.strict):
        rendered["strict"] = tool.strict
    rendered.update(render_cache(tool.cache))
    if own:
        return {**rendered, **(tool.extra or {})}
    dropped.extend(f"{path}.{name}" for name in tool.extra or {})
    return rendered


def _described(wanted: ResponseFormat) -> dict[str, Any]:
    schema = wanted.schema or {}
    if wanted.description is None or "description" in schema:
        return schema
    return {**schema, "description": wanted.description}


def _closed(schema: Any, depth: int) -> Any:
    """Every object schema that does not say so allows no other properties: Anthropic demands it said.

    The model then writes a subset of what the caller's schema allows, so their check still passes.
    """
    if depth > _DEEPEST_SCHEMA:
        raise WrongType("response_format", "the schema is nested too deeply")
    if isinstance(schema, list):
        return [_closed(item, depth + 1) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _SCHEMAS_BY_NAME and isinstance(value, dict):
            closed[key] = {name: _closed(inner, depth + 1) for name, inner in value.items()}
        else:
            closed[key] = value if key in _PLAIN_VALUES else _closed(value, depth + 1)
    if closed.get("type") == "object" and "additionalProperties" not in closed:
        closed["additionalProperties"] = False
    return closed
