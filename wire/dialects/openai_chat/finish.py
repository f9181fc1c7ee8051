"""Why an answer ended: OpenAI's words, those of compatible servers, and back."""

from __future__ import annotations

from typing import Any

from wire.neutral import Finish, FinishReason

_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    # Compatible servers, some of which relay their own upstream's words.
    "eos": "stop",
    "end_turn": "stop",
    "completed": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_length": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "error": "error",
    "insufficient_system_resource": "error",
}
_WORDS: dict[FinishReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "error": "error",
}


def read_reason(word: Any, *, calls_tools: bool) -> FinishReason:
    """An answer with tool calls ends with `stop` where the caller had forced the tool, and on servers that know no
    better: what it asks for is the tools' results all the same. An unknown or missing word is an ordinary end."""
    reason = _REASONS.get(word, "stop") if isinstance(word, str) else "stop"
    return "tool_calls" if reason == "stop" and calls_tools else reason


def read_finish(choice: dict[str, Any], index: int, *, calls_tools: bool) -> Finish:
    """Of a choice of an answer or of a stream's last chunk. vLLM names the stop sequence in `stop_reason`."""
    word = choice.get("finish_reason")
    details = choice.get("finish_details")
    if not word and isinstance(details, dict):
        word = details.get("type")  # early vision models
    reason = read_reason(word, calls_tools=calls_tools)
    stopped_by = choice.get("stop_reason")
    sequence = stopped_by if isinstance(stopped_by, str) and word == "stop" and stopped_by != "stop" else None
    if sequence is not None and reason == "stop":
        reason = "stop_sequence"
    return Finish(
        reason=reason, choice=index, stop_sequence=sequence, native=word if isinstance(word, str) and word else None
    )


def write_finish(finish: Finish) -> dict[str, Any]:
    """The members of a choice that say why it ended. Compatible servers' fields tell what OpenAI's word leaves out:
    vLLM's `stop_reason` which stop sequence it was, OpenRouter's `native_finish_reason` the upstream's own word."""
    word = _WORDS[finish.reason]
    written: dict[str, Any] = {"finish_reason": word}
    if finish.stop_sequence is not None:
        written["stop_reason"] = finish.stop_sequence
    if finish.reason != word and finish.native is not None:
        written["native_finish_reason"] = finish.native
    return written
