"""Tools and tool choice of a request for Gemini. https://ai.google.dev/api/caching#Tool"""

from __future__ import annotations

from typing import Any

from wire.dialects.gemini.schema import for_gemini
from wire.neutral import NativeTool, Request, Tool, ToolChoice

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "tool": "ANY"}


def render_tools(request: Request, body: dict[str, Any], dropped: list[str]) -> None:
    """Adds `tools` and `toolConfig`. All functions stand in one entry; server tools of other providers are dropped."""
    functions: list[dict[str, Any]] = []
    native: list[dict[str, Any]] = []
    for tool in request.tools:
        if isinstance(tool, NativeTool):
            if tool.dialect == "gemini":
                native.append(tool.value)
            else:
                dropped.append(tool.path or f"tools.{tool.type}")
        elif tool.kind == "custom":  # free-form text: Gemini's calls are JSON objects
            dropped.append(tool.path or f"tools.{tool.name}")
        else:
            functions.append(_function(tool, own=request.dialect == "gemini", dropped=dropped))
    entries = ([{"functionDeclarations": functions}] if functions else []) + native
    if entries:
        body["tools"] = entries
    if request.tool_choice is not None:
        _add_choice(request.tool_choice, body, dropped, useful=bool(functions) or request.dialect == "gemini")
    if request.parallel_tool_calls is False:
        dropped.append("parallel_tool_calls")


def _function(tool: Tool, *, own: bool, dropped: list[str]) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        declaration["description"] = tool.description
    if tool.parameters is not None:
        parameters = tool.parameters
        if not own:
            parameters, lost = for_gemini(parameters, f"{tool.path}.parameters")
            dropped.extend(lost)
        declaration["parametersJsonSchema"] = parameters
    if tool.strict:
        dropped.append("tools.strict")
    if tool.extra and own:
        declaration.update(tool.extra)
    elif tool.extra:
        dropped.extend(f"{tool.path}.{name}" for name in tool.extra)
    return declaration


def _add_choice(choice: ToolChoice, body: dict[str, Any], dropped: list[str], *, useful: bool) -> None:
    if choice.native is not None and choice.native_dialect != "gemini":
        dropped.append("tool_choice")
        return
    if not useful:  # Google refuses a calling mode without functions
        if choice.mode in ("required", "tool"):
            dropped.append("tool_choice")
        return
    # AUTO knows no restriction; VALIDATED is its form that does.
    validated = choice.mode == "auto" and (choice.native == "VALIDATED" or bool(choice.allowed))
    config: dict[str, Any] = {"mode": "VALIDATED" if validated else _MODES[choice.mode]}
    if choice.mode == "tool":
        config["allowedFunctionNames"] = [choice.name]
    if choice.allowed and choice.mode in ("required", "auto"):
        config["allowedFunctionNames"] = list(choice.allowed)
    body["toolConfig"] = {"functionCallingConfig": config}
