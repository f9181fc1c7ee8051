"""Usage of an answer, both ways. https://platform.openai.com/docs/api-reference/responses/object

`input_tokens` holds cached and cache-write tokens, `output_tokens` holds reasoning tokens: the neutral meaning exactly.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from wire.neutral import Usage

_TICKS_PER_USD = 10**10  # xAI `cost_in_usd_ticks`; agrees with its price list on every recorded answer


def read_usage(answer: dict[str, Any]) -> Usage | None:
    """Of a response object. None when it has no usage. Counts of a wrong type count nothing."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    inputs = _details(usage, "input_tokens_details")
    outputs = _details(usage, "output_tokens_details")
    written = _count(inputs.get("cache_write_tokens"))
    # Two lifetimes: 30 minutes and 12 hours. The longer one is counted with the dearer class.
    long_lived = min(written, _count(_details(inputs, "cache_write_tokens_details").get("ttl_12h_tokens")))
    tier = answer.get("service_tier")
    return Usage(
        input=_count(usage.get("input_tokens")),
        cache_read=_count(inputs.get("cached_tokens")),
        cache_write_5m=written - long_lived,
        cache_write_1h=long_lived,
        output=_count(usage.get("output_tokens")),
        reasoning=_count(outputs.get("reasoning_tokens")),
        web_searches=_searches(answer),
        images=_images(answer),
        cost_usd=_cost(usage),
        service_tier=tier if isinstance(tier, str) else None,
        native=usage,
    )


def render_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def _details(source: dict[str, Any], key: str) -> dict[str, Any]:
    value = source.get(key)
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _output(answer: dict[str, Any]) -> list[dict[str, Any]]:
    output = answer.get("output")
    return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []


def _searches(answer: dict[str, Any]) -> int:
    """What the provider says it ran, else the search items; opening a page and finding in it are not charged."""
    told = _count(_details(_details(answer, "tool_usage"), "web_search").get("num_requests"))
    if told:
        return told
    return sum(
        item.get("type") == "web_search_call" and _details(item, "action").get("type", "search") == "search"
        for item in _output(answer)
    )


def _images(answer: dict[str, Any]) -> int:
    return sum(item.get("type") == "image_generation_call" and bool(item.get("result")) for item in _output(answer))


def _cost(usage: dict[str, Any]) -> str | None:
    """OpenRouter: `cost` in dollars. xAI: whole ticks."""
    ticks, cost = usage.get("cost_in_usd_ticks"), usage.get("cost")
    if isinstance(ticks, int) and not isinstance(ticks, bool):
        return format(Decimal(ticks) / _TICKS_PER_USD, "f")
    if isinstance(cost, int | float) and not isinstance(cost, bool):
        return format(Decimal(repr(cost)), "f")
    return None
