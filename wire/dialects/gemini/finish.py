"""Gemini's finish reasons and the neutral ones. https://ai.google.dev/api/generate-content#FinishReason"""

from __future__ import annotations

from typing import Any

from wire.neutral import Finish, FinishReason

# With `$alt=json;enum-encoding=int` (Google's gRPC-derived clients) enums are numbers.
_NUMBERS = {
    1: "STOP",
    2: "MAX_TOKENS",
    3: "SAFETY",
    4: "RECITATION",
    5: "OTHER",
    6: "LANGUAGE",
    7: "BLOCKLIST",
    8: "PROHIBITED_CONTENT",
    9: "SPII",
    10: "MALFORMED_FUNCTION_CALL",
    11: "IMAGE_SAFETY",
    12: "UNEXPECTED_TOOL_CALL",
    13: "TOO_MANY_TOOL_CALLS",
}

_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "CONTINUATION": "pause",
}

# `refusal` and `pause` have no word of Google's that its clients would know.
_WORDS: dict[FinishReason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "OTHER",
    "error": "OTHER",
}

KNOWN_WORDS = frozenset({*_NUMBERS.values(), *_REASONS})


def finish_word(value: Any) -> str | None:
    """The reason as a word; None while the candidate goes on."""
    if isinstance(value, str):
        return value if value not in ("", "FINISH_REASON_UNSPECIFIED") else None
    return _NUMBERS.get(value) if isinstance(value, int) else None


def neutral_reason(word: str | None, *, called: bool) -> FinishReason:
    """`called`: the candidate holds a function call, which Gemini ends with STOP. Words that say that the model failed
    (OTHER, MALFORMED_FUNCTION_CALL, ...) and words unknown here are `error`."""
    if word is None or word == "STOP":
        return "tool_calls" if called else "stop"
    return _REASONS.get(word, "error")


def gemini_word(finish: Finish) -> str:
    """The upstream's own word where it is Gemini's and means the same."""
    native = finish.native
    if native is not None and native.isupper() and native in KNOWN_WORDS:
        return native
    return _WORDS[finish.reason]
