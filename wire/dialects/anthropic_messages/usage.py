"""Anthropic's usage object to neutral counts and back. https://platform.claude.com/docs/en/api/messages

`input_tokens` counts neither cache reads nor cache writes; the neutral `input` is the sum of all three. Counts of
`message_delta` are cumulative and may correct those of `message_start` (29 of 600 recorded streams): what comes later
replaces, member by member.

`iterations` are the samplings that an answer took. Those that compacted the context are charged and are not in the
top-level counts: they are added here. An advisor's are another model's: they stay in `native`.
https://platform.claude.com/docs/en/build-with-claude/compaction

`speed` has prices of its own, like a service tier. https://platform.claude.com/docs/en/build-with-claude/fast-mode
"""

from __future__ import annotations

from typing import Any

from wire.neutral import Usage


def parse_usage(native: Any, *, complete: bool = True) -> Usage | None:
    """None when there is no usage object. A count that is not a whole number is taken as absent."""
    if not isinstance(native, dict):
        return None
    sampled = (native, *_compactions(native))
    read = sum(_count(each, "cache_read_input_tokens") for each in sampled)
    writes = [_cache_writes(each) for each in sampled]
    write_5m, write_1h = sum(five for five, _ in writes), sum(hour for _, hour in writes)
    server_tools = native.get("server_tool_use")
    details = native.get("output_tokens_details")
    tier = "fast" if native.get("speed") == "fast" else native.get("service_tier")
    return Usage(
        input=sum(_count(each, "input_tokens") for each in sampled) + read + write_5m + write_1h,
        cache_read=read,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        output=sum(_count(each, "output_tokens") for each in sampled),
        reasoning=_count(details, "thinking_tokens") if isinstance(details, dict) else 0,
        web_searches=_count(server_tools, "web_search_requests") if isinstance(server_tools, dict) else 0,
        service_tier=tier if isinstance(tier, str) else None,
        complete=complete,
        native=native,
    )


def merge_native(first: dict[str, Any] | None, later: Any) -> dict[str, Any] | None:
    """A later usage object over an earlier one of the same stream; members that are absent or null keep their value."""
    if not isinstance(later, dict):
        return first
    if first is None:
        return later
    return {**first, **{key: value for key, value in later.items() if value is not None}}


def render_usage(usage: Usage | None) -> dict[str, Any]:
    """The provider's own object where it was Anthropic's, else one built from the counts."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    if usage.native is not None and _is_own(usage.native):
        return usage.native
    rendered: dict[str, Any] = {
        "input_tokens": usage.uncached_input,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if usage.cache_write_5m or usage.cache_write_1h:
        rendered["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning:
        rendered["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.web_searches:
        rendered["server_tool_use"] = {"web_search_requests": usage.web_searches, "web_fetch_requests": 0}
    return rendered


def _is_own(native: dict[str, Any]) -> bool:
    """The Responses usage object has `input_tokens` too, but always a total beside it."""
    return "input_tokens" in native and "total_tokens" not in native and "input_tokens_details" not in native


def _compactions(native: dict[str, Any]) -> list[dict[str, Any]]:
    iterations = native.get("iterations")
    found = iterations if isinstance(iterations, list) else ()
    return [each for each in found if isinstance(each, dict) and each.get("type") == "compaction"]


def _cache_writes(native: dict[str, Any]) -> tuple[int, int]:
    """Tokens written for five minutes and for an hour. The total rules; the breakdown says how it is divided."""
    split = native.get("cache_creation")
    hour = _count(split, "ephemeral_1h_input_tokens") if isinstance(split, dict) else 0
    five = _count(split, "ephemeral_5m_input_tokens") if isinstance(split, dict) else 0
    total = (
        _count(native, "cache_creation_input_tokens") if _has(native, "cache_creation_input_tokens") else five + hour
    )
    hour = min(hour, total)
    return total - hour, hour


def _has(holder: dict[str, Any], key: str) -> bool:
    return holder.get(key) is not None


def _count(holder: dict[str, Any], key: str) -> int:
    value = holder.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
