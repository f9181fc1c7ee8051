"""Stop reasons. https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wire.neutral import Finish, FinishReason

_NEUTRAL: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
}
_WORDS: Mapping[FinishReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "error": "end_turn",  # no word says it: reported as dropped
}


def neutral_reason(word: Any) -> FinishReason:
    """A word that is not known yet, or none at all, is a plain end."""
    return _NEUTRAL.get(word, "stop") if isinstance(word, str) else "stop"


def parse_finish(holder: Mapping[str, Any]) -> Finish:
    """From an answer, or the `delta` of a message_delta event."""
    word, sequence = holder.get("stop_reason"), holder.get("stop_sequence")
    return Finish(
        reason=neutral_reason(word),
        stop_sequence=sequence if isinstance(sequence, str) else None,
        native=word if isinstance(word, str) else None,
        details=holder.get("stop_details"),
    )


def render_finish(finish: Finish | None, *, called_tools: bool, refused: bool) -> dict[str, Any]:
    """`stop_reason`, `stop_sequence` and, for a refusal, `stop_details`.

    `called_tools`, `refused`: what the answer's parts say, for upstreams that call every end a plain one.
    """
    if finish is None:
        finish = Finish(reason="stop")
    word = _WORDS[finish.reason]
    if finish.native is not None and _NEUTRAL.get(finish.native) == finish.reason:
        word = finish.native
    if word == "end_turn" and called_tools:
        word = "tool_use"
    elif word == "end_turn" and refused:
        word = "refusal"
    rendered: dict[str, Any] = {"stop_reason": word, "stop_sequence": finish.stop_sequence}
    if _is_own_details(finish.details):
        rendered["stop_details"] = finish.details
    elif word == "refusal":
        explanation = finish.details if isinstance(finish.details, str) else None
        rendered["stop_details"] = {"type": "refusal", "category": None, "explanation": explanation}
    return rendered


def _is_own_details(details: Any) -> bool:
    return isinstance(details, dict) and details.get("type") == "refusal"
