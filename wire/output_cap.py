"""The most tokens that an answer may hold: where each kind of request says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wire.rewriting import read_top_level, replace_top_level

# The first name is for requests that have none yet.
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "openai_chat": ("max_completion_tokens", "max_tokens"),
    "openai_responses": ("max_output_tokens",),
    "anthropic_messages": ("max_tokens",),
    "completions": ("max_tokens",),
    "native_completion": ("n_predict",),
    "gemini": ("maxOutputTokens", "max_output_tokens"),
}
_ANY: Final = tuple(dict.fromkeys(name for names in _NAMES.values() for name in names))
_SECTIONS: Final = ("generationConfig", "generation_config")  # where Gemini has it


def read_output_cap(body: Mapping[str, Any]) -> int | None:
    """By whatever name the dialect has for it; None when there is none."""
    section = next((body[name] for name in _SECTIONS if body.get(name)), None)
    places = (body, section) if isinstance(section, dict) else (body,)
    found = (place.get(name) for place in places for name in _ANY)
    return next((value for value in found if type(value) is int and value > 0), None)


def set_output_cap(body: bytes, kind: str, cap: int) -> bytes:
    """The request with this cap, all else byte for byte. `kind`: its dialect, or `completions`.

    Raises BadRequest when it is not a JSON object.
    """
    if kind != "gemini":
        return _set(body, kind, cap)
    members = read_top_level(body)
    name = next((name for name in _SECTIONS if name in members), _SECTIONS[0])
    section = bytes(members[name]) if name in members else b"null"
    return replace_top_level(body, {name: _set(b"{}" if section == b"null" else section, kind, cap)})


def _set(members: bytes, kind: str, cap: int) -> bytes:
    given = {name for name, value in read_top_level(members).items() if bytes(value) != b"null"}
    names = [name for name in _NAMES[kind] if name in given] or _NAMES[kind][:1]
    return replace_top_level(members, dict.fromkeys(names, b"%d" % cap))
