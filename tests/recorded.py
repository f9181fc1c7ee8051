"""What a recorded answer says, read by hand from its bytes: the other opinion that tests compare the gateway's with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "STOP": "stop",
    "MAX_TOKENS": "length",
}


@dataclass
class Said:
    """`prompt` and `completion` are totals, cached and reasoning tokens included."""

    text: str = ""
    finish: str | None = None
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    usage: dict[str, Any] = field(default_factory=dict)


def said(interaction: dict[str, Any]) -> Said:
    """Raises KeyError for a shape that is not one of the three providers'."""
    documents = list(_documents(interaction["response"]["body_text"]))
    match interaction["endpoint"]:
        case "chat/completions":
            return _openai(documents)
        case "messages":
            return _anthropic(documents)
        case _:
            return _gemini(documents)


def _documents(body: str) -> Iterator[dict[str, Any]]:
    if body.lstrip().startswith(("{", "[")):
        whole = json.loads(body)
        yield from whole if isinstance(whole, list) else [whole]
        return
    for line in body.splitlines():
        if line.startswith("data:") and (data := line[5:].strip()) != "[DONE]":
            yield json.loads(data)


def _openai(documents: list[dict[str, Any]]) -> Said:
    out = Said()
    for document in documents:
        for choice in document.get("choices", []):
            part = choice.get("message") or choice.get("delta") or {}
            out.text += part.get("content") or ""
            out.finish = choice.get("finish_reason") or out.finish
        if usage := document.get("usage"):
            out.usage = usage
            out.prompt, out.completion = usage["prompt_tokens"], usage["completion_tokens"]
            out.cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
            out.reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return out


def _anthropic(documents: list[dict[str, Any]]) -> Said:
    out = Said()
    for document in documents:
        match document.get("type"):
            case "message" | "message_start":
                message = document.get("message", document)
                out.text += "".join(block.get("text", "") for block in message["content"] if block["type"] == "text")
                out.finish = FINISH.get(message.get("stop_reason") or "")
                out.usage |= message["usage"]
            case "content_block_delta" if document["delta"]["type"] == "text_delta":
                out.text += document["delta"]["text"]
            case "message_delta":
                out.finish = FINISH[document["delta"]["stop_reason"]]
                out.usage |= {key: value for key, value in document["usage"].items() if value is not None}
    usage = out.usage
    out.cached = usage.get("cache_read_input_tokens") or 0
    out.written = usage.get("cache_creation_input_tokens") or 0
    out.prompt = usage["input_tokens"] + out.cached + out.written
    out.completion = usage["output_tokens"]
    return out


def _gemini(documents: list[dict[str, Any]]) -> Said:
    out = Said()
    for document in documents:
        for candidate in document.get("candidates", [])[:1]:
            parts = (candidate.get("content") or {}).get("parts") or []
            out.text += "".join(part.get("text", "") for part in parts if not part.get("thought"))
            out.finish = FINISH.get(candidate.get("finishReason") or "") or out.finish
        if usage := document.get("usageMetadata"):
            out.usage = usage
            out.reasoning = usage.get("thoughtsTokenCount") or 0
            out.cached = usage.get("cachedContentTokenCount") or 0
            out.prompt = (usage.get("promptTokenCount") or 0) + (usage.get("toolUsePromptTokenCount") or 0)
            out.completion = (usage.get("candidatesTokenCount") or 0) + out.reasoning
    return out
