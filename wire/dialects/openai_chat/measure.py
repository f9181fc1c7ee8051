"""What an answer or a chunk of one amounts to, without translating it. Whatever its oddities, nothing here raises."""

from __future__ import annotations

from typing import Any


def text_bytes(message: Any) -> int:
    """UTF-8 bytes that the model wrote in a message or delta: content, reasoning, refusal, tool arguments."""
    if not isinstance(message, dict):
        return 0
    content = message.get("content")
    total = _size(content) if isinstance(content, str) else _list_bytes(content)
    # Servers that send both fields send the same text twice.
    total += _size(message.get("reasoning_content") or message.get("reasoning")) or _list_bytes(
        message.get("reasoning_details")
    )
    refusal = message.get("refusal")
    if refusal:
        total += _size(refusal)
    calls = message.get("tool_calls")
    if calls and isinstance(calls, list):
        total += sum(_call_bytes(call) for call in calls)
    if "function_call" in message:
        total += _call_bytes({"function": message["function_call"]})
    audio = message.get("audio")
    if isinstance(audio, dict):
        total += _size(audio.get("transcript"))
    return total


def calls_tools(message: Any) -> bool:
    if not isinstance(message, dict):
        return False
    legacy = message.get("function_call")
    return bool(message.get("tool_calls")) or (isinstance(legacy, dict) and legacy.get("name") != "")


def shows_media(message: Any) -> bool:
    """Audio or an image that the model made."""
    return isinstance(message, dict) and bool(message.get("audio") or message.get("images"))


def _size(text: Any) -> int:
    if not isinstance(text, str):
        return _size(text.get("content")) if isinstance(text, dict) else 0
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _list_bytes(parts: Any) -> int:
    """Mistral's content parts, or `reasoning_details`; a thinking part holds a list of text parts."""
    if not isinstance(parts, list):
        return 0
    total = 0
    for part in parts:
        if isinstance(part, dict):
            total += _size(part.get("text")) + _size(part.get("summary"))
            inner = part.get("thinking")
            total += _size(inner) if isinstance(inner, str) else _list_bytes(inner)
    return total


def _call_bytes(call: Any) -> int:
    if not isinstance(call, dict):
        return 0
    described = call.get("function") or call.get("custom")
    return _size(described.get("arguments") or described.get("input")) if isinstance(described, dict) else 0
