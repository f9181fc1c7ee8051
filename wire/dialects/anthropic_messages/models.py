"""What Claude models take, by the version in their name: the same field is required by one and refused by another.

Only asked when a request comes from another dialect; a caller of the Messages API says exactly what they mean.
Sources: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking, .../effort and
https://platform.claude.com/docs/en/about-claude/models/migration-guide
"""

from __future__ import annotations

import re

from msgspec import Struct

# "claude-sonnet-4-5-20250929", "claude-opus-4.6", "anthropic/claude-haiku-5"; a date is not a minor version.
_NEW_NAME = re.compile(r"claude-[a-z]+-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
# "claude-3-7-sonnet-20250219"
_OLD_NAME = re.compile(r"claude-(\d)(?:[-.](\d))?-[a-z]+")


class Abilities(Struct, frozen=True, kw_only=True):
    """The defaults are those of models whose name says nothing: compatible servers, aliases."""

    adaptive_thinking: bool = False  # thinks by effort; a budget of tokens is deprecated or refused
    effort_xhigh: bool = False
    sampling: bool = True  # takes temperature, top_p and top_k
    temperature_with_top_p: bool = True


def abilities_of(model: str) -> Abilities:
    """By version: 4.1 takes temperature or top_p, not both; 4.6 thinks adaptively; 4.7 takes no sampling settings."""
    if model.startswith("claude-mythos-preview"):
        return Abilities(adaptive_thinking=True, temperature_with_top_p=False)
    match = _NEW_NAME.search(model) or _OLD_NAME.search(model)
    if match is None:
        return Abilities()
    version = (int(match[1]), int(match[2] or 0))
    return Abilities(
        adaptive_thinking=version >= (4, 6),
        effort_xhigh=version >= (4, 7),
        sampling=version < (4, 7),
        temperature_with_top_p=version < (4, 1),
    )
