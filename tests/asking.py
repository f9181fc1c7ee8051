"""The fixed question in each dialect, with tools that another dialect declared. Written by hand, without `wire/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

QUESTION = "Say what was recorded."
DIALECTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini")
_PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
}


@dataclass(frozen=True)
class Declared:
    """A function tool of the caller."""

    name: str
    description: str
    schema: dict[str, Any]


def declared(dialect: str, body: dict[str, Any]) -> list[Declared]:
    """The function tools of a recorded request, each name once; what a provider runs itself is left out."""
    found: dict[str, Declared] = {}
    tools = body.get("tools") or []
    for tool in [tools] if isinstance(tools, dict) else tools:
        for name, description, schema in _read(dialect, tool):
            found.setdefault(name, Declared(name, description or "", _plain(schema or {"type": "object"})))
    for legacy in body.get("functions") or []:
        name = legacy["name"]
        found.setdefault(name, Declared(name, legacy.get("description") or "", _plain(legacy.get("parameters") or {})))
    return list(found.values())


def _read(dialect: str, tool: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    match dialect:
        case "openai_chat" if tool.get("type", "function") == "function":
            inner = tool["function"]
            return [(inner["name"], inner.get("description"), inner.get("parameters"))]
        case "openai_responses" if tool["type"] == "function":
            return [(tool["name"], tool.get("description"), tool.get("parameters"))]
        case "anthropic_messages" if tool.get("type", "custom") == "custom" and "input_schema" in tool:
            return [(tool["name"], tool.get("description"), tool["input_schema"])]
        case "gemini":
            functions = tool.get("functionDeclarations") or tool.get("function_declarations") or []
            return [
                (
                    item["name"],
                    item.get("description"),
                    item.get("parameters") or item.get("parametersJsonSchema") or item.get("parameters_json_schema"),
                )
                for item in functions
            ]
        case _:
            return []


def _plain(schema: Any) -> Any:
    """Gemini writes types in capitals."""
    if isinstance(schema, dict):
        return {
            key: value.lower() if key in ("type", "type_") and isinstance(value, str) else _plain(value)
            for key, value in schema.items()
        }
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema


def question(dialect: str, model: str, tools: list[Declared], *, stream: bool) -> tuple[str, dict[str, Any]]:
    """Path and body of the fixed question."""
    body: dict[str, Any]
    offered: list[dict[str, Any]]
    match dialect:
        case "openai_chat":
            body = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "stream": stream}
            if stream:
                body["stream_options"] = {"include_usage": True}
            offered = [
                {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.schema}}
                for t in tools
            ]
        case "openai_responses":
            body = {"model": model, "input": QUESTION, "stream": stream, "store": False}
            offered = [
                {"type": "function", "name": t.name, "description": t.description, "parameters": t.schema}
                for t in tools
            ]
        case "anthropic_messages":
            body = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "stream": stream}
            body["max_tokens"] = 4096
            offered = [{"name": t.name, "description": t.description, "input_schema": t.schema} for t in tools]
        case _:
            body = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}
            functions = [
                {"name": t.name, "description": t.description, "parametersJsonSchema": t.schema} for t in tools
            ]
            offered = [{"functionDeclarations": functions}] if functions else []
    if offered:
        body["tools"] = offered
    if dialect == "gemini":
        return f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent"), body
    return _PATHS[dialect], body
